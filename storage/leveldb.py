"""The key-value store on disk: LevelDB by plyvel."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import plyvel

from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, Write, key_range

if TYPE_CHECKING:
    from plyvel._plyvel import Snapshot

# Writes are collected in memory (and in the log) up to this size, then sorted into a file: larger means
# fewer, longer compactions. Two of them may exist at a time.
_WRITE_BUFFER: Final = 8 << 20
_BLOOM_BITS: Final = 10
DEFAULT_CACHE: Final = 64 << 20
_CLOSE_PATIENCE: Final = 5.0
# No column begins with this byte.
_AFTER_ALL: Final = b"\xff"


class _Gate:
    """Counts the threads that are inside LevelDB, which does not survive to be closed under them."""

    def __init__(self) -> None:
        """Stand open."""
        self._changed = threading.Condition()
        self._inside = 0
        self._is_closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the gate is closed")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._is_closed:
                self._changed.notify_all()

    def close(self, patience: float) -> bool:
        """Let nobody in any more and wait until nobody is inside; tell whether that came in time."""
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._inside, patience)


class _Reader:
    """What the open database and a snapshot of it have in common."""

    def __init__(self, path: Path, source: "plyvel.DB | Snapshot", gate: _Gate) -> None:
        """Read from `source`, and name `path` in errors."""
        self._path = path
        self._source = source
        self._gate = gate

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value, or None."""
        try:
            with self._gate:
                return self._source.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _translated(self._path, error, Reason.UNREADABLE) from error

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values, ascending."""
        start, included, end = key_range(prefix, after)
        try:
            with self._gate:
                walk = self._source.iterator(start=start, include_start=included, stop=end, verify_checksums=True)
                try:
                    yield from walk
                finally:
                    walk.close()
        except (plyvel.Error, RuntimeError) as error:
            raise _translated(self._path, error, Reason.UNREADABLE) from error


class LevelDbStore(_Reader):
    """A directory that belongs to this process until `close`."""

    def __init__(self, path: Path, *, cache: int = DEFAULT_CACHE) -> None:
        """Open the database in `path`, or make one there; `cache` bytes are for blocks read from disk.

        Raises:
            StorageError: it is locked, damaged, or not a place one can write to.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the database directory {path} cannot be made: {error.strerror}"
            raise StorageError(Reason.UNWRITABLE, message) from error
        try:
            self._db = plyvel.DB(
                str(path),
                create_if_missing=True,
                write_buffer_size=_WRITE_BUFFER,
                lru_cache_size=cache,
                bloom_filter_bits=_BLOOM_BITS,
            )
        except plyvel.Error as error:
            raise _translated(path, error, Reason.UNWRITABLE) from error
        super().__init__(path, self._db, _Gate())

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        """Write all of the batch or nothing of it."""
        try:
            with self._gate:
                writes = self._db.write_batch(sync=sync)
                put, delete = writes.put, writes.delete
                for key, value in batch:
                    if value is None:
                        delete(key)
                    else:
                        put(key, value)
                writes.write()
        except (plyvel.Error, RuntimeError) as error:
            raise _translated(self._path, error, Reason.UNWRITABLE) from error

    def compact(self) -> None:
        """Rewrite all files without what was deleted or written over; it takes as long as copying them."""
        try:
            with self._gate:
                # Without an end, plyvel compacts up to the empty key: nothing.
                self._db.compact_range(start=b"", stop=_AFTER_ALL)
        except (plyvel.Error, RuntimeError) as error:
            raise _translated(self._path, error, Reason.UNWRITABLE) from error

    def snapshot(self) -> KeyValueReader:
        """Return a view that no later write changes; it is given back when nobody refers to it."""
        try:
            with self._gate:
                return _Reader(self._path, self._db.snapshot(), self._gate)
        except RuntimeError as error:
            raise _translated(self._path, error, Reason.UNREADABLE) from error

    def close(self) -> None:
        """Close the database and unlock its directory.

        A thread that does not come out of a read keeps it open, which the end of the process puts right: what was
        written with `sync` is on disk.
        """
        if self._gate.close(_CLOSE_PATIENCE):
            self._db.close()


def _translated(path: Path, error: Exception, otherwise: Reason) -> StorageError:
    """Say in our words what LevelDB says in its own."""
    if isinstance(error, RuntimeError):
        return StorageError(Reason.CLOSED, f"the database in {path} is closed")
    text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    if isinstance(error, plyvel.CorruptionError):
        return StorageError(Reason.CORRUPT, f"the database in {path} is damaged: {text}")
    if "/LOCK: " in text and ("already held" in text or "temporarily unavailable" in text):
        return StorageError(Reason.LOCKED, f"the database in {path} is in use by another process")
    verb = "written" if otherwise is Reason.UNWRITABLE else "read"
    return StorageError(otherwise, f"the database in {path} cannot be {verb}: {text}")
