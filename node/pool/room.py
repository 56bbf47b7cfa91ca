"""Who takes how much of the pool, and who gives way when it is full.

Accounts are of two kinds: known to the chain, or new, which anybody can make up at no cost. A part of the places is
kept for each kind. Either may use what the other leaves free, and gives it back when the other wants it. Within a
kind, an account gets a place of the one that takes the most, as long as it takes less even then.
"""

from node.pool.queue import AccountQueue


class _Crowd:
    """What the accounts of one kind take; whoever takes the most is known at once."""

    def __init__(self) -> None:
        """Start with nobody."""
        self.used = 0
        self._use: dict[AccountQueue, int] = {}
        self._by_use: dict[int, dict[AccountQueue, None]] = {}
        self._most = 0

    def use(self, queue: AccountQueue) -> int:
        """Return how many places an account takes."""
        return self._use.get(queue, 0)

    def change(self, queue: AccountQueue, places: int) -> None:
        """Let an account take so many places more, or less if negative."""
        before = self._use.pop(queue, 0)
        after = before + places
        self.used += places
        if before:
            same = self._by_use[before]
            del same[queue]
            if not same:
                del self._by_use[before]
        if after:
            self._use[queue] = after
            self._by_use.setdefault(after, {})[queue] = None
        self._most = max(self._most, after)
        while self._most and self._most not in self._by_use:
            self._most -= 1

    def richest(self) -> AccountQueue:
        """Return an account that takes the most places, of several the last one to have come so far."""
        return next(reversed(self._by_use[self._most]))

    def has_above(self, fair: int, wanted: int) -> bool:
        """Tell whether accounts have so many places together beyond `fair` ones each."""
        for use in range(self._most, fair, -1):
            wanted -= (use - fair) * len(self._by_use.get(use, ()))
            if wanted <= 0:
                return True
        return False


class Room:
    """A number of places, and what each account takes of them."""

    def __init__(self, places: int, total_bytes: int, new_part: int) -> None:
        """Divide `total_bytes` into places, of which one in `new_part` is kept for new accounts."""
        self._places = places
        self._bytes = total_bytes
        for_new = places // new_part
        self._kept = {True: for_new, False: places - for_new}
        self._crowds = {True: _Crowd(), False: _Crowd()}

    @property
    def used(self) -> int:
        """Return how many places are taken."""
        return self._crowds[True].used + self._crowds[False].used

    def used_by(self, *, new: bool) -> int:
        """Return how many places the accounts of a kind take."""
        return self._crowds[new].used

    def takes(self, length: int) -> int:
        """Return the places of a transaction of so many bytes."""
        return max(-(-length * self._places // self._bytes), 1)

    def enter(self, queue: AccountQueue, length: int) -> None:
        """Give a transaction its places, even beyond the bound."""
        self._crowds[queue.is_new].change(queue, self.takes(length))

    def leave(self, queue: AccountQueue, length: int) -> None:
        """Take them back."""
        self._crowds[queue.is_new].change(queue, -self.takes(length))

    def move(self, queue: AccountQueue, *, is_new: bool) -> None:
        """Count an account among the other kind from now on; the caller marks its queue."""
        use = self._crowds[queue.is_new].use(queue)
        self._crowds[queue.is_new].change(queue, -use)
        self._crowds[is_new].change(queue, use)

    def lacking(self, places: int = 0) -> int:
        """Return how many places would be taken too much with so many more."""
        return max(self.used + places - self._places, 0)

    def yields(self, queue: AccountQueue | None, places: int, *, is_new: bool) -> bool:
        """Tell whether others must give way until so many more places of an account are free."""
        if self._is_kept(places, is_new=is_new):
            return True
        crowd = self._crowds[is_new]
        use = 0 if queue is None else crowd.use(queue)
        return crowd.has_above(use + places, self.lacking(places))

    def yielding(self, places: int, *, is_new: bool) -> AccountQueue:
        """Return the account that gives way first, where `yields`."""
        kind = not is_new if self._is_kept(places, is_new=is_new) else is_new
        return self._crowds[kind].richest()

    def _is_kept(self, places: int, *, is_new: bool) -> bool:
        """Tell whether so many more places belong to what is kept for a kind: if they are taken, then by the other."""
        return self._crowds[is_new].used + places <= self._kept[is_new]
