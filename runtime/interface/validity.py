"""What a pool learns of a transaction from the runtime, in Substrate's form."""

from dataclasses import dataclass

from runtime.interface.errors import InvalidReason
from runtime.scale import BOOL, U64, Bytes, Codec, Enum, Field, Result, Struct, Variant, Vec

_MOST_TAGS = 1 << 10


@dataclass(frozen=True, slots=True)
class TransactionValidity:
    """A transaction that may be in the next blocks.

    It waits for others to have provided the tags that it `requires`. It is valid for `longevity` blocks.
    """

    priority: int
    requires: tuple[bytes, ...]
    provides: tuple[bytes, ...]
    longevity: int
    propagate: bool


_TAGS = Vec(Bytes(_MOST_TAGS), _MOST_TAGS)
TRANSACTION_VALIDITY: Codec[TransactionValidity] = Struct(
    TransactionValidity,
    (
        Field("priority", U64, "TransactionPriority"),
        Field("requires", _TAGS, "Vec<TransactionTag>"),
        Field("provides", _TAGS, "Vec<TransactionTag>"),
        Field("longevity", U64, "TransactionLongevity"),
        Field("propagate", BOOL, "bool"),
    ),
    path=("sp_runtime", "transaction_validity", "ValidTransaction"),
)

# The words on the right are Substrate's; what it has no word for is a call that is not expected.
_WORDS = {
    InvalidReason.UNDECODABLE: "Call",
    InvalidReason.BAD_CALL: "Call",
    InvalidReason.FUTURE: "Future",
    InvalidReason.STALE: "Stale",
    InvalidReason.BAD_PROOF: "BadProof",
    InvalidReason.ANCIENT_BIRTH_BLOCK: "AncientBirthBlock",
    InvalidReason.EXHAUSTS_RESOURCES: "ExhaustsResources",
    InvalidReason.TOO_LONG: "ExhaustsResources",
    InvalidReason.BAD_SIGNER: "BadSigner",
    InvalidReason.UNSIGNED: "NoUnsignedValidator",
    InvalidReason.ALREADY_JOINED: "Call",
    InvalidReason.BAD_WORK: "Call",
    InvalidReason.STALE_WORK: "Call",
    InvalidReason.QUEUE_FULL: "Call",
    InvalidReason.BARRED: "Call",
}


def validity_word(reason: InvalidReason) -> str:
    """Return Substrate's word for a reason, as TRANSACTION_VALIDITY_ERROR encodes it."""
    return _WORDS[reason]


_INVALID: Codec[str] = Enum(
    "InvalidTransaction",
    (
        Variant(0, "Call", value="Call"),
        Variant(2, "Future", value="Future"),
        Variant(3, "Stale", value="Stale"),
        Variant(4, "BadProof", value="BadProof"),
        Variant(5, "AncientBirthBlock", value="AncientBirthBlock"),
        Variant(6, "ExhaustsResources", value="ExhaustsResources"),
        Variant(10, "BadSigner", value="BadSigner"),
    ),
    path=("sp_runtime", "transaction_validity", "InvalidTransaction"),
)
_UNKNOWN: Codec[str] = Enum(
    "UnknownTransaction",
    (Variant(1, "NoUnsignedValidator", value="NoUnsignedValidator"),),
    path=("sp_runtime", "transaction_validity", "UnknownTransaction"),
)
TRANSACTION_VALIDITY_ERROR: Codec[str] = Enum(
    "TransactionValidityError",
    (
        Variant(0, "Invalid", (Field("error", _INVALID, "InvalidTransaction", anonymous=True),)),
        Variant(1, "Unknown", (Field("error", _UNKNOWN, "UnknownTransaction", anonymous=True),)),
    ),
    path=("sp_runtime", "transaction_validity", "TransactionValidityError"),
)
VALIDITY_RESULT = Result(TRANSACTION_VALIDITY, TRANSACTION_VALIDITY_ERROR)
SOURCE: Codec[str] = Enum(
    "TransactionSource",
    tuple(Variant(index, name, value=name) for index, name in enumerate(("InBlock", "Local", "External"))),
    path=("sp_runtime", "transaction_validity", "TransactionSource"),
)
