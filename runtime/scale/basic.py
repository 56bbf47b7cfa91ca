"""The base of all codecs, and those of numbers, bytes and text."""
# ruff: noqa: D102 -- the overrides do what Codec says of them

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, cast

from runtime.primitives import ACCOUNT_LENGTH, HASH_LENGTH, AccountId, BlockNumber, Hash, Nonce, Slot
from runtime.scale.reader import Reader, ScaleError, check_length, encode_compact

T = TypeVar("T")


class Codec(Generic[T]):
    """A type's wire form; the subclasses below are all there is."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The type's name in error messages."""
        raise NotImplementedError

    @property
    def min_size(self) -> int:
        """The length of the shortest encoding."""
        raise NotImplementedError

    def encode(self, value: T) -> bytes:
        """The bytes of `value`, or ScaleError if it is outside the type."""
        raise NotImplementedError

    def read(self, reader: Reader) -> T:
        """The value at the reader's position, which moves behind it."""
        raise NotImplementedError

    def decode(self, data: bytes) -> T:
        """The value that `data`, all of it, encodes."""
        reader = Reader(data)
        value = self.read(reader)
        if reader.offset != reader.end:
            left = reader.end - reader.offset
            raise ScaleError(f"{self.label} ends at offset {reader.offset}, {left} bytes are left over")
        return value


@dataclass(frozen=True, slots=True)
class Integer(Codec[int]):
    """A little-endian integer of fixed width."""

    bits: int
    signed: bool = False
    _size: int = field(init=False, repr=False, compare=False)
    _label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_size", self.bits // 8)
        object.__setattr__(self, "_label", f"{'i' if self.signed else 'u'}{self.bits}")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return self._size

    def encode(self, value: int) -> bytes:
        try:
            return value.to_bytes(self._size, "little", signed=self.signed)
        except OverflowError:
            raise ScaleError(f"{self._label} cannot hold {value}") from None

    def read(self, reader: Reader) -> int:
        return int.from_bytes(reader.take(self._size, self._label), "little", signed=self.signed)


@dataclass(frozen=True, slots=True)
class Boolean(Codec[bool]):
    """One byte, 0 or 1."""

    @property
    def label(self) -> str:
        return "bool"

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: bool) -> bytes:
        return b"\x01" if value else b"\x00"

    def read(self, reader: Reader) -> bool:
        value = reader.byte("bool")
        if value > 1:
            raise ScaleError(f"bool at offset {reader.offset - 1} must be 0 or 1, not {value}")
        return value == 1


@dataclass(frozen=True, slots=True)
class Compact(Codec[int]):
    """An unsigned integer below 2^`bits` in the variable-length form."""

    bits: int
    _label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_label", f"Compact<u{self.bits}>")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: int) -> bytes:
        if value < 0 or value >> self.bits:
            raise ScaleError(f"{self._label} cannot hold {value}")
        return encode_compact(value)

    def read(self, reader: Reader) -> int:
        return reader.compact(self.bits, self._label)


@dataclass(frozen=True, slots=True)
class Bytes(Codec[bytes]):
    """A compact length and that many bytes, at most `max_length`."""

    max_length: int

    @property
    def label(self) -> str:
        return "Bytes"

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: bytes) -> bytes:
        check_length(len(value), self.max_length, "Bytes")
        return encode_compact(len(value)) + value

    def read(self, reader: Reader) -> bytes:
        return reader.take(reader.length(1, self.max_length, "Bytes"), "Bytes")


@dataclass(frozen=True, slots=True)
class Text(Codec[str]):
    """UTF-8 text of at most `max_length` bytes (not characters)."""

    max_length: int

    @property
    def label(self) -> str:
        return "Text"

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: str) -> bytes:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise ScaleError("Text holds a lone surrogate, which UTF-8 cannot express") from None
        check_length(len(data), self.max_length, "Text")
        return encode_compact(len(data)) + data

    def read(self, reader: Reader) -> str:
        start = reader.offset
        data = reader.take(reader.length(1, self.max_length, "Text"), "Text")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ScaleError(f"Text at offset {start} is not UTF-8") from None


@dataclass(frozen=True, slots=True)
class FixedBytes(Codec[bytes]):
    """Exactly `length` bytes; a `path` names the newtype that the metadata shows for them."""

    length: int
    path: tuple[str, ...] = ()
    _label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_label", self.path[-1] if self.path else f"[u8; {self.length}]")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return self.length

    def encode(self, value: bytes) -> bytes:
        if len(value) != self.length:
            raise ScaleError(f"{self._label} takes {self.length} bytes, not {len(value)}")
        return bytes(value)

    def read(self, reader: Reader) -> bytes:
        return reader.take(self.length, self._label)


@dataclass(frozen=True, slots=True)
class Described(Codec[bytes]):
    """The place of a type in declarations whose bytes are read and written elsewhere, as its structure is not here.

    The metadata knows it by this object.
    """

    name: str

    @property
    def label(self) -> str:
        return self.name

    @property
    def min_size(self) -> int:
        return 1


U8: Final = Integer(8)
U16: Final = Integer(16)
U32: Final = Integer(32)
U64: Final = Integer(64)
U128: Final = Integer(128)
I8: Final = Integer(8, signed=True)
I16: Final = Integer(16, signed=True)
I32: Final = Integer(32, signed=True)
I64: Final = Integer(64, signed=True)
I128: Final = Integer(128, signed=True)
BOOL: Final = Boolean()

# The domain's own types: the plain codecs under a finer type, as a NewType is gone when the program runs.
H256: Final = cast("Codec[Hash]", FixedBytes(HASH_LENGTH, ("primitive_types", "H256")))
ACCOUNT_ID: Final = cast("Codec[AccountId]", FixedBytes(ACCOUNT_LENGTH, ("sp_core", "crypto", "AccountId32")))
BLOCK_NUMBER: Final = cast("Codec[BlockNumber]", U32)
NONCE: Final = cast("Codec[Nonce]", U32)
SLOT: Final = cast("Codec[Slot]", U64)
