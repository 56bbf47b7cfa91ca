"""One long-lived stream a peer: the handshake, requests and answers in both directions, and the keepalive.

Whoever dialled opens the stream. Both sides say HELLO at once; nothing else may come first. One task writes, one reads,
each answer is made in a task of its own; when one of them fails the session ends, and with it the connection.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from p2p import wire
from p2p.budget import Budget
from p2p.config import NetworkConfig
from p2p.faults import Faults
from p2p.network import (
    Misbehaviour,
    NetworkError,
    PeerGone,
    PeerId,
    Refuse,
    Refused,
    RequestKind,
    TimedOut,
    TooLarge,
)

logger = logging.getLogger(__name__)

_READ_SIZE: Final = 64 * 1024
_OUTBOX: Final = 64
"""Frames that wait for the writer."""
_MISSED_PINGS: Final = 3
_BYE_SECONDS: Final = 0.5
_MAX_GIVEN_UP: Final = 64
"""Requests given up whose late answers are still let in."""


class Stream(Protocol):
    """The part of a libp2p stream that is needed here."""

    async def read(self, n: int | None = None) -> bytes:
        """Some bytes; none at the end."""

    async def write(self, data: bytes) -> None:
        """Sends all of them."""


@dataclass(frozen=True, slots=True)
class SessionHandler:
    """What a session calls: all that is not its own business."""

    hello: Callable[[], wire.Hello]
    on_hello: Callable[["Session", wire.Hello], Awaitable[None]]
    """Admits the peer, or raises `Refuse`."""
    on_request: Callable[[PeerId, int, bytes], Awaitable[bytes]]
    on_peers: Callable[["Session", wire.Peers], None]
    report: Callable[[PeerId, Misbehaviour, str], None]


class SessionEnded(Exception):
    """The session is over; the message says why."""


@dataclass(slots=True)
class _Pending:
    """A request of ours on its way."""

    limit: int
    done: trio.Event = field(default_factory=trio.Event)
    answer: bytes | None = None
    error: NetworkError | None = None

    def finish(self, answer: bytes | None = None, error: NetworkError | None = None) -> None:
        self.answer, self.error = answer, error
        self.done.set()


class Session:
    """The request stream to one peer."""

    def __init__(
        self,
        peer: PeerId,
        stream: Stream,
        config: NetworkConfig,
        handler: SessionHandler,
        faults: Faults,
        budget: Budget,
        answer_budget: Budget,
    ) -> None:
        self.peer: Final = peer
        self._stream = stream
        self._config = config
        self._handler = handler
        self._faults = faults
        self._kinds: Mapping[int, RequestKind] = {kind.code: kind for kind in config.kinds}
        self._send, self._outbox = trio.open_memory_channel[wire.Frame](_OUTBOX)
        self._pending: dict[int, _Pending] = {}
        self._given_up: dict[int, int] = {}
        self._writing = False
        self._next_id = 0
        self._answering = 0
        self._buffer = bytearray()
        self._heard_at = 0.0
        self._greeted = False
        self._ended: str | None = None
        self._scope = trio.CancelScope()
        self._budget = budget
        self._answer_budget = answer_budget
        self._largest_request = max((kind.max_request for kind in config.kinds), default=0)

    # The life of a session

    async def run(self) -> str:
        """Runs until the session is over; answers why. Never raises an Exception."""
        reason = "the connection was lost"
        try:
            with self._scope:
                await self._greet()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_forever)
                    nursery.start_soon(self._keep_alive)
                    await self._read_forever(nursery)
        except* Refuse as group:
            reason = str(_first(group))
            self._ended = self._ended or reason
        except* SessionEnded as group:
            reason = str(_first(group))
        except* Exception as group:
            error = _first(group)
            self._faults.noted("session lost")
            reason = f"{type(error).__name__}: {error}"
        finally:
            await self._say_bye()
            self._ended = self._ended or reason
            for pending in self._pending.values():
                pending.finish(error=PeerGone(f"{self.peer}: {self._ended}"))
            self._pending.clear()
            self._send.close()
        return self._ended

    def end(self, reason: str) -> None:
        """Ends the session from outside."""
        if self._ended is None:
            self._ended = reason
        self._scope.cancel()

    async def _say_bye(self) -> None:
        """Tells the peer why this side ends the session, if it does; a frame half written leaves no room for it."""
        if self._ended is None or self._writing:
            return
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _BYE_SECONDS):
            try:
                await self._stream.write(wire.encode(wire.Bye(self._ended)))
            except Exception:
                self._faults.noted("unsaid bye")

    async def _greet(self) -> None:
        with trio.move_on_after(self._config.timing.handshake) as scope:
            await self._stream.write(wire.encode(self._handler.hello()))
            frame = await self._read_frame()
            if not isinstance(frame, wire.Hello):
                raise self._violation(f"{type(frame).__name__} before Hello")
            if len(frame.payload) > self._config.max_handshake:
                raise self._violation(f"a handshake of {len(frame.payload)} bytes")
            self._heard_at = trio.current_time()
            await self._handler.on_hello(self, frame)
            self._greeted = True
        if scope.cancelled_caught:
            raise SessionEnded("no handshake in time")

    async def _write_forever(self) -> None:
        async for frame in self._outbox:
            data = wire.encode(frame)
            # A megabyte takes as long as its smaller pieces would.
            allowed = self._config.timing.write * (1 + len(data) // 2**20)
            self._writing = True
            with trio.move_on_after(allowed) as scope:
                await self._stream.write(data)
                self._writing = False
            if scope.cancelled_caught:
                raise SessionEnded("the peer has stopped reading")

    async def _keep_alive(self) -> None:
        interval = self._config.timing.keepalive
        number = 0
        while True:
            await trio.sleep(interval)
            silent = trio.current_time() - self._heard_at
            if silent > _MISSED_PINGS * interval:
                raise SessionEnded(f"nothing heard for {silent:.0f} s")
            number += 1
            self.send(wire.Ping(number))

    def send(self, frame: wire.Frame) -> bool:
        """Puts a frame into the outbox; False if it is full or the session is over."""
        try:
            self._send.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    # Reading

    async def _read_forever(self, nursery: trio.Nursery) -> None:
        while True:
            frame = await self._read_frame()
            match frame:
                case wire.Request():
                    self._take_request(frame, nursery)
                case wire.Answer(number, payload):
                    self._take_answer(number, payload)
                case wire.Refusal(number, reason):
                    self._given_up.pop(number, None)
                    if (pending := self._pending.pop(number, None)) is not None:
                        pending.finish(error=Refused(reason))
                case wire.Ping(number):
                    self.send(wire.Pong(number))
                case wire.Pong():
                    pass
                case wire.Peers():
                    self._handler.on_peers(self, frame)
                case wire.Bye(reason):
                    raise SessionEnded(f"the peer says: {reason}")
                case wire.Hello():
                    raise self._violation("a second Hello")
            if not isinstance(frame, wire.Answer):
                await self._charge(frame)

    async def _charge(self, frame: wire.Frame) -> None:
        size = len(frame.payload) if isinstance(frame, wire.Request) else wire.OVERHEAD
        wait = self._budget.charge(size)
        if wait > 0:
            if self._budget.is_flood():
                self._handler.report(self.peer, Misbehaviour.FLOOD, "more requests than its budget")
            await trio.sleep(min(wait, self._config.timing.keepalive))
            self._heard_at = trio.current_time()

    async def _read_frame(self) -> wire.Frame:
        await self._fill(wire.LENGTH_BYTES)
        length = int.from_bytes(self._buffer[: wire.LENGTH_BYTES], "big")
        limit = self._limit()
        if length > limit:
            raise self._violation(f"a frame of {length} bytes, {limit} are allowed")
        end = wire.LENGTH_BYTES + length
        await self._fill(end)
        body = bytes(self._buffer[wire.LENGTH_BYTES : end])
        del self._buffer[:end]
        try:
            return wire.decode(body)
        except wire.FrameError as error:
            raise self._violation(str(error)) from error

    def _limit(self) -> int:
        """The longest frame that may come now: nobody needs a large answer who has not asked for one."""
        if not self._greeted:
            return max(self._config.max_handshake, wire.MAX_CONTROL) + wire.OVERHEAD
        answers = [pending.limit for pending in self._pending.values()]
        return max(wire.MAX_CONTROL, self._largest_request, *answers, *self._given_up.values()) + wire.OVERHEAD

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            data = await self._stream.read(_READ_SIZE)
            if not data:
                raise SessionEnded("the peer has closed the stream")
            self._buffer += data
            self._heard_at = trio.current_time()

    def _violation(self, detail: str) -> SessionEnded:
        self._faults.noted("protocol violation")
        self._handler.report(self.peer, Misbehaviour.PROTOCOL, detail)
        return SessionEnded(detail)

    # Their requests

    def _take_request(self, request: wire.Request, nursery: trio.Nursery) -> None:
        kind = self._kinds.get(request.kind)
        if kind is None:
            # Newer software may know more kinds.
            self._handler.report(self.peer, Misbehaviour.USELESS, f"a request of unknown kind {request.kind}")
            self.send(wire.Refusal(request.id, f"unknown kind {request.kind}"))
        elif len(request.payload) > kind.max_request:
            self._handler.report(self.peer, Misbehaviour.PROTOCOL, f"a {kind.name} request that is too large")
            self.send(wire.Refusal(request.id, f"more than {kind.max_request} bytes"))
        elif self._answering >= self._config.max_requests:
            self.send(wire.Refusal(request.id, "busy"))
        else:
            self._answering += 1
            nursery.start_soon(self._answer, request, kind)

    async def _answer(self, request: wire.Request, kind: RequestKind) -> None:
        reply: wire.Frame = wire.Refusal(request.id, "too slow")
        try:
            with trio.move_on_after(self._config.timing.handler):
                answer = await self._handler.on_request(self.peer, request.kind, request.payload)
                if len(answer) > kind.max_response:
                    raise ValueError(
                        f"an answer of {len(answer)} bytes to {kind.name}, {kind.max_response} are allowed"
                    )
                reply = wire.Answer(request.id, answer)
        except Refuse as refusal:
            reply = wire.Refusal(request.id, str(refusal))
        except Exception as error:
            self._faults.caught(f"{kind.name} request", error, self.peer)
            reply = wire.Refusal(request.id, "internal error")
        try:
            # Who asks for more than its share gets it later, and has a place less to ask for the next thing.
            wait = self._answer_budget.charge(len(reply.payload) if isinstance(reply, wire.Answer) else wire.OVERHEAD)
            await trio.sleep(min(wait, self._config.timing.handler))
            await self._send.send(reply)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the session is over
        finally:
            self._answering -= 1

    # Our requests

    async def request(self, kind: int, payload: bytes, deadline: float) -> bytes:
        """Asks the peer; see `p2p.network.Network.request`."""
        limits = self._kinds.get(kind)
        if limits is None:
            raise ValueError(f"there is no request kind {kind}")
        if len(payload) > limits.max_request:
            raise TooLarge(f"a {limits.name} request of {len(payload)} bytes, {limits.max_request} are allowed")
        if self._ended is not None:
            raise PeerGone(f"{self.peer}: {self._ended}")
        number = self._next_id
        self._next_id += 1
        pending = self._pending[number] = _Pending(limits.max_response)
        try:
            with trio.move_on_after(deadline):
                try:
                    await self._send.send(wire.Request(number, kind, payload))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    raise PeerGone(f"{self.peer}: {self._ended}") from None
                await pending.done.wait()
        finally:
            if self._pending.pop(number, None) is not None:
                self._give_up(number, limits.max_response)
        if pending.error is not None:
            raise pending.error
        if pending.answer is None:
            self._handler.report(self.peer, Misbehaviour.SLOW, f"no answer to {limits.name}")
            raise TimedOut(f"{self.peer} did not answer {limits.name} within {deadline:g} s")
        return pending.answer

    def _give_up(self, number: int, limit: int) -> None:
        """The answer may be under way: it must not look like a violation."""
        self._given_up[number] = limit
        if len(self._given_up) > _MAX_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def _take_answer(self, number: int, payload: bytes) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            # The peer has been blamed for being slow already; an answer to nothing at all is another matter.
            if self._given_up.pop(number, None) is None:
                self._handler.report(self.peer, Misbehaviour.BAD_RESPONSE, "an answer to no request")
            return
        if len(payload) > pending.limit:
            self._handler.report(self.peer, Misbehaviour.PROTOCOL, "an answer that is too large")
            pending.finish(error=TooLarge(f"an answer of {len(payload)} bytes, {pending.limit} are allowed"))
            return
        pending.finish(answer=payload)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
