"""Every reason for which a call can fail, with its JSON-RPC code."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from runtime.interface.errors import InvalidReason
from runtime.primitives import Hash, to_hex

# Above this a JSON number loses digits in a client that holds numbers as binary64.
LARGEST_SAFE_INTEGER: Final = 2**53

ErrorData: TypeAlias = str | Mapping[str, object] | None


class Reason(StrEnum):
    """Why a call failed: the stable name that clients and metrics may rely on."""

    PARSE_ERROR = "ParseError"
    INVALID_REQUEST = "InvalidRequest"
    METHOD_NOT_FOUND = "MethodNotFound"
    METHOD_IS_UNSAFE = "MethodIsUnsafe"
    NEEDS_WEBSOCKET = "NeedsWebSocket"
    INVALID_PARAMS = "InvalidParams"
    INTERNAL_ERROR = "InternalError"
    TOO_MANY_FOLLOWS = "TooManyFollows"
    NOT_PINNED = "NotPinned"
    INVALID_CONTINUE = "InvalidContinue"
    DUPLICATE_HASHES = "DuplicateHashes"
    BAD_FORMAT = "BadFormat"
    INVALID_TRANSACTION = "InvalidTransaction"
    UNKNOWN_VALIDITY = "UnknownValidity"
    TEMPORARILY_BANNED = "TemporarilyBanned"
    ALREADY_IMPORTED = "AlreadyImported"
    PRIORITY_TOO_LOW = "PriorityTooLow"
    POOL_FULL = "PoolFull"
    UNKNOWN_ITEM = "UnknownItem"
    UNKNOWN_BLOCK = "UnknownBlock"
    STATE_PRUNED = "StatePruned"
    TOO_MANY = "TooMany"
    NOT_READY = "NotReady"
    RATE_LIMITED = "RateLimited"


CODES: Final[Mapping[Reason, int]] = MappingProxyType(
    {
        Reason.PARSE_ERROR: -32700,
        Reason.INVALID_REQUEST: -32600,
        Reason.METHOD_NOT_FOUND: -32601,
        # Substrate answers a refused method as if it were not there.
        Reason.METHOD_IS_UNSAFE: -32601,
        Reason.NEEDS_WEBSOCKET: -32601,
        Reason.INVALID_PARAMS: -32602,
        Reason.INTERNAL_ERROR: -32603,
        Reason.TOO_MANY_FOLLOWS: -32800,
        Reason.NOT_PINNED: -32801,
        Reason.INVALID_CONTINUE: -32803,
        Reason.DUPLICATE_HASHES: -32804,
        Reason.BAD_FORMAT: 1001,
        Reason.INVALID_TRANSACTION: 1010,
        Reason.UNKNOWN_VALIDITY: 1011,
        Reason.TEMPORARILY_BANNED: 1012,
        Reason.ALREADY_IMPORTED: 1013,
        Reason.PRIORITY_TOO_LOW: 1014,
        Reason.POOL_FULL: 1016,
        Reason.UNKNOWN_ITEM: 8001,
        Reason.UNKNOWN_BLOCK: 8002,
        Reason.STATE_PRUNED: 8003,
        Reason.TOO_MANY: 8004,
        Reason.NOT_READY: 8005,
        Reason.RATE_LIMITED: 8006,
    }
)


class RpcError(Exception):
    """A call's failure as JSON-RPC carries it: on the server raised by a method, on the client by a call."""

    def __init__(self, code: int, message: str, data: ErrorData = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @property
    def reason(self) -> str:
        """The name of what went wrong; for a code of no meaning here, the code itself."""
        if isinstance(self.data, Mapping) and isinstance(named := self.data.get("reason"), str):
            return named
        return next((str(reason) for reason, code in CODES.items() if code == self.code), str(self.code))

    def to_json(self) -> dict[str, object]:
        """The `error` member of an answer; `data` only if there is some."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def error(reason: Reason, message: str, data: ErrorData = None) -> RpcError:
    """An error with the code that belongs to `reason`."""
    return RpcError(CODES[reason], message, data)


def named_error(reason: Reason, message: str, **details: object) -> RpcError:
    """An error whose data says its reason, and beside it what a program may want to know."""
    return RpcError(CODES[reason], message, {"reason": str(reason), **details})


def unknown_runtime_call(name: str) -> RpcError:
    """-32601: the runtime has no API of this name."""
    return named_error(Reason.METHOD_NOT_FOUND, f"the runtime has no function {name[:100]}", function=name[:100])


def invalid_params(message: str) -> RpcError:
    """-32602: `message` says which parameter is wrong and why."""
    return error(Reason.INVALID_PARAMS, message)


def bad_format(why: str) -> RpcError:
    """1001: the bytes are no extrinsic."""
    return error(Reason.BAD_FORMAT, "Extrinsic has invalid format", why)


def invalid_transaction(reason: InvalidReason) -> RpcError:
    """1010: the transaction can never, or not any more, be in a block."""
    return error(Reason.INVALID_TRANSACTION, "Invalid Transaction", reason.text)


def temporarily_banned() -> RpcError:
    """1012: the transaction left the pool a short time ago and may not come back yet."""
    return error(Reason.TEMPORARILY_BANNED, "Transaction is temporarily banned")


def already_imported(extrinsic: Hash) -> RpcError:
    """1013: the pool holds the transaction."""
    return error(Reason.ALREADY_IMPORTED, "Transaction Already Imported", f"[{to_hex(extrinsic)}] Already Imported")


def priority_too_low(why: str) -> RpcError:
    """1014: another transaction of the same account and nonce is in the pool and stays."""
    return error(Reason.PRIORITY_TOO_LOW, "Priority is too low", why)


def pool_full(why: str) -> RpcError:
    """1016: the pool has no room for this account's transaction."""
    return error(Reason.POOL_FULL, "Immediately Dropped", why)


def json_integer(value: int) -> int | str:
    """The number itself while every client can hold it, else its decimal text."""
    return value if -LARGEST_SAFE_INTEGER <= value <= LARGEST_SAFE_INTEGER else str(value)


def unknown_item(item: int, index: int | None = None) -> RpcError:
    """8001: no such item; `index` is its position in a list of pairs."""
    details = {"item": json_integer(item)} if index is None else {"item": json_integer(item), "index": index}
    return named_error(Reason.UNKNOWN_ITEM, f"item {item} does not exist", **details)


def unknown_block(block: Hash) -> RpcError:
    """8002: the node does not have this block."""
    return named_error(Reason.UNKNOWN_BLOCK, f"block {to_hex(block)} is unknown", block=to_hex(block))


def state_pruned(block: Hash) -> RpcError:
    """8003: the block is known, its state is not kept any more."""
    return named_error(
        Reason.STATE_PRUNED, f"the state of block {to_hex(block)} is not kept any more", block=to_hex(block)
    )


def too_many(what: str, limit: int) -> RpcError:
    """8004: `what` (a plural) are more than `limit`."""
    return named_error(Reason.TOO_MANY, f"too many {what}: at most {limit}", limit=limit)


def not_ready(why: str) -> RpcError:
    """8005: the node cannot answer truthfully yet."""
    return named_error(Reason.NOT_READY, f"the node is not ready: {why}", why=why)


def rate_limited(calls_per_second: float) -> RpcError:
    """8006: this client calls more often than the node allows."""
    return named_error(
        Reason.RATE_LIMITED, f"more than {calls_per_second:g} calls a second", callsPerSecond=calls_per_second
    )
