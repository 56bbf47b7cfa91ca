"""What the pool keeps of a transaction, of an account, and the order in which blocks take the ready ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from operator import attrgetter
from typing import Final

from runtime.executive import ValidTransaction
from runtime.primitives import AccountId, Hash, Nonce

UNSETTLED: Final = Nonce(-1)

_BY_TURN: Final = attrgetter("turn")


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction in the pool.

    `ticket` is 0 while the transaction is future; each time it becomes ready it draws a new one.
    """

    valid: ValidTransaction
    hash: Hash
    account: AccountId
    nonce: Nonce
    length: int
    ticket: int = 0


@dataclass(slots=True, eq=False)
class AccountQueue:
    """The transactions of one account, by nonce.

    `start` is the chain's next nonce; from there to before `next` all are present and ready; `next` is absent
    and what lies behind it is future. Nothing lies before `start`. An unsettled queue is to be arranged yet.
    `is_new`: the chain does not know the account yet. `turn`: the place among the accounts, lowest first.
    """

    account: AccountId
    start: Nonce
    next: Nonce
    is_new: bool
    turn: int
    entries: dict[Nonce, Entry] = field(default_factory=dict)

    @property
    def futures(self) -> int:
        """Return how many are not ready."""
        return len(self.entries) - (self.next - self.start)

    def unsettle(self) -> None:
        """Forget the bounds, because something left or came out of turn."""
        self.start = self.next = UNSETTLED

    def ready(self) -> list[Entry]:
        """Return the ready ones by nonce."""
        if self.start != UNSETTLED:
            return [self.entries[nonce] for nonce in map(Nonce, range(self.start, self.next))]
        return [self.entries[nonce] for nonce in sorted(self.entries) if self.entries[nonce].ticket]


class ReadyOrder:
    """The ready transactions, in rounds: each round takes one of every account, an account's own by nonce.

    The account that was served longest ago comes first in every round; who comes anew is last. Accounts that
    the chain knows and those that it does not know take turns, so that a crowd of the one kind does not stand
    before the other.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._queues: dict[AccountQueue, int] = {}
        self._count = 0
        self._tickets = 0
        self._last_turn = 0
        self._first_turn = 0

    def __len__(self) -> int:
        """Count the ready transactions."""
        return self._count

    def last_turn(self) -> int:
        """Return the turn of an account that comes after all others."""
        self._last_turn += 1
        return self._last_turn

    def first_turn(self) -> int:
        """Return the turn of an account that comes before all others."""
        self._first_turn -= 1
        return self._first_turn

    def insert(self, queue: AccountQueue, entry: Entry) -> None:
        """Make a transaction ready."""
        self._tickets += 1
        self._count += 1
        entry.ticket = self._tickets
        self._queues[queue] = self._queues.get(queue, 0) + 1

    def remove(self, queue: AccountQueue, entry: Entry) -> None:
        """Take a transaction out, because it leaves or is future again."""
        entry.ticket = 0
        self._count -= 1
        if self._queues[queue] == 1:
            del self._queues[queue]
        else:
            self._queues[queue] -= 1

    def in_order(self) -> list[Entry]:
        """Return all, first to go first."""
        by_turn = sorted(self._queues, key=_BY_TURN)
        known = _rounds(queue.ready() for queue in by_turn if not queue.is_new)
        new = _rounds(queue.ready() for queue in by_turn if queue.is_new)
        return [entry for entry in chain.from_iterable(zip_longest(known, new)) if entry is not None]

    def walk(self) -> "ReadyTransactions":
        """Begin a pass over all that are ready now."""
        return ReadyTransactions(self.in_order(), self._tickets)


def _rounds(runs: Iterable[list[Entry]]) -> list[Entry]:
    """Take one of each in turn until all are taken."""
    left = list(runs)
    taken: list[Entry] = []
    position = 0
    while len(left) > 1:
        taken += [run[position] for run in left]
        position += 1
        left = [run for run in left if len(run) > position]
    return taken + left[0][position:] if left else taken


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
