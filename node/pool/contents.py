"""What the pool holds: every transaction in its account's queue, ready or future, within the bounds."""

from typing import Final

from node.pool.limits import PoolLimits, PoolRefused, RefusalReason
from node.pool.queue import AccountQueue, Entry, ReadyOrder
from node.pool.watchers import Watchers
from rpc.service import TransactionState
from runtime.executive import ValidTransaction
from runtime.primitives import AccountId, BlockNumber, Hash, Nonce

_LEAVING: Final = (
    TransactionState.IN_BLOCK,
    TransactionState.USURPED,
    TransactionState.DROPPED,
    TransactionState.INVALID,
)


class Contents:
    """The transactions by hash, by account and nonce, by deadline, and the ready ones in order."""

    def __init__(self, limits: PoolLimits, watchers: Watchers) -> None:
        """Start empty; `watchers` are told what becomes ready or future and what leaves."""
        self.entries: dict[Hash, Entry] = {}
        self.queues: dict[AccountId, AccountQueue] = {}
        self.order = ReadyOrder()
        self.deadlines: dict[BlockNumber, dict[Hash, Entry]] = {}
        self.byte_size = 0
        self.future_bytes = 0
        self._limits = limits
        self._watchers = watchers
        refusals = [f"refused{reason.value}" for reason in RefusalReason]
        leavings = [state.value for state in _LEAVING]
        self.counts = dict.fromkeys(["added", "promoted", "demoted", "returned", *refusals, *leavings], 0)

    @property
    def futures(self) -> int:
        """Count the transactions that are not ready."""
        return len(self.entries) - len(self.order)

    def refusal(self, reason: RefusalReason, detail: str) -> PoolRefused:
        """Count a refusal and return it, to be raised."""
        self.counts[f"refused{reason.value}"] += 1
        return PoolRefused(reason, detail)

    def lacks_room(self, length: int) -> str | None:
        """Say which bound one more transaction would pass, if any."""
        limits = self._limits
        if len(self.entries) >= limits.transactions:
            return f"{limits.transactions} transactions are in the pool"
        if self.byte_size + length > limits.total_bytes:
            return f"{self.byte_size} of {limits.total_bytes} bytes are taken"
        return None

    def lacks_future_room(self, length: int, queue: AccountQueue | None) -> str | None:
        """Say which bound one more future transaction would pass, if any."""
        limits = self._limits
        if self.futures >= limits.futures:
            return f"{limits.futures} future transactions are in the pool"
        if self.future_bytes + length > limits.future_bytes:
            return f"{self.future_bytes} of {limits.future_bytes} bytes for future transactions are taken"
        if queue is not None and queue.futures >= limits.futures_per_account:
            return f"the account has {limits.futures_per_account} future transactions"
        return None

    def enter(self, valid: ValidTransaction, queue: AccountQueue, arrival: int) -> Entry:
        """Keep a transaction, as a future for now."""
        prepared = valid.prepared
        length = len(prepared.raw)
        entry = Entry(valid, prepared.hash, queue.account, valid.nonce, length, arrival)
        self.entries[entry.hash] = entry
        queue.entries[entry.nonce] = entry
        same_deadline = self.deadlines.get(valid.longevity)
        if same_deadline is None:
            self.deadlines[valid.longevity] = {entry.hash: entry}
        else:
            same_deadline[entry.hash] = entry
        self.byte_size += length
        self.future_bytes += length
        self._watchers.expect_nothing(entry.hash)
        return entry

    def leave(self, queue: AccountQueue, entry: Entry, state: TransactionState) -> None:
        """Forget a transaction; the caller puts its queue in order, and tells of the block if one has it."""
        if entry.ticket:
            self.order.remove(entry)
        else:
            self.future_bytes -= entry.length
        self.byte_size -= entry.length
        del self.entries[entry.hash]
        del queue.entries[entry.nonce]
        same_deadline = self.deadlines[entry.valid.longevity]
        del same_deadline[entry.hash]
        if not same_deadline:
            del self.deadlines[entry.valid.longevity]
        self.counts[state.value] += 1
        if state is not TransactionState.IN_BLOCK:
            self._watchers.tell(entry.hash, state)

    def close_if_empty(self, queue: AccountQueue) -> None:
        """Forget an account without transactions."""
        if not queue.entries:
            del self.queues[queue.account]

    def extend(self, queue: AccountQueue) -> list[Entry]:
        """Make the futures ready that continue the account's ready ones; return them.

        The first of them is new here or has nothing before it, so it stands where its arrival puts it.
        """
        risen: list[Entry] = []
        nonce = queue.next
        predecessor: Entry | None = None
        while (entry := queue.entries.get(nonce)) is not None:
            if not entry.ticket:
                self.order.insert(entry, predecessor)
                self.future_bytes -= entry.length
                self._watchers.tell(entry.hash, TransactionState.READY)
                risen.append(entry)
            elif predecessor is not None and entry.key < predecessor.key:
                self.order.place(entry, predecessor)
            predecessor = entry
            nonce = Nonce(nonce + 1)
        queue.next = nonce
        return risen

    def arrange(self, queue: AccountQueue, chain_nonce: Nonce) -> bool:
        """Make ready what continues the chain from `chain_nonce` on, and nothing else; what is older leaves.

        Returns whether something that was ready is future now: then the bounds are to be restored.
        """
        for nonce in sorted(nonce for nonce in queue.entries if nonce < chain_nonce):
            self.leave(queue, queue.entries[nonce], TransactionState.INVALID)
        queue.start = queue.next = chain_nonce
        self.counts["promoted"] += len(self.extend(queue))
        has_demoted = False
        if queue.futures:
            for nonce in sorted(nonce for nonce in queue.entries if nonce > queue.next):
                has_demoted |= self._demote(queue.entries[nonce])
        self.close_if_empty(queue)
        return has_demoted

    def _demote(self, entry: Entry) -> bool:
        """Make a transaction future; tell whether it was ready."""
        if not entry.ticket:
            return False
        self.order.remove(entry)
        self.future_bytes += entry.length
        self.counts["demoted"] += 1
        self._watchers.tell(entry.hash, TransactionState.FUTURE)
        return True

    def limit_futures(self, queue: AccountQueue) -> None:
        """Let an account's last futures go until all bounds hold, as far as it has any."""
        limits = self._limits
        for nonce in sorted((nonce for nonce in queue.entries if nonce > queue.next), reverse=True):
            if (
                queue.futures <= limits.futures_per_account
                and self.futures <= limits.futures
                and self.future_bytes <= limits.future_bytes
            ):
                break
            self.leave(queue, queue.entries[nonce], TransactionState.DROPPED)
        self.close_if_empty(queue)
