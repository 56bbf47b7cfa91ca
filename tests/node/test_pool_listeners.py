import pytest

from node.pool import PoolLimits, PoolRefused, RefusalReason, TransactionPool
from rpc.service import TransactionState, TransactionStatus
from runtime.executive import ValidTransaction
from runtime.interface.errors import InvalidReason
from runtime.primitives import Nonce, to_hex
from tests.support.pools import (
    EMPTY,
    FUTURE,
    INVALID,
    READY,
    add_all,
    block,
    finalized,
    gauges,
    in_block,
    nonces,
    ready,
    retracted,
    watch,
)
from tests.support.transactions import block_hash, hash_of, valid


class TestListening:
    def test_the_present_state_comes_first(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("b", 1))
        told: list[TransactionStatus] = []
        pool.watch(hash_of(valid("a", 0)), told.append)
        pool.watch(hash_of(valid("b", 1)), told.append)
        assert told == [READY, FUTURE]

    def test_broadcasts(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        pool.on_broadcast(hash_of(valid("a", 0)), ("12D3KooWA", "12D3KooWB"))
        assert told == [TransactionStatus(TransactionState.BROADCAST, None, ("12D3KooWA", "12D3KooWB"))]

    def test_what_is_not_here_cannot_be_watched(self) -> None:
        pool = TransactionPool()
        with pytest.raises(KeyError):
            pool.watch(hash_of(valid("a", 0)), lambda status: None)

    def test_a_transaction_has_so_many_listeners_and_no_more(self) -> None:
        pool = TransactionPool(PoolLimits(listeners=2))
        pool.add(valid("a", 0), Nonce(0))
        told = watch(pool, valid("a", 0), valid("a", 0))
        with pytest.raises(PoolRefused) as caught:
            pool.watch(hash_of(valid("a", 0)), lambda status: None)
        assert caught.value.reason is RefusalReason.POOL_FULL
        assert str(caught.value) == f"PoolFull: {to_hex(hash_of(valid('a', 0)))} has 2 listeners"
        block(pool, 1, [valid("a", 0)])
        assert told == [[in_block("1")], [in_block("1")]]

    def test_who_does_not_listen_any_more_is_told_nothing_and_forgotten(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        told: list[TransactionStatus] = []
        listener = told.append
        pool.watch(hash_of(valid("a", 0)), listener)
        [others] = watch(pool, valid("a", 0))
        pool.unwatch(hash_of(valid("a", 0)), listener)
        pool.unwatch(hash_of(valid("b", 0)), listener)
        block(pool, 1, [valid("a", 0)])
        assert told == [READY]
        assert others == [in_block("1")]

    def test_silent_listeners_do_not_wait_for_finality(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        told: list[TransactionStatus] = []
        listener = told.append
        pool.watch(hash_of(valid("a", 0)), listener)
        pool.unwatch(hash_of(valid("a", 0)), listener)
        block(pool, 1, [valid("a", 0)])
        assert gauges(pool) == EMPTY

    def test_finality_of_the_oldest_is_given_up_beyond_the_bound(self) -> None:
        pool = TransactionPool(PoolLimits(included_watched=2))
        arrivals = [valid(name, 0) for name in "abc"]
        add_all(pool, *arrivals)
        told = watch(pool, *arrivals)
        for height, transaction in enumerate(arrivals, 1):
            block(pool, height, [transaction])
        given_up = TransactionStatus(TransactionState.FINALITY_TIMEOUT, block_hash("1"))
        assert told == [[in_block("1"), given_up], [in_block("2")], [in_block("3")]]
        assert gauges(pool)["watched"] == 2

    def test_what_is_final_does_not_count(self) -> None:
        pool = TransactionPool(PoolLimits(included_watched=1))
        arrivals = [valid(name, 0) for name in "abc"]
        add_all(pool, *arrivals)
        told = watch(pool, *arrivals)
        block(pool, 1, arrivals[:1])
        pool.on_finalized(block_hash("1"), [hash_of(arrivals[0])])
        block(pool, 2, arrivals[1:2])
        assert told == [[in_block("1"), finalized("1")], [in_block("2")], []]
        block(pool, 3, arrivals[2:])
        assert told[1][1:] == [TransactionStatus(TransactionState.FINALITY_TIMEOUT, block_hash("2"))]

    def test_what_is_missing_is_bounded_too(self) -> None:
        pool = TransactionPool(PoolLimits(included_watched=2))
        arrivals = [valid(name, 0) for name in "abcd"]
        add_all(pool, *arrivals)
        told = watch(pool, *arrivals)
        block(pool, 1, arrivals[:2])
        pool.on_retracted(block_hash("1"), [])
        block(pool, 1, arrivals[2:], nonces(a=1, b=1, c=1, d=1), name="other 1")
        pool.on_retracted(block_hash("other 1"), [])
        assert [statuses[-1] for statuses in told] == [INVALID, INVALID, *[retracted("other 1")] * 2]
        assert gauges(pool)["watched"] == 2

    def test_who_stops_listening_while_others_are_told_is_not_told_any_more(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        told: list[TransactionStatus] = []
        second = told.append
        [first] = watch(pool, valid("a", 0))
        pool.watch(hash_of(valid("a", 0)), lambda status: pool.unwatch(hash_of(valid("a", 0)), second))
        pool.watch(hash_of(valid("a", 0)), second)
        told.clear()
        pool.on_broadcast(hash_of(valid("a", 0)), ("12D3KooWA",))
        assert len(first) == 1
        assert told == []

    def test_a_listener_may_call_the_pool_and_finds_it_in_order(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("b", 0))
        seen: list[tuple[TransactionStatus, int, list[ValidTransaction]]] = []

        def look(status: TransactionStatus) -> None:
            seen.append((status, len(pool), ready(pool)))
            if status.state is TransactionState.IN_BLOCK:
                pool.drop(hash_of(valid("b", 0)), InvalidReason.BAD_CALL)

        pool.watch(hash_of(valid("a", 0)), look)
        pool.watch(hash_of(valid("b", 0)), look)
        seen.clear()
        block(pool, 1, [valid("a", 0)])
        assert seen == [
            (in_block("1"), 2, [valid("a", 1), valid("b", 0)]),
            (INVALID, 1, [valid("a", 1)]),
        ]
