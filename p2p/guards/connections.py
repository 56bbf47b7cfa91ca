"""Guards around connections and their streams: the table of connections, inbound streams, and the multiplexer."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio
from libp2p.abc import IMuxedConn, INetStream, ISecureConn
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.stream_muxer.yamux.yamux import Yamux

from p2p.budget import Budget
from p2p.faults import Faults, is_loss
from p2p.guards.isolation import IsolatedManager, Report
from p2p.network import Misbehaviour, PeerId

YAMUX: Final = TProtocol(YAMUX_ID)
MAX_BUFFERED: Final = 20 * 1024 * 1024
"""Unread bytes of one connection: the largest window of one stream and some."""


class GuardedSwarm(Swarm):
    """libp2p's table of connections, with isolated tasks."""

    def __init__(self, *args: Any, faults: Faults, **options: Any) -> None:
        super().__init__(*args, **options)
        self._faults = faults

    @property
    def manager(self) -> Any:
        """The isolated task manager."""
        return IsolatedManager(self._manager, "swarm", self._faults)


def guard_streams(
    handler: Callable[[INetStream], Awaitable[None]], max_streams: int, faults: Faults, report: Report
) -> Callable[[INetStream], Awaitable[None]]:
    """Wraps the handler of all inbound streams: bounds their number a connection, survives their exceptions."""
    streams: dict[IMuxedConn, int] = {}

    async def guarded(stream: INetStream) -> None:
        connection = stream.muxed_conn
        peer = PeerId(str(connection.peer_id))
        count = streams.get(connection, 0) + 1
        if count > max_streams:
            report(peer, Misbehaviour.FLOOD, f"more than {max_streams} streams")
            await stream.reset()
            return
        streams[connection] = count
        try:
            await handler(stream)
        except Exception as error:
            faults.caught("stream handler", error, peer)
            if not is_loss(error):
                report(peer, Misbehaviour.PROTOCOL, f"a stream failed: {type(error).__name__}")
            await stream.reset()
        finally:
            streams[connection] -= 1
            if not streams[connection]:
                del streams[connection]

    return guarded


class GuardedYamux(Yamux):
    """The multiplexer with an enforced window, a budget of frames, and writes that end."""

    def __init__(
        self, secured_conn: ISecureConn, peer_id: ID, *, budget: Budget, write_timeout: float, report: Report
    ) -> None:
        super().__init__(secured_conn, peer_id, is_initiator=secured_conn.is_initiator)
        self._budget = budget
        self._write_timeout = write_timeout
        self._report = report

    async def _write_frame(self, data: bytes) -> None:
        # Shielded: half a frame would garble all that follows. The deadline closes the connection of a peer that
        # has stopped reading; then every other writer fails too.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._write_timeout) as scope:
            async with self._write_lock:
                await self.secured_conn.write(data)
        if scope.cancelled_caught:
            await self.secured_conn.close()
            raise ConnectionClosedError("the peer has stopped reading")
        await trio.lowlevel.checkpoint()

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
