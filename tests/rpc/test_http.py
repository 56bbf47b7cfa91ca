"""JSON-RPC by POST: sizes, web pages of other origins, and clients that waste the server's time."""

import socket
import threading
import time
from contextlib import ExitStack

import orjson
import pytest
from websockets.sync.client import connect

from rpc.guards import MOST_PIPELINED
from rpc.limits import RpcLimits
from runtime.primitives import to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served

CHAIN = {"jsonrpc": "2.0", "id": 1, "method": "system_chain"}
ALLOWED = "http://localhost:5173"
FOREIGN = "https://example.com"


def too_large(limit: int) -> dict[str, object]:
    return {
        "jsonrpc": "2.0",
        "error": {
            "code": 8004,
            "message": f"too many bytes in the request: at most {limit}",
            "data": {"reason": "TooMany", "limit": limit},
        },
        "id": None,
    }


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes, however it does that."""
    data = b""
    try:
        while part := connection.recv(65_536):
            data += part
    except ConnectionResetError:
        pass
    return data


def test_many_calls_on_one_connection(served: Served) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"system_chain"}'
    request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    last = request.replace(b"host:", b"connection: close\r\nhost:")
    with served.raw() as connection:
        # All at once, as HTTP allows: the answers come in order.
        connection.sendall(request * 20 + last)
        assert read_all(connection).count(b'{"jsonrpc":"2.0","result":"Test","id":1}') == 21


def test_body_in_chunks(served: Served) -> None:
    parts = [b'{"jsonrpc":"2.0",', b'"id":1,"method":', b'"system_chain"}']
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    with served.raw() as connection:
        connection.sendall(head)
        for at in range(len(chunks)):
            connection.sendall(chunks[at : at + 1])
        assert read_all(connection).endswith(b'{"jsonrpc":"2.0","result":"Test","id":1}')


def test_request_of_the_largest_size_passes_and_one_byte_more_does_not(start: Start) -> None:
    served = start(limits=RpcLimits(max_request_size=1_000))
    call = b'{"jsonrpc":"2.0","id":1,"method":"system_chain"}'
    assert served.post(call.ljust(1_000)).json["result"] == "Test"
    reply = served.post(call.ljust(1_001))
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert reply.json == too_large(1_000)


def test_too_large_request_is_refused_before_it_is_sent(served: Served) -> None:
    limit = 15 * 1024 * 1024
    with served.raw() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (limit + 1))
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"at most 15728640" in body


def test_chunks_beyond_the_limit_are_refused(start: Start) -> None:
    served = start(limits=RpcLimits(max_request_size=1_000))
    with served.raw() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.sendall(b"3e8\r\n" + b" " * 1_000 + b"\r\n1\r\n \r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        (HEAD, b"x-filler: " + b"x" * 1_000 + b"\r\n"),
        (HEAD + b"x-filler: ", b"x" * 1_000),
        (b"POST /", b"x" * 1_000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx-trailer: ", b"x" * 1_000),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n1;", b"x" * 1_000),
    ],
    ids=["headers", "one header", "address", "trailer", "chunk extension"],
)
def test_what_is_no_body_has_an_end(served: Served, beginning: bytes, part: bytes) -> None:
    with served.raw() as connection:
        connection.sendall(beginning)
        try:
            for _ in range(1_000):
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = read_all(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert served.result("system_chain") == "Test"


@pytest.mark.full
def test_requests_that_do_not_end_are_cut_off(start: Start) -> None:
    served = start(limits=RpcLimits(request_timeout=1.0))
    beginnings = (b"", b"POST / HT", HEAD, HEAD + b"content-length: 9\r\n\r\n{", HEAD + b"\r\n" + HEAD)
    with ExitStack() as stack:
        connections = [stack.enter_context(served.raw()) for _ in beginnings]
        for connection, beginning in zip(connections, beginnings, strict=True):
            connection.sendall(beginning)
        *silent, answered = [read_all(connection) for connection in connections]
    assert silent == [b""] * 4
    assert answered.startswith(b"HTTP/1.1 200 "), "a whole request first, and half of the next"
    assert served.result("system_chain") == "Test"


def test_connections_above_the_limit_are_told_so(start: Start) -> None:
    served = start(limits=RpcLimits(max_connections=2))
    with served.raw() as one, served.raw() as two:
        for connection in (one, two):
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        reply = served.post(CHAIN)
        assert (reply.status, reply.body) == (503, b"Service Unavailable")


def test_connections_far_above_the_limit_are_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.guards.SPARE_CONNECTIONS", 1)
    served = start(limits=RpcLimits(max_connections=2))
    kept = []
    for _ in range(3):
        connection = served.raw()
        kept.append(connection)
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 ")
        if len(kept) == 3:
            # Told so, and closed: not one of those that are kept.
            assert read_all(connection) == b""
            connection.close()
            kept.pop()
    kept.append(served.raw())
    with served.raw() as connection:
        assert read_all(connection) == b""
    for connection in kept:
        connection.close()


@pytest.mark.full
def test_client_that_does_not_read_its_answers_is_cut_off(start: Start) -> None:
    node = FakeNode()
    node.grow({b"big": bytes(6 << 20)})
    served = start(node, RpcLimits(stalled_timeout=0.5))
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "state_getStorage", "params": ["0x626967"]})
    request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        deaf.settimeout(PATIENCE)
        deaf.connect(("127.0.0.1", served.port))
        # Reading stops with writing, so that sending too blocks at last, until the connection is cut off.
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            deaf.sendall(request * 100_000)
    assert served.result("system_chain") == "Test"


def test_preflight_of_an_allowed_page(served: Served) -> None:
    headers = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
    reply = served.request("OPTIONS", headers=headers)
    assert reply.status == 204
    allowed = {name: value for name, value in reply.headers.items() if name.startswith("access-control")}
    assert allowed == {
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-methods": "POST, OPTIONS",
        "access-control-allow-headers": "content-type",
        "access-control-allow-private-network": "true",
        "access-control-max-age": "3600",
    }
    assert reply.headers["vary"] == "origin"


def test_call_of_an_allowed_page(served: Served) -> None:
    reply = served.post(CHAIN, {"Origin": ALLOWED})
    assert reply.json["result"] == "Test"
    assert reply.headers["access-control-allow-origin"] == ALLOWED
    notification = served.post({"jsonrpc": "2.0", "method": "system_chain"}, {"Origin": ALLOWED})
    assert notification.status == 204
    assert notification.headers["access-control-allow-origin"] == ALLOWED


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_page_of_a_foreign_origin_is_refused(served: Served, method: str) -> None:
    """A page could send this without asking first, as a form, and be content with what the call does."""
    reply = served.request(method, "/", b"{}", {"Origin": FOREIGN, "Content-Type": "text/plain"})
    assert reply.status == 403
    assert reply.body == b"web pages of https://example.com may not call this node\n"
    assert "access-control-allow-origin" not in reply.headers


def test_no_origin_at_all_is_no_web_page(served: Served) -> None:
    reply = served.post(CHAIN)
    assert reply.json["result"] == "Test"
    assert "access-control-allow-origin" not in reply.headers


def test_all_origins(start: Start) -> None:
    served = start(limits=RpcLimits(allowed_origins=("all",)))
    reply = served.post(CHAIN, {"Origin": FOREIGN})
    assert reply.json["result"] == "Test"
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("DELETE", 405), ("PATCH", 405)])
def test_other_methods_are_not_allowed(served: Served, method: str, status: int) -> None:
    assert served.request(method, "/", b"{}").status == status


def test_post_elsewhere_is_not_found(served: Served) -> None:
    assert served.request("POST", "/rpc", b"{}").status == 404


def test_requests_that_wait_for_others_are_bounded(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node)
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "state_call", "params": ["Core_version", "0x"]})
    slow = HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with served.raw() as connection:
        connection.sendall(slow + b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * (MOST_PIPELINED + 1))
        assert read_all(connection).startswith(b"HTTP/1.1 400 "), "while the first one is not answered yet"
    node.slow_gate.set()


@pytest.mark.full
def test_a_request_on_an_idle_connection_has_its_whole_time(start: Start) -> None:
    served = start(limits=RpcLimits(request_timeout=3.0))
    body = orjson.dumps(CHAIN)
    request = HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    with served.raw() as connection, served.raw() as clock:
        connection.sendall(request)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        # Closed after three seconds and a bit: the clock for the moments at which the other one speaks.
        clock.settimeout(2.0)
        with pytest.raises(TimeoutError):
            clock.recv(1)
        connection.sendall(request[:-1])
        clock.settimeout(PATIENCE)
        assert clock.recv(1) == b""
        connection.sendall(request[-1:])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_one_address_has_a_share_of_the_connections(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.guards.client_key", lambda host: host)
    served = start(limits=RpcLimits(max_connections=11))
    text = b"too many connections of one address: at most 2\n"
    with ExitStack() as stack:
        one, two = (stack.enter_context(connect(served.url, proxy=None)) for _ in range(2))
        with served.raw() as third:
            answer = read_all(third)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.endswith(text)
        one.send(orjson.dumps(CHAIN))
        assert orjson.loads(one.recv(PATIENCE))["result"] == "Test"
        two.close()
        # The server knows of it a moment later.
        deadline = time.monotonic() + PATIENCE
        while not _is_served(served):
            assert time.monotonic() < deadline


def _is_served(served: Served) -> bool:
    with served.raw() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_this_machine_has_no_share(start: Start) -> None:
    served = start(limits=RpcLimits(max_connections=3))
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(served.url, proxy=None)) for _ in range(3)]
        connections[2].send(orjson.dumps(CHAIN))
        assert orjson.loads(connections[2].recv(PATIENCE))["result"] == "Test"


@pytest.mark.parametrize("path", ["/", "/ready", "/health", "/openrpc.json"])
def test_pages_are_not_for_a_name_that_points_here(served: Served, path: str) -> None:
    """A web page's owner can point its name at this machine, and then read what is there as its own."""
    for host in (
        "localhost",
        f"localhost:{served.port}",
        f"127.0.0.1:{served.port}",
        f"[::1]:{served.port}",
        "10.0.0.1",
    ):
        assert served.request("GET", path, headers={"Host": host}).status == 200
    for host in ("example.com", "localhost.example.com:9944", "127.0.0.1.example.com"):
        reply = served.request("GET", path, headers={"Host": host})
        assert (reply.status, reply.body) == (403, f"this node is not called {host}\n".encode())


def test_pages_are_for_the_names_of_allowed_origins(start: Start) -> None:
    served = start(limits=RpcLimits(allowed_origins=("https://node.example.com",)))
    assert served.request("GET", "/health", headers={"Host": "node.example.com"}).status == 200
    assert served.request("GET", "/health", headers={"Host": "example.com"}).status == 403


def test_what_is_under_way_ends_with_its_connection(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node)
    slow = {"jsonrpc": "2.0", "id": 1, "method": "state_call", "params": ["Core_version", "0x"]}
    submission = {"jsonrpc": "2.0", "id": 2, "method": "author_submitExtrinsic", "params": [to_hex(EXTRINSIC)]}
    body = orjson.dumps([slow, slow, slow, submission])
    with served.raw() as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        assert node.slow_begun.acquire(timeout=PATIENCE)
    served.wait_until_idle()
    node.slow_gate.set()
    assert served.result("state_call", "Core_version", "0x01") == "0x1c01"
    assert node.pool == []
    assert node.slow_calls == [b"", b"\x01"]
