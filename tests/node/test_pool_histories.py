"""Random histories of a pool and its chain, against a model that recomputes everything from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.pool import Added, PoolLimits, PoolRefused, RefusalReason, TransactionPool
from rpc.service import FINAL_STATES, TransactionState, TransactionStatus
from runtime.executive import ValidTransaction
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce
from tests.support.transactions import FOREVER, account, block_hash, hash_of, valid

NAMES = ("a", "b", "c")
LENGTHS = (110, 150, 200)
LIMITS = PoolLimits(
    transactions=12,
    total_bytes=1_800,
    futures=5,
    future_bytes=700,
    futures_per_account=3,
    future_blocks=4,
    new_part=4,
    banned=3,
    ban_blocks=2,
    included_watched=6,
    listeners=64,
)

INVALID = TransactionStatus(TransactionState.INVALID)
DROPPED = TransactionStatus(TransactionState.DROPPED)

names = st.sampled_from(NAMES)


@dataclass
class Kept:
    """What the model knows of a transaction in the pool; `since` is the height at which it became a future."""

    valid: ValidTransaction
    since: int
    is_ready: bool = False

    @property
    def length(self) -> int:
        return len(self.valid.prepared.raw)

    @property
    def places(self) -> int:
        """Return the places that it takes in the pool."""
        return ceil(Fraction(self.length * LIMITS.transactions, LIMITS.total_bytes))

    @property
    def future_places(self) -> int:
        """Return those that it takes among the futures."""
        return ceil(Fraction(self.length * LIMITS.futures, LIMITS.future_bytes))


@dataclass(frozen=True)
class PastBlock:
    """A block of the best chain, and the nonces before it."""

    hash: Hash
    transactions: tuple[ValidTransaction, ...]
    nonces_before: dict[AccountId, int]


@dataclass
class Model:
    """The chain and what the pool should hold."""

    chain: dict[AccountId, int] = field(default_factory=lambda: {account(name): 0 for name in NAMES})
    height: int = 0
    kept: dict[Hash, Kept] = field(default_factory=dict)
    banned: dict[Hash, int] = field(default_factory=dict)
    turns: list[AccountId] = field(default_factory=list)
    highest: int = 0

    def by_nonce(self, of: AccountId) -> dict[int, Kept]:
        return {kept.valid.nonce: kept for kept in self.kept.values() if kept.valid.account == of}

    def run(self, of: AccountId) -> list[Kept]:
        """Return the ready transactions of an account."""
        queue, nonce, found = self.by_nonce(of), self.chain[of], []
        while nonce in queue:
            found.append(queue[nonce])
            nonce += 1
        return found

    def settle(self) -> None:
        """Mark what is ready, and when the others began to wait; who has nothing here has no turn."""
        for of in self.chain:
            run = self.run(of)
            for kept in self.by_nonce(of).values():
                is_ready = any(kept is other for other in run)
                if kept.is_ready and not is_ready:
                    kept.since = self.height
                kept.is_ready = is_ready
        self.turns = [of for of in self.turns if self.by_nonce(of)]

    def ready(self) -> list[ValidTransaction]:
        kinds: list[list[ValidTransaction]] = []
        for is_new in (False, True):
            runs = [self.run(of) for of in self.turns if (self.chain[of] == 0) is is_new]
            rounds = range(max(map(len, runs), default=0))
            kinds.append([run[number].valid for number in rounds for run in runs if len(run) > number])
        known, new = kinds
        turns = max(len(known), len(new))
        return [one for turn in range(turns) for one in known[turn : turn + 1] + new[turn : turn + 1]]

    def futures(self) -> list[Kept]:
        return [kept for kept in self.kept.values() if not kept.is_ready]

    def tired(self) -> list[Hash]:
        """Return what has been a future for too long."""
        last = self.height - LIMITS.future_blocks
        return [hash_of(kept.valid) for kept in self.futures() if kept.since <= last]

    def is_over_futures(self, of: AccountId) -> bool:
        """Tell whether the futures, with all that could be demoted, pass a bound."""
        futures = self.futures()
        return (
            sum(kept.future_places for kept in futures) > LIMITS.futures
            or sum(kept.valid.account == of for kept in futures) > LIMITS.futures_per_account
        )

    def use(self, of: AccountId, *, futures: bool) -> int:
        """Return the places that an account takes in the pool, or among the futures."""
        mine = self.by_nonce(of).values()
        if futures:
            return sum(kept.future_places for kept in mine if not kept.is_ready)
        return sum(kept.places for kept in mine)

    def fits(self, newcomer: Kept, *, futures: bool) -> bool:
        """Tell whether there is room, if need be by letting others go."""
        of, total = newcomer.valid.account, LIMITS.futures if futures else LIMITS.transactions
        places = newcomer.future_places if futures else newcomer.places
        use = {one: self.use(one, futures=futures) for one in self.chain}
        lacking = sum(use.values()) + places - total
        is_new = self.chain[of] == 0
        kind = [one for one in self.chain if (self.chain[one] == 0) is is_new]
        kept_for = total // LIMITS.new_part if is_new else total - total // LIMITS.new_part
        own_later = sum(
            kept.future_places if futures else kept.places
            for kept in self.by_nonce(of).values()
            if kept.valid.nonce > newcomer.valid.nonce and not (futures and kept.is_ready)
        )
        return (
            lacking <= 0
            or sum(use[one] for one in kind) + places <= kept_for
            or sum(max(use[one] - use[of] - places, 0) for one in kind) >= lacking
            or own_later >= lacking
        )

    def refusal(self, transaction: ValidTransaction) -> object:
        """Tell why the pool must refuse a newcomer, if it must."""
        of = transaction.account
        queue = self.by_nonce(of)
        is_ready = transaction.nonce == self.chain[of] + len(self.run(of))
        if hash_of(transaction) in self.kept:
            return RefusalReason.ALREADY_IMPORTED
        if hash_of(transaction) in self.banned:
            return RefusalReason.TEMPORARILY_BANNED
        if transaction.nonce < self.chain[of]:
            return InvalidReason.STALE
        if transaction.longevity <= self.height:
            return InvalidReason.ANCIENT_BIRTH_BLOCK
        if transaction.nonce in queue:
            return RefusalReason.PRIORITY_TOO_LOW
        newcomer = Kept(transaction, self.height)
        mine = [kept for kept in queue.values() if not kept.is_ready]
        fits = self.fits(newcomer, futures=False) and (
            is_ready or (len(mine) < LIMITS.futures_per_account and self.fits(newcomer, futures=True))
        )
        return None if fits else RefusalReason.POOL_FULL


class PoolHistory(RuleBasedStateMachine):
    """A pool, its chain, and a listener on every transaction that was ever taken."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = TransactionPool(LIMITS)
        self.model = Model()
        self.told: dict[Hash, list[TransactionStatus]] = {}
        self.past: list[PastBlock] = []
        self.blocks = 0
        self.seen: dict[Hash, ValidTransaction] = {}

    # What happens.

    @rule(
        name=names,
        offset=st.integers(-1, 7),
        variant=st.integers(0, 1),
        life=st.sampled_from([None, None, 0, 1, 3]),
        length=st.sampled_from(LENGTHS),
    )
    def submit(self, name: str, offset: int, variant: int, life: int | None, length: int) -> None:
        nonce = max(self.model.chain[account(name)] + offset, 0)
        longevity = FOREVER if life is None else self.model.height + life
        self.submit_again(valid(name, nonce, variant, longevity=longevity, length=length))

    @rule(name=names, life=st.sampled_from([None, 1, 3]), length=st.sampled_from(LENGTHS))
    def submit_next(self, name: str, life: int | None, length: int) -> None:
        self.submit(name, len(self.model.run(account(name))), 0, life, length)

    @rule(name=names, count=st.integers(2, 8))
    def submit_many(self, name: str, count: int) -> None:
        for _ in range(count):
            self.submit_next(name, None, LENGTHS[0])

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def submit_known(self, data: st.DataObject) -> None:
        self.submit_again(data.draw(st.sampled_from(list(self.seen.values()))))

    def submit_again(self, transaction: ValidTransaction) -> None:
        model, extrinsic, of = self.model, hash_of(transaction), transaction.account
        expected = model.refusal(transaction)
        outcome: object
        try:
            outcome = self.pool.add(transaction, Nonce(model.chain[of]))
        except (PoolRefused, InvalidTransaction) as error:
            outcome = error.reason
        if expected is not None:
            assert outcome == expected
            return
        self.accept_displaced(transaction)
        before = {hash_of(ready) for ready in model.ready()}
        model.kept[extrinsic] = Kept(transaction, model.height)
        if of not in model.turns:
            model.turns.append(of)
        model.settle()
        risen = [hash_of(kept.valid) for kept in model.run(of) if hash_of(kept.valid) not in before]
        if risen:
            assert risen[0] == extrinsic
            assert outcome == Added(TransactionState.READY, tuple(risen[1:]))
        else:
            assert outcome == Added(TransactionState.FUTURE)
        if extrinsic not in self.told or self.told[extrinsic][-1].state in FINAL_STATES:
            self.told[extrinsic] = []
            self.pool.watch(extrinsic, self.told[extrinsic].append)
        self.seen[extrinsic] = transaction

    @rule(data=st.data(), names_accounts=st.booleans())
    def grow(self, data: st.DataObject, names_accounts: bool) -> None:
        self.import_block(self.draw_block(data, ()), names_accounts=names_accounts)
        self.forget_distant_past()

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def reorganise(self, data: st.DataObject) -> None:
        depth = data.draw(st.integers(1, len(self.past)), "depth")
        left, self.past = self.past[-depth:], self.past[:-depth]
        old_height = self.model.height
        self.model.height -= depth
        self.model.chain = dict(left[0].nonces_before)
        retracted = [transaction for block in left for transaction in block.transactions]
        branch = self.draw_branch(data, retracted, depth + data.draw(st.integers(0, 1), "longer"))
        after, height = self.nonces_after(branch), self.model.height + len(branch)
        for block in reversed(left):
            back = [
                transaction
                for transaction in block.transactions
                if transaction.nonce >= after[transaction.account] and transaction.longevity > height
            ]
            self.retract(block, back)
        for transactions in branch:
            self.import_block(transactions, names_accounts=False)
        assert self.model.height >= old_height
        self.forget_distant_past()

    @precondition(lambda self: self.model.ready())
    @rule(data=st.data(), reason=st.sampled_from([InvalidReason.BAD_CALL, InvalidReason.FUTURE]))
    def drop(self, data: st.DataObject, reason: InvalidReason) -> None:
        extrinsic = hash_of(data.draw(st.sampled_from(self.model.ready())))
        left = self.pool.drop(extrinsic, reason)
        assert left is (reason is InvalidReason.BAD_CALL)
        if left:
            del self.model.kept[extrinsic]
            self.model.banned.pop(extrinsic, None)
            self.model.banned[extrinsic] = self.model.height + LIMITS.ban_blocks
            if len(self.model.banned) > LIMITS.banned:
                del self.model.banned[next(iter(self.model.banned))]
            self.assert_told(extrinsic, INVALID)
            self.model.settle()
            self.accept_drops()
            self.model.settle()

    @precondition(lambda self: self.past)
    @rule()
    def finalize(self) -> None:
        block = self.past.pop(0)
        self.pool.on_finalized(block.hash, [hash_of(transaction) for transaction in block.transactions])
        for transaction in block.transactions:
            statuses = self.told.get(hash_of(transaction), [])
            if statuses and statuses[-1].state not in FINAL_STATES:
                raise AssertionError(f"not told of finality: {statuses}")

    @rule(data=st.data())
    def build(self, data: st.DataObject) -> None:
        """Go through the ready ones and leave some accounts out half-way."""
        going = self.pool.ready()
        taken: list[ValidTransaction] = []
        skipped: set[AccountId] = set()
        for transaction in going:
            assert transaction.account not in skipped
            if data.draw(st.booleans(), "skip"):
                going.skip(transaction)
                skipped.add(transaction.account)
            else:
                taken.append(transaction)
        for of in self.model.chain:
            mine = [transaction.nonce for transaction in taken if transaction.account == of]
            assert mine == list(range(self.model.chain[of], self.model.chain[of] + len(mine)))

    # How it happens.

    def draw_block(self, data: st.DataObject, others: Sequence[ValidTransaction]) -> tuple[ValidTransaction, ...]:
        """Make a block of ready ones, of `others`, and of transactions that the pool never saw."""
        nonces, found = dict(self.model.chain), []
        for name in data.draw(st.lists(names, max_size=5), "accounts"):
            of = account(name)
            candidates = [kept.valid for kept in self.model.kept.values()] + list(others)
            fitting = [
                candidate
                for candidate in candidates
                if (candidate.account, candidate.nonce) == (of, nonces[of]) and candidate.longevity > self.model.height
            ]
            foreign = valid(name, nonces[of], 2)
            found.append(data.draw(st.sampled_from([*fitting, foreign]), "transaction"))
            nonces[of] += 1
        return tuple(found)

    def draw_branch(
        self, data: st.DataObject, others: Sequence[ValidTransaction], length: int
    ) -> list[tuple[ValidTransaction, ...]]:
        """Make some blocks, one upon the other, without adopting any."""
        before, height = dict(self.model.chain), self.model.height
        branch = []
        for _ in range(length):
            branch.append(self.draw_block(data, others))
            self.model.chain = self.nonces_after(branch[-1:])
            self.model.height += 1
        self.model.chain, self.model.height = before, height
        return branch

    def nonces_after(self, blocks: Sequence[Sequence[ValidTransaction]]) -> dict[AccountId, int]:
        nonces = dict(self.model.chain)
        for transactions in blocks:
            for transaction in transactions:
                nonces[transaction.account] += 1
        return nonces

    def import_block(self, transactions: tuple[ValidTransaction, ...], *, names_accounts: bool) -> None:
        model = self.model
        self.blocks += 1
        block = PastBlock(block_hash(str(self.blocks)), transactions, dict(model.chain))
        model.chain = self.nonces_after([transactions])
        model.height += 1
        model.highest = max(model.highest, model.height)
        included = [hash_of(transaction) for transaction in transactions]
        accounts = [transaction.account for transaction in transactions] if names_accounts else None
        reference = BlockRef(BlockNumber(model.height), block.hash)
        self.pool.on_block(reference, included, lambda of: Nonce(model.chain[of]), accounts)
        self.past.append(block)
        for extrinsic in included:
            if kept := model.kept.pop(extrinsic, None):
                self.assert_told(extrinsic, TransactionStatus(TransactionState.IN_BLOCK, block.hash))
                model.turns.remove(kept.valid.account)
                model.turns.append(kept.valid.account)
        for extrinsic, kept in list(model.kept.items()):
            is_stale = kept.valid.nonce < model.chain[kept.valid.account]
            if is_stale or kept.valid.longevity <= model.height:
                del model.kept[extrinsic]
                self.assert_told(extrinsic, INVALID)
        while model.banned and next(iter(model.banned.values())) < model.height:
            del model.banned[next(iter(model.banned))]
        model.settle()
        self.accept_drops()
        for extrinsic in model.tired():
            del model.kept[extrinsic]
            self.assert_told(extrinsic, DROPPED)
        model.settle()

    def retract(self, block: PastBlock, back: list[ValidTransaction]) -> None:
        """Put back, newest first; what finds no room, and what makes room, is as the pool says if it is full."""
        model = self.model
        self.pool.on_retracted(block.hash, back)
        for transaction in reversed(back):
            extrinsic, of = hash_of(transaction), transaction.account
            other = model.by_nonce(of).get(transaction.nonce)
            if other is not None:
                self.assert_told(extrinsic, TransactionStatus(TransactionState.USURPED, hash_of(other.valid)))
                continue
            model.kept[extrinsic] = Kept(transaction, model.highest)
            if of in model.turns:
                model.turns.remove(of)
            model.turns.insert(0, of)
        lost = [extrinsic for extrinsic in model.kept if extrinsic not in self.pool]
        if lost:
            largest = max(model.kept[extrinsic].places for extrinsic in lost)
            assert sum(kept.places for kept in model.kept.values()) > LIMITS.transactions
            assert self.pool.metrics()["places"] + largest > LIMITS.transactions
        for extrinsic in lost:
            del model.kept[extrinsic]
            self.assert_told(extrinsic, DROPPED)

    def accept_displaced(self, newcomer: ValidTransaction) -> None:
        """Take out of the model what made room for a newcomer, having made sure that it was its turn to."""
        model, of = self.model, newcomer.account
        lost = {extrinsic: kept for extrinsic, kept in model.kept.items() if extrinsic not in self.pool}
        if not lost:
            return
        arrived = Kept(newcomer, model.height)
        is_future = newcomer.nonce != model.chain[of] + len(model.run(of))
        freed = 0
        for futures, total in ((True, LIMITS.futures), (False, LIMITS.transactions)):
            if futures and not is_future:
                continue
            use = {one: model.use(one, futures=futures) for one in model.chain}
            places = arrived.future_places if futures else arrived.places
            freed += max(sum(use.values()) + places - total, 0)
        assert freed > 0, "there was room"
        for extrinsic, kept in lost.items():
            victim, nonce = kept.valid.account, kept.valid.nonce
            left = [other for other in model.by_nonce(victim).values() if hash_of(other.valid) in self.pool]
            assert all(other.valid.nonce < nonce for other in left if other.valid != newcomer), "the last ones go first"
            is_other_kind = (model.chain[victim] == 0) is not (model.chain[of] == 0)
            is_own_later = victim == of and nonce > newcomer.nonce
            takes_more = any(
                model.use(victim, futures=futures) > model.use(of, futures=futures) for futures in (False, is_future)
            )
            assert is_other_kind or is_own_later or takes_more
            self.assert_told(extrinsic, DROPPED)
        for extrinsic in lost:
            del model.kept[extrinsic]

    def assert_told(self, extrinsic: Hash, status: TransactionStatus) -> None:
        """Look for a status among the last ones of a transaction, if anybody still listens to it."""
        statuses = self.told.get(extrinsic)
        if statuses is None or (statuses[-1].state in FINAL_STATES and statuses[-1] != status):
            return
        assert status in statuses[-2:]

    def accept_drops(self) -> None:
        """Take out of the model what the pool let go, having made sure that a bound forced it to."""
        tired = self.model.tired()
        dropped = [
            kept for extrinsic, kept in self.model.kept.items() if extrinsic not in self.pool and extrinsic not in tired
        ]
        for kept in dropped:
            assert not kept.is_ready, "a ready transaction is lost"
            assert self.model.is_over_futures(kept.valid.account)
            statuses = self.told.get(hash_of(kept.valid))
            assert statuses is None or statuses[-1].state in FINAL_STATES
        for kept in dropped:
            del self.model.kept[hash_of(kept.valid)]
        for kept in dropped:
            of, nonce = kept.valid.account, kept.valid.nonce
            left = [other for other in self.model.by_nonce(of).values() if hash_of(other.valid) not in tired]
            assert all(other.valid.nonce < nonce for other in left), "the last ones go first"

    def forget_distant_past(self) -> None:
        """Keep as many blocks as a reorganisation may undo."""
        while len(self.past) > 3:
            self.finalize()

    # What holds at all times.

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        assert list(self.pool.ready()) == self.model.ready()
        assert self.pool.pending() == [transaction.prepared.raw for transaction in self.model.ready()]
        assert len(self.pool) == len(self.model.kept)
        assert all(extrinsic in self.pool for extrinsic in self.model.kept)
        assert self.pool.has_ready is bool(self.model.ready())

    @invariant()
    def its_figures_are_right_and_within_the_bounds(self) -> None:
        metrics, kept, futures = self.pool.metrics(), self.model.kept.values(), self.model.futures()
        assert metrics["ready"] == len(kept) - len(futures)
        assert metrics["future"] == len(futures) <= LIMITS.futures
        assert metrics["bytes"] == sum(one.length for one in kept) <= LIMITS.total_bytes
        assert metrics["futureBytes"] == sum(one.length for one in futures) <= LIMITS.future_bytes
        assert metrics["places"] == sum(one.places for one in kept) <= LIMITS.transactions
        assert metrics["newPlaces"] == sum(one.places for one in kept if self.model.chain[one.valid.account] == 0)
        assert metrics["accounts"] == len({one.valid.account for one in kept})
        assert metrics["deadlines"] == len({one.valid.longevity for one in kept})
        assert metrics["banned"] == len(self.model.banned) <= LIMITS.banned
        assert len(self.pool) <= LIMITS.transactions
        for of in self.model.chain:
            mine = [one for one in futures if one.valid.account == of]
            assert len(mine) <= LIMITS.futures_per_account

    @invariant()
    def the_next_nonce_is_the_first_free_one(self) -> None:
        for of, nonce in self.model.chain.items():
            assert self.pool.next_nonce(of, Nonce(nonce)) == nonce + len(self.model.run(of))

    @invariant()
    def listeners_know_what_became_of_their_transaction(self) -> None:
        for extrinsic, statuses in self.told.items():
            kept, last = self.model.kept.get(extrinsic), statuses[-1].state
            if kept is None:
                assert last not in (TransactionState.READY, TransactionState.FUTURE)
            elif last not in FINAL_STATES:
                expected = TransactionState.READY if kept.is_ready else TransactionState.FUTURE
                assert last is expected
            assert not any(status.state in FINAL_STATES for status in statuses[:-1])

    def teardown(self) -> None:
        """Close every gap and include all; then nothing is left of anything."""
        for _ in range(12):
            block = []
            for name in NAMES:
                of = account(name)
                run = [kept.valid for kept in self.model.run(of)]
                block += run or [valid(name, self.model.chain[of], 2)]
            self.import_block(tuple(block), names_accounts=True)
            while self.past:
                self.finalize()
        for _ in range(2):
            self.import_block((), names_accounts=False)
        gauges = ("ready", "future", "bytes", "futureBytes", "accounts", "deadlines", "banned", "watched")
        metrics = self.pool.metrics()
        assert {name: metrics[name] for name in gauges} == dict.fromkeys(gauges, 0)
        assert all(statuses[-1].state in FINAL_STATES for statuses in self.told.values())


TestPoolHistory = PoolHistory.TestCase
# Without shrinking, which takes minutes here: a history is short enough to read as it is.
TestPoolHistory.settings = settings(
    max_examples=100, stateful_step_count=40, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
