"""Weights: what a call may cost, in picoseconds of one core of the reference machine (Substrate's ref_time)."""

from dataclasses import dataclass
from enum import IntEnum

from runtime.interface.errors import InvalidReason, InvalidTransaction

MICROSECOND = 1_000_000
MILLISECOND = 1_000 * MICROSECOND


class DispatchClass(IntEnum):
    """How a call counts against the block; indices of frame_support::dispatch::DispatchClass."""

    NORMAL = 0
    OPERATIONAL = 1
    MANDATORY = 2


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """Bounds of one block; consensus constants of the chain.

    `weight` in picoseconds, `length` in bytes of all extrinsics, `extrinsic_length` in bytes of one,
    `new_accounts` first transactions of accounts that the state does not know yet.
    """

    weight: int
    length: int
    extrinsic_length: int
    new_accounts: int


class BlockMeter:
    """Adds up what the extrinsics of a block use and refuses what would not fit.

    Half of the weight is kept for accounts that the chain knows already (nonce above 0), so that a flood
    of made-up accounts cannot push them out.
    """

    def __init__(self, limits: BlockLimits) -> None:
        """Start an empty block."""
        self._limits = limits
        self.weight = 0
        self.length = 0
        self._new_weight = 0
        self._new_accounts = 0

    def check(self, *, weight: int, length: int, is_new: bool) -> None:
        """Raise `InvalidTransaction(EXHAUSTS_RESOURCES)` if an extrinsic of these figures does not fit any more."""
        limits = self._limits
        if self.weight + weight > limits.weight or self.length + length > limits.length:
            raise InvalidTransaction(InvalidReason.EXHAUSTS_RESOURCES)
        if is_new and (self._new_accounts + 1 > limits.new_accounts or 2 * (self._new_weight + weight) > limits.weight):
            raise InvalidTransaction(InvalidReason.EXHAUSTS_RESOURCES)

    def room(self, *, is_new: bool) -> int:
        """Return the weight that an extrinsic of a known or a new account may still have."""
        room = self._limits.weight - self.weight
        return min(room, self._limits.weight // 2 - self._new_weight) if is_new else room

    def add(self, *, weight: int, length: int, is_new: bool) -> None:
        """Count an extrinsic that `check` let pass."""
        self.weight += weight
        self.length += length
        if is_new:
            self._new_weight += weight
            self._new_accounts += 1
