"""Failures of a command, as its user sees them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from rpc.errors import RpcError


class Failing(StrEnum):
    """Why a command fails, beside the reasons that a node gives (rpc.errors) and the errors of pallets."""

    CONNECTION_FAILED = "ConnectionFailed"
    TIMED_OUT = "TimedOut"
    UNEXPECTED_ANSWER = "UnexpectedAnswer"
    NO_SIGNER = "NoSigner"
    INVALID_KEY = "InvalidKey"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_FILE = "InvalidFile"
    FILE_FAILED = "FileFailed"
    TRANSACTION_DROPPED = "TransactionDropped"
    CHAIN_CHANGED = "ChainChanged"
    ITEMS_REFUSED = "ItemsRefused"
    RATINGS_MISSING = "RatingsMissing"
    INTERRUPTED = "Interrupted"


class CommandError(Exception):
    """A failure with its reason (a `Failing`, or the name of a pallet's error), for the user to read."""

    def __init__(self, reason: str, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.reason = str(reason)
        self.message = message
        self.data = data


def describe(error: Exception) -> dict[str, object]:
    """Reason, message and data of any failure that a command may end with."""
    match error:
        case CommandError():
            return {"reason": error.reason, "message": error.message, "data": error.data}
        case RpcError():
            return {"reason": error.reason, "message": _sentence(error), "data": error.data}
        case TimeoutError():
            return {"reason": str(Failing.TIMED_OUT), "message": str(error), "data": None}
        case ConnectionError():
            return {"reason": str(Failing.CONNECTION_FAILED), "message": str(error), "data": None}
        case _:
            return {"reason": str(Failing.FILE_FAILED), "message": str(error), "data": None}


def _sentence(error: RpcError) -> str:
    """The message; Substrate's errors say what matters in their data."""
    return f"{error.message}: {error.data}" if isinstance(error.data, str) else error.message


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Within it, data of an unexpected form is the node's failure: a node may be of any make or version."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        message = f"the node's answer to {what} is not of the expected form"
        raise CommandError(Failing.UNEXPECTED_ANSWER, message) from error
