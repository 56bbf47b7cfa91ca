"""New blocks among peers: announced by their authors, completed from the pool, passed on, executed."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio

from node.chain import Chain, TooOld, UnknownParent
from node.chain_writer import ChainWriter
from node.pool import TransactionPool
from node.sync.catch_up import CatchUp
from node.sync.messages import BODY, Announcement, BodyRequest, MessageError, decode_extrinsics
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, TooLarge, Topic, Verdict
from runtime.extrinsic import extrinsic_hash, leading_unsigned
from runtime.header import Block, Header
from runtime.interface.errors import InvalidBlock
from runtime.primitives import BlockRef, Hash, to_hex
from runtime.trie import ordered_root
from storage.chain_db import StatePruned, UnknownBlock

log = logging.getLogger(__name__)

_DEADLINE: Final = 4.0
_ASSEMBLED_KEPT: Final = 64
_IMPORTS_AT_ONCE: Final = 16
_ANNOUNCED_A_SLOT: Final = 2
"""Blocks of one author and slot that are looked at: the second is evidence, more are a flood."""
_SLOTS_KEPT: Final = 1_024


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
        on_header: Callable[[Header], None],
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
        self._expected: set[Hash] = set()
        self._announced: OrderedDict[bytes, int] = OrderedDict()
        self._imports_in, self._imports = trio.open_memory_channel[Block](_IMPORTS_AT_ONCE)

    def assembled(self, block: Hash) -> Block | None:
        """Return a block whose header was checked and whose body is whole, executed or not."""
        return self._assembled.get(block)

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
        header = announcement.header
        block = header.hash()
        self._peers.has_block(peer, BlockRef(header.number, block))
        if block in self._expected or block in self._assembled or self._chain.knows(block):
            return Verdict.IGNORE
        if self._chain.fault_of(block) is not None:
            return Verdict.REJECT
        self._expected.add(block)
        try:
            return await self._take(announcement, peer)
        except InvalidBlock as error:
            log.debug("an announced block is refused: %s", error)
            return Verdict.REJECT
        finally:
            self._expected.discard(block)

    async def _take(self, announcement: Announcement, peer: PeerId) -> Verdict:
        """Check a header, wait for its slot, complete the body, and have it executed.

        Raises:
            InvalidBlock: the header breaks a rule, or the body is not the header's.
        """
        header = announcement.header
        # A parent that waits to be executed is as good as one that was: blocks are executed in their order.
        has_parent = header.parent_hash in self._assembled or self._chain.knows(header.parent_hash)
        if self._catch_up.is_active or not has_parent:
            self._catch_up.look()
            return Verdict.IGNORE
        self._check(header)
        self._on_header(header)
        if self._is_flood(header):
            return Verdict.IGNORE
        wait = self._chain.consensus.wait(header, self._clock())
        if wait is None:
            return Verdict.IGNORE
        await trio.sleep(wait / 1_000)
        extrinsics = await self._body(announcement, peer)
        if extrinsics is None:
            return Verdict.IGNORE
        if ordered_root(extrinsics) != header.extrinsics_root:
            return Verdict.REJECT
        block = Block(header, extrinsics)
        self._keep(block)
        try:
            self._imports_in.send_nowait(block)
        except trio.WouldBlock:
            return Verdict.IGNORE
        return Verdict.ACCEPT

    def _check(self, header: Header) -> None:
        """Check as much of a header as is possible here; execution checks it whole.

        Raises:
            InvalidBlock: its author may not have made it.
        """
        try:
            state = self._chain.database.state_at(header.parent_hash)
        except (UnknownBlock, StatePruned):
            self._chain.consensus.check_seal(header)
        else:
            self._chain.consensus.check(header, state)

    def _is_flood(self, header: Header) -> bool:
        """Count the blocks of an author and slot; tell whether there are too many."""
        claim = b"".join(item.payload for item in header.digest[:2])
        count = self._announced[claim] = self._announced.pop(claim, 0) + 1
        if len(self._announced) > _SLOTS_KEPT:
            self._announced.popitem(last=False)
        return count > _ANNOUNCED_A_SLOT

    async def _body(self, announcement: Announcement, peer: PeerId) -> tuple[bytes, ...] | None:
        """Complete a body from the pool, and from the peer what the pool lacks; None if the peer does not help."""
        known = {name: self._pooled(name) for name in announcement.hashes}
        lacking = tuple(name for name, raw in known.items() if raw is None)
        if announcement.extrinsics and not lacking:
            return (*announcement.extrinsics, *(raw for raw in known.values() if raw is not None))
        request = BodyRequest(announcement.header.hash(), lacking if announcement.extrinsics else ())
        try:
            answer = await self._network.request(peer, BODY.code, request.encode(), deadline=_DEADLINE)
            fetched = decode_extrinsics(answer)
        except NetworkError as error:
            log.debug("the body of block %d did not come: %s", announcement.header.number, error)
            return None
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
            return None
        if not announcement.extrinsics:
            return fetched
        by_hash = {extrinsic_hash(raw): raw for raw in fetched}
        found = [known[name] or by_hash.get(name) for name in announcement.hashes]
        rest = [raw for raw in found if raw is not None]
        if len(rest) != len(found):
            self._network.report(peer, Misbehaviour.BAD_RESPONSE, "extrinsics that were not asked for")
            return None
        return (*announcement.extrinsics, *rest)

    def _pooled(self, name: Hash) -> bytes | None:
        transaction = self._pool.get(name)
        return None if transaction is None else transaction.prepared.raw

    def _keep(self, block: Block) -> None:
        self._assembled[block.header.hash()] = block
        if len(self._assembled) > _ASSEMBLED_KEPT:
            self._assembled.popitem(last=False)

    async def run(self) -> None:
        """Execute what has been announced, until cancelled."""
        async for block in self._imports:
            header = block.header
            await self._writer.verify(block)
            try:
                await self._writer.import_block(block)
            except UnknownParent:
                self._catch_up.look()
            except TooOld as error:
                log.debug("an announced block is too old: %s", error)
            except InvalidBlock as error:
                # Whoever passed it on has not executed it either: the author alone is to blame.
                log.warning("block %d %s is invalid: %s", header.number, to_hex(header.hash())[:10], error)
