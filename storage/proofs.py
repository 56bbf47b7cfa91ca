"""The tries of a few recent states, from which read proofs are made."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from runtime.primitives import Hash
from runtime.trie import Trie

_KEPT: Final = 8


class RecentTries:
    """Tries by block; they share most of their nodes. Safe to use from several threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._tries: OrderedDict[Hash, Trie] = OrderedDict()
        # Two locks: whoever remembers or finds a trie, the writer above all, never waits for one that is being made.
        self._access = Lock()
        self._making = Lock()

    def remember(self, block: Hash, trie: Trie) -> None:
        """Keep a trie, for as long as it is among those used last."""
        with self._access:
            self._tries[block] = trie
            self._tries.move_to_end(block)
            if len(self._tries) > _KEPT:
                self._tries.popitem(last=False)

    def find(self, block: Hash) -> Trie | None:
        """Return the trie of a block, if it is kept."""
        with self._access:
            return self._tries.get(block)

    def get(self, block: Hash, make: Callable[[], Trie]) -> Trie:
        """Return the trie of a block, by `make` if it is not kept; one at a time is made."""
        with self._making:
            with self._access:
                trie = self._tries.get(block)
            if trie is None:
                trie = make()
            self.remember(block, trie)
            return trie
