"""What lies between simulated nodes: who can reach whom, how long it takes, what is lost, and who dials again when.

Nothing here is a task: all that is to come is a call at a time, made by the clock.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2p.addresses import peer_id_from_seed
from p2p.config import NetworkConfig, Timing
from p2p.network import PeerId, RequestKind
from p2p.peers import PeerBook
from tests.simulation.network import End, Message, SimulatedNetwork
from tests.simulation.scheduler import Clock

_FULL_MESH: Final = 8
"""With more nodes than these each dials so many others."""
_DIALS: Final = 4


@dataclass(frozen=True, slots=True)
class Conditions:
    """How good the links are, in seconds, bytes and shares of 1."""

    latency: tuple[float, float] = (0.005, 0.080)
    """One way; each link has its own, drawn once."""
    jitter: float = 0.5
    """A message takes up to this share of its link's latency longer."""
    loss: float = 0.0
    """Gossip lost at each hop. All else goes over a stream: it is late, also after a partition, or the stream ends."""
    late: float = 0.0
    """Messages held up on their way, requests and answers too."""
    lateness: float = 3.0
    """For at most so long."""
    bandwidth: float = math.inf
    """Bytes a second and direction of one link."""


class Host:
    """A place for a node: its identity, and what it remembers of peers; the node's network comes and goes."""

    def __init__(self, index: int, timing: Timing, clock: Callable[[], float], rng: random.Random) -> None:
        self.index: Final = index
        self.peer_id: Final[PeerId] = peer_id_from_seed(index.to_bytes(32, "big"))
        self.address: Final = f"/ip4/10.0.{index >> 8}.{index & 255}/tcp/30333"
        self.book = PeerBook(timing, clock, rng)
        self.group = 0
        self.network: SimulatedNetwork | None = None


class Pair:
    """Two hosts of which one dials the other whenever they are not connected."""

    def __init__(self, dialler: Host, listener: Host, latency: float) -> None:
        self.dialler: Final = dialler
        self.listener: Final = listener
        self.latency: Final = latency
        """As a share of the way from the shortest to the longest."""
        self.failures = 0
        self.is_planned = False
        self.ends: tuple[End, ...] = ()

    def is_reachable(self) -> bool:
        """Whether anything gets through."""
        return self.dialler.group == self.listener.group


class Medium:
    """All hosts, and what is under way between them."""

    def __init__(
        self,
        rng: random.Random,
        clock: Clock,
        *,
        conditions: Conditions | None = None,
        kinds: Sequence[RequestKind] = (),
        config: NetworkConfig | None = None,
        start: float = 0.0,
        on_event: Callable[..., None] = lambda *event: None,
    ) -> None:
        """Start empty. `config` has the limits of every node; `on_event` hears of what happens, after it has."""
        self.clock: Final = clock
        self.config: Final = config or NetworkConfig(bytes(32), bytes(32), kinds=tuple(kinds))
        self.kinds: Final = {kind.code: kind for kind in self.config.kinds}
        self.conditions = conditions or Conditions()
        self.on_event: Final = on_event
        self.hosts: list[Host] = []
        self.delivered = 0
        """Messages handed over; for measuring."""
        self._rng = rng
        self._start = start
        self._pairs: list[Pair] = []

    # Messages

    def arrival(self, end: "End", size: int) -> float:
        """When a message sent now from an end of a link is at the other."""
        conditions, rng, now = self.conditions, self._rng, self.clock.current_time()
        low, high = conditions.latency
        delay = (low + (high - low) * end.pair.latency) * (1 + conditions.jitter * rng.random())
        if conditions.late and rng.random() < conditions.late:
            delay += conditions.lateness * rng.random()
        if conditions.bandwidth < math.inf:
            end.busy_until = max(now, end.busy_until) + size / conditions.bandwidth
            delay += end.busy_until - now
        return now + delay

    def is_lost(self) -> bool:
        """Whether this hop loses this gossip message."""
        return self.conditions.loss > 0 and self._rng.random() < self.conditions.loss

    def send(self, end: "End", size: int, function: Callable[..., None], *arguments: Any) -> None:
        """Has the other end of a link call a function, once it can be reached if the connection lives until then."""
        if end.pair.is_reachable():
            self.clock.at(self.arrival(end, size), self._receive, end.other, size, function, arguments)
        elif not end.other.is_closed:
            end.other.held.append((size, function, arguments))

    def _receive(self, end: "End", size: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if end.is_closed:
            return
        if not end.pair.is_reachable():
            end.held.append((size, function, arguments))
            return
        self.delivered += 1
        function(*arguments)

    def spread(self, message: "Message", sender: "SimulatedNetwork", source: "End | None" = None) -> None:
        """Passes gossip on to all peers but the one it came from. What would come second anyway is not sent."""
        size, arrivals, now = len(message.payload), message.arrivals, self.clock.current_time()
        for end in sender.ends:
            target = end.other
            known = arrivals.get(target.network, math.inf)
            if end is source or known <= now or not end.pair.is_reachable() or self.is_lost():
                continue
            when = self.arrival(end, size)
            if when < known:
                arrivals[target.network] = self.clock.at(when, self._arrive, target, message)

    def _arrive(self, end: "End", message: "Message") -> None:
        network, arrivals = end.network, message.arrivals
        # A copy that was faster may have got lost: then this one counts.
        if arrivals.get(network, math.inf) < self.clock.current_time():
            return
        if not end.is_admitted or end.is_closed or not end.pair.is_reachable():
            arrivals.pop(network, None)
            return
        arrivals[network] = -1.0
        self.delivered += 1
        network.take_gossip(end, message)

    # Hosts and their connections

    def add_host(self) -> Host:
        """A place for one more node, which dials others and is dialled by others."""
        host = Host(len(self.hosts), self.config.timing, lambda: self._start + self.clock.current_time(), self._rng)
        others = list(self.hosts)
        if len(others) >= _FULL_MESH:
            # The one before it too, so that the whole hangs together.
            others = [others[-1], *self._rng.sample(others[:-1], _DIALS - 1)]
        self.hosts.append(host)
        self._pairs += [Pair(host, other, self._rng.random()) for other in others]
        return host

    def attach(self, host: Host) -> "SimulatedNetwork":
        """A network for one life of a node at a host."""
        return SimulatedNetwork(self, host)

    def entered(self, host: Host) -> None:
        """A network has begun to run."""
        for pair in self._pairs_of(host):
            pair.failures = 0
            self._plan(pair)

    def left(self, host: Host, *, silently: bool) -> None:
        """A network is no more: its connections end, noticed by the others at once or after a time without a word."""
        host.network = None
        for pair in self._pairs_of(host):
            for end in pair.ends:
                if end.network.host is host:
                    end.abandon()
                elif silently:
                    self._notice_later(end)
                else:
                    self.send(end.other, 0, end.close, "the peer has closed the stream")

    def partition(self, groups: Iterable[Iterable[int]]) -> None:
        """Lets nothing through between groups of hosts; those not named are a group of their own."""
        for host in self.hosts:
            host.group = 0
        for number, group in enumerate(groups, start=1):
            for index in group:
                self.hosts[index].group = number
        for pair in self._pairs:
            if pair.is_reachable():
                self._plan(pair)
                for end in pair.ends:
                    # What was lost is said again.
                    held, end.held = end.held, []
                    for size, function, arguments in held:
                        self.send(end.other, size, function, *arguments)
                    # An end that knows nothing of the other's end is told at the first word.
                    if end.other.is_closed:
                        self.send(end.other, 0, end.close, "the connection was reset")
            else:
                for end in pair.ends:
                    self._notice_later(end)

    def drop(self, end: "End", reason: str) -> None:
        """Closes one end of a connection, and tells the other."""
        if not end.is_closed:
            self.send(end, 0, end.other.close, f"the peer says: {reason}")
            end.close(reason)

    def ended(self, pair: Pair) -> None:
        """One end of a connection is closed."""
        self._plan(pair)

    def admitted(self, pair: Pair) -> None:
        """One end of a connection has admitted the other."""
        if all(end.is_admitted for end in pair.ends):
            pair.failures = 0

    def _pairs_of(self, host: Host) -> list[Pair]:
        return [pair for pair in self._pairs if host in (pair.dialler, pair.listener)]

    def _notice_later(self, end: "End") -> None:
        """Closes an end after three intervals without a word, if it is still cut off then."""
        keepalive = self.config.timing.keepalive
        silence = keepalive * (2 + self._rng.random())
        cut = end.cut = object()

        def notice() -> None:
            gone = end.other.is_closed or not end.pair.is_reachable()
            if not end.is_closed and end.cut is cut and gone:
                end.close(f"nothing heard for {3 * keepalive:.0f} s")

        self.clock.at(self.clock.current_time() + silence, notice)

    def _plan(self, pair: Pair) -> None:
        """Dials soon, and after each failure half as often."""
        if not pair.is_planned:
            pair.is_planned = True
            timing = self.config.timing
            wait = min(timing.dial_backoff_limit, timing.dial_backoff * 2.0 ** min(pair.failures, 16))
            self.clock.at(self.clock.current_time() + wait * (0.5 + 0.5 * self._rng.random()), self._dial, pair)

    def _dial(self, pair: Pair) -> None:
        pair.is_planned = False
        near, far = pair.dialler.network, pair.listener.network
        if near is None or far is None or not pair.is_reachable():
            return  # planned again when that changes
        if pair.ends and not any(end.is_closed for end in pair.ends):
            return  # connected, or about to be
        if pair.dialler.book.is_banned(pair.listener.peer_id) or pair.listener.book.is_banned(pair.dialler.peer_id):
            pair.failures += 1
            self._plan(pair)
            return
        for end in pair.ends:
            end.close("replaced by a newer connection")
        pair.failures += 1
        ours, theirs = End(near, pair, outbound=True), End(far, pair, outbound=False)
        ours.other, theirs.other = theirs, ours
        pair.ends = (ours, theirs)
        deadline = self.clock.current_time() + self.config.timing.handshake
        for end in pair.ends:
            end.network.greet(end)
            self.clock.at(deadline, self._give_up, end)

    def _give_up(self, end: End) -> None:
        """Ends a connection whose other end has said nothing so far."""
        if not end.is_greeted:
            self.drop(end, "no handshake in time")
