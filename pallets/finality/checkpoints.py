"""Checkpoints: what may be voted for, what is justified by votes, and what is final."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pallets.finality import errors, events
from pallets.finality.storage import (
    EPOCH,
    FINALIZED,
    IS_CHECKPOINT,
    JUSTIFIED,
    LATEST,
    OLDEST_SET,
    OPEN,
    VOTER_SET_ID,
    VOTER_SETS,
    OpenCheckpoint,
    VoterSet,
)
from pallets.finality.voters import agree, complete_handover, current_voters, has_lapsed, note_sign
from pallets.finality.votes import Checkpoint, Vote, is_signed
from pallets.producers.config import Rules
from pallets.system.storage import BLOCK_HASH
from runtime.interface.context import Context
from runtime.interface.errors import DispatchFailed, PalletError
from runtime.interface.state import StateReader
from runtime.interface.storage import StateWriter
from runtime.interface.weights import MICROSECOND
from runtime.primitives import AccountId, BlockNumber

# For each account of a set of voters; both sets of a handover are merged for every checkpoint.
_READING_WEIGHT: Final = 50_000
_JOINT_WEIGHT: Final = 300_000
REMOVAL_WEIGHT: Final = 20 * MICROSECOND
"""For each checkpoint that is open no more."""
MOST_CHARGED_REMOVALS: Final = 500
"""Beyond these they are free: however long a stall was, the votes that end it have to fit into a block."""


def reading_weight(voters: int, following: int) -> int:
    """Return what it weighs to open a ballot of so many voters, and of so many who are to follow them."""
    return (voters + following) * (_JOINT_WEIGHT if following else _READING_WEIGHT)


def record_parent(context: Context) -> None:
    """Note the hash of the parent, if it is a checkpoint; the state is still that of the parent."""
    state = context.state
    number = BlockNumber(context.number - 1)
    if number == 0:
        root = Checkpoint(EPOCH.get(state), number, context.parent_hash)
        JUSTIFIED.put(state, root)
        FINALIZED.put(state, root)
        LATEST.put(state, root.epoch)
    elif IS_CHECKPOINT.get(state):
        epoch, source = EPOCH.get(state), JUSTIFIED.find(state)
        assert source is not None, "block 0 is justified"
        size = (len(current_voters(state).members) + 7) // 8
        checkpoint = OpenCheckpoint(
            number, context.parent_hash, source.id, LATEST.get(state), VOTER_SET_ID.get(state), bytes(size)
        )
        OPEN.put(state, epoch, checkpoint)
        LATEST.put(state, epoch)


class Ballot:
    """The votes for one open checkpoint."""

    def __init__(self, state: StateReader, epoch: int, checkpoint: OpenCheckpoint, rules: Rules) -> None:
        """Read who may vote."""
        voters = VOTER_SETS.find(state, checkpoint.voters)
        assert voters is not None, "voter sets of open checkpoints are kept"
        self._state = state
        self._epoch = epoch
        self._checkpoint = checkpoint
        self._rules = rules
        self._voters: VoterSet = voters
        self._members = voters.members
        self._votes = bytearray(checkpoint.votes)

    def find_fault(self, vote: Vote) -> PalletError | None:
        """Return why a vote does not count, its signature aside; None if it does."""
        if self._checkpoint.hash != vote.target.hash or self._epoch != vote.target.epoch:
            return errors.UNKNOWN_TARGET
        if self._checkpoint.source != vote.source:
            return errors.WRONG_SOURCE
        place = self._place(vote.voter)
        if place is None:
            return errors.NO_VOTER
        if has_lapsed(self._state, vote.voter, self._rules):
            return errors.LAPSED
        if self._votes[place // 8] >> place % 8 & 1:
            return errors.ALREADY_COUNTED
        return None

    def add(self, voter: AccountId) -> None:
        """Count a vote without a fault."""
        place = self._place(voter)
        assert place is not None, "it is the vote of a voter"
        self._votes[place // 8] |= 1 << place % 8

    def has_voted(self, voter: AccountId) -> bool:
        """Tell whether a vote of an account is counted."""
        place = self._place(voter)
        return place is not None and bool(self._votes[place // 8] >> place % 8 & 1)

    def _place(self, voter: AccountId) -> int | None:
        """Return the place of a voter's bit; a search, since most ballots are opened for a vote or two."""
        place = bisect_left(self._members, voter)
        return place if place < len(self._members) and self._members[place] == voter else None

    @property
    def weight(self) -> int:
        """Return what it weighs to read who may vote, and to see whether enough have."""
        return reading_weight(len(self._voters.voters), len(self._voters.following))

    def result(self) -> OpenCheckpoint:
        """Return the checkpoint with the votes that it has by now."""
        votes = bytes(self._votes)
        return replace(self._checkpoint, votes=votes, is_justified=agree(self._voters, votes))


def open_ballot(state: StateReader, epoch: int, rules: Rules) -> Ballot | None:
    """Return the votes for the open checkpoint of an epoch."""
    checkpoint = OPEN.find(state, epoch)
    return None if checkpoint is None else Ballot(state, epoch, checkpoint, rules)


def count_votes(context: Context, epoch: int, votes: Iterable[Vote], rules: Rules) -> None:
    """Check and count votes for the checkpoint of one epoch, and draw the consequences."""
    state = context.state
    before, ballot = OPEN.find(state, epoch), open_ballot(state, epoch, rules)
    if before is None or ballot is None:
        raise DispatchFailed(errors.UNKNOWN_TARGET)
    context.charge(ballot.weight)
    genesis = BLOCK_HASH.get(state, BlockNumber(0))
    for vote in votes:
        fault = ballot.find_fault(vote)
        if fault is None and not is_signed(vote, genesis):
            fault = errors.BAD_SIGNATURE
        if fault is not None:
            raise DispatchFailed(fault)
        ballot.add(vote.voter)
        note_sign(state, vote.voter, rules)
    after = ballot.result()
    OPEN.put(state, epoch, after)
    if after.is_justified and not before.is_justified:
        _justify(context, epoch, after)


def _justify(context: Context, epoch: int, checkpoint: OpenCheckpoint) -> None:
    """Note that a checkpoint is justified; that makes its source final, if it is that of the epoch before."""
    state = context.state
    target = Checkpoint(epoch, checkpoint.number, checkpoint.hash)
    highest = JUSTIFIED.find(state)
    if highest is None or epoch > highest.epoch:
        JUSTIFIED.put(state, target)
    context.deposit(events.CHECKPOINT_JUSTIFIED, target)
    source = OPEN.find(state, checkpoint.source.epoch)
    if checkpoint.source.epoch == epoch - 1 and source is not None:
        _finalize(context, checkpoint.source.epoch, source)


def _finalize(context: Context, epoch: int, checkpoint: OpenCheckpoint) -> None:
    """Note that a checkpoint is final; it and those before it are open no more."""
    state = context.state
    final = Checkpoint(epoch, checkpoint.number, checkpoint.hash)
    FINALIZED.put(state, final)
    context.deposit(events.CHECKPOINT_FINALIZED, final)
    passed: OpenCheckpoint | None = checkpoint
    removed = 0
    while passed is not None:
        OPEN.remove(state, epoch)
        removed += 1
        epoch = passed.previous
        passed = OPEN.find(state, epoch)
    context.charge(min(removed, MOST_CHARGED_REMOVALS) * REMOVAL_WEIGHT)
    _forget_sets(state, checkpoint.voters)
    complete_handover(context)


def _forget_sets(state: StateWriter, oldest: int) -> None:
    """Forget the voter sets before that of the finalized checkpoint."""
    for past in range(OLDEST_SET.get(state), oldest):
        VOTER_SETS.remove(state, past)
    OLDEST_SET.put(state, oldest)
