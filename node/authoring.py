"""When this node makes a block.

`instant`: as soon as a transaction is ready. `interval`: every so often, transactions or not. `ring`: in the slots that
are this node's turn.

While the model has something to learn that only the passing of blocks brings (an epoch that is due or pending),
`instant` makes empty blocks too, slowly, so that a pause between two ratings does not end the epoch.
"""

from collections.abc import Awaitable, Callable

import trio

from pallets.producers.turns import slot_at, slot_start
from runtime.primitives import Slot

LEARNING_PAUSE = 0.2
"""Seconds between the empty blocks that `instant` sealing makes while the model is not at rest."""

ProduceBlock = Callable[[], Awaitable[None]]


class Bell:
    """Wakes one waiting task; ringing it again before the task has looked changes nothing."""

    def __init__(self) -> None:
        """Start silent."""
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake the task that waits, or let the next wait pass."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for a ring."""
        await self._event.wait()
        self._event = trio.Event()


async def seal_instantly(
    produce: ProduceBlock, ready: Bell, has_ready: Callable[[], bool], is_learning: Callable[[], bool]
) -> None:
    """Make a block whenever a transaction is ready."""
    while True:
        with trio.move_on_after(LEARNING_PAUSE if is_learning() else float("inf")):
            # The bell may have been rung for what is in a block by now.
            while not has_ready():
                await ready.wait()
        if has_ready() or is_learning():
            await produce()


async def seal_by_interval(produce: ProduceBlock, seconds: float) -> None:
    """Make a block every `seconds`; one that takes longer delays the next, none is made up for."""
    due = trio.current_time() + seconds
    while True:
        await trio.sleep_until(due)
        await produce()
        due = max(due + seconds, trio.current_time())


async def seal_in_turn(
    produce: ProduceBlock, is_our_turn: Callable[[Slot], bool], clock: Callable[[], int], duration: int
) -> None:
    """Make a block at the beginning of each slot that is ours; times in milliseconds.

    A slot that has begun when this is called is left out: before a restart we may have made its block.
    """
    slot = slot_at(clock(), duration)
    while True:
        await trio.sleep(max(0, slot_start(Slot(slot + 1), duration) - clock()) / 1_000)
        now = slot_at(clock(), duration)
        if now <= slot:
            continue  # the two clocks do not agree to the millisecond
        slot = now
        if is_our_turn(slot):
            await produce()
