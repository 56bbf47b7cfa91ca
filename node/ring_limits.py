"""What the blocks of a ring must have room for.

Without votes nothing would become final, and without reports nobody who contradicts itself would be barred.
"""

from dataclasses import dataclass
from typing import Final

from pallets.finality.calls import CAST_VOTES, contradiction_call, votes_call
from pallets.finality.calls import build_calls as finality_calls
from pallets.finality.checkpoints import MOST_CHARGED_REMOVALS, REMOVAL_WEIGHT, reading_weight
from pallets.finality.config import MAX_VOTES
from pallets.finality.votes import CheckpointId, Vote
from pallets.producers.calls import MAX_EVIDENCE, encoded_equivocation
from pallets.producers.config import MAX_RING, NO_RING
from runtime.executive import BASE_EXTRINSIC_WEIGHT
from runtime.extrinsic import Extrinsic
from runtime.interface.weights import MILLISECOND
from runtime.primitives import ZERO_HASH, AccountId

_NOWHERE: Final = CheckpointId(0, ZERO_HASH)
_VOTE: Final = Vote(AccountId(bytes(32)), _NOWHERE, _NOWHERE, bytes(64))


@dataclass(frozen=True, slots=True)
class LeastLimits:
    """The least `length` in bytes of one extrinsic, and the least `weight` of a block in whole milliseconds."""

    length: int
    milliseconds: int


def least_limits() -> LeastLimits:
    """Return what a block of a ring needs for as many votes as it may have, or for the longest report.

    The votes are for one checkpoint, in a handover from one full ring to another, and end a long stall; for more
    checkpoints than have room, authors include fewer votes.
    """
    votes = (_VOTE,) * MAX_VOTES
    evidence = bytes(MAX_EVIDENCE)
    calls = votes_call(votes), contradiction_call(_VOTE, _VOTE), encoded_equivocation(evidence, evidence)
    cast = next(call for call in finality_calls(NO_RING) if call.index == CAST_VOTES)
    weight = BASE_EXTRINSIC_WEIGHT + cast.weight(votes) + reading_weight(MAX_RING, MAX_RING)
    weight += MOST_CHARGED_REMOVALS * REMOVAL_WEIGHT
    return LeastLimits(max(len(Extrinsic(None, call).encode()) for call in calls), -(-weight // MILLISECOND))
