"""What can go wrong in a runtime, in three kinds.

- `DispatchFailed`: a call failed. Its changes are rolled back, the extrinsic stays in the block, the event
  `System.ExtrinsicFailed` records the error.
- `InvalidTransaction`: an extrinsic that may not be in a block (now, or ever). A pool refuses it.
- `InvalidBlock`: a block that breaks a rule. Nothing of it is kept.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PalletError:
    """One variant of a pallet's error enum; `index` is written down and never reused."""

    pallet: str
    pallet_index: int
    index: int
    name: str
    docs: str


@dataclass(frozen=True, slots=True)
class GenericError:
    """A variant of Substrate's `DispatchError` that belongs to no pallet."""

    index: int
    name: str
    docs: str


# Indices of sp_runtime::DispatchError.
CANNOT_LOOKUP = GenericError(1, "CannotLookup", "The account or item could not be looked up.")
BAD_ORIGIN = GenericError(2, "BadOrigin", "The call may not be made by this origin.")
EXHAUSTED = GenericError(10, "Exhausted", "A resource of the block is exhausted.")

DispatchError = PalletError | GenericError
MODULE_ERROR_INDEX = 3


class DispatchFailed(Exception):
    """A call ended with an error; the extrinsic is recorded as failed."""

    def __init__(self, error: DispatchError) -> None:
        """Carry `error`."""
        super().__init__(error.name)
        self.error = error


class InvalidReason(StrEnum):
    """Why an extrinsic may not enter a block."""

    UNDECODABLE = "Undecodable"
    TOO_LONG = "TooLong"
    BAD_PROOF = "BadProof"
    BAD_SIGNER = "BadSigner"
    STALE = "Stale"
    FUTURE = "Future"
    ANCIENT_BIRTH_BLOCK = "AncientBirthBlock"
    EXHAUSTS_RESOURCES = "ExhaustsResources"
    BAD_CALL = "Call"
    UNSIGNED = "NoUnsignedValidator"
    ALREADY_JOINED = "AlreadyJoined"
    BAD_WORK = "BadWork"
    STALE_WORK = "StaleWork"
    QUEUE_FULL = "QueueFull"
    BARRED = "Barred"

    @property
    def text(self) -> str:
        """Say it in the words that Substrate's clients look for, where there are such."""
        return _INVALID_TEXTS[self]


_INVALID_TEXTS = {
    InvalidReason.UNDECODABLE: "Transaction cannot be decoded",
    InvalidReason.TOO_LONG: "Transaction is too long",
    InvalidReason.BAD_PROOF: "Transaction has a bad signature",
    InvalidReason.BAD_SIGNER: "Invalid signing address",
    InvalidReason.STALE: "Transaction is outdated",
    InvalidReason.FUTURE: "Transaction will be valid in the future",
    InvalidReason.ANCIENT_BIRTH_BLOCK: "Transaction has an ancient birth block",
    InvalidReason.EXHAUSTS_RESOURCES: "Transaction would exhaust the block limits",
    InvalidReason.BAD_CALL: "Transaction call is not expected",
    InvalidReason.UNSIGNED: "Could not find an unsigned validator for the unsigned transaction",
    InvalidReason.ALREADY_JOINED: "The account is in the ring already, or waits to join it",
    InvalidReason.BAD_WORK: "The work is not enough to join",
    InvalidReason.STALE_WORK: "The work is for a block that is too old, or older than the account's last change",
    InvalidReason.QUEUE_FULL: "Too many accounts wait to join",
    InvalidReason.BARRED: "The account has contradicted itself and is barred",
}


class InvalidTransaction(Exception):
    """An extrinsic that may not be in this block."""

    def __init__(self, reason: InvalidReason, detail: str = "") -> None:
        """Name the reason; `detail` says more where there is more to say."""
        text = detail or reason.text
        super().__init__(text)
        self.reason = reason
        self.text = text


class BlockFault(StrEnum):
    """Which rule a block breaks."""

    WRONG_PARENT = "WrongParent"
    WRONG_NUMBER = "WrongNumber"
    BAD_DIGEST = "BadDigest"
    INHERENT_MISSING = "InherentMissing"
    INHERENT_MISPLACED = "InherentMisplaced"
    BAD_EXTRINSIC = "BadExtrinsic"
    BAD_TIMESTAMP = "BadTimestamp"
    BAD_CLAIM = "BadClaim"
    BAD_SEAL = "BadSeal"
    WRONG_SLOT = "WrongSlot"
    WRONG_AUTHOR = "WrongAuthor"
    BAD_WORK = "BadWork"
    NOT_TRUSTED = "NotTrusted"
    EXTRINSICS_ROOT = "ExtrinsicsRootMismatch"
    STATE_ROOT = "StateRootMismatch"


class InvalidBlock(Exception):
    """A block that breaks a rule; nothing of it is kept."""

    def __init__(self, fault: BlockFault, detail: str) -> None:
        """Name the broken rule and the particulars."""
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail
