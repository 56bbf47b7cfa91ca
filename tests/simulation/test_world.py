import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from p2p.network import Network, Topic
from tests.simulation.faults import CALM, Crash, Fault, Partition, Rollback, Skew, Weather, random_faults
from tests.simulation.medium import Conditions
from tests.simulation.toy import KINDS, Rules, ToyNode, no_conflicts, same_items, toys
from tests.simulation.world import EPOCH, SimulationFailed, World, seeds

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


def toy_world(seed: int, rules: Rules | None = None, nodes: int = 4) -> World:
    return World(seed, toys(rules), nodes=nodes, kinds=KINDS, invariants=[no_conflicts], skew=0.2)


def play(seed: int, rules: Rules | None = None, nodes: int = 4) -> World:
    world = toy_world(seed, rules, nodes)
    world.run(SECONDS, random_faults(world.rng("faults"), nodes, SECONDS), at_end=[same_items])
    return world


@pytest.mark.parametrize("seed", seeds(10))
def test_nodes_agree_after_whatever_befalls_them(seed: int) -> None:
    play(seed, nodes=3 + seed % 5)


@pytest.mark.parametrize(
    ("rules", "what"), [(Rules(syncs_first=False), "has seen two items"), (Rules(asks=False), "items of node")]
)
def test_careless_nodes_are_found_out(rules: Rules, what: str) -> None:
    found = []
    for seed in range(10):
        try:
            play(seed, rules)
        except SimulationFailed as failure:
            found.append(str(failure))
    assert found
    assert all(what in text.partition("\n")[0] for text in found)


def test_the_same_seed_is_the_same_run_in_another_process_too() -> None:
    here = play(3)
    assert len(here.trace) > 1000
    assert play(3).trace == here.trace
    assert play(4).digest() != here.digest()
    program = "from tests.simulation.test_world import play; print(play(3).digest())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=True
    )
    assert output.stdout.strip() == here.digest()


def test_a_failure_says_when_after_what_and_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_five(world: World) -> None:
        for index, node in world.nodes():
            assert isinstance(node, ToyNode)
            if index == 2 and len(node.items) >= 5:
                raise AssertionError("node 2 has five")

    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/a/test_b.py::test_c[17] (call)")
    world = World(17, toys(), nodes=3, kinds=KINDS, invariants=[no_five])
    with pytest.raises(SimulationFailed) as caught:
        world.run(60, [Fault(0.5, Crash(0, 1.0))])
    lines = str(caught.value).splitlines()
    assert lines[:5] == [
        f"seed 17 fails at {world.trace[-1][0]} ms: AssertionError: node 2 has five",
        'again: MFCHAIN_SEEDS=17 python -m pytest "tests/a/test_b.py::test_c[17]"',
        "faults:",
        "  Fault(at=0.5, what=Crash(node=0, down=1.0, silently=False, in_write=0))",
        "the last events (ms, what, which node, ...):",
    ]
    assert lines[-1] == f"  {world.trace[-1]}"
    assert int(str(world.trace[-1][0])) < 4000


def test_seeds_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MFCHAIN_SEEDS", raising=False)
    assert list(seeds(3)) == [0, 1, 2]
    monkeypatch.setenv("MFCHAIN_SEEDS", "17")
    assert list(seeds(3)) == [17]
    monkeypatch.setenv("MFCHAIN_SEEDS", "100:104")
    assert list(seeds(3)) == [100, 101, 102, 103]


def test_faults_happen_when_they_should() -> None:
    fog = Conditions(latency=(1.0, 1.0))
    world = toy_world(5)
    faults = [
        Fault(5, Crash(1, 3.0)),
        Fault(10, Partition(((0, 1),), 5.0)),
        Fault(20, Weather(fog, 4.0)),
        Fault(25, Skew(3, -0.75, 2.0)),
        Fault(30, Crash(2, 6.0, silently=True, in_write=3)),
    ]
    usual = world.clock(3)() - EPOCH
    world.run(50, faults, at_end=[same_items])
    seen = [
        (event[0], *event[1:])
        for event in world.trace
        if event[1] in ("start", "crash", "partition", "weather", "skew")
    ]
    assert seen[:4] == [(0, "start", number) for number in range(4)]
    assert seen[4:9] == [
        (5000, "crash", 1), (8000, "start", 1), (10000, "partition", "((0, 1),)"), (15000, "partition", "()"),
        (20000, "weather", str(fog)),
    ]  # fmt: skip
    assert seen[9] == (24000, "weather", str(Conditions()))
    assert seen[10:12] == [(25000, "skew", 3, -750), (27000, "skew", 3, usual)]
    # In the third write after that.
    assert seen[12][1:] == ("crash", 2)
    assert 30000 < int(str(seen[12][0])) < 36000
    assert seen[13:] == [(36000, "start", 2)]


def test_a_backup_brings_back_what_was_there() -> None:
    world = toy_world(6)
    counts: list[int] = []

    def count() -> int:
        node = world.node(1)
        assert isinstance(node, ToyNode)
        return node.counts[1]

    async def story(_world: World) -> None:
        await trio.sleep(9.9)
        counts.append(count())
        await trio.sleep(10)
        counts.append(count())
        assert world.disk(1).setbacks == 0

    world.run(21.5, [Fault(10, Rollback(1, 10.0, 1.0))], story=story)
    seen = [event[:3] for event in world.trace if event[1] in ("crash", "rollback") or event[1:3] == ("start", 1)]
    assert seen == [(0, "start", 1), (20000, "crash", 1), (20000, "rollback", 1), (21000, "start", 1)]
    assert counts[1] > counts[0]
    assert world.disk(1).setbacks == 1


def test_who_vanishes_stays_away_until_it_is_called() -> None:
    world = toy_world(7)

    async def story(world: World) -> None:
        await trio.sleep(5)
        world.vanish(2)
        await trio.sleep(10)
        assert world.node(2) is None
        await world.start(2)
        await trio.sleep(1)
        assert world.node(2) is not None
        world.finish()

    world.run(1_000, [Fault(6, Crash(2, 3.0))], story=story)
    assert world.now() == EPOCH + 16_000


def test_random_faults_leave_time_to_recover() -> None:
    for seed in range(50):
        world = World(seed, toys(), nodes=1)
        faults = random_faults(world.rng("faults"), 5, 300.0)
        assert faults == random_faults(world.rng("faults"), 5, 300.0)
        assert faults
        for fault in faults:
            span = fault.what.down if isinstance(fault.what, Crash) else fault.what.seconds
            assert fault.at + span <= 300 * CALM + 0.5
            if isinstance(fault.what, Partition):
                assert all(0 <= node < 5 for group in fault.what.groups for node in group)


def test_stories_join_leave_and_look_at_clocks() -> None:
    async def story(world: World) -> None:
        await trio.sleep(10)
        assert abs(world.clock(0)() - (EPOCH + 10_000)) <= 200
        assert world.now() == EPOCH + 10_000
        await world.stop(0)
        newcomer = world.add_place()
        await world.start(newcomer)
        await world.start(newcomer)
        await trio.sleep(10)
        node = world.node(newcomer)
        assert isinstance(node, ToyNode)
        assert node.counts[1] >= 18
        assert world.node(0) is None
        await world.start(0)

    toy_world(1).run(40, story=story, at_end=[same_items])


class Faulty:
    """A node with a defect."""

    def __init__(self, how: str) -> None:
        self.how = how

    async def run(self, network: Network) -> None:
        if self.how == "raise":
            await trio.sleep(1)
            raise KeyError("a defect")
        if self.how == "handler":
            await network.run(FaultyHandler(network))  # type: ignore[arg-type]


class FaultyHandler:
    def __init__(self, network: Network) -> None:
        self.network = network

    def handshake(self) -> bytes:
        return b""

    async def on_peer(self, *peer: object) -> None:
        raise KeyError("a defect")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "seed 1 fails at 1000 ms: RuntimeError: node 0 ended by itself: KeyError: 'a defect'"),
        ("return", "seed 1 fails at 0 ms: RuntimeError: node 0 ended by itself: RuntimeError: it returned"),
        ("handler", "RuntimeError: node 0: on_peer handler: KeyError: 'a defect'"),
    ],
)
def test_a_node_that_fails_fails_the_simulation(how: str, message: str) -> None:
    world = World(1, lambda world, index: Faulty(how), nodes=1 if how != "handler" else 2)
    with pytest.raises(SimulationFailed) as caught:
        world.run(60)
    first = str(caught.value).partition("\n")[0]
    if how == "handler":
        # Either of the two is first.
        message = message.replace("node 0", f"node {world.trace[-1][2]}")
        first = first.partition(" ms: ")[2]
    assert first == message


def test_a_story_that_fails_fails_the_simulation() -> None:
    async def story(world: World) -> None:
        await trio.sleep(3)
        node = world.node(0)
        assert isinstance(node, ToyNode)
        assert node.network is not None
        node.network.publish(Topic.VOTES, b"no item")
        await trio.sleep(1)
        raise AssertionError("enough")

    with pytest.raises(SimulationFailed, match=r"^seed 1 fails at 4000 ms: AssertionError: enough\n") as caught:
        toy_world(1).run(60, story=story)
    assert "('gossip', " not in str(caught.value)
    assert "'votes', 'reject')" in str(caught.value)
