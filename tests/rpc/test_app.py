"""The server as a whole: its pages, its thread, and the sockets it is given."""

import logging
import socket
import threading

import pytest

from rpc.app import RpcServer, bind, create_app, only_loopback, serve
from rpc.dispatch import Call, Method
from rpc.limits import RpcLimits
from rpc.service import TransactionState, TransactionStatus
from runtime.primitives import to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served, messages

pytestmark = pytest.mark.full


def test_pages(start: Start) -> None:
    node = FakeNode()
    served = start(node)
    assert served.request("GET", "/health").json == {"status": "alive"}
    ready = served.request("GET", "/ready")
    assert (ready.status, ready.json) == (200, {"ready": True})
    node.unready = "it is 12 blocks behind"
    unready = served.request("GET", "/ready")
    assert (unready.status, unready.json) == (503, {"ready": False, "reason": "it is 12 blocks behind"})
    assert served.request("GET", "/health").status == 200, "alive, if not ready"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/nothing"])
def test_no_other_pages(served: Served, path: str) -> None:
    assert served.request("GET", path).status == 404


def test_server_does_not_name_its_software(served: Served) -> None:
    assert "server" not in served.request("GET", "/health").headers


def test_extra_methods() -> None:
    def answer(call: Call) -> int:
        """The answer."""
        return 42

    listener = bind("127.0.0.1", 0)
    node = FakeNode()
    app = create_app(node, RpcLimits(), only_loopback=True, extra_methods=[Method("test_answer", answer)])
    server = serve(app, [listener])
    served = Served(node, server, listener.getsockname()[1])
    try:
        assert served.result("test_answer") == 42
        assert "test_answer" in served.result("rpc_methods")["methods"]
    finally:
        assert server.stop(PATIENCE)


def test_several_sockets_at_once() -> None:
    listeners = [bind("127.0.0.1", 0), bind("::1", 0)]
    ports = [listener.getsockname()[1] for listener in listeners]
    assert only_loopback(listeners)
    server = serve(create_app(FakeNode(), RpcLimits(), only_loopback=True), listeners)
    try:
        for host, port in zip(("127.0.0.1", "::1"), ports, strict=True):
            with socket.create_connection((host, port), timeout=PATIENCE) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                assert connection.recv(4_096).startswith(b"HTTP/1.1 200 ")
    finally:
        assert server.stop(PATIENCE)


def test_stopping_closes_everything_and_frees_the_port() -> None:
    node = FakeNode()
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = serve(create_app(node, RpcLimits(), only_loopback=True), [listener])
    assert server.is_alive
    assert len(node.listeners) == 1
    client = Served(node, server, port).client()
    client.subscribe("chain_subscribeNewHeads")
    assert server.stop(PATIENCE)
    assert not server.is_alive
    assert node.listeners == []
    node.grow({b"a": b"1"})
    with pytest.raises(ConnectionError, match=rf"^the node at ws://127\.0\.0\.1:{port} closed the connection: 1012"):
        client.subscribe("chain_subscribeAllHeads")
    client.close()
    bind("127.0.0.1", port).close()
    assert server.stop(PATIENCE), "stopping twice is no harm"


def test_what_is_under_way_when_it_stops_comes_to_its_end() -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    listener = bind("127.0.0.1", 0)
    server = serve(create_app(node, RpcLimits(), only_loopback=True), [listener])
    before = set(threading.enumerate())
    with Served(node, server, listener.getsockname()[1]).client() as client:
        client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
        with pytest.raises(TimeoutError):
            client.call("state_call", "Core_version", "0x", timeout=0.01)
        assert node.slow_begun.acquire(timeout=PATIENCE)
        assert server.stop(PATIENCE)
        assert node.cancelled == [EXTRINSIC]
        node.tell_status(EXTRINSIC, TransactionStatus(TransactionState.READY))
        node.slow_gate.set()
        (worker,) = (thread for thread in set(threading.enumerate()) - before if thread.name.startswith("rpc-slow"))
        worker.join(PATIENCE)
        assert not worker.is_alive()


def test_a_server_that_dies_says_so() -> None:
    died = threading.Event()
    reasons: list[str] = []

    def on_death(why: str) -> None:
        reasons.append(why)
        died.set()

    listener = bind("127.0.0.1", 0)
    server = serve(create_app(FakeNode(), RpcLimits(), only_loopback=True), [listener], on_death=on_death)
    # As if it had come to its end for a reason of its own.
    server._server.should_exit = True
    assert died.wait(PATIENCE)
    assert reasons == ["the server ended by itself"]


def test_a_server_that_is_stopped_did_not_die() -> None:
    reasons: list[str] = []
    listener = bind("127.0.0.1", 0)
    server = serve(create_app(FakeNode(), RpcLimits(), only_loopback=True), [listener], on_death=reasons.append)
    assert server.stop(PATIENCE)
    assert reasons == []


def test_a_server_that_cannot_start_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(FakeNode):
        def subscribe(self, listener: object) -> None:  # type: ignore[override]
            raise ZeroDivisionError("no subscriptions today")

    reasons: list[str] = []
    with bind("127.0.0.1", 0) as listener:
        app = create_app(Refusing(), RpcLimits(), only_loopback=True)
        with pytest.raises(RuntimeError, match=r"^the RPC server did not start: SystemExit: 3$"):
            serve(app, [listener], on_death=reasons.append)
    assert reasons == [], "whoever starts it is told by the exception"
    assert "no subscriptions today" in caplog.text


def test_server_that_does_not_start_in_time() -> None:
    gate = threading.Event()

    class Sleepy(FakeNode):
        def subscribe(self, listener: object) -> object:  # type: ignore[override]
            gate.wait(PATIENCE)
            return lambda: None

    listener = bind("127.0.0.1", 0)
    server = RpcServer(create_app(Sleepy(), RpcLimits(), only_loopback=True), [listener])
    with pytest.raises(TimeoutError, match=r"^the RPC server did not start within 0\.01 seconds$"):
        server.start(0.01)
    assert not server.stop(0.01)
    gate.set()
    assert server.stop(PATIENCE)


def test_stop_gives_up_after_its_deadline(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    node = FakeNode()
    gate, held = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        gate.wait(PATIENCE)

    node.unready_reason = hold  # type: ignore[method-assign, assignment]
    served = start(node)
    caller = threading.Thread(target=served.request, args=("GET", "/ready"))
    caller.start()
    assert held.wait(PATIENCE)
    with caplog.at_level(logging.ERROR, "rpc.app"):
        assert not served.server.stop(0.01)
    gate.set()
    caller.join(PATIENCE)
    assert messages(caplog, "rpc.app") == ["the RPC server did not stop within 0.01 seconds"]


def test_an_application_for_this_machine_is_not_served_to_others() -> None:
    listener = bind("0.0.0.0", 0)  # noqa: S104 - the very case
    with listener:
        assert not only_loopback([listener])
        app = create_app(FakeNode(), RpcLimits(), only_loopback=True)
        message = r"^an application for this machine only must not be served on an external address$"
        with pytest.raises(ValueError, match=message):
            serve(app, [listener])


def test_unsafe_methods_of_an_external_server_are_refused() -> None:
    listener = bind("0.0.0.0", 0)  # noqa: S104 - the very case
    node = FakeNode()
    server = serve(create_app(node, RpcLimits(), only_loopback=False), [listener])
    try:
        fault = Served(node, server, listener.getsockname()[1]).error("dev_rate", "//Alice", 1, 1)
        assert fault["message"] == "RPC call is unsafe to be called externally"
    finally:
        assert server.stop(PATIENCE)


def test_port_that_is_taken() -> None:
    with bind("127.0.0.1", 0) as listener, pytest.raises(OSError, match="Address already in use"):
        bind("127.0.0.1", listener.getsockname()[1])


def test_host_that_is_no_address() -> None:
    with pytest.raises(ValueError, match="'localhost' does not appear to be an IPv4 or IPv6 address"):
        bind("localhost", 0)
