"""Rules that are known to be broken are found out; the same stories end well by the rules as they are."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from node.fork_choice import HeadFacts
from node.node import Node
from node.protection import Protection
from node.sync.messages import KINDS
from node.voting import Step, sign_vote
from pallets.finality import checkpoints, hooks, voters
from pallets.finality.hooks import FinalityHooks
from pallets.finality.storage import CHECKPOINT_COUNT, EPOCH, JUSTIFIED, OPEN, OpenCheckpoint, VoterSet
from pallets.finality.voters import put_voters, quorum, wanted
from pallets.finality.votes import CheckpointId
from pallets.producers.config import Rules
from runtime.interface.context import Context
from runtime.primitives import AccountId, Hash
from tests.simulation.faults import Crash, Fault, Partition, Rollback
from tests.simulation.invariants import History, Signatures, heads_agree
from tests.simulation.members import Member, Silent
from tests.simulation.nodes import MEMBERS, spec_of
from tests.simulation.plans import RULES
from tests.simulation.world import SimulationFailed, World

pytestmark = pytest.mark.full

HASTY = replace(RULES, lapse_checkpoints=4, leak_checkpoints=7)
"""A third of the time until voters are left behind."""
EPOCH_SECONDS = RULES.epoch_slots * 2.0
CONFLICT = r"two blocks \d+ are final"

Break = Callable[[pytest.MonkeyPatch], None]
Makers = list[Callable[..., Member]]


def world_of(makers: Makers, rules: Rules, founders: int = 4) -> tuple[World, History]:
    """So many nodes, of whom the first are the founders."""
    history, signatures = History(), Signatures()
    spec = replace(spec_of(founders), rules=rules)

    def make(world: World, index: int) -> Member:
        made = makers[index](world, index, spec)
        made.signatures = signatures if made.is_honest else None
        return made

    return World(3, make, nodes=len(makers), kinds=KINDS, invariants=[history.check, signatures.check]), history


# Stories.


def two_halves(seconds: float, rules: Rules = RULES) -> None:
    """A partition through the middle: neither side has a quorum."""
    world, _ = world_of([Member] * 4, rules)
    world.run(26 + seconds, [Fault(20.0, Partition(((0, 1), (2, 3)), seconds))])


def an_outage_then_two_halves() -> None:
    """All are gone for a while; when they are back, they are in two halves for less than the leak."""
    world, _ = world_of([Member] * 4, replace(HASTY, lapse_checkpoints=9, leak_checkpoints=13))
    outage = 5 * EPOCH_SECONDS
    faults = [Fault(20.0, Crash(node, outage)) for node in range(4)]
    faults.append(Fault(22.0, Partition(((0, 1), (2, 3)), 108.0)))
    world.run(126, faults)


def twins_on_either_side() -> None:
    """A key runs twice, and there are two branches: each of the twins sees one of them."""
    world, _ = world_of([Member] * 4 + [partial(Member, number=3)], RULES)

    async def story(world: World) -> None:
        world.crash(4)
        await trio.sleep(14)
        await world.start(4)

    world.run(70, [Fault(20.0, Partition(((0, 1, 3), (2, 4)), 40.0))], story=story)


def a_backup_without_a_network() -> None:
    """One of four starts again from a backup that is two epochs old, and reaches nobody."""
    world, _ = world_of([Member] * 4, RULES)
    faults = [
        Fault(24.0, Rollback(3, 2 * EPOCH_SECONDS, 1.0)),
        Fault(24.0 + 2 * EPOCH_SECONDS, Partition(((3,),), 60.0)),
    ]
    world.run(110, faults)


def a_lonely_producer_whose_chain_is_longer() -> None:
    """One is cut off and goes on alone, while the others, who have made something final, are gone for a while."""
    world, history = world_of([Member] * 4, RULES)
    faults = [Fault(20.0, Partition(((3,),), 56.0)), *(Fault(46.0, Crash(node, 30.0)) for node in range(3))]
    seen: list[int] = []

    async def story(world: World) -> None:
        await trio.sleep(45)
        seen.append(history.height)
        await trio.sleep(30)
        (alone,) = [node for _, node in world.nodes()]
        assert isinstance(alone, Member)
        seen.append(alone.best.number)

    world.run(76 + 3 * EPOCH_SECONDS, faults, story=story, at_end=[heads_agree])
    assert 12 <= seen[0] < seen[1] - 8, "the others have made something final since, and are behind"


def one_is_away_and_one_never_votes() -> None:
    """Of four voters one makes blocks only, and one is away for less than the lapse: once it is back, all is well."""
    world, history = world_of([Member] * 3 + [Silent], RULES)
    heights: list[int] = []

    async def story(world: World) -> None:
        await trio.sleep(20 + 8 * EPOCH_SECONDS)
        heights.append(history.height)

    def something_is_final_since(_world: World) -> None:
        assert 0 < heights[0] < history.height, f"block {history.height} is final, as when the voter was away"

    faults = [Fault(20.0, Crash(2, 8 * EPOCH_SECONDS))]
    world.run(20 + 14 * EPOCH_SECONDS, faults, story=story, at_end=[something_is_final_since])


class Schemer:
    """The will of one of four voters, who tells some of the others of votes for either branch when it suits it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def node(self, index: int) -> Member:
        node = self.world.node(index)
        assert isinstance(node, Member)
        return node

    def open_at(self, index: int, epoch: int) -> OpenCheckpoint | None:
        return OPEN.find(self.node(index).chain.snapshot.state, epoch)

    def has_voted(self, index: int, target: Hash) -> bool:
        """Tell whether a node has given a vote for a checkpoint."""
        voting = self.node(index).node._voting
        assert voting is not None
        assert voting._voter is not None
        last = voting._voter._protection._last_vote
        return last is not None and last.target.hash == target

    def tell(self, index: int, epoch: int, target: OpenCheckpoint) -> None:
        """Tell one node of a vote."""
        node = self.node(index)
        vote = sign_vote(Step(target.source, CheckpointId(epoch, target.hash)), MEMBERS[3], node.chain.genesis)
        assert node.node._voting is not None
        node.node._voting._witness.hear_vote(vote)

    async def justified(self, index: int, epoch: int) -> None:
        """Wait until a checkpoint is justified for a node."""
        with trio.fail_after(20 * EPOCH_SECONDS):
            while JUSTIFIED.get(self.node(index).chain.snapshot.state).epoch < epoch:  # noqa: ASYNC110
                await trio.sleep(0.1)

    async def voted(self, indices: tuple[int, ...], after: int) -> tuple[int, OpenCheckpoint]:
        """Wait until nodes have voted for one checkpoint of an epoch after one; return it."""
        with trio.fail_after(20 * EPOCH_SECONDS):
            while True:
                epochs = [epoch for epoch, _ in OPEN.items(self.node(indices[0]).chain.snapshot.state) if epoch > after]
                for epoch in sorted(epochs, reverse=True):
                    found = self.open_at(indices[0], epoch)
                    if found is not None and all(self.has_voted(index, found.hash) for index in indices):
                        return epoch, found
                await trio.sleep(0.02)


def a_voter_who_tells_each_side_what_it_wants_to_hear() -> None:
    """Two checkpoints become justified, each hidden from those who vote for the other, with epochs between."""
    makers: Makers = [Member] * 3 + [Silent]
    world, _ = world_of(makers, replace(RULES, epoch_slots=6))

    async def story(world: World) -> None:
        schemer = Schemer(world)
        await trio.sleep(40)
        world.partition(((0, 1), (2, 3)))
        now = EPOCH.get(schemer.node(0).chain.snapshot.state)
        early, one = await schemer.voted((0, 1), now)
        # Until the branch of those who have not seen the first is the heavier one.
        world.partition(((0,), (1,), (2, 3)))
        await trio.sleep(24)
        world.partition(((0,), (1, 2, 3)))
        later, other = await schemer.voted((1, 2), early)
        # The first becomes justified among those who do not know of the second.
        schemer.tell(0, early, one)
        await schemer.justified(0, early)
        world.partition(((0, 1), (2, 3)))
        last, end = await schemer.voted((0, 1), later)
        # And the second among the others, before these hear of the first.
        schemer.tell(2, later, other)
        await schemer.justified(2, later)
        world.partition(((0,), (1, 2, 3)))
        schemer.tell(0, last, end)
        last, end = await schemer.voted((1, 2), last)
        schemer.tell(2, last, end)
        await trio.sleep(2 * 12)
        world.finish()

    world.run(600, story=story)


# What is broken.


def quorum_of_half(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(voters, "quorum", lambda members: members // 2)


def handover_at_once(patch: pytest.MonkeyPatch) -> None:
    """Whoever is left votes at once, as if the others had agreed to be left behind."""

    def start(context: Context, rules: Rules) -> None:
        put_voters(context.state, VoterSet(wanted(context.state, rules)))

    patch.setattr(hooks, "start_handover", start)


def the_absent_are_not_wanted(patch: pytest.MonkeyPatch) -> None:
    """The next set is without voters who are away, long before they lapse (V1)."""
    wants = voters.wanted
    patch.setattr(voters, "wanted", lambda state, rules: wants(state, replace(rules, lapse_checkpoints=6)))


def next_voters_alone(patch: pytest.MonkeyPatch) -> None:
    """While a handover is under way, the old voters need not agree (V3)."""

    def agree(both: VoterSet, votes: bytes) -> bool:
        voted = {account for place, account in enumerate(both.members) if votes[place // 8] >> place % 8 & 1}
        deciding: tuple[AccountId, ...] = both.following or both.voters
        return sum(account in voted for account in deciding) >= quorum(len(deciding))

    patch.setattr(checkpoints, "agree", agree)


def absence_in_time(patch: pytest.MonkeyPatch) -> None:
    """Absence is counted in epochs that have passed, and not in checkpoints of the chain (E1)."""
    begin = FinalityHooks._begin_epoch

    def begin_epoch(self: FinalityHooks, context: Context) -> None:
        CHECKPOINT_COUNT.put(context.state, EPOCH.get(context.state) - self._genesis_epoch - 1)
        begin(self, context)

    patch.setattr(FinalityHooks, "_begin_epoch", begin_epoch)


def lapsed_do_not_count(patch: pytest.MonkeyPatch) -> None:
    """Who lapses is left behind at once, and does not count in the denominator until the leak (E1, E2)."""
    remove = voters.remove_leaked

    def remove_lapsed(context: Context, rules: Rules) -> tuple[AccountId, ...]:
        lapse = rules.lapse_checkpoints
        return remove(context, replace(rules, leak_checkpoints=lapse, lapse_checkpoints=lapse - 1))

    patch.setattr(hooks, "remove_leaked", remove_lapsed)


def no_protection_of_votes(patch: pytest.MonkeyPatch) -> None:
    """Votes are given whatever was signed before (D1)."""

    def vote(self: Protection, source: int, target: int, now: Any) -> None:
        self._save(replace(self._record, source=source, target=target))

    patch.setattr(Protection, "vote", vote)


def no_protection_of_blocks(patch: pytest.MonkeyPatch) -> None:
    """Blocks are sealed whatever was sealed before (D2)."""
    patch.setattr(Protection, "seal", lambda _self, _slot, _now: None)


def listening_by_the_clock(patch: pytest.MonkeyPatch) -> None:
    """Time in which nobody is heard is taken for listening."""
    patch.setattr(Node, "_is_in_touch", lambda _node: True)


def longest_chain(patch: pytest.MonkeyPatch) -> None:
    """The longest chain wins, and not the heaviest that goes on from what is justified (F1, F2)."""

    def choose(current: HeadFacts, others: tuple[HeadFacts, ...], _tree: Any) -> HeadFacts:
        return max((current, *others), key=lambda head: head.ref.number)

    patch.setattr("node.chain.choose", choose)


def final_without_a_link(patch: pytest.MonkeyPatch) -> None:
    """The source of whatever is justified is final, and not only that of the epoch before (W3)."""
    justify = checkpoints._justify

    def justify_and_finalize(context: Context, epoch: int, checkpoint: OpenCheckpoint) -> None:
        justify(context, epoch, checkpoint)
        source = OPEN.find(context.state, checkpoint.source.epoch)
        if source is not None and checkpoint.source.epoch != epoch - 1:
            checkpoints._finalize(context, checkpoint.source.epoch, source)

    patch.setattr(checkpoints, "_justify", justify_and_finalize)


HALVES = partial(two_halves, 60.0, replace(RULES, lapse_checkpoints=6))
HALVES_UNTIL_THE_LAPSE = partial(two_halves, 40.0, HASTY)
SCHEMER = a_voter_who_tells_each_side_what_it_wants_to_hear
BROKEN: list[tuple[Break, Callable[[], None], str]] = [
    (quorum_of_half, HALVES, CONFLICT),
    (handover_at_once, HALVES, CONFLICT),
    (next_voters_alone, HALVES, CONFLICT),
    (the_absent_are_not_wanted, one_is_away_and_one_never_votes, r"block \d+ is final, as when the voter was away"),
    (lapsed_do_not_count, HALVES_UNTIL_THE_LAPSE, CONFLICT),
    (absence_in_time, an_outage_then_two_halves, CONFLICT),
    (final_without_a_link, SCHEMER, CONFLICT),
    (no_protection_of_votes, twins_on_either_side, "an honest key contradicts itself"),
    (no_protection_of_blocks, twins_on_either_side, "an honest key contradicts itself: two blocks of slot"),
    (listening_by_the_clock, a_backup_without_a_network, "an honest key contradicts itself: vote"),
    (longest_chain, a_lonely_producer_whose_chain_is_longer, "heads differ|AssertionError: \\["),
]


@pytest.mark.parametrize("story", dict.fromkeys(story for _, story, _ in BROKEN))
def test_a_story_ends_well(story: Callable[[], None]) -> None:
    story()


@pytest.mark.parametrize(("broken", "story", "failure"), BROKEN, ids=[broken.__name__ for broken, _, _ in BROKEN])
def test_a_broken_rule_is_found_out(
    broken: Break, story: Callable[[], None], failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    with pytest.raises(SimulationFailed, match=failure):
        story()
