"""A thousand clients that follow the chain's head at a block a second, and one among them that does not read."""

import asyncio
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.processes import Command, NodeProcess, Nodes

pytestmark = pytest.mark.full

SUBSCRIBERS: Final = 1_000
INTERVAL: Final = 1_000
"""Milliseconds between two blocks."""
WARMUP: Final = 2
BLOCKS: Final = 12
PATIENCE: Final = 60.0
SUBSCRIBE: Final = b'{"jsonrpc":"2.0","id":%d,"method":"chain_subscribeNewHeads","params":[]}'
CUT_OFF: Final = re.compile("a client was cut off: notifications were not read in time")

# What a node's own work adds in a dozen blocks, and the pieces that the allocator keeps; in bytes.
GROWTH: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Figures:
    """Blocks that somebody was behind at most, seconds from the first to the last client, bytes more at the end."""

    most_behind: int
    slowest: float
    growth: int


class Crowd:
    """Clients, and the height that each has heard of last."""

    def __init__(self) -> None:
        self.heights = [-1] * SUBSCRIBERS
        self.slowest = 0.0
        self.most_behind = 0
        self._lowest = asyncio.Condition()
        self._announced: dict[int, float] = {}
        self._left: dict[int, int] = {}

    def start_measuring(self) -> None:
        """Forget how the connecting went."""
        self.slowest, self.most_behind = 0.0, 0

    async def follow(self, index: int, connection: ClientConnection) -> None:
        """Read one client's notifications for as long as it is connected."""
        assert "result" in orjson.loads(await connection.recv())
        async for message in connection:
            height = int(orjson.loads(message)["params"]["result"]["number"], 16)
            now = time.perf_counter()
            if height not in self._announced:
                # The first to hear of it: nobody may still be waiting for the block before the last one.
                self._announced[height] = now
                self.most_behind = max(self.most_behind, height - min(self.heights))
            self.slowest = max(self.slowest, now - self._announced[height])
            self.heights[index] = height
            self._left[height] = self._left.get(height, SUBSCRIBERS) - 1
            if not self._left[height]:
                async with self._lowest:
                    self._lowest.notify_all()

    async def all_at(self, height: int) -> None:
        """Wait until everybody has heard of a block."""
        async with asyncio.timeout(PATIENCE), self._lowest:
            await self._lowest.wait_for(lambda: min(self.heights) >= height)


def memory(node: NodeProcess) -> int:
    """The node's resident bytes."""
    pages = Path(f"/proc/{node.command.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def deaf(node: NodeProcess) -> Iterator[None]:
    """A client that subscribes as often as it may, so that there is much to read, and never reads."""
    with socket.create_connection(("127.0.0.1", node.port), PATIENCE) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        for identifier in range(SUBSCRIBERS):
            text = SUBSCRIBE % identifier
            # Masked with zeros, which change nothing.
            connection.sendall(b"\x81" + struct.pack("!B", 0x80 | len(text)) + bytes(4) + text)
        yield


async def measure(node: NodeProcess) -> Figures:
    """Let a crowd follow the chain for a while, with a deaf client among it."""
    crowd = Crowd()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for index in range(SUBSCRIBERS):
            connection = await stack.enter_async_context(
                connect(node.url, proxy=None, compression=None, ping_interval=None)
            )
            await connection.send(SUBSCRIBE % index)
            group.create_task(crowd.follow(index, connection))
        await crowd.all_at(0)
        stack.enter_context(deaf(node))
        start = max(crowd.heights) + WARMUP
        await crowd.all_at(start)
        crowd.start_measuring()
        before = memory(node)
        await crowd.all_at(start + BLOCKS)
        figures = Figures(crowd.most_behind, crowd.slowest, memory(node) - before)
        cut_off = await asyncio.to_thread(node.command.err.match, CUT_OFF, PATIENCE)
        assert cut_off is not None
        await crowd.all_at(max(crowd.heights) + 1)
        # Leaving the block closes the connections, which ends their tasks.
        await stack.aclose()
    return figures


def test_a_thousand_subscribers_keep_up_and_a_deaf_one_is_dropped(
    nodes: Nodes, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    spec = orjson.loads(Command.start("mfchain-node", "export-chain-spec", "--chain", "dev").wait()[1])
    path = tmp_path / "spec.json"
    path.write_bytes(orjson.dumps({**spec, "sealing": "interval"}))
    room = ("--rpc-max-connections", SUBSCRIBERS + 10)
    node = nodes.start("--chain", path, "--alice", "--producer", "--tmp", "--block-time", INTERVAL, *room)
    figures = asyncio.run(measure(node))
    for name, value in asdict(figures).items():
        record_property(name, value)
    print(figures)
    assert figures.most_behind <= 1
    assert figures.growth < GROWTH
