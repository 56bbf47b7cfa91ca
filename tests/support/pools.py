"""A pool as a test drives it: chains that are numbers, blocks that are names, and what listeners hear."""

from collections.abc import Iterable

import pytest

from node.pool import Added, PoolRefused, TransactionPool
from rpc.service import TransactionState, TransactionStatus
from runtime.executive import ValidTransaction
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce
from tests.support.transactions import account, block_hash, hash_of

READY = TransactionStatus(TransactionState.READY)
FUTURE = TransactionStatus(TransactionState.FUTURE)
INVALID = TransactionStatus(TransactionState.INVALID)
DROPPED = TransactionStatus(TransactionState.DROPPED)

INHERENT = block_hash("inherent")


def in_block(name: str) -> TransactionStatus:
    return TransactionStatus(TransactionState.IN_BLOCK, block_hash(name))


def retracted(name: str) -> TransactionStatus:
    return TransactionStatus(TransactionState.RETRACTED, block_hash(name))


def finalized(name: str) -> TransactionStatus:
    return TransactionStatus(TransactionState.FINALIZED, block_hash(name))


def nonces(**known: int) -> "Nonces":
    return Nonces(known)


class Nonces:
    """The chain's nonces; remembers who asked for which."""

    def __init__(self, known: dict[str, int]) -> None:
        self.known = {account(name): Nonce(nonce) for name, nonce in known.items()}
        self.asked: list[AccountId] = []

    def __call__(self, account_id: AccountId) -> Nonce:
        self.asked.append(account_id)
        return self.known.get(account_id, Nonce(0))


def add_all(pool: TransactionPool, *transactions: ValidTransaction, chain_nonce: int = 0) -> list[Added]:
    return [pool.add(transaction, Nonce(chain_nonce)) for transaction in transactions]


def watch(pool: TransactionPool, *transactions: ValidTransaction) -> list[list[TransactionStatus]]:
    """Listen to transactions; return what each of them is told, from now on."""
    told: list[list[TransactionStatus]] = []
    for transaction in transactions:
        told.append([])
        pool.watch(hash_of(transaction), told[-1].append)
        told[-1].clear()
    return told


def block(
    pool: TransactionPool,
    height: int,
    included: Iterable[ValidTransaction | Hash],
    after: Nonces | None = None,
    *,
    name: str | None = None,
    accounts: Iterable[AccountId] | None = None,
) -> None:
    hashes = [item if isinstance(item, bytes) else hash_of(item) for item in included]
    reference = BlockRef(BlockNumber(height), block_hash(name or str(height)))
    pool.on_block(reference, hashes, after or nonces(), accounts)


def ready(pool: TransactionPool) -> list[ValidTransaction]:
    return list(pool.ready())


def refusal(pool: TransactionPool, transaction: ValidTransaction, chain_nonce: int = 0) -> tuple[object, str]:
    """Return why the pool does not take a transaction, having made sure that this leaves the pool as it was."""
    before = (len(pool), pool.byte_size, pool.pending())
    with pytest.raises((PoolRefused, InvalidTransaction)) as caught:
        pool.add(transaction, Nonce(chain_nonce))
    assert (len(pool), pool.byte_size, pool.pending()) == before
    assert isinstance(caught.value, PoolRefused | InvalidTransaction)
    return caught.value.reason, str(caught.value)


def gauges(pool: TransactionPool) -> dict[str, int]:
    names = ("ready", "future", "bytes", "futureBytes", "accounts", "deadlines", "banned", "watched")
    return {name: pool.metrics()[name] for name in names}


EMPTY = {
    "ready": 0,
    "future": 0,
    "bytes": 0,
    "futureBytes": 0,
    "accounts": 0,
    "deadlines": 0,
    "banned": 0,
    "watched": 0,
}
