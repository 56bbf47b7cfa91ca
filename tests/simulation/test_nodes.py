"""Networks of real nodes in virtual time: whatever befalls them, they end on one chain with one model."""

from collections.abc import Sequence

import pytest
import trio

from node.sync.messages import KINDS
from runtime.extrinsic import extrinsic_hash
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import BlockNumber, Hash
from tests.simulation.faults import Crash, Fault, Partition, Weather, random_faults
from tests.simulation.medium import Conditions
from tests.simulation.nodes import (
    SLOT,
    USERS,
    SimulatedNode,
    all_on_one_chain,
    ratings_now_and_then,
    simulated,
    spec_of,
)
from tests.simulation.world import Invariant, SimulationFailed, World

pytestmark = pytest.mark.full


def world_of(
    seed: int, members: int, followers: int = 0, *, invariants: Sequence[Invariant] = (), skew: float = 0.0
) -> World:
    """So many producers, and followers that make no blocks."""
    spec = spec_of(members)

    def make(world: World, index: int) -> SimulatedNode:
        return SimulatedNode(world, index, spec)

    return World(seed, make, nodes=members + followers, kinds=KINDS, invariants=invariants, skew=skew)


def heights(world: World) -> list[int]:
    return [node.best.number for node in simulated(world)]


def node_at(world: World, index: int) -> SimulatedNode:
    node = world.node(index)
    assert isinstance(node, SimulatedNode)
    return node


async def until(world: World, condition: "object", seconds: float) -> None:
    """Wait in virtual time until something holds."""
    assert callable(condition)
    deadline = trio.current_time() + seconds
    while not condition():
        assert trio.current_time() < deadline, f"not within {seconds} s: {heights(world)}"
        await trio.sleep(0.05)


def test_a_rating_is_predicted_everywhere_within_two_slots() -> None:
    world = world_of(1, 3, followers=1)

    async def story(world: World) -> None:
        await trio.sleep(10)
        for index, user in enumerate(USERS[:4]):
            raters = node_at(world, 0).chain.snapshot.model.record.users
            node_at(world, index).rate(user, 0, 5)

            def is_everywhere(count: int = raters + 1) -> bool:
                return all(node.chain.snapshot.model.record.users == count for node in simulated(world))

            await until(world, is_everywhere, 2 * SLOT / 1_000)
            assert len({node.chain.snapshot.model.digest() for node in simulated(world)}) == 1

    world.run(30.0, story=story, at_end=[all_on_one_chain])


@pytest.mark.parametrize(("late", "branches"), [(0.5, 0), (0.9, 1)])
def test_a_block_that_is_little_late_is_waited_for(late: float, branches: int) -> None:
    world = world_of(8, 4)
    slot = SLOT / 1_000
    # What is sent at the beginning of one slot comes so much later than the beginning of the next.
    storm = Fault(20.0 - 0.1, Weather(Conditions(latency=(slot + late, slot + late), jitter=0.0), 1.0))

    async def story(world: World) -> None:
        await trio.sleep(16.1)
        before = node_at(world, 0).best.number
        await trio.sleep(10 * slot)
        for node in simulated(world):
            made = node.best.number - before
            assert made == 10 - branches, f"{made} blocks in ten slots"

    world.run(60.0, [storm], story=story, at_end=[all_on_one_chain])


def test_a_partition_of_two_against_one_heals() -> None:
    world = world_of(2, 3)
    seen: list[tuple[int, ...]] = []

    async def story(world: World) -> None:
        await trio.sleep(19.9)
        before = node_at(world, 0).best.number
        node_at(world, 0).rate(USERS[0], 1, 5)
        node_at(world, 2).rate(USERS[1], 2, 1)
        await trio.sleep(28)
        seen.append(tuple(heights(world)))
        two, one = node_at(world, 0), node_at(world, 2)
        assert two.best.hash == node_at(world, 1).best.hash != one.best.hash
        assert two.best.number - before > one.best.number - before > 2
        await until(world, lambda: one.chain.database.hash_at(two.best.number) == two.best.hash, 10)
        # What was only in the blocks of the minority has come back to its pool, and goes into the next blocks.
        await until(world, lambda: all(node.chain.snapshot.model.record.ratings == 2 for node in simulated(world)), 12)

    world.run(80.0, [Fault(19.0, Partition(((2,),), 30.0))], story=story, at_end=[all_on_one_chain])
    assert len(seen) == 1


def test_each_node_dies_in_turn_under_load_and_catches_up() -> None:
    world = world_of(3, 3)
    faults = [
        Fault(10.0 + 12.0 * index, Crash(index, 6.0, silently=bool(index % 2), in_write=index)) for index in range(3)
    ]

    async def story(world: World) -> None:
        await ratings_now_and_then(world, 50.0, every=0.5)

    world.run(64.0, faults, story=story, at_end=[all_on_one_chain])
    assert [event[2] for event in world.trace if event[1] == "crash"] == [0, 1, 2]


def test_a_late_joiner_catches_up_from_block_0() -> None:
    world = world_of(4, 3)
    late = world.add_place()

    async def story(world: World) -> None:
        world.crash(late)
        await ratings_now_and_then(world, 60.0, every=0.5)
        await world.start(late)
        await trio.sleep(1.5)
        joined, others = node_at(world, late), node_at(world, 0)
        await until(world, lambda: joined.best.number >= others.best.number - 1, 10)

    world.run(80.0, story=story, at_end=[all_on_one_chain])


def test_gossip_that_loses_half_of_everything_is_made_up_for() -> None:
    world = world_of(5, 4)
    rough = Conditions(latency=(0.05, 0.4), loss=0.5)
    handed_in: list[Hash] = []

    async def story(world: World) -> None:
        for number in range(12):
            await trio.sleep(2.5)
            node = node_at(world, number % 4)
            handed_in.extend(one for one in (node.rate(USERS[number % 4], number % 8, 3),) if one is not None)

    def all_are_in_blocks(world: World) -> None:
        node = node_at(world, 0)
        included = set()
        for number in range(1, node.best.number + 1):
            name = node.chain.database.hash_at(BlockNumber(number))
            assert name is not None
            included |= {extrinsic_hash(raw) for raw in node.chain.database.body(name) or ()}
        assert set(handed_in) <= included

    world.run(90.0, [Fault(5.0, Weather(rough, 40.0))], story=story, at_end=[all_on_one_chain, all_are_in_blocks])
    assert len(handed_in) == 12


def test_the_simulation_finds_a_node_that_executes_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in which one member disagrees about states must not pass for one that agrees."""
    world = world_of(6, 3)

    async def story(world: World) -> None:
        await trio.sleep(8)
        # From here on this one finds everything wrong that the others make.

        def disagree(*_arguments: object) -> object:
            raise InvalidBlock(BlockFault.STATE_ROOT, "this machine computes differently")

        monkeypatch.setattr(node_at(world, 2).chain, "import_block", disagree)

    with pytest.raises(SimulationFailed, match=r"seed 6 fails at 40000 ms: AssertionError: \[\(0, "):
        world.run(40.0, story=story, at_end=[all_on_one_chain])


def test_the_same_seed_is_the_same_run() -> None:
    digests = []
    for _ in range(2):
        world = world_of(7, 3)

        async def story(world: World) -> None:
            await ratings_now_and_then(world, 20.0, every=1.0)

        world.run(24.0, random_faults(world.rng("faults"), 3, 24.0), story=story)
        digests.append(world.digest())
    assert digests[0] == digests[1]
