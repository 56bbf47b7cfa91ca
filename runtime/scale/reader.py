"""Reading SCALE bytes: a cursor that checks before it takes, and the compact numbers."""

from typing import Final

_COMPACT_2_BYTES: Final = 1 << 6
_COMPACT_4_BYTES: Final = 1 << 14
_COMPACT_BIG: Final = 1 << 30
_LENGTH_BITS: Final = 32


class ScaleError(ValueError):
    """Bytes are no valid encoding, or a value has none; the message says what is wrong and where."""


class Reader:
    """A cursor over bytes; reading past the end is an error, never a short read."""

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes) -> None:
        """Start at the first byte of `data`."""
        self.data = data
        self.end = len(data)
        self.offset = 0

    @property
    def remaining(self) -> int:
        """How many bytes have not been read yet."""
        return self.end - self.offset

    def take(self, count: int, what: str = "value") -> bytes:
        """The next `count` bytes."""
        start = self.offset
        stop = start + count
        if stop > self.end:
            raise ScaleError(f"{what} at offset {start} needs {count} bytes, {self.end - start} are left")
        self.offset = stop
        return self.data[start:stop]

    def byte(self, what: str = "value") -> int:
        """The next byte as a number."""
        start = self.offset
        if start >= self.end:
            raise ScaleError(f"{what} at offset {start} needs 1 byte, none is left")
        self.offset = start + 1
        return self.data[start]

    def compact(self, bits: int = _LENGTH_BITS, what: str = "compact") -> int:
        """The next compact number, which must be in its shortest form and below 2^`bits`."""
        start = self.offset
        first = self.byte(what)
        mode = first & 3
        if mode == 0:
            value, least = first >> 2, 0
        elif mode < 3:
            size = 2 * mode
            value = int.from_bytes(self._rest(start, size, what), "little") >> 2
            least = _COMPACT_2_BYTES if mode == 1 else _COMPACT_4_BYTES
        else:
            size = (first >> 2) + 5
            value = int.from_bytes(self._rest(start, size, what)[1:], "little")
            least = _COMPACT_BIG if size == 5 else 1 << 8 * (size - 2)
        if value < least:
            raise ScaleError(f"{what} at offset {start} is longer than its value {value} needs")
        if value >> bits:
            raise ScaleError(f"{what} at offset {start} does not fit {bits} bits")
        return value

    def length(self, least_item: int, limit: int, what: str) -> int:
        """The element count of a sequence whose elements take `least_item` bytes or more each."""
        start = self.offset
        count = self.compact(_LENGTH_BITS, what)
        if count > limit:
            raise ScaleError(f"{what} at offset {start} has length {count}, at most {limit} is allowed")
        if count * least_item > self.end - self.offset:
            left = self.end - self.offset
            raise ScaleError(f"{what} at offset {start} claims length {count}, only {left} bytes are left")
        return count

    def _rest(self, start: int, size: int, what: str) -> bytes:
        """The `size` bytes from `start`, the first of which has been read already."""
        self.offset = start
        return self.take(size, what)


def encode_compact(value: int) -> bytes:
    """The shortest compact form of a number from 0 to 2^536 - 1."""
    if 0 <= value < _COMPACT_2_BYTES:
        return bytes((value << 2,))
    if value < 0:
        raise ScaleError(f"a compact cannot hold {value}")
    if value < _COMPACT_4_BYTES:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < _COMPACT_BIG:
        return (value << 2 | 2).to_bytes(4, "little")
    size = (value.bit_length() + 7) // 8
    if size > 67:
        raise ScaleError(f"a compact cannot hold a number of {value.bit_length()} bits")
    return bytes(((size - 4) << 2 | 3,)) + value.to_bytes(size, "little")


def check_length(count: int, limit: int, what: str) -> None:
    """Refuse to encode a sequence that is longer than its type allows."""
    if count > limit:
        raise ScaleError(f"{what} has length {count}, at most {limit} is allowed")
