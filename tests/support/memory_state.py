"""A state in a dict: the smallest thing that a runtime runs on."""

from collections.abc import Iterator, Mapping

from runtime.overlay import Changes


class MemoryState:
    """Keys and values of one state."""

    def __init__(self, entries: Mapping[bytes, bytes] | None = None) -> None:
        self.entries = dict(entries or {})

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.entries):
            if key.startswith(prefix) and (after is None or key > after):
                yield key, self.entries[key]

    def changed(self, changes: Changes) -> "MemoryState":
        """Return the state after some changes."""
        entries = dict(self.entries)
        for key, value in changes:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        return MemoryState(entries)
