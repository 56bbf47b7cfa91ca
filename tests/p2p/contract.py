"""What a node may rely on, told in stories that every implementation of `p2p.network.Network` has to live up to.

The stories run in the trio loop of a stage: on loopback (`programs/contract.py`) or in virtual time.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest
import trio

from p2p.config import NetworkConfig, Timing
from p2p.network import (
    Misbehaviour,
    NetworkError,
    PeerGone,
    PeerId,
    PeerInfo,
    Refuse,
    Refused,
    RequestKind,
    TimedOut,
    TooLarge,
    Topic,
    Verdict,
)

ECHO, RAISE, SLEEP, LARGE = 1, 3, 4, 5
CONFIG = NetworkConfig(
    genesis=b"\xaa" * 32,
    node_key=bytes(32),
    listen_addresses=("/ip4/127.0.0.1/tcp/0",),
    mdns=False,
    kinds=(
        RequestKind(ECHO, "echo", 100, 100),
        RequestKind(RAISE, "raise", 100, 100),
        RequestKind(SLEEP, "sleep", 100, 100),
        RequestKind(LARGE, "large", 100, 1000),
    ),
    timing=Timing(dial_backoff=0.2, dial_backoff_limit=1.0, handler=2.0, verdict=1.0),
)
DEADLINE = 40.0


class Stage(Protocol):
    """Where networks run."""

    def network(self, name: str) -> Any:
        """A network that is not running yet, and will find those made before it."""


class Player:
    """A node that writes down what happens to it."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.network = stage.network(name)
        self.met: list[PeerInfo] = []
        self.gone: list[PeerId] = []
        self.heard: list[tuple[bytes, PeerId]] = []
        self.log: list[str] = []
        self.refuses = b"nobody"
        self.hesitates = 0.0
        self.scope = trio.CancelScope()
        self._changed = trio.Event()

    @property
    def id(self) -> PeerId:
        peer: PeerId = self.network.local_peer_id
        return peer

    def peers(self) -> list[PeerId]:
        return [peer.peer_id for peer in self.network.peers()]

    def said(self, payload: bytes) -> list[PeerId]:
        return [peer for heard, peer in self.heard if heard == payload]

    def fault(self, kind: str) -> int:
        count: int = self.network.fault_counts.get(kind, 0)
        return count

    def change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        with trio.move_on_after(DEADLINE):
            while not condition():
                # Counters change without an event.
                with trio.move_on_after(0.1):
                    await self._changed.wait()
            return
        raise AssertionError(f"{self.name}: not {what}; {self.log}")

    async def run(self, *, task_status: Any) -> None:
        with self.scope:
            await self.network.run(self, task_status=task_status)

    # NetworkHandler

    def handshake(self) -> bytes:
        return self.name.encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        await trio.sleep(self.hesitates)
        if their_handshake == self.refuses:
            self.log.append(f"refused {their_handshake.decode()}")
            raise Refuse("not you")
        assert peer.handshake == their_handshake
        assert peer.peer_id not in self.peers()
        self.met.append(peer)
        self.log.append(f"met {their_handshake.decode()}")
        self.change()

    def on_peer_gone(self, peer: PeerId) -> None:
        assert peer not in self.peers()
        self.gone.append(peer)
        self.log.append("gone")
        self.change()

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        assert from_peer in self.peers()
        self.heard.append((payload, from_peer))
        self.change()
        if payload == b"raise":
            raise RuntimeError("a defect")
        if payload == b"hang":
            await trio.sleep_forever()
        await trio.sleep(0.01)
        return {b"false": Verdict.REJECT, b"stale": Verdict.IGNORE}.get(payload, Verdict.ACCEPT)

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        assert peer in self.peers()
        self.log.append(f"request {kind}")
        if kind == RAISE:
            raise RuntimeError("a defect")
        if kind == SLEEP:
            await trio.sleep_forever()
        if payload == b"refuse":
            raise Refuse("no such block")
        return payload if kind == ECHO else bytes(int.from_bytes(payload, "big"))


class Play:
    """A story under way."""

    def __init__(self, stage: Stage, nursery: trio.Nursery) -> None:
        self.stage, self.nursery = stage, nursery

    def player(self, name: str) -> Player:
        return Player(self.stage, name)

    async def start(self, player: Player) -> Player:
        await self.nursery.start(lambda task_status: player.run(task_status=task_status))
        return player

    async def join(self, name: str) -> Player:
        return await self.start(self.player(name))

    async def trio(self) -> tuple[Player, Player, Player]:
        players = [await self.join(name) for name in ("alice", "bob", "carol")]
        for player in players:
            others = {other.id for other in players if other is not player}
            await player.until(lambda player=player, others=others: set(player.peers()) == others, "connected to both")
        return players[0], players[1], players[2]


async def outcome(request: Awaitable[bytes]) -> Any:
    """The answer, or the error and its text."""
    try:
        return await request
    except NetworkError as error:
        return type(error), str(error)


async def gossip_flows(source: Player, *sinks: Player) -> None:
    """Publishes until everybody hears it: what comes before the mesh is there is lost."""
    number = 0
    with trio.fail_after(DEADLINE):
        while not all(any(heard.startswith(b"flow") for heard, _ in sink.heard) for sink in sinks):
            source.network.publish(Topic.BLOCKS, b"flow %d" % number)
            number += 1
            await trio.sleep(0.3)


async def met(first: Player, second: Player) -> None:
    await first.until(lambda: second.id in first.peers(), f"connected to {second.name}")
    await second.until(lambda: first.id in second.peers(), f"connected to {first.name}")


# The stories


async def peers_meet_part_and_come_back(play: Play) -> None:
    alice, bob = await play.join("alice"), await play.join("bob")
    await met(alice, bob)
    assert ([peer.handshake for peer in alice.met], [peer.handshake for peer in bob.met]) == ([b"bob"], [b"alice"])
    assert alice.met[0].outbound is not bob.met[0].outbound
    assert list(alice.network.peers()) == alice.met
    alice.network.disconnect(bob.id)
    await alice.until(lambda: alice.gone == [bob.id], "told that bob is gone")
    await bob.until(lambda: bob.gone == [alice.id], "told that alice is gone")
    # Without blame, so they connect again.
    await met(alice, bob)
    assert (len(alice.met), len(bob.met)) == (2, 2)
    assert (alice.gone, bob.gone) == ([bob.id], [alice.id])


async def one_that_ends_is_missed(play: Play) -> None:
    alice, bob = await play.join("alice"), await play.join("bob")
    await met(alice, bob)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await outcome(alice.network.request(bob.id, SLEEP, b"", deadline=30)))

    play.nursery.start_soon(ask)
    await bob.until(lambda: "request 4" in bob.log, "asked")
    bob.scope.cancel()
    await alice.until(lambda: alice.gone == [bob.id], "told that bob is gone")
    await alice.until(lambda: answers, "answered")
    assert answers[0][0] is PeerGone
    assert alice.peers() == []
    assert await outcome(alice.network.request(bob.id, ECHO, b"", deadline=5)) == (
        PeerGone, f"{bob.id} is not connected",
    )  # fmt: skip


async def requests_are_answered_refused_or_late(play: Play) -> None:
    alice, bob = await play.join("alice"), await play.join("bob")
    await met(alice, bob)

    async def ask(kind: int, payload: bytes, deadline: float = 20) -> Any:
        return await outcome(alice.network.request(bob.id, kind, payload, deadline=deadline))

    assert await ask(ECHO, b"hello") == b"hello"
    assert await outcome(bob.network.request(alice.id, ECHO, b"back", deadline=20)) == b"back"
    assert await ask(ECHO, b"refuse") == (Refused, "no such block")
    assert await ask(RAISE, b"") == (Refused, "internal error")
    assert await ask(LARGE, (1001).to_bytes(2, "big")) == (Refused, "internal error")
    assert await ask(LARGE, (1000).to_bytes(2, "big")) == bytes(1000)
    assert (bob.fault("raise request"), bob.fault("large request")) == (1, 1)
    assert await ask(ECHO, bytes(101)) == (TooLarge, "a echo request of 101 bytes, 100 are allowed")
    assert await ask(SLEEP, b"") == (Refused, "too slow")
    assert alice.fault("misbehaviour: slow") == 0
    assert await ask(SLEEP, b"", 0.3) == (TimedOut, f"{bob.id} did not answer sleep within 0.3 s")
    assert alice.fault("misbehaviour: slow") == 1
    with pytest.raises(ValueError, match=r"^there is no request kind 77$"):
        await alice.network.request(bob.id, 77, b"", deadline=1)
    assert await ask(ECHO, b"still") == b"still"
    assert alice.gone == bob.gone == []


async def so_many_requests_at_once(play: Play) -> None:
    alice, bob = await play.join("alice"), await play.join("bob")
    await met(alice, bob)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await outcome(alice.network.request(bob.id, SLEEP, b"", deadline=20)))

    for _ in range(17):
        play.nursery.start_soon(ask)
    await alice.until(lambda: len(answers) == 17, "answered 17 times")
    assert answers == [(Refused, "busy"), *[(Refused, "too slow")] * 16]


async def nothing_comes_from_one_not_admitted_yet(play: Play) -> None:
    alice = play.player("alice")
    alice.hesitates = 0.5
    await play.start(alice)
    bob = await play.join("bob")
    await bob.until(lambda: alice.id in bob.peers(), "connected to alice")
    assert await outcome(bob.network.request(alice.id, ECHO, b"early", deadline=20)) == b"early"
    assert alice.log == ["met bob", "request 1"]


async def the_refused_stay_out(play: Play) -> None:
    alice = play.player("alice")
    alice.refuses = b"bob"
    await play.start(alice)
    bob, carol = await play.join("bob"), await play.join("carol")
    await met(alice, carol)
    await met(bob, carol)
    await alice.until(lambda: alice.log.count("refused bob") >= 2, "asked by bob twice")
    await bob.until(lambda: bob.peers() == [carol.id], "connected to carol alone")
    assert alice.peers() == [carol.id]
    # Bob may have taken Alice for a peer for a moment each time.
    assert len(bob.met) - len(bob.gone) == 1


async def a_handler_that_raises_hurts_nobody_else(play: Play) -> None:
    alice, bob, carol = await play.trio()
    await gossip_flows(alice, bob, carol)
    alice.network.publish(Topic.BLOCKS, b"raise")
    await bob.until(lambda: bob.fault("blocks gossip handler") == 1, "hit by the defect")
    alice.network.publish(Topic.BLOCKS, b"after")
    await bob.until(lambda: bob.said(b"after"), "told what came after")
    assert bob.fault("misbehaviour: bad message") == 0
    assert set(bob.peers()) == {alice.id, carol.id}
    bob.on_peer_gone = raise_defect  # type: ignore[method-assign]
    alice.network.disconnect(bob.id)
    await bob.until(lambda: bob.fault("on_peer_gone handler") == 1, "hit by the defect")
    await met(alice, bob)


def raise_defect(peer: PeerId) -> None:
    raise RuntimeError("a defect")


async def gossip_reaches_everyone_once(play: Play) -> None:
    alice, bob, carol = await play.trio()
    await gossip_flows(alice, bob, carol)
    await gossip_flows(carol, alice)
    for number in range(10):
        alice.network.publish(Topic.BLOCKS, b"number %d" % number)
        await trio.sleep(0.05)
    for player in (bob, carol):
        await player.until(lambda player=player: player.said(b"number 9"), "told everything")
    await gossip_flows(alice, bob, carol)
    for player in (bob, carol):
        assert [len(player.said(b"number %d" % number)) for number in range(10)] == [1] * 10
    assert not any(heard.startswith(b"number") for heard, _ in alice.heard)


async def only_what_is_accepted_is_passed_on(play: Play) -> None:
    """Carol hears of Alice through Bob alone, since Alice will not have her."""
    alice = play.player("alice")
    alice.refuses = b"carol"
    await play.start(alice)
    bob, carol = await play.join("bob"), await play.join("carol")
    await met(alice, bob)
    await met(bob, carol)
    await gossip_flows(alice, bob, carol)
    for payload in (b"stale", b"false", b"hang"):
        alice.network.publish(Topic.BLOCKS, payload)
        await bob.until(lambda payload=payload: bob.said(payload), f"told {payload.decode()}")
    await bob.until(lambda: bob.fault("misbehaviour: bad message") == 1, "sure who said something false")
    alice.network.publish(Topic.BLOCKS, b"good")
    await carol.until(lambda: carol.said(b"good"), "told what is good")
    assert carol.said(b"good") == [bob.id]
    # While the good one passed, one was still being looked at; then time was up.
    await bob.until(lambda: bob.fault("gossip verdict too late") == 1, "out of patience")
    alice.network.publish(Topic.BLOCKS, b"last")
    await carol.until(lambda: carol.said(b"last"), "told the last")
    assert [carol.said(payload) for payload in (b"stale", b"false", b"hang")] == [[], [], []]


async def without_a_running_network_nothing_happens(play: Play) -> None:
    alice = play.player("alice")
    assert alice.id
    assert list(alice.network.listen_addresses()) == []
    assert alice.peers() == []
    alice.network.publish(Topic.BLOCKS, b"before")
    await play.start(alice)
    assert all(address.endswith(f"/p2p/{alice.id}") for address in alice.network.listen_addresses())
    assert alice.network.listen_addresses()
    bob = await play.join("bob")
    await met(alice, bob)
    await gossip_flows(alice, bob)
    assert bob.said(b"before") == []
    with pytest.raises(TooLarge, match=r"^a gossip message of 262145 bytes, 262144 are allowed$"):
        alice.network.publish(Topic.BLOCKS, bytes(CONFIG.max_gossip + 1))
    alice.scope.cancel()
    await bob.until(lambda: bob.gone == [alice.id], "told that alice is gone")
    alice.network.publish(Topic.BLOCKS, b"after")
    alice.network.disconnect(bob.id)


async def the_banned_stay_out(play: Play) -> None:
    alice, bob = await play.join("alice"), await play.join("bob")
    await met(alice, bob)
    alice.network.report(bob.id, Misbehaviour.BAD_MESSAGE, "forgivable")
    assert bob.id in alice.peers()
    alice.network.report(bob.id, Misbehaviour.BAD_BLOCK, "not forgivable")
    alice.network.report(bob.id, Misbehaviour.BAD_BLOCK, "twice")
    await alice.until(lambda: alice.gone == [bob.id], "rid of bob")
    await bob.until(lambda: bob.peers() == [], "told that alice is gone")
    carol = await play.join("carol")
    await met(alice, carol)
    await met(bob, carol)
    await trio.sleep(3)
    assert (alice.peers(), bob.peers()) == ([carol.id], [carol.id])
    assert alice.fault("misbehaviour: bad block") == 2


Story = Callable[[Play], Awaitable[None]]
STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        peers_meet_part_and_come_back,
        one_that_ends_is_missed,
        requests_are_answered_refused_or_late,
        so_many_requests_at_once,
        nothing_comes_from_one_not_admitted_yet,
        the_refused_stay_out,
        a_handler_that_raises_hurts_nobody_else,
        gossip_reaches_everyone_once,
        only_what_is_accepted_is_passed_on,
        without_a_running_network_nothing_happens,
        the_banned_stay_out,
    )
}


async def tell(story: Story, stage: Stage) -> None:
    """Plays a story to its end."""
    async with trio.open_nursery() as nursery:
        await story(Play(stage, nursery))
        nursery.cancel_scope.cancel()
