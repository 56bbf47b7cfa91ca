"""How extrinsics end, for everybody to read."""

from dataclasses import dataclass

from pallets.system.storage import INDEX, PALLET
from runtime.interface.errors import (
    BAD_ORIGIN,
    CANNOT_LOOKUP,
    EXHAUSTED,
    MODULE_ERROR_INDEX,
    DispatchError,
    GenericError,
)
from runtime.interface.events import Event
from runtime.interface.system import DispatchInfo
from runtime.interface.weights import DispatchClass
from runtime.scale import (
    ACCOUNT_ID,
    H256,
    U8,
    Array,
    Codec,
    Compact,
    Enum,
    Field,
    Struct,
    Variant,
    encode_compact,
    variant,
)


@dataclass(frozen=True, slots=True)
class Weight:
    """Picoseconds of execution and bytes of proof."""

    ref_time: int
    proof_size: int


@dataclass(frozen=True, slots=True)
class DispatchInfoRecord:
    """Weight, class, and whether the sender paid a fee (nobody does)."""

    weight: Weight
    dispatch_class: DispatchClass
    pays_fee: str


@dataclass(frozen=True, slots=True)
class ModuleError:
    """An error of a pallet: the pallet's index, and the error's in the first of four bytes."""

    index: int
    error: tuple[int, ...]


WEIGHT: Codec[Weight] = Struct(
    Weight,
    (Field("ref_time", Compact(64), "u64"), Field("proof_size", Compact(64), "u64")),
    path=("sp_weights", "weight_v2", "Weight"),
)
DISPATCH_CLASS: Codec[DispatchClass] = Enum(
    "DispatchClass",
    (
        Variant(0, "Normal", value=DispatchClass.NORMAL),
        Variant(1, "Operational", value=DispatchClass.OPERATIONAL),
        Variant(2, "Mandatory", value=DispatchClass.MANDATORY),
    ),
    path=("frame_support", "dispatch", "DispatchClass"),
)
PAYS: Codec[str] = Enum(
    "Pays",
    (Variant(0, "Yes", value="Yes"), Variant(1, "No", value="No")),
    path=("frame_support", "dispatch", "Pays"),
)
DISPATCH_INFO: Codec[DispatchInfoRecord] = Struct(
    DispatchInfoRecord,
    (
        Field("weight", WEIGHT, "Weight"),
        Field("dispatch_class", DISPATCH_CLASS, "DispatchClass"),
        Field("pays_fee", PAYS, "Pays"),
    ),
    path=("frame_support", "dispatch", "DispatchInfo"),
)
DISPATCH_ERROR: Codec[ModuleError | GenericError] = Enum(
    "DispatchError",
    (
        Variant(CANNOT_LOOKUP.index, CANNOT_LOOKUP.name, value=CANNOT_LOOKUP),
        Variant(BAD_ORIGIN.index, BAD_ORIGIN.name, value=BAD_ORIGIN),
        variant(
            MODULE_ERROR_INDEX,
            ModuleError,
            Field("index", U8, "u8"),
            Field("error", Array(U8, 4), "[u8; MAX_MODULE_ERROR_ENCODED_SIZE]"),
        ),
        Variant(EXHAUSTED.index, EXHAUSTED.name, value=EXHAUSTED),
    ),
    path=("sp_runtime", "DispatchError"),
)


def record_error(error: DispatchError) -> ModuleError | GenericError:
    """Return the form in which an error stands in an event."""
    if isinstance(error, GenericError):
        return error
    return ModuleError(error.pallet_index, (error.index, 0, 0, 0))


def record_info(info: DispatchInfo) -> DispatchInfoRecord:
    """Return the form in which a cost stands in an event."""
    return DispatchInfoRecord(Weight(info.weight, 0), info.dispatch_class, "No")


EXTRINSIC_SUCCESS = Event(
    PALLET,
    INDEX,
    0,
    "ExtrinsicSuccess",
    (Field("dispatch_info", DISPATCH_INFO, "DispatchInfo"),),
    "An extrinsic completed.",
)
_SUCCESS_START = EXTRINSIC_SUCCESS.encode(record_info(DispatchInfo(0, DispatchClass.NORMAL)))[:2]
_SUCCESS_ENDS = {kind: DISPATCH_INFO.encode(record_info(DispatchInfo(0, kind)))[1:] for kind in DispatchClass}


def encode_success(info: DispatchInfo) -> bytes:
    """Encode ExtrinsicSuccess: of all its parts only the weight varies, and a block has thousands."""
    return _SUCCESS_START + encode_compact(info.weight) + _SUCCESS_ENDS[info.dispatch_class]


EXTRINSIC_FAILED = Event(
    PALLET,
    INDEX,
    1,
    "ExtrinsicFailed",
    (
        Field("dispatch_error", DISPATCH_ERROR, "DispatchError"),
        Field("dispatch_info", DISPATCH_INFO, "DispatchInfo"),
    ),
    "The call of an extrinsic failed; it changed nothing but the sender's nonce.",
)
NEW_ACCOUNT = Event(
    PALLET,
    INDEX,
    3,
    "NewAccount",
    (Field("account", ACCOUNT_ID, "AccountId"),),
    "An account sent its first transaction.",
)
REMARKED = Event(
    PALLET,
    INDEX,
    5,
    "Remarked",
    (Field("sender", ACCOUNT_ID, "AccountId"), Field("hash", H256, "Hash")),
    "Somebody noted something, by its hash.",
)
EVENTS = (EXTRINSIC_SUCCESS, EXTRINSIC_FAILED, NEW_ACCOUNT, REMARKED)
