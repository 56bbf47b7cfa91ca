"""Finality among real nodes in virtual time: nobody ever contradicts what somebody holds for final, and it goes on."""

from dataclasses import replace

import pytest
import trio

from node.ring import read_claim
from node.sync.messages import KINDS
from node.vote_pool import VotePool
from node.witness import Witness
from p2p.network import Topic
from pallets.finality.voters import current_voters
from pallets.producers.config import Rules
from pallets.producers.storage import BARRED, RING
from runtime.primitives import BlockNumber
from tests.simulation.faults import Crash, Fault, Partition, Skew
from tests.simulation.invariants import History, finality_goes_on, lag, nobody_is_barred
from tests.simulation.members import DoubleAuthor, Member
from tests.simulation.nodes import MEMBERS, SLOT, SimulatedNode, all_on_one_chain, simulated, spec_of
from tests.simulation.world import EPOCH, World

pytestmark = pytest.mark.full

EPOCH_SLOTS = 4
RULES = Rules(
    epoch_slots=EPOCH_SLOTS,
    leak_checkpoints=40,
    lapse_checkpoints=20,
    probation_epochs=2,
    bar_epochs=40,
    return_epochs=8,
    join_work=64,
    join_share=16,
)
EPOCH_SECONDS = EPOCH_SLOTS * 2.0


def finality_world(seed: int, members: int, history: History, skew: float = 0.0) -> World:
    spec = replace(spec_of(members), rules=RULES)

    def make(world: World, index: int) -> SimulatedNode:
        return SimulatedNode(world, index, spec)

    return World(seed, make, nodes=members, kinds=KINDS, invariants=[history.check], skew=skew)


everybody_is_up_to_date = finality_goes_on(3 * EPOCH_SLOTS)


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
        at.append(history.height)
        await trio.sleep(40)
        at.append(history.height)

    def goes_on(world: World) -> None:
        assert history.height > at[1]
        assert all(behind <= 3 * EPOCH_SLOTS for behind in lag(world)), lag(world)

    faults = [Fault(50.0, Partition(((0, 1), (2, 3)), 50.0))]
    world.run(100 + 4 * EPOCH_SECONDS, faults, story=story, at_end=[all_on_one_chain, goes_on])
    assert at[0] > 0
    assert at[1] == at[0], "neither side has three of four"


def newcomers_world(seed: int, founders: int, newcomers: int, history: History) -> World:
    spec = replace(spec_of(founders), rules=RULES)

    def make(world: World, index: int) -> Member:
        return Member(world, index, spec)

    return World(seed, make, nodes=founders + newcomers, kinds=KINDS, invariants=[history.check])


def newcomer(world: World, index: int) -> Member:
    node = world.node(index)
    assert isinstance(node, Member)
    return node


def ring_and_voters(world: World, index: int) -> tuple[set[int], set[int]]:
    """Return the ring and the voters by the numbers of their nodes."""
    node = newcomer(world, index)
    state = node.chain.snapshot.state
    numbers = {pair.public: number for number, pair in enumerate(MEMBERS)}
    ring = {numbers[account] for account in RING.get(state)}
    return ring, {numbers[account] for account in current_voters(state).voters}


def test_newcomers_join_and_all_founders_leave() -> None:
    history = History()
    world = newcomers_world(6, 2, 3, history)

    async def story(world: World) -> None:
        await trio.sleep(20)
        for index in (2, 3, 4):
            newcomer(world, index).join()
        await trio.sleep(10 * EPOCH_SECONDS)
        assert ring_and_voters(world, 0) == ({0, 1, 2, 3, 4}, {0, 1, 2, 3, 4})
        for index in (0, 1):
            newcomer(world, index).leave_ring()

    def newcomers_alone(world: World) -> None:
        assert ring_and_voters(world, 0) == ({2, 3, 4}, {2, 3, 4})

    seconds = 20 + 10 * EPOCH_SECONDS + 8 * EPOCH_SECONDS
    world.run(seconds, story=story, at_end=[all_on_one_chain, everybody_is_up_to_date, newcomers_alone])


@pytest.mark.parametrize("restarts", [False, True])
def test_a_chain_whose_producers_all_vanish_goes_on_by_open_slots(restarts: bool) -> None:
    history = History()
    world = newcomers_world(7, 2, 1, history)

    def newcomer_alone(world: World) -> None:
        assert ring_and_voters(world, 2) == ({2}, {2})
        assert lag(world)[0] <= 3 * EPOCH_SLOTS

    seconds = 40 + 2 * (3 * 2 + 10) + (RULES.leak_checkpoints + 6) * EPOCH_SECONDS
    faults = [Fault(40.0, Crash(node, 10_000.0)) for node in (0, 1)]
    if restarts:
        faults.append(Fault(50.0, Crash(2, 1.0)))
    world.run(seconds, faults, at_end=[newcomer_alone])


def test_a_voter_who_opens_a_slot_after_a_restart_waits_to_hear_what_its_key_has_said_since() -> None:
    history = History()
    world = finality_world(8, 2, history)
    opened = []

    async def story(world: World) -> None:
        await trio.sleep(85)
        state = world.node(1).chain.snapshot.state
        assert world.node(1).key().public not in RING.get(state)
        assert world.node(1).key().public in current_voters(state).members
        before = world.node(1).best.number
        world.vanish(0)
        world.crash(1)
        await world.start(1)
        await trio.sleep(100)
        opened.append(world.node(1).best.number - before)

    world.run(210.0, [Fault(40.0, Crash(1, 30.0))], story=story)
    assert opened == [1]


def test_a_voter_who_has_lost_its_disk_signs_nothing_that_contradicts_it() -> None:
    history = History()
    world = finality_world(5, 4, history)

    async def story(world: World) -> None:
        await trio.sleep(60)
        world.disk(3).lose()

    faults = [Fault(59.0, Crash(3, 5.0))]
    world.run(150.0, faults, story=story, at_end=[all_on_one_chain, everybody_is_up_to_date, nobody_is_barred])


def test_a_clock_that_is_epochs_ahead_harms_its_owner_only() -> None:
    """Nobody takes its blocks and votes, and it contradicts nothing when its clock is right again."""
    history = History()
    world = finality_world(10, 4, history)
    first, last = 30.0, 30.0 + 5 * EPOCH_SECONDS
    heights: list[int] = []

    async def story(world: World) -> None:
        await trio.sleep(first + EPOCH_SECONDS)
        heights.append(history.height)
        await trio.sleep(last - first - EPOCH_SECONDS)
        heights.append(history.height)

    def its_blocks_are_nowhere(world: World) -> None:
        database = simulated(world)[0].chain.database
        authors = {}
        for number in range(1, database.head().number + 1):
            name = database.hash_at(BlockNumber(number))
            header = database.header(name) if name is not None else None
            assert header is not None
            claim = read_claim(header)
            authors[(claim.slot * SLOT - EPOCH) / 1_000] = claim.author
        during = {author for at, author in authors.items() if first < at < last}
        assert during == {pair.public for pair in MEMBERS[:3]}
        assert heights[0] + EPOCH_SLOTS < heights[1] < history.height

    faults = [Fault(first, Skew(3, 2.5 * EPOCH_SECONDS, last - first))]
    at_end = [its_blocks_are_nowhere, all_on_one_chain, everybody_is_up_to_date, nobody_is_barred]
    world.run(last + 5 * EPOCH_SECONDS, faults, story=story, at_end=at_end)


# Those who contradict themselves


def test_the_same_key_on_two_nodes_does_no_harm() -> None:
    history = History()
    spec = replace(spec_of(4), rules=RULES)

    def make(world: World, index: int) -> SimulatedNode:
        return SimulatedNode(world, index, spec) if index < 4 else Member(world, index, spec, number=3)

    world = World(8, make, nodes=4, kinds=KINDS, invariants=[history.check])
    late = world.add_place()

    async def story(world: World) -> None:
        world.crash(late)
        await trio.sleep(60)
        await world.start(late)

    world.run(160.0, story=story, at_end=[all_on_one_chain, everybody_is_up_to_date, nobody_is_barred])
    authors = [
        event for event in world.trace if event[1] == "publish" and event[2] == late and event[3] != "transactions"
    ]
    assert authors == [], "it has made no block and given no vote"


@pytest.mark.parametrize("topic", [Topic.BLOCKS, Topic.VOTES])
def test_who_contradicts_itself_is_reported_by_whoever_sees_it(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    if topic is Topic.BLOCKS:
        monkeypatch.setattr(VotePool, "evidence", lambda _pool: [])
    else:
        monkeypatch.setattr(Witness, "_twins", lambda _witness: iter(()))
    history = History()
    spec = replace(spec_of(4), rules=RULES)

    def make(world: World, index: int) -> SimulatedNode:
        return DoubleAuthor(world, index, spec) if index == 3 else SimulatedNode(world, index, spec)

    world = World(9, make, nodes=4, kinds=KINDS, invariants=[history.check])

    def is_barred_and_out(world: World) -> None:
        for node in simulated(world)[:3]:
            state = node.chain.snapshot.state
            assert [account for account, _ in BARRED.items(state)] == [MEMBERS[3].public]
            assert MEMBERS[3].public not in RING.get(state)
            assert MEMBERS[3].public not in current_voters(state).members

    world.run(10 * EPOCH_SECONDS, at_end=[is_barred_and_out, everybody_is_up_to_date])
