"""The codecs that are built of other codecs: sequences, options, tuples, structs and enums."""
# ruff: noqa: D102 -- the overrides do what Codec says of them

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast, overload

from runtime.scale.basic import Codec
from runtime.scale.fixed import FixedLayout, layout_of
from runtime.scale.reader import Reader, ScaleError, check_length, encode_compact

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Vec(Codec[tuple[T, ...]], Generic[T]):
    """A compact count and that many elements, at most `max_length`."""

    inner: Codec[T]
    max_length: int
    _label: str = field(init=False, repr=False, compare=False)
    _least_item: int = field(init=False, repr=False, compare=False)
    _rows: FixedLayout | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_label", f"Vec<{self.inner.label}>")
        object.__setattr__(self, "_least_item", self.inner.min_size)
        object.__setattr__(self, "_rows", layout_of(self.inner.inner) if isinstance(self.inner, Tuple) else None)
        if not self._least_item:
            raise ValueError("a Vec of elements without bytes would cost time for nothing")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: Sequence[T]) -> bytes:
        check_length(len(value), self.max_length, self._label)
        return encode_compact(len(value)) + b"".join(map(self.inner.encode, value))

    def read(self, reader: Reader) -> tuple[T, ...]:
        count = reader.length(self._least_item, self.max_length, self._label)
        if self._rows is not None:
            # `length` has seen that the bytes are there.
            return cast("tuple[T, ...]", tuple(self._rows.rows(reader.take(count * self._rows.size, self._label))))
        read = self.inner.read
        return tuple([read(reader) for _ in range(count)])


@dataclass(frozen=True, slots=True)
class Array(Codec[tuple[T, ...]], Generic[T]):
    """Exactly `length` elements, without a count."""

    inner: Codec[T]
    length: int

    @property
    def label(self) -> str:
        return f"[{self.inner.label}; {self.length}]"

    @property
    def min_size(self) -> int:
        return self.length * self.inner.min_size

    def encode(self, value: Sequence[T]) -> bytes:
        if len(value) != self.length:
            raise ScaleError(f"{self.label} takes {self.length} elements, not {len(value)}")
        return b"".join(map(self.inner.encode, value))

    def read(self, reader: Reader) -> tuple[T, ...]:
        read = self.inner.read
        return tuple([read(reader) for _ in range(self.length)])


@dataclass(frozen=True, slots=True)
class Option(Codec[T | None], Generic[T]):
    """Nothing (None) or a value."""

    inner: Codec[T]
    _label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_label", f"Option<{self.inner.label}>")
        if isinstance(self.inner, Option):
            raise ValueError("an Option of an Option has two encodings of None")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return 1

    def encode(self, value: T | None) -> bytes:
        return b"\x00" if value is None else b"\x01" + self.inner.encode(value)

    def read(self, reader: Reader) -> T | None:
        flag = reader.byte(self._label)
        if flag > 1:
            raise ScaleError(f"{self._label} at offset {reader.offset - 1} must start with 0 or 1, not {flag}")
        return self.inner.read(reader) if flag else None


@dataclass(frozen=True, slots=True)
class Err(Generic[E]):
    """What stands in a Result instead of a value."""

    error: E


@dataclass(frozen=True, slots=True)
class Result(Codec[T | Err[E]], Generic[T, E]):
    """A value, or an error (wrapped in Err)."""

    value: Codec[T]
    error: Codec[E]

    def __post_init__(self) -> None:
        if isinstance(self.value, Result):
            raise ValueError("an Err in a Result of a Result could be the error of either")

    @property
    def label(self) -> str:
        return f"Result<{self.value.label}, {self.error.label}>"

    @property
    def min_size(self) -> int:
        return 1 + min(self.value.min_size, self.error.min_size)

    def encode(self, value: T | Err[E]) -> bytes:
        if isinstance(value, Err):
            return b"\x01" + self.error.encode(value.error)
        return b"\x00" + self.value.encode(value)

    def read(self, reader: Reader) -> T | Err[E]:
        flag = reader.byte(self.label)
        if flag > 1:
            raise ScaleError(f"{self.label} at offset {reader.offset - 1} must start with 0 or 1, not {flag}")
        return Err(self.error.read(reader)) if flag else self.value.read(reader)


@dataclass(frozen=True, slots=True, init=False)
class Tuple(Codec[T], Generic[T]):
    """Values of different types one after the other; without any it is the unit type, whose value is ()."""

    inner: tuple[Codec[Any], ...]

    @overload
    def __init__(self: "Tuple[tuple[()]]") -> None: ...
    @overload
    def __init__(self: "Tuple[tuple[A]]", a: Codec[A], /) -> None: ...
    @overload
    def __init__(self: "Tuple[tuple[A, B]]", a: Codec[A], b: Codec[B], /) -> None: ...
    @overload
    def __init__(self: "Tuple[tuple[A, B, C]]", a: Codec[A], b: Codec[B], c: Codec[C], /) -> None: ...
    @overload
    def __init__(self: "Tuple[tuple[A, B, C, D]]", a: Codec[A], b: Codec[B], c: Codec[C], d: Codec[D], /) -> None: ...
    def __init__(self, *inner: Codec[Any]) -> None:
        object.__setattr__(self, "inner", inner)

    @property
    def label(self) -> str:
        return f"({', '.join(codec.label for codec in self.inner)})"

    @property
    def min_size(self) -> int:
        return sum(codec.min_size for codec in self.inner)

    def encode(self, value: T) -> bytes:
        parts = cast("tuple[Any, ...]", value)
        if len(parts) != len(self.inner):
            raise ScaleError(f"{self.label} takes {len(self.inner)} values, not {len(parts)}")
        return b"".join([codec.encode(part) for codec, part in zip(self.inner, parts, strict=True)])

    def read(self, reader: Reader) -> T:
        return cast("T", tuple([codec.read(reader) for codec in self.inner]))


@dataclass(frozen=True, slots=True)
class Field:
    """A named part of a Struct or a Variant; the metadata leaves the name of an anonymous one out."""

    name: str
    codec: Codec[Any]
    type_name: str = ""
    docs: tuple[str, ...] = ()
    anonymous: bool = False


def shown_name(name: str) -> str:
    """A field's name as the world sees it: one that Python has taken for itself is written with a `_` behind it."""
    return name.removesuffix("_")


@dataclass(frozen=True, slots=True)
class Struct(Codec[T], Generic[T]):
    """Named fields one after the other; the value is an instance of the dataclass `python_type`.

    `parameters` are the generic ones of Substrate's type of this path, by which some clients find types.
    """

    python_type: type[T]
    fields: tuple[Field, ...]
    path: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    parameters: tuple[tuple[str, Codec[Any]], ...] = ()
    _writers: tuple[tuple[str, Callable[[Any], bytes]], ...] = field(init=False, repr=False, compare=False)
    _readers: tuple[Callable[[Reader], Any], ...] = field(init=False, repr=False, compare=False)
    _layout: FixedLayout | None = field(init=False, repr=False, compare=False)
    _row: Callable[[Any], tuple[Any, ...]] = field(init=False, repr=False, compare=False)
    _units: tuple[tuple[()], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared = [item.name for item in fields(cast("Any", self.python_type)) if item.init]
        given = [item.name for item in self.fields]
        if declared != given:
            raise ValueError(f"the fields of {self.label} are {declared}, the codec lists {given}")
        object.__setattr__(self, "_writers", tuple((item.name, item.codec.encode) for item in self.fields))
        object.__setattr__(self, "_readers", tuple(item.codec.read for item in self.fields))
        self._lay_out()

    def _lay_out(self) -> None:
        """See whether the fields, but for units at the end, have fixed width."""
        names, codecs = [item.name for item in self.fields], [item.codec for item in self.fields]
        while codecs and isinstance(codecs[-1], Tuple) and not codecs[-1].inner:
            codecs.pop()
        object.__setattr__(self, "_units", ((),) * (len(names) - len(codecs)))
        # For a single name attrgetter returns the bare value, not a row of one.
        object.__setattr__(self, "_layout", layout_of(codecs) if len(codecs) > 1 else None)
        object.__setattr__(self, "_row", attrgetter(*names[: len(codecs)]) if codecs else tuple)

    @property
    def label(self) -> str:
        return self.python_type.__name__

    @property
    def min_size(self) -> int:
        return sum(item.codec.min_size for item in self.fields)

    def encode(self, value: T) -> bytes:
        if not isinstance(value, self.python_type):
            raise ScaleError(f"{self.label} cannot hold a {type(value).__name__}")
        if self._layout is not None and (packed := self._layout.pack(self._row(value))) is not None:
            return packed
        parts = []
        for name, encode in self._writers:
            try:
                parts.append(encode(getattr(value, name)))
            except ScaleError as error:
                raise ScaleError(f"{self.label}.{name}: {error}") from None
        return b"".join(parts)

    def read(self, reader: Reader) -> T:
        if self._layout is not None and (row := self._layout.unpack(reader.data, reader.offset)) is not None:
            reader.offset += self._layout.size
            values: Sequence[Any] = (*row, *self._units)
        else:
            values = [read(reader) for read in self._readers]
        try:
            return self.python_type(*values)
        except ValueError as error:
            raise ScaleError(f"{self.label}: {error}") from None


@dataclass(frozen=True, slots=True)
class Variant:
    """One case of an Enum, in one of three shapes.

    With a `python_type` its values are instances of that dataclass. Without one, a variant with a single
    field (whose codec is a Struct or an Enum) stands for that field's own values, and one without fields for
    the constant `value`.
    """

    index: int
    name: str
    fields: tuple[Field, ...] = ()
    python_type: type[Any] | None = None
    value: Hashable = None
    docs: tuple[str, ...] = ()


def variant(index: int, python_type: type[Any], *parts: Field, docs: tuple[str, ...] = ()) -> Variant:
    """A Variant named like the dataclass of its values."""
    return Variant(index, python_type.__name__, parts, python_type, docs=docs)


def _always(value: Hashable) -> Callable[[Reader], Any]:
    """A reader of a variant without fields."""
    return lambda _: value


@dataclass(frozen=True, slots=True)
class Enum(Codec[T], Generic[T]):
    """One of several variants, told apart by an index byte; in Python by the value or its type."""

    name: str
    variants: tuple[Variant, ...]
    path: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    _by_index: dict[int, Callable[[Reader], Any]] = field(init=False, repr=False, compare=False)
    _by_type: dict[type[Any], tuple[bytes, Callable[[Any], bytes]]] = field(init=False, repr=False, compare=False)
    _by_value: dict[Hashable, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_index", {})
        object.__setattr__(self, "_by_type", {})
        object.__setattr__(self, "_by_value", {})
        for case in self.variants:
            self._add(case)
        names = [case.name for case in self.variants]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} has two variants of the same name")

    def _add(self, case: Variant) -> None:
        """Enter one variant into the tables by index, type and value."""
        prefix = bytes((case.index,))
        types: dict[type[Any], tuple[bytes, Callable[[Any], bytes]]] = {}
        if case.python_type is None and not case.fields:
            if case.value is None:
                raise ValueError(f"{self.name}.{case.name} needs a value or a python_type")
            read = _always(case.value)
            constants = {case.value: prefix}
        else:
            codec = self._payload(case)
            read = codec.read
            inner_types = list(codec._by_type) if isinstance(codec, Enum) else [codec.python_type]
            inner_constants = codec._by_value if isinstance(codec, Enum) else {}
            types = dict.fromkeys(inner_types, (prefix, codec.encode))
            constants = {value: prefix + data for value, data in inner_constants.items()}
        if case.index in self._by_index:
            raise ValueError(f"{self.name} has two variants of index {case.index}")
        if not self._by_type.keys().isdisjoint(types) or not self._by_value.keys().isdisjoint(constants):
            raise ValueError(f"the values of {self.name}.{case.name} are those of another variant")
        self._by_index[case.index] = read
        self._by_type.update(types)
        self._by_value.update(constants)

    def _payload(self, case: Variant) -> "Struct[Any] | Enum[Any]":
        """The codec of what follows the index byte."""
        if case.python_type is not None:
            return Struct(case.python_type, case.fields)
        codec = case.fields[0].codec
        if len(case.fields) != 1 or not isinstance(codec, Struct | Enum):
            raise ValueError(f"{self.name}.{case.name} needs a python_type: its values cannot be told apart")
        return codec

    @property
    def label(self) -> str:
        return self.name

    @property
    def min_size(self) -> int:
        sizes = [sum(item.codec.min_size for item in case.fields) for case in self.variants]
        return 1 + min(sizes, default=0)

    def encode(self, value: T) -> bytes:
        entry = self._by_type.get(type(value))
        if entry is not None:
            prefix, encode = entry
            return prefix + encode(value)
        try:
            constant = self._by_value.get(value)
        except TypeError:  # it has no hash, so it is none of the constants
            constant = None
        if constant is None:
            raise ScaleError(f"{self.name} has no variant for a {type(value).__name__}")
        return constant

    def read(self, reader: Reader) -> T:
        index = reader.byte(self.name)
        read = self._by_index.get(index)
        if read is None:
            raise ScaleError(f"{self.name} at offset {reader.offset - 1} has no variant {index}")
        return cast("T", read(reader))


UNIT: Final = Tuple()
