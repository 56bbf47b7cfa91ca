"""Votes of this node: for which checkpoint, when, and how often it is said again."""

from dataclasses import dataclass
from typing import Final

from pallets.finality.checkpoints import open_ballot
from pallets.finality.storage import EPOCH, IS_CHECKPOINT, JUSTIFIED, LATEST, OPEN, VOTER_SETS
from pallets.finality.voters import current_voters, has_lapsed
from pallets.finality.votes import CheckpointId, Vote, vote_message
from pallets.producers.config import Rules
from pallets.producers.storage import BLOCK_SLOT
from runtime.crypto import KeyPair, Scheme
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, BlockRef, Hash, Slot

_SETTLED_SLOTS: Final = 2


@dataclass(frozen=True, slots=True)
class Step:
    """What a vote is for: from one checkpoint to a later one."""

    source: CheckpointId
    target: CheckpointId


def next_step(state: StateReader, head: BlockRef, voter: AccountId, now: Slot, rules: Rules) -> Step | None:
    """Return what a voter votes for who follows `head`, whose state this is: the latest checkpoint of its chain.

    None while that is neither followed by another block nor two slots old, and for those whose vote would not count.
    """
    if IS_CHECKPOINT.get(state):
        source, voters = JUSTIFIED.find(state), current_voters(state)
        if now < BLOCK_SLOT.get(state) + _SETTLED_SLOTS or source is None or voter not in voters.members:
            return None
        step = Step(source.id, CheckpointId(EPOCH.get(state), head.hash))
    else:
        latest = LATEST.get(state)
        checkpoint = OPEN.find(state, latest)
        if checkpoint is None:
            return None
        found = VOTER_SETS.find(state, checkpoint.voters)
        if found is None or voter not in found.members:
            return None
        step = Step(checkpoint.source, CheckpointId(latest, checkpoint.hash))
    return None if has_lapsed(state, voter, rules) else step


def sign_vote(step: Step, key_pair: KeyPair, genesis: Hash) -> Vote:
    """Sign a vote."""
    assert key_pair.scheme is Scheme.ED25519, "voters sign with ed25519"
    signature = key_pair.sign(vote_message(genesis, key_pair.public, step.source, step.target))
    return Vote(key_pair.public, step.source, step.target, signature)


def is_counted(state: StateReader, vote: Vote, rules: Rules) -> bool:
    """Tell whether a chain has no use for a vote any more: it has it, or has got beyond it, or does not know it."""
    ballot = open_ballot(state, vote.target.epoch, rules)
    return ballot is None or ballot.find_fault(vote) is not None
