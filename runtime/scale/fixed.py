"""Values of fixed width, read and written by one call for all of them: what blocks hold thousands of.

The codecs in `basic` and `composite` define the encoding, one value after the other, and say what is wrong with bytes
or values. Where a type is a row of integers and byte strings of fixed width, the same bytes come out of one `struct`
call. Whatever that call does not take is left to them.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, final

from runtime.scale.basic import Codec, FixedBytes, Integer

_FORMATS: Final = {
    (8, False): "B",
    (16, False): "H",
    (32, False): "I",
    (64, False): "Q",
    (8, True): "b",
    (16, True): "h",
    (32, True): "i",
    (64, True): "q",
}


@final
class FixedLayout:
    """How a row of fixed-width values lies in bytes; `size` of them."""

    __slots__ = ("_lengths", "_row", "size")

    def __init__(self, row: str, lengths: tuple[tuple[int, int], ...]) -> None:
        """Use `layout_of`. `lengths`: places of byte strings in the row, and how long they are."""
        self._row = struct.Struct("<" + row)
        self._lengths = lengths
        self.size = self._row.size

    def pack(self, values: Sequence[Any]) -> bytes | None:
        """Return the bytes of as many values as the layout has; None if one does not fit its type."""
        for place, length in self._lengths:
            # A pad or a cut would go unnoticed.
            if len(values[place]) != length:
                return None
        try:
            return self._row.pack(*values)
        except struct.error:
            return None

    def unpack(self, data: bytes, offset: int) -> tuple[Any, ...] | None:
        """Return the values at an offset; None if the data ends before they do."""
        if len(data) - offset < self.size:
            return None
        return self._row.unpack_from(data, offset)

    def rows(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Walk rows that follow one another and fill the data."""
        return self._row.iter_unpack(data)


def layout_of(codecs: Sequence[Codec[Any]]) -> FixedLayout | None:
    """Return the layout of these codecs' values in a row, if all are integers of up to 64 bits or fixed bytes."""
    row, lengths = "", []
    for place, codec in enumerate(codecs):
        if isinstance(codec, FixedBytes):
            row += f"{codec.length}s"
            lengths.append((place, codec.length))
        elif isinstance(codec, Integer) and (one := _FORMATS.get((codec.bits, codec.signed))) is not None:
            row += one
        else:
            return None
    return FixedLayout(row, tuple(lengths)) if row else None
