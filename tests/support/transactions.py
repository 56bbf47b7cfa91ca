"""Transactions as a pool gets them: decoded and found valid, with signatures that nobody looks at."""

from runtime.crypto import SIGNATURE_LENGTH, Scheme
from runtime.executive import PreparedExtrinsic, ValidTransaction
from runtime.extrinsic import IMMORTAL, Extrinsic, Signature, extrinsic_hash
from runtime.interface.calls import Call, DecodedCall
from runtime.primitives import AccountId, BlockNumber, Hash, Nonce, blake2b_256

SHORTEST = 106
"""Bytes of a transaction whose nonce is below 64."""

FOREVER = BlockNumber((1 << 64) - 2)

_NOTHING = DecodedCall("Test", Call(0, "nothing", (), lambda: None, lambda: 0, "Do nothing."), ())


def account(name: str) -> AccountId:
    return AccountId(blake2b_256(name.encode()))


def block_hash(name: str) -> Hash:
    return blake2b_256(b"block " + name.encode())


def valid(name: str, nonce: int, variant: int = 0, *, longevity: int = FOREVER, length: int = 0) -> ValidTransaction:
    """Return a transaction; another `variant` is another transaction of the same account and nonce."""
    call = bytes((0, 0, variant)) + bytes(max(length - SHORTEST, 0))
    signature = Signature(account(name), Scheme.ED25519, bytes(SIGNATURE_LENGTH), IMMORTAL, Nonce(nonce))
    raw = Extrinsic(signature, call).encode()
    prepared = PreparedExtrinsic(raw, extrinsic_hash(raw), signature, call, _NOTHING)
    return ValidTransaction(prepared, account(name), Nonce(nonce), Nonce(nonce), BlockNumber(longevity))


def hash_of(transaction: ValidTransaction) -> Hash:
    return transaction.prepared.hash
