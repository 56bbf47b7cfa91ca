"""What the pallet keeps in the state trie; nothing at all on a chain that is not sealed by a ring."""

from dataclasses import dataclass

from pallets.finality.config import PALLET
from pallets.finality.votes import CHECKPOINT, CHECKPOINT_ID, Checkpoint, CheckpointId
from pallets.producers.config import MAX_RING
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import AccountId, BlockNumber, Hash
from runtime.scale import ACCOUNT_ID, BLOCK_NUMBER, BOOL, H256, U32, U64, Bytes, Codec, Field, Struct, Vec

_MAX_VOTERS = 2 * MAX_RING


@dataclass(frozen=True, slots=True)
class VoterSet:
    """Who votes, ascending. While `following` is not empty, a handover is under way: both sets have to agree.

    It is done when a checkpoint of epoch `since` or a later one is final.
    """

    voters: tuple[AccountId, ...]
    following: tuple[AccountId, ...] = ()
    since: int = 0

    @property
    def members(self) -> tuple[AccountId, ...]:
        """Return whose votes count, ascending, in the order of the bits of `OpenCheckpoint.votes`."""
        if not self.following:
            return self.voters
        return tuple(sorted({*self.voters, *self.following}))


@dataclass(frozen=True, slots=True)
class OpenCheckpoint:
    """A checkpoint above the finalized one.

    `source`: what votes for it start from, the highest justified checkpoint in its state. `previous`: the epoch of the
    checkpoint before it. `voters`: the id of the voter set in its state. `votes`: a bit for each of them.
    """

    number: BlockNumber
    hash: Hash
    source: CheckpointId
    previous: int
    voters: int
    votes: bytes
    is_justified: bool = False


VOTER_SET: Codec[VoterSet] = Struct(
    VoterSet,
    (
        Field("voters", Vec(ACCOUNT_ID, _MAX_VOTERS), "Vec<AccountId>"),
        Field("following", Vec(ACCOUNT_ID, _MAX_VOTERS), "Vec<AccountId>"),
        Field("since", U64, "u64"),
    ),
    path=("mfchain_finality", "VoterSet"),
)
OPEN_CHECKPOINT: Codec[OpenCheckpoint] = Struct(
    OpenCheckpoint,
    (
        Field("number", BLOCK_NUMBER, "BlockNumber"),
        Field("hash", H256, "Hash"),
        Field("source", CHECKPOINT_ID, "CheckpointId"),
        Field("previous", U64, "u64"),
        Field("voters", U32, "u32"),
        Field("votes", Bytes(_MAX_VOTERS // 4), "Vec<u8>"),
        Field("is_justified", BOOL, "bool"),
    ),
    path=("mfchain_finality", "OpenCheckpoint"),
)

EPOCH: StorageValue[int] = StorageValue(PALLET, "Epoch", U64, "The epoch of this block.", default=0)
IS_CHECKPOINT: StorageValue[bool] = StorageValue(
    PALLET,
    "IsCheckpoint",
    BOOL,
    "Whether this block is a checkpoint; its hash is in its child's state.",
    False,
)
LATEST: StorageValue[int] = StorageValue(
    PALLET, "Latest", U64, "The epoch of the latest checkpoint before this block.", default=0
)
OPEN: StorageMap[int, OpenCheckpoint] = StorageMap(
    PALLET, "Open", Hasher.TWOX_64_CONCAT, U64, OPEN_CHECKPOINT, "Checkpoints above the finalized one, by epoch."
)
JUSTIFIED: StorageValue[Checkpoint] = StorageValue(
    PALLET,
    "Justified",
    CHECKPOINT,
    "The highest justified checkpoint; in the state of block 0 there is none.",
)
FINALIZED: StorageValue[Checkpoint] = StorageValue(
    PALLET, "Finalized", CHECKPOINT, "The highest final checkpoint; in the state of block 0 there is none."
)
VOTER_SETS: StorageMap[int, VoterSet] = StorageMap(
    PALLET,
    "VoterSets",
    Hasher.TWOX_64_CONCAT,
    U32,
    VOTER_SET,
    "The voter sets of this block and of open checkpoints.",
)
VOTER_SET_ID: StorageValue[int] = StorageValue(
    PALLET, "VoterSetId", U32, "The id of the voter set of this block.", default=0
)
OLDEST_SET: StorageValue[int] = StorageValue(
    PALLET, "OldestSet", U32, "The least id of a voter set that is kept.", default=0
)
CHECKPOINT_COUNT: StorageValue[int] = StorageValue(
    PALLET, "CheckpointCount", U32, "Checkpoints up to this block.", default=0
)
LAST_SEEN: StorageMap[AccountId, int] = StorageMap(
    PALLET,
    "LastSeen",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    U32,
    "The first checkpoint, by count, after the last sign of a voter or next voter; it is absent since then.",
)
SUPPORT: StorageValue[int] = StorageValue(
    PALLET, "Support", U32, "Voters in the ring of this block that have not lapsed: a child weighs one more.", default=0
)
WEIGHT: StorageValue[int] = StorageValue(
    PALLET, "Weight", U64, "What the chain up to this block weighs, for the choice between forks.", default=0
)

STORAGE = (
    EPOCH,
    IS_CHECKPOINT,
    LATEST,
    OPEN,
    JUSTIFIED,
    FINALIZED,
    VOTER_SETS,
    VOTER_SET_ID,
    OLDEST_SET,
    CHECKPOINT_COUNT,
    LAST_SEEN,
    SUPPORT,
    WEIGHT,
)
