"""The guarded multiplexer: streams without locks between two ends, and windows that are renewed with other frames."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from p2p.budget import Budget
from p2p.config import Rate
from p2p.muxer import DirectStream, GuardedYamux
from p2p.network import Misbehaviour, PeerId

PEER = ID.from_pubkey(create_new_key_pair(b"o" * 32).public_key)
HEADER = 12


class Conn:
    """One end of a connection in memory, which notes the writes."""

    def __init__(self, stream: Any, is_initiator: bool) -> None:
        self.stream = stream
        self.is_initiator = is_initiator
        self.writes: list[bytes] = []

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self.stream.receive_some(n))

    async def write(self, data: bytes) -> None:
        self.writes.append(data)
        await self.stream.send_all(data)

    async def close(self) -> None:
        await self.stream.aclose()


class End:
    """One end of a stream, and of its connection."""

    def __init__(self, conn: Conn, muxed: GuardedYamux) -> None:
        self.conn = conn
        self.muxed = muxed
        self.stream: YamuxStream
        self.direct: DirectStream

    def use(self, stream: Any) -> None:
        self.stream = stream
        holder: Any = type("Holder", (), {"muxed_stream": stream})()
        self.direct = DirectStream(holder, self.muxed)
        self.conn.writes.clear()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[End, End]]:
    """Two ends of one stream."""

    def report(peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        raise AssertionError(detail)

    ends = []
    for stream, is_initiator in zip(trio.testing.memory_stream_pair(), (True, False), strict=True):
        conn: Any = Conn(stream, is_initiator)
        budget = Budget(Rate(1e9, 1e12), trio.current_time)
        ends.append(End(conn, GuardedYamux(conn, PEER, budget=budget, write_timeout=10, report=report)))
    async with trio.open_nursery() as nursery:
        for end in ends:
            await nursery.start(end.muxed._handle_incoming_with_ready_signal)
        opened = await ends[0].muxed.open_stream()
        accepted = await ends[1].muxed.accept_stream()
        await trio.testing.wait_all_tasks_blocked()
        ends[0].use(opened)
        ends[1].use(accepted)
        yield ends[0], ends[1]
        nursery.cancel_scope.cancel()


async def read_all(end: End, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await end.direct.read()
    return data


@pytest.mark.parametrize("size", [1, 65_524, 65_525, 262_144, 1_000_000])
def test_what_is_written_at_one_end_is_read_at_the_other(size: int) -> None:
    """Also if it is more than a frame, or than the window, which then has to be renewed on the way."""

    async def main() -> None:
        data = bytes(number % 251 for number in range(size))
        async with connected() as (left, right):
            for writer, reader in ((left, right), (right, left)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(writer.direct.write, data)
                    with trio.fail_after(10):
                        assert await read_all(reader, size) == data

    trio.run(main)


def test_small_reads_are_not_answered_and_their_credit_goes_with_the_next_frame() -> None:
    async def main() -> None:
        async with connected() as (left, right):
            window = left.stream.send_window
            for _ in range(10):
                await left.direct.write(bytes(100))
                assert await right.direct.read() == bytes(100)
            assert right.conn.writes == []
            assert left.stream.send_window == window - 1_000
            await right.direct.write(b"answer")
            assert await left.direct.read() == b"answer"
            assert [len(data) for data in right.conn.writes] == [HEADER + HEADER + len(b"answer")]
            assert left.stream.send_window == window

    trio.run(main)


def test_the_window_is_renewed_when_a_quarter_of_it_is_used() -> None:
    async def main() -> None:
        async with connected() as (left, right):
            window = left.stream.send_window
            for _ in range(4):
                await left.direct.write(bytes(16_384))
                assert await right.direct.read() == bytes(16_384)
            await trio.testing.wait_all_tasks_blocked()
            assert [len(data) for data in right.conn.writes] == [HEADER]
            assert (left.stream.send_window, right.stream.recv_window) == (window, window)

    trio.run(main)


def test_the_end_of_a_stream_is_told_after_what_was_written_before() -> None:
    async def main() -> None:
        async with connected() as (left, right):
            await left.direct.write(b"last")
            await left.stream.close()
            await trio.testing.wait_all_tasks_blocked()
            assert await right.direct.read() == b"last"
            with pytest.raises(StreamEOF):
                await right.direct.read()
            with pytest.raises(StreamReset):
                await left.direct.write(b"more")

    trio.run(main)


def test_a_reset_wakes_who_reads() -> None:
    async def main() -> None:
        async with connected() as (left, right), trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(StreamReset):
                    await right.direct.read()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                await left.stream.reset()

    trio.run(main)


def test_the_end_of_the_connection_wakes_who_reads() -> None:
    async def main() -> None:
        async with connected() as (left, right), trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises((StreamEOF, StreamReset)):
                    await right.direct.read()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                await left.conn.close()

    trio.run(main)
