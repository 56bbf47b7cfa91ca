"""Declared storage: a pallet names its items once, with their hashers and SCALE types.

The declarations give the storage keys, the typed access from calls and hooks, and later the metadata.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final, Generic, Protocol, TypeVar

from runtime.interface.state import StateReader
from runtime.overlay import Overlay
from runtime.primitives import blake2b_128_concat, twox_64_concat, twox_128
from runtime.scale import Codec

K = TypeVar("K")
V = TypeVar("V")

_KEYS_KEPT: Final = 1 << 13


class StateWriter(StateReader, Protocol):
    """State that a call may change: the overlay of a block."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove a key; removing what is not there is no error."""
        ...


def _find(state: StateReader, key: bytes, codec: Codec[V]) -> V | None:
    """Return the value of a storage key; an overlay has it decoded already if the block has met it."""
    if isinstance(state, Overlay):
        return state.find(key, codec)
    data = state.get(key)
    return None if data is None else codec.decode(data)


def _put(state: StateWriter, key: bytes, value: V, codec: Codec[V]) -> None:
    """Set a storage key; an overlay encodes the value when its bytes are needed."""
    if isinstance(state, Overlay):
        state.put_value(key, value, codec)
    else:
        state.put(key, codec.encode(value))


class Hasher(Enum):
    """How a map's key becomes part of the storage key; values are Substrate's metadata indices."""

    BLAKE2_128_CONCAT = 2
    TWOX_64_CONCAT = 5
    IDENTITY = 6

    def hash(self, data: bytes) -> bytes:
        """Return the bytes that stand in the storage key for the encoded map key `data`."""
        if self is Hasher.BLAKE2_128_CONCAT:
            return blake2b_128_concat(data)
        if self is Hasher.TWOX_64_CONCAT:
            return twox_64_concat(data)
        return data

    @property
    def prefix_length(self) -> int:
        """How many bytes stand before the encoded map key."""
        return {Hasher.BLAKE2_128_CONCAT: 16, Hasher.TWOX_64_CONCAT: 8, Hasher.IDENTITY: 0}[self]


@dataclass(frozen=True, slots=True)
class StorageValue(Generic[V]):
    """One value of a pallet. Without a `default` it is optional: read it with `find`."""

    pallet: str
    name: str
    codec: Codec[V]
    docs: str
    default: V | None = None
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Derive the storage key."""
        object.__setattr__(self, "key", twox_128(self.pallet.encode()) + twox_128(self.name.encode()))

    def find(self, state: StateReader) -> V | None:
        """Return the value, or None if there is none."""
        return _find(state, self.key, self.codec)

    def get(self, state: StateReader) -> V:
        """Return the value, or the declared default."""
        value = _find(state, self.key, self.codec)
        if value is not None:
            return value
        assert self.default is not None, f"{self.pallet}.{self.name} has no default: use find"
        return self.default

    def put(self, state: StateWriter, value: V) -> None:
        """Set the value."""
        _put(state, self.key, value, self.codec)

    def kill(self, state: StateWriter) -> None:
        """Remove the value."""
        state.delete(self.key)


@dataclass(frozen=True, slots=True)
class StorageMap(Generic[K, V]):
    """A map of a pallet. Without a `default` its values are optional: read them with `find`."""

    pallet: str
    name: str
    hasher: Hasher
    key_codec: Codec[K]
    codec: Codec[V]
    docs: str
    default: V | None = None
    prefix: bytes = field(init=False)
    _key: Callable[[K], bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the storage prefix."""
        object.__setattr__(self, "prefix", twox_128(self.pallet.encode()) + twox_128(self.name.encode()))
        # A block asks for the keys of the same few accounts again and again.
        object.__setattr__(self, "_key", lru_cache(maxsize=_KEYS_KEPT)(self._make_key))

    def _make_key(self, key: K) -> bytes:
        return self.prefix + self.hasher.hash(self.key_codec.encode(key))

    def key(self, key: K) -> bytes:
        """Return the storage key of one entry."""
        return self._key(key)

    def find(self, state: StateReader, key: K) -> V | None:
        """Return an entry's value, or None if there is none."""
        return _find(state, self.key(key), self.codec)

    def get(self, state: StateReader, key: K) -> V:
        """Return an entry's value, or the declared default."""
        value = _find(state, self.key(key), self.codec)
        if value is not None:
            return value
        assert self.default is not None, f"{self.pallet}.{self.name} has no default: use find"
        return self.default

    def put(self, state: StateWriter, key: K, value: V) -> None:
        """Set an entry."""
        _put(state, self.key(key), value, self.codec)

    def remove(self, state: StateWriter, key: K) -> None:
        """Remove an entry."""
        state.delete(self.key(key))

    def contains(self, state: StateReader, key: K) -> bool:
        """Tell whether there is such an entry."""
        return state.get(self.key(key)) is not None

    def items(self, state: StateReader) -> Iterator[tuple[K, V]]:
        """Walk all entries, in the order of their storage keys."""
        for storage_key, data in state.items(self.prefix):
            yield self.key_of(storage_key), self.codec.decode(data)

    def key_of(self, storage_key: bytes) -> K:
        """Recover the map key from a storage key of this map."""
        return self.key_codec.decode(storage_key[len(self.prefix) + self.hasher.prefix_length :])
