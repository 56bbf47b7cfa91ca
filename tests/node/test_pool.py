import pytest

from node.pool import Added, PoolLimits, PoolRefused, RefusalReason, TransactionPool
from rpc.service import TransactionState
from runtime.interface.errors import InvalidReason
from runtime.primitives import Nonce, to_hex
from tests.support.pools import (
    DROPPED,
    EMPTY,
    FUTURE,
    INVALID,
    add_all,
    block,
    gauges,
    in_block,
    nonces,
    ready,
    refusal,
    watch,
)
from tests.support.transactions import SHORTEST, account, block_hash, hash_of, valid


class TestComingIn:
    def test_what_continues_the_chain_is_ready_and_what_leaves_a_gap_is_future(self) -> None:
        pool = TransactionPool()
        assert pool.add(valid("a", 5), Nonce(5)) == Added(TransactionState.READY)
        assert pool.add(valid("a", 6), Nonce(5)) == Added(TransactionState.READY)
        assert pool.add(valid("a", 8), Nonce(5)) == Added(TransactionState.FUTURE)
        assert pool.add(valid("b", 1), Nonce(0)) == Added(TransactionState.FUTURE)
        assert ready(pool) == [valid("a", 5), valid("a", 6)]
        assert len(pool) == 4
        assert hash_of(valid("a", 8)) in pool
        assert hash_of(valid("a", 7)) not in pool

    def test_what_closes_a_gap_makes_ready_what_waited_behind_it_up_to_the_next_gap(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 2), valid("a", 1), valid("a", 4))
        added = pool.add(valid("a", 0), Nonce(0))
        assert added == Added(TransactionState.READY, (hash_of(valid("a", 1)), hash_of(valid("a", 2))))
        assert ready(pool) == [valid("a", 0), valid("a", 1), valid("a", 2)]

    def test_what_is_here_is_found_by_its_hash_and_the_ready_ones_are_listed(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("b", 0), valid("a", 0), valid("a", 2))
        assert pool.hashes() == [hash_of(valid("b", 0)), hash_of(valid("a", 0))]
        assert pool.get(hash_of(valid("a", 2))) == valid("a", 2)
        assert pool.get(hash_of(valid("a", 1))) is None

    def test_has_ready_does_not_count_futures(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 1), Nonce(0))
        assert not pool.has_ready
        pool.add(valid("a", 0), Nonce(0))
        assert pool.has_ready

    def test_the_same_transaction_is_refused(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        text = f"AlreadyImported: {to_hex(hash_of(valid('a', 0)))} is in the pool"
        assert refusal(pool, valid("a", 0)) == (RefusalReason.ALREADY_IMPORTED, text)

    @pytest.mark.parametrize("nonce", [0, 3])
    def test_of_two_with_one_nonce_the_first_stays(self, nonce: int) -> None:
        pool = TransactionPool()
        pool.add(valid("a", nonce), Nonce(0))
        other = to_hex(hash_of(valid("a", nonce)))
        text = f"PriorityTooLow: {other} has the same account and nonce {nonce}"
        assert refusal(pool, valid("a", nonce, 1)) == (RefusalReason.PRIORITY_TOO_LOW, text)

    def test_a_nonce_that_the_chain_has_passed_since_the_validation_is_stale(self) -> None:
        pool = TransactionPool()
        stale = (InvalidReason.STALE, "Transaction is outdated")
        assert refusal(pool, valid("a", 4), chain_nonce=5) == stale
        pool.add(valid("a", 5), Nonce(5))
        assert refusal(pool, valid("a", 4), chain_nonce=4) == stale

    def test_an_era_that_has_ended_since_the_validation_is_ancient(self) -> None:
        pool = TransactionPool()
        block(pool, 9, [])
        ancient = (InvalidReason.ANCIENT_BIRTH_BLOCK, "Transaction has an ancient birth block")
        assert refusal(pool, valid("a", 0, longevity=9)) == ancient
        assert pool.add(valid("a", 0, longevity=10), Nonce(0)) == Added(TransactionState.READY)

    def test_a_chain_that_is_a_block_ahead_of_the_pool_changes_nothing_of_what_is_here(self) -> None:
        """The block's own transactions must not be told to be stale before the pool is told of the block."""
        pool = TransactionPool()
        pool.add(valid("a", 5), Nonce(5))
        [told] = watch(pool, valid("a", 5))
        assert pool.add(valid("a", 6), Nonce(6)) == Added(TransactionState.READY)
        assert pool.add(valid("a", 8), Nonce(6)) == Added(TransactionState.FUTURE)
        assert ready(pool) == [valid("a", 5), valid("a", 6)]
        block(pool, 1, [valid("a", 5)])
        assert told == [in_block("1")]
        assert ready(pool) == [valid("a", 6)]

    def test_what_came_while_the_chain_was_a_block_ahead_finds_its_place_with_the_block(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 5), Nonce(5))
        assert pool.add(valid("a", 7), Nonce(7)) == Added(TransactionState.FUTURE)
        block(pool, 1, [valid("a", 5), block_hash("another node's")], nonces(a=7))
        assert ready(pool) == [valid("a", 7)]


SHARED = "and no account takes more than its share for this one to take its place"
FULL = (RefusalReason.POOL_FULL, f"PoolFull: the pool is full, {SHARED}")
FUTURES_FULL = (
    RefusalReason.POOL_FULL,
    f"PoolFull: the places for future transactions are full, {SHARED}",
)


class TestBounds:
    def test_transactions(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=2))
        add_all(pool, valid("a", 0), valid("b", 5))
        assert refusal(pool, valid("c", 0)) == FULL
        assert refusal(pool, valid("c", 5)) == FULL

    def test_bytes(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=10, total_bytes=1_000))
        add_all(pool, valid("a", 0, length=400), valid("b", 0, length=300))
        assert refusal(pool, valid("c", 0, length=401)) == FULL
        pool.add(valid("c", 0, length=300), Nonce(0))
        assert pool.byte_size == 1_000

    def test_a_transaction_takes_a_place_for_each_part_of_the_bytes_that_it_begins(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=4, total_bytes=800))
        add_all(pool, valid("a", 0, length=200), valid("b", 0, length=201))
        assert pool.metrics()["places"] == 3
        assert refusal(pool, valid("c", 0, length=201)) == FULL
        pool.add(valid("c", 0, length=200), Nonce(0))
        assert pool.metrics()["places"] == 4

    def test_what_is_larger_than_the_pool(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=4, total_bytes=800))
        pool.add(valid("a", 3), Nonce(3))
        assert refusal(pool, valid("a", 4, length=801), chain_nonce=3) == FULL

    def test_futures(self) -> None:
        pool = TransactionPool(PoolLimits(futures=2))
        add_all(pool, valid("a", 1), valid("b", 1))
        assert refusal(pool, valid("c", 1)) == FUTURES_FULL
        assert pool.add(valid("a", 0), Nonce(0)).promoted == (hash_of(valid("a", 1)),)
        assert pool.add(valid("c", 1), Nonce(0)) == Added(TransactionState.FUTURE)

    def test_bytes_of_futures(self) -> None:
        pool = TransactionPool(PoolLimits(futures=5, future_bytes=500))
        add_all(pool, valid("a", 1, length=300), valid("b", 0, length=300))
        assert refusal(pool, valid("b", 2, length=201)) == FUTURES_FULL
        pool.add(valid("b", 2, length=200), Nonce(0))
        assert pool.metrics()["futureBytes"] == 500

    def test_futures_of_an_account(self) -> None:
        pool = TransactionPool(PoolLimits(futures_per_account=2))
        add_all(pool, valid("a", 0), valid("a", 2), valid("a", 4))
        full = (RefusalReason.POOL_FULL, "PoolFull: the account has 2 future transactions")
        assert refusal(pool, valid("a", 6)) == full
        assert pool.add(valid("b", 6), Nonce(0)) == Added(TransactionState.FUTURE)
        assert pool.add(valid("a", 1), Nonce(0)).state is TransactionState.READY

    def test_a_future_has_its_place_when_it_becomes_ready_however_full_the_pool_is(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=3, futures=2))
        add_all(pool, valid("a", 2), valid("a", 1), valid("a", 0))
        assert ready(pool) == [valid("a", 0), valid("a", 1), valid("a", 2)]

    def test_what_a_gap_demotes_beyond_the_bounds_is_dropped(self) -> None:
        pool = TransactionPool(PoolLimits(futures_per_account=2))
        chain = [valid("a", nonce) for nonce in range(5)]
        add_all(pool, *chain)
        told = watch(pool, *chain)
        pool.drop(hash_of(chain[1]), InvalidReason.BAD_CALL)
        assert told == [[], [INVALID], [FUTURE], [FUTURE], [FUTURE, DROPPED]]
        assert ready(pool) == [chain[0]]
        assert gauges(pool)["future"] == 2

    @pytest.mark.parametrize(
        "limits", [PoolLimits(futures=2), PoolLimits(future_bytes=2 * SHORTEST)], ids=["futures", "bytes"]
    )
    def test_demotion_respects_the_bounds_for_all_futures_too(self, limits: PoolLimits) -> None:
        pool = TransactionPool(limits)
        chain = [valid("a", nonce) for nonce in range(4)]
        add_all(pool, valid("b", 1), *chain)
        told = watch(pool, *chain)
        pool.drop(hash_of(chain[1]), InvalidReason.BAD_CALL)
        assert told == [[], [INVALID], [FUTURE], [FUTURE, DROPPED]]
        assert hash_of(valid("b", 1)) in pool

    def test_futures_that_wait_too_long_leave(self) -> None:
        """An immortal one whose predecessor never comes would keep its place for ever."""
        pool = TransactionPool(PoolLimits(future_blocks=3))
        block(pool, 10, [])
        add_all(pool, valid("a", 1), valid("b", 0))
        block(pool, 11, [])
        add_all(pool, valid("a", 3), valid("c", 1))
        told = watch(pool, valid("a", 1), valid("b", 0), valid("a", 3))
        block(pool, 12, [])
        assert told == [[], [], []]
        block(pool, 13, [])
        assert told == [[DROPPED], [], []]
        pool.add(valid("c", 0), Nonce(0))
        block(pool, 14, [])
        assert told == [[DROPPED], [], [DROPPED]]
        assert ready(pool) == [valid("b", 0), valid("c", 0), valid("c", 1)]
        assert gauges(pool)["accounts"] == 2


class TestWhoGivesWay:
    def test_the_last_one_of_who_takes_the_most_makes_room_for_who_takes_less(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=4))
        add_all(pool, *(valid("a", nonce) for nonce in (7, 8, 9, 11)), chain_nonce=7)
        told = watch(pool, valid("a", 11), valid("a", 9), valid("a", 8))
        assert pool.add(valid("b", 1), Nonce(1)).state is TransactionState.READY
        assert pool.add(valid("c", 1), Nonce(1)).state is TransactionState.READY
        assert told == [[DROPPED], [DROPPED], []]
        assert ready(pool) == [valid("a", 7), valid("b", 1), valid("c", 1), valid("a", 8)]
        assert pool.next_nonce(account("a"), Nonce(7)) == 9
        assert refusal(pool, valid("a", 9), chain_nonce=7) == FULL
        pool.add(valid("d", 1), Nonce(1))
        assert ready(pool) == [valid("a", 7), *(valid(name, 1) for name in "bcd")]
        assert refusal(pool, valid("e", 1), chain_nonce=1) == FULL

    def test_made_up_accounts_do_not_keep_out_those_that_the_chain_knows(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=20))
        add_all(pool, *(valid(str(index), 0) for index in range(20)))
        told = watch(pool, *(valid(str(index), 0) for index in range(20)))
        add_all(pool, *(valid("old", nonce) for nonce in range(3, 21)), chain_nonce=3)
        assert told == [[], []] + [[DROPPED]] * 18
        assert pool.metrics()["newPlaces"] == 2
        assert refusal(pool, valid("old", 21), chain_nonce=3) == FULL
        assert refusal(pool, valid("another", 0)) == FULL

    def test_a_tenth_is_kept_for_new_accounts(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=20))
        chain = [valid("old", nonce) for nonce in range(3, 23)]
        add_all(pool, *chain, chain_nonce=3)
        told = watch(pool, *chain)
        add_all(pool, valid("a", 0), valid("b", 0))
        assert told == [[]] * 18 + [[DROPPED]] * 2
        assert refusal(pool, valid("c", 0)) == FULL

    def test_an_accounts_own_later_one_gives_way_to_the_earlier_one(self) -> None:
        """Else it could wait for ever for what cannot come in, being in its way."""
        pool = TransactionPool(PoolLimits(transactions=3))
        add_all(pool, *(valid("a", nonce) for nonce in (3, 5, 6)), chain_nonce=3)
        [told] = watch(pool, valid("a", 6))
        added = pool.add(valid("a", 4), Nonce(3))
        assert added == Added(TransactionState.READY, (hash_of(valid("a", 5)),))
        assert told == [DROPPED]

    def test_several_leave_for_a_long_one_or_none(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=10, total_bytes=2_000))
        add_all(pool, *(valid("a", nonce) for nonce in range(3, 13)), chain_nonce=3)
        assert refusal(pool, valid("b", 1, length=1_200), chain_nonce=1) == FULL
        told = watch(pool, *(valid("a", nonce) for nonce in range(8, 13)))
        pool.add(valid("b", 1, length=1_000), Nonce(1))
        assert told == [[DROPPED]] * 5
        assert (len(pool), pool.metrics()["places"]) == (6, 10)

    def test_futures_give_way_to_futures(self) -> None:
        pool = TransactionPool(PoolLimits(futures=3))
        add_all(pool, *(valid("a", nonce) for nonce in (5, 7, 8, 9)), chain_nonce=5)
        told = watch(pool, valid("a", 5), valid("a", 9))
        assert pool.add(valid("b", 4), Nonce(3)) == Added(TransactionState.FUTURE)
        assert told == [[], [DROPPED]]
        assert pool.add(valid("c", 4), Nonce(3)) == Added(TransactionState.FUTURE)
        assert refusal(pool, valid("d", 4), chain_nonce=3) == FUTURES_FULL

    def test_whoever_a_block_has_made_known_counts_as_such(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=10))
        add_all(pool, *(valid("a", nonce) for nonce in range(4)), *(valid("b", nonce) for nonce in range(1, 4)))
        assert pool.metrics()["newPlaces"] == 7
        block(pool, 1, [valid("a", 0)])
        assert pool.metrics()["newPlaces"] == 3
        block(pool, 2, [block_hash("another node's")], nonces(a=1, b=1))
        assert pool.metrics()["newPlaces"] == 0
        pool.on_retracted(block_hash("2"), [])
        block(pool, 2, [], nonces(a=1), name="other 2")
        assert pool.metrics()["newPlaces"] == 3


class TestOrder:
    def test_every_account_in_turn_an_accounts_own_by_nonce(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("b", 1), valid("b", 0), valid("b", 2), valid("a", 0), valid("c", 0), valid("a", 1))
        order = [valid("b", 0), valid("a", 0), valid("c", 0), valid("b", 1), valid("a", 1), valid("b", 2)]
        assert ready(pool) == order
        assert pool.pending() == [transaction.prepared.raw for transaction in order]
        assert pool.hashes() == [hash_of(transaction) for transaction in order]

    def test_who_was_served_goes_behind_who_was_not(self) -> None:
        pool = TransactionPool()
        add_all(pool, *(valid(name, nonce) for name in "abc" for nonce in (1, 2, 3)), chain_nonce=1)
        block(pool, 1, [valid("a", 1), valid("b", 1)])
        pool.add(valid("d", 1), Nonce(1))
        first = [valid("c", 1), valid("a", 2), valid("b", 2), valid("d", 1)]
        assert ready(pool) == [*first, valid("c", 2), valid("a", 3), valid("b", 3), valid("c", 3)]

    def test_known_and_new_accounts_take_turns(self) -> None:
        pool = TransactionPool()
        add_all(pool, *(valid(str(index), 0) for index in range(5)))
        add_all(pool, valid("a", 1), valid("a", 2), valid("b", 1), chain_nonce=1)
        new = [valid(str(index), 0) for index in range(5)]
        known = [valid("a", 1), valid("b", 1), valid("a", 2)]
        assert ready(pool) == [known[0], new[0], known[1], new[1], known[2], *new[2:]]


class TestPass:
    def test_it_leaves_out_what_is_no_longer_there_or_ready(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("b", 0), valid("b", 1), valid("c", 0), valid("d", 0))
        going = pool.ready()
        assert next(going) == valid("a", 0)
        pool.drop(hash_of(valid("b", 0)), InvalidReason.BAD_CALL)
        block(pool, 1, [valid("c", 0)])
        assert list(going) == [valid("d", 0)]

    def test_it_leaves_out_what_became_ready_since(self) -> None:
        """A successor whose predecessor was replaced behind the pass cannot follow in the same block."""
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("b", 0))
        going = pool.ready()
        assert next(going) == valid("a", 0)
        pool.drop(hash_of(valid("a", 0)), InvalidReason.BAD_CALL)
        add_all(pool, valid("a", 0, 1), valid("c", 0))
        assert list(going) == [valid("b", 0)]
        assert ready(pool) == [valid("a", 0, 1), valid("b", 0), valid("c", 0), valid("a", 1)]

    def test_skipping_leaves_out_the_rest_of_the_account_in_this_pass_alone(self) -> None:
        pool = TransactionPool()
        arrivals = [valid("a", 0), valid("b", 0), valid("a", 1), valid("b", 1)]
        add_all(pool, *arrivals)
        going = pool.ready()
        going.skip(next(going))
        assert list(going) == [valid("b", 0), valid("b", 1)]
        assert ready(pool) == arrivals


class TestNextNonce:
    def test_it_counts_what_is_contiguous(self) -> None:
        pool = TransactionPool()
        add_all(pool, *(valid("a", nonce) for nonce in (3, 4, 6)), chain_nonce=3)
        assert pool.next_nonce(account("a"), Nonce(3)) == 5
        pool.add(valid("a", 5), Nonce(3))
        assert pool.next_nonce(account("a"), Nonce(3)) == 7

    def test_it_is_the_chains_where_nothing_follows_it(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 1), valid("a", 4))
        assert pool.next_nonce(account("a"), Nonce(0)) == 0
        assert pool.next_nonce(account("b"), Nonce(7)) == 7

    def test_a_chain_that_is_behind_the_pool(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 5), Nonce(5))
        assert pool.next_nonce(account("a"), Nonce(3)) == 3

    def test_a_chain_that_is_ahead_of_the_pool(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("a", 3))
        assert pool.next_nonce(account("a"), Nonce(1)) == 2
        assert pool.next_nonce(account("a"), Nonce(2)) == 2
        assert pool.next_nonce(account("a"), Nonce(3)) == 4


class TestDropping:
    def test_what_is_dropped_is_banned_for_some_blocks_and_its_successors_wait(self) -> None:
        pool = TransactionPool(PoolLimits(ban_blocks=3))
        add_all(pool, valid("a", 0), valid("a", 1))
        told = watch(pool, valid("a", 0), valid("a", 1))
        block(pool, 10, [])
        assert pool.drop(hash_of(valid("a", 0)), InvalidReason.BAD_CALL)
        assert told == [[INVALID], [FUTURE]]
        assert not pool.has_ready
        hexadecimal = to_hex(hash_of(valid("a", 0)))
        text = f"TemporarilyBanned: {hexadecimal} was found invalid and is banned up to block 13"
        banned = (RefusalReason.TEMPORARILY_BANNED, text)
        assert refusal(pool, valid("a", 0)) == banned
        block(pool, 13, [])
        assert refusal(pool, valid("a", 0)) == banned
        block(pool, 14, [])
        assert gauges(pool)["banned"] == 0
        assert pool.add(valid("a", 0), Nonce(0)).promoted == (hash_of(valid("a", 1)),)

    @pytest.mark.parametrize("reason", [InvalidReason.FUTURE, InvalidReason.EXHAUSTS_RESOURCES])
    def test_what_will_pass_by_itself_stays(self, reason: InvalidReason) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        assert not pool.drop(hash_of(valid("a", 0)), reason)
        assert ready(pool) == [valid("a", 0)]

    def test_what_is_not_here_cannot_be_dropped_and_is_not_banned(self) -> None:
        pool = TransactionPool()
        assert not pool.drop(hash_of(valid("a", 0)), InvalidReason.BAD_CALL)
        assert pool.add(valid("a", 0), Nonce(0)) == Added(TransactionState.READY)

    def test_the_oldest_of_too_many_banned_ones_is_forgotten(self) -> None:
        pool = TransactionPool(PoolLimits(banned=2))
        for name in "abc":
            pool.add(valid(name, 0), Nonce(0))
            pool.drop(hash_of(valid(name, 0)), InvalidReason.BAD_CALL)
        pool.check_new(hash_of(valid("a", 0)))
        for name in "bc":
            with pytest.raises(PoolRefused) as caught:
                pool.check_new(hash_of(valid(name, 0)))
            assert caught.value.reason is RefusalReason.TEMPORARILY_BANNED
        assert gauges(pool)["banned"] == 2

    def test_what_is_dropped_twice_is_banned_from_the_second_time_on(self) -> None:
        pool = TransactionPool(PoolLimits(ban_blocks=3))
        for height, names in enumerate(["a", "b", "a"]):
            for name in names:
                pool.on_retracted(block_hash("left"), [valid(name, 0)])
                block(pool, height, [])
                pool.drop(hash_of(valid(name, 0)), InvalidReason.BAD_CALL)
        block(pool, 5, [])
        pool.check_new(hash_of(valid("b", 0)))
        with pytest.raises(PoolRefused, match="is banned up to block 5"):
            pool.check_new(hash_of(valid("a", 0)))
        assert gauges(pool)["banned"] == 1

    def test_an_account_whose_last_ones_are_dropped_for_a_bound_is_forgotten(self) -> None:
        pool = TransactionPool(PoolLimits(futures=1))
        add_all(pool, valid("b", 1), valid("a", 0), valid("a", 1))
        pool.drop(hash_of(valid("a", 0)), InvalidReason.BAD_CALL)
        assert gauges(pool)["accounts"] == len(pool) == 1

    def test_a_future_can_be_dropped(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 2))
        assert pool.drop(hash_of(valid("a", 2)), InvalidReason.BAD_PROOF)
        assert gauges(pool) == {
            **EMPTY,
            "ready": 1,
            "bytes": SHORTEST,
            "accounts": 1,
            "deadlines": 1,
            "banned": 1,
        }


def test_the_metrics_tell_what_is_here_and_what_has_happened() -> None:
    pool = TransactionPool(PoolLimits(transactions=4))
    add_all(pool, valid("a", 1), valid("a", 0), valid("b", 0), valid("b", 3))
    watch(pool, valid("a", 0), valid("b", 0))
    refusal(pool, valid("a", 0))
    refusal(pool, valid("a", 0, 1))
    refusal(pool, valid("c", 0, length=6 << 20))
    block(pool, 1, [valid("a", 0)])
    pool.drop(hash_of(valid("b", 0)), InvalidReason.BAD_CALL)
    refusal(pool, valid("b", 0))
    assert pool.metrics() == {
        "ready": 1,
        "future": 1,
        "bytes": 2 * SHORTEST,
        "futureBytes": SHORTEST,
        "places": 2,
        "newPlaces": 1,
        "accounts": 2,
        "deadlines": 1,
        "banned": 1,
        "watched": 1,
        "added": 4,
        "promoted": 1,
        "demoted": 0,
        "returned": 0,
        "refusedAlreadyImported": 1,
        "refusedTemporarilyBanned": 1,
        "refusedPriorityTooLow": 1,
        "refusedPoolFull": 1,
        "inBlock": 1,
        "usurped": 0,
        "dropped": 0,
        "invalid": 1,
    }
