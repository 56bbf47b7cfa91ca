"""Catching up: blocks that a peer has and we lack, from where our chains part, in the order in which they follow.

Three steps run at once, each a bounded number of blocks ahead of the next: asking the peer, checking signatures,
executing. What was executed is on disk, so catching up goes on from there after a restart, and with another peer when
one fails.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from node.authoring import Bell
from node.chain import Chain, TooOld, UnknownParent
from node.chain_writer import ChainWriter
from node.sync.messages import BLOCKS, MAX_BLOCKS, BlocksRequest, MessageError, decode_blocks
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, Network, NetworkError, PeerId
from runtime.header import Block
from runtime.interface.errors import InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex

log = logging.getLogger(__name__)

_TICK: Final = 5.0
"""Seconds after which peers are looked at again, whether something was heard of them or not."""
_DEADLINE: Final = 15.0
_USELESS: Final = 20.0
_TOO_OLD: Final = 600.0
_ANSWERS_AHEAD: Final = 1
_BLOCKS_AHEAD: Final = 4
_PROGRESS: Final = 5.0
"""Seconds between two lines of the log."""


@dataclass(slots=True)
class _Progress:
    """How far one attempt has come."""

    peer: PeerId
    began_at: float
    told_at: float
    blocks: int = 0
    useless_for: float = 0.0


class CatchUp:
    """Follows whichever peer is ahead of us."""

    def __init__(
        self,
        chain: Chain,
        writer: ChainWriter,
        network: Network,
        peers: PeerStates,
        clock: Callable[[], int],
        on_change: Callable[[bool], None],
    ) -> None:
        """Take the parts.

        Args:
            chain: what we have.
            writer: how it grows.
            network: reaches the peers.
            peers: what they have said.
            clock: the time in milliseconds since the Unix epoch.
            on_change: told when catching up begins to make progress, and when it has ended.
        """
        self._chain = chain
        self._writer = writer
        self._network = network
        self._peers = peers
        self._clock = clock
        self._on_change = on_change
        self._bell = Bell()
        self._asked = 0
        self.is_active = False

    def look(self) -> None:
        """Look at the peers: one may be ahead."""
        self._bell.ring()

    async def run(self) -> None:
        """Catch up whenever a peer is ahead, until cancelled."""
        while True:
            with trio.move_on_after(_TICK) as silence:
                await self._bell.wait()
            if silence.cancelled_caught:
                await self._ask_the_next()
            while (peer := self._ahead()) is not None:
                await self._from(peer)
            self._set_active(False)

    def _set_active(self, is_active: bool) -> None:
        if is_active is not self.is_active:
            self.is_active = is_active
            self._on_change(is_active)

    def _ahead(self) -> PeerId | None:
        """Return the peer with the highest block that we lack, if there is one worth asking.

        It need not be higher than ours: of two branches the heavier one wins.
        """
        final, now = self._chain.snapshot.finalized.number, trio.current_time()
        ahead = [
            (state.best.number, peer)
            for peer, state in self._peers
            if state.best.number > final and state.useless_until <= now and self._lacks(state.best.hash)
        ]
        return max(ahead)[1] if ahead else None

    def _lacks(self, block: Hash) -> bool:
        return not self._chain.knows(block) and self._chain.fault_of(block) is None

    async def _ask_the_next(self) -> None:
        """Ask one peer after the other whether it has more than we know of: announcements may be lost."""
        peers = [peer for peer, _ in self._peers]
        if not peers:
            return
        self._asked += 1
        peer = peers[self._asked % len(peers)]
        try:
            blocks = await self._request(peer, self._locator())
        except NetworkError as error:
            log.debug("%s does not say what it has: %s", peer, error)
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
        else:
            for block in blocks[-1:]:
                self._peers.has_block(peer, BlockRef(block.header.number, block.header.hash()))

    async def _from(self, peer: PeerId) -> None:
        """Take what a peer has, until it has nothing more or fails us."""
        before = self._chain.snapshot.best
        progress = _Progress(peer, trio.current_time(), trio.current_time())
        answers_in, answers = trio.open_memory_channel[list[Block]](_ANSWERS_AHEAD)
        checked_in, checked = trio.open_memory_channel[Block](_BLOCKS_AHEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, progress, answers_in)
            nursery.start_soon(self._verify, answers, checked_in)
            await self._execute(progress, checked)
            nursery.cancel_scope.cancel()
        if self.is_active and progress.blocks:
            best, seconds = self._chain.snapshot.best, trio.current_time() - progress.began_at
            name = to_hex(best.hash)[:10]
            log.info("caught up to block %d %s: %d blocks in %.1f s", best.number, name, progress.blocks, seconds)
        if self._chain.snapshot.best == before and not progress.useless_for:
            progress.useless_for = _USELESS
        state = self._peers.find(peer)
        if state is not None and progress.useless_for:
            state.useless_until = trio.current_time() + progress.useless_for

    async def _ask(self, progress: _Progress, answers: trio.MemorySendChannel[list[Block]]) -> None:
        """Ask for block after block, up to an empty answer."""
        locator = self._locator()
        async with answers:
            while True:
                try:
                    blocks = await self._request(progress.peer, locator)
                except NetworkError as error:
                    log.debug("catching up with %s failed: %s", progress.peer, error)
                    progress.useless_for = _USELESS
                    return
                except MessageError as error:
                    self._network.report(progress.peer, Misbehaviour.BAD_RESPONSE, str(error))
                    progress.useless_for = _USELESS
                    return
                if not blocks:
                    return
                await answers.send(blocks)
                locator = (blocks[-1].header.hash(),)

    async def _request(self, peer: PeerId, locator: tuple[Hash, ...]) -> list[Block]:
        """Ask a peer for the blocks that follow a place.

        Raises:
            NetworkError: there is no answer.
            MessageError: it is not one to what was asked.
        """
        request = BlocksRequest(locator, MAX_BLOCKS).encode()
        blocks = decode_blocks(await self._network.request(peer, BLOCKS.code, request, deadline=_DEADLINE))
        _check_links(blocks, locator)
        return blocks

    async def _verify(
        self, answers: trio.MemoryReceiveChannel[list[Block]], checked: trio.MemorySendChannel[Block]
    ) -> None:
        """Check signatures while blocks before are executed."""
        async with answers, checked:
            async for blocks in answers:
                for block in blocks:
                    if not self._chain.knows(block.header.hash()):
                        await self._writer.verify(block)
                    await checked.send(block)

    async def _execute(self, progress: _Progress, checked: trio.MemoryReceiveChannel[Block]) -> None:
        async with checked:
            async for block in checked:
                try:
                    if not await self._is_due(block):
                        progress.useless_for = _USELESS
                        return
                    imported = await self._writer.import_block(block)
                except InvalidBlock as error:
                    self._network.report(progress.peer, Misbehaviour.BAD_BLOCK, str(error))
                    log.warning("block %d of %s is invalid: %s", block.header.number, progress.peer, error)
                    progress.useless_for = _TOO_OLD
                    return
                except TooOld as error:
                    log.warning("the chain of %s cannot be followed: %s", progress.peer, error)
                    progress.useless_for = _TOO_OLD
                    return
                except UnknownParent as error:
                    self._network.report(progress.peer, Misbehaviour.BAD_RESPONSE, str(error))
                    progress.useless_for = _USELESS
                    return
                if imported.is_new:
                    self._count(progress, block)

    async def _is_due(self, block: Block) -> bool:
        """Wait for the time of a block; tell whether it comes soon.

        Raises:
            InvalidBlock: its header does not say when.
        """
        wait = self._chain.consensus.wait(block.header, self._clock())
        if wait is None:
            return False
        await trio.sleep(wait / 1_000)
        return True

    def _count(self, progress: _Progress, block: Block) -> None:
        """One more block; more than a few are worth being told of."""
        progress.blocks += 1
        if progress.blocks == _BLOCKS_AHEAD:
            self._set_active(True)
        now = trio.current_time()
        if now - progress.told_at >= _PROGRESS:
            progress.told_at = now
            rate = progress.blocks / (now - progress.began_at)
            log.info("catching up: block %d of %d, %.1f a second", block.header.number, self._peers.highest, rate)

    def _locator(self) -> tuple[Hash, ...]:
        """Name blocks of our best chain, newest first, with growing gaps down to block 0."""
        database = self._chain.database
        numbers: list[int] = []
        number, gap = database.head().number, 1
        while number > 0:
            numbers.append(number)
            if len(numbers) >= 8:
                gap *= 2
            number = BlockNumber(max(0, number - gap))
        found = [database.hash_at(BlockNumber(number)) for number in (*numbers, 0)]
        return tuple(block for block in found if block is not None)


def _check_links(blocks: list[Block], locator: tuple[Hash, ...]) -> None:
    """See that blocks follow one another, and the first one a place that was asked about.

    Raises:
        MessageError: they do not.
    """
    parent = None
    for block in blocks:
        header = block.header
        if header.parent_hash != parent and (parent is not None or header.parent_hash not in locator):
            raise MessageError(f"block {header.number} of an answer does not follow what it should")
        parent = header.hash()
