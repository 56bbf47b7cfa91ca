"""What the pool holds: every transaction in its account's queue, ready or future, within the bounds."""

from itertools import takewhile
from typing import Final

from node.pool.limits import PoolLimits, PoolRefused, RefusalReason
from node.pool.queue import AccountQueue, Entry, ReadyOrder
from node.pool.room import Room
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
        self.waiting: dict[Entry, BlockNumber] = {}
        self.room = Room(limits.transactions, limits.total_bytes, limits.new_part)
        self.future_room = Room(limits.futures, limits.future_bytes, limits.new_part)
        self.byte_size = 0
        self.future_bytes = 0
        self.height = BlockNumber(0)
        self._highest = BlockNumber(0)
        self._limits = limits
        self._watchers = watchers
        refusals = [f"refused{reason.value}" for reason in RefusalReason]
        leavings = [state.value for state in _LEAVING]
        self.counts = dict.fromkeys(["added", "promoted", "demoted", "returned", *refusals, *leavings], 0)

    @property
    def futures(self) -> int:
        """Count the transactions that are not ready."""
        return len(self.waiting)

    def refusal(self, reason: RefusalReason, detail: str) -> PoolRefused:
        """Count a refusal and return it, to be raised."""
        self.counts[f"refused{reason.value}"] += 1
        return PoolRefused(reason, detail)

    def open(self, account: AccountId, start: Nonce, turn: int, *, is_new: bool) -> AccountQueue:
        """Return the queue of an account, which may have to be made."""
        queue = self.queues.get(account)
        if queue is None:
            queue = self.queues[account] = AccountQueue(account, start, start, is_new, turn)
        return queue

    # Who gets a place.

    def lacks_room(self, valid: ValidTransaction, *, is_new: bool, is_ready: bool) -> str | None:
        """Say why there is no room for one more transaction, or None if there is, or others would go for it."""
        queue = self.queues.get(valid.account)
        if not is_ready and queue is not None and queue.futures >= self._limits.futures_per_account:
            return f"the account has {queue.futures} future transactions"
        for room, places in self._places(valid, is_ready=is_ready):
            if not room.lacking(places) or room.yields(queue, places, is_new=is_new):
                continue
            if queue is None or not self._has_behind(room, queue, valid.nonce, room.lacking(places)):
                kind = "the pool is" if room is self.room else "the places for future transactions are"
                return f"{kind} full, and no account takes more than its share for this one to take its place"
        return None

    def make_room(self, valid: ValidTransaction, *, is_new: bool, is_ready: bool) -> str | None:
        """Let others go for one more transaction; or let nobody go, and say why there is no room.

        Nothing of an account leaves that others wait for: the last ones go first.
        """
        why = self.lacks_room(valid, is_new=is_new, is_ready=is_ready)
        if why is None:
            for room, places in self._places(valid, is_ready=is_ready):
                self._displace(room, places, self.queues.get(valid.account), is_new=is_new)
        return why

    def _places(self, valid: ValidTransaction, *, is_ready: bool) -> list[tuple[Room, int]]:
        """Return where a transaction takes how many places."""
        rooms = [self.room] if is_ready else [self.future_room, self.room]
        return [(room, room.takes(len(valid.prepared.raw))) for room in rooms]

    def _displace(self, room: Room, places: int, queue: AccountQueue | None, *, is_new: bool) -> None:
        """Let transactions go until `places` are free."""
        while room.lacking(places):
            if room.yields(queue, places, is_new=is_new):
                victim = room.yielding(places, is_new=is_new)
            else:
                assert queue is not None, "somebody has to give way"
                victim = queue
            self._leave_last(victim)
            if victim is not queue:
                self.close_if_empty(victim)

    def _has_behind(self, room: Room, queue: AccountQueue, nonce: Nonce, places: int) -> bool:
        """Tell whether an account's own later transactions take so many places: they give way to the earlier one."""
        if not queue.futures and nonce >= queue.next:
            return False  # the usual case, also for an account with thousands: there is none behind
        for entry in reversed(queue.entries.values()):
            if entry.nonce > nonce and (room is self.room or not entry.ticket):
                places -= room.takes(entry.length)
                if places <= 0:
                    return True
        return False

    def _leave_last(self, queue: AccountQueue) -> None:
        """Let the last transaction of an account go."""
        last = max(queue.entries)
        if queue.next == last + 1:
            queue.next = last
        self.leave(queue, queue.entries[last], TransactionState.DROPPED)

    # Coming and going.

    def enter(self, valid: ValidTransaction, queue: AccountQueue) -> Entry:
        """Keep a transaction, as a future for now."""
        prepared = valid.prepared
        length = len(prepared.raw)
        entry = Entry(valid, prepared.hash, queue.account, valid.nonce, length)
        self.entries[entry.hash] = entry
        queue.entries[entry.nonce] = entry
        same_deadline = self.deadlines.get(valid.longevity)
        if same_deadline is None:
            self.deadlines[valid.longevity] = {entry.hash: entry}
        else:
            same_deadline[entry.hash] = entry
        self.byte_size += length
        self.room.enter(queue, length)
        self._wait(queue, entry)
        self._watchers.expect_nothing(entry.hash)
        return entry

    def _wait(self, queue: AccountQueue, entry: Entry) -> None:
        """Count a transaction among the futures."""
        self._highest = max(self._highest, self.height)
        self.waiting[entry] = self._highest
        self.future_bytes += entry.length
        self.future_room.enter(queue, entry.length)

    def _wait_no_more(self, queue: AccountQueue, entry: Entry) -> None:
        """Count it among them no more."""
        del self.waiting[entry]
        self.future_bytes -= entry.length
        self.future_room.leave(queue, entry.length)

    def leave(self, queue: AccountQueue, entry: Entry, state: TransactionState) -> None:
        """Forget a transaction; the caller puts its queue in order, and tells of the block if one has it."""
        if entry.ticket:
            self.order.remove(queue, entry)
        else:
            self._wait_no_more(queue, entry)
        self.byte_size -= entry.length
        self.room.leave(queue, entry.length)
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

    def serve(self, queue: AccountQueue) -> None:
        """A block took something of an account: it is known, and all others come before it."""
        queue.turn = self.order.last_turn()
        self.settle_kind(queue, is_new=False)

    def settle_kind(self, queue: AccountQueue, *, is_new: bool) -> None:
        """Count an account among those that the chain knows, or among the others."""
        if queue.is_new is not is_new:
            for room in (self.room, self.future_room):
                room.move(queue, is_new=is_new)
            queue.is_new = is_new

    def extend(self, queue: AccountQueue) -> list[Entry]:
        """Make the futures ready that continue the account's ready ones; return them."""
        risen: list[Entry] = []
        nonce = queue.next
        while (entry := queue.entries.get(nonce)) is not None:
            if not entry.ticket:
                self._wait_no_more(queue, entry)
                self.order.insert(queue, entry)
                self._watchers.tell(entry.hash, TransactionState.READY)
                risen.append(entry)
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
        self.settle_kind(queue, is_new=chain_nonce == 0)
        self.counts["promoted"] += len(self.extend(queue))
        has_demoted = False
        if queue.futures:
            for nonce in sorted(nonce for nonce in queue.entries if nonce > queue.next):
                has_demoted |= self._demote(queue, queue.entries[nonce])
        self.close_if_empty(queue)
        return has_demoted

    def _demote(self, queue: AccountQueue, entry: Entry) -> bool:
        """Make a transaction future; tell whether it was ready."""
        if not entry.ticket:
            return False
        self.order.remove(queue, entry)
        self._wait(queue, entry)
        self.counts["demoted"] += 1
        self._watchers.tell(entry.hash, TransactionState.FUTURE)
        return True

    def limit_futures(self, queue: AccountQueue) -> None:
        """Let an account's last futures go until all bounds hold, as far as it has any."""
        while queue.futures and (queue.futures > self._limits.futures_per_account or self.future_room.lacking()):
            self.leave(queue, queue.entries[max(queue.entries)], TransactionState.DROPPED)
        self.close_if_empty(queue)

    def drop_tired(self) -> None:
        """Let the futures go that have waited too long."""
        last = self.height - self._limits.future_blocks
        for entry in list(takewhile(lambda entry: self.waiting[entry] <= last, self.waiting)):
            queue = self.queues[entry.account]
            self.leave(queue, entry, TransactionState.DROPPED)
            self.close_if_empty(queue)
