"""How fetching from a peer goes: that it fails, that it lies, that it is slow. Times are seconds of trio's clock."""

from collections.abc import Iterable
from typing import Final

from node.sync.peers import pause_after
from p2p.network import Misbehaviour

_PAUSE: Final = 2.0
"""Seconds after which a peer is asked again that has failed; each failure doubles them."""
_LONGEST_PAUSE: Final = 300.0
_WINDOW: Final = 30.0
_LEAST: Final = 256
"""Headers, keys, KiB of values or blocks of votes that a peer has to give in so many seconds, if another is ready."""
_ENOUGH: Final = 16_384
"""With less than that in so many seconds, others that are ready are tried as well."""
_SLOWER: Final = 4
"""How many times as fast another one has to have been that is asked instead."""


class PeerFails(Exception):
    """This peer leads nowhere now; it is not to blame."""


class PeerLies(Exception):
    """This peer has given what no honest one gives."""

    def __init__(self, misbehaviour: Misbehaviour, detail: str) -> None:
        super().__init__(detail)
        self.misbehaviour = misbehaviour


class SourcePeer:
    """How fetching from one peer went."""

    def __init__(self) -> None:
        self.failures = 0
        self.not_before = float("-inf")
        self.pace: float | None = None
        """What it gave in the last whole window, per second; None if it never came so far."""

    @property
    def rank(self) -> tuple[int, float]:
        """Whom to ask first: who failed least; of those who was never tried, or was the fastest."""
        return self.failures, float("-inf") if self.pace is None else -self.pace

    def fail(self, now: float) -> None:
        """Let the others come first, for longer each time."""
        self.not_before = now + pause_after(self.failures, _PAUSE, _LONGEST_PAUSE)
        self.failures += 1


class Pace:
    """What a peer has given in the current window of time."""

    def __init__(self, now: float) -> None:
        """Begin a window."""
        self._since = now
        self._count = 0

    def measured(self, now: float, count: int) -> float | None:
        """Count more; return what was given per second if a window is over."""
        self._count += count
        seconds = now - self._since
        if seconds < _WINDOW:
            return None
        pace = self._count / seconds
        self._since, self._count = now, 0
        return pace


def is_too_slow(pace: float, others: Iterable[float | None]) -> bool:
    """Tell whether one of those should be asked instead who are ready: what each gave per second, None if never tried.

    A peer that gives just enough to be kept would hold up a node for weeks, so enough is what others give.
    """
    for other in others:
        if pace * _WINDOW < _LEAST or (other is None and pace * _WINDOW < _ENOUGH):
            return True
        if other is not None and pace * _SLOWER < other:
            return True
    return False
