"""The changes of one block over the state of its parent."""

from collections.abc import Iterator
from heapq import merge
from typing import Any, TypeVar, final

from runtime.interface.state import StateReader
from runtime.scale import Codec

Changes = list[tuple[bytes, bytes | None]]

V = TypeVar("V")


@final
class _Entry:
    """What stands at a key: bytes, a value, or both; each form is made of the other when somebody first asks for it.

    Without a codec there is no value; without a codec and without data the key is not there.
    """

    __slots__ = ("_codec", "_data", "_value")

    def __init__(self, data: bytes | None, value: Any = None, codec: Codec[Any] | None = None) -> None:
        """Take bytes, or a value and its codec."""
        self._data = data
        self._value = value
        self._codec = codec

    def data(self) -> bytes | None:
        """Return the bytes; None stands for a removed key."""
        data = self._data
        if data is None and self._codec is not None:
            data = self._data = self._codec.encode(self._value)
        return data

    def value(self, codec: Codec[Any]) -> Any:
        """Return the decoded value; None stands for a removed key."""
        if self._codec is not codec:
            data = self.data()
            if data is None:
                return None
            self._value = codec.decode(data)
            self._codec = codec
        return self._value


class Overlay:
    """A writable layer over a read-only state, with one nested layer for the extrinsic being applied.

    Reads of the base are remembered: a block asks for the same keys again and again. So are decoded values, and what
    is written as a value is encoded once, at the end, however often it changes: values must not be changed in place.
    """

    def __init__(self, base: StateReader) -> None:
        """Start without changes."""
        self._base = base
        self._read: dict[bytes, _Entry] = {}
        self._block: dict[bytes, _Entry] = {}
        self._extrinsic: dict[bytes, _Entry] | None = None
        # The keys of the block's layer in the order of their writes, for those who follow them.
        self._log: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """Return the value as of now."""
        return self._entry(key).data()

    def find(self, key: bytes, codec: Codec[V]) -> V | None:
        """Return the decoded value as of now, or None."""
        value: V | None = self._entry(key).value(codec)
        return value

    def _entry(self, key: bytes) -> _Entry:
        entry = None if self._extrinsic is None else self._extrinsic.get(key)
        if entry is None:
            entry = self._block.get(key)
        return self._base_entry(key) if entry is None else entry

    def _base_entry(self, key: bytes) -> _Entry:
        entry = self._read.get(key)
        if entry is None:
            entry = self._read[key] = _Entry(self._base.get(key))
        return entry

    def base_value(self, key: bytes) -> bytes | None:
        """Return the value before this block."""
        return self._base_entry(key).data()

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._write(key, _Entry(value))

    def put_value(self, key: bytes, value: V, codec: Codec[V]) -> None:
        """Set a key to a value that is encoded when its bytes are needed."""
        self._write(key, _Entry(None, value, codec))

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        self._write(key, _Entry(None))

    def _write(self, key: bytes, entry: _Entry) -> None:
        if self._extrinsic is not None:
            self._extrinsic[key] = entry
        else:
            self._block[key] = entry
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
        written = ((key, value) for key in ours if (value := changed[key].data()) is not None)
        return merge(base, written)

    def written_since(self, position: int, prefix: bytes, codec: Codec[V]) -> tuple[list[tuple[bytes, V | None]], int]:
        """Return the keys that start with `prefix` and were written since a position, and the position of now.

        Positions count writes, from 0. The keys ascend and have their values as of now, None for a removed key; what
        the extrinsic being applied has written does not count yet.
        """
        keys = sorted({key for key in self._log[position:] if key.startswith(prefix)})
        return [(key, self._block[key].value(codec)) for key in keys], len(self._log)

    def changes(self) -> Changes:
        """Return what differs from the base, ascending by key; None stands for a removed key."""
        assert self._extrinsic is None, "an extrinsic is still being applied"
        written = ((key, entry.data()) for key, entry in self._block.items())
        return sorted((key, value) for key, value in written if self.base_value(key) != value)
