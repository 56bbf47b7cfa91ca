"""Who may make a block on top of another: whose turn it is, and where the slots are open, whoever has worked for it."""

from pallets.producers.claim import Claim
from pallets.producers.config import Rules
from pallets.producers.storage import BARRED, BLOCK_SLOT, RING
from pallets.producers.turns import check_turn, epoch_of, first_open
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.interface.state import StateReader
from runtime.primitives import Hash, Slot, to_hex
from runtime.work import is_enough, open_prefix, work_digest


def check_author(claim: Claim, parent: StateReader, parent_hash: Hash, genesis: Hash, rules: Rules) -> None:
    """Check a claim against the state of the block's parent.

    Raises:
        InvalidBlock: WRONG_SLOT, WRONG_AUTHOR or BAD_WORK.
    """
    ring, parent_slot = RING.get(parent), BLOCK_SLOT.get(parent)
    if claim.nonce is None:
        check_turn(claim, ring, parent_slot)
        return
    check_open(claim, len(ring), parent_slot)
    if BARRED.get(parent, claim.author) > epoch_of(claim.slot, rules.epoch_slots):
        raise InvalidBlock(BlockFault.WRONG_AUTHOR, f"{to_hex(claim.author)} is barred")
    check_work(claim, parent_hash, genesis, rules)


def check_open(claim: Claim, members: int, parent_slot: Slot) -> None:
    """Check that a slot is open, behind a block of slot `parent_slot` and a ring of so many members.

    Raises:
        InvalidBlock: WRONG_SLOT.
    """
    first = first_open(members, parent_slot)
    if claim.slot < first:
        raise InvalidBlock(BlockFault.WRONG_SLOT, f"slot {claim.slot} is not open, slot {first} is the first that is")


def check_work(claim: Claim, parent_hash: Hash, genesis: Hash, rules: Rules) -> None:
    """Check the work of who claims an open slot.

    Raises:
        InvalidBlock: BAD_WORK.
    """
    assert claim.nonce is not None, "whose turn it is does not work"
    prefix = open_prefix(genesis, parent_hash, claim.slot, claim.author)
    if not is_enough(work_digest(prefix, claim.nonce), rules.join_work):
        raise InvalidBlock(BlockFault.BAD_WORK, f"the work for the open slot {claim.slot} is not enough")
