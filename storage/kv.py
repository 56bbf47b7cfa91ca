"""What the node asks of a key-value store; everything above it is the same on disk and in memory."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

Write: TypeAlias = tuple[bytes, bytes | None]
"""A key and its new value; None deletes it."""


class KeyValueReader(Protocol):
    """Ordered access to keys and values. Safe to use from several threads; each has its own iterators."""

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value, or None."""
        ...

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        ...


class KeyValueStore(KeyValueReader, Protocol):
    """A store with one writer at a time. All methods raise StorageError."""

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        """Do all of the batch or, after a crash or an error, nothing of it.

        With `sync` the batch, and all before it, outlive a loss of power once this returns. If a key occurs
        more than once, its last entry counts.
        """
        ...

    def snapshot(self) -> KeyValueReader:
        """Return a view of the store as it is now, which no later write changes."""
        ...

    def close(self) -> None:
        """Give the store back. No thread may be reading; snapshots are of no use afterwards."""
        ...


def key_range(prefix: bytes, after: bytes | None) -> tuple[bytes, bool, bytes | None]:
    """Return where a walk starts, whether it includes that key, and the first key past it (None: no end)."""
    stem = prefix.rstrip(b"\xff")
    end = stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
    if after is None or after < prefix:
        return prefix, True, end
    return after, False, end
