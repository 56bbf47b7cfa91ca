"""Round robin: slots and epochs of time, whose turn each slot is, and who has missed one.

`ring` is always the one that the parent's state names, n its length; slot s belongs to `ring[s mod n]`.
"""

from collections.abc import Sequence
from typing import Final

from pallets.producers.claim import Claim
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import AccountId, Slot, to_hex

_OPEN_ROUNDS: Final = 3
_OPEN_SLOTS: Final = 10


def slot_at(milliseconds: int, duration: int) -> Slot:
    """Return the slot that a time lies in; both arguments in milliseconds, time since 1970."""
    return Slot(milliseconds // duration)


def slot_start(slot: Slot, duration: int) -> int:
    """Return the first millisecond of a slot."""
    return slot * duration


def epoch_of(slot: Slot, length: int) -> int:
    """Return the epoch that a slot is in; `length` in slots."""
    return slot // length


def first_open(members: int, parent: Slot) -> Slot:
    """Return the first slot that is open to everybody on top of a block of slot `parent`, with so many members.

    That many slots pass without a block only if nearly all members are gone.
    """
    return Slot(parent + _OPEN_ROUNDS * members + _OPEN_SLOTS + 1)


def turn_of(ring: Sequence[AccountId], slot: Slot) -> AccountId:
    """Return the member whose turn a slot is."""
    return ring[slot % len(ring)]


def next_turn(ring: Sequence[AccountId], account: AccountId, after: Slot) -> Slot | None:
    """Return the first slot later than `after` that belongs to `account`; None if it is no member."""
    if account not in ring:
        return None
    first = after + 1
    return Slot(first + (ring.index(account) - first) % len(ring))


def skipped(ring: Sequence[AccountId], parent: Slot, slot: Slot) -> tuple[AccountId, ...]:
    """Return the members with a turn between two slots, each once, in the order of their turns.

    It takes O(n) time however long the gap is: a chain may start years after its genesis.
    """
    turns = min(slot - parent - 1, len(ring))
    return tuple(turn_of(ring, Slot(parent + 1 + offset)) for offset in range(turns))


def check_later(slot: Slot, parent: Slot) -> None:
    """Check that a block's slot comes after that of its parent.

    Raises:
        InvalidBlock: WRONG_SLOT.
    """
    if slot <= parent:
        raise InvalidBlock(BlockFault.WRONG_SLOT, f"slot {slot} does not come after the parent's slot {parent}")


def check_turn(claim: Claim, ring: Sequence[AccountId], parent: Slot) -> None:
    """Check that a claim is good on top of a block of slot `parent`.

    Raises:
        InvalidBlock: WRONG_SLOT or WRONG_AUTHOR.
    """
    slot = claim.slot
    check_later(slot, parent)
    expected = turn_of(ring, slot)
    if claim.author != expected:
        detail = f"slot {slot} is the turn of {to_hex(expected)}, not of {to_hex(claim.author)}"
        raise InvalidBlock(BlockFault.WRONG_AUTHOR, detail)


def check_time(slot: Slot, milliseconds: int, duration: int) -> None:
    """Check that the time of a block lies in its slot.

    Raises:
        InvalidBlock: BAD_TIMESTAMP.
    """
    if slot_at(milliseconds, duration) != slot:
        first = slot_start(slot, duration)
        detail = f"the time {milliseconds} is not in slot {slot}, from {first} to {first + duration - 1}"
        raise InvalidBlock(BlockFault.BAD_TIMESTAMP, detail)
