"""JSON-RPC over WebSockets: frames, many calls at once, and who may not connect."""

import threading
import time
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rpc.limits import RpcLimits
from runtime.primitives import to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served, messages

CALL = b'{"jsonrpc":"2.0","id":1,"method":"system_chain"}'
ANSWER = '{"jsonrpc":"2.0","result":"Test","id":1}'


def open_socket(served: Served, **options: Any) -> Any:
    return connect(served.url, proxy=None, **options)


def request(identifier: int, method: str, *params: object) -> str:
    return orjson.dumps({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}).decode()


def answers(connection: ClientConnection, count: int) -> dict[int, Any]:
    """So many answers by their ids."""
    found = [orjson.loads(connection.recv(PATIENCE)) for _ in range(count)]
    return {entry["id"]: entry for entry in found}


def test_text_and_binary_frames(served: Served) -> None:
    with open_socket(served) as connection:
        for frame in (CALL, CALL.decode()):
            connection.send(frame)
            assert connection.recv(PATIENCE) == ANSWER


def test_fragmented_message(served: Served) -> None:
    with open_socket(served) as connection:
        connection.send([CALL[:10], CALL[10:20], CALL[20:]])
        assert connection.recv(PATIENCE) == ANSWER


def test_broken_messages_leave_the_connection_alone(served: Served) -> None:
    with open_socket(served) as connection:
        for frame in ("", b"", "{", b"\xff", "[]", "1"):
            connection.send(frame)
            assert orjson.loads(connection.recv(PATIENCE))["error"]["code"] in (-32700, -32600)
        connection.send(CALL)
        assert connection.recv(PATIENCE) == ANSWER


def test_batch_and_notification(served: Served) -> None:
    with open_socket(served) as connection:
        connection.send('{"jsonrpc":"2.0","method":"system_chain"}')
        connection.send(f"[{CALL.decode()},{CALL.decode()}]")
        assert connection.recv(PATIENCE) == f"[{ANSWER},{ANSWER}]"


def test_a_slow_call_does_not_hold_up_the_others(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node)
    with open_socket(served) as connection:
        connection.send(request(1, "state_call", "Core_version", "0x"))
        assert node.slow_begun.acquire(timeout=PATIENCE)
        connection.send(request(2, "system_chain"))
        assert list(answers(connection, 1)) == [2]
        node.slow_gate.set()
        assert list(answers(connection, 1)) == [1]


def test_large_answers_arrive_whole(start: Start) -> None:
    """Larger than all buffers on the way, so that both sides wait for each other again and again."""
    node = FakeNode()
    node.grow({b"big": bytes(6 << 20)})
    served = start(node)
    by_http = served.result("state_getStorage", to_hex(b"big"))
    assert by_http == "0x" + "00" * (6 << 20)
    with open_socket(served, max_size=None) as connection:
        for identifier in range(3):
            connection.send(request(identifier, "state_getStorage", to_hex(b"big")))
        for identifier in range(3):
            assert orjson.loads(connection.recv(PATIENCE)) == {"jsonrpc": "2.0", "id": identifier, "result": by_http}
        connection.send(CALL)
        assert connection.recv(PATIENCE) == ANSWER


def test_calls_under_way_are_bounded_and_the_rest_wait(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node, RpcLimits(max_concurrent_calls=2))
    with open_socket(served) as connection:
        for identifier in range(8):
            connection.send(request(identifier, "state_call", "Core_version", "0x"))
        assert node.slow_begun.acquire(timeout=PATIENCE)
        node.slow_gate.set()
        assert sorted(answers(connection, 8)) == list(range(8))


def test_many_pipelined_calls(served: Served) -> None:
    with open_socket(served) as connection:
        for identifier in range(2_000):
            connection.send(request(identifier, "system_chain"))
        assert sorted(answers(connection, 2_000)) == list(range(2_000))


def test_message_of_the_largest_size_passes_and_one_byte_more_closes(start: Start) -> None:
    served = start(limits=RpcLimits(max_request_size=1_000))
    with open_socket(served) as connection:
        connection.send(CALL.ljust(1_000))
        assert connection.recv(PATIENCE) == ANSWER
        connection.send(CALL.ljust(1_001))
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_fragments_beyond_the_limit_close(start: Start) -> None:
    served = start(limits=RpcLimits(max_request_size=1_000))
    with open_socket(served) as connection:

        def exchange() -> None:
            # The close may come while the last fragment is being sent.
            connection.send([b" " * 400] * 3)
            connection.recv(PATIENCE)

        with pytest.raises(ConnectionClosedError) as caught:
            exchange()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_connections_above_the_limit_are_told_so(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    served = start(limits=RpcLimits(max_connections=2))
    with open_socket(served) as one, open_socket(served):
        with pytest.raises(InvalidStatus) as caught, open_socket(served):
            pass
        assert caught.value.response.status_code == 503
        assert caught.value.response.body == b"too many connections: at most 2\n"
        one.send(CALL)
        assert one.recv(PATIENCE) == ANSWER
    assert messages(caplog, "uvicorn.error") == []
    # Both have closed; the server knows of it a moment later.
    deadline = time.monotonic() + PATIENCE
    while not _admitted(served):
        assert time.monotonic() < deadline


def _admitted(served: Served) -> bool:
    try:
        with open_socket(served):
            return True
    except InvalidStatus:
        return False


def test_page_of_a_foreign_origin_is_refused(served: Served) -> None:
    with pytest.raises(InvalidStatus) as caught, open_socket(served, origin="https://example.com"):
        pass
    assert caught.value.response.status_code == 403
    assert caught.value.response.body == b"web pages of https://example.com may not call this node\n"


def test_page_of_an_allowed_origin_is_served(served: Served) -> None:
    with open_socket(served, origin="http://localhost:5173") as connection:
        connection.send(CALL)
        assert connection.recv(PATIENCE) == ANSWER


def test_broken_handshake_is_refused(served: Served) -> None:
    with served.raw() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 400 ")
    assert served.result("system_chain") == "Test"


def test_no_websocket_elsewhere(served: Served) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(f"{served.url}/other", proxy=None):
        pass
    assert caught.value.response.status_code == 403


def test_client_that_leaves_with_calls_under_way_harms_nobody(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node)
    with open_socket(served) as connection:
        connection.send(request(1, "state_call", "Core_version", "0x"))
        connection.send(request(2, "author_submitAndWatchExtrinsic", to_hex(EXTRINSIC)))
        assert node.slow_begun.acquire(timeout=PATIENCE)
    node.slow_gate.set()
    assert served.result("system_chain") == "Test"


def test_bytes_under_way_are_bounded_and_the_rest_wait(start: Start) -> None:
    """A message whose calls wait is held, so what comes next has to wait when that was large."""
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node, RpcLimits(max_request_size=10_000))
    with open_socket(served) as connection:
        connection.send(request(1, "state_call", "Core_version", "0x").ljust(9_000))
        connection.send(request(2, "state_call", "Core_version", "0x").ljust(1_000))
        connection.send(request(3, "system_chain"))
        for _ in range(2):
            assert node.slow_begun.acquire(timeout=PATIENCE)
        with pytest.raises(TimeoutError):
            connection.recv(0.1)
        node.slow_gate.set()
        assert sorted(answers(connection, 3)) == [1, 2, 3]


@pytest.mark.parametrize("most", [32, 1])
def test_what_is_under_way_ends_with_its_connection(start: Start, most: int) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node, RpcLimits(max_concurrent_calls=most))
    batch = [orjson.loads(request(1, "state_call", "Core_version", "0x"))] * 3
    submission = orjson.loads(request(2, "author_submitExtrinsic", to_hex(EXTRINSIC)))
    with open_socket(served) as connection:
        connection.send(orjson.dumps([*batch, submission]))
        assert node.slow_begun.acquire(timeout=PATIENCE)
    served.wait_until_idle()
    node.slow_gate.set()
    assert served.result("state_call", "Core_version", "0x01") == "0x1c01"
    assert node.pool == [], "the batch went no further"
    assert node.slow_begun.acquire(timeout=PATIENCE)
    assert not node.slow_begun.acquire(blocking=False)
