"""Writes to one connection, joined: what is written in one turn of the loop goes out in one system call.

Answers to pipelined calls are made one after the other, and a system call each would cost as much as a small answer.
"""

import asyncio
from typing import Any, Final

# Beyond so many bytes nothing waits for the end of the turn, so that a client that does not read is noticed.
_MOST_HELD: Final = 1 << 15


class JoiningTransport:
    """A transport whose writes wait until the loop comes around; all else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._held = 0

    def __getattr__(self, name: str) -> Any:
        """Everything that does not write."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold data until the turn ends, or until there is much of it."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._held += len(data)
        if self._held > _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if not self._parts:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything is written."""
        self.flush()
        self._transport.close()


def joining(transport: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """Join the writes to a transport, unless they are already: a WebSocket takes over the one of its handshake."""
    return transport if isinstance(transport, JoiningTransport) else JoiningTransport(transport, loop)
