"""New blocks among peers: announced by their authors, completed from the pool, passed on, executed.

How can it be attacked? With headers that nobody had the right to make: they are checked against the state of their
parent before anything else, and a parent that cannot be looked at is asked for, not believed. With many blocks for one
turn: two are looked at, which is the evidence, and no more. With bodies that never come: whoever announces a block
later is asked as well. With headers from the future: those of the next slots wait, a few at a time, the others go.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio

from node.chain import Chain, TooOld, UnknownParent
from node.chain_writer import ChainWriter
from node.pool import TransactionPool
from node.sync.catch_up import CatchUp, tell_invalid
from node.sync.messages import BODY, Announcement, BodyRequest, MessageError, decode_extrinsics
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, TooLarge, Topic, Verdict
from runtime.extrinsic import extrinsic_hash, leading_unsigned
from runtime.header import Block, Header
from runtime.interface.errors import InvalidBlock
from runtime.primitives import BlockRef, Hash, to_hex
from runtime.trie import ordered_root
from storage.errors import StorageError

log = logging.getLogger(__name__)

_BODY_DEADLINE: Final = 1.5
"""Seconds that one peer has to give a body before the next is asked."""
_ANNOUNCERS: Final = 3
"""Peers that are asked for one body."""
_ASSEMBLED_KEPT: Final = 64
_IMPORTS_AT_ONCE: Final = 16
_EARLY_KEPT: Final = 16
_SHORT_WAIT: Final = 1_000
"""Milliseconds that a block may be early to be judged on the spot: clocks differ a little."""
_BLOCKS_A_TURN: Final = 2
_TURNS_KEPT: Final = 1_024
_CLOCK_WARNING: Final = 60.0


class BlockExchange:
    """Announces our blocks and takes those that are announced to us."""

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        writer: ChainWriter,
        network: Network,
        peers: PeerStates,
        catch_up: CatchUp,
        clock: Callable[[], int],
        on_header: Callable[[Header], None] = lambda _header: None,
    ) -> None:
        """Take the parts.

        `clock` gives the time in milliseconds since the Unix epoch; `on_header` is told of each sealed header, whatever
        comes of its block.
        """
        self._chain = chain
        self._pool = pool
        self._writer = writer
        self._network = network
        self._peers = peers
        self._catch_up = catch_up
        self._clock = clock
        self._on_header = on_header
        self._assembled: OrderedDict[Hash, Block] = OrderedDict()
        self._executing: dict[Hash, trio.Event] = {}
        self._announcers: dict[Hash, list[PeerId]] = {}
        self._turns: OrderedDict[Hash, set[Hash]] = OrderedDict()
        self._imports_in, self._imports = trio.open_memory_channel[Block](_IMPORTS_AT_ONCE)
        self._early_in, self._early = trio.open_memory_channel[tuple[Announcement, PeerId, float]](_EARLY_KEPT)
        self._warned_at = float("-inf")

    def assembled(self, block: Hash) -> Block | None:
        """Return a block whose header was checked and whose body is whole, executed or not."""
        return self._assembled.get(block)

    async def executed(self) -> None:
        """Wait for the blocks that have been announced before now and are whole: until each was executed."""
        for event in tuple(self._executing.values()):
            await event.wait()

    def announce(self, block: Block) -> None:
        """Tell everybody of a block that we have made."""
        self._keep(block)
        announcement = Announcement.of(block, leading_unsigned(block.extrinsics))
        try:
            self._network.publish(Topic.BLOCKS, announcement.encode())
        except TooLarge as error:
            log.warning("block %d cannot be announced: %s", block.header.number, error)

    async def on_gossip(self, payload: bytes, peer: PeerId) -> Verdict:
        """Take an announcement; it is passed on once the header is checked and the body is here."""
        try:
            announcement = Announcement.decode(payload)
        except MessageError:
            return Verdict.REJECT
        return await self._take(announcement, peer)

    async def _take(self, announcement: Announcement, peer: PeerId) -> Verdict:
        """Check a header, complete the body, have the block executed."""
        header = announcement.header
        block = header.hash()
        if self._chain.is_known_bad(block):
            return Verdict.REJECT
        if block in self._assembled or self._chain.knows(block):
            self._peers.has_block(peer, BlockRef(header.number, block))
            return Verdict.IGNORE
        try:
            if not await self._is_in_order(header, peer):
                return Verdict.IGNORE
            self._peers.has_block(peer, BlockRef(header.number, block))
            wait = self._chain.consensus.wait(header, self._clock())
        except InvalidBlock as error:
            log.debug("an announced block is refused: %s", error)
            return Verdict.REJECT
        if wait is None or wait > _SHORT_WAIT:
            self._put_off(announcement, peer, wait)
            return Verdict.IGNORE
        await trio.sleep(wait / 1_000)
        return await self._complete(announcement, peer)

    async def _is_in_order(self, header: Header, peer: PeerId) -> bool:
        """Tell whether a block follows one that is here, by whoever had the turn.

        Raises:
            InvalidBlock: nobody had the right to make it.
        """
        # One turn makes one block: a second one is evidence against its author, more are a flood. Whoever passes them
        # on is not to blame, as it may have seen two others first.
        turn, name = self._chain.consensus.turn(header), header.hash()
        if self._is_full(turn, name):
            return False
        executed = self._executing.get(header.parent_hash)
        if executed is not None:
            await executed.wait()
        try:
            self._chain.check_header(header)
        except (UnknownParent, TooOld):
            self._catch_up.look_at(peer)
            return False
        self._on_header(header)
        if self._is_full(turn, name):
            return False
        self._turns.setdefault(turn, set()).add(name)
        if len(self._turns) > _TURNS_KEPT:
            self._turns.popitem(last=False)
        return True

    def _is_full(self, turn: Hash, block: Hash) -> bool:
        """Tell whether as many other blocks of a turn were looked at as there may be."""
        blocks = self._turns.get(turn, ())
        return block not in blocks and len(blocks) >= _BLOCKS_A_TURN

    def _put_off(self, announcement: Announcement, peer: PeerId, wait: int | None) -> None:
        """Keep a block that is early until its slot begins; one that is far ahead goes."""
        if wait is not None:
            try:
                self._early_in.send_nowait((announcement, peer, trio.current_time() + wait / 1_000))
            except trio.WouldBlock:
                log.debug("too many blocks are early")
        elif trio.current_time() - self._warned_at >= _CLOCK_WARNING:
            self._warned_at = trio.current_time()
            log.warning(
                "block %d is far ahead of this machine's clock: is the clock right?", announcement.header.number
            )

    async def _complete(self, announcement: Announcement, peer: PeerId) -> Verdict:
        """Complete the body of a block and have it executed."""
        header = announcement.header
        name = header.hash()
        extrinsics = self._from_pool(announcement)
        if extrinsics is None:
            if name in self._announcers:
                self._announcers[name].append(peer)
                return Verdict.IGNORE
            extrinsics = await self._fetch(announcement, peer)
        if name in self._assembled or extrinsics is None:
            return Verdict.IGNORE
        if ordered_root(extrinsics) != header.extrinsics_root:
            return Verdict.REJECT
        block = Block(header, extrinsics)
        try:
            self._imports_in.send_nowait(block)
        except trio.WouldBlock:
            self._catch_up.look_at(peer)
            return Verdict.IGNORE
        self._executing[name] = trio.Event()
        self._keep(block)
        return Verdict.ACCEPT

    def _from_pool(self, announcement: Announcement) -> tuple[bytes, ...] | None:
        """Return the body of a block if the announcement and the pool have all of it."""
        rest = [self._pooled(name) for name in announcement.hashes]
        found = [raw for raw in rest if raw is not None]
        if not announcement.extrinsics or len(found) != len(rest):
            return None
        return (*announcement.extrinsics, *found)

    def _pooled(self, name: Hash) -> bytes | None:
        transaction = self._pool.get(name)
        return None if transaction is None else transaction.prepared.raw

    async def _fetch(self, announcement: Announcement, peer: PeerId) -> tuple[bytes, ...] | None:
        """Ask those who have announced a block, one after the other, for what the pool lacks of it."""
        name = announcement.header.hash()
        announcers = self._announcers[name] = [peer]
        try:
            for asked in range(_ANNOUNCERS):
                if asked >= len(announcers):
                    break
                extrinsics = await self._fetch_from(announcement, announcers[asked])
                if extrinsics is not None or name in self._assembled:
                    return extrinsics
        finally:
            del self._announcers[name]
        self._catch_up.look_at(peer)
        return None

    async def _fetch_from(self, announcement: Announcement, peer: PeerId) -> tuple[bytes, ...] | None:
        """Ask one peer for what the pool lacks of a block; None if that does not help."""
        header = announcement.header
        known = {name: self._pooled(name) for name in announcement.hashes}
        lacking = tuple(name for name, raw in known.items() if raw is None)
        request = BodyRequest(header.hash(), lacking if announcement.extrinsics else ())
        try:
            answer = await self._network.request(peer, BODY.code, request.encode(), deadline=_BODY_DEADLINE)
            fetched = decode_extrinsics(answer)
        except NetworkError as error:
            log.debug("the body of block %d did not come: %s", header.number, error)
            return None
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
            return None
        if not announcement.extrinsics:
            return fetched
        by_hash = {extrinsic_hash(raw): raw for raw in fetched}
        rest = [known[name] or by_hash.get(name) for name in announcement.hashes]
        found = [raw for raw in rest if raw is not None]
        if len(found) != len(rest):
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, "not the extrinsics that were asked for")
            return None
        return (*announcement.extrinsics, *found)

    def _keep(self, block: Block) -> None:
        self._assembled[block.header.hash()] = block
        if len(self._assembled) > _ASSEMBLED_KEPT:
            self._assembled.popitem(last=False)

    async def run(self) -> None:
        """Execute what has been announced, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_for_slots)
            async for block in self._imports:
                try:
                    await self._import(block)
                finally:
                    self._executing.pop(block.header.hash()).set()

    async def _import(self, block: Block) -> None:
        header = block.header
        # Of what the pool has the signatures are known to be good.
        lacking = [raw for raw in block.extrinsics if self._pool.get(extrinsic_hash(raw)) is None]
        await self._writer.verify(header, lacking)
        try:
            # `_complete` has compared the body with the header.
            await self._writer.import_block(block, is_whole=True)
        except UnknownParent:
            self._catch_up.look()
        except TooOld as error:
            log.debug("an announced block is too old: %s", error)
        except InvalidBlock as error:
            # Whoever passed it on has not executed it either: the author alone is to blame.
            self._assembled.pop(header.hash(), None)
            tell_invalid(header, error)
        except StorageError:
            raise
        except Exception:
            log.exception("block %d %s cannot be executed", header.number, to_hex(header.hash())[:10])

    async def _wait_for_slots(self) -> None:
        """Take blocks up again when their slots have begun."""
        async for announcement, peer, due in self._early:
            await trio.sleep_until(due)
            await self._take(announcement, peer)
