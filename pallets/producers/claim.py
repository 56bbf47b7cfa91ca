"""What a block's author claims in the header: a slot, and to be the one whose turn it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.header import DigestItem, DigestKind
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import ACCOUNT_LENGTH, AccountId, Slot
from runtime.scale import SLOT

RING_ENGINE: Final = b"rrbn"
AUTHOR_ENGINE: Final = b"pow_"
"""polkadot.js shows the account in a pre-runtime item of this engine as the block's author."""


@dataclass(frozen=True, slots=True)
class Claim:
    """This account makes the block of this slot."""

    slot: Slot
    author: AccountId


def claim_digest(slot: Slot, author: AccountId) -> tuple[DigestItem, ...]:
    """Return the digest items that a block begins with; `read_claim_digest` is the reverse."""
    return (
        DigestItem(DigestKind.PRE_RUNTIME, RING_ENGINE, SLOT.encode(slot)),
        DigestItem(DigestKind.PRE_RUNTIME, AUTHOR_ENGINE, author),
    )


def read_claim_digest(digest: Sequence[DigestItem]) -> Claim:
    """Read the claim, which is all that an author may put into a digest: every claim has one form.

    Raises:
        InvalidBlock: BAD_CLAIM.
    """
    items = [item for item in digest if item.kind is DigestKind.PRE_RUNTIME]
    if [item.engine for item in items] != [RING_ENGINE, AUTHOR_ENGINE]:
        detail = "the pre-runtime items of the digest must be one rrbn and then one pow_"
        raise InvalidBlock(BlockFault.BAD_CLAIM, detail)
    slot, author = (item.payload for item in items)
    if len(slot) != SLOT.min_size:
        raise InvalidBlock(BlockFault.BAD_CLAIM, f"a slot has {SLOT.min_size} bytes, this one has {len(slot)}")
    if len(author) != ACCOUNT_LENGTH:
        raise InvalidBlock(BlockFault.BAD_CLAIM, f"an author has {ACCOUNT_LENGTH} bytes, this one has {len(author)}")
    return Claim(SLOT.decode(slot), AccountId(author))
