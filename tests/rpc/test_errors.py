"""The errors that the node raises and clients read."""

import pytest

from rpc import errors
from rpc.errors import CODES, Reason, RpcError
from runtime.interface.errors import InvalidReason
from runtime.primitives import Hash

BLOCK = Hash(b"\xab" * 32)
HEX = "0x" + "ab" * 32


def test_every_reason_has_a_code() -> None:
    assert set(CODES) == set(Reason)


@pytest.mark.parametrize(
    ("fault", "code", "message", "data"),
    [
        (errors.invalid_params("parameter a is missing"), -32602, "parameter a is missing", None),
        (
            errors.unknown_runtime_call("A_b"),
            -32601,
            "the runtime has no function A_b",
            {"reason": "MethodNotFound", "function": "A_b"},
        ),
        (errors.bad_format("too short"), 1001, "Extrinsic has invalid format", "too short"),
        (errors.temporarily_banned(), 1012, "Transaction is temporarily banned", None),
        (errors.already_imported(BLOCK), 1013, "Transaction Already Imported", f"[{HEX}] Already Imported"),
        (errors.priority_too_low("it is taken"), 1014, "Priority is too low", "it is taken"),
        (errors.pool_full("no room"), 1016, "Immediately Dropped", "no room"),
        (errors.unknown_item(3), 8001, "item 3 does not exist", {"reason": "UnknownItem", "item": 3}),
        (
            errors.unknown_item(2**53 + 1, 4),
            8001,
            "item 9007199254740993 does not exist",
            {"reason": "UnknownItem", "item": "9007199254740993", "index": 4},
        ),
        (errors.unknown_block(BLOCK), 8002, f"block {HEX} is unknown", {"reason": "UnknownBlock", "block": HEX}),
        (
            errors.state_pruned(BLOCK),
            8003,
            f"the state of block {HEX} is not kept any more",
            {"reason": "StatePruned", "block": HEX},
        ),
        (errors.too_many("pairs", 9), 8004, "too many pairs: at most 9", {"reason": "TooMany", "limit": 9}),
        (
            errors.not_ready("it is syncing"),
            8005,
            "the node is not ready: it is syncing",
            {"reason": "NotReady", "why": "it is syncing"},
        ),
        (
            errors.rate_limited(2.5),
            8006,
            "more than 2.5 calls a second",
            {"reason": "RateLimited", "callsPerSecond": 2.5},
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_errors_as_clients_see_them(fault: RpcError, code: int, message: str, data: object) -> None:
    shown = {"code": code, "message": message} | ({} if data is None else {"data": data})
    assert fault.to_json() == shown
    assert str(fault) == message


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (InvalidReason.STALE, "Transaction is outdated"),
        (InvalidReason.BAD_PROOF, "Transaction has a bad signature"),
        (InvalidReason.ANCIENT_BIRTH_BLOCK, "Transaction has an ancient birth block"),
        (InvalidReason.FUTURE, "Transaction will be valid in the future"),
    ],
)
def test_invalid_transactions_say_why_in_substrates_words(fault: InvalidReason, text: str) -> None:
    expected = {"code": 1010, "message": "Invalid Transaction", "data": text}
    assert errors.invalid_transaction(fault).to_json() == expected


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (errors.unknown_item(1), "UnknownItem"),
        (errors.pool_full("no room"), "PoolFull"),
        (RpcError(-32601, "Method not found"), "MethodNotFound"),
        (RpcError(-32601, "no", {"reason": "MethodIsUnsafe"}), "MethodIsUnsafe"),
        (RpcError(1010, "Invalid Transaction", "text"), "InvalidTransaction"),
        (RpcError(4711, "of another node"), "4711"),
        (RpcError(8001, "odd", {"reason": 5}), "UnknownItem"),
    ],
)
def test_reason_of_an_error(fault: RpcError, reason: str) -> None:
    assert fault.reason == reason
