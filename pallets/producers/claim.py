"""What a block's author claims in the header: a slot, and to be the one who may make its block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.header import DigestItem, DigestKind
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import ACCOUNT_LENGTH, AccountId, Slot
from runtime.scale import SLOT, U64

RING_ENGINE: Final = b"rrbn"
AUTHOR_ENGINE: Final = b"pow_"
"""polkadot.js shows the account in a pre-runtime item of this engine as the block's author."""
WORK_ENGINE: Final = b"work"


@dataclass(frozen=True, slots=True)
class Claim:
    """This account makes the block of this slot: as its turn, or, with a nonce, by work in an open slot."""

    slot: Slot
    author: AccountId
    nonce: int | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the claim is to an open slot."""
        return self.nonce is not None


def claim_digest(slot: Slot, author: AccountId, nonce: int | None = None) -> tuple[DigestItem, ...]:
    """Return the digest items that a block begins with; `read_claim_digest` is the reverse."""
    turn = (
        DigestItem(DigestKind.PRE_RUNTIME, RING_ENGINE, SLOT.encode(slot)),
        DigestItem(DigestKind.PRE_RUNTIME, AUTHOR_ENGINE, author),
    )
    return turn if nonce is None else (*turn, DigestItem(DigestKind.PRE_RUNTIME, WORK_ENGINE, U64.encode(nonce)))


def read_claim_digest(digest: Sequence[DigestItem]) -> Claim:
    """Read the claim, which is all that an author may put into a digest: every claim has one form.

    Raises:
        InvalidBlock: BAD_CLAIM.
    """
    items = [item for item in digest if item.kind is DigestKind.PRE_RUNTIME]
    engines = [item.engine for item in items]
    if engines[:2] != [RING_ENGINE, AUTHOR_ENGINE] or engines[2:] not in ([], [WORK_ENGINE]):
        detail = "the pre-runtime items of the digest must be one rrbn, then one pow_, then at most one work"
        raise InvalidBlock(BlockFault.BAD_CLAIM, detail)
    slot, author, *work = (item.payload for item in items)
    if len(slot) != SLOT.min_size:
        raise InvalidBlock(BlockFault.BAD_CLAIM, f"a slot has {SLOT.min_size} bytes, this one has {len(slot)}")
    if len(author) != ACCOUNT_LENGTH:
        raise InvalidBlock(BlockFault.BAD_CLAIM, f"an author has {ACCOUNT_LENGTH} bytes, this one has {len(author)}")
    if work and len(work[0]) != U64.min_size:
        raise InvalidBlock(BlockFault.BAD_CLAIM, f"a nonce has {U64.min_size} bytes, this one has {len(work[0])}")
    return Claim(SLOT.decode(slot), AccountId(author), U64.decode(work[0]) if work else None)
