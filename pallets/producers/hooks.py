"""What the pallet does at genesis and around every block."""

from pallets.producers.claim import read_claim_digest
from pallets.producers.config import Config
from pallets.producers.storage import BLOCK_SLOT, MISSED, RING
from pallets.producers.turns import check_time, check_turn, skipped, slot_at
from pallets.timestamp.pallet import NOW
from runtime.interface.context import Context
from runtime.interface.pallet import Hooks
from runtime.interface.storage import StateWriter


class ProducersHooks(Hooks):
    """The rules of the ring: the right author in the right slot, and a record of missed turns."""

    def __init__(self, config: Config, genesis_time: int) -> None:
        """Take the time of block 0, in milliseconds."""
        self._config = config
        self._genesis_slot = slot_at(genesis_time, config.slot_duration)

    def genesis(self, state: StateWriter) -> None:
        """Write the first ring, and the slot of block 0."""
        if self._config.is_active:
            RING.put(state, self._config.ring)
            BLOCK_SLOT.put(state, self._genesis_slot)

    def on_initialize(self, context: Context) -> None:
        """Check slot and author against what the parent left; count the turns between the two blocks as missed."""
        if not self._config.is_active:
            return
        state = context.state
        claim = read_claim_digest(context.digest)
        ring, parent = RING.get(state), BLOCK_SLOT.get(state)
        check_turn(claim, ring, parent)
        for member in skipped(ring, parent, claim.slot):
            MISSED.put(state, member, MISSED.get(state, member) + 1)
        MISSED.remove(state, claim.author)
        BLOCK_SLOT.put(state, claim.slot)

    def on_finalize(self, context: Context) -> None:
        """Check the time, which an inherent has set by now."""
        if self._config.is_active:
            check_time(BLOCK_SLOT.get(context.state), NOW.get(context.state), self._config.slot_duration)
