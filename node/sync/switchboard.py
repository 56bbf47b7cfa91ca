"""One network for those who use it one after the other: who fetches a state first, then the node."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from p2p.network import Misbehaviour, Network, NetworkHandler, PeerId, PeerInfo, Refuse, Topic, Verdict

if TYPE_CHECKING:
    # libp2p brings old stubs of trio, which lack the name `trio.TaskStatus`.
    from trio_typing import TaskStatus


class Switchboard:
    """Runs a network, and hands what it calls to whoever has come last; that one is told of the peers there are."""

    def __init__(self, network: Network) -> None:
        """Take a network that is not running yet."""
        self._network = network
        self._handler: NetworkHandler | None = None
        self._peers: dict[PeerId, tuple[PeerInfo, bytes]] = {}

    async def run(self, first: NetworkHandler, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        """Run the network until cancelled."""
        self._handler = first
        await self._network.run(self, task_status=task_status)

    def line(self) -> Network:
        """Return a network for the next user; that of the one before goes on working, but is not called any more."""
        return _Line(self, self._network)

    async def switch(self, handler: NetworkHandler) -> None:
        """Hand everything to another one from now on."""
        self._handler = handler
        for peer, (info, handshake) in list(self._peers.items()):
            if peer in self._peers:
                try:
                    await handler.on_peer(info, handshake)
                except Refuse:
                    del self._peers[peer]
                    self._network.disconnect(peer)

    @property
    def _current(self) -> NetworkHandler:
        assert self._handler is not None, "the network is running"
        return self._handler

    # What the network calls.

    def handshake(self) -> bytes:
        """Say where we are."""
        return self._current.handshake()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        """Take a peer."""
        handler = self._current
        await handler.on_peer(peer, their_handshake)
        self._peers[peer.peer_id] = peer, their_handshake
        if handler is not self._current:
            # It has come while the next one was told of the others.
            await self._current.on_peer(peer, their_handshake)

    def on_peer_gone(self, peer: PeerId) -> None:
        """Forget a peer."""
        if self._peers.pop(peer, None) is not None:
            self._current.on_peer_gone(peer)

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        """Judge what a peer passes on."""
        return await self._current.on_gossip(topic, payload, from_peer)

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        """Answer a peer."""
        return await self._current.on_request(peer, kind, payload)


class _Line:
    """`p2p.network.Network` of one user of a switchboard."""

    def __init__(self, board: Switchboard, network: Network) -> None:
        self._board = board
        self._network = network

    @property
    def local_peer_id(self) -> PeerId:
        return self._network.local_peer_id

    async def run(self, handler: NetworkHandler, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        await self._board.switch(handler)
        task_status.started()
        await trio.sleep_forever()

    def listen_addresses(self) -> Sequence[str]:
        return self._network.listen_addresses()

    def peers(self) -> Sequence[PeerInfo]:
        return self._network.peers()

    def publish(self, topic: Topic, payload: bytes) -> None:
        self._network.publish(topic, payload)

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        return await self._network.request(peer, kind, payload, deadline=deadline)

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self._network.report(peer, misbehaviour, detail)

    def disconnect(self, peer: PeerId) -> None:
        self._network.disconnect(peer)
