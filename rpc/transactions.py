"""Transactions from a user's side: calls in SCALE, what must be signed along, submitting and waiting."""

import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rpc.client import RpcClient, Subscription
from rpc.errors import RpcError
from rpc.failure import CommandError, Failing, expecting
from runtime.crypto import KeyPair
from runtime.extrinsic import Era, sign_extrinsic
from runtime.header import Header
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, Hash, Nonce, blake2b_128_concat, from_hex, to_hex, twox_128
from runtime.scale import encode_compact

PALLET: Final = 8
PRODUCERS: Final = 5
ERA_PERIOD: Final = 64
# The era begins at a block that will stay: the finalized one, or one this far back where finality lags.
DEEPEST_REFERENCE: Final = 16

_RATING: Final = struct.Struct("<Qq")
_ITEM: Final = struct.Struct("<Q")
_NONCE_LENGTH: Final = 4
_ACCOUNT_PREFIX: Final = twox_128(b"System") + twox_128(b"Account")


def submit_rating(item: int, rating: int) -> bytes:
    """The call that rates an item."""
    return bytes((PALLET, 0)) + _RATING.pack(item, rating)


def retract_rating(item: int) -> bytes:
    """The call that takes a rating back."""
    return bytes((PALLET, 2)) + _ITEM.pack(item)


def register_item(title: str) -> bytes:
    """The call that adds an item."""
    text = title.encode()
    return bytes((PALLET, 3)) + encode_compact(len(text)) + text


def submit_ratings(packed: bytes) -> bytes:
    """The call that rates many items; `packed` is their pairs (u64, i64), little endian, in a row."""
    return bytes((PALLET, 4)) + encode_compact(len(packed) // _RATING.size) + packed


def join_ring(recent_block: int, nonce: int) -> bytes:
    """The call that asks for a place in the ring, with work over a recent block."""
    return bytes((PRODUCERS, 0)) + struct.pack("<IQ", recent_block, nonce)


def leave_ring() -> bytes:
    """The call that gives the place in the ring back."""
    return bytes((PRODUCERS, 1))


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signature covers beside the call: the chain, its versions, and the time the signature holds."""

    genesis_hash: Hash
    spec_version: int
    transaction_version: int
    era: Era
    birth_hash: Hash
    reference: int

    def sign(self, pair: KeyPair, call: bytes, nonce: int) -> bytes:
        """The full bytes of the transaction."""
        return sign_extrinsic(
            pair,
            call,
            self.era,
            Nonce(nonce),
            self.spec_version,
            self.transaction_version,
            self.genesis_hash,
            self.birth_hash,
        )


def batch_results(node: RpcClient, calls: list[tuple[str, list[object]]]) -> list[Any]:
    """The results of many calls sent as one; the first refusal among them is raised."""
    results = node.batch(calls)
    for result in results:
        if isinstance(result, RpcError):
            raise result
    return results


def signing_now(node: RpcClient, period: int = ERA_PERIOD) -> Signing:
    """What signatures of now cover: an era of `period` blocks that begins at a recent block."""
    genesis, version, best, finalized = batch_results(
        node,
        [
            ("chain_getBlockHash", [0]),
            ("state_getRuntimeVersion", []),
            ("chain_getHeader", []),
            ("chain_getFinalizedHead", []),
        ],
    )
    finalized_header = node.call("chain_getHeader", finalized)
    with expecting("chain_getHeader"):
        reference = max(int(finalized_header["number"], 16), int(best["number"], 16) - DEEPEST_REFERENCE)
    birth = node.call("chain_getBlockHash", reference)
    with expecting("state_getRuntimeVersion and chain_getBlockHash"):
        return Signing(
            genesis_hash=Hash(from_hex(genesis, 32)),
            spec_version=int(version["specVersion"]),
            transaction_version=int(version["transactionVersion"]),
            era=Era.mortal(period, reference),
            birth_hash=Hash(from_hex(birth, 32)),
            reference=reference,
        )


def head_of(header: Mapping[str, Any]) -> tuple[str, int]:
    """Hash and number of a header in the form of RPC."""
    decoded = Header.from_json(header)
    return to_hex(decoded.hash()), int(decoded.number)


def next_nonce(node: RpcClient, account: AccountId) -> int:
    """The nonce of the account's next transaction, those in the pool counted."""
    nonce = node.call("system_accountNextIndex", ss58_encode(account))
    with expecting("system_accountNextIndex"):
        return int(nonce)


def next_nonce_calls(accounts: Iterable[AccountId]) -> list[tuple[str, list[object]]]:
    """The calls that ask for many accounts' next nonces."""
    return [("system_accountNextIndex", [ss58_encode(account)]) for account in accounts]


def account_key(account: AccountId) -> str:
    """The storage key of what the chain knows of an account."""
    return to_hex(_ACCOUNT_PREFIX + blake2b_128_concat(account))


def stored_nonce(value: str | None) -> int:
    """The nonce in the value under `account_key`: the number of the account's transactions in blocks."""
    return 0 if value is None else int.from_bytes(from_hex(value)[:_NONCE_LENGTH], "little")


def submit(node: RpcClient, extrinsic: bytes) -> str:
    """Send without waiting; the transaction's hash."""
    return str(node.call("author_submitExtrinsic", to_hex(extrinsic)))


def submit_and_wait(node: RpcClient, extrinsic: bytes, timeout: float) -> str:
    """Send and wait until a block of the best chain holds the transaction; that block's hash.

    Raises:
        CommandError: the transaction left the pool without being in a block, or time is up.
    """
    deadline = time.monotonic() + timeout
    try:
        with node.subscribe("author_submitAndWatchExtrinsic", to_hex(extrinsic)) as updates:
            return _wait_for_block(updates, deadline)
    except TimeoutError as error:
        message = f"the transaction was in no block after {timeout:g} seconds; it may still come into one"
        raise CommandError(Failing.TIMED_OUT, message) from error


def _wait_for_block(updates: Subscription, deadline: float) -> str:
    while True:
        status = updates.next(max(deadline - time.monotonic(), 0.0))
        if isinstance(status, Mapping):
            block = status.get("inBlock") or status.get("finalized")
            if block is not None:
                return str(block)
            ended = next((name for name in ("usurped", "finalityTimeout") if name in status), None)
        else:
            ended = status if status in ("dropped", "invalid") else None
        if ended is not None:
            message = f"the transaction left the node's pool without being in a block: {ended}"
            raise CommandError(Failing.TRANSACTION_DROPPED, message, {"status": ended})
