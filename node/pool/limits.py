"""How much the pool holds, and how it refuses what is more."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of everything that the pool keeps.

    transactions, total_bytes: ready and future ones together, so that what becomes ready always has a place. The
        pool has `transactions` places, and a transaction takes one for each begun part of `total_bytes`.
    futures, future_bytes: in the same way, the part of it that futures may take.
    futures_per_account: more than a signature-checking batch may bring out of order.
    future_blocks: how long a future waits for its predecessors; an immortal one would wait for ever.
    new_part: one place in so many is kept for accounts that the chain does not know, all others for those it knows.
    banned, ban_blocks: how many refused hashes are remembered, and for how many blocks.
    included_watched: transactions in blocks that are watched until they are final; Substrate calls the end of
        that for the oldest one a finality timeout.
    listeners: those of one transaction.
    """

    transactions: int = 8_192
    total_bytes: int = 20 << 20
    futures: int = 1_024
    future_bytes: int = 2 << 20
    futures_per_account: int = 256
    future_blocks: int = 64
    new_part: int = 10
    banned: int = 8_192
    ban_blocks: int = 64
    included_watched: int = 8_192
    listeners: int = 8


DEFAULT_LIMITS = PoolLimits()


class RefusalReason(StrEnum):
    """Why the pool does not take a valid transaction; the names of `rpc.errors.Reason`."""

    ALREADY_IMPORTED = "AlreadyImported"
    TEMPORARILY_BANNED = "TemporarilyBanned"
    PRIORITY_TOO_LOW = "PriorityTooLow"
    POOL_FULL = "PoolFull"


class PoolRefused(Exception):
    """The pool does not take a transaction, which may be valid nevertheless."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        """Name the reason and the particulars."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
