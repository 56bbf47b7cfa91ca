"""What the pallet tells."""

from pallets.matrix_factorization.config import INDEX, PALLET
from runtime.interface.events import Event
from runtime.scale import ACCOUNT_ID, BLOCK_NUMBER, H256, I32, I64, U32, U64, Field, Text

_ACCOUNT = Field("account", ACCOUNT_ID, "AccountId")
_ITEM = Field("item", U64, "u64")

RATING_SUBMITTED = Event(
    PALLET,
    INDEX,
    0,
    "RatingSubmitted",
    (_ACCOUNT, _ITEM, Field("rating", I32, "i32")),
    "An account rated an item.",
)
PREDICTION_OBTAINED = Event(
    PALLET,
    INDEX,
    1,
    "PredictionObtained",
    (_ACCOUNT, _ITEM, Field("prediction", I64, "i64")),
    "The rating that the model expects, on [-1, 1] with 24 fractional bits.",
)
RATING_RETRACTED = Event(PALLET, INDEX, 2, "RatingRetracted", (_ACCOUNT, _ITEM), "An account took a rating back.")
ITEM_REGISTERED = Event(
    PALLET,
    INDEX,
    3,
    "ItemRegistered",
    (_ACCOUNT, _ITEM, Field("title", Text(1 << 10), "Text")),
    "There is a new item to rate.",
)
EPOCH_STARTED = Event(
    PALLET,
    INDEX,
    4,
    "EpochStarted",
    (Field("generation", U32, "u32"), Field("due", BLOCK_NUMBER, "BlockNumber")),
    "The ratings of this block are frozen; what is learned from them is in force from block `due`.",
)
EPOCH_COMPLETED = Event(
    PALLET,
    INDEX,
    5,
    "EpochCompleted",
    (Field("digest", H256, "Hash"),),
    "What was learned from the last frozen ratings is in force from now.",
)
EVENTS = (
    RATING_SUBMITTED,
    PREDICTION_OBTAINED,
    RATING_RETRACTED,
    ITEM_REGISTERED,
    EPOCH_STARTED,
    EPOCH_COMPLETED,
)
