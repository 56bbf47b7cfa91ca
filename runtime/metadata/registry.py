"""From codecs to the types of the metadata."""

from collections.abc import Callable, Iterable
from typing import Any

from runtime.metadata.types import (
    ArrayOf,
    CompactOf,
    Composite,
    PortableType,
    Primitive,
    SequenceOf,
    TupleOf,
    Type,
    TypeField,
    TypeParameter,
    TypeVariant,
    Variants,
)
from runtime.scale import (
    U8,
    Array,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Enum,
    Field,
    FixedBytes,
    Integer,
    Option,
    PackedArray,
    Result,
    Struct,
    Text,
    Tuple,
    Vec,
    shown_name,
)


class TypeRegistry:
    """Gives every type an id, equal types the same one."""

    def __init__(self) -> None:
        """Start empty."""
        self._ids: dict[Type, int] = {}
        self._by_codec: dict[Codec[Any], int] = {}

    def add(self, described: Type) -> int:
        """Return the id of a type, a new one if there is no equal type yet."""
        return self._ids.setdefault(described, len(self._ids))

    def assign(self, codec: Codec[Any], described: Type) -> int:
        """Say what a codec is whose structure other code knows; return the type's id."""
        identifier = self.add(described)
        self._by_codec[codec] = identifier
        return identifier

    def of(self, codec: Codec[Any]) -> int:
        """Return the id of a codec's type. Raises TypeError for a codec of an unknown kind."""
        known = self._by_codec.get(codec)
        if known is None:
            known = self.of(codec.plain) if isinstance(codec, PackedArray) else self.add(self._describe(codec))
            self._by_codec[codec] = known
        return known

    def fields(self, fields: Iterable[Field]) -> tuple[TypeField, ...]:
        """Describe the fields of a struct, a variant, a call or an event."""
        return tuple(
            TypeField(
                None if field.anonymous else shown_name(field.name),
                self.of(field.codec),
                field.type_name or None,
                field.docs,
            )
            for field in fields
        )

    @property
    def types(self) -> tuple[PortableType, ...]:
        """Return all types, ascending by id."""
        return tuple(PortableType(identifier, described) for described, identifier in self._ids.items())

    def _describe(self, codec: Codec[Any]) -> Type:
        describe = _KINDS.get(type(codec))
        if describe is None:
            raise TypeError(f"the metadata cannot describe the codec {codec!r}")
        return describe(self, codec)


def _integer(_registry: TypeRegistry, codec: Integer) -> Type:
    return Type((), (), Primitive[codec.label.upper()])


def _boolean(_registry: TypeRegistry, _codec: Boolean) -> Type:
    return Type((), (), Primitive.BOOL)


def _text(_registry: TypeRegistry, _codec: Text) -> Type:
    return Type((), (), Primitive.STR)


def _compact(registry: TypeRegistry, codec: Compact) -> Type:
    return Type((), (), CompactOf(registry.of(Integer(codec.bits))))


def _bytes(registry: TypeRegistry, _codec: Bytes) -> Type:
    return Type((), (), SequenceOf(registry.of(U8)))


def _fixed_bytes(registry: TypeRegistry, codec: FixedBytes) -> Type:
    array = Type((), (), ArrayOf(codec.length, registry.of(U8)))
    if not codec.path:
        return array
    return Type(codec.path, (), Composite((TypeField(None, registry.add(array), f"[u8; {codec.length}]"),)))


def _sequence(registry: TypeRegistry, codec: Vec[Any]) -> Type:
    return Type((), (), SequenceOf(registry.of(codec.inner)))


def _array(registry: TypeRegistry, codec: Array[Any]) -> Type:
    return Type((), (), ArrayOf(codec.length, registry.of(codec.inner)))


def _tuple(registry: TypeRegistry, codec: Tuple[Any]) -> Type:
    return Type((), (), TupleOf(tuple(registry.of(inner) for inner in codec.inner)))


def _option(registry: TypeRegistry, codec: Option[Any]) -> Type:
    inner = registry.of(codec.inner)
    variants = (TypeVariant("None", (), 0), TypeVariant("Some", (TypeField(None, inner),), 1))
    return Type(("Option",), (TypeParameter("T", inner),), Variants(variants))


def _result(registry: TypeRegistry, codec: Result[Any, Any]) -> Type:
    value, error = registry.of(codec.value), registry.of(codec.error)
    variants = (TypeVariant("Ok", (TypeField(None, value),), 0), TypeVariant("Err", (TypeField(None, error),), 1))
    return Type(("Result",), (TypeParameter("T", value), TypeParameter("E", error)), Variants(variants))


def _struct(registry: TypeRegistry, codec: Struct[Any]) -> Type:
    parameters = tuple(TypeParameter(name, registry.of(bound)) for name, bound in codec.parameters)
    return Type(codec.path, parameters, Composite(registry.fields(codec.fields)), codec.docs)


def _enum(registry: TypeRegistry, codec: Enum[Any]) -> Type:
    variants = tuple(
        TypeVariant(case.name, registry.fields(case.fields), case.index, case.docs) for case in codec.variants
    )
    return Type(codec.path, (), Variants(variants), codec.docs)


_KINDS: dict[type[Any], Callable[[TypeRegistry, Any], Type]] = {
    Integer: _integer,
    Boolean: _boolean,
    Text: _text,
    Compact: _compact,
    Bytes: _bytes,
    FixedBytes: _fixed_bytes,
    Vec: _sequence,
    Array: _array,
    Tuple: _tuple,
    Option: _option,
    Result: _result,
    Struct: _struct,
    Enum: _enum,
}
