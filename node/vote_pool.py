"""Votes that a node has heard of, in gossip and in blocks: for the blocks that it makes, and as evidence.

Of each voter and epoch one vote is kept. The first one that contradicts a kept vote of its voter is kept as evidence,
others are dropped, so nobody fills the pool by signing much.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final

from node.voting import is_counted
from pallets.finality.checkpoints import open_ballot
from pallets.finality.config import MAX_VOTES
from pallets.finality.storage import FINALIZED, VOTER_SETS
from pallets.finality.votes import Vote, contradict
from pallets.producers.config import Rules
from runtime.interface.state import StateReader
from runtime.primitives import AccountId

MOST_KEPT: Final = 1 << 16
_MOST_EVIDENCE: Final = 1_024


class Added(Enum):
    """What came of a vote."""

    NEW = "new"
    KNOWN = "known"
    EVIDENCE = "evidence"


class VotePool:
    """The votes above the finalized checkpoint. All that is added is signed by its voter."""

    def __init__(self) -> None:
        """Start with none."""
        self._votes: dict[int, dict[AccountId, Vote]] = {}
        self._evidence: OrderedDict[AccountId, tuple[Vote, Vote]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        """Count the votes."""
        return self._count

    def find(self, epoch: int, voter: AccountId) -> Vote | None:
        """Return the vote of a voter for an epoch."""
        return self._votes.get(epoch, {}).get(voter)

    def add(self, vote: Vote) -> Added:
        """Keep a vote, if there is none yet of its voter for its epoch."""
        kept = self.find(vote.target.epoch, vote.voter)
        if kept == vote or vote.voter in self._evidence:
            return self._keep(vote) if kept is None else Added.KNOWN
        for other in self._of(vote.voter):
            if contradict(other, vote):
                self._evidence[vote.voter] = (other, vote)
                if len(self._evidence) > _MOST_EVIDENCE:
                    self._evidence.popitem(last=False)
                if kept is None:
                    self._keep(vote)
                return Added.EVIDENCE
        return self._keep(vote)

    def _of(self, voter: AccountId) -> Iterator[Vote]:
        for votes in self._votes.values():
            if voter in votes:
                yield votes[voter]

    def _keep(self, vote: Vote) -> Added:
        self._votes.setdefault(vote.target.epoch, {})[vote.voter] = vote
        self._count += 1
        while self._count > MOST_KEPT:
            self._count -= len(self._votes.pop(min(self._votes)))
        return Added.NEW

    def includable(self, state: StateReader, rules: Rules) -> list[Vote]:
        """Return the votes that a block may include whose state so far this is, in their order, as many as it may."""
        found: list[Vote] = []
        for epoch in sorted(self._votes):
            ballot = open_ballot(state, epoch, rules)
            if ballot is None:
                continue
            votes = self._votes[epoch]
            found += [votes[voter] for voter in sorted(votes) if ballot.find_fault(votes[voter]) is None]
            if len(found) >= MAX_VOTES:
                return found[:MAX_VOTES]
        return found

    def missing(self, state: StateReader, voter: AccountId, rules: Rules) -> tuple[Vote, ...]:
        """Return the votes of one voter that may be included in a block on top of that whose state this is."""
        votes = sorted(self._of(voter), key=lambda vote: vote.order)
        return tuple(vote for vote in votes if not is_counted(state, vote, rules))[:MAX_VOTES]

    def evidence(self) -> list[tuple[Vote, Vote]]:
        """Return pairs of votes that contradict each other, a voter each."""
        return list(self._evidence.values())

    def drop_evidence(self, voter: AccountId) -> None:
        """Forget evidence that is of no use any more."""
        self._evidence.pop(voter, None)

    def prune(self, state: StateReader) -> None:
        """Forget the votes up to the finalized checkpoint."""
        finalized = FINALIZED.find(state)
        if finalized is None:
            return
        for epoch in [epoch for epoch in self._votes if epoch <= finalized.epoch]:
            self._count -= len(self._votes.pop(epoch))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose votes, signatures aside, are worth keeping for a node with this best state: made once for each.

    Only voters of this chain's open checkpoints or of its head are listened to, and nobody about the future.
    """

    voters: frozenset[AccountId]
    final: int
    """The epoch of the finalized checkpoint, -1 without one."""

    @classmethod
    def by(cls, state: StateReader) -> "Wanted":
        """Read who may vote."""
        finalized = FINALIZED.find(state)
        voters = (voters.members for _, voters in VOTER_SETS.items(state))
        return cls(frozenset(chain.from_iterable(voters)), -1 if finalized is None else finalized.epoch)

    def is_of_use(self, voter: AccountId, target: int, epoch: int) -> bool:
        """Tell whether a vote for the checkpoint of an epoch is; `epoch` is now."""
        return self.final < target <= epoch and voter in self.voters
