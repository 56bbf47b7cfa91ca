"""A key-value store that fails at one of its writes, in each of the ways in which a real one can."""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Final

from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, KeyValueStore, Write

NO_SPACE: Final = "the database cannot be written: IO error: No space left on device"


class Fault(Enum):
    """What happens at the fatal write."""

    DROPPED = "the process is killed before the write"
    DONE = "the process is killed after the write, before anybody hears of it"
    TORN = "the power fails during the write: it is lost, and all before it that were not synced"
    FAILED = "the write is refused and nothing of it done; the process lives"


class Killed(BaseException):
    """The process is no more: nothing in it can catch this."""


class FaultyStore:
    """Passes everything on to `live`, what the process and the system see; `disk` has only what a power cut leaves.

    LevelDB appends each batch to its log in one record with a checksum: a tear loses whole batches from the end, and
    never one that was synced, nor one before it.
    """

    def __init__(self, live: KeyValueStore, disk: KeyValueStore) -> None:
        """Start without a fault to come; both stores have the same content."""
        self._live = live
        self._disk = disk
        self._unsynced: list[Sequence[Write]] = []
        self._fault: tuple[int, Fault] | None = None
        self.writes = 0

    def fail_at(self, write: int, fault: Fault) -> None:
        """Prepare a fault at a write, by its number from 1."""
        self._fault = write, fault

    def survivor(self, fault: Fault) -> KeyValueStore:
        """Return what a start after that fault finds."""
        return self._disk if fault is Fault.TORN else self._live

    @property
    def unsynced(self) -> int:
        """How many writes a power cut would lose."""
        return len(self._unsynced)

    def get(self, key: bytes) -> bytes | None:
        """Read from `live`."""
        return self._live.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk `live`."""
        return self._live.items(prefix, after)

    def snapshot(self) -> KeyValueReader:
        """Take one of `live`."""
        return self._live.snapshot()

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        """Do all of the batch, or what the fault leaves of it."""
        self.writes += 1
        fault = self._fault[1] if self._fault is not None and self._fault[0] == self.writes else None
        if fault is Fault.FAILED:
            raise StorageError(Reason.UNWRITABLE, NO_SPACE)
        if fault in (Fault.DROPPED, Fault.TORN):
            raise Killed
        self._live.write(batch, sync=sync)
        self._unsynced.append(batch)
        if sync:
            for one in self._unsynced:
                self._disk.write(one, sync=False)
            self._unsynced.clear()
        if fault is Fault.DONE:
            raise Killed

    def close(self) -> None:
        """Close both."""
        self._live.close()
        self._disk.close()


def copied(source: KeyValueReader, make: Callable[[], KeyValueStore]) -> KeyValueStore:
    """Return a new store with the content of another."""
    store = make()
    store.write(list(source.items(b"")), sync=True)
    return store
