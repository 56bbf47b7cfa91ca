"""Guards around connections and their streams: the table of connections, and inbound streams."""

from collections.abc import Awaitable, Callable
from typing import Any

from libp2p.abc import IMuxedConn, INetStream
from libp2p.network.swarm import Swarm

from p2p.faults import Faults, is_loss
from p2p.guards.isolation import IsolatedManager, Report
from p2p.network import Misbehaviour, PeerId


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
