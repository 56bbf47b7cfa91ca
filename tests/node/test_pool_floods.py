"""What the pool holds while it is flooded, and who gets into blocks meanwhile."""

import gc
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import pytest

from node.pool import PoolLimits, PoolRefused, TransactionPool
from runtime.crypto import KeyPair, Scheme
from runtime.executive import ValidTransaction
from runtime.extrinsic import extrinsic_hash
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Nonce
from tests.support.node_chain import NodeChain, small_spec
from tests.support.pools import block
from tests.support.small_chain import LIMITS as LIMITS_OF_BLOCKS
from tests.support.small_chain import submit_rating
from tests.support.transactions import hash_of, valid

LIMITS = PoolLimits(
    transactions=128, total_bytes=128 * 256, futures=32, future_bytes=32 * 256, banned=64, included_watched=16
)
FLOOD = 400


def held(pool: TransactionPool) -> int:
    """Return the memory that the pool keeps alive, in bytes."""
    seen: set[int] = set()
    waiting: list[object] = [pool]
    total = 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | types.ModuleType | types.FunctionType):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        waiting += gc.get_referents(thing)
    return total


def futures(wave: int) -> Iterator[ValidTransaction]:
    yield from (valid(f"{wave} {index}", 1) for index in range(FLOOD))


def made_up(wave: int) -> Iterator[ValidTransaction]:
    yield from (valid(f"{wave} {index}", 0, length=200) for index in range(FLOOD))


def one_account(wave: int) -> Iterator[ValidTransaction]:
    yield from (valid("a", nonce, wave) for nonce in range(FLOOD))


def short_lived(wave: int) -> Iterator[ValidTransaction]:
    yield from (valid(f"{wave} {index}", 0, longevity=2_000 + wave * FLOOD + index) for index in range(FLOOD))


def submit(pool: TransactionPool, transaction: ValidTransaction) -> None:
    try:
        pool.add(transaction, Nonce(0))
    except (PoolRefused, InvalidTransaction):
        return
    pool.watch(hash_of(transaction), lambda _: None)


@pytest.mark.parametrize("flood", [futures, made_up, one_account, short_lived])
@pytest.mark.parametrize("refuses", [False, True], ids=["kept", "found invalid"])
def test_ten_floods_leave_no_more_behind_than_five(flood: object, *, refuses: bool) -> None:
    assert callable(flood)
    pool = TransactionPool(LIMITS)
    sizes = []
    for wave in range(10):
        for transaction in flood(wave):
            submit(pool, transaction)
            submit(pool, transaction)
            if refuses:
                pool.drop(hash_of(transaction), InvalidReason.BAD_CALL)
        included = list(pool.ready())[:20]
        block(pool, wave + 1, included)
        pool.on_retracted(b"none", [])
        sizes.append(held(pool))
    metrics = pool.metrics()
    assert metrics["places"] <= LIMITS.transactions
    assert metrics["future"] <= LIMITS.futures
    assert metrics["watched"] <= LIMITS.transactions + 2 * LIMITS.included_watched
    assert max(sizes[5:]) < 1.2 * max(sizes[:5]), sizes


@pytest.mark.full
def test_an_old_account_is_in_a_block_within_three_slots_of_a_flood_of_made_up_accounts() -> None:
    """10,000 accounts that the chain does not know are there before it, and 1,000 more come with each block."""
    node, pool = NodeChain(small_spec(items=("a", "b"))), TransactionPool()
    node.block(("Alice", submit_rating(0, 5)))
    pool.on_block(node.chain.snapshot.best, [], node.chain.validator().nonce)
    [mine] = node.transactions(("Alice", submit_rating(1, 5)))
    others = (KeyPair.from_seed(Scheme.ED25519, index.to_bytes(32)) for index in range(1, 13_001))
    bodies = []
    for newcomers in (10_000, 1_000, 1_000):
        validator = node.chain.validator()
        for pair in islice(others, newcomers):
            transaction = validator.validate(node.chain.runtime.prepare(node.sign(pair, submit_rating(0, 1))))
            with suppress(PoolRefused):
                pool.add(transaction, Nonce(0))
        if not bodies:
            assert pool.metrics()["refusedPoolFull"] > 0
            pool.add(mine, Nonce(1))
        built = node.build(*pool.ready())
        for refused, error in built.refused:
            pool.drop(hash_of(refused), error.reason)
        bodies.append([extrinsic_hash(raw) for raw in built.head.block.extrinsics[1:]])
        pool.on_block(built.head.ref, bodies[-1], node.chain.validator().nonce)
    assert sum(hash_of(mine) in body for body in bodies) == 1
    assert [len(body) for body in bodies] == [LIMITS_OF_BLOCKS.new_accounts + 1, *[LIMITS_OF_BLOCKS.new_accounts] * 2]
