"""From the pallets' declarations to the metadata by which clients read and write everything."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.header import DIGEST_ITEM, ENGINE_LENGTH, MAX_DIGEST_PAYLOAD, WITH_ENGINE, DigestKind
from runtime.interface.apis import RuntimeApi
from runtime.interface.calls import Call
from runtime.interface.errors import PalletError
from runtime.interface.events import RUNTIME_EVENT, Event
from runtime.interface.pallet import Constant, Pallet
from runtime.interface.storage import StorageMap, StorageValue
from runtime.metadata.extrinsic import RUNTIME_CALL, SIGNED_EXTENSIONS, describe_extrinsic
from runtime.metadata.records import (
    MAGIC,
    V14,
    V15,
    ApiArgument,
    ApiEntry,
    ApiMethodEntry,
    ConstantEntry,
    ExtensionEntry,
    ExtrinsicV14,
    ExtrinsicV15,
    Map,
    MetadataV14,
    MetadataV15,
    OuterEnums,
    PalletStorage,
    PalletV15,
    Plain,
    StorageEntry,
)
from runtime.metadata.registry import TypeRegistry
from runtime.metadata.types import Composite, Type, TypeField, TypeVariant, Variants
from runtime.scale import Bytes, Field, FixedBytes

EXTRINSIC_VERSION: Final = 4
METADATA_VERSIONS: Final = (14, 15)

_SYSTEM_INDEX: Final = 0
_NOTHING: Final = b"\x00"


def build_metadata(name: str, pallets: Sequence[Pallet], apis: Sequence[RuntimeApi], version: int) -> bytes:
    """Return the metadata of the runtime `name` in one of METADATA_VERSIONS: "meta", the version, and the rest."""
    assert version in METADATA_VERSIONS, f"there is no metadata of version {version}"
    builder = _Builder(f"{name}_runtime", pallets)
    encoded = V14.encode(builder.v14()) if version == 14 else V15.encode(builder.v15(apis))
    return MAGIC + bytes((version,)) + encoded


class _Builder:
    """One runtime's types, and what names them."""

    def __init__(self, crate: str, pallets: Sequence[Pallet]) -> None:
        """Describe the enums of all pallets first: other types are made of them."""
        registry = TypeRegistry()
        registry.assign(DIGEST_ITEM, _digest_item(registry))
        calls = {pallet.name: _pallet_enum(registry, pallet, "Call", pallet.calls) for pallet in pallets}
        events = {pallet.name: _pallet_enum(registry, pallet, "Event", pallet.events) for pallet in pallets}
        errors = {pallet.name: _pallet_enum(registry, pallet, "Error", pallet.errors) for pallet in pallets}
        self._outer = OuterEnums(
            call=registry.assign(RUNTIME_CALL, _outer_enum(pallets, (crate, "RuntimeCall"), calls)),
            event=registry.assign(RUNTIME_EVENT, _outer_enum(pallets, (crate, "RuntimeEvent"), events)),
            error=registry.add(_outer_enum(pallets, (crate, "RuntimeError"), errors)),
        )
        self._registry = registry
        self._extrinsic = describe_extrinsic(registry, self._outer.call)
        self._extensions = tuple(
            ExtensionEntry(extension.name, registry.of(extension.extra), registry.of(extension.additional))
            for extension in SIGNED_EXTENSIONS
        )
        self._runtime = registry.add(Type((crate, "Runtime"), (), Composite(())))
        self._pallets = tuple(
            PalletV15(
                pallet.name,
                self._storage(pallet),
                calls[pallet.name],
                events[pallet.name],
                tuple(self._constant(constant) for constant in pallet.constants),
                errors[pallet.name],
                pallet.index,
                (pallet.docs,),
            )
            for pallet in pallets
        )

    def v14(self) -> MetadataV14:
        """Return version 14, whose pallets are the later ones with less of them written."""
        extrinsic = ExtrinsicV14(self._extrinsic.extrinsic, EXTRINSIC_VERSION, self._extensions)
        return MetadataV14(self._registry.types, self._pallets, extrinsic, self._runtime)

    def v15(self, apis: Sequence[RuntimeApi]) -> MetadataV15:
        """Return version 15."""
        types = self._extrinsic
        extrinsic = ExtrinsicV15(
            EXTRINSIC_VERSION, types.address, types.call, types.signature, types.extra, self._extensions
        )
        entries = tuple(self._api(api) for api in apis if api.is_listed)
        return MetadataV15(self._registry.types, self._pallets, extrinsic, self._runtime, entries, self._outer)

    def _storage(self, pallet: Pallet) -> PalletStorage | None:
        if not pallet.storage:
            return None
        return PalletStorage(pallet.name, tuple(self._entry(item) for item in pallet.storage))

    def _entry(self, item: StorageValue[Any] | StorageMap[Any, Any]) -> StorageEntry:
        value = self._registry.of(item.codec)
        kind: Plain | Map = Plain(value)
        if isinstance(item, StorageMap):
            kind = Map((item.hasher.value,), self._registry.of(item.key_codec), value)
        has_default = item.default is not None
        default = item.codec.encode(item.default) if has_default else _NOTHING
        return StorageEntry(item.name, has_default, kind, default, (item.docs,))

    def _constant(self, constant: Constant) -> ConstantEntry:
        value = constant.codec.encode(constant.value)
        return ConstantEntry(constant.name, self._registry.of(constant.codec), value, (constant.docs,))

    def _api(self, api: RuntimeApi) -> ApiEntry:
        methods = tuple(
            ApiMethodEntry(
                method.name,
                tuple(ApiArgument(field.name, self._registry.of(field.codec)) for field in method.arguments),
                self._registry.of(method.result),
                (method.docs,),
            )
            for method in api.methods
        )
        return ApiEntry(api.name, methods, (api.docs,))


def _pallet_enum(
    registry: TypeRegistry, pallet: Pallet, kind: str, cases: Sequence[Call | Event | PalletError]
) -> int | None:
    """Describe the calls, events or errors of a pallet; None if it has none."""
    if not cases:
        return None
    variants = tuple(TypeVariant(case.name, registry.fields(_fields(case)), case.index, (case.docs,)) for case in cases)
    return registry.add(Type((_crate(pallet), "pallet", kind), (), Variants(variants)))


def _fields(case: Call | Event | PalletError) -> Sequence[Field]:
    if isinstance(case, Call):
        return case.arguments
    return case.fields if isinstance(case, Event) else ()


def _outer_enum(pallets: Sequence[Pallet], path: tuple[str, ...], inner: Mapping[str, int | None]) -> Type:
    """Describe the enum that has a variant for each pallet with calls, events or errors."""
    variants = tuple(
        TypeVariant(pallet.name, (TypeField(None, identifier),), pallet.index)
        for pallet in pallets
        if (identifier := inner[pallet.name]) is not None
    )
    return Type(path, (), Variants(variants))


def _crate(pallet: Pallet) -> str:
    """Return where Substrate would keep the pallet: clients look for some by that."""
    if pallet.index == _SYSTEM_INDEX:
        return "frame_system"
    return "pallet" + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in pallet.name)


def _digest_item(registry: TypeRegistry) -> Type:
    engine = TypeField(None, registry.of(FixedBytes(ENGINE_LENGTH)), "ConsensusEngineId")
    payload = TypeField(None, registry.of(Bytes(MAX_DIGEST_PAYLOAD)), "Vec<u8>")
    variants = []
    for kind in DigestKind:
        fields: tuple[TypeField, ...] = (engine, payload) if kind in WITH_ENGINE else (payload,)
        if kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            fields = ()
        variants.append(TypeVariant(kind.name.title().replace("_", ""), fields, kind.value))
    return Type(("sp_runtime", "generic", "digest", "DigestItem"), (), Variants(tuple(variants)))
