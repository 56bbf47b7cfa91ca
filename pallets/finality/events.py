"""What the pallet tells."""

from pallets.finality.config import INDEX, PALLET
from pallets.finality.votes import CHECKPOINT
from runtime.interface.events import Event
from runtime.scale import ACCOUNT_ID, U32, U64, Field

_CHECKPOINT = Field("checkpoint", CHECKPOINT, "Checkpoint")
_VOTER_COUNT = Field("voters", U32, "u32")

CHECKPOINT_JUSTIFIED = Event(PALLET, INDEX, 0, "CheckpointJustified", (_CHECKPOINT,), "Two thirds have agreed.")
CHECKPOINT_FINALIZED = Event(PALLET, INDEX, 1, "CheckpointFinalized", (_CHECKPOINT,), "A checkpoint is there to stay.")
HANDOVER_STARTED = Event(
    PALLET,
    INDEX,
    2,
    "HandoverStarted",
    (_VOTER_COUNT, Field("since", U64, "u64")),
    "There is a next set of voters; until a checkpoint since this epoch is final, both sets have to agree.",
)
HANDOVER_COMPLETED = Event(PALLET, INDEX, 3, "HandoverCompleted", (_VOTER_COUNT,), "The next voters have taken over.")
VOTER_REMOVED = Event(
    PALLET, INDEX, 4, "VoterRemoved", (Field("account", ACCOUNT_ID, "AccountId"),), "A voter was absent for too long."
)
EVENTS = (CHECKPOINT_JUSTIFIED, CHECKPOINT_FINALIZED, HANDOVER_STARTED, HANDOVER_COMPLETED, VOTER_REMOVED)
