"""Sessions over a stream in memory, in virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
import trio.testing

from p2p import wire
from p2p.budget import Budget
from p2p.config import NetworkConfig, Rate, Timing
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
from p2p.requests import Session, SessionHandler

ECHO, NOTHING = 1, 9
KINDS = (RequestKind(ECHO, "echo", 1000, 20_000), RequestKind(NOTHING, "nothing", 10, 10))
CONFIG = NetworkConfig(bytes(32), bytes(32), kinds=KINDS, timing=Timing())


class Pipe:
    """One end of a stream in memory."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)


async def echo(peer: PeerId, kind: int, payload: bytes) -> bytes:
    return payload


async def admit(session: Session, hello: wire.Hello) -> None:
    return


@dataclass
class Side:
    """A session and what it reported."""

    name: str
    stream: Any
    config: NetworkConfig = CONFIG
    on_request: Callable[[PeerId, int, bytes], Awaitable[bytes]] = echo
    on_hello: Callable[[Session, wire.Hello], Awaitable[None]] = admit
    reports: list[tuple[Misbehaviour, str]] = field(default_factory=list)
    known: list[wire.Peers] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    ended: str | None = None

    def __post_init__(self) -> None:
        handler = SessionHandler(
            hello=lambda: wire.Hello(1, 30333, self.name.encode()),
            on_hello=self.on_hello,
            on_request=self.on_request,
            on_peers=lambda session, frame: self.known.append(frame),
            report=lambda peer, misbehaviour, detail: self.reports.append((misbehaviour, detail)),
        )
        budget = Budget(self.config.request_rate, trio.current_time)
        answers = Budget(self.config.answer_rate, trio.current_time)
        self.session = Session(PeerId("peer"), Pipe(self.stream), self.config, handler, self.faults, budget, answers)

    async def run(self) -> None:
        self.ended = await self.session.run()
        await self.stream.aclose()


class Raw:
    """The other side, frame by frame."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def send(self, *frames: wire.Frame) -> None:
        await self.stream.send_all(b"".join(map(wire.encode, frames)))

    async def receive(self) -> wire.Frame:
        await self._fill(4)
        end = 4 + int.from_bytes(self.buffer[:4], "big")
        await self._fill(end)
        body = bytes(self.buffer[4:end])
        del self.buffer[:end]
        return wire.decode(body)

    async def expect(self, kind: type[wire.Frame]) -> wire.Frame:
        """The next frame that is no ping."""
        while isinstance(frame := await self.receive(), wire.Ping):
            pass
        assert isinstance(frame, kind)
        return frame

    async def _fill(self, size: int) -> None:
        while len(self.buffer) < size:
            data = await self.stream.receive_some()
            if not data:
                raise EOFError
            self.buffer += data


def play(story: Callable[..., Awaitable[None]], **options: Any) -> None:
    """Runs a story with a session that has been greeted and the raw end of its stream."""

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        side, raw = Side("side", ours, **options), Raw(theirs)
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(side.run)
                await raw.send(wire.Hello(1, 1, b"raw"))
                assert await raw.receive() == wire.Hello(1, 30333, b"side")
                await story(side, raw)
                nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def failure(request: Awaitable[bytes]) -> tuple[type[NetworkError], str]:
    try:
        await request
    except NetworkError as error:
        return type(error), str(error)
    raise AssertionError("answered")


def test_two_sessions_ask_each_other_at_once() -> None:
    async def slow(peer: PeerId, kind: int, payload: bytes) -> bytes:
        # The first to come is the last to be answered.
        await trio.sleep(1.0 / (1 + payload[0]))
        return payload * 2

    async def main() -> None:
        left_end, right_end = trio.testing.memory_stream_pair()
        left, right = Side("left", left_end, on_request=slow), Side("right", right_end, on_request=slow)
        answers: dict[tuple[str, int], bytes] = {}

        async def ask(side: Side, number: int) -> None:
            answers[side.name, number] = await side.session.request(ECHO, bytes([number]), 5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(left.run)
            nursery.start_soon(right.run)
            async with trio.open_nursery() as asking:
                for side in (left, right):
                    for number in range(10):
                        asking.start_soon(ask, side, number)
            left.session.end("enough")
        assert len(answers) == 20
        assert all(answer == bytes([number, number]) for (_, number), answer in answers.items())
        assert (left.ended, right.ended) == ("enough", "the peer says: enough")
        assert (left.reports, right.reports) == ([], [])

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_an_answer_too_late_is_a_time_out_and_then_let_in() -> None:
    async def story(side: Side, raw: Raw) -> None:
        async with trio.open_nursery() as nursery:
            caught = []

            async def ask() -> None:
                caught.append(await failure(side.session.request(ECHO, b"x", 2)))

            nursery.start_soon(ask)
            request = await raw.expect(wire.Request)
            assert request == wire.Request(0, ECHO, b"x")
            await trio.sleep(3)
            assert caught == [(TimedOut, "peer did not answer echo within 2 s")]
        assert side.reports == [(Misbehaviour.SLOW, "no answer to echo")]
        # Large, since it was asked for; the stream goes on.
        await raw.send(wire.Answer(0, bytes(20_000)), wire.Request(7, ECHO, b"y"))
        assert await raw.expect(wire.Answer) == wire.Answer(7, b"y")
        assert side.reports == [(Misbehaviour.SLOW, "no answer to echo")]
        await raw.send(wire.Answer(0, b"again"), wire.Request(8, ECHO, b"y"))
        await raw.expect(wire.Answer)
        assert side.reports[1:] == [(Misbehaviour.BAD_RESPONSE, "an answer to no request")]

    play(story)


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (wire.Refusal(0, "no such block"), Refused, "no such block"),
        (wire.Answer(0, bytes(11)), TooLarge, "an answer of 11 bytes, 10 are allowed"),
        (wire.Bye("I am leaving"), PeerGone, "peer: the peer says: I am leaving"),
        (wire.Hello(1, 1, b"again"), PeerGone, "peer: a second Hello"),
    ],
)
def test_what_a_request_can_come_to(reply: wire.Frame, error: type[NetworkError], message: str) -> None:
    async def story(side: Side, raw: Raw) -> None:
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                await raw.expect(wire.Request)
                await raw.send(reply)

            nursery.start_soon(answer)
            assert await failure(side.session.request(NOTHING, b"", 5)) == (error, message)

    play(story)


def test_a_request_that_cannot_be_made() -> None:
    async def story(side: Side, raw: Raw) -> None:
        assert await failure(side.session.request(NOTHING, bytes(11), 5)) == (
            TooLarge,
            "a nothing request of 11 bytes, 10 are allowed",
        )
        with pytest.raises(ValueError, match="there is no request kind 77"):
            await side.session.request(77, b"", 5)
        side.session.end("over")
        await trio.sleep(1)
        assert await failure(side.session.request(ECHO, b"", 5)) == (PeerGone, "peer: over")

    play(story)


def test_a_handler_that_fails_is_slow_or_refuses() -> None:
    async def on_request(peer: PeerId, kind: int, payload: bytes) -> bytes:
        if payload == b"raise":
            raise KeyError("a defect")
        if payload == b"refuse":
            raise Refuse("will not")
        if payload == b"large":
            return bytes(20_001)
        return await trio.sleep_forever()

    async def story(side: Side, raw: Raw) -> None:
        for payload, reason in [
            (b"raise", "internal error"),
            (b"refuse", "will not"),
            (b"large", "internal error"),
            (b"sleep", "too slow"),
        ]:
            await raw.send(wire.Request(5, ECHO, payload))
            assert await raw.expect(wire.Refusal) == wire.Refusal(5, reason)
        assert dict(side.faults.counts) == {"echo request": 2}
        assert side.reports == []

    play(story, on_request=on_request)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes, 4160 are allowed"),
        ((4161).to_bytes(4, "big"), "a frame of 4161 bytes, 4160 are allowed"),
        (b"\x00\x00\x00\x01\xc1", "no msgpack: FormatError"),
        (wire.encode(wire.Hello(1, 1, b"")), "a second Hello"),
    ],
)
def test_a_violation_ends_the_session(data: bytes, detail: str) -> None:
    async def story(side: Side, raw: Raw) -> None:
        await raw.stream.send_all(data)
        await trio.sleep(1)
        assert side.ended == detail
        assert side.reports == [(Misbehaviour.PROTOCOL, detail)]

    play(story)


@pytest.mark.parametrize(
    ("first", "ended", "reports"),
    [
        (wire.encode(wire.Ping(1)), "Ping before Hello", [(Misbehaviour.PROTOCOL, "Ping before Hello")]),
        (
            wire.encode(wire.Hello(1, 1, bytes(4097))),
            "a handshake of 4097 bytes",
            [(Misbehaviour.PROTOCOL, "a handshake of 4097 bytes")],
        ),
        (b"", "no handshake in time", []),
        (wire.encode(wire.Hello(1, 1, b"hello"))[:-1], "no handshake in time", []),
    ],
)
def test_a_handshake_that_is_none(first: bytes, ended: str, reports: list[object]) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        side = Side("side", ours)
        await theirs.send_all(first)
        with trio.fail_after(100):
            await side.run()
        assert (side.ended, side.reports) == (ended, reports)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_refused_peer_is_told_why() -> None:
    async def refuse(session: Session, hello: wire.Hello) -> None:
        raise Refuse("wrong genesis")

    async def story(side: Side, raw: Raw) -> None:
        assert await raw.receive() == wire.Bye("wrong genesis")
        assert side.ended == "wrong genesis"

    play(story, on_hello=refuse)


def test_a_silent_peer_is_gone_after_three_pings_a_talking_one_stays() -> None:
    async def story(side: Side, raw: Raw) -> None:
        start = trio.current_time()
        for _ in range(10):
            while not isinstance(ping := await raw.receive(), wire.Ping):
                pass
            await raw.send(wire.Pong(ping.number))
        assert side.ended is None
        for _ in range(3):
            assert isinstance(await raw.receive(), wire.Ping)
        with pytest.raises(EOFError):
            await raw.receive()
        assert side.ended == "nothing heard for 20 s"
        assert trio.current_time() - start == 70

    play(story)


def test_requests_over_the_budget_are_slowed_down_and_reported() -> None:
    config = replace(CONFIG, request_rate=Rate(messages=10, size=1_000_000, burst=1))

    async def story(side: Side, raw: Raw) -> None:
        start = trio.current_time()
        for number in range(40):
            await raw.send(wire.Request(number, ECHO, b""))
            await raw.expect(wire.Answer)
        assert trio.current_time() - start == pytest.approx(3.0, abs=0.2)
        assert side.reports == [(Misbehaviour.FLOOD, "more requests than its budget")] * 3

    play(story, config=config)


def test_answers_over_the_budget_come_later() -> None:
    config = replace(CONFIG, answer_rate=Rate(messages=1_000, size=1_000, burst=1))

    async def large(peer: PeerId, kind: int, payload: bytes) -> bytes:
        return bytes(500)

    async def story(side: Side, raw: Raw) -> None:
        start = trio.current_time()
        for number in range(12):
            await raw.send(wire.Request(number, ECHO, b""))
            await raw.expect(wire.Answer)
        # Twice 500 bytes at once, then two answers a second. Nobody is blamed for asking.
        assert trio.current_time() - start == pytest.approx(5.0, abs=0.2)
        assert side.reports == []

    play(story, config=config, on_request=large)


def test_peers_are_passed_on() -> None:
    async def story(side: Side, raw: Raw) -> None:
        frame = wire.Peers((("a", "/ip4/1.2.3.4/tcp/5"),))
        await raw.send(frame, wire.Request(1, ECHO, b""))
        await raw.expect(wire.Answer)
        assert side.known == [frame]

    play(story)
