"""What the pallet tells."""

from pallets.producers.config import INDEX, PALLET
from runtime.interface.events import Event
from runtime.scale import ACCOUNT_ID, U64, Field

_ACCOUNT = Field("account", ACCOUNT_ID, "AccountId")

JOIN_QUEUED = Event(PALLET, INDEX, 0, "JoinQueued", (_ACCOUNT,), "An account waits to join the ring.")
JOINED = Event(PALLET, INDEX, 1, "Joined", (_ACCOUNT,), "An account has joined the ring.")
LEAVING = Event(PALLET, INDEX, 2, "Leaving", (_ACCOUNT,), "A member leaves the ring with the next epoch.")
LEFT = Event(PALLET, INDEX, 3, "Left", (_ACCOUNT,), "An account has left the ring or the queue by its own wish.")
DROPPED = Event(PALLET, INDEX, 4, "Dropped", (_ACCOUNT,), "A member has lost its place in the ring.")
RETURNED = Event(PALLET, INDEX, 5, "Returned", (_ACCOUNT,), "A voter who had lost its place has got it back.")
ACCOUNT_BARRED = Event(
    PALLET,
    INDEX,
    6,
    "AccountBarred",
    (_ACCOUNT, Field("until", U64, "u64")),
    "An account has contradicted itself; it takes no part before this epoch.",
)
EVENTS = (JOIN_QUEUED, JOINED, LEAVING, LEFT, DROPPED, RETURNED, ACCOUNT_BARRED)
