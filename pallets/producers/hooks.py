"""What the pallet does at genesis and around every block. What a new epoch brings is begun by the pallet Finality."""

from dataclasses import replace

from pallets.producers.authors import check_author
from pallets.producers.calls import REPORT_EQUIVOCATION
from pallets.producers.claim import Claim, read_claim_digest
from pallets.producers.config import Config
from pallets.producers.membership import enter, found_ring, put_ring, unqueue
from pallets.producers.storage import BLOCK_SLOT, MEMBERS, MISSED, RING, Applicant
from pallets.producers.turns import check_time, skipped, slot_at
from pallets.system.storage import BLOCK_HASH
from pallets.timestamp.pallet import NOW
from runtime.interface.context import Context
from runtime.interface.pallet import Hooks
from runtime.interface.storage import StateWriter
from runtime.primitives import BlockNumber
from runtime.work import open_prefix, rank, work_digest


class ProducersHooks(Hooks):
    """The rules of the ring: the right author in the right slot, and a record of missed turns."""

    def __init__(self, config: Config, genesis_time: int) -> None:
        """Take the time of block 0, in milliseconds."""
        self._config = config
        self._genesis_slot = slot_at(genesis_time, config.slot_duration)

    def genesis(self, state: StateWriter) -> None:
        """Write the first ring, and the slot of block 0."""
        if self._config.is_active:
            found_ring(state, self._config.ring)
            BLOCK_SLOT.put(state, self._genesis_slot)

    def optional_inherents(self) -> tuple[int, ...]:
        """Return the index of `report_equivocation`."""
        return (REPORT_EQUIVOCATION,) if self._config.is_active else ()

    def on_initialize(self, context: Context) -> None:
        """Check slot and author against what the parent left; count the turns between the two blocks as missed."""
        if not self._config.is_active:
            return
        state = context.state
        claim = read_claim_digest(context.digest)
        genesis = BLOCK_HASH.get(state, BlockNumber(0))
        check_author(claim, state, context.parent_hash, genesis, self._config.rules)
        # Nobody has missed anything before there was a chain.
        if context.number > 1:
            for account in skipped(RING.get(state), BLOCK_SLOT.get(state), claim.slot):
                MISSED.put(state, account, MISSED.get(state, account) + 1)
        BLOCK_SLOT.put(state, claim.slot)
        self._note_author(context, claim)

    def _note_author(self, context: Context, claim: Claim) -> None:
        """Note that the author was there; who comes by an open slot is in the ring from now on."""
        state, author = context.state, claim.author
        ring = RING.get(state)
        if claim.nonce is not None and author not in ring:
            prefix = open_prefix(BLOCK_HASH.get(state, BlockNumber(0)), context.parent_hash, claim.slot, author)
            applicant = Applicant(author, rank(work_digest(prefix, claim.nonce)))
            enter(context, applicant, self._config.rules, has_authored=True)
            unqueue(state, author)
            put_ring(state, (*ring, author))
        MISSED.remove(state, author)
        member = MEMBERS.find(state, author)
        assert member is not None, "the author is in the ring"
        if not member.has_authored:
            MEMBERS.put(state, author, replace(member, has_authored=True))

    def on_finalize(self, context: Context) -> None:
        """Check the time, which an inherent has set by now."""
        if self._config.is_active:
            check_time(BLOCK_SLOT.get(context.state), NOW.get(context.state), self._config.slot_duration)
