"""How the core reads a state, wherever it is kept."""

from collections.abc import Iterator
from typing import Protocol


class StateReader(Protocol):
    """A consistent, read-only mapping of storage keys to values.

    Whatever implements it answers for one block for as long as it lives: the head may move on meanwhile.
    """

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a storage key, or None if the state has no such key."""
        ...

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        ...
