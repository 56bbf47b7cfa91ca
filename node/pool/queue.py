"""What the pool keeps of a transaction, of an account, and the order of the ready ones."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from runtime.executive import ValidTransaction
from runtime.primitives import AccountId, Hash, Nonce

UNSETTLED: Final = Nonce(-1)

_IN_ORDER = attrgetter("key", "nonce")


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction in the pool.

    `arrival` counts up from entry to entry. `key` is the place among the ready ones. `ticket` is 0 while the
    transaction is future; each time it becomes ready it draws a new one.
    """

    valid: ValidTransaction
    hash: Hash
    account: AccountId
    nonce: Nonce
    length: int
    arrival: int
    key: int = 0
    ticket: int = 0


@dataclass(slots=True, eq=False)
class AccountQueue:
    """The transactions of one account, by nonce.

    `start` is the chain's next nonce; from there to before `next` all are present and ready; `next` is absent
    and what lies behind it is future. Nothing lies before `start`. An unsettled queue is to be arranged yet.
    """

    account: AccountId
    start: Nonce
    next: Nonce
    entries: dict[Nonce, Entry] = field(default_factory=dict)

    @property
    def futures(self) -> int:
        """Return how many are not ready."""
        return len(self.entries) - (self.next - self.start)

    def unsettle(self) -> None:
        """Forget the bounds, because something left or came out of turn."""
        self.start = self.next = UNSETTLED


class ReadyOrder:
    """The ready transactions by arrival, each account's by nonce.

    A transaction's place is that of its own arrival or of its predecessor, whichever is later. Newcomers
    belong at the end, so the order keeps itself, except when something becomes ready that arrived before
    others did: then it is sorted, once, when it is next looked at.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[Hash, Entry] = {}
        self._last = 0
        self._is_sorted = True
        self._tickets = 0

    def __len__(self) -> int:
        """Count the ready transactions."""
        return len(self._entries)

    def insert(self, entry: Entry, predecessor: Entry | None) -> None:
        """Make a transaction ready."""
        self.place(entry, predecessor)
        self._tickets += 1
        entry.ticket = self._tickets
        self._entries[entry.hash] = entry

    def place(self, entry: Entry, predecessor: Entry | None) -> None:
        """Give a transaction its place behind its predecessor's."""
        key = entry.arrival if predecessor is None else max(entry.arrival, predecessor.key)
        if key < self._last:
            self._is_sorted = False
        else:
            self._last = key
        entry.key = key

    def remove(self, entry: Entry) -> None:
        """Take a transaction out, because it leaves or is future again."""
        entry.ticket = 0
        del self._entries[entry.hash]

    def in_order(self) -> list[Entry]:
        """Return all, first to go first."""
        if not self._is_sorted:
            self._entries = {entry.hash: entry for entry in sorted(self._entries.values(), key=_IN_ORDER)}
            self._is_sorted = True
        return list(self._entries.values())

    def walk(self) -> "ReadyTransactions":
        """Begin a pass over all that are ready now."""
        return ReadyTransactions(self.in_order(), self._tickets)


class ReadyTransactions(Iterator[ValidTransaction]):
    """One pass over the transactions that were ready at its beginning, without those that no longer are.

    The pool may change meanwhile, in its own thread, while another thread goes through the pass.
    """

    def __init__(self, entries: list[Entry], newest_ticket: int) -> None:
        """Take the entries in order; one that has drawn a later ticket was not ready all the time."""
        self._rest = iter(entries)
        self._newest_ticket = newest_ticket
        self._skipped: set[AccountId] = set()

    def __next__(self) -> ValidTransaction:
        """Return the next transaction."""
        for entry in self._rest:
            if 0 < entry.ticket <= self._newest_ticket and entry.account not in self._skipped:
                return entry.valid
        raise StopIteration

    def skip(self, transaction: ValidTransaction) -> None:
        """Leave out the rest of its account, which cannot go into a block without `transaction`."""
        self._skipped.add(transaction.account)
