"""A key-value store that lives as long as its process."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence

from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, Write, key_range


class _Contents:
    """The contents between two writes: never changed, so that a snapshot is just a reference."""

    def __init__(self, pairs: Mapping[bytes, bytes]) -> None:
        """Keep the pairs; they are put in order when somebody walks them."""
        self.pairs = pairs
        self._keys: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value, or None."""
        return self.pairs.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values, ascending."""
        keys = self._keys
        if keys is None:
            keys = self._keys = sorted(self.pairs)
        start, included, end = key_range(prefix, after)
        low = bisect_left(keys, start) if included else bisect_right(keys, start)
        high = len(keys) if end is None else bisect_left(keys, end)
        for at in range(low, high):
            yield keys[at], self.pairs[keys[at]]


class MemoryStore:
    """Every write copies the contents: meant for tests, simulations and short-lived chains."""

    def __init__(self) -> None:
        """Start empty."""
        self._contents: _Contents | None = _Contents({})

    def get(self, key: bytes) -> bytes | None:
        """Return a key's value, or None."""
        return self._open().get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values, ascending."""
        return self._open().items(prefix, after)

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        """Apply all of the batch at once; there is nothing to sync with."""
        pairs = dict(self._open().pairs)
        for key, value in batch:
            if value is None:
                pairs.pop(key, None)
            else:
                pairs[key] = value
        self._contents = _Contents(pairs)

    def snapshot(self) -> KeyValueReader:
        """Return a view that no later write changes."""
        return self._open()

    def close(self) -> None:
        """Forget everything."""
        self._contents = None

    def _open(self) -> _Contents:
        if self._contents is None:
            raise StorageError(Reason.CLOSED, "the database in memory is closed")
        return self._contents
