"""The runtime APIs that every chain has, and how a question finds the method that answers it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from runtime.executive import Runtime, TransactionValidator
from runtime.extrinsic import EXTRINSIC
from runtime.interface.apis import ApiContext, ApiMethod, RuntimeApi
from runtime.interface.dispatch import DISPATCH_CLASS, WEIGHT, Weight
from runtime.interface.errors import InvalidTransaction
from runtime.interface.pallet import Pallet
from runtime.interface.validity import (
    SOURCE,
    VALIDITY_RESULT,
    TransactionValidity,
    validity_word,
)
from runtime.interface.weights import DispatchClass
from runtime.metadata import METADATA_VERSIONS, build_metadata
from runtime.primitives import AccountId, Hash, Nonce
from runtime.scale import (
    ACCOUNT_ID,
    H256,
    NONCE,
    U32,
    U128,
    Bytes,
    Codec,
    Err,
    Field,
    Option,
    Reader,
    ScaleError,
    Struct,
    Vec,
)
from runtime.version import VERSION_RECORD, VersionRecord

_OPAQUE: Final = Bytes(1 << 24)


@dataclass(frozen=True, slots=True)
class FeeInfo:
    """What an extrinsic would cost; the fee is always zero."""

    weight: Weight
    class_: DispatchClass
    partial_fee: int


FEE_INFO: Codec[FeeInfo] = Struct(
    FeeInfo,
    (
        Field("weight", WEIGHT, "Weight"),
        Field("class_", DISPATCH_CLASS, "DispatchClass"),
        Field("partial_fee", U128, "Balance"),
    ),
    path=("pallet_transaction_payment", "types", "RuntimeDispatchInfo"),
)


class UnknownApi(Exception):
    """The runtime has no API method of this name."""


class RuntimeApis:
    """All questions that a runtime answers, by their full names: `Core_version`, say."""

    def __init__(self, runtime: Runtime) -> None:
        """Take the APIs of every chain, which are about the runtime as a whole, and those of its pallets."""
        self.runtime = runtime
        pallets = [api for pallet in runtime.pallets for api in pallet.apis]
        self._apis = (*CORE_APIS, *pallets)
        self._functions: dict[str, Callable[..., object]] = {}
        self._methods: dict[str, ApiMethod] = {}
        for api in self._apis:
            for method in api.methods:
                name = f"{api.name}_{method.name}"
                self._methods[name] = method
                self._functions[name] = partial(method.function, self) if api in CORE_APIS else method.function
        self._metadata: dict[int, bytes] = {}

    def metadata(self, version: int) -> bytes:
        """Return the metadata in one of METADATA_VERSIONS."""
        found = self._metadata.get(version)
        if found is None:
            found = build_metadata(self.runtime.version.spec_name, self.runtime.pallets, self._apis, version)
            self._metadata[version] = found
        return found

    def call(self, name: str, data: bytes, context: ApiContext) -> bytes:
        """Answer a question.

        Raises:
            UnknownApi: there is no such method.
            ScaleError: `data` is not the method's arguments.
        """
        method = self._methods.get(name)
        if method is None:
            raise UnknownApi(name)
        arguments = _arguments(method, data)
        return method.result.encode(self._functions[name](context, *arguments))


def _arguments(method: ApiMethod, data: bytes) -> list[object]:
    reader = Reader(data)
    arguments = [argument.codec.read(reader) for argument in method.arguments]
    if reader.remaining:
        raise ScaleError(f"the arguments end at offset {reader.offset}, {reader.remaining} bytes are left over")
    return arguments


def api_versions(pallets: Iterable[Pallet]) -> tuple[tuple[str, int], ...]:
    """Return names and versions of all APIs of a runtime with these pallets, for its RuntimeVersion."""
    apis = (*CORE_APIS, *(api for pallet in pallets for api in pallet.apis))
    return tuple((api.name, api.version) for api in apis)


def query_info(runtime: Runtime, extrinsic: bytes) -> FeeInfo:
    """Return what an extrinsic counts in a block.

    Raises:
        InvalidTransaction: it does not decode.
    """
    prepared = runtime.prepare(extrinsic)
    return FeeInfo(Weight(prepared.weight, 0), prepared.call.call.dispatch_class, 0)


def _core_version(apis: RuntimeApis, _context: ApiContext) -> VersionRecord:
    return apis.runtime.version.record()


def _metadata(apis: RuntimeApis, _context: ApiContext) -> bytes:
    return apis.metadata(METADATA_VERSIONS[0])


def _metadata_at_version(apis: RuntimeApis, _context: ApiContext, version: int) -> bytes | None:
    return apis.metadata(version) if version in METADATA_VERSIONS else None


def _metadata_versions(_apis: RuntimeApis, _context: ApiContext) -> tuple[int, ...]:
    return METADATA_VERSIONS


def _account_nonce(apis: RuntimeApis, context: ApiContext, account: AccountId) -> Nonce:
    return apis.runtime.system.nonce(context.state, account)


def _validate_transaction(
    apis: RuntimeApis, context: ApiContext, _source: str, extrinsic: bytes, _block: Hash
) -> TransactionValidity | Err[str]:
    """Judge a transaction for the block after the one that is asked, whose hash the arguments repeat."""
    try:
        validator = TransactionValidator(apis.runtime, context.state, context.block)
        valid = validator.validate(apis.runtime.prepare(extrinsic))
    except InvalidTransaction as error:
        return Err(validity_word(error.reason))

    def tag(nonce: int) -> bytes:
        return valid.account + NONCE.encode(Nonce(nonce))

    requires = (tag(valid.nonce - 1),) if valid.is_future else ()
    longevity = min(valid.longevity - context.block.number, _LONGEST)
    return TransactionValidity(0, requires, (tag(valid.nonce),), longevity, propagate=True)


def _query_info(apis: RuntimeApis, _context: ApiContext, extrinsic: bytes, _length: int) -> FeeInfo:
    try:
        return query_info(apis.runtime, extrinsic)
    except InvalidTransaction as error:
        raise ScaleError(error.text) from None


_LONGEST: Final = (1 << 64) - 1
_EXTRINSIC: Final = Field("uxt", EXTRINSIC)

CORE_APIS: Final = (
    RuntimeApi(
        "Core",
        5,
        (ApiMethod("version", (), VERSION_RECORD, _core_version, "The version of the runtime."),),
        "What every runtime answers.",
    ),
    RuntimeApi(
        "Metadata",
        2,
        (
            ApiMethod("metadata", (), _OPAQUE, _metadata, "The metadata in its oldest version here."),
            ApiMethod(
                "metadata_at_version",
                (Field("version", U32),),
                Option(_OPAQUE),
                _metadata_at_version,
                "The metadata in a given version, if there is such.",
            ),
            ApiMethod("metadata_versions", (), Vec(U32, 16), _metadata_versions, "The versions of the metadata."),
        ),
        "How to talk to the runtime.",
    ),
    # polkadot.js would ask this one for nonces, which knows nothing of the pool, instead of system_accountNextIndex.
    RuntimeApi(
        "AccountNonceApi",
        1,
        (
            ApiMethod(
                "account_nonce",
                (Field("account", ACCOUNT_ID),),
                NONCE,
                _account_nonce,
                "How many transactions of an account are in the chain.",
            ),
        ),
        "Nonces.",
        is_listed=False,
    ),
    RuntimeApi(
        "TaggedTransactionQueue",
        3,
        (
            ApiMethod(
                "validate_transaction",
                (Field("source", SOURCE), Field("tx", EXTRINSIC), Field("block_hash", H256)),
                VALIDITY_RESULT,
                _validate_transaction,
                "Whether a transaction may be in the next block, or one after it.",
            ),
        ),
        "What a transaction pool asks.",
    ),
    RuntimeApi(
        "TransactionPaymentApi",
        4,
        (
            ApiMethod(
                "query_info",
                (_EXTRINSIC, Field("len", U32)),
                FEE_INFO,
                _query_info,
                "What an extrinsic counts in a block, and its fee, which is zero.",
            ),
        ),
        "Weights and fees.",
    ),
)
