"""Catching up: blocks that a peer has and we lack, from where our chains part, in the order in which they follow.

The peer is asked for blocks; while it has more than a few and others seem to have them too, it is asked for headers,
and the blocks come from all of them (`node.sync.ranges`). Three steps run at once, each a bounded number of blocks
ahead of the next: asking, checking signatures, executing. What was executed is on disk, so catching up goes on from
there after a restart, and with another peer when one fails.

How can it be attacked? A peer may say that it is ahead and is not: it is asked in its turn like every other, an attempt
that brings nothing new for a while ends, and each failure doubles the time until the peer is asked again. It may come
again under a new name: who has come last is asked last. It may give just enough to be kept: while another peer is ahead
too, what it gives has to have a least pace, by the time that was spent waiting for it, not by ours. Only a head
that moves counts as catching up, so a peer cannot keep an author from its turns. A block that is false is the fault of
the peer that is caught up with, whoever has given it; a body that is not the header's, of the one that gave it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from node.authoring import Bell
from node.chain import Chain, TooOld, UnknownParent
from node.chain_writer import ChainWriter
from node.sync.messages import (
    BLOCKS,
    HEADERS,
    MAX_BLOCKS,
    MAX_HEADERS,
    BlocksRequest,
    HeadersRequest,
    MessageError,
    decode_blocks,
    decode_headers,
)
from node.sync.peers import PeerStates
from node.sync.ranges import RANGE, Ranges
from p2p.network import Misbehaviour, Network, NetworkError, PeerId
from runtime.header import Block, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from storage.errors import StorageError

log = logging.getLogger(__name__)

_TICK: Final = 5.0
"""Seconds after which a peer is asked for what it has, in case that announcements were lost."""
_ANSWER_DEADLINE: Final = 15.0
_LOOK_DEADLINE: Final = 5.0
_PATIENCE: Final = 20.0
"""Seconds without a new block after which an attempt ends."""
_PACE_WINDOW: Final = 20.0
"""Seconds of waiting for a peer's answers after which it is seen how much it has given."""
_LEAST_BLOCKS: Final = 128
"""What it has to give in such a time, or"""
_LEAST_BYTES: Final = 1 << 20
"""as many bytes, if another peer is ahead too. Such a pace is ten times that at which blocks are made."""
_LOOKS_WAITING: Final = 32
_DISAGREEMENTS: Final = frozenset({BlockFault.STATE_ROOT, BlockFault.BAD_DIGEST})
_ANSWERS_AHEAD: Final = 1
_BLOCKS_AHEAD: Final = 4
_WARNING_INTERVAL: Final = 600.0
_PROGRESS: Final = 5.0
"""Seconds between two lines of the log."""


@dataclass(slots=True)
class _Attempt:
    """What has come of catching up with one peer."""

    peer: PeerId
    began_at: float
    told_at: float
    blocks: int = 0
    shown: BlockRef | None = None
    """The last block that the peer has given."""
    has_failed: bool = False
    is_slow: bool = False
    waited: float = 0.0
    """Seconds in which answers of the peer were waited for in the current window, and what they have brought:"""
    answered: int = 0
    answered_bytes: int = 0

    def count_answer(self, seconds: float, blocks: int, size: int) -> bool:
        """Count an answer; tell whether a window is over in which the peer has given too little."""
        self.waited += seconds
        self.answered += blocks
        self.answered_bytes += size
        if self.waited < _PACE_WINDOW:
            return False
        is_slow = self.answered < _LEAST_BLOCKS and self.answered_bytes < _LEAST_BYTES
        self.waited, self.answered, self.answered_bytes = 0.0, 0, 0
        return is_slow


class _TooSlow(NetworkError):
    """A peer holds us up, and another one is ahead too."""


_Given: TypeAlias = tuple[PeerId, list[Block]]
"""Who has given some blocks."""


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
        self._looked = 0
        self._to_look_at: dict[PeerId, None] = {}
        self._look = Bell()
        self.is_active = False
        """Whether the head is moving because of this."""
        self.has_settled = False
        """Whether we have been level with all peers since the first one came, or have asked them all for nothing."""
        self._warned_at = self._clock_warned_at = float("-inf")

    @property
    def is_behind(self) -> bool:
        """Whether a peer has told of blocks that we lack, and has not turned out to have none."""
        return self._ahead() is not None

    def look(self) -> None:
        """Look at what the peers have said: one may be ahead."""
        self._bell.ring()

    def look_at(self, peer: PeerId) -> None:
        """Ask a peer what it has: it may be ahead."""
        if len(self._to_look_at) < _LOOKS_WAITING:
            self._to_look_at[peer] = None
            self._look.ring()

    async def run(self) -> None:
        """Catch up whenever a peer is ahead, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_forever)
            while True:
                with trio.move_on_after(_TICK):
                    await self._bell.wait()
                round_began = self._peers.attempts
                while (peer := self._ahead()) is not None:
                    state = self._peers.find(peer)
                    if state is not None and state.asked > round_began:
                        # Whoever was here has been asked for nothing; others go on coming.
                        self.has_settled = True
                    if await self._from(peer):
                        round_began = self._peers.attempts
                    self._set_active(False)
                self.has_settled = self.has_settled or len(self._peers) > 0

    def _set_active(self, is_active: bool) -> None:
        if is_active is not self.is_active:
            self.is_active = is_active
            self._on_change(is_active)

    def _ahead(self) -> PeerId | None:
        """Return the peer with blocks that we lack that was asked longest ago, if there is one worth asking.

        They need not be higher than ours: of two branches the heavier one wins.
        """
        ahead = self._all_ahead()
        return min(ahead, key=lambda found: found[0])[1] if ahead else None

    def _all_ahead(self) -> list[tuple[int, PeerId]]:
        """Return who is ahead and worth asking, in the order in which they came, and when each was asked."""
        final, now = self._chain.snapshot.finalized.number, trio.current_time()
        return [
            (state.asked, peer)
            for peer, state in self._peers
            if state.useless_until <= now and (self._lacks(state.best, final) or self._lacks(state.latest, final))
        ]

    def _lacks(self, block: BlockRef, final: BlockNumber) -> bool:
        return block.number > final and not self._chain.knows(block.hash) and not self._chain.is_known_bad(block.hash)

    # Finding out who is ahead.

    async def _look_forever(self) -> None:
        """Ask one peer after the other what it has, those first who seem to be ahead."""
        while True:
            with trio.move_on_after(_TICK):
                await self._look.wait()
            waiting = list(self._to_look_at) or self._next_peer()
            self._to_look_at.clear()
            for peer in waiting:
                await self._look_at(peer)
            if waiting:
                self.look()

    def _next_peer(self) -> list[PeerId]:
        peers = [peer for peer, _ in self._peers]
        self._looked += 1
        return [peers[self._looked % len(peers)]] if peers else []

    async def _look_at(self, peer: PeerId) -> None:
        """Ask a peer for the first block that it has and we do not."""
        try:
            headers = await self._request_headers(peer, self._locator(), most=MAX_BLOCKS, deadline=_LOOK_DEADLINE)
        except NetworkError as error:
            log.debug("%s does not say what it has: %s", peer, error)
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
        else:
            for header in headers[-1:]:
                self._peers.has_block(peer, BlockRef(header.number, header.hash()))

    async def _request(self, peer: PeerId, locator: tuple[Hash, ...], *, most: int, deadline: float) -> list[Block]:
        """Ask a peer for the blocks that follow a place.

        Raises:
            NetworkError: there is no answer.
            MessageError: it is not one to what was asked.
        """
        request = BlocksRequest(locator, most).encode()
        blocks = decode_blocks(await self._network.request(peer, BLOCKS.code, request, deadline=deadline))
        _check_links([block.header for block in blocks], locator)
        return blocks

    async def _request_headers(
        self, peer: PeerId, locator: tuple[Hash, ...], *, most: int, deadline: float
    ) -> list[Header]:
        """Ask a peer for the headers that follow a place; raises as `_request` does."""
        request = HeadersRequest(locator, most).encode()
        headers = decode_headers(await self._network.request(peer, HEADERS.code, request, deadline=deadline))
        _check_links(headers, locator)
        return headers

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

    # Catching up with one.

    async def _from(self, peer: PeerId) -> bool:
        """Take what a peer has, until it has nothing more or fails us; tell whether that was anything new."""
        now = trio.current_time()
        attempt, before = _Attempt(peer, now, now), self._chain.snapshot.best
        state = self._peers.find(peer)
        if state is not None:
            self._peers.is_asked(state)
        answers_in, answers = trio.open_memory_channel[_Given](_ANSWERS_AHEAD)
        checked_in, checked = trio.open_memory_channel[tuple[PeerId, Block]](_BLOCKS_AHEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, attempt, answers_in)
            nursery.start_soon(self._verify, answers, checked_in)
            await self._execute(attempt, checked)
            nursery.cancel_scope.cancel()
        best = self._chain.snapshot.best
        if self.is_active:
            seconds, name = trio.current_time() - attempt.began_at, to_hex(best.hash)[:10]
            log.info("caught up to block %d %s: %d blocks in %.1f s", best.number, name, attempt.blocks, seconds)
        if state is not None:
            if best.number > before.number and not attempt.is_slow:
                state.failures = 0
            if not attempt.has_failed:
                state.best = state.latest = attempt.shown or best
            if best == before or attempt.has_failed:
                state.fail(trio.current_time())
        return attempt.blocks > 0

    def _check_pace(self, attempt: _Attempt, asked_at: float, blocks: int, size: int) -> None:
        """Count an answer.

        Raises:
            _TooSlow: the peer holds us up, while another one is ahead too.
        """
        if not attempt.count_answer(trio.current_time() - asked_at, blocks, size):
            return
        if any(peer != attempt.peer for _, peer in self._all_ahead()):
            attempt.is_slow = True
            raise _TooSlow(f"less than {_LEAST_BLOCKS} blocks in {_PACE_WINDOW:.0f} s of waiting")

    async def _ask(self, attempt: _Attempt, answers: trio.MemorySendChannel[_Given]) -> None:
        """Ask for block after block, up to an empty answer."""
        locator = self._locator()
        ranges = Ranges(self._network, self._peers, attempt.peer)
        async with answers:
            while True:
                try:
                    asked_at = trio.current_time()
                    blocks = await self._request(attempt.peer, locator, most=MAX_BLOCKS, deadline=_ANSWER_DEADLINE)
                    if not blocks:
                        return
                    self._check_pace(attempt, asked_at, len(blocks), sum(_size(block) for block in blocks))
                    self._look_at_clock(blocks[-1].header)
                    last = await _hand_on(attempt, answers, attempt.peer, blocks)
                    while ranges.helpers(BlockNumber(last.number + 2 * RANGE)):
                        before, last = last, await self._ask_several(attempt, ranges, last, answers)
                        if last == before:
                            break
                except NetworkError as error:
                    log.debug("catching up with %s failed: %s", attempt.peer, error)
                    attempt.has_failed = True
                    return
                except MessageError as error:
                    self._network.report(attempt.peer, Misbehaviour.BAD_RESPONSE, str(error))
                    attempt.has_failed = True
                    return
                locator = (last.hash,)

    async def _ask_several(
        self, attempt: _Attempt, ranges: Ranges, last: BlockRef, answers: trio.MemorySendChannel[_Given]
    ) -> BlockRef:
        """Fetch what comes next from all who have it; return the last block that came.

        Raises:
            NetworkError, MessageError: the peer that is caught up with does not name what comes next, or not soon.
        """
        asked_at = trio.current_time()
        headers = await self._request_headers(attempt.peer, (last.hash,), most=MAX_HEADERS, deadline=_ANSWER_DEADLINE)
        self._check_pace(attempt, asked_at, len(headers), 0)
        async with ranges.fetch(headers) as pieces:
            async for giver, blocks in pieces:
                self._look_at_clock(blocks[-1].header)
                last = await _hand_on(attempt, answers, giver, blocks)
        return last

    async def _verify(
        self, answers: trio.MemoryReceiveChannel[_Given], checked: trio.MemorySendChannel[tuple[PeerId, Block]]
    ) -> None:
        """Check signatures while blocks before are executed."""
        async with answers, checked:
            async for giver, blocks in answers:
                for block in blocks:
                    if not self._chain.knows(block.header.hash()):
                        await self._writer.verify(block.header, block.extrinsics)
                    await checked.send((giver, block))

    async def _execute(self, attempt: _Attempt, checked: trio.MemoryReceiveChannel[tuple[PeerId, Block]]) -> None:
        """Import what has been checked, while something new comes often enough."""
        new_at = trio.current_time()
        async with checked:
            while True:
                try:
                    with trio.fail_at(new_at + _PATIENCE):
                        giver, block = await checked.receive()
                except trio.EndOfChannel:
                    return
                except trio.TooSlowError:
                    log.debug("%s has given nothing new for %.0f s", attempt.peer, _PATIENCE)
                    attempt.has_failed = True
                    return
                is_new = await self._import(attempt, giver, block)
                if is_new is None:
                    attempt.has_failed = attempt.has_failed or giver == attempt.peer
                    return
                if is_new:
                    new_at = trio.current_time()
                    self._count(attempt, block)

    async def _import(self, attempt: _Attempt, giver: PeerId, block: Block) -> bool | None:
        """Import a block; tell whether it was new, or None if this peer, or who gave the block, leads nowhere."""
        try:
            wait = self._chain.consensus.wait(block.header, self._clock())
            if wait is None:
                return None
            await trio.sleep(wait / 1_000)
            imported = await self._writer.import_block(block)
        except InvalidBlock as error:
            self._blame(attempt, giver, error)
            tell_invalid(block.header, error)
        except TooOld as error:
            if trio.current_time() - self._warned_at >= _WARNING_INTERVAL:
                self._warned_at = trio.current_time()
                log.warning("the chain of %s cannot be followed: %s", attempt.peer, error)
        except UnknownParent as error:
            log.debug("catching up with %s failed: %s", attempt.peer, error)
        except StorageError:
            raise
        except Exception:
            log.exception("block %d of %s cannot be executed", block.header.number, attempt.peer)
        else:
            if imported.head is not None and attempt.blocks >= _BLOCKS_AHEAD:
                self._set_active(True)
            return imported.is_new
        return None

    def _blame(self, attempt: _Attempt, giver: PeerId, error: InvalidBlock) -> None:
        """Blame whose fault a false block is."""
        if error.fault is not BlockFault.EXTRINSICS_ROOT:
            attempt.has_failed = True
            self._network.report(attempt.peer, Misbehaviour.BAD_BLOCK, str(error))
            return
        self._network.report(giver, Misbehaviour.BAD_RESPONSE, str(error))
        state = self._peers.find(giver)
        if state is not None and giver != attempt.peer:
            state.fail(trio.current_time())

    def _look_at_clock(self, header: Header) -> None:
        """Say now and then that others make blocks in slots that are yet to come by this machine's clock.

        Each block waits for its slot, so that a node whose clock is slow follows late, and nobody would know why.
        """
        if trio.current_time() - self._clock_warned_at < _WARNING_INTERVAL:
            return
        with suppress(InvalidBlock):
            if self._chain.consensus.wait(header, self._clock()) is None:
                self._clock_warned_at = trio.current_time()
                log.warning("block %d is far ahead of this machine's clock: is the clock right?", header.number)

    def _count(self, attempt: _Attempt, block: Block) -> None:
        """One more block; more than a few are worth being told of."""
        attempt.blocks += 1
        now = trio.current_time()
        if now - attempt.told_at >= _PROGRESS:
            attempt.told_at = now
            rate = attempt.blocks / (now - attempt.began_at)
            log.info("catching up: block %d of %d, %.1f a second", block.header.number, self._peers.highest, rate)


async def _hand_on(
    attempt: _Attempt, answers: trio.MemorySendChannel[_Given], giver: PeerId, blocks: list[Block]
) -> BlockRef:
    """Hand on some blocks; return the last one."""
    last = blocks[-1].header
    attempt.shown = BlockRef(last.number, last.hash())
    await answers.send((giver, blocks))
    return attempt.shown


def _size(block: Block) -> int:
    return sum(map(len, block.extrinsics))


def tell_invalid(header: Header, fault: InvalidBlock) -> None:
    """Log that a block is invalid, as a warning where it may be this machine that is wrong."""
    level = logging.WARNING if fault.fault in _DISAGREEMENTS else logging.INFO
    log.log(level, "block %d %s is invalid: %s", header.number, to_hex(header.hash())[:10], fault)


def _check_links(headers: list[Header], locator: tuple[Hash, ...]) -> None:
    """See that blocks follow one another, and the first one a place that was asked about.

    Raises:
        MessageError: they do not.
    """
    parent = None
    for header in headers:
        if header.parent_hash != parent and (parent is not None or header.parent_hash not in locator):
            raise MessageError(f"block {header.number} of an answer does not follow what it should")
        parent = header.hash()
