"""Open slots: how a chain goes on whose producers are all gone, by the work of somebody who is not one of them."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from node.chain import Chain
from node.executor import Executor
from node.ring import slot_at, slot_start
from pallets.producers.membership import current_epoch, is_barred
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.producers.turns import first_open
from runtime.primitives import AccountId, Hash, Slot
from runtime.work import find_nonce, open_prefix

log = logging.getLogger(__name__)

_CHUNK: Final = 20_000
_NEAREST: Final = 2
_FURTHEST: Final = 64
"""Slots ahead for which work is looked for: more after each time that it was not found."""


class OpenSlots:
    """Waits for the slots to open, and then looks for work for one that is to come."""

    def __init__(self, chain: Chain, account: AccountId, executor: Executor, clock: Callable[[], int]) -> None:
        """Take who works; `clock` gives the time in milliseconds since the Unix epoch."""
        self._chain = chain
        self._account = account
        self._executor = executor
        self._clock = clock

    async def run(self, may_work: Callable[[], bool], produce: Callable[[int], Awaitable[None]]) -> None:
        """Make blocks in open slots until cancelled.

        Args:
            may_work: tells whether the chain that we have is likely the one that others have.
            produce: makes the block of the slot that has begun, with a nonce.
        """
        ahead, duration = _NEAREST, self._chain.spec.slot_duration
        while True:
            slot = Slot(slot_at(self._clock(), duration) + ahead)
            if not may_work() or not self._is_open(slot):
                ahead = _NEAREST
                await self._sleep_until(Slot(slot_at(self._clock(), duration) + 1))
                continue
            head = self._chain.snapshot.best.hash
            log.info("no block for a long time: looking for the work for slot %d, which is open", slot)
            nonce = await self._find(head, slot)
            if nonce is None:
                ahead = min(2 * ahead, _FURTHEST)
                continue
            await self._sleep_until(slot)
            if self._chain.snapshot.best.hash == head:
                await produce(nonce)

    def _is_open(self, slot: Slot) -> bool:
        """Tell whether we may make the block of a slot by work, and have no turn to wait for."""
        snapshot = self._chain.snapshot
        best, state = snapshot.best, snapshot.state
        ring, rules = RING.get(state), self._chain.spec.rules
        if best.number == 0 or self._account in ring or is_barred(state, self._account, current_epoch(state, rules)):
            return False
        return slot >= first_open(len(ring), BLOCK_SLOT.get(state))

    async def _find(self, head: Hash, slot: Slot) -> int | None:
        """Look for work on top of the head until the slot begins, or another block comes."""
        prefix = open_prefix(self._chain.genesis, head, slot, self._account)
        work, duration = self._chain.spec.rules.join_work, self._chain.spec.slot_duration
        start = 0
        while self._clock() < slot_start(slot, duration) and self._chain.snapshot.best.hash == head:
            nonce = await self._executor.aside(find_nonce, prefix, work, start, _CHUNK)
            if nonce is not None:
                return nonce
            start += _CHUNK
        return None

    async def _sleep_until(self, slot: Slot) -> None:
        wait = slot_start(slot, self._chain.spec.slot_duration) - self._clock()
        await trio.sleep(max(wait, 0) / 1_000)
