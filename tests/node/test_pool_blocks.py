import pytest

from node.pool import PoolLimits, TransactionPool
from rpc.service import TransactionState, TransactionStatus
from runtime.executive import ValidTransaction
from runtime.primitives import Nonce
from tests.support.pools import (
    DROPPED,
    EMPTY,
    FUTURE,
    INHERENT,
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
from tests.support.transactions import SHORTEST, account, block_hash, hash_of, valid


class TestBlocks:
    def test_what_is_in_the_block_leaves(self) -> None:
        pool = TransactionPool()
        arrivals = [valid("a", 0), valid("b", 0), valid("a", 1)]
        add_all(pool, *arrivals)
        told = watch(pool, *arrivals)
        block(pool, 1, arrivals[:2])
        assert told == [[in_block("1")], [in_block("1")], []]
        assert ready(pool) == [valid("a", 1)]
        block(pool, 2, arrivals[2:])
        pool.on_finalized(block_hash("1"), [hash_of(arrivals[0]), hash_of(arrivals[1])])
        pool.on_finalized(block_hash("2"), [hash_of(arrivals[2])])
        assert told == [[in_block(at), finalized(at)] for at in ("1", "1", "2")]
        assert gauges(pool) == EMPTY

    def test_a_block_of_its_own_transactions_costs_no_look_up(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("b", 0))
        after = nonces()
        block(pool, 1, [valid("a", 0)], after)
        assert after.asked == []
        assert ready(pool) == [valid("a", 1), valid("b", 0)]

    def test_another_ones_transaction_has_all_accounts_looked_up(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 2), valid("b", 1))
        told = watch(pool, valid("a", 0), valid("a", 2), valid("b", 1))
        after = nonces(a=2, b=1)
        block(pool, 1, [INHERENT], after)
        assert after.asked == [account("a"), account("b")]
        assert told == [[INVALID], [READY], [READY]]
        assert ready(pool) == [valid("a", 2), valid("b", 1)]

    def test_only_the_accounts_that_the_caller_names_are_looked_up(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 1), valid("b", 0))
        after = nonces(a=1)
        block(pool, 1, [INHERENT], after, accounts=[account("a"), account("c")])
        assert after.asked == [account("a")]
        assert ready(pool) == [valid("a", 1), valid("b", 0)]

    def test_nobody_is_named_or_looked_up_for_a_block_of_its_own_transactions(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("b", 0))
        after, named = nonces(), iter([account("a"), account("b")])
        block(pool, 1, [valid("a", 0)], after, accounts=named)
        assert after.asked == []
        assert list(named) == [account("a"), account("b")]

    def test_a_future_in_a_block_leaves_with_what_the_chain_has_passed(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 1), valid("a", 2), valid("a", 3))
        told = watch(pool, valid("a", 1), valid("a", 2), valid("a", 3))
        block(pool, 1, [valid("a", 2)], nonces(a=3))
        assert told == [[INVALID], [in_block("1")], [READY]]

    def test_what_has_reached_its_deadline_leaves_and_its_successors_wait(self) -> None:
        pool = TransactionPool()
        arrivals = [
            valid("a", 0),
            valid("a", 1, longevity=5),
            valid("a", 2),
            valid("b", 7, longevity=6),
            valid("c", 0, longevity=4),
        ]
        add_all(pool, *arrivals)
        told = watch(pool, *arrivals)
        block(pool, 3, [])
        assert told == [[], [], [], [], []]
        block(pool, 5, [])
        assert told == [[], [INVALID], [FUTURE], [], [INVALID]]
        assert ready(pool) == [valid("a", 0)]
        block(pool, 6, [])
        assert told[3] == [INVALID]
        pool.check_new(hash_of(valid("b", 7, longevity=6)))

    def test_what_expires_in_the_middle_leaves_no_more_futures_than_there_may_be(self) -> None:
        pool = TransactionPool(PoolLimits(futures_per_account=1))
        chain = [valid("a", 0), valid("a", 1, longevity=5), valid("a", 2), valid("a", 3)]
        add_all(pool, *chain)
        told = watch(pool, *chain)
        block(pool, 5, [])
        assert told == [[], [INVALID], [FUTURE], [FUTURE, DROPPED]]

    def test_what_is_in_the_block_at_its_deadline_is_in_time(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0, longevity=5), Nonce(0))
        [told] = watch(pool, valid("a", 0, longevity=5))
        block(pool, 5, [valid("a", 0, longevity=5)])
        assert told == [in_block("5")]

    def test_many_of_one_account_expire_together_without_being_dropped_for_one_another(self) -> None:
        pool = TransactionPool(PoolLimits(futures_per_account=1))
        chain = [valid("a", nonce, longevity=5) for nonce in range(6)]
        add_all(pool, *chain)
        told = watch(pool, *chain)
        block(pool, 5, [])
        assert told == [[INVALID]] * 6
        assert gauges(pool) == EMPTY


class TestReorganisations:
    def test_what_comes_back_is_told_and_stands_before_all_others(self) -> None:
        pool = TransactionPool()
        first, second, third = valid("a", 0), valid("b", 0), valid("a", 1)
        add_all(pool, first, second, third, valid("c", 0))
        told = watch(pool, first, second, third)
        block(pool, 1, [first, second])
        block(pool, 2, [third])
        pool.add(valid("a", 2), Nonce(2))
        pool.on_retracted(block_hash("2"), [third])
        pool.on_retracted(block_hash("1"), [first, second])
        block(pool, 1, [], name="other 1")
        assert ready(pool) == [first, second, valid("c", 0), third, valid("a", 2)]
        assert told == [
            [in_block("1"), retracted("1"), READY],
            [in_block("1"), retracted("1"), READY],
            [in_block("2"), retracted("2"), READY],
        ]
        assert pool.metrics()["returned"] == 3

    @pytest.mark.parametrize("back", [[], [valid("a", 0)]], ids=["left out", "put back"])
    def test_what_the_new_branch_has_too_goes_on_from_there(self, back: list[ValidTransaction]) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        block(pool, 1, [valid("a", 0)])
        pool.on_retracted(block_hash("1"), back)
        block(pool, 1, [valid("a", 0)], nonces(a=1), name="other 1")
        block(pool, 100, [])
        pool.on_finalized(block_hash("other 1"), [hash_of(valid("a", 0))])
        assert told == [in_block("1"), retracted("1"), in_block("other 1"), finalized("other 1")]
        assert gauges(pool) == EMPTY

    def test_what_comes_neither_back_nor_into_the_new_branch_is_invalid_a_while_later(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        block(pool, 7, [valid("a", 0)])
        pool.on_retracted(block_hash("7"), [])
        block(pool, 15, [], nonces(a=1))
        assert told == [in_block("7"), retracted("7")]
        block(pool, 16, [], nonces(a=1))
        assert told == [in_block("7"), retracted("7"), INVALID]
        assert gauges(pool) == EMPTY

    def test_what_was_missing_and_is_submitted_again_is_told_of_its_new_life(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 1), Nonce(1))
        [told] = watch(pool, valid("a", 1))
        block(pool, 1, [valid("a", 1)])
        pool.on_retracted(block_hash("1"), [])
        block(pool, 1, [], name="other 1")
        pool.add(valid("a", 1), Nonce(0))
        block(pool, 60, [])
        assert told == [in_block("1"), retracted("1"), FUTURE]

    def test_what_stands_behind_a_gap_of_the_new_branch_is_future(self) -> None:
        pool = TransactionPool()
        chain = [valid("a", 0, longevity=9), valid("a", 1), valid("a", 2)]
        add_all(pool, *chain)
        told = watch(pool, *chain)
        block(pool, 1, chain[:2])
        pool.on_retracted(block_hash("1"), [chain[1]])
        block(pool, 1, [], name="other 1")
        assert told[1:] == [[in_block("1"), retracted("1"), FUTURE], [FUTURE]]
        assert not pool.has_ready
        block(pool, 2, [], name="other 2")
        assert told[1:] == [[in_block("1"), retracted("1"), FUTURE], [FUTURE]]

    def test_a_long_queue_survives_a_reorganisation_of_several_blocks(self) -> None:
        """The transactions behind those that come back are never demoted in between, which could drop them."""
        pool = TransactionPool(PoolLimits(futures_per_account=1))
        chain = [valid("a", nonce) for nonce in range(8)]
        add_all(pool, *chain)
        told = watch(pool, *chain)
        block(pool, 1, [chain[0]])
        block(pool, 2, [chain[1]])
        pool.on_retracted(block_hash("2"), [chain[1]])
        pool.on_retracted(block_hash("1"), [chain[0]])
        block(pool, 1, [], name="other 1")
        assert ready(pool) == chain
        assert told[2:] == [[]] * 6

    def test_what_comes_back_ready_costs_no_future_its_place(self) -> None:
        """Bounds on futures are looked at when all accounts are arranged, not while some have yet to be."""
        pool = TransactionPool(PoolLimits(futures=1))
        add_all(pool, valid("a", 5), *(valid("b", nonce) for nonce in range(4)))
        block(pool, 1, [valid("b", nonce) for nonce in range(4)])
        pool.on_retracted(block_hash("1"), [valid("b", nonce) for nonce in range(4)])
        block(pool, 1, [], name="other 1")
        assert len(ready(pool)) == 4
        assert hash_of(valid("a", 5)) in pool

    def test_who_came_back_as_a_future_makes_room_for_those_that_were_here(self) -> None:
        pool = TransactionPool(PoolLimits(futures=2))
        chain = [valid("b", nonce) for nonce in range(4)]
        add_all(pool, valid("a", 5), *chain)
        told = watch(pool, *chain)
        block(pool, 1, chain)
        pool.on_retracted(block_hash("1"), chain[1:])
        block(pool, 1, [], name="other 1")
        again = [in_block("1"), retracted("1"), FUTURE]
        assert told[1:] == [again, [*again, DROPPED], [*again, DROPPED]]
        assert hash_of(valid("a", 5)) in pool

    def test_its_place_taken_it_is_usurped(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        block(pool, 1, [valid("a", 0)])
        pool.add(valid("a", 0, 1), Nonce(0))
        pool.on_retracted(block_hash("1"), [valid("a", 0)])
        usurped = TransactionStatus(TransactionState.USURPED, hash_of(valid("a", 0, 1)))
        assert told == [in_block("1"), retracted("1"), usurped]
        assert pool.metrics()["usurped"] == 1

    @pytest.mark.parametrize(
        "limits", [PoolLimits(transactions=1), PoolLimits(total_bytes=SHORTEST)], ids=["count", "bytes"]
    )
    def test_the_pool_full_it_is_dropped(self, limits: PoolLimits) -> None:
        pool = TransactionPool(limits)
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        block(pool, 1, [valid("a", 0)])
        pool.add(valid("b", 0), Nonce(0))
        pool.on_retracted(block_hash("1"), [valid("a", 0)])
        assert told == [in_block("1"), retracted("1"), DROPPED]
        assert pool.metrics()["dropped"] == 1

    def test_what_is_here_already_is_not_put_back_twice(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        pool.on_retracted(block_hash("1"), [valid("a", 0)])
        block(pool, 1, [], name="other 1")
        assert ready(pool) == [valid("a", 0)]
        assert told == []
        assert pool.metrics()["returned"] == 0

    def test_the_first_block_of_the_new_branch_has_all_accounts_looked_up_and_the_next_has_not(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("b", 0))
        block(pool, 1, [valid("a", 0)])
        pool.on_retracted(block_hash("1"), [])
        after = nonces(a=1)
        block(pool, 1, [], after, name="other 1", accounts=[])
        assert after.asked == [account("a"), account("b")]
        block(pool, 2, [valid("b", 0)], after)
        assert after.asked == [account("a"), account("b")]

    def test_told_in_the_wrong_order_it_is_right_again_with_the_next_block(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("a", 3))
        block(pool, 1, [valid("a", 0), valid("a", 1)])
        block(pool, 1, [block_hash("other")], nonces(a=1), name="other 1")
        pool.on_retracted(block_hash("1"), [valid("a", 1)])
        assert pool.next_nonce(account("a"), Nonce(1)) == 2
        block(pool, 2, [], nonces(a=1), name="other 2")
        assert ready(pool) == [valid("a", 1)]

    def test_what_comes_in_before_the_new_branch_has_its_successors_behind_it(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("a", 2))
        block(pool, 1, [valid("a", 0), valid("a", 1)])
        pool.on_retracted(block_hash("1"), [valid("a", 0)])
        add_all(pool, valid("b", 0), valid("a", 1, 1))
        block(pool, 1, [], name="other 1")
        assert ready(pool) == [valid("a", 0), valid("b", 0), valid("a", 1, 1), valid("a", 2)]
