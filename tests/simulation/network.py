"""`p2p.network.Network` in virtual time: the same contract as the real one, and nothing of libp2p.

Left out are the budgets of messages and bytes, which a node that keeps to its own never meets (what it publishes beyond
20 messages a second is counted as a fault), and that connections of both directions may cross.
"""

import errno
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from p2p.budget import Budget
from p2p.config import Rate
from p2p.faults import Faults
from p2p.network import (
    AddressInUse,
    Misbehaviour,
    Network,
    NetworkError,
    NetworkHandler,
    PeerGone,
    PeerId,
    PeerInfo,
    Refuse,
    Refused,
    TimedOut,
    TooLarge,
    Topic,
    Verdict,
)
from p2p.peers import Consequence

if TYPE_CHECKING:
    from tests.simulation.medium import Host, Medium, Pair

_PUBLISHING: Final = Rate(messages=20, size=1e9, burst=5)
_MAX_REASON: Final = 200


class Message:
    """A gossip message on its way; it forgets where it was when nobody carries it any more."""

    __slots__ = ("arrivals", "number", "payload", "topic")

    def __init__(self, number: int, topic: Topic, payload: bytes) -> None:
        self.number: Final = number
        self.topic: Final = topic
        self.payload: Final = payload
        self.arrivals: Final[dict[SimulatedNetwork, float]] = {}
        """When it comes to a network; negative when it is there."""


class _Pending:
    """A request on its way."""

    __slots__ = ("answer", "done", "error")

    def __init__(self) -> None:
        self.done: Final = trio.Event()
        self.answer: bytes | None = None
        self.error: NetworkError | None = None

    def finish(self, answer: bytes | None, error: NetworkError | None) -> None:
        self.answer, self.error = answer, error
        self.done.set()


class End:
    """One node's end of one connection."""

    def __init__(self, network: "SimulatedNetwork", pair: "Pair", *, outbound: bool) -> None:
        self.network: Final = network
        self.pair: Final = pair
        self.outbound: Final = outbound
        self.other: End
        self.busy_until = 0.0
        self.held: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []
        """What is for this end, and does not get through."""
        self.cut: object = None
        self.is_greeted = False
        """Whether the other side of the handshake has come."""
        self.is_admitted = False
        self.is_closed = False
        self.reason = ""
        self.pending: dict[int, _Pending] = {}
        self.early: list[tuple[int, int, bytes]] = []
        """Requests that came before the handshake was over."""
        self.answering: dict[int, trio.CancelScope] = {}
        self.verdicts = 0
        self.waiting: deque[Message] = deque()

    @property
    def peer(self) -> PeerId:
        """Who is at the other end."""
        return self.other.network.local_peer_id

    def close(self, reason: str) -> None:
        """Ends the connection here, and tells the node if it knew of it."""
        if not self.is_closed:
            self.abandon(reason)
            self.network.forget(self)
            self.network.medium.ended(self.pair)

    def abandon(self, reason: str = "this node is gone") -> None:
        """Ends the connection here without a word to anybody."""
        self.is_closed, self.reason = True, reason
        self.waiting.clear()
        self.held.clear()
        for pending in self.pending.values():
            pending.finish(None, PeerGone(f"{self.peer}: {reason}"))
        for scope in tuple(self.answering.values()):
            scope.cancel()


class SimulatedNetwork(Network):
    """The network of one life of a node."""

    def __init__(self, medium: "Medium", host: "Host") -> None:
        """Take a host's place; `run` brings it to life."""
        self.medium: Final = medium
        self.host: Final = host
        self.errors: list[Exception] = []
        """What the node's handlers raised."""
        self._config = medium.config
        self._handler: NetworkHandler | None = None
        self._nursery: trio.Nursery | None = None
        self._ends: dict[PeerId, End] = {}
        self._infos: dict[PeerId, PeerInfo] = {}
        self._faults = Faults()
        self._publishing = Budget(_PUBLISHING, trio.current_time)
        self._numbers = 0

    @property
    def ends(self) -> Sequence[End]:
        """The ends of the connections to peers that were admitted."""
        return tuple(self._ends.values())

    @property
    def fault_counts(self) -> Mapping[str, int]:
        """What went wrong and was survived, by kind."""
        return self._faults.counts

    # What the node asks

    @property
    def local_peer_id(self) -> PeerId:
        """Our own id."""
        return self.host.peer_id

    async def run(self, handler: NetworkHandler, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled."""
        if self.host.network is not None:
            raise AddressInUse(errno.EADDRINUSE, f"{self.host.address} is in use")
        self._handler = handler
        try:
            async with trio.open_nursery() as nursery:
                self._nursery, self.host.network = nursery, self
                self.medium.entered(self.host)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.leave()

    def leave(self, *, silently: bool = False) -> None:
        """Is no more, from this moment on; a node that dies `silently` is missed only after a time."""
        if self._nursery is not None:
            self._nursery = None
            self._ends.clear()
            self._infos.clear()
            self.medium.left(self.host, silently=silently)

    def listen_addresses(self) -> Sequence[str]:
        """Multiaddrs that others can dial."""
        return [f"{self.host.address}/p2p/{self.local_peer_id}"] if self._nursery is not None else []

    def peers(self) -> Sequence[PeerInfo]:
        """The connected peers."""
        return tuple(self._infos.values())

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Sends a gossip message."""
        if len(payload) > self._config.max_gossip:
            raise TooLarge(f"a gossip message of {len(payload)} bytes, {self._config.max_gossip} are allowed")
        if self._nursery is None:
            return
        if self._publishing.charge(len(payload)) > 0:
            self._faults.noted("more gossip than a node may publish")
        self._numbers += 1
        message = Message(self._numbers, topic, bytes(payload))
        message.arrivals[self] = -1.0
        self.medium.spread(message, self)
        self._happened("publish", topic.value, message.number)

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        """Asks a peer."""
        end = self._ends.get(peer)
        if end is None:
            raise PeerGone(f"{peer} is not connected")
        limits = self.medium.kinds.get(kind)
        if limits is None:
            raise ValueError(f"there is no request kind {kind}")
        if len(payload) > limits.max_request:
            raise TooLarge(f"a {limits.name} request of {len(payload)} bytes, {limits.max_request} are allowed")
        self._numbers += 1
        number, pending = self._numbers, _Pending()
        end.pending[number] = pending
        self.medium.send(end, len(payload), self._ask, end.other, number, kind, bytes(payload))
        try:
            with trio.move_on_after(deadline):
                await pending.done.wait()
        finally:
            del end.pending[number]
        if pending.error is not None:
            raise pending.error
        if pending.answer is None:
            self.report(peer, Misbehaviour.SLOW, f"no answer to {limits.name}")
            raise TimedOut(f"{peer} did not answer {limits.name} within {deadline:g} s")
        return pending.answer

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        """Scores a peer down, and draws the consequence."""
        if peer == self.local_peer_id:
            return
        self._faults.noted(f"misbehaviour: {misbehaviour}")
        consequence = self.host.book.penalize(peer, misbehaviour)
        whom = next((host.index for host in self.medium.hosts if host.peer_id == peer), -1)
        self._happened("report", whom, misbehaviour.value, detail, consequence.value)
        if consequence is not Consequence.NONE:
            self._drop(peer, "banned" if consequence is Consequence.BAN else str(misbehaviour))

    def disconnect(self, peer: PeerId) -> None:
        """Ends the connection without blame."""
        self._drop(peer, "disconnected")

    def _drop(self, peer: PeerId, reason: str) -> None:
        if (end := self._ends.get(peer)) is not None:
            self.medium.drop(end, reason)

    # Connections

    def greet(self, end: End) -> None:
        """Says our side of the handshake."""
        assert self._handler is not None
        try:
            ours = self._handler.handshake()
        except Exception as error:
            self._caught("handshake handler", error, end.peer)
            self.medium.drop(end, "internal error")
            return
        self.medium.send(end, len(ours), self._meet, end.other, ours)

    @staticmethod
    def _meet(end: End, theirs: bytes) -> None:
        end.is_greeted = True
        if end.network._nursery is not None:
            end.network._nursery.start_soon(end.network._admit, end, theirs)

    async def _admit(self, end: End, theirs: bytes) -> None:
        assert self._handler is not None
        refusal = "no handshake in time"
        if len(theirs) > self._config.max_handshake:
            self.report(end.peer, Misbehaviour.PROTOCOL, f"a handshake of {len(theirs)} bytes")
            return self.medium.drop(end, f"a handshake of {len(theirs)} bytes")
        info = PeerInfo(end.peer, end.other.network.host.address, theirs, end.outbound)
        try:
            with trio.move_on_after(self._config.timing.handshake):
                await self._handler.on_peer(info, theirs)
                refusal = ""
        except Refuse as error:
            refusal = str(error) or "refused"
        except Exception as error:
            self._caught("on_peer handler", error, end.peer)
            refusal = "internal error"
        if refusal:
            self.medium.drop(end, refusal)
        else:
            self._admitted(end, info)
        self._happened("peer", end.other.network.host.index, refusal)
        return None

    def _admitted(self, end: End, info: PeerInfo) -> None:
        end.is_admitted = True
        self._ends[end.peer], self._infos[end.peer] = end, info
        if end.is_closed:
            # Gone while the node made up its mind.
            self.forget(end)
            return
        self.medium.admitted(end.pair)
        for request in end.early:
            self._ask(end, *request)
        end.early.clear()

    def forget(self, end: End) -> None:
        """Takes a peer out whose connection has ended, and tells the node."""
        if self._ends.get(end.peer) is not end:
            return
        assert self._handler is not None
        del self._ends[end.peer], self._infos[end.peer]
        try:
            self._handler.on_peer_gone(end.peer)
        except Exception as error:
            self._caught("on_peer_gone handler", error, end.peer)
        self._happened("gone", end.other.network.host.index, end.reason)

    # Gossip

    def take_gossip(self, end: End, message: Message) -> None:
        """Has a message judged, now or when fewer of its bringer's are."""
        if end.verdicts >= self._config.max_verdicts:
            end.waiting.append(message)
        elif self._nursery is not None:
            end.verdicts += 1
            self._nursery.start_soon(self._judge, end, message)

    async def _judge(self, end: End, message: Message) -> None:
        assert self._handler is not None
        verdict = Verdict.IGNORE
        try:
            with trio.move_on_after(self._config.timing.verdict) as scope:
                verdict = await self._handler.on_gossip(message.topic, message.payload, end.peer)
            if scope.cancelled_caught:
                self._faults.noted("gossip verdict too late")
        except Exception as error:
            self._caught(f"{message.topic} gossip handler", error, end.peer)
        finally:
            end.verdicts -= 1
        if verdict is Verdict.REJECT:
            self.report(end.peer, Misbehaviour.BAD_MESSAGE, f"a false message on {message.topic}")
        elif verdict is Verdict.ACCEPT and self._nursery is not None:
            self.medium.spread(message, self, end)
        if end.waiting:
            self.take_gossip(end, end.waiting.popleft())
        self._happened("gossip", end.other.network.host.index, message.topic.value, verdict.value)

    # Requests

    @staticmethod
    def _ask(end: End, number: int, kind: int, payload: bytes) -> None:
        """A peer's request has come."""
        network = end.network
        if network._nursery is None:
            return
        if not end.is_admitted:
            end.early.append((number, kind, payload))
        elif len(end.answering) >= network._config.max_requests:
            network._reply(end, number, None, Refused("busy"))
        else:
            scope = end.answering[number] = trio.CancelScope()
            network._nursery.start_soon(network._answer, end, number, kind, payload, scope)

    async def _answer(self, end: End, number: int, kind: int, payload: bytes, scope: trio.CancelScope) -> None:
        assert self._handler is not None
        limits = self.medium.kinds[kind]
        answer, refusal = None, "too slow"
        try:
            scope.deadline = trio.current_time() + self._config.timing.handler
            with scope:
                answer = await self._handler.on_request(end.peer, kind, payload)
                if len(answer) > limits.max_response:
                    size, answer = len(answer), None
                    raise ValueError(f"an answer of {size} bytes to {limits.name}, {limits.max_response} are allowed")
        except Refuse as error:
            refusal = str(error)[:_MAX_REASON]
        except Exception as error:
            self._caught(f"{limits.name} request", error, end.peer)
            refusal = "internal error"
        finally:
            del end.answering[number]
        self._reply(end, number, answer, None if answer is not None else Refused(refusal))
        self._happened("answer", end.other.network.host.index, limits.name, "" if answer is not None else refusal)

    def _reply(self, end: End, number: int, answer: bytes | None, error: NetworkError | None) -> None:
        if not end.is_closed:
            size = len(answer) if answer is not None else 0
            self.medium.send(end, size, self._answered, end.other, number, answer, error)

    @staticmethod
    def _answered(end: End, number: int, answer: bytes | None, error: NetworkError | None) -> None:
        # None: given up in the meantime.
        if (pending := end.pending.get(number)) is not None:
            pending.finish(answer, error)

    def _caught(self, kind: str, error: Exception, peer: PeerId) -> None:
        if self._nursery is None:
            return  # the last words of a node that has crashed
        self._faults.caught(kind, error, peer)
        self.errors.append(error)
        self._happened("caught", kind, f"{type(error).__name__}: {error}")

    def _happened(self, what: str, *details: object) -> None:
        if self._nursery is not None:
            self.medium.on_event(what, self.host.index, *details)
