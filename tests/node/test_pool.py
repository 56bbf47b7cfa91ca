from collections.abc import Iterable

import pytest

from node.pool import Added, PoolLimits, PoolRefused, RefusalReason, TransactionPool
from rpc.service import TransactionState, TransactionStatus
from runtime.executive import ValidTransaction
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce, to_hex
from tests.support.transactions import SHORTEST, account, block_hash, hash_of, valid

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


class TestBounds:
    def test_transactions(self) -> None:
        pool = TransactionPool(PoolLimits(transactions=2))
        add_all(pool, valid("a", 0), valid("b", 5))
        full = (RefusalReason.POOL_FULL, "PoolFull: 2 transactions are in the pool")
        assert refusal(pool, valid("c", 0)) == full
        assert refusal(pool, valid("c", 5)) == full

    def test_bytes(self) -> None:
        pool = TransactionPool(PoolLimits(total_bytes=1_000))
        add_all(pool, valid("a", 0, length=400), valid("b", 0, length=300))
        full = (RefusalReason.POOL_FULL, "PoolFull: 700 of 1000 bytes are taken")
        assert refusal(pool, valid("c", 0, length=301)) == full
        pool.add(valid("c", 0, length=300), Nonce(0))
        assert pool.byte_size == 1_000

    def test_futures(self) -> None:
        pool = TransactionPool(PoolLimits(futures=2))
        add_all(pool, valid("a", 1), valid("b", 1))
        full = (RefusalReason.POOL_FULL, "PoolFull: 2 future transactions are in the pool")
        assert refusal(pool, valid("c", 1)) == full
        assert pool.add(valid("a", 0), Nonce(0)).promoted == (hash_of(valid("a", 1)),)
        assert pool.add(valid("c", 1), Nonce(0)) == Added(TransactionState.FUTURE)

    def test_bytes_of_futures(self) -> None:
        pool = TransactionPool(PoolLimits(future_bytes=500))
        add_all(pool, valid("a", 1, length=300), valid("b", 0, length=300))
        text = "PoolFull: 300 of 500 bytes for future transactions are taken"
        assert refusal(pool, valid("b", 2, length=201)) == (RefusalReason.POOL_FULL, text)
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


class TestOrder:
    def test_by_arrival(self) -> None:
        pool = TransactionPool()
        arrivals = [valid("b", 0), valid("a", 0), valid("c", 0), valid("a", 1), valid("b", 1)]
        add_all(pool, *arrivals)
        assert ready(pool) == arrivals
        assert pool.pending() == [transaction.prepared.raw for transaction in arrivals]

    def test_a_future_stands_behind_its_predecessor_and_before_what_came_after_that(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 1), valid("b", 0), valid("a", 0), valid("c", 0))
        assert ready(pool) == [valid("b", 0), valid("a", 0), valid("a", 1), valid("c", 0)]

    def test_a_future_that_a_block_makes_ready_has_the_place_of_its_arrival(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("b", 0), valid("a", 1), valid("a", 2), valid("c", 0))
        block(pool, 1, [block_hash("another node's")], nonces(a=1))
        assert ready(pool) == [valid("b", 0), valid("a", 1), valid("a", 2), valid("c", 0)]
        pool.add(valid("d", 0), Nonce(0))
        assert ready(pool)[-1] == valid("d", 0)

    def test_a_successor_goes_with_the_predecessor_that_took_another_ones_place(self) -> None:
        pool = TransactionPool()
        add_all(pool, valid("a", 0), valid("a", 1), valid("b", 0))
        pool.drop(hash_of(valid("a", 0)), InvalidReason.BAD_CALL)
        assert ready(pool) == [valid("b", 0)]
        pool.add(valid("a", 0, 1), Nonce(0))
        assert ready(pool) == [valid("b", 0), valid("a", 0, 1), valid("a", 1)]


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
        assert ready(pool) == [valid("b", 0), valid("a", 0, 1), valid("a", 1), valid("c", 0)]

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
        assert ready(pool) == [first, second, third, valid("c", 0), valid("a", 2)]
        assert told == [
            [in_block("1"), retracted("1"), READY],
            [in_block("1"), retracted("1"), READY],
            [in_block("2"), retracted("2"), READY],
        ]
        assert pool.metrics()["returned"] == 3

    def test_what_the_new_branch_has_too_goes_on_from_there(self) -> None:
        pool = TransactionPool()
        pool.add(valid("a", 0), Nonce(0))
        [told] = watch(pool, valid("a", 0))
        block(pool, 1, [valid("a", 0)])
        pool.on_retracted(block_hash("1"), [])
        block(pool, 1, [], name="other 1")
        block(pool, 2, [valid("a", 0)], nonces(a=1), name="other 2")
        pool.on_finalized(block_hash("other 2"), [hash_of(valid("a", 0))])
        assert told == [in_block("1"), retracted("1"), in_block("other 2"), finalized("other 2")]
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
        block(pool, 100, [])
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
        pool.on_retracted(block_hash("1"), [valid("a", 0)])
        block(pool, 1, [], name="other 1")
        assert ready(pool) == [valid("a", 0)]
        assert pool.metrics()["returned"] == 0


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


def test_the_metrics_tell_what_is_here_and_what_has_happened() -> None:
    pool = TransactionPool(PoolLimits(transactions=4))
    add_all(pool, valid("a", 1), valid("a", 0), valid("b", 0), valid("b", 3))
    watch(pool, valid("a", 0), valid("b", 0))
    refusal(pool, valid("a", 0))
    refusal(pool, valid("a", 0, 1))
    refusal(pool, valid("c", 0))
    block(pool, 1, [valid("a", 0)])
    pool.drop(hash_of(valid("b", 0)), InvalidReason.BAD_CALL)
    refusal(pool, valid("b", 0))
    assert pool.metrics() == {
        "ready": 1,
        "future": 1,
        "bytes": 2 * SHORTEST,
        "futureBytes": SHORTEST,
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
