"""The multiplexer of a connection: libp2p's yamux with an enforced window, a budget of frames, and writes that end.

Its own reading and writing of a stream take a lock for each layer, every one of which is a turn of trio's scheduler,
and answer each read with a frame that renews the window. Gossip goes past these locks (`DirectStream`), as between two
waits nobody else runs, and what renews windows goes with the next frame of the connection.
"""

import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

import trio
from libp2p.abc import IMuxedConn, INetStream, ISecureConn
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.exceptions import MuxedStreamReset as MuxedReset
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import (
    MAX_MESSAGE_SIZE,
    TYPE_DATA,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
    Yamux,
    YamuxStream,
)
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID

from p2p.budget import Budget
from p2p.guards.isolation import Report
from p2p.network import Misbehaviour, PeerId

YAMUX: Final = TProtocol(YAMUX_ID)
MAX_BUFFERED: Final = 20 * 1024 * 1024
"""Unread bytes of one connection: the largest window of one stream and some."""
_READ_SIZE: Final = 64 * 1024
_CREDIT_AT: Final = 64 * 1024
"""Bytes that a peer may send again on a stream before it is told so: a quarter of the smallest window."""
_MAX_CREDITS: Final = 16
_HEADER_SIZE: Final = struct.calcsize(YAMUX_HEADER_FORMAT)


class GuardedYamux(Yamux):
    """The multiplexer with an enforced window, a budget of frames, and writes that end."""

    def __init__(
        self, secured_conn: ISecureConn, peer_id: ID, *, budget: Budget, write_timeout: float, report: Report
    ) -> None:
        super().__init__(secured_conn, peer_id, is_initiator=secured_conn.is_initiator)
        self._budget = budget
        self._write_timeout = write_timeout
        self._report = report
        self._credits: dict[int, int] = {}

    async def _write_frame(self, data: bytes) -> None:
        credit = _credit(data)
        if credit is None:
            await self._write(data)
        else:
            await self._renew(*credit)

    async def _renew(self, stream: int, size: int) -> None:
        """Renews the window of a stream by so many bytes, with the next frame unless that has to be told at once."""
        total = self._credits[stream] = self._credits.get(stream, 0) + size
        if total < _CREDIT_AT and len(self._credits) <= _MAX_CREDITS:
            await trio.lowlevel.checkpoint()
        else:
            await self._write(b"")

    async def _write(self, data: bytes) -> None:
        """Writes frames, behind those that renew windows."""
        if self._credits:
            credits = [_frame(TYPE_WINDOW_UPDATE, name, size) for name, size in self._credits.items()]
            data = b"".join((*credits, data))
            self._credits.clear()
        # Shielded: half a frame would garble all that follows. The deadline closes the connection of a peer that
        # has stopped reading; then every other writer fails too.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._write_timeout) as scope:
            async with self._write_lock:
                await self.secured_conn.write(data)
        if scope.cancelled_caught:
            await self.secured_conn.close()
            raise ConnectionClosedError("the peer has stopped reading")
        await trio.lowlevel.checkpoint()

    async def receive(self, stream: YamuxStream) -> bytes:
        """All that has come on a stream and was not read; waits for it.

        Raises: MuxedStreamReset, MuxedStreamEOF.
        """
        name = stream.stream_id
        while not (buffer := self.stream_buffers.get(name)):
            event = self.stream_events.get(name)
            if stream.reset_received:
                raise MuxedReset("the stream was reset")
            if event is None or stream.recv_closed or stream.closed or self.event_shutting_down.is_set():
                raise MuxedStreamEOF("the stream has ended")
            await event.wait()
            if name in self.stream_events:
                self.stream_events[name] = trio.Event()
        data = bytes(buffer)
        buffer.clear()
        stream.recv_window += len(data)
        await self._renew(name, len(data))
        return data

    async def send(self, stream: YamuxStream, data: bytes) -> None:
        """Writes to a stream without locks if the peer's window has room for all of it, else as libp2p does.

        Raises: as `YamuxStream.write`.
        """
        if stream.send_closed or stream.closed or len(data) > stream.send_window:
            await stream.write(data)
            return
        stream.send_window -= len(data)
        most = MAX_MESSAGE_SIZE - _HEADER_SIZE
        for start in range(0, len(data), most):
            part = data[start : start + most]
            await self._write(_frame(TYPE_DATA, stream.stream_id, len(part)) + part)

    async def _read_data_body(self, length: int) -> bytes:
        buffered = sum(map(len, self.stream_buffers.values()))
        if buffered + length > MAX_BUFFERED:
            self._report(PeerId(str(self.peer_id)), Misbehaviour.FLOOD, "more bytes than its windows allow")
            # The one exception that handle_incoming takes as the end of the connection.
            raise trio.TooSlowError
        return await super()._read_data_body(length)

    async def handle_incoming(self) -> None:
        """Reads frames; each one is charged to the peer's budget."""
        self.secured_conn = cast(ISecureConn, _Charged(self.secured_conn, self._charge))
        await super().handle_incoming()

    async def _charge(self, size: int) -> None:
        wait = self._budget.charge(size)
        if wait > 0:
            if self._budget.is_flood():
                self._report(PeerId(str(self.peer_id)), Misbehaviour.FLOOD, "more frames than its budget")
            await trio.sleep(min(wait, 1.0))


def _credit(frame: bytes) -> tuple[int, int] | None:
    """The stream, and by how many bytes, if a frame of libp2p's does nothing but renew a window."""
    if len(frame) != _HEADER_SIZE or frame[1] != TYPE_WINDOW_UPDATE:
        return None
    _, _, flags, stream, size = struct.unpack(YAMUX_HEADER_FORMAT, frame)
    return None if flags else (stream, size)


def _frame(kind: int, stream: int, size: int) -> bytes:
    """The header of a frame of an open stream."""
    return struct.pack(YAMUX_HEADER_FORMAT, 0, kind, 0, stream, size)


class _Charged:
    """A connection whose reads are charged for."""

    def __init__(self, inner: ISecureConn, charge: Callable[[int], Awaitable[None]]) -> None:
        self._inner = inner
        self._charge = charge

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, n: int | None = None) -> bytes:
        data = await self._inner.read(n)
        await self._charge(len(data))
        return data


class GuardedMuxer(MuxerMultistream):
    """Chooses the multiplexer; there is one."""

    def __init__(self, make: Callable[[ISecureConn, ID], Yamux], negotiate_timeout: int) -> None:
        super().__init__({YAMUX: Yamux}, negotiate_timeout)
        self._make = make

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Negotiates, then makes the guarded one."""
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(self._make(conn, peer_id), conn, protocol)


class Readable(Protocol):
    """What a `BufferedReader` reads from."""

    async def read(self, n: int | None = None) -> bytes:
        """Some bytes; none at the end."""


class DirectStream:
    """A stream of the guarded multiplexer without the layers between, for one reader and one writer."""

    def __init__(self, stream: INetStream, muxed: GuardedYamux) -> None:
        self._stream = cast(YamuxStream, cast(Any, stream).muxed_stream)
        self.muxed_conn: Final = muxed

    async def read(self, n: int | None = None) -> bytes:
        """All that has come. Raises: StreamEOF, StreamReset."""
        try:
            return await self.muxed_conn.receive(self._stream)
        except MuxedStreamEOF as error:
            raise StreamEOF from error
        except BaseLibp2pError as error:
            raise StreamReset from error

    async def write(self, data: bytes) -> None:
        """Writes all of it. Raises: StreamReset."""
        try:
            await self.muxed_conn.send(self._stream, data)
        except BaseLibp2pError as error:
            raise StreamReset from error


def direct(stream: INetStream) -> Any:
    """The same stream by the shortest way to its connection."""
    muxed = stream.muxed_conn
    return DirectStream(stream, muxed) if isinstance(muxed, GuardedYamux) else stream


class BufferedReader:
    """Frames with a varint length, read from a stream in large pieces."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def frame(self, limit: int) -> bytes | None:
        """The next frame, or None at the end of the stream.

        Raises: ValueError, if it is longer than the limit; StreamError.
        """
        length = shift = used = 0
        while True:
            if used == len(self._buffer) and not await self._fill():
                return None
            byte = self._buffer[used]
            used += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 35:
                raise ValueError("a length of more than five bytes")
        if length > limit:
            raise ValueError(f"a frame of {length} bytes, {limit} are allowed")
        while len(self._buffer) < used + length:
            if not await self._fill():
                return None
        frame = bytes(self._buffer[used : used + length])
        del self._buffer[: used + length]
        return frame

    async def _fill(self) -> bool:
        data = await self._stream.read(_READ_SIZE)
        self._buffer += data
        return bool(data)
