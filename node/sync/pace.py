"""How fetching from a peer goes: that it fails, that it lies, that it is slow. Times are seconds of trio's clock."""

from typing import Final

from node.sync.peers import pause_after
from p2p.network import Misbehaviour

_PAUSE: Final = 2.0
"""Seconds after which a peer is asked again that has failed; each failure doubles them."""
_LONGEST_PAUSE: Final = 300.0
_WINDOW: Final = 30.0
_LEAST: Final = 256
"""Headers, keys, KiB of values or blocks of votes that a peer has to give in so many seconds, if another is ready."""


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

    def is_too_slow(self, now: float, count: int) -> bool:
        """Count more; tell whether a window is over in which there was too little."""
        self._count += count
        if now - self._since < _WINDOW:
            return False
        is_slow = self._count < _LEAST
        self._since, self._count = now, 0
        return is_slow
