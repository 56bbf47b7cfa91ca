"""Gossip in batches: the cost is per message, about 2 ms of each node's processor, and not per byte.

What comes in a quiet time goes out at once, or nearly so. While more and more comes, a message goes when it is full, or
twice a second: with many nodes that take ratings it is the number of messages that would use up the processors.
"""

from collections.abc import Callable
from typing import Final

import trio

from p2p.network import TooLarge

INTERVAL: Final = 0.05
"""Seconds between two messages at least: 20 a second."""
BUSY_INTERVAL: Final = 0.5
"""Seconds between two messages that are not full."""
FLUSH_AT: Final = 100_000
HARD_CAP: Final = 256 * 1024
_LENGTH_BYTES: Final = 4
MAX_WAITING: Final = 8 * 1024 * 1024


class Batcher:
    """Collects items and publishes them together."""

    def __init__(self, publish: Callable[[bytes], None], *, hard_cap: int = HARD_CAP) -> None:
        self._publish = publish
        self._hard_cap = hard_cap
        self._items: list[bytes] = []
        self._size = 0
        self._wake = trio.Event()
        self._full = trio.Event()
        self.dropped = 0
        """Items that found the batcher full."""

    def add(self, item: bytes) -> bool:
        """Queues an item for the next message; False if too much waits already.

        Raises: TooLarge, if the item alone exceeds a message.
        """
        size = len(item) + _LENGTH_BYTES
        if size > self._hard_cap:
            raise TooLarge(f"an item of {len(item)} bytes, {self._hard_cap - _LENGTH_BYTES} are allowed")
        if self._size + size > MAX_WAITING:
            self.dropped += 1
            return False
        self._items.append(item)
        self._size += size
        self._wake.set()
        if self._size >= FLUSH_AT:
            self._full.set()
        return True

    async def run(self) -> None:
        """Publishes until cancelled."""
        published_at = float("-inf")
        while True:
            await self._wake.wait()
            # The first item of a quiet time goes out with whatever else comes in these 50 ms.
            await trio.sleep(INTERVAL)
            with trio.move_on_at(published_at + BUSY_INTERVAL):
                await self._full.wait()
            self._publish(self._take())
            published_at = trio.current_time()
            if not self._items:
                self._wake = trio.Event()
            if self._size < FLUSH_AT:
                self._full = trio.Event()

    def _take(self) -> bytes:
        """The next message: up to 100 kB, or the one item that is larger."""
        size = count = 0
        for item in self._items:
            grown = size + len(item) + _LENGTH_BYTES
            if count and grown > FLUSH_AT:
                break
            size, count = grown, count + 1
        taken = self._items[:count]
        del self._items[:count]
        self._size -= size
        return join(taken)


def join(items: list[bytes]) -> bytes:
    """Items one after the other, each with its length in front."""
    return b"".join(len(item).to_bytes(_LENGTH_BYTES, "big") + item for item in items)


def split(batch: bytes) -> list[bytes]:
    """The items of a batch.

    Raises: ValueError, if the lengths do not add up.
    """
    items = []
    at = 0
    while at < len(batch):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(batch[at:start], "big")
        if end > len(batch) or start > len(batch):
            raise ValueError(f"an item of a batch ends at {end}, the batch at {len(batch)}")
        items.append(batch[start:end])
        at = end
    return items
