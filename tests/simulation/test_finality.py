"""Finality among real nodes in virtual time: nobody ever contradicts what somebody holds for final, and it goes on."""

from dataclasses import dataclass, field, replace

import pytest
import trio

from node.sync.messages import KINDS
from pallets.producers.config import Rules
from runtime.primitives import BlockNumber, Hash
from tests.simulation.faults import Crash, Fault, Partition, random_faults
from tests.simulation.nodes import SimulatedNode, all_on_one_chain, simulated, spec_of
from tests.simulation.world import World, seeds

pytestmark = pytest.mark.full

EPOCH_SLOTS = 4
RULES = Rules(
    epoch_slots=EPOCH_SLOTS,
    leak_checkpoints=40,
    lapse_checkpoints=20,
    forgive_checkpoints=6,
    probation_epochs=2,
    bar_epochs=40,
    return_epochs=8,
    join_work=64,
    join_share=16,
)
EPOCH_SECONDS = EPOCH_SLOTS * 2.0


@dataclass
class History:
    """What anybody has ever held for final."""

    final: dict[int, Hash] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)

    def check(self, world: World) -> None:
        """No two nodes hold different blocks for final, ever; and nobody goes back."""
        for node in simulated(world):
            finalized = node.chain.snapshot.finalized
            before = self.reached.get(node.index, 0)
            if finalized.number == before:
                continue
            assert finalized.number > before, f"node {node.index} went back from {before} to {finalized.number}"
            for number in range(before + 1, finalized.number + 1):
                name = node.chain.database.hash_at(BlockNumber(number))
                assert name is not None
                assert self.final.setdefault(number, name) == name, f"two blocks {number} are final"
            self.reached[node.index] = finalized.number


def finality_world(seed: int, members: int, history: History, skew: float = 0.0) -> World:
    spec = replace(spec_of(members), rules=RULES)

    def make(world: World, index: int) -> SimulatedNode:
        return SimulatedNode(world, index, spec)

    return World(seed, make, nodes=members, kinds=KINDS, invariants=[history.check], skew=skew)


def lag(world: World) -> list[int]:
    """Return how many blocks behind its best one each node holds for final."""
    return [node.best.number - node.chain.snapshot.finalized.number for node in simulated(world)]


def test_what_is_said_is_final_within_three_epochs() -> None:
    history = History()
    world = finality_world(1, 4, history)
    seen: list[int] = []

    async def story(_world: World) -> None:
        await trio.sleep(5 * EPOCH_SECONDS)
        for _ in range(40):
            await trio.sleep(1)
            seen.extend(lag(world))

    world.run(5 * EPOCH_SECONDS + 45, story=story, at_end=[all_on_one_chain])
    assert max(seen) <= 3 * EPOCH_SLOTS


@pytest.mark.parametrize("members", [1, 2, 3])
def test_small_rings_make_history_final_too(members: int) -> None:
    history = History()
    world = finality_world(2, members, history)

    def is_final(world: World) -> None:
        assert all(behind <= 3 * EPOCH_SLOTS for behind in lag(world)), lag(world)

    world.run(8 * EPOCH_SECONDS, at_end=[is_final, all_on_one_chain])


def test_a_partition_without_a_quorum_makes_nothing_final_and_heals() -> None:
    history = History()
    world = finality_world(3, 4, history)
    at: list[int] = []

    async def story(_world: World) -> None:
        await trio.sleep(59)
        at.append(max(history.reached.values()))
        await trio.sleep(40)
        at.append(max(history.reached.values()))

    def goes_on(world: World) -> None:
        assert max(history.reached.values()) > at[1]
        assert all(behind <= 3 * EPOCH_SLOTS for behind in lag(world)), lag(world)

    faults = [Fault(50.0, Partition(((0, 1), (2, 3)), 50.0))]
    world.run(100 + 4 * EPOCH_SECONDS, faults, story=story, at_end=[all_on_one_chain, goes_on])
    assert at[0] > 0
    assert at[1] == at[0], "neither side has three of four"


def everybody_is_up_to_date(world: World) -> None:
    assert all(behind <= 3 * EPOCH_SLOTS for behind in lag(world)), lag(world)


SIZES = (4, 3, 4, 5, 4, 7)


@pytest.mark.parametrize("seed", seeds(24))
def test_after_any_faults_finality_goes_on(seed: int) -> None:
    members = SIZES[seed % len(SIZES)]
    history = History()
    world = finality_world(seed, members, history, skew=0.2)
    seconds = 150.0
    faults = random_faults(world.rng("faults"), members, seconds)
    world.run(seconds, faults, at_end=[all_on_one_chain, everybody_is_up_to_date])


def test_a_voter_who_has_lost_its_disk_signs_nothing_that_contradicts_it() -> None:
    history = History()
    world = finality_world(5, 4, history)

    async def story(world: World) -> None:
        await trio.sleep(60)
        world.disk(3).wipe()

    world.run(150.0, [Fault(59.0, Crash(3, 5.0))], story=story, at_end=[all_on_one_chain, everybody_is_up_to_date])
