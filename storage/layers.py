"""Changes over a state, in layers that stay few however many are put on top of one another."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from heapq import merge
from typing import Final, final

from runtime.interface.state import StateReader


@final
class Layer:
    """Values by storage key; None for a key that is not there. It never changes."""

    def __init__(self, values: Mapping[bytes, bytes | None]) -> None:
        """Take a mapping that nobody changes any more."""
        self.values: Final = values

    @cached_property
    def _keys(self) -> list[bytes]:
        return sorted(self.values)

    def items(self, prefix: bytes, after: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        keys, values = self._keys, self.values
        at = bisect_left(keys, prefix)
        if after is not None:
            at = max(at, bisect_right(keys, after))
        while at < len(keys) and keys[at].startswith(prefix):
            yield keys[at], values[keys[at]]
            at += 1


def put_on(layers: Sequence[Layer], values: Mapping[bytes, bytes | None]) -> tuple[Layer, ...]:
    """Return layers, the topmost first, with one more on top.

    Each is more than twice as large as the one on it: smaller ones become one with it. So there are as many as the
    logarithm of their size, and a value is copied about as often.
    """
    rest = 0
    while rest < len(layers) and len(layers[rest].values) <= 2 * len(values):
        values = {**layers[rest].values, **values}
        rest += 1
    return (Layer(values), *layers[rest:])


def walk(
    layers: Sequence[Layer], base: StateReader, prefix: bytes, after: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    """Walk a state under layers, the topmost first: keys with `prefix` that come after `after`, with their values."""
    ranked = [_ranked(layer.items(prefix, after), rank) for rank, layer in enumerate(layers)]
    last = None
    for key, _, value in merge(*ranked, _ranked(base.items(prefix, after), len(layers))):
        if key != last:
            last = key
            if value is not None:
                yield key, value


def _ranked(
    items: Iterator[tuple[bytes, bytes]] | Iterator[tuple[bytes, bytes | None]], rank: int
) -> Iterator[tuple[bytes, int, bytes | None]]:
    """Let the items of upper layers come before those of lower ones with the same key."""
    for key, value in items:
        yield key, rank, value
