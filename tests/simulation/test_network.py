"""What the simulated network can do that no test can make a real one do; for the rest see `tests/p2p/contract.py`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from p2p.network import PeerGone, TimedOut, Topic
from tests.p2p.contract import CONFIG, ECHO, SLEEP, Play, Player, met, outcome
from tests.simulation import scheduler
from tests.simulation.medium import Conditions, Medium
from tests.simulation.network import SimulatedNetwork

STEADY = Conditions(latency=(0.1, 0.1), jitter=0.0)
KEEPALIVE = CONFIG.timing.keepalive


class Stage:
    def __init__(self, conditions: Conditions, seed: int = 1) -> None:
        self.clock = scheduler.Clock()
        self.medium = Medium(
            scheduler.rng_of(seed, "medium"), self.clock, conditions=conditions, config=replace(CONFIG)
        )

    def network(self, name: str) -> SimulatedNetwork:
        return self.medium.attach(self.medium.add_host())


def play(story: Callable[[Play, Medium], Awaitable[None]], conditions: Conditions = STEADY) -> None:
    stage = Stage(conditions)

    async def main() -> None:
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                await story(Play(stage, nursery), stage.medium)
                nursery.cancel_scope.cancel()

    scheduler.run(1, stage.clock, main)


async def later(seconds: float, player: Player, what: Callable[[], object]) -> float:
    """How long it takes until something holds; fails after so many seconds."""
    start = trio.current_time()
    with trio.fail_after(seconds):
        while not what():  # noqa: ASYNC110 - counters have no event
            await trio.sleep(0.05)
    return trio.current_time() - start


def test_a_partition_is_noticed_after_a_while_and_heals() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, carol = await play.trio()
        medium.partition([[2]])
        alice.network.publish(Topic.BLOCKS, b"cut off")
        assert await outcome(carol.network.request(alice.id, ECHO, b"x", deadline=2)) == (
            TimedOut, f"{alice.id} did not answer echo within 2 s",
        )  # fmt: skip
        assert await outcome(bob.network.request(alice.id, ECHO, b"x", deadline=2)) == b"x"
        assert carol.gone == []
        for player, parted in ((carol, {alice.id, bob.id}), (alice, {carol.id}), (bob, {carol.id})):
            await later(3 * KEEPALIVE, player, lambda player=player, parted=parted: set(player.gone) == parted)
        assert trio.current_time() >= 2 * KEEPALIVE
        await trio.sleep(100)
        assert (carol.peers(), carol.said(b"cut off"), len(bob.said(b"cut off"))) == ([], [], 1)
        medium.partition(())
        await met(alice, carol)
        await met(bob, carol)

    play(story)


def test_a_short_partition_ends_no_connection() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, _, carol = await play.trio()
        medium.partition([[2]])
        await trio.sleep(1.9 * KEEPALIVE)
        medium.partition(())
        await trio.sleep(3 * KEEPALIVE)
        assert carol.gone == []
        assert await outcome(alice.network.request(carol.id, ECHO, b"x", deadline=2)) == b"x"

    play(story)


def test_what_is_asked_during_a_short_partition_is_answered_after_it() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, _ = await play.trio()
        medium.partition([[0]])
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await outcome(alice.network.request(bob.id, ECHO, b"x", deadline=5)))

        play.nursery.start_soon(ask)
        await trio.sleep(3)
        assert answers == []
        medium.partition(())
        assert await later(1, alice, lambda: answers == [b"x"]) == pytest.approx(0.2, abs=0.06)

    play(story)


def test_a_connection_without_a_handshake_ends_and_is_dialled_again() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob = await play.join("alice"), await play.join("bob")
        (pair,) = medium._pairs
        await later(5, alice, lambda: pair.ends)
        ends = pair.ends
        medium.partition([[1]])
        await trio.sleep(CONFIG.timing.handshake + 0.2)
        assert [end.reason for end in ends] == ["no handshake in time"] * 2
        assert (alice.met, bob.met) == ([], [])
        medium.partition(())
        await met(alice, bob)

    play(story)


def test_an_end_that_was_closed_behind_a_partition_is_told_when_it_heals() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, _ = await play.trio()
        medium.partition([[0]])
        alice.network.disconnect(bob.id)
        await trio.sleep(1)
        assert (alice.gone, bob.gone) == ([bob.id], [])
        medium.partition(())
        assert await later(1, bob, lambda: bob.gone == [alice.id]) == pytest.approx(0.1, abs=0.06)
        await met(alice, bob)

    play(story)


@pytest.mark.parametrize(("silently", "at_least", "at_most"), [(False, 0.0, 0.2), (True, 10.0, 15.1)])
def test_a_dead_node_is_missed_at_once_or_after_a_silence(silently: bool, at_least: float, at_most: float) -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, _ = await play.trio()
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await outcome(alice.network.request(bob.id, SLEEP, b"", deadline=60)))

        play.nursery.start_soon(ask)
        await later(5, bob, lambda: "request 4" in bob.log)
        bob.network.leave(silently=silently)
        bob.scope.cancel()
        took = await later(60, alice, lambda: alice.gone == [bob.id])
        assert at_least <= took <= at_most
        await trio.lowlevel.checkpoint()
        assert answers[0][0] is PeerGone
        # It comes back as the same peer, and with nothing of its last life.
        again = Player(play.stage, "bob")
        again.network = medium.attach(medium.hosts[1])
        await play.start(again)
        await met(alice, again)
        assert alice.peers().count(bob.id) == 1
        assert bob.gone == []

    play(story)


def test_one_that_comes_back_before_it_was_missed_replaces_itself() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, _ = await play.trio()
        bob.network.leave(silently=True)
        bob.scope.cancel()
        again = Player(play.stage, "bob")
        again.network = medium.attach(medium.hosts[1])
        await play.start(again)
        await later(5, alice, lambda: alice.gone == [bob.id] and alice.met[-1].peer_id == bob.id)
        await met(alice, again)

    play(story)


def test_gossip_gets_lost_and_requests_do_not() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, carol = await play.trio()
        for number in range(200):
            alice.network.publish(Topic.BLOCKS, b"%d" % number)
            await trio.sleep(0.1)
        await trio.sleep(5)
        # A message is lost to Bob if it is lost on the way from Alice, and on the way over Carol.
        for player in (bob, carol):
            assert 110 < len(player.heard) < 180
            assert len({payload for payload, _ in player.heard}) == len(player.heard)
        for _ in range(50):
            assert await outcome(alice.network.request(bob.id, ECHO, b"x", deadline=5)) == b"x"

    play(story, replace(STEADY, loss=0.5))


def test_what_is_late_is_overtaken() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob = await play.join("alice"), await play.join("bob")
        await met(alice, bob)
        for number in range(100):
            alice.network.publish(Topic.BLOCKS, b"%03d" % number)
            await trio.sleep(0.1)
        await trio.sleep(5)
        heard = [payload for payload, _ in bob.heard]
        assert heard != sorted(heard) == [b"%03d" % number for number in range(100)]

    play(story, replace(STEADY, late=0.3, lateness=3.0))


def test_bandwidth_makes_large_messages_slow() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob = await play.join("alice"), await play.join("bob")
        await met(alice, bob)
        start = trio.current_time()
        for _ in range(2):
            alice.network.publish(Topic.BLOCKS, bytes(100_000))
        await later(30, bob, lambda: len(bob.heard) == 2)
        # One after the other.
        assert trio.current_time() - start == pytest.approx(4.1, abs=0.1)

    play(story, replace(STEADY, bandwidth=50_000))


def test_no_more_than_so_many_verdicts_of_a_peer_are_awaited() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob, carol = await play.trio()
        for _ in range(40):
            alice.network.publish(Topic.BLOCKS, b"hang")
        await trio.sleep(0.5)
        assert len(bob.heard) == CONFIG.max_verdicts
        carol.network.publish(Topic.BLOCKS, b"good")
        await later(0.3, bob, lambda: bob.said(b"good"))
        await trio.sleep(3)
        assert (len(bob.said(b"hang")), bob.fault("gossip verdict too late")) == (40, 40)

    play(story)


def test_a_node_that_publishes_too_much_is_found_out() -> None:
    async def story(play: Play, medium: Medium) -> None:
        alice, bob = await play.join("alice"), await play.join("bob")
        await met(alice, bob)
        for _ in range(200):
            alice.network.publish(Topic.BLOCKS, b"x")
            await trio.sleep(0.05)
        assert alice.fault("more gossip than a node may publish") == 0
        for _ in range(200):
            alice.network.publish(Topic.BLOCKS, b"x")
        assert alice.fault("more gossip than a node may publish") > 50

    play(story)


def test_many_nodes_know_a_few_of_the_others_and_gossip_reaches_all() -> None:
    async def story(play: Play, medium: Medium) -> None:
        players = [await play.join(f"player {number}") for number in range(30)]
        await trio.sleep(30)
        assert all(len(player.peers()) < 29 for player in players)
        players[17].network.publish(Topic.BLOCKS, b"news")
        await trio.sleep(5)
        assert sum(len(player.said(b"news")) for player in players) == 29

    play(story)
