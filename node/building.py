"""How a block comes to be: its inherents, what the chain's consensus puts into it, then transactions as they fit."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from node.chain_news import Refusal
from node.chain_spec import ChainSpec
from node.consensus import Template
from node.spec_types import Sealing
from node.witness import half_of
from pallets.producers.storage import RING
from pallets.timestamp.pallet import NOW, TIME_KEY
from runtime.executive import BlockExecution, Runtime, SignatureCheck, ValidTransaction, check_signature
from runtime.extrinsic import Extrinsic
from runtime.interface.context import DerivedView
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, BlockRef

# An author tries in vain for no longer than this share of a slot: what waits may be made to fit into no block's rest.
_LOST_SHARE: Final = 1 / 8
# Where authors take turns, one fills its block for no longer than this share of its slot. Finishing it takes half as
# long again, and then the next one has to execute it: who goes on from an older block makes a branch.
_FILLING_SHARE: Final = 1 / 3
_NO_ROOM: Final = (InvalidReason.EXHAUSTS_RESOURCES, InvalidReason.TOO_LONG)


class BlockBuilder:
    """One block under way on top of a parent; its inherents are in it from the start."""

    def __init__(
        self,
        spec: ChainSpec,
        runtime: Runtime,
        state: StateReader,
        parent: BlockRef,
        view: DerivedView,
        template: Template,
        check: SignatureCheck = check_signature,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the parent's state and model; the block's time is the template's, or the first one that is allowed.

        `clock` gives seconds; no block depends on it but by which transactions its author puts in.

        Raises:
            InvalidBlock: the template does not fit the parent.
        """
        self._runtime = runtime
        self._template = template
        self._clock = clock
        slot = spec.slot_duration / 1_000
        self._most_lost = slot * _LOST_SHARE
        takes_turns = spec.sealing is Sealing.RING and len(RING.get(state)) > 1
        self._longest = slot * _FILLING_SHARE if takes_turns else float("inf")
        self.execution: BlockExecution = runtime.open_block(state, parent, view, template.digest, check)
        earliest = NOW.get(state) + spec.minimum_period
        self.execution.apply_inherents({TIME_KEY: max(template.milliseconds, earliest)})

    def fill(self, transactions: Iterable[ValidTransaction]) -> tuple[Refusal, ...]:
        """Put in what belongs to the consensus, and as many transactions as fit, in their order.

        Ends early when its time is over, or too much of it was lost to some that did not fit. Returns those that turned
        out to be unfit for any block, and why.
        """
        end = self._clock() + self._longest
        for call in self._template.calls(self.execution.state):
            self._put_in(call)
        refused: list[Refusal] = []
        skipped: set[AccountId] = set()
        takes_new = True
        lost = 0.0
        for transaction in transactions:
            if self.execution.is_full or lost > self._most_lost:
                break
            if transaction.account in skipped or (transaction.nonce == 0 and not takes_new):
                continue
            began = self._clock()
            if began > end:
                break
            try:
                self.execution.apply(transaction.prepared)
            except InvalidTransaction as error:
                lost += self._clock() - began
                skipped.add(transaction.account)
                if error.reason is not InvalidReason.EXHAUSTS_RESOURCES:
                    refused.append((transaction, error))
                elif transaction.nonce == 0:
                    # Thousands of made-up accounts may wait, and no further one fits.
                    takes_new = False
        return tuple(refused)

    def _put_in(self, call: bytes | None) -> None:
        """Put in an unsigned call if it is of use; of votes, half as many until there is room for them."""
        while call is not None:
            try:
                self.execution.apply(self._runtime.prepare(Extrinsic(None, call).encode()))
            except InvalidTransaction as error:
                # What others have said may be of no use by now; the block goes without it.
                call = half_of(self._runtime, call) if error.reason in _NO_ROOM else None
            else:
                return
