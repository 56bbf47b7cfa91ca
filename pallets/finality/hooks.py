"""What the pallet does at genesis and around every block: checkpoints, and all that a new epoch brings.

The order within a block is part of the rules:

1. The pallet Producers checks who makes the block, and counts missed turns.
2. If the parent is a checkpoint, its hash, source and voters are noted, as they are in its state.
3. If the block is a checkpoint itself: absence goes on by one (E1), voters who have been absent for too long go (E2),
   the ring changes (E3), and if other voters are wanted, a handover begins (V1, V2).
4. The author has given a sign: for the absence that the next checkpoint will find.
5. Votes are counted (W2, W3); what is final may complete a handover (V3).
6. The header says how the sets have changed (E4).
"""

from pallets.finality.calls import CAST_VOTES, REPORT_CONTRADICTION
from pallets.finality.checkpoints import record_parent
from pallets.finality.digest import changes_item
from pallets.finality.storage import (
    CHECKPOINT_COUNT,
    EPOCH,
    IS_CHECKPOINT,
    OLDEST_SET,
    SUPPORT,
    VOTER_SET_ID,
    VOTER_SETS,
    WEIGHT,
    VoterSet,
)
from pallets.finality.voters import (
    count_support,
    current_voters,
    forget_former,
    note_sign,
    present_voters,
    remove_leaked,
    start_handover,
    take_for_present,
)
from pallets.producers.claim import read_claim_digest
from pallets.producers.config import Config
from pallets.producers.membership import change_ring, forget
from pallets.producers.storage import RING
from pallets.producers.turns import epoch_of, slot_at
from runtime.interface.context import Context
from runtime.interface.pallet import Hooks
from runtime.interface.storage import StateWriter


class FinalityHooks(Hooks):
    """Checkpoints and voters."""

    def __init__(self, config: Config, genesis_time: int) -> None:
        """Take the constants of the pallet Producers, and the time of block 0 in milliseconds."""
        self._config = config
        self._rules = config.rules
        self._genesis_epoch = epoch_of(slot_at(genesis_time, config.slot_duration), config.rules.epoch_slots)

    def genesis(self, state: StateWriter) -> None:
        """Let the first ring be the first voters."""
        if not self._config.is_active:
            return
        EPOCH.put(state, self._genesis_epoch)
        VOTER_SET_ID.put(state, 0)
        OLDEST_SET.put(state, 0)
        VOTER_SETS.put(state, 0, VoterSet(tuple(sorted(self._config.ring))))
        take_for_present(state, self._config.ring)
        SUPPORT.put(state, len(self._config.ring))

    def optional_inherents(self) -> tuple[int, ...]:
        """Return the indices of the calls that authors make."""
        return (CAST_VOTES, REPORT_CONTRADICTION) if self._config.is_active else ()

    def on_initialize(self, context: Context) -> None:
        """Note the parent, begin an epoch where one begins, and see the author."""
        if not self._config.is_active:
            return
        state = context.state
        claim = read_claim_digest(context.digest)
        record_parent(context)
        # The ring and the voters of the parent: `SUPPORT` is counted at the end of a block.
        WEIGHT.put(state, WEIGHT.get(state) + 1 + (0 if claim.is_open else SUPPORT.get(state)))
        epoch = epoch_of(claim.slot, self._rules.epoch_slots)
        is_checkpoint = epoch > EPOCH.get(state)
        EPOCH.put(state, epoch)
        IS_CHECKPOINT.put(state, is_checkpoint)
        if is_checkpoint:
            self._begin_epoch(context)
        note_sign(state, claim.author, self._rules)

    def _begin_epoch(self, context: Context) -> None:
        """Do what a checkpoint does before anything else."""
        state, rules = context.state, self._rules
        CHECKPOINT_COUNT.put(state, CHECKPOINT_COUNT.get(state) + 1)
        leaked = remove_leaked(context, rules)
        change_ring(context, rules, leaked, present_voters(state))
        start_handover(context, rules)
        taking_part = {*RING.get(state), *current_voters(state).members}
        forget(context, rules, taking_part)
        forget_former(state)

    def on_finalize(self, context: Context) -> None:
        """Say in the header how the sets have changed, and count what a child will weigh."""
        if not self._config.is_active:
            return
        is_checkpoint = IS_CHECKPOINT.get(context.state)
        item = changes_item(context, is_checkpoint=is_checkpoint)
        if item is not None:
            context.digest.append(item)
            count_support(context.state, self._rules)
