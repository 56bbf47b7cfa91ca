"""What the pallet keeps in the state trie."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.config import MAX_TITLE_BYTES, PALLET
from pallets.matrix_factorization.ratings import NO_RATINGS, RATING_LIST, RatingList
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash
from runtime.scale import (
    ACCOUNT_ID,
    BLOCK_NUMBER,
    H256,
    I32,
    U32,
    U64,
    Codec,
    Field,
    PackedArray,
    Struct,
    Text,
    Vec,
    encode_compact,
)
from runtime.values import value

GENESIS = BlockNumber(0)
_MAX_VECTOR = 1 << 12
INT32 = np.dtype("<i4")
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of the registry."""

    title: str
    registrar: AccountId


@dataclass(frozen=True, slots=True)
class Posterior:
    """A feature vector's Gaussian posterior, in Q20: a commitment that light clients can prove.

    mean (D,), covariance (P,) packed; `precision` is a user's tau and 0 for items. Written in `block`, from the model
    of `generation`; nothing is computed from it.
    """

    mean: npt.NDArray[np.int32]
    covariance: npt.NDArray[np.int32]
    precision: int
    generation: int
    block: BlockNumber


@value
class Model:
    """The state of learning.

    `generation`: freezes so far. `active`: the one whose model is in force, `generation` or the one before it, which is
    then activated in block `due`. `frozen_at` is the block of the last freeze. `digest` is that of the model of the
    active one.
    """

    generation: int = 0
    active: int = 0
    due: BlockNumber = GENESIS
    frozen_at: BlockNumber = GENESIS
    frozen_ratings: int = 0
    ratings: int = 0
    drift: int = 0
    users: int = 0
    last_change: BlockNumber = GENESIS
    digest: Hash = ZERO_HASH

    @property
    def is_pending(self) -> bool:
        """Tell whether a frozen set waits for its model."""
        return self.generation != self.active

    @property
    def is_canonical(self) -> bool:
        """Tell whether the model in force is the one learned from exactly the ratings of now."""
        return not self.is_pending and self.drift == 0


VECTOR: Codec[npt.NDArray[np.int32]] = PackedArray(Vec(I32, _MAX_VECTOR), INT32)
ITEM: Codec[Item] = Struct(
    Item,
    (Field("title", Text(MAX_TITLE_BYTES), "Text"), Field("registrar", ACCOUNT_ID, "AccountId")),
    path=("pallet_matrix_factorization", "Item"),
)
POSTERIOR: Codec[Posterior] = Struct(
    Posterior,
    (
        Field("mean", VECTOR, "Vec<Q20>"),
        Field("covariance", VECTOR, "Vec<Q20>"),
        Field("precision", I32, "Q20"),
        Field("generation", U32, "u32"),
        Field("block", BLOCK_NUMBER, "BlockNumber"),
    ),
    path=("pallet_matrix_factorization", "Posterior"),
)


def encode_posteriors(
    mean: Integers, covariance: Integers, precision: Integers, record: Model, block: BlockNumber
) -> list[bytes]:
    """Encode a block's posteriors as `POSTERIOR` does, all at once: a block has a thousand of them.

    Shapes: mean (n, D), covariance (n, P), precision (n,); Q20. They are of the active model of `record`.
    """
    count, width = mean.shape
    lengths = encode_compact(width), encode_compact(covariance.shape[1])
    rows = np.empty(count, _row_type(width, covariance.shape[1]))
    rows["means"], rows["covariances"] = (np.frombuffer(length, f"V{len(length)}") for length in lengths)
    rows["mean"], rows["covariance"], rows["precision"] = mean, covariance, precision
    rows["generation"], rows["block"] = record.active, block
    data, size = rows.tobytes(), rows.dtype.itemsize
    return [data[start : start + size] for start in range(0, len(data), size)]


@lru_cache(maxsize=8)
def _row_type(width: int, packed: int) -> np.dtype[np.void]:
    """A posterior's bytes: the two vectors, each behind its length, and three integers."""
    return np.dtype(
        [
            ("means", f"V{len(encode_compact(width))}"),
            ("mean", INT32, (width,)),
            ("covariances", f"V{len(encode_compact(packed))}"),
            ("covariance", INT32, (packed,)),
            ("precision", INT32),
            ("generation", "<u4"),
            ("block", "<u4"),
        ]
    )


def without_block(posterior: bytes) -> bytes:
    """Return an encoded posterior without the block that it is of, which stands last."""
    return posterior[:-4]


MODEL_RECORD: Codec[Model] = Struct(
    Model,
    (
        Field("generation", U32, "u32"),
        Field("active", U32, "u32"),
        Field("due", BLOCK_NUMBER, "BlockNumber"),
        Field("frozen_at", BLOCK_NUMBER, "BlockNumber"),
        Field("frozen_ratings", U64, "u64"),
        Field("ratings", U64, "u64"),
        Field("drift", U64, "u64"),
        Field("users", U32, "u32"),
        Field("last_change", BLOCK_NUMBER, "BlockNumber"),
        Field("digest", H256, "Hash"),
    ),
    path=("pallet_matrix_factorization", "Model"),
)

RATINGS: StorageMap[AccountId, RatingList] = StorageMap(
    PALLET,
    "Ratings",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    RATING_LIST,
    "What each account has rated, with what it takes to recover the sets that the model was learned from.",
    default=NO_RATINGS,
)
MODEL: StorageValue[Model] = StorageValue(PALLET, "Model", MODEL_RECORD, "The state of learning.", default=Model())
ITEM_COUNT: StorageValue[int] = StorageValue(
    PALLET, "ItemCount", U32, "How many items there are; the next one gets this id.", default=0
)
ITEMS: StorageMap[int, Item] = StorageMap(
    PALLET, "Items", Hasher.TWOX_64_CONCAT, U32, ITEM, "The registry of what can be rated."
)
USER_POSTERIORS: StorageMap[AccountId, Posterior] = StorageMap(
    PALLET,
    "UserPosteriors",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    POSTERIOR,
    "Feature vectors of accounts [b, p], as of the last block that they rated in.",
)
ITEM_POSTERIORS: StorageMap[int, Posterior] = StorageMap(
    PALLET,
    "ItemPosteriors",
    Hasher.TWOX_64_CONCAT,
    U32,
    POSTERIOR,
    "Feature vectors of items [c, q], as of the last block that renewed them.",
)

STORAGE = (RATINGS, MODEL, ITEM_COUNT, ITEMS, USER_POSTERIORS, ITEM_POSTERIORS)
