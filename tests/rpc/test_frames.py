"""WebSocket frames that are worth nothing to a client and cost a server time or memory."""

import socket
import struct
from contextlib import ExitStack
from typing import Final

import pytest

from rpc.guards import MOST_CONTROL_FRAMES, MOST_FRAGMENTS, GuardedWebSocket
from rpc.limits import RpcLimits
from tests.rpc.conftest import Start
from tests.rpc.fake_node import FakeNode
from tests.rpc.served import Served

CONTINUATION: Final = 0
TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

CALL: Final = b'{"jsonrpc":"2.0","id":1,"method":"system_chain"}'
ANSWER: Final = b'{"jsonrpc":"2.0","result":"Test","id":1}'


def frame(opcode: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """A client's frame, under a mask that changes nothing."""
    head = bytes([(0x80 if last else 0) | opcode])
    if len(data) < 126:
        length = bytes([0x80 | len(data)])
    else:
        length = struct.pack("!BH", 0xFE, len(data)) if len(data) < 1 << 16 else struct.pack("!BQ", 0xFF, len(data))
    return head + length + bytes(4) + data


def open_raw(served: Served) -> socket.socket:
    """A WebSocket whose frames are ours."""
    connection = served.raw()
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert b" 101 " in answer
    return connection


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """The server's next frame: opcode and payload."""
    opcode, length = exactly(connection, 2)
    if length == 126:
        (length,) = struct.unpack("!H", exactly(connection, 2))
    return opcode & 15, exactly(connection, length)


def close_code(connection: socket.socket) -> tuple[int, str]:
    """With which code and words the server closes, whatever comes before."""
    while True:
        opcode, data = receive(connection)
        if opcode == CLOSE:
            return int.from_bytes(data[:2]), data[2:].decode()


@pytest.mark.parametrize("opcode", [CONTINUATION, PING, PONG])
def test_frames_that_say_nothing_have_an_end(served: Served, opcode: int) -> None:
    with open_raw(served) as connection:
        if opcode == CONTINUATION:
            connection.sendall(frame(TEXT, b"[", last=False))
        # Together less than is parsed at once: it is they that are too many, not their bytes.
        connection.sendall(frame(opcode, last=opcode != CONTINUATION) * (MOST_FRAGMENTS + 1))
        why = "too many fragments" if opcode == CONTINUATION else "too many pings"
        assert close_code(connection) == (1008, why)
    assert served.result("system_chain") == "Test"


def test_as_many_fragments_as_a_message_may_have(served: Served) -> None:
    with open_raw(served) as connection:
        connection.sendall(frame(TEXT, last=False) + frame(CONTINUATION, last=False) * (MOST_FRAGMENTS - 2))
        connection.sendall(frame(CONTINUATION, CALL) + frame(PING, b"still there?") * MOST_CONTROL_FRAMES)
        expected = [(TEXT, ANSWER), *[(PONG, b"still there?")] * MOST_CONTROL_FRAMES]
        assert sorted(receive(connection) for _ in expected) == expected


def test_messages_of_one_portion_are_parsed_as_they_are_taken(start: Start) -> None:
    """A quarter of a megabyte arrives at once: parsed at once, it would hold everybody up."""
    served = start(FakeNode(), RpcLimits(max_concurrent_calls=1))
    served.node.hang = True
    submission = b'{"jsonrpc":"2.0","id":0,"method":"author_submitExtrinsic","params":["0x00"]}'
    with open_raw(served) as connection:
        connection.sendall(frame(TEXT, submission) * 2 + frame(TEXT, b"1") * 30_000)
        for _ in range(20):
            assert served.result("system_chain") == "Test"
        connections = served.server._server.server_state.connections
        (held,) = [each for each in connections if isinstance(each, GuardedWebSocket)]
        assert held.queue.qsize() < 5_000


def test_many_messages_of_one_portion_are_all_answered(served: Served) -> None:
    with open_raw(served) as connection:
        connection.sendall(frame(TEXT, CALL) * 5_000)
        assert [receive(connection) for _ in range(5_000)] == [(TEXT, ANSWER)] * 5_000
        connection.sendall(frame(CLOSE, b"\x03\xe8"))
        assert receive(connection) == (CLOSE, b"\x03\xe8")


@pytest.mark.full
def test_messages_that_do_not_end_are_cut_off(start: Start) -> None:
    served = start(limits=RpcLimits(request_timeout=1.0))
    halves = (
        frame(TEXT, b"[", last=False),
        frame(TEXT, CALL)[:-1],
        frame(TEXT, CALL)[:1],
        frame(TEXT, CALL)[:6],
        frame(TEXT, CALL) + frame(TEXT, CALL)[:3],
        frame(PING, b"still there?")[:-1],
    )
    with ExitStack() as stack:
        connections = [stack.enter_context(open_raw(served)) for _ in halves]
        idle = stack.enter_context(open_raw(served))
        for connection, half in zip(connections, halves, strict=True):
            connection.sendall(half)
        for connection in connections:
            with pytest.raises((EOFError, ConnectionResetError)):
                close_code(connection)
        idle.sendall(frame(TEXT, CALL))
        assert receive(idle) == (TEXT, ANSWER)
