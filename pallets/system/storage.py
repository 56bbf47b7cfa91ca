"""What the chain keeps of every chain: accounts, numbers, hashes, events."""

from dataclasses import dataclass, field

from runtime.header import MAX_DIGEST_ITEMS, DigestItem
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash, Nonce, twox_128
from runtime.scale import (
    ACCOUNT_ID,
    BLOCK_NUMBER,
    H256,
    NONCE,
    U32,
    UNIT,
    Codec,
    Field,
    Reader,
    Struct,
    encode_compact,
)

PALLET = "System"
INDEX = 0


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What is known of an account; Substrate's reference counters are kept for its clients."""

    nonce: Nonce
    consumers: int = 0
    providers: int = 1
    sufficients: int = 0
    data: tuple[()] = field(default=())


ACCOUNT_INFO: Codec[AccountInfo] = Struct(
    AccountInfo,
    (
        Field("nonce", NONCE, "Nonce"),
        Field("consumers", U32, "RefCount"),
        Field("providers", U32, "RefCount"),
        Field("sufficients", U32, "RefCount"),
        Field("data", UNIT, "AccountData"),
    ),
    path=("frame_system", "AccountInfo"),
)


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of a header, as the state keeps it."""

    logs: tuple[DigestItem, ...]


class DigestCodec(Codec[Digest]):
    """Vec<DigestItem>, written by the header's own code."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Return the type's name."""
        return "Digest"

    @property
    def min_size(self) -> int:
        """Return the length of an empty digest."""
        return 1

    def encode(self, value: Digest) -> bytes:
        """Return count and items."""
        return encode_compact(len(value.logs)) + b"".join(item.encode() for item in value.logs)

    def read(self, reader: Reader) -> Digest:
        """Return the digest at the reader's position."""
        count = reader.length(1, MAX_DIGEST_ITEMS, "digest")
        return Digest(tuple(DigestItem.read(reader) for _ in range(count)))


ACCOUNT: StorageMap[AccountId, AccountInfo] = StorageMap(
    PALLET,
    "Account",
    Hasher.BLAKE2_128_CONCAT,
    ACCOUNT_ID,
    ACCOUNT_INFO,
    "Accounts that have sent a transaction.",
    default=AccountInfo(Nonce(0), providers=0),
)
BLOCK_HASH: StorageMap[BlockNumber, Hash] = StorageMap(
    PALLET,
    "BlockHash",
    Hasher.TWOX_64_CONCAT,
    BLOCK_NUMBER,
    H256,
    "Hashes of block 0 and of the last BlockHashCount blocks.",
    default=ZERO_HASH,
)
NUMBER: StorageValue[BlockNumber] = StorageValue(
    PALLET, "Number", BLOCK_NUMBER, "The number of this block.", default=BlockNumber(0)
)
PARENT_HASH: StorageValue[Hash] = StorageValue(
    PALLET, "ParentHash", H256, "The hash of the block before this one.", default=ZERO_HASH
)
DIGEST: StorageValue[Digest] = StorageValue(
    PALLET,
    "Digest",
    DigestCodec(),
    "The digest of this block's header, without the seal.",
    default=Digest(()),
)
EVENT_COUNT: StorageValue[int] = StorageValue(PALLET, "EventCount", U32, "Length of Events.", default=0)

# The event records name the event enum of the whole runtime, so their codec is made where all pallets are known.
EVENTS_KEY = twox_128(PALLET.encode()) + twox_128(b"Events")

STORAGE = (ACCOUNT, BLOCK_HASH, NUMBER, PARENT_HASH, DIGEST, EVENT_COUNT)
