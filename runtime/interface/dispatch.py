"""How calls count and end, in the form in which events and runtime APIs tell of it."""

from dataclasses import dataclass

from runtime.interface.errors import (
    BAD_ORIGIN,
    CANNOT_LOOKUP,
    EXHAUSTED,
    MODULE_ERROR_INDEX,
    DispatchError,
    GenericError,
)
from runtime.interface.system import DispatchInfo
from runtime.interface.weights import DispatchClass
from runtime.scale import U8, Array, Codec, Compact, Enum, Field, Struct, Variant


@dataclass(frozen=True, slots=True)
class Weight:
    """Picoseconds of execution and bytes of proof."""

    ref_time: int
    proof_size: int


@dataclass(frozen=True, slots=True)
class DispatchInfoRecord:
    """Weight, class, and whether the sender paid a fee (nobody does)."""

    weight: Weight
    class_: DispatchClass
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
        Field("class_", DISPATCH_CLASS, "DispatchClass"),
        Field("pays_fee", PAYS, "Pays"),
    ),
    path=("frame_support", "dispatch", "DispatchInfo"),
)
MODULE_ERROR: Codec[ModuleError] = Struct(
    ModuleError,
    (Field("index", U8, "u8"), Field("error", Array(U8, 4), "[u8; MAX_MODULE_ERROR_ENCODED_SIZE]")),
    path=("sp_runtime", "ModuleError"),
)
DISPATCH_ERROR: Codec[ModuleError | GenericError] = Enum(
    "DispatchError",
    (
        Variant(CANNOT_LOOKUP.index, CANNOT_LOOKUP.name, value=CANNOT_LOOKUP),
        Variant(BAD_ORIGIN.index, BAD_ORIGIN.name, value=BAD_ORIGIN),
        Variant(MODULE_ERROR_INDEX, "Module", (Field("error", MODULE_ERROR, "ModuleError", anonymous=True),)),
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
