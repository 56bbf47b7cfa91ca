"""A disk that outlives the node that writes to it, and loses at a crash what was not synced."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, KeyValueStore, Write
from storage.memory import MemoryStore


class Disk:
    """What one node has written, life after life."""

    def __init__(self, rng: random.Random) -> None:
        """Start empty; `rng` decides how much of what was not synced a crash leaves."""
        self._rng = rng
        self._kept: list[KeyValueReader] = [MemoryStore().snapshot()]
        """What it may be after a crash: the last synced contents, and those after each write since."""
        self._handle: DiskStore | None = None
        self._backup: KeyValueReader | None = None
        self.writes = 0
        """So far, in all lives."""
        self.setbacks = 0
        """How often it was lost, or a backup was put in its place."""

    def open(self) -> KeyValueStore:
        """The store for a new life. Raises: StorageError, while another life has it."""
        if self._handle is not None:
            raise StorageError(Reason.LOCKED, "the simulated disk is in use")
        store = MemoryStore()
        store.write(list(self._kept[-1].items(b"")), sync=True)
        self._kept = [store.snapshot()]
        self._handle = DiskStore(self, store)
        return self._handle

    def crash(self) -> None:
        """Takes the store from its user as it is, and loses some of the last writes that were not synced."""
        if self._handle is not None:
            self._handle.is_dead = True
            self._handle = None
            self._kept = [self._rng.choice(self._kept)]

    def lose(self) -> None:
        """Forgets everything, between two lives."""
        self._set_back(MemoryStore().snapshot())

    def back_up(self) -> None:
        """Copies what was written so far."""
        self._backup = self._kept[-1]

    def restore(self) -> None:
        """Puts the last copy in the place of what there is, between two lives."""
        assert self._backup is not None, "there is no copy"
        self._set_back(self._backup)

    def _set_back(self, contents: KeyValueReader) -> None:
        assert self._handle is None, "the disk is in use"
        self._kept = [contents]
        self.setbacks += 1

    def crash_at(self, writes: int, crash: Callable[[], None]) -> None:
        """Has `crash` called in the middle of the so manieth write from now: it is done, but nobody knows."""
        if self._handle is not None:
            self._handle.fuse = (writes, crash)

    def written(self, contents: KeyValueReader, *, sync: bool) -> None:
        """Takes note of what a crash may leave."""
        self.writes += 1
        if sync:
            self._kept.clear()
        self._kept.append(contents)

    def give_back(self) -> None:
        """Takes the store from a user that has ended in order: nothing is lost."""
        if self._handle is not None:
            self._handle.close()

    def closed(self) -> None:
        """The store was given back."""
        self._handle = None
        del self._kept[:-1]


class DiskStore:
    """A `storage.kv.KeyValueStore` on a simulated disk, for one life."""

    def __init__(self, disk: Disk, store: MemoryStore) -> None:
        """Open."""
        self._disk: Final = disk
        self._store: Final = store
        self.is_dead = False
        self.fuse: tuple[int, Callable[[], None]] | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value, or None."""
        return self._living().get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values, ascending."""
        return self._living().items(prefix, after)

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        """Apply all of the batch at once."""
        store = self._living()
        store.write(batch, sync=sync)
        self._disk.written(store.snapshot(), sync=sync)
        if self.fuse is not None:
            left, crash = self.fuse
            self.fuse = (left - 1, crash)
            if left <= 1:
                crash()
        self._living()

    def snapshot(self) -> KeyValueReader:
        """Return a view that no later write changes."""
        return self._living().snapshot()

    def close(self) -> None:
        """Give the store back."""
        if not self.is_dead:
            self.is_dead = True
            self._store.close()
            self._disk.closed()

    def _living(self) -> MemoryStore:
        if self.is_dead:
            raise StorageError(Reason.CLOSED, "the node has crashed, or closed its disk")
        return self._store
