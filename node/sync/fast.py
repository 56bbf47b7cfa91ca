"""Fast sync: headers, the votes that show what is final, and the state of a final block; executed is nothing of it.

It runs before there is a chain, on a database that is on its way (`storage.snapshot`). What has come and was checked is
on disk, so it goes on after a restart, and with another peer when one fails. In order:

1. Headers from block 0 on (`node.followed`), up to the trusted block by its hash (`trusted_way`), then by seals, turns
   and handovers, which are shown by votes.
2. Votes in the last blocks (`vote_search`): they show a final checkpoint. A trusted block behind that is final too.
3. The state after that block (`state_fetch`), in ranges, each with a proof that it is all there is between its ends.
4. Its body. Then the database is one, and blocks are executed from there on.

How can it be attacked? A peer may give headers of a chain of its own: then it cannot show the votes, or lacks the
trusted block, and what it gave is forgotten. It may give false ranges: each is checked before it is stored. It may be
silent: a request has a deadline, and the others come first then. What it may not do is to decide what is final.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from node.age import half_leak
from node.chain_spec import ChainSpec
from node.errors import ExitCode, NodeError
from node.executor import Executor
from node.followed import BadVotes, FollowedChain, LeakUnseen
from node.ring import MAX_SLOTS_AHEAD, slot_at
from node.sync.asker import Asker, is_unknown
from node.sync.messages import MAX_HEADERS, Handshake, MessageError, StateAnswer
from node.sync.pace import Pace, PeerFails, PeerLies, SourcePeer, is_too_slow
from node.sync.state_fetch import fetch_state
from node.sync.trusted_way import BYTES_HELD, TrustedWay, size_of
from node.sync.vote_search import VoteSearch
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, PeerInfo, Refuse, Refused, Topic, Verdict
from runtime.header import Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, to_hex
from storage.snapshot import Snapshot

log = logging.getLogger(__name__)

_WAITING: Final = 10.0
"""Seconds between two lines of the log while there is nobody to ask."""
_PROGRESS: Final = 5.0
_HEADERS_HELD: Final = 8_192
"""Headers that are in memory only: the last ones, of which some may not be there to stay."""
_LOST_AFTER: Final = 120.0
"""Seconds without a header or range from anybody until headers are given up that half of the peers do not know."""
_AT_ONCE: Final = 32
"""Headers that are followed at once in a thread, which cannot be interrupted."""


class FastSync:
    """`p2p.network.NetworkHandler` of a node that has no chain yet."""

    def __init__(
        self,
        spec: ChainSpec,
        genesis: Header,
        snapshot: Snapshot,
        executor: Executor,
        clock: Callable[[], int],
        trusted: BlockRef,
    ) -> None:
        """Take the parts.

        `clock` gives the time in milliseconds since the Unix epoch; `trusted` is a block that the operator vouches for.
        """
        self._clock = clock
        self._spec = spec
        self._genesis = genesis
        self._snapshot = snapshot
        self._executor = executor
        self._trusted = trusted
        self._chain = FollowedChain(spec, genesis, trusted)
        self._peers: dict[PeerId, SourcePeer] = {}
        self._came = trio.Event()
        self._way = TrustedWay()
        self._strangers: set[PeerId] = set()
        self._given_at = float("-inf")
        self._pace = Pace(float("-inf"))
        self._told_at = float("-inf")

    async def run(self, network: Network, pruning: int | None) -> BlockRef:
        """Fetch until the database is one; return its head. `pruning` as in `ChainDatabase.open`.

        Raises:
            StorageError: the database has failed.
            NodeError: the trusted block is too old, or what is in the database cannot be followed.
        """
        self._given_at = trio.current_time()
        await self._executor.on_chain(self._resume)
        while True:
            peer = await self._next_peer()
            try:
                body = await self._from(network, peer)
            except (PeerLies, BadVotes) as error:
                log.warning("%s gives what cannot be true: %s", peer, error)
                misbehaviour = error.misbehaviour if isinstance(error, PeerLies) else Misbehaviour.BAD_BLOCK
                network.report(peer, misbehaviour, str(error))
                self._fail(peer)
            except MessageError as error:
                network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
                self._fail(peer)
            except (PeerFails, NetworkError) as error:
                log.debug("fetching from %s failed: %s", peer, error)
                self._fail(peer)
            else:
                target = self._snapshot.target
                assert target is not None, "the state is that of a block"
                await self._executor.on_chain(self._snapshot.finish, body, pruning)
                log.info("fetched the state of block %d %s", target.number, to_hex(target.hash)[:10])
                return target

    def _follow_stored(self) -> None:
        """Follow the headers that are here, from block 0 on."""
        self._chain = FollowedChain(self._spec, self._genesis, self._trusted)
        for header in self._snapshot.headers():
            self._chain.follow(header, is_checked=True)

    def _resume(self) -> None:
        """Go on from what is here already."""
        try:
            self._follow_stored()
        except InvalidBlock as error:
            if error.fault is BlockFault.NOT_TRUSTED:
                self._start_over()
                return
            message = f"the headers of the fast sync cannot be followed: {error}"
            raise NodeError(ExitCode.DATABASE_REFUSED, message) from None
        if self._snapshot.target is not None and not self._chain.is_trusted:
            log.info("the state so far is that of a block before the trusted one; it is forgotten")
            self._snapshot.aim_at(None)
        if self._chain.head.number:
            log.info("going on with a fast sync: %d headers are here", self._chain.head.number)

    def _start_over(self) -> None:
        log.info("the headers so far lead nowhere; starting over")
        self._snapshot.start_over()
        self._follow_stored()
        self._way = TrustedWay()
        self._strangers = set()

    # Peers.

    async def _next_peer(self) -> PeerId:
        """Wait for a peer that may be asked; of several, the best one so far."""
        while True:
            now = trio.current_time()
            ready = [(peer.rank, name) for name, peer in self._peers.items() if peer.not_before <= now]
            if ready:
                # Of equals the one that came first: names can be chosen.
                return min(ready, key=lambda one: one[0])[1]
            self._came = trio.Event()
            wake = min((peer.not_before for peer in self._peers.values()), default=now + _WAITING)
            with trio.move_on_at(wake):
                await self._came.wait()
            if not self._peers:
                self._tell("fast sync waits for a peer")

    def _fail(self, name: PeerId) -> None:
        peer = self._peers.get(name)
        if peer is not None:
            peer.fail(trio.current_time())

    def _tell(self, text: str, *arguments: object) -> None:
        now = trio.current_time()
        if now - self._told_at >= _PROGRESS:
            self._told_at = now
            log.info(text, *arguments)

    # One peer.

    async def _from(self, network: Network, peer: PeerId) -> tuple[bytes, ...]:
        """Go on with a peer up to the end; return the body of the block whose state is here by then."""
        snapshot = self._snapshot
        ask = Asker(network, peer)
        self._pace = Pace(trio.current_time())
        if snapshot.target is not None:
            try:
                await self._state(ask)
                return await ask.body(snapshot.target_header)
            except Refused as error:
                log.debug("%s has not got the block that was begun with: %s", peer, error)
        chain, headers = await self._headers(ask)
        target = await self._target(ask, chain)
        if target == snapshot.target:
            raise PeerFails("the peer has not got the state of the block that it holds for final")
        await self._store([header for header in headers if header.number <= target.number])
        await self._executor.on_chain(snapshot.aim_at, target)
        log.info("fetching the state of block %d %s", target.number, to_hex(target.hash)[:10])
        await self._state(ask)
        return await ask.body(snapshot.target_header)

    def _moved(self, ask: Asker, count: int) -> None:
        """Note what a peer has given; raises PeerFails if it is slow, and a better one is ready."""
        now = trio.current_time()
        pace, asked = self._pace.measured(now, count), self._peers.get(ask.peer)
        if pace is None or asked is None:
            return
        asked.pace = pace
        ready = [peer.pace for peer in self._peers.values() if peer is not asked and peer.not_before <= now]
        if is_too_slow(pace, ready):
            raise PeerFails("the peer is slow")

    def _gave(self, name: PeerId) -> None:
        """Note that a peer has what goes on from our headers."""
        self._given_at = trio.current_time()
        self._strangers.discard(name)
        peer = self._peers.get(name)
        if peer is not None:
            peer.failures = 0

    # Headers.

    async def _headers(self, ask: Asker) -> tuple[FollowedChain, list[Header]]:
        """Follow a peer's chain to its end; return it there, and the headers that are not stored yet."""
        trusted = self._trusted
        if not self._chain.is_trusted and not self._way.is_known:
            await self._way.find(self._chain.copy(), trusted, partial(self._more, ask))
        chain, fresh, size = self._chain.copy(), list[Header](), 0
        while headers := await self._more(ask, chain):
            fresh += headers
            size += size_of(headers)
            sure = self._way.last_sure(headers)
            if sure:
                count = sure - self._chain.head.number
            elif len(fresh) > 2 * _HEADERS_HELD or size > 2 * BYTES_HELD:
                if not chain.is_trusted:
                    raise PeerLies(Misbehaviour.BAD_BLOCK, "headers that do not lead to the trusted block")
                count = len(fresh) // 2
            else:
                continue
            await self._store(fresh[:count])
            del fresh[:count]
            size = size_of(fresh)
        return chain, fresh

    async def _more(self, ask: Asker, chain: FollowedChain, last: int | None = None) -> list[Header]:
        """Follow the next headers, up to block `last`; return them, none at the end of the peer's chain."""
        try:
            headers = await ask.headers(chain.head.hash)
        except Refused as error:
            if chain.head == self._chain.head and is_unknown(error):
                await self._met_stranger(ask.peer)
            raise
        if last is not None:
            headers = headers[: last - chain.head.number]
        at = 0
        try:
            while at < len(headers):
                count = await self._executor.aside(_follow, chain, headers[at : at + _AT_ONCE])
                if not count:
                    break
                at += count
                if chain.handover is not None:
                    await self._votes(ask).show(chain)
        except InvalidBlock as error:
            raise PeerLies(Misbehaviour.BAD_BLOCK, f"behind block {chain.head.number}: {error}") from None
        if chain.slot > slot_at(self._clock(), self._spec.slot_duration) + MAX_SLOTS_AHEAD:
            raise PeerFails(f"block {chain.head.number} is far ahead of this machine's clock: is the clock right?")
        headers = headers[:at]
        if headers:
            self._gave(ask.peer)
            self._moved(ask, len(headers))
        self._tell("fast sync: header %d", chain.head.number)
        return headers

    async def _store(self, headers: list[Header]) -> None:
        """Store headers behind those that are stored."""
        for at in range(0, len(headers), MAX_HEADERS):
            await self._executor.on_chain(self._keep, headers[at : at + MAX_HEADERS])

    def _keep(self, headers: list[Header]) -> None:
        self._snapshot.append(headers)
        for header in headers:
            self._chain.follow(header, is_checked=True)

    async def _met_stranger(self, peer: PeerId) -> None:
        """A peer knows nothing of our last header: if half of them do not, that one is taken for the wrong one.

        Not while anybody gives what goes on from it: peers are easily made up.
        """
        if self._way.is_known and not self._chain.is_trusted:
            return  # It leads to the trusted block.
        self._strangers = {*self._strangers, peer} & self._peers.keys()
        is_lost = trio.current_time() - self._given_at >= _LOST_AFTER
        if is_lost and self._chain.head.number and 2 * len(self._strangers) >= max(1, len(self._peers)):
            self._given_at = trio.current_time()
            for known in self._peers.values():
                known.failures, known.not_before = 0, float("-inf")
            await self._executor.on_chain(self._go_back)

    def _go_back(self) -> None:
        """Forget the headers behind the trusted block, and behind the one whose state is being fetched."""
        target = self._snapshot.target
        sure = max(self._trusted.number, target.number if target is not None else 0)
        if not self._chain.is_trusted or not sure:
            self._start_over()
        elif sure < self._chain.head.number:
            log.info("the headers behind block %d lead nowhere; they are forgotten", sure)
            self._snapshot.cut(BlockNumber(sure))
            self._strangers = set()
            self._follow_stored()

    def _votes(self, ask: Asker) -> VoteSearch:
        return VoteSearch(ask, self._executor, partial(self._moved, ask))

    async def _target(self, ask: Asker, chain: FollowedChain) -> BlockRef:
        """Find the latest block that is final, by votes or because it is trusted."""
        trusted = self._trusted
        if not chain.is_trusted:
            raise PeerFails("the peer has not got the trusted block yet")
        self._check_age(chain)
        final = await self._votes(ask).final(chain)
        if trusted.number and (final is None or final.number <= trusted.number):
            return trusted
        if final is None or not final.number:
            raise PeerFails("nothing is final yet")
        return BlockRef(final.number, final.hash)

    def _check_age(self, chain: FollowedChain) -> None:
        """Refuse a trusted block since which voters who were present may have leaked: others could show what they like.

        Raises:
            NodeError: it is too old.
        """
        now = slot_at(self._clock(), self._spec.slot_duration)
        if chain.trusted_slot is not None and now - chain.trusted_slot > half_leak(self._spec):
            raise NodeError(
                ExitCode.FAILED,
                f"the trusted block {self._trusted.number} is older than half the leak: whoever has left since could "
                "have made another history. Name a later final block with --trusted",
            )

    # The state.

    async def _state(self, ask: Asker) -> None:
        """Fetch the rest of the state."""
        count, header = 0, self._snapshot.target_header

        def stored(answer: StateAnswer) -> None:
            nonlocal count
            count += len(answer.pairs)
            self._gave(ask.peer)
            self._moved(ask, sum(1 + len(value) // 1_024 for _, value in answer.pairs))
            self._tell("fast sync: %d keys of the state of block %d", count, header.number)

        await fetch_state(ask, self._snapshot, self._executor, stored)

    # What the network calls.

    def handshake(self) -> bytes:
        """Say that there is nothing here yet."""
        first = BlockRef(BlockNumber(0), self._genesis.hash())
        return Handshake(first, first).encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        """Take a peer that speaks our language."""
        try:
            Handshake.decode(their_handshake)
        except MessageError as error:
            raise Refuse(str(error)) from None
        self._peers[peer.peer_id] = SourcePeer()
        self._came.set()

    def on_peer_gone(self, peer: PeerId) -> None:
        """Forget a peer."""
        self._peers.pop(peer, None)

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        """There is no state to judge anything by."""
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        """There is nothing to give."""
        raise Refuse("a fast sync is under way here")


def _follow(chain: FollowedChain, headers: list[Header]) -> int:
    """Follow headers, up to one whose handover has to be shown, or before a leak; return how many."""
    for count, header in enumerate(headers):
        try:
            chain.follow(header)
        except LeakUnseen as error:
            log.info("headers are followed no further, the blocks behind have to be executed: %s", error)
            return count
        if chain.handover is not None:
            return count + 1
    return len(headers)
