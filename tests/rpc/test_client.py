"""The client, against the real server and against what is no node."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websocket

from rpc.client import RpcClient
from rpc.errors import RpcError
from runtime.primitives import to_hex
from scripts.ports import free_port
from tests.rpc.conftest import Start
from tests.rpc.fake_node import EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served


@pytest.fixture(params=["ws", "http"])
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[RpcClient]:
    with RpcClient(f"{request.param}://127.0.0.1:{served.port}", timeout=PATIENCE) as connected:
        yield connected


@contextmanager
def impostor(behave: Callable[[ServerConnection], None]) -> Iterator[str]:
    """Something that accepts WebSockets but is no node; its URL."""
    with serve_websocket(behave, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@contextmanager
def http_impostor(response: bytes) -> Iterator[str]:
    """Something that answers one HTTP request with these bytes; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(65_536):
                    pass
                connection.sendall(response)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(PATIENCE)


def test_calls(client: RpcClient) -> None:
    assert client.call("system_chain") == "Test"
    assert client.call("chain_getBlockHash", 99) is None
    assert client.call("state_getStorage", "0x01", None) == to_hex(b"one")


def test_refused_call(client: RpcClient) -> None:
    with pytest.raises(RpcError) as caught:
        client.call("mf_item", 99)
    assert (caught.value.code, caught.value.message) == (8001, "item 99 does not exist")
    assert caught.value.data == {"reason": "UnknownItem", "item": 99}
    assert caught.value.reason == "UnknownItem"
    assert client.call("system_chain") == "Test", "the connection is as good as before"


def test_batch(client: RpcClient) -> None:
    assert client.batch([]) == []
    chain, fault, missing, last = client.batch(
        [("system_chain", ()), ("no_such_method", [1]), ("chain_getBlockHash", [99]), ("mf_item", [1])]
    )
    assert (chain, missing) == ("Test", None)
    assert isinstance(fault, RpcError)
    assert str(fault) == "Method not found"
    assert last["item"] == 1


def test_batch_that_is_refused_as_a_whole(client: RpcClient) -> None:
    with pytest.raises(RpcError, match=r"^too many requests in the batch: at most 1000$"):
        client.batch([("system_chain", [])] * 1_001)


def test_http_has_no_subscriptions(served: Served) -> None:
    with (
        RpcClient(f"http://127.0.0.1:{served.port}") as client,
        pytest.raises(RpcError, match=r"^subscriptions need a WebSocket connection$"),
    ):
        client.subscribe("chain_subscribeNewHeads")


def test_calls_between_notifications(start: Start) -> None:
    node = FakeNode()
    with start(node).client() as client, client.subscribe("chain_subscribeNewHeads") as heads:
        for number in range(1, 20):
            node.grow({b"a": bytes((number,))})
            assert client.call("chain_getHeader")["number"] == hex(number)
        assert [next(heads)["number"] for _ in range(20)] == [hex(number) for number in range(20)]


def test_leaving_a_subscription_ends_it(start: Start) -> None:
    node = FakeNode()
    with start(node).client() as client:
        with client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC)):
            assert node.cancelled == []
        assert node.cancelled == [EXTRINSIC]
        with pytest.raises(ZeroDivisionError), client.subscribe("chain_subscribeNewHeads") as heads:
            raise ZeroDivisionError
        assert client.call("chain_unsubscribeNewHeads", heads.identifier) is False


def test_notification_that_does_not_come(served: Served) -> None:
    with served.client() as client:
        models = client.subscribe("mf_subscribeModel", timeout=0.01)
        message = rf"^the node at ws://127\.0\.0\.1:{served.port} did not answer in time$"
        with pytest.raises(TimeoutError, match=message):
            next(models)
        with pytest.raises(TimeoutError, match=message):
            models.next(0.0)
        assert models.unsubscribe() is True


def test_call_that_is_given_up_does_not_confuse_the_next(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    with start(node).client() as client:
        with pytest.raises(TimeoutError, match="did not answer in time"):
            client.call("state_call", "Core_version", "0x01", timeout=0.01)
        assert node.slow_begun.acquire(timeout=PATIENCE)
        node.slow_gate.set()
        assert client.call("state_call", "Core_version", "0x02") == "0x1c02"
        assert client.call("system_chain") == "Test"


def test_too_many_unread_notifications(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.client.MOST_UNREAD", 2)
    node = FakeNode()
    with start(node).client() as client:
        client.subscribe("chain_subscribeNewHeads")
        other = client.subscribe("mf_subscribeModel")
        for number in range(1, 3):
            node.grow({b"a": bytes((number,))})
        with pytest.raises(ConnectionError, match=r"^2 notifications of one subscription were left unread$"):
            other.next(PATIENCE)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_no_node(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionError) as caught, RpcClient(url) as client:
        client.call("system_chain")
    assert str(caught.value) == f"no node answers at {url}: start one with scripts/run"


def test_no_such_host() -> None:
    with pytest.raises(ConnectionError, match=r"^no node answers at ws://host\.invalid:1: start one with scripts/run$"):
        RpcClient("ws://host.invalid:1")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9944", "ftp://127.0.0.1", "ws://", "ws://host:port", "ws://host:99999", "http://[::1"]
)
def test_what_is_no_url_of_a_node(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        RpcClient(url)
    assert str(caught.value) == f"{url} is not the URL of a node, which is like ws://127.0.0.1:9944"


def test_node_that_goes_away(start: Start) -> None:
    served = start()
    with served.client() as client:
        assert client.call("system_chain") == "Test"
        served.server.stop(PATIENCE)
        with pytest.raises(ConnectionError, match=rf"^the node at {served.url} closed the connection: 1012$"):
            client.call("system_chain")


@pytest.mark.parametrize(
    "message",
    ["no json", "5", "null", "[]", "[5]", '[{"id":1}]', '{"id":1,"result":7}'],
)
def test_what_speaks_something_else(message: str) -> None:
    def behave(connection: ServerConnection) -> None:
        connection.recv(PATIENCE)
        connection.send(message)
        connection.recv(PATIENCE)

    with impostor(behave) as url:
        with RpcClient(url, timeout=0.2) as client, pytest.raises((ConnectionError, TimeoutError)) as caught:
            client.subscribe("chain_subscribeNewHeads")
        assert str(caught.value) in (
            f"what answers at {url} does not speak JSON-RPC",
            f"the node at {url} did not answer in time",
        )


@pytest.mark.parametrize("message", ['[{"id":1,"result":1}]', '[{"id":1},{"id":1}]', '[{"id":1},5]'])
def test_batch_whose_answer_is_not_whole(message: str) -> None:
    def behave(connection: ServerConnection) -> None:
        connection.recv(PATIENCE)
        connection.send(message)
        connection.recv(PATIENCE)

    with (
        impostor(behave) as url,
        RpcClient(url, timeout=PATIENCE) as client,
        pytest.raises(ConnectionError, match=rf"^what answers at {url} does not speak JSON-RPC$"),
    ):
        client.batch([("a", ()), ("b", ())])


def test_error_of_an_odd_form() -> None:
    def behave(connection: ServerConnection) -> None:
        connection.recv(PATIENCE)
        connection.send('{"id":1,"error":{"code":"x"}}')
        connection.recv(PATIENCE)

    with impostor(behave) as url, RpcClient(url, timeout=PATIENCE) as client:
        with pytest.raises(RpcError) as caught:
            client.call("system_chain")
        assert (caught.value.code, caught.value.message, caught.value.reason) == (0, "None", "0")


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "{url} answered 404 Not Found"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
            "{url} answered 200 OK",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "no node answers at {url}: start one with scripts/run"),
        (b"", "no node answers at {url}: start one with scripts/run"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\nhi",
            "what answers at {url} does not speak JSON-RPC",
        ),
    ],
    ids=["not found", "a page", "not HTTP", "nothing", "no JSON"],
)
def test_web_server_that_is_no_node(response: bytes, message: str) -> None:
    with http_impostor(response) as url, RpcClient(url, timeout=PATIENCE) as client:
        with pytest.raises(ConnectionError) as caught:
            client.call("system_chain")
        assert str(caught.value) == message.format(url=url)


def test_web_server_that_does_not_answer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with (
            RpcClient(url) as client,
            pytest.raises(TimeoutError, match=rf"^the node at {url} did not answer in time$"),
        ):
            client.call("system_chain", timeout=0.05)
