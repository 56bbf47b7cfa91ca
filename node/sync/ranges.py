"""Blocks that one peer has named by their headers, fetched from several peers in ranges, and handed on in their order.

A range is asked of one peer at a time, and each peer for one range. What a peer gives has to be what the headers say:
else it is blamed, and the range goes to another one. So does a range that does not come soon. The peer that gave the
headers is asked as well, and answers for what the headers say, whoever gives the bodies.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from node.sync.messages import BLOCKS, BlocksRequest, MessageError, decode_blocks
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, Network, NetworkError, PeerId
from runtime.header import Block, Header
from runtime.primitives import Hash

log = logging.getLogger(__name__)

RANGE: Final = 16
"""Blocks asked for at once; large ones come in several answers."""
_RANGES_AHEAD: Final = 4
"""Ranges that are under way or wait for those before them."""
_DEADLINE: Final = 8.0


class Ranges:
    """Fetches blocks for one attempt to catch up."""

    def __init__(self, network: Network, peers: PeerStates, leader: PeerId) -> None:
        """`leader` gives the headers."""
        self._network = network
        self._peers = peers
        self._leader = leader
        self._failed: set[PeerId] = set()
        self._busy: set[PeerId] = set()
        self._freed = trio.Event()

    def helpers(self, height: int) -> list[PeerId]:
        """Return the peers beside the leader that seem to have blocks up to a height."""
        now = trio.current_time()
        return [
            peer
            for peer, state in self._peers
            if peer != self._leader
            and peer not in self._failed
            and state.useless_until <= now
            and state.best.number >= height
        ]

    @asynccontextmanager
    async def fetch(
        self, headers: Sequence[Header]
    ) -> AsyncIterator["trio.MemoryReceiveChannel[tuple[PeerId, list[Block]]]"]:
        """Fetch the blocks of headers that follow one another: from whom, and some blocks, in their order.

        Ends early if nobody gives what comes next.
        """
        parts = [headers[at : at + RANGE] for at in range(0, len(headers), RANGE)]
        given, taken = trio.open_memory_channel[tuple[PeerId, list[Block]]](0)
        room = trio.Semaphore(_RANGES_AHEAD)
        done = [trio.Event() for _ in parts]
        results: list[list[tuple[PeerId, list[Block]]]] = [[] for _ in parts]

        async def one(at: int) -> None:
            results[at] = await self._range(parts[at])
            done[at].set()

        async def hand_on() -> None:
            async with given:
                for at, part in enumerate(parts):
                    await done[at].wait()
                    for piece in results[at]:
                        await given.send(piece)
                    if sum(len(blocks) for _, blocks in results[at]) < len(part):
                        return
                    results[at] = []
                    room.release()

        async def begin(nursery: trio.Nursery) -> None:
            for at in range(len(parts)):
                await room.acquire()
                nursery.start_soon(one, at)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin, nursery)
            nursery.start_soon(hand_on)
            yield taken
            nursery.cancel_scope.cancel()

    async def _range(self, headers: Sequence[Header]) -> list[tuple[PeerId, list[Block]]]:
        """Fetch a range; what comes is shorter if nobody has the rest."""
        found: list[tuple[PeerId, list[Block]]] = []
        at = 0
        while at < len(headers):
            peer = await self._take(headers[-1].number)
            if peer is None:
                return found
            try:
                blocks = await self._ask(peer, headers[at:])
            finally:
                self._busy.discard(peer)
                self._freed.set()
            if blocks:
                found.append((peer, blocks))
                at += len(blocks)
            else:
                self._failed.add(peer)
        return found

    async def _take(self, height: int) -> PeerId | None:
        """Wait for a peer that is free; None if there is none left."""
        while True:
            able = [self._leader] if self._leader not in self._failed else []
            able += self.helpers(height)
            if not able:
                return None
            free = [peer for peer in able if peer not in self._busy]
            if free:
                self._busy.add(free[0])
                return free[0]
            if self._freed.is_set():
                self._freed = trio.Event()
            await self._freed.wait()

    async def _ask(self, peer: PeerId, headers: Sequence[Header]) -> list[Block]:
        """Ask one peer for blocks with these headers; what it gives of them, nothing if that is of no use."""
        request = BlocksRequest((headers[0].parent_hash,), len(headers)).encode()
        try:
            blocks = decode_blocks(await self._network.request(peer, BLOCKS.code, request, deadline=_DEADLINE))
        except NetworkError as error:
            log.debug("%s does not give blocks from %d on: %s", peer, headers[0].number, error)
            return []
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
            return []
        wanted: list[Hash] = [header.hash() for header in headers]
        if len(blocks) > len(wanted):
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, "more blocks than were asked for")
            return []
        if [block.header.hash() for block in blocks] != wanted[: len(blocks)]:
            # Another branch is no lie; but a branch is asked for by its last common block, and begins with its child.
            if blocks and blocks[0].header.parent_hash != headers[0].parent_hash:
                self._network.report(peer, Misbehaviour.BAD_RESPONSE, "blocks that follow something else")
            return []
        return blocks
