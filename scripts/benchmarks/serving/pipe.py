"""A WebSocket that keeps many calls under way: what is measured is the node, not its client."""

import base64
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final, Self

_TEXT: Final = b"\x81"
_PING: Final = 0x89
_PONG: Final = b"\x8a"
_NO_MASK: Final = bytes(4)
_CHUNK: Final = 1 << 18
_PATIENCE: Final = 120.0


class Pipe:
    """Sends calls without waiting for their answers, within a window."""

    def __init__(self, port: int, window: int = 64) -> None:
        """Connect to a node on this machine."""
        self._window = window
        self._sending = threading.Lock()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._buffer = bytearray()
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._buffer += self._socket.recv(_CHUNK)
        if b" 101 " not in self._buffer[:16]:
            raise ConnectionError(f"no WebSocket: {bytes(self._buffer[:100])!r}")
        del self._buffer[: end + 4]

    def __enter__(self) -> Self:
        """Serve as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, calls: Sequence[bytes]) -> list[bytes]:
        """Return the answers to all calls, in the order in which they came."""
        answers: list[bytes] = []
        for start in range(0, len(calls), self._window // 2):
            while start - len(answers) > self._window // 2:
                answers += self._some()
            self.send(calls[start : start + self._window // 2])
        while len(answers) < len(calls):
            answers += self._some()
        return answers

    def send(self, calls: Sequence[bytes]) -> None:
        """Send calls and leave their answers to `answers`, which another thread may take meanwhile."""
        with self._sending:
            self._socket.sendall(b"".join(map(_frame, calls)))

    def answers(self, count: int) -> Iterator[bytes]:
        """Take so many answers, as they come."""
        while count > 0:
            for answer in self._some():
                count -= 1
                yield answer

    def _some(self) -> Iterator[bytes]:
        """Take what has come, and wait only if that is no whole answer."""
        buffer = self._buffer
        while (answer := _first_frame(buffer)) is None:
            received = self._socket.recv(_CHUNK)
            if not received:
                raise ConnectionError("the node has hung up")
            buffer += received
        taken = 0
        while answer is not None:
            start, end = answer
            kind, payload = buffer[taken], bytes(buffer[start:end])
            taken = end
            if kind == _PING:
                with self._sending:
                    self._socket.sendall(_frame(payload, _PONG))
            else:
                yield payload
            answer = _first_frame(buffer, taken)
        del buffer[:taken]


def check_accepted(answers: Sequence[bytes]) -> None:
    """Make sure that no answer is an error."""
    for answer in answers:
        if b'"error"' in answer[:40]:
            raise RuntimeError(answer.decode())


def _frame(payload: bytes, kind: bytes = _TEXT) -> bytes:
    """One message as clients send it: masked, with a mask that changes nothing."""
    size = len(payload)
    if size < 126:
        return kind + bytes((0x80 | size,)) + _NO_MASK + payload
    if size < 1 << 16:
        return kind + b"\xfe" + struct.pack(">H", size) + _NO_MASK + payload
    return kind + b"\xff" + struct.pack(">Q", size) + _NO_MASK + payload


def _first_frame(buffer: bytearray, start: int = 0) -> tuple[int, int] | None:
    """Find where the payload of the first message begins and ends, if it is there as a whole."""
    if len(buffer) < start + 2:
        return None
    size, head = buffer[start + 1], start + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < head + width:
            return None
        size, head = int.from_bytes(buffer[head : head + width]), head + width
    return (head, head + size) if len(buffer) >= head + size else None
