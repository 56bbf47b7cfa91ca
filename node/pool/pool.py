"""The pool: what enters, what leaves, and what blocks do to it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from node.pool.contents import Contents
from node.pool.limits import DEFAULT_LIMITS, PoolLimits, RefusalReason
from node.pool.queue import UNSETTLED, AccountQueue, Entry, ReadyTransactions
from node.pool.watchers import Watchers
from rpc.service import StatusListener, TransactionState
from runtime.executive import ValidTransaction
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce, to_hex

NonceOf = Callable[[AccountId], Nonce]

# What a block's author may find of a transaction that can still go into a later block.
_PASSING: Final = frozenset({InvalidReason.FUTURE, InvalidReason.EXHAUSTS_RESOURCES})


@dataclass(frozen=True, slots=True)
class Added:
    """What came of a transaction: READY or FUTURE, and the futures that it made ready, in order."""

    state: TransactionState
    promoted: tuple[Hash, ...] = ()


class TransactionPool:
    """The ready and future transactions of a node.

    One thread calls it; `next_nonce` and `unwatch` alone may be called in others. Listeners are called when a
    method is done with what it does, just before it returns, and may call the pool.
    """

    def __init__(self, limits: PoolLimits = DEFAULT_LIMITS) -> None:
        """Start empty."""
        self._limits = limits
        self._watchers = Watchers(limits)
        self._contents = Contents(limits, self._watchers)
        self._banned: dict[Hash, BlockNumber] = {}
        self._has_retracted = False
        self._returned: list[Entry] = []

    # Looking at it.

    def __len__(self) -> int:
        """Count all transactions, ready and future."""
        return len(self._contents.entries)

    def __contains__(self, extrinsic: Hash) -> bool:
        """Tell whether a transaction is here."""
        return extrinsic in self._contents.entries

    @property
    def has_ready(self) -> bool:
        """Tell whether a transaction could go into the next block."""
        return len(self._contents.order) > 0

    @property
    def byte_size(self) -> int:
        """Return the length of all transactions together."""
        return self._contents.byte_size

    def ready(self) -> ReadyTransactions:
        """Begin a pass over the ready transactions in the order in which blocks take them; see `ReadyOrder`.

        Accounts that come back from a retracted block stand before all that were here.
        """
        return self._contents.order.walk()

    def pending(self) -> list[bytes]:
        """Return the bytes of the ready transactions, in the same order."""
        return [entry.valid.prepared.raw for entry in self._contents.order.in_order()]

    def hashes(self) -> list[Hash]:
        """Return the hashes of the ready transactions, in the same order."""
        return [entry.hash for entry in self._contents.order.in_order()]

    def get(self, extrinsic: Hash) -> ValidTransaction | None:
        """Return a transaction that is here, ready or future."""
        entry = self._contents.entries.get(extrinsic)
        return None if entry is None else entry.valid

    def next_nonce(self, account: AccountId, chain_nonce: Nonce) -> Nonce:
        """Return the first nonce, from the chain's next one on, that no transaction of `account` here has."""
        queue = self._contents.queues.get(account)
        if queue is None:
            return chain_nonce
        nonce, next_ready = chain_nonce, queue.next
        if queue.start <= nonce < next_ready:
            nonce = next_ready
        while nonce in queue.entries:
            nonce = Nonce(nonce + 1)
        return nonce

    def metrics(self) -> dict[str, int]:
        """Return what is here now, and how often what has happened since the start."""
        contents = self._contents
        return {
            "ready": len(contents.order),
            "future": contents.futures,
            "bytes": contents.byte_size,
            "futureBytes": contents.future_bytes,
            "places": contents.room.used,
            "newPlaces": contents.room.used_by(new=True),
            "accounts": len(contents.queues),
            "deadlines": len(contents.deadlines),
            "banned": len(self._banned),
            "watched": len(self._watchers),
            **contents.counts,
        }

    # Coming in.

    def check_new(self, extrinsic: Hash) -> None:
        """Refuse what is here or banned: worth a look before the signature is checked.

        Raises:
            PoolRefused: ALREADY_IMPORTED or TEMPORARILY_BANNED.
        """
        if extrinsic in self._contents.entries:
            detail = f"{to_hex(extrinsic)} is in the pool"
            raise self._contents.refusal(RefusalReason.ALREADY_IMPORTED, detail)
        until = self._banned.get(extrinsic)
        if until is not None and until >= self._contents.height:
            detail = f"{to_hex(extrinsic)} was found invalid and is banned up to block {until}"
            raise self._contents.refusal(RefusalReason.TEMPORARILY_BANNED, detail)

    def check_place(self, valid: ValidTransaction, chain_nonce: Nonce) -> None:
        """Refuse what `add` would refuse whatever else comes in: worth a look before the signature is checked.

        Raises:
            PoolRefused, InvalidTransaction: see `add`.
        """
        queue = self._fitting(valid, chain_nonce)
        is_new, _ = _kind(valid, chain_nonce, queue)
        # What is future now may be ready by then: those before it may be on their way with it.
        if (why := self._contents.lacks_room(valid, is_new=is_new, is_ready=True)) is not None:
            raise self._contents.refusal(RefusalReason.POOL_FULL, why)

    def add(self, valid: ValidTransaction, chain_nonce: Nonce) -> Added:
        """Take a transaction, which may have been validated on an older block.

        `chain_nonce` is the next one of its account, at the block that the pool was last told of or at one that
        it is about to be told of. The account's other transactions wait for that.

        Raises:
            PoolRefused: there is no place for it.
            InvalidTransaction: STALE or ANCIENT_BIRTH_BLOCK, if the blocks since its validation made it so.
        """
        contents = self._contents
        queue = self._fitting(valid, chain_nonce)
        is_new, is_ready = _kind(valid, chain_nonce, queue)
        if (why := contents.make_room(valid, is_new=is_new, is_ready=is_ready)) is not None:
            raise contents.refusal(RefusalReason.POOL_FULL, why)
        if queue is None:
            queue = contents.open(valid.account, chain_nonce, contents.order.last_turn(), is_new=is_new)
        contents.counts["added"] += 1
        entry = contents.enter(valid, queue)
        if is_ready:
            promoted = contents.extend(queue)[1:]
            contents.counts["promoted"] += len(promoted)
            added = Added(TransactionState.READY, tuple([later.hash for later in promoted]))
        else:
            self._watchers.tell(entry.hash, TransactionState.FUTURE)
            added = Added(TransactionState.FUTURE)
        self._watchers.flush()
        return added

    def _fitting(self, valid: ValidTransaction, chain_nonce: Nonce) -> AccountQueue | None:
        """Return the queue of a transaction's account, if there is one, and nothing but room may be in its way."""
        self.check_new(valid.prepared.hash)
        queue = self._contents.queues.get(valid.account)
        if valid.nonce < chain_nonce or (queue is not None and valid.nonce < queue.start):
            raise InvalidTransaction(InvalidReason.STALE)
        if valid.longevity <= self._contents.height:
            raise InvalidTransaction(InvalidReason.ANCIENT_BIRTH_BLOCK)
        self._refuse_second(valid, queue)
        return queue

    def _refuse_second(self, valid: ValidTransaction, queue: AccountQueue | None) -> None:
        """Of two transactions with one nonce the first stays.

        Without fees a second one could follow a first at no cost, and a third that, each relayed by all nodes.
        Who has changed his mind says so with the next nonce: the last rating counts.
        """
        other = None if queue is None else queue.entries.get(valid.nonce)
        if other is not None:
            detail = f"{to_hex(other.hash)} has the same account and nonce {valid.nonce}"
            raise self._contents.refusal(RefusalReason.PRIORITY_TOO_LOW, detail)

    # Leaving.

    def drop(self, extrinsic: Hash, reason: InvalidReason) -> bool:
        """Remove and ban what a block's author found invalid; tell whether it left.

        It stays if the reason passes by itself: FUTURE or EXHAUSTS_RESOURCES. If it leaves, those of its
        account behind it become future.
        """
        entry = self._contents.entries.get(extrinsic)
        if entry is None or reason in _PASSING:
            return False
        self._banned.pop(extrinsic, None)
        self._banned[extrinsic] = BlockNumber(self._contents.height + self._limits.ban_blocks)
        if len(self._banned) > self._limits.banned:
            del self._banned[next(iter(self._banned))]
        queue = self._contents.queues[entry.account]
        self._contents.leave(queue, entry, TransactionState.INVALID)
        if self._contents.arrange(queue, queue.start):
            self._contents.limit_futures(queue)
        self._watchers.flush()
        return True

    # What the chain does.

    def on_block(
        self,
        block: BlockRef,
        included: Iterable[Hash],
        nonces: NonceOf,
        accounts: Iterable[AccountId] | None = None,
    ) -> None:
        """A block has become the best one: its transactions leave, and what waited for them becomes ready.

        After a reorganisation every block of the new branch is told of, oldest first.

        Args:
            block: the block.
            included: the hashes of its transactions, without its inherents.
            nonces: an account's next nonce after this block.
            accounts: those whose nonces the block moved. Looked at only if one transaction of the block was not
                here; if they are not given, all accounts are looked up then.
        """
        self._contents.height = block.number
        unsettled: dict[AccountId, None] = {}
        is_all_ours = self._include(block.hash, included, unsettled)
        self._expire(unsettled)
        if self._has_retracted or (accounts is None and not is_all_ours):
            unsettled = dict.fromkeys(self._contents.queues)
        elif accounts is not None and not is_all_ours:
            unsettled.update(dict.fromkeys(accounts))
        self._settle(unsettled, nonces)
        self._contents.drop_tired()
        while self._banned and next(iter(self._banned.values())) < self._contents.height:
            del self._banned[next(iter(self._banned))]
        self._watchers.give_up(self._contents.height)
        self._watchers.flush()

    def _include(self, block: Hash, included: Iterable[Hash], unsettled: dict[AccountId, None]) -> bool:
        """Let go what is in a block; tell whether all of it was here."""
        contents = self._contents
        is_all_ours = True
        for extrinsic in included:
            entry = contents.entries.get(extrinsic)
            if entry is None:
                is_all_ours = False
            else:
                queue = contents.queues[entry.account]
                contents.leave(queue, entry, TransactionState.IN_BLOCK)
                contents.serve(queue)
                if entry.nonce == queue.start:
                    queue.start = Nonce(entry.nonce + 1)
                else:
                    queue.unsettle()
                    unsettled[entry.account] = None
                contents.close_if_empty(queue)
            self._watchers.include(extrinsic, block)
        return is_all_ours

    def _expire(self, unsettled: dict[AccountId, None]) -> None:
        """Let go what may not be in the next block any more."""
        contents = self._contents
        for deadline in sorted(known for known in contents.deadlines if known <= contents.height):
            for entry in list(contents.deadlines[deadline].values()):
                queue = contents.queues[entry.account]
                contents.leave(queue, entry, TransactionState.INVALID)
                queue.unsettle()
                unsettled[entry.account] = None
                contents.close_if_empty(queue)

    def _settle(self, unsettled: Iterable[AccountId], nonces: NonceOf) -> None:
        """Arrange accounts by what the chain says, and only then see whether there are too many futures."""
        contents = self._contents
        longer: dict[AccountId, AccountQueue] = {}
        for account in unsettled:
            queue = contents.queues.get(account)
            if queue is None or queue.start == (chain_nonce := nonces(account)):
                continue
            if contents.arrange(queue, chain_nonce):
                longer[account] = queue
        for entry in self._returned:
            if entry.hash in contents.entries and not entry.ticket:
                self._watchers.tell(entry.hash, TransactionState.FUTURE)
                longer[entry.account] = contents.queues[entry.account]
        self._returned.clear()
        self._has_retracted = False
        for queue in longer.values():
            contents.limit_futures(queue)

    def on_retracted(self, block: Hash, transactions: Sequence[ValidTransaction]) -> None:
        """A block has left the best chain: put back what of it is still valid, in its order.

        To be called for every block that left, newest first, before `on_block` for the new branch, which
        decides what of it is ready. What comes neither back nor into the new branch is invalid a while later.
        """
        self._has_retracted = True
        self._watchers.retract(block, self._contents.height)
        # The account of the block's first transaction is to come first, so it is given its turn last.
        for valid in reversed(transactions):
            if valid.prepared.hash not in self._contents.entries:
                self._put_back(valid)
        self._watchers.flush()

    def _put_back(self, valid: ValidTransaction) -> None:
        """Keep a retracted transaction if its place is free and there is room."""
        contents, extrinsic = self._contents, valid.prepared.hash
        queue = contents.queues.get(valid.account)
        other = None if queue is None else queue.entries.get(valid.nonce)
        is_new = valid.is_new_account if queue is None else queue.is_new
        if other is not None:
            contents.counts[TransactionState.USURPED.value] += 1
            self._watchers.tell(extrinsic, TransactionState.USURPED, other.hash)
        elif contents.make_room(valid, is_new=is_new, is_ready=True) is not None:
            contents.counts[TransactionState.DROPPED.value] += 1
            self._watchers.tell(extrinsic, TransactionState.DROPPED)
        else:
            queue = contents.open(valid.account, UNSETTLED, 0, is_new=is_new)
            queue.turn = contents.order.first_turn()
            queue.unsettle()
            contents.counts["returned"] += 1
            self._returned.append(contents.enter(valid, queue))

    def on_finalized(self, block: Hash, included: Iterable[Hash]) -> None:
        """A block with these transactions cannot be undone any more."""
        self._watchers.finalize(included, block)
        self._watchers.flush()

    def on_broadcast(self, extrinsic: Hash, peers: tuple[str, ...]) -> None:
        """A transaction was sent to these peers."""
        self._watchers.tell(extrinsic, TransactionState.BROADCAST, peers=peers)
        self._watchers.flush()

    # Who wants to know.

    def watch(self, extrinsic: Hash, listener: StatusListener) -> None:
        """Tell `listener` the present state of a transaction and each later one, up to its last.

        Raises:
            KeyError: the pool does not have it.
            PoolRefused: POOL_FULL, it has as many listeners as one may have.
        """
        entry = self._contents.entries[extrinsic]
        present = TransactionState.READY if entry.ticket else TransactionState.FUTURE
        if not self._watchers.add(extrinsic, listener, present):
            detail = f"{to_hex(extrinsic)} has {self._limits.listeners} listeners"
            raise self._contents.refusal(RefusalReason.POOL_FULL, detail)
        self._watchers.flush()

    def unwatch(self, extrinsic: Hash, listener: StatusListener) -> None:
        """Tell `listener` nothing more of a transaction; from any thread, also if it never listened."""
        self._watchers.silence(extrinsic, listener)


def _kind(valid: ValidTransaction, chain_nonce: Nonce, queue: AccountQueue | None) -> tuple[bool, bool]:
    """Tell whether the account of a transaction is new to the chain, and whether the transaction is ready."""
    if queue is None:
        return chain_nonce == 0, valid.nonce == chain_nonce
    return queue.is_new, valid.nonce == queue.next
