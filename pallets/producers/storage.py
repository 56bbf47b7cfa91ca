"""What the pallet keeps in the state trie; nothing at all on a chain that is not sealed by a ring."""

from dataclasses import dataclass

from pallets.producers.config import MAX_QUEUE, MAX_RING, PALLET
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import AccountId, BlockNumber, Slot
from runtime.scale import ACCOUNT_ID, BLOCK_NUMBER, BOOL, SLOT, U32, U64, Codec, Field, FixedBytes, Struct, Vec
from runtime.work import RANK_LENGTH


@dataclass(frozen=True, slots=True)
class Member:
    """Who is in the ring, or was and is still a voter.

    `changed`: the last block in which it joined, asked to leave, or lost its place. Epochs: `probation_ends`, from
    which on it may be a voter, and `may_return`, from which on it may come back without work.
    """

    rank: bytes
    changed: BlockNumber
    probation_ends: int = 0
    may_return: int = 0
    has_authored: bool = False
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who waits to join, and what decides its place."""

    account: AccountId
    rank: bytes


_RANK = FixedBytes(RANK_LENGTH)
MEMBER: Codec[Member] = Struct(
    Member,
    (
        Field("rank", _RANK, "[u8; 8]"),
        Field("changed", BLOCK_NUMBER, "BlockNumber"),
        Field("probation_ends", U64, "u64"),
        Field("may_return", U64, "u64"),
        Field("has_authored", BOOL, "bool"),
        Field("is_leaving", BOOL, "bool"),
    ),
    path=("mfchain_producers", "Member"),
)
APPLICANT: Codec[Applicant] = Struct(
    Applicant,
    (Field("account", ACCOUNT_ID, "AccountId"), Field("rank", _RANK, "[u8; 8]")),
    path=("mfchain_producers", "Applicant"),
)

RING: StorageValue[tuple[AccountId, ...]] = StorageValue(
    PALLET,
    "Ring",
    Vec(ACCOUNT_ID, MAX_RING),
    "Who takes turns on top of this block: slot s belongs to member s mod n.",
    default=(),
)
BLOCK_SLOT: StorageValue[Slot] = StorageValue(PALLET, "Slot", SLOT, "The slot of this block.", default=Slot(0))
# No block adds more than one to a count, and block numbers have 32 bits.
MISSED: StorageMap[AccountId, int] = StorageMap(
    PALLET,
    "Missed",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    U32,
    "Turns that a member has missed since its last block; members without an entry have missed none.",
    default=0,
)
MEMBERS: StorageMap[AccountId, Member] = StorageMap(
    PALLET,
    "Members",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    MEMBER,
    "Members of the ring, and for a while those who were: voters as long as they are, others until old work is stale.",
)
QUEUE: StorageValue[tuple[Applicant, ...]] = StorageValue(
    PALLET, "Queue", Vec(APPLICANT, MAX_QUEUE), "Who joins the ring with the next epochs, first come first served.", ()
)
BARRED: StorageMap[AccountId, int] = StorageMap(
    PALLET,
    "Barred",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    U64,
    "Who has contradicted itself, and the first epoch in which it may join again.",
    default=0,
)

STORAGE = (RING, BLOCK_SLOT, MISSED, MEMBERS, QUEUE, BARRED)
