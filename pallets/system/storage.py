"""What the chain keeps of every chain: accounts, numbers, hashes, events."""

from dataclasses import dataclass, field

from runtime.header import DIGEST_ITEM, MAX_DIGEST_ITEMS, DigestItem
from runtime.interface.events import EVENT_RECORDS, EventRecord
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash, Nonce
from runtime.scale import (
    ACCOUNT_ID,
    BLOCK_NUMBER,
    H256,
    NONCE,
    U32,
    UNIT,
    Codec,
    Field,
    Struct,
    Vec,
)
from runtime.values import value

PALLET = "System"
INDEX = 0


@value
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


DIGEST_CODEC: Codec[Digest] = Struct(
    Digest,
    (Field("logs", Vec(DIGEST_ITEM, MAX_DIGEST_ITEMS), "Vec<DigestItem>"),),
    path=("sp_runtime", "generic", "digest", "Digest"),
)

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
    DIGEST_CODEC,
    "The digest of this block's header, without the seal.",
    default=Digest(()),
)
EVENT_COUNT: StorageValue[int] = StorageValue(PALLET, "EventCount", U32, "Length of Events.", default=0)

# Written by joining the encoded records, and read by whoever knows the events of all pallets.
EVENTS: StorageValue[tuple[EventRecord, ...]] = StorageValue(
    PALLET, "Events", EVENT_RECORDS, "What happened in this block, oldest first.", default=()
)
EVENTS_KEY = EVENTS.key

# Where Substrate keeps a runtime's code. Clients take the value's hash for the name of a runtime.
CODE_KEY = b":code"

STORAGE = (ACCOUNT, BLOCK_HASH, NUMBER, PARENT_HASH, DIGEST, EVENT_COUNT, EVENTS)
