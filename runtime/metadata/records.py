"""The metadata itself, versions 14 and 15: the records, and their wire form."""

from dataclasses import dataclass
from typing import Any, Final

from runtime.metadata.types import DOCS, ID, MOST, TEXT, TYPES, PortableType
from runtime.scale import U8, Bytes, Codec, Enum, Field, FixedBytes, Option, Struct, Variant, Vec, variant

MAGIC: Final = b"meta"


@dataclass(frozen=True, slots=True)
class Plain:
    """A storage item of one value."""

    type: int


@dataclass(frozen=True, slots=True)
class Map:
    """A storage item with a value for each key."""

    hashers: tuple[int, ...]
    key: int
    type: int


@dataclass(frozen=True, slots=True)
class StorageEntry:
    """A storage item; one with a default always has a value."""

    name: str
    has_default: bool
    kind: Plain | Map
    default: bytes
    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PalletStorage:
    """A pallet's storage items, and the name that their keys begin with."""

    prefix: str
    entries: tuple[StorageEntry, ...]


@dataclass(frozen=True, slots=True)
class ConstantEntry:
    """A constant and its SCALE-encoded value."""

    name: str
    type: int
    value: bytes
    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PalletV14:
    """A pallet; calls, events and errors are the ids of their enums."""

    name: str
    storage: PalletStorage | None
    calls: int | None
    event: int | None
    constants: tuple[ConstantEntry, ...]
    error: int | None
    index: int


@dataclass(frozen=True, slots=True)
class PalletV15(PalletV14):
    """The same with its documentation."""

    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtensionEntry:
    """A signed extension."""

    name: str
    type: int
    additional: int


@dataclass(frozen=True, slots=True)
class ExtrinsicV14:
    """How extrinsics are made."""

    type: int
    version: int
    extensions: tuple[ExtensionEntry, ...]


@dataclass(frozen=True, slots=True)
class ExtrinsicV15:
    """How extrinsics are made, part by part."""

    version: int
    address: int
    call: int
    signature: int
    extra: int
    extensions: tuple[ExtensionEntry, ...]


@dataclass(frozen=True, slots=True)
class ApiArgument:
    """An argument of a runtime API."""

    name: str
    type: int


@dataclass(frozen=True, slots=True)
class ApiMethodEntry:
    """A method of a runtime API."""

    name: str
    arguments: tuple[ApiArgument, ...]
    result: int
    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiEntry:
    """A runtime API."""

    name: str
    methods: tuple[ApiMethodEntry, ...]
    docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OuterEnums:
    """The enums of all calls, events and errors."""

    call: int
    event: int
    error: int


@dataclass(frozen=True, slots=True)
class MetadataV14:
    """What `state_getMetadata` gives."""

    types: tuple[PortableType, ...]
    pallets: tuple[PalletV14, ...]
    extrinsic: ExtrinsicV14
    runtime: int


@dataclass(frozen=True, slots=True)
class MetadataV15:
    """The same with runtime APIs; nothing is `custom`."""

    types: tuple[PortableType, ...]
    pallets: tuple[PalletV15, ...]
    extrinsic: ExtrinsicV15
    runtime: int
    apis: tuple[ApiEntry, ...]
    enums: OuterEnums
    custom: tuple[object, ...] = ()


_VALUE: Final = Bytes(1 << 24)
_KIND: Codec[Plain | Map] = Enum(
    "StorageEntryType",
    (
        variant(0, Plain, Field("type", ID)),
        variant(1, Map, Field("hashers", Vec(U8, MOST)), Field("key", ID), Field("type", ID)),
    ),
)
_MODIFIER: Codec[bool] = Enum(
    "StorageEntryModifier", (Variant(0, "Optional", value=False), Variant(1, "Default", value=True))
)
_STORAGE_ENTRY: Final = Struct(
    StorageEntry,
    (
        Field("name", TEXT),
        Field("has_default", _MODIFIER),
        Field("kind", _KIND),
        Field("default", _VALUE),
        Field("docs", DOCS),
    ),
)
_STORAGE: Final = Struct(PalletStorage, (Field("prefix", TEXT), Field("entries", Vec(_STORAGE_ENTRY, MOST))))
_CONSTANT: Final = Struct(
    ConstantEntry, (Field("name", TEXT), Field("type", ID), Field("value", _VALUE), Field("docs", DOCS))
)
_PALLET_FIELDS: Final = (
    Field("name", TEXT),
    Field("storage", Option(_STORAGE)),
    Field("calls", Option(ID)),
    Field("event", Option(ID)),
    Field("constants", Vec(_CONSTANT, MOST)),
    Field("error", Option(ID)),
    Field("index", U8),
)
_EXTENSIONS: Final = Vec(
    Struct(ExtensionEntry, (Field("name", TEXT), Field("type", ID), Field("additional", ID))), MOST
)
_API_METHOD: Final = Struct(
    ApiMethodEntry,
    (
        Field("name", TEXT),
        Field("arguments", Vec(Struct(ApiArgument, (Field("name", TEXT), Field("type", ID))), MOST)),
        Field("result", ID),
        Field("docs", DOCS),
    ),
)
_API: Final = Struct(ApiEntry, (Field("name", TEXT), Field("methods", Vec(_API_METHOD, MOST)), Field("docs", DOCS)))
_ENUMS: Final = Struct(OuterEnums, (Field("call", ID), Field("event", ID), Field("error", ID)))
_EXTRINSIC_V14: Final = Struct(
    ExtrinsicV14, (Field("type", ID), Field("version", U8), Field("extensions", _EXTENSIONS))
)
_EXTRINSIC_V15: Final = Struct(
    ExtrinsicV15,
    (
        Field("version", U8),
        *(Field(part, ID) for part in ("address", "call", "signature", "extra")),
        Field("extensions", _EXTENSIONS),
    ),
)
# A map without entries is all there is of the custom part.
_NOTHING: Codec[Any] = Vec(FixedBytes(1), 0)
V14: Codec[MetadataV14] = Struct(
    MetadataV14,
    (
        Field("types", TYPES),
        Field("pallets", Vec(Struct(PalletV14, _PALLET_FIELDS), MOST)),
        Field("extrinsic", _EXTRINSIC_V14),
        Field("runtime", ID),
    ),
)
V15: Codec[MetadataV15] = Struct(
    MetadataV15,
    (
        Field("types", TYPES),
        Field("pallets", Vec(Struct(PalletV15, (*_PALLET_FIELDS, Field("docs", DOCS))), MOST)),
        Field("extrinsic", _EXTRINSIC_V15),
        Field("runtime", ID),
        Field("apis", Vec(_API, MOST)),
        Field("enums", _ENUMS),
        Field("custom", _NOTHING),
    ),
)
