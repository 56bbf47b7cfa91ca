"""What the pallet keeps in the state trie; nothing at all on a chain that is not sealed by a ring."""

from pallets.producers.config import MAX_RING, PALLET
from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.primitives import AccountId, Slot
from runtime.scale import ACCOUNT_ID, SLOT, U32, Vec

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

STORAGE = (RING, BLOCK_SLOT, MISSED)
