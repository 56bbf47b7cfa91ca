"""The metadata says of the runtime what the runtime's own declarations say, in types that clients know."""

from collections.abc import Iterator
from typing import Any

import pytest

from pallets.system.storage import CODE_KEY
from runtime.apis import RuntimeApis
from runtime.extrinsic import IMMORTAL, signing_payload
from runtime.header import DigestItem, DigestKind
from runtime.interface.pallet import Pallet
from runtime.interface.storage import StorageMap
from runtime.metadata import METADATA_VERSIONS
from runtime.metadata.extrinsic import SIGNED_EXTENSIONS
from runtime.metadata.records import V14, V15, Map, MetadataV14, MetadataV15, Plain
from runtime.metadata.registry import TypeRegistry
from runtime.metadata.types import (
    ArrayOf,
    CompactOf,
    Composite,
    PortableType,
    Primitive,
    SequenceOf,
    TupleOf,
    Type,
    Variants,
)
from runtime.primitives import Hash, Nonce
from runtime.scale import U8, U32, Bytes, Described, Reader, Vec
from tests.support.small_chain import PAIRS, SmallChain, remark, submit_rating
from tests.support.toy_pallet import toy_runtime

RUNTIME = SmallChain().runtime
APIS = RuntimeApis(RUNTIME)
LATEST: MetadataV15 = V15.decode(APIS.metadata(15)[5:])
OLD: MetadataV14 = V14.decode(APIS.metadata(14)[5:])


class TypeReader:
    """Reads values by the metadata alone, as a client does that knows nothing of the pallets."""

    def __init__(self, types: tuple[PortableType, ...]) -> None:
        self._types = [entry.type for entry in types]

    def read(self, identifier: int, reader: Reader) -> Any:
        definition = self._types[identifier].definition
        match definition:
            case Primitive():
                return self._primitive(definition, reader)
            case CompactOf():
                return reader.compact(128)
            case SequenceOf():
                return [self.read(definition.type, reader) for _ in range(reader.compact())]
            case ArrayOf():
                return [self.read(definition.type, reader) for _ in range(definition.length)]
            case TupleOf():
                return [self.read(inner, reader) for inner in definition.types]
            case Composite():
                return self._fields(definition.fields, reader)
            case Variants():
                index = reader.byte()
                case = next(case for case in definition.variants if case.index == index)
                return case.name, self._fields(case.fields, reader)

    def _primitive(self, kind: Primitive, reader: Reader) -> Any:
        if kind is Primitive.BOOL:
            return reader.byte() == 1
        if kind is Primitive.STR:
            return reader.take(reader.compact()).decode()
        size = int(kind.name[1:]) // 8
        return int.from_bytes(reader.take(size), "little", signed=kind.name[0] == "I")

    def _fields(self, fields: Any, reader: Reader) -> Any:
        values = [self.read(field.type, reader) for field in fields]
        return dict(zip([field.name or at for at, field in enumerate(fields)], values, strict=True))

    def decode(self, identifier: int, data: bytes) -> Any:
        reader = Reader(data)
        value = self.read(identifier, reader)
        assert reader.remaining == 0
        return value


READER = TypeReader(LATEST.types)


def referred(definition: object) -> Iterator[int]:
    match definition:
        case CompactOf() | SequenceOf() | ArrayOf():
            yield definition.type
        case TupleOf():
            yield from definition.types
        case Composite():
            yield from (field.type for field in definition.fields)
        case Variants():
            yield from (field.type for case in definition.variants for field in case.fields)


@pytest.mark.parametrize("metadata", [OLD, LATEST])
def test_every_id_that_is_named_has_a_type(metadata: MetadataV14 | MetadataV15) -> None:
    assert [entry.id for entry in metadata.types] == list(range(len(metadata.types)))
    assert len({entry.type for entry in metadata.types}) == len(metadata.types)
    named = {identifier for entry in metadata.types for identifier in referred(entry.type.definition)}
    named |= {parameter.type for entry in metadata.types for parameter in entry.type.parameters if parameter.type}
    for pallet in metadata.pallets:
        named |= {identifier for identifier in (pallet.calls, pallet.event, pallet.error) if identifier is not None}
        named |= {constant.type for constant in pallet.constants}
        for entry in pallet.storage.entries if pallet.storage else ():
            named |= {entry.kind.type} if isinstance(entry.kind, Plain) else {entry.kind.key, entry.kind.type}
    assert named < {entry.id for entry in metadata.types}


def test_both_versions_begin_alike_and_encode_again() -> None:
    for version, codec in ((14, V14), (15, V15)):
        data = APIS.metadata(version)
        assert data[:5] == b"meta" + bytes((version,))
        assert codec.encode(codec.decode(data[5:])) == data[5:]
    assert METADATA_VERSIONS == (14, 15)
    assert OLD.pallets != LATEST.pallets
    assert OLD.types == LATEST.types[: len(OLD.types)], "runtime APIs come last"


def test_clients_find_the_types_that_they_know_by_path() -> None:
    paths = {"::".join(entry.type.path) for entry in LATEST.types}
    assert paths >= {
        "sp_core::crypto::AccountId32",
        "primitive_types::H256",
        "sp_runtime::MultiSignature",
        "sp_runtime::multiaddress::MultiAddress",
        "sp_runtime::generic::era::Era",
        "sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic",
        "sp_runtime::generic::digest::Digest",
        "sp_runtime::generic::digest::DigestItem",
        "sp_runtime::DispatchError",
        "sp_runtime::ModuleError",
        "sp_weights::weight_v2::Weight",
        "frame_system::AccountInfo",
        "frame_system::EventRecord",
        "frame_system::Phase",
        "frame_support::dispatch::DispatchInfo",
        "frame_support::dispatch::DispatchClass",
        "frame_support::dispatch::Pays",
        "sp_version::RuntimeVersion",
        "frame_system::pallet::Call",
        "frame_system::pallet::Event",
        "pallet_timestamp::pallet::Call",
        "pallet_matrix_factorization::pallet::Call",
        "pallet_matrix_factorization::pallet::Event",
        "pallet_matrix_factorization::pallet::Error",
        "mfchain_runtime::RuntimeCall",
        "mfchain_runtime::RuntimeEvent",
    }


def test_every_declaration_of_every_pallet_is_there() -> None:
    assert [(pallet.name, pallet.index, pallet.docs) for pallet in LATEST.pallets] == [
        (pallet.name, pallet.index, (pallet.docs,)) for pallet in RUNTIME.pallets
    ]
    for declared, pallet in zip(RUNTIME.pallets, LATEST.pallets, strict=True):
        for cases, identifier in (
            (declared.calls, pallet.calls),
            (declared.events, pallet.event),
            (declared.errors, pallet.error),
        ):
            told = LATEST.types[identifier].type.definition if identifier is not None else Variants(())
            assert isinstance(told, Variants)
            assert [(case.index, case.name, case.docs) for case in told.variants] == [
                (case.index, case.name, (case.docs,)) for case in cases
            ]
        assert [(constant.name, constant.value) for constant in pallet.constants] == [
            (constant.name, constant.codec.encode(constant.value)) for constant in declared.constants
        ]
        for constant in pallet.constants:
            READER.decode(constant.type, constant.value)
        assert pallet.storage is not None
        assert pallet.storage.prefix == declared.name
        check_storage(declared, pallet.storage.entries)


def check_storage(declared: Pallet, entries: Any) -> None:
    for item, entry in zip(declared.storage, entries, strict=True):
        assert (entry.name, entry.docs, entry.has_default) == (item.name, (item.docs,), item.default is not None)
        assert entry.default == (item.codec.encode(item.default) if entry.has_default else b"\0")
        if entry.has_default:
            READER.decode(entry.kind.type, entry.default)
        if isinstance(item, StorageMap):
            assert isinstance(entry.kind, Map)
            assert entry.kind.hashers == (item.hasher.value,)


def test_a_whole_state_reads_by_the_metadata_alone() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(0, 1)), ("Bob", submit_rating(99, 1)), ("Bob", remark(b"hello")))
    prefixes = {
        item.prefix if isinstance(item, StorageMap) else item.key: (item, entry)
        for declared, pallet in zip(RUNTIME.pallets, LATEST.pallets, strict=True)
        for item, entry in zip(declared.storage, pallet.storage.entries if pallet.storage else (), strict=True)
    }
    seen = set()
    for key, value in chain.state.entries.items():
        if key == CODE_KEY:
            continue  # a well-known key of no pallet
        item, entry = prefixes[key[:32]]
        seen.add(entry.name)
        READER.decode(entry.kind.type, value)
        if isinstance(item, StorageMap):
            READER.decode(entry.kind.key, key[32 + item.hasher.prefix_length :])
    assert {"Account", "Events", "Digest", "Now", "Ratings", "Items", "Model", "Parameters"} < seen
    key, (_, entry) = next((key, found) for key, found in prefixes.items() if found[1].name == "Events")
    records = READER.decode(entry.kind.type, chain.state.entries[key])
    names = [(record["event"][0], record["event"][1][0][0]) for record in records]
    assert names[0] == ("System", "ExtrinsicSuccess")
    assert ("System", "ExtrinsicFailed") in names
    assert ("MatrixFactorization", "RatingSubmitted") in names
    failed = next(record for record in records if record["event"][1][0][0] == "ExtrinsicFailed")
    error = failed["event"][1][0][1]["dispatch_error"]
    assert error == ("Module", {0: {"index": 8, "error": [0, 0, 0, 0]}})
    assert failed["phase"] == ("ApplyExtrinsic", {0: 2})


def test_calls_read_by_the_metadata_alone() -> None:
    calls = LATEST.enums.call
    assert READER.decode(calls, submit_rating(7, -1)) == (
        "MatrixFactorization",
        {0: ("submit_rating", {"item": 7, "rating": -1})},
    )
    assert READER.decode(calls, remark(b"ab")) == ("System", {0: ("remark", {"remark": [97, 98]})})


def test_signed_extensions_are_what_is_signed() -> None:
    call, genesis, birth = remark(b"x"), Hash(b"g" * 32), Hash(b"b" * 32)
    payload = signing_payload(call, IMMORTAL, Nonce(3), 100, 1, genesis, birth)
    assert payload.startswith(call)
    extensions = LATEST.extrinsic.extensions
    assert [extension.name for extension in extensions] == [extension.name for extension in SIGNED_EXTENSIONS]
    reader = Reader(payload[len(call) :])
    extra = [READER.read(extension.type, reader) for extension in extensions]
    additional = [READER.read(extension.additional, reader) for extension in extensions]
    assert reader.remaining == 0
    assert extra == [[], [], [], [], ("Immortal", {}), 3, []]
    assert additional == [[], 100, 1, {0: list(genesis)}, {0: list(birth)}, [], []]


def test_the_parts_of_an_extrinsic_read_by_the_metadata_alone() -> None:
    raw = SmallChain().sign("Alice", submit_rating(0, 1))
    reader = Reader(raw)
    assert reader.compact() == reader.remaining
    assert reader.byte() == 0x80 | LATEST.extrinsic.version
    parts = LATEST.extrinsic
    assert READER.read(parts.address, reader) == ("Id", {0: {0: list(PAIRS["Alice"].public)}})
    assert READER.read(parts.signature, reader)[0] == "Ed25519"
    assert READER.read(parts.extra, reader)[4] == ("Immortal", {})
    assert READER.read(parts.call, reader)[0] == "MatrixFactorization"
    assert reader.remaining == 0
    unchecked = LATEST.types[OLD.extrinsic.type].type
    assert [parameter.type for parameter in unchecked.parameters] == [
        parts.address,
        parts.call,
        parts.signature,
        parts.extra,
    ]


@pytest.mark.parametrize(
    "item",
    [
        DigestItem(DigestKind.OTHER, payload=b"x"),
        DigestItem(DigestKind.CONSENSUS, b"abcd", b"x"),
        DigestItem(DigestKind.SEAL, b"abcd", b""),
        DigestItem(DigestKind.PRE_RUNTIME, b"pow_", bytes(32)),
        DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED),
    ],
)
def test_digest_items_read_by_the_metadata_alone(item: DigestItem) -> None:
    described = next(entry for entry in LATEST.types if entry.type.path[-1:] == ("DigestItem",))
    name, fields = READER.decode(described.id, item.encode())
    assert name == item.kind.name.title().replace("_", "")
    assert [bytes(value) for value in fields.values()] == [part for part in (item.engine, item.payload) if part] or (
        item.kind is DigestKind.SEAL
    )


def test_runtime_apis_are_described_but_the_one_that_would_mislead() -> None:
    assert [api.name for api in LATEST.apis] == [
        "Core",
        "Metadata",
        "TaggedTransactionQueue",
        "TransactionPaymentApi",
        "MatrixFactorizationApi",
    ]
    methods = {f"{api.name}_{method.name}": method for api in LATEST.apis for method in api.methods}
    predict = methods["MatrixFactorizationApi_predict"]
    assert [argument.name for argument in predict.arguments] == ["account", "item"]
    assert predict.docs
    assert READER.decode(predict.result, b"\1" + bytes(24))[0] == "Some"
    validate = methods["TaggedTransactionQueue_validate_transaction"].result
    assert READER.decode(validate, b"\1\0\3") == ("Err", {0: ("Invalid", {0: ("Stale", {})})})


def test_pallets_that_come_later_need_nothing_but_their_declarations() -> None:
    runtime = toy_runtime(SmallChain().limits)
    metadata = V15.decode(RuntimeApis(runtime).metadata(15)[5:])
    toy = metadata.pallets[-1]
    assert (toy.name, toy.index) == ("Toy", 200)
    assert toy.error is not None
    assert metadata.types[toy.error].type.path == ("pallet_toy", "pallet", "Error")
    reader = TypeReader(metadata.types)
    assert reader.decode(metadata.enums.event, b"\xc8\x00\x05\0\0\0") == ("Toy", {0: ("Added", {"value": 5})})


def test_equal_types_are_one() -> None:
    registry = TypeRegistry()
    assert registry.of(Bytes(1)) == registry.of(Bytes(2)) == registry.of(Vec(U8, 3))
    assert registry.of(Vec(U32, 5)) == registry.of(Vec(U32, 9))


def test_what_is_only_described_must_be_assigned() -> None:
    registry, moon = TypeRegistry(), Described("Moon")
    with pytest.raises(TypeError) as caught:
        registry.of(moon)
    assert str(caught.value) == "the metadata cannot describe the codec Described(name='Moon')"
    assert registry.assign(moon, Type(("a", "Moon"), (), TupleOf(()))) == registry.of(moon)
