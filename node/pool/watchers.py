"""Who wants to know what becomes of which transaction."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from node.pool.limits import PoolLimits
from rpc.service import FINAL_STATES, StatusListener, TransactionState, TransactionStatus
from runtime.primitives import BlockNumber, Hash

PATIENCE = 8
"""Blocks that a retracted transaction which did not come back is waited for; the new branch may have it."""


@dataclass(slots=True, eq=False)
class _Watch:
    """One listener; None once it does not want to hear more."""

    listener: StatusListener | None


class Watchers:
    """Listeners by transaction, and what they have still to be told.

    Statuses wait until `flush`, so that a listener which calls the pool finds it between two changes.
    """

    def __init__(self, limits: PoolLimits) -> None:
        """Start without listeners."""
        self._limits = limits
        self._watches: dict[Hash, list[_Watch]] = {}
        self._included: dict[Hash, Hash] = {}
        self._missing: dict[Hash, BlockNumber] = {}
        self._untold: deque[tuple[_Watch, TransactionStatus]] = deque()

    def __len__(self) -> int:
        """Count the watched transactions."""
        return len(self._watches)

    def add(self, extrinsic: Hash, listener: StatusListener, present: TransactionState) -> bool:
        """Let a listener hear the present state and those to come; False if there are too many."""
        watches = self._watches.get(extrinsic, [])
        if len(watches) >= self._limits.listeners:
            return False
        watch = _Watch(listener)
        self._watches[extrinsic] = [*watches, watch]
        self._untold.append((watch, TransactionStatus(present)))
        return True

    def silence(self, extrinsic: Hash, listener: StatusListener) -> None:
        """Tell a listener nothing more. Any thread may call this: it changes no container."""
        for watch in self._watches.get(extrinsic, ()):
            if watch.listener is listener:
                watch.listener = None
                return

    def tell(
        self, extrinsic: Hash, state: TransactionState, other: Hash | None = None, peers: tuple[str, ...] = ()
    ) -> None:
        """Tell the listeners of a transaction; after a final state they are forgotten."""
        if extrinsic not in self._watches:
            return
        watches = [watch for watch in self._watches[extrinsic] if watch.listener is not None]
        if watches and state not in FINAL_STATES:
            self._watches[extrinsic] = watches
        else:
            del self._watches[extrinsic]
            self.expect_nothing(extrinsic)
        status = TransactionStatus(state, other, peers)
        self._untold.extend((watch, status) for watch in watches)

    def expect_nothing(self, extrinsic: Hash) -> None:
        """Neither finality nor a return is waited for: the pool has the transaction, or nobody watches."""
        self._included.pop(extrinsic, None)
        self._missing.pop(extrinsic, None)

    def include(self, extrinsic: Hash, block: Hash) -> None:
        """A block of the best chain has a transaction; the oldest one beyond the bound is given up."""
        self.tell(extrinsic, TransactionState.IN_BLOCK, block)
        if extrinsic not in self._watches:
            return
        self.expect_nothing(extrinsic)
        self._included[extrinsic] = block
        if len(self._included) > self._limits.included_watched:
            oldest, last_block = next(iter(self._included.items()))
            self.tell(oldest, TransactionState.FINALITY_TIMEOUT, last_block)

    def retract(self, block: Hash, height: BlockNumber) -> None:
        """A block left the best chain whose height was `height`."""
        left = [extrinsic for extrinsic, included_in in self._included.items() if included_in == block]
        for extrinsic in left:
            del self._included[extrinsic]
            self._missing[extrinsic] = BlockNumber(height + PATIENCE)
            self.tell(extrinsic, TransactionState.RETRACTED, block)
        if len(self._missing) > self._limits.included_watched:
            for oldest in list(self._missing)[: -self._limits.included_watched]:
                self.tell(oldest, TransactionState.INVALID)

    def give_up(self, height: BlockNumber) -> None:
        """The best chain has grown: what did not come back until now is not expected any more."""
        for extrinsic in [missing for missing, until in self._missing.items() if until < height]:
            self.tell(extrinsic, TransactionState.INVALID)

    def finalize(self, extrinsics: Iterable[Hash], block: Hash) -> None:
        """A block with these transactions cannot be undone any more."""
        if not self._watches:
            return
        for extrinsic in extrinsics:
            self.tell(extrinsic, TransactionState.FINALIZED, block)

    def flush(self) -> None:
        """Call the listeners with everything that they have not been told."""
        while self._untold:
            watch, status = self._untold.popleft()
            listener = watch.listener
            if listener is not None:
                listener(status)
