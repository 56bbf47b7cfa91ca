"""Finality among real nodes in virtual time: nobody ever contradicts what somebody holds for final, and it goes on."""

from dataclasses import dataclass, field, replace

import pytest
import trio

from node.inbox import Submission
from node.ring import seal, unsealed
from node.sync.messages import KINDS, Announcement
from node.sync.votes import decode_votes, encode_votes
from node.vote_pool import VotePool
from node.voting import Step, sign_vote
from node.witness import Witness
from p2p.network import Network, Topic
from pallets.finality.storage import VoterSet
from pallets.finality.voters import current_voters, put_voters, wanted
from pallets.finality.votes import CheckpointId
from pallets.producers.calls import join_call
from pallets.producers.config import Rules
from pallets.producers.storage import BARRED, RING
from runtime.crypto import KeyPair
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.interface.context import Context
from runtime.primitives import BlockNumber, Hash
from runtime.work import find_nonce, join_prefix
from tests.simulation.faults import Crash, Fault, Partition, random_faults
from tests.simulation.nodes import MEMBERS, SimulatedNode, all_on_one_chain, simulated, spec_of
from tests.simulation.world import SimulationFailed, World, seeds

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


@pytest.mark.parametrize("seed", seeds(12))
def test_after_any_faults_finality_goes_on(seed: int) -> None:
    members = SIZES[seed % len(SIZES)]
    history = History()
    world = finality_world(seed, members, history, skew=0.2)
    seconds = 150.0
    faults = random_faults(world.rng("faults"), members, seconds)
    world.run(seconds, faults, at_end=[all_on_one_chain, everybody_is_up_to_date])


class Newcomer(SimulatedNode):
    """Has a key of its own, member or not."""

    def key(self) -> KeyPair | None:
        return MEMBERS[self.index]

    def send(self, call: bytes) -> None:
        """Sign and hand in a call with this node's key."""
        pair, version, genesis = MEMBERS[self.index], self.chain.runtime.version, self.chain.genesis
        nonce = self.chain.runtime.system.nonce(self.chain.database.state_at(self.best.hash), pair.public)
        versions = version.spec_version, version.transaction_version
        raw = sign_extrinsic(pair, call, IMMORTAL, nonce, *versions, genesis, genesis)
        self.inbox.put(Submission(raw, lambda outcome: None))

    def join(self) -> None:
        """Find the work and send it."""
        recent = BlockNumber(self.best.number - 2)
        name = self.chain.database.hash_at(recent)
        assert name is not None
        prefix = join_prefix(self.chain.genesis, name, MEMBERS[self.index].public)
        nonce = find_nonce(prefix, RULES.join_work, 0, 100_000)
        assert nonce is not None
        self.send(join_call(recent, nonce))


def newcomers_world(seed: int, founders: int, newcomers: int, history: History) -> World:
    spec = replace(spec_of(founders), rules=RULES)

    def make(world: World, index: int) -> Newcomer:
        return Newcomer(world, index, spec)

    return World(seed, make, nodes=founders + newcomers, kinds=KINDS, invariants=[history.check])


def newcomer(world: World, index: int) -> Newcomer:
    node = world.node(index)
    assert isinstance(node, Newcomer)
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
            newcomer(world, index).send(bytes((5, 1)))

    def newcomers_alone(world: World) -> None:
        assert ring_and_voters(world, 0) == ({2, 3, 4}, {2, 3, 4})

    seconds = 20 + 10 * EPOCH_SECONDS + 8 * EPOCH_SECONDS
    world.run(seconds, story=story, at_end=[all_on_one_chain, everybody_is_up_to_date, newcomers_alone])


def test_a_chain_whose_producers_all_vanish_goes_on_by_open_slots() -> None:
    history = History()
    world = newcomers_world(7, 2, 1, history)

    def newcomer_alone(world: World) -> None:
        assert ring_and_voters(world, 2) == ({2}, {2})
        assert lag(world)[0] <= 3 * EPOCH_SLOTS

    seconds = 40 + 2 * (3 * 2 + 10) + (RULES.leak_checkpoints + 6) * EPOCH_SECONDS
    world.run(seconds, [Fault(40.0, Crash(node, 10_000.0)) for node in (0, 1)], at_end=[newcomer_alone])


def test_a_voter_who_has_lost_its_disk_signs_nothing_that_contradicts_it() -> None:
    history = History()
    world = finality_world(5, 4, history)

    async def story(world: World) -> None:
        await trio.sleep(60)
        world.disk(3).lose()
        history.reached.pop(3)

    faults = [Fault(59.0, Crash(3, 5.0))]
    world.run(150.0, faults, story=story, at_end=[all_on_one_chain, everybody_is_up_to_date, nobody_is_barred])


# Those who contradict themselves


class Twin(SimulatedNode):
    """Runs with a key that another node has too."""

    def key(self) -> KeyPair | None:
        return MEMBERS[3]


def nobody_is_barred(world: World) -> None:
    for node in simulated(world):
        assert list(BARRED.items(node.chain.snapshot.state)) == []


def test_the_same_key_on_two_nodes_does_no_harm() -> None:
    history = History()
    spec = replace(spec_of(4), rules=RULES)

    def make(world: World, index: int) -> SimulatedNode:
        return SimulatedNode(world, index, spec) if index < 4 else Twin(world, index, spec)

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


class DoubleAuthor(SimulatedNode):
    """Announces two blocks in each of its slots, and votes twice."""

    async def run(self, network: Network) -> None:
        publish = network.publish

        def twice(topic: Topic, payload: bytes) -> None:
            publish(topic, payload)
            pair = MEMBERS[self.index]
            if topic is Topic.BLOCKS:
                announced = Announcement.decode(payload)
                other = replace(unsealed(announced.header), state_root=Hash(bytes(32)))
                publish(topic, Announcement(seal(other, self.chain.genesis, pair), announced.extrinsics, ()).encode())
            elif topic is Topic.VOTES:
                (vote,) = decode_votes(payload)
                step = Step(vote.source, CheckpointId(vote.target.epoch, Hash(bytes(32))))
                publish(topic, encode_votes((sign_vote(step, pair, self.chain.genesis),), 0))

        network.publish = twice  # type: ignore[method-assign]
        await super().run(network)


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


# Rules that are known to be broken are found out


def test_a_quorum_of_half_makes_two_histories_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pallets.finality.voters.quorum", lambda voters: voters // 2)
    world = finality_world(3, 4, History())
    with pytest.raises(SimulationFailed, match=r"two blocks \d+ are final"):
        world.run(120.0, [Fault(50.0, Partition(((0, 1), (2, 3)), 70.0))])


def test_without_a_handover_a_long_partition_makes_two_histories_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is left on each side votes at once, as if the others had agreed to be left behind."""

    def at_once(context: Context, rules: Rules) -> None:
        put_voters(context.state, VoterSet(wanted(context.state, rules)))

    monkeypatch.setattr("pallets.finality.hooks.start_handover", at_once)
    world = finality_world(3, 4, History())
    with pytest.raises(SimulationFailed, match=r"two blocks \d+ are final"):
        world.run(250.0, [Fault(50.0, Partition(((0, 1), (2, 3)), 200.0))])
