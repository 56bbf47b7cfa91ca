"""Token buckets: what one peer may send."""

from collections.abc import Callable
from typing import Final

from p2p.config import Rate
from p2p.network import PeerId

_MAX_PEERS: Final = 512


class Budget:
    """What is left to one peer of a rate of messages and bytes.

    A peer over its budget is slowed down by not reading from it; how often that was needed says whether it floods.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._messages = rate.messages * rate.burst
        self._size = rate.size * rate.burst
        self._at = clock()
        self._reported_at = float("-inf")

    def charge(self, size: int, messages: int = 1) -> float:
        """Takes messages of that many bytes off the budget; answers the seconds to wait before reading on."""
        now = self._clock()
        passed = now - self._at
        self._at = now
        self._messages = min(self._rate.messages * self._rate.burst, self._messages + passed * self._rate.messages)
        self._size = min(self._rate.size * self._rate.burst, self._size + passed * self._rate.size)
        self._messages -= messages
        self._size -= size
        return max(0.0, -self._messages / self._rate.messages, -self._size / self._rate.size)

    def is_flood(self) -> bool:
        """Whether to blame the peer for being over budget now: at most once a second."""
        now = self._clock()
        if now - self._reported_at < 1.0:
            return False
        self._reported_at = now
        return True


class Budgets:
    """The budgets of all peers for one rate. They outlast connections, so that reconnecting does not refill them."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._budgets: dict[PeerId, Budget] = {}

    def of(self, peer: PeerId) -> Budget:
        """The peer's budget; those not asked for the longest are forgotten."""
        budget = self._budgets.pop(peer, None) or Budget(self._rate, self._clock)
        self._budgets[peer] = budget
        if len(self._budgets) > _MAX_PEERS:
            del self._budgets[next(iter(self._budgets))]
        return budget
