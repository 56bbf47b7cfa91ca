import pytest

from node.pool import PoolRefused, RefusalReason
from node.refusals import as_rpc_error
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash

EXTRINSIC = Hash(bytes(range(32)))
TEXTS = {
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


@pytest.mark.parametrize("reason", InvalidReason)
def test_every_invalid_transaction_is_told_in_the_words_of_substrate(reason: InvalidReason) -> None:
    error = as_rpc_error(InvalidTransaction(reason), EXTRINSIC).to_json()
    if reason is InvalidReason.UNDECODABLE:
        assert error == {
            "code": 1001,
            "message": "Extrinsic has invalid format",
            "data": "Transaction cannot be decoded",
        }
    else:
        assert error == {"code": 1010, "message": "Invalid Transaction", "data": TEXTS[reason]}


def test_what_does_not_decode_says_why() -> None:
    refused = InvalidTransaction(InvalidReason.UNDECODABLE, "extrinsic is empty")
    assert as_rpc_error(refused, EXTRINSIC).to_json() == {
        "code": 1001,
        "message": "Extrinsic has invalid format",
        "data": "extrinsic is empty",
    }


POOL = {
    RefusalReason.ALREADY_IMPORTED: {
        "code": 1013,
        "message": "Transaction Already Imported",
        "data": f"[0x{EXTRINSIC.hex()}] Already Imported",
    },
    RefusalReason.TEMPORARILY_BANNED: {"code": 1012, "message": "Transaction is temporarily banned"},
    RefusalReason.PRIORITY_TOO_LOW: {
        "code": 1014,
        "message": "Priority is too low",
        "data": "detail",
    },
    RefusalReason.POOL_FULL: {
        "code": 1016,
        "message": "Immediately Dropped",
        "data": "detail",
    },
}


@pytest.mark.parametrize("reason", RefusalReason)
def test_every_refusal_of_the_pool_has_its_code(reason: RefusalReason) -> None:
    assert as_rpc_error(PoolRefused(reason, "detail"), EXTRINSIC).to_json() == POOL[reason]
