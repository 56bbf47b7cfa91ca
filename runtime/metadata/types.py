"""How the metadata describes a type (Substrate's scale-info): the records, and their own wire form."""

from dataclasses import dataclass
from enum import Enum as PythonEnum
from typing import Final, TypeAlias

from runtime.scale import U8, U32, Codec, Compact, Enum, Field, Option, Struct, Text, Variant, Vec, variant

# The bounds matter to no one: the metadata is only ever written. The codecs want to know one.
MOST: Final = 1 << 16
ID: Final = Compact(32)
TEXT: Final = Text(MOST)
DOCS: Final = Vec(TEXT, MOST)


@dataclass(frozen=True, slots=True)
class TypeField:
    """A part of a composite type or of a variant; `type` is the id of a type."""

    name: str | None
    type: int
    type_name: str | None = None
    docs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeVariant:
    """One case of an enum."""

    name: str
    fields: tuple[TypeField, ...]
    index: int
    docs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Composite:
    """Fields one after the other."""

    fields: tuple[TypeField, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """One of several cases."""

    variants: tuple[TypeVariant, ...]


@dataclass(frozen=True, slots=True)
class SequenceOf:
    """Any number of values of a type."""

    type: int


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A fixed number of values of a type."""

    length: int
    type: int


@dataclass(frozen=True, slots=True)
class TupleOf:
    """Values of different types."""

    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompactOf:
    """An integer in the variable-length form."""

    type: int


class Primitive(PythonEnum):
    """The types that are not built of others; the value is the index on the wire."""

    BOOL = 0
    STR = 2
    U8 = 3
    U16 = 4
    U32 = 5
    U64 = 6
    U128 = 7
    I8 = 9
    I16 = 10
    I32 = 11
    I64 = 12
    I128 = 13


Definition: TypeAlias = Composite | Variants | SequenceOf | ArrayOf | TupleOf | Primitive | CompactOf


@dataclass(frozen=True, slots=True)
class TypeParameter:
    """A generic parameter and what it is bound to."""

    name: str
    type: int | None


@dataclass(frozen=True, slots=True)
class Type:
    """A type: its path (namespace and name; empty for what is named by its structure) and its structure."""

    path: tuple[str, ...]
    parameters: tuple[TypeParameter, ...]
    definition: Definition
    docs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortableType:
    """A type with the id by which others name it."""

    id: int
    type: Type


_FIELDS: Final = Vec(
    Struct(
        TypeField,
        (Field("name", Option(TEXT)), Field("type", ID), Field("type_name", Option(TEXT)), Field("docs", DOCS)),
    ),
    MOST,
)
_VARIANTS: Final = Vec(
    Struct(TypeVariant, (Field("name", TEXT), Field("fields", _FIELDS), Field("index", U8), Field("docs", DOCS))),
    MOST,
)
_PRIMITIVE: Codec[Primitive] = Enum(
    "TypeDefPrimitive", tuple(Variant(kind.value, kind.name, value=kind) for kind in Primitive)
)
_DEFINITION: Codec[Definition] = Enum(
    "TypeDef",
    (
        variant(0, Composite, Field("fields", _FIELDS)),
        variant(1, Variants, Field("variants", _VARIANTS)),
        variant(2, SequenceOf, Field("type", ID)),
        variant(3, ArrayOf, Field("length", U32), Field("type", ID)),
        variant(4, TupleOf, Field("types", Vec(ID, MOST))),
        Variant(5, "Primitive", (Field("0", _PRIMITIVE),)),
        variant(6, CompactOf, Field("type", ID)),
    ),
)
_TYPE: Codec[Type] = Struct(
    Type,
    (
        Field("path", DOCS),
        Field("parameters", Vec(Struct(TypeParameter, (Field("name", TEXT), Field("type", Option(ID)))), MOST)),
        Field("definition", _DEFINITION),
        Field("docs", DOCS),
    ),
)
TYPES: Final = Vec(Struct(PortableType, (Field("id", ID), Field("type", _TYPE))), MOST)
