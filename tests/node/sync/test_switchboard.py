"""A network that two use one after the other: each is told of the peers there are, and only one is called."""

from dataclasses import dataclass, field

import trio

from node.sync.switchboard import Switchboard
from p2p.network import Misbehaviour, Network, NetworkHandler, PeerId, PeerInfo, Refuse, Topic, Verdict
from tests.node.sync.peers import in_virtual_time

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")


@dataclass
class Wire:
    """A network whose test plays the peers."""

    local_peer_id: PeerId = field(default=PeerId("us"))
    handler: NetworkHandler | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def run(self, handler: NetworkHandler, *, task_status: object = trio.TASK_STATUS_IGNORED) -> None:
        self.handler = handler
        task_status.started()  # type: ignore[attr-defined]
        await trio.sleep_forever()

    def listen_addresses(self) -> list[str]:
        return ["here"]

    def peers(self) -> list[PeerInfo]:
        return [info(A)]

    def publish(self, topic: Topic, payload: bytes) -> None:
        self.calls.append(("publish", topic, payload))

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        self.calls.append(("request", peer, kind, payload, deadline))
        return b"answer"

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self.calls.append(("report", peer, misbehaviour, detail))

    def disconnect(self, peer: PeerId) -> None:
        self.calls.append(("disconnect", peer))


@dataclass
class User:
    """Somebody that a network calls."""

    name: bytes
    refuses: tuple[PeerId, ...] = ()
    calls: list[tuple[object, ...]] = field(default_factory=list)

    def handshake(self) -> bytes:
        return self.name

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        if peer.peer_id in self.refuses:
            raise Refuse("no")
        self.calls.append(("peer", peer.peer_id, their_handshake))

    def on_peer_gone(self, peer: PeerId) -> None:
        self.calls.append(("gone", peer))

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        self.calls.append(("gossip", topic, payload, from_peer))
        return Verdict.ACCEPT

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        self.calls.append(("request", peer, kind, payload))
        return self.name


def info(peer: PeerId) -> PeerInfo:
    return PeerInfo(peer, "", b"", True)


def test_one_after_the_other() -> None:
    wire, first, second = Wire(), User(b"first"), User(b"second", refuses=(C,))

    async def main() -> None:
        network: Network = wire  # type: ignore[assignment]
        board = Switchboard(network)
        async with trio.open_nursery() as nursery:
            await nursery.start(board.run, first)
            assert board.handshake() == b"first"
            for peer in (A, B, C):
                await board.on_peer(info(peer), b"hello of " + peer.encode())
            board.on_peer_gone(B)
            line = board.line()
            await nursery.start(line.run, second)
            assert board.handshake() == b"second"
            assert await board.on_request(A, 7, b"what") == b"second"
            assert await board.on_gossip(Topic.VOTES, b"vote", A) is Verdict.ACCEPT
            board.on_peer_gone(A)
            # Nobody has taken this one: it was refused when the second came.
            board.on_peer_gone(C)
            # The line is the network itself in all else.
            assert await line.request(A, 1, b"p", deadline=3.0) == b"answer"
            line.publish(Topic.BLOCKS, b"block")
            line.report(A, Misbehaviour.SLOW, "late")
            line.disconnect(A)
            assert (line.local_peer_id, line.listen_addresses(), line.peers()) == ("us", ["here"], [info(A)])
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    assert first.calls == [
        ("peer", A, b"hello of a"),
        ("peer", B, b"hello of b"),
        ("peer", C, b"hello of c"),
        ("gone", B),
    ]
    assert second.calls == [
        ("peer", A, b"hello of a"),
        ("request", A, 7, b"what"),
        ("gossip", Topic.VOTES, b"vote", A),
        ("gone", A),
    ]
    assert wire.calls == [
        ("disconnect", C),
        ("request", A, 1, b"p", 3.0),
        ("publish", Topic.BLOCKS, b"block"),
        ("report", A, Misbehaviour.SLOW, "late"),
        ("disconnect", A),
    ]
