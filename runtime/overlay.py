"""The changes of one block over the state of its parent."""

from collections.abc import Iterator
from heapq import merge

from runtime.interface.state import StateReader

Changes = list[tuple[bytes, bytes | None]]


class Overlay:
    """A writable layer over a read-only state, with one nested layer for the extrinsic being applied.

    Reads of the base are remembered: a block asks for the same keys again and again.
    """

    def __init__(self, base: StateReader) -> None:
        """Start without changes."""
        self._base = base
        self._read: dict[bytes, bytes | None] = {}
        self._block: dict[bytes, bytes | None] = {}
        self._extrinsic: dict[bytes, bytes | None] | None = None
        # The keys of the block's layer in the order of their writes, for those who follow them.
        self._log: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """Return the value as of now."""
        if self._extrinsic is not None and key in self._extrinsic:
            return self._extrinsic[key]
        if key in self._block:
            return self._block[key]
        return self.base_value(key)

    def base_value(self, key: bytes) -> bytes | None:
        """Return the value before this block."""
        try:
            return self._read[key]
        except KeyError:
            value = self._read[key] = self._base.get(key)
            return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self._write(key, None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        if self._extrinsic is not None:
            self._extrinsic[key] = value
        else:
            self._block[key] = value
            self._log.append(key)

    def is_touched(self, key: bytes) -> bool:
        """Tell whether this block has written a key, be it what was there before."""
        return key in self._block or (self._extrinsic is not None and key in self._extrinsic)

    def begin(self) -> None:
        """Open the nested layer."""
        assert self._extrinsic is None, "layers do not nest deeper"
        self._extrinsic = {}

    def commit(self) -> None:
        """Keep what the nested layer changed."""
        assert self._extrinsic is not None
        self._block.update(self._extrinsic)
        self._log.extend(self._extrinsic)
        self._extrinsic = None

    def rollback(self) -> None:
        """Forget what the nested layer changed."""
        assert self._extrinsic is not None
        self._extrinsic = None

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values as of now."""
        changed = {**self._block, **(self._extrinsic or {})}
        ours = sorted(key for key in changed if key.startswith(prefix) and (after is None or key > after))
        base = ((key, value) for key, value in self._base.items(prefix, after) if key not in changed)
        written = ((key, value) for key in ours if (value := changed[key]) is not None)
        return merge(base, written)

    def written_since(self, position: int, prefix: bytes) -> tuple[Changes, int]:
        """Return the keys that start with `prefix` and were written since a position, and the position of now.

        Positions count writes, from 0. The keys ascend and have their values as of now; what the extrinsic being
        applied has written does not count yet.
        """
        keys = sorted({key for key in self._log[position:] if key.startswith(prefix)})
        return [(key, self._block[key]) for key in keys], len(self._log)

    def changes(self) -> Changes:
        """Return what differs from the base, ascending by key; None stands for a removed key."""
        assert self._extrinsic is None, "an extrinsic is still being applied"
        return sorted((key, value) for key, value in self._block.items() if self.base_value(key) != value)
