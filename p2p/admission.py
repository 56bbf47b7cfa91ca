"""How many may connect: counted before anything is read."""

from collections import Counter
from typing import Protocol

from p2p.addresses import Address, is_loopback, network_of


class Guest(Protocol):
    """An inbound connection."""

    @property
    def remote(self) -> Address:
        """Where it comes from."""

    def abort(self) -> None:
        """Closes it at once."""


class Admission:
    """Who may connect: so many a host (of IPv6 a whole /64), and so many whose encryption is still being set up."""

    def __init__(self, max_pending: int, max_per_host: int) -> None:
        self._max_pending = max_pending
        self._max_per_host = max_per_host
        self._pending: dict[Guest, None] = {}
        self._hosts: Counter[str] = Counter()

    def enter(self, stream: Guest) -> bool:
        """Counts a new connection in, or says no.

        Too many pending ones: the oldest of the host with the most of them goes, so nobody can hold all the places by
        opening connections and saying nothing.
        """
        host = _host(stream)
        if self._hosts[host] >= self._max_per_host and not is_loopback(stream.remote.host):
            return False
        if len(self._pending) >= self._max_pending:
            crowd = Counter(map(_host, self._pending))
            crowded = crowd.most_common(1)[0][0]
            oldest = next(pending for pending in self._pending if _host(pending) == crowded)
            del self._pending[oldest]
            oldest.abort()
        self._pending[stream] = None
        self._hosts[host] += 1
        return True

    def established(self, stream: Guest) -> None:
        """The connection is set up."""
        self._pending.pop(stream, None)

    def leave(self, stream: Guest) -> None:
        """The connection has ended."""
        self._pending.pop(stream, None)
        host = _host(stream)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]


def _host(stream: Guest) -> str:
    return network_of(stream.remote.host)
