"""Fast sync: headers, the votes that show what is final, and the state of a final block; executed is nothing of it.

It runs before there is a chain, on a database that is on its way (`storage.snapshot`). What has come and was checked is
on disk, so it goes on after a restart, and with another peer when one fails. In order:

1. Headers from block 0 on (`node.followed`), up to the trusted block by its hash, then by seals, turns and handovers.
2. Votes in the last blocks: they show a final checkpoint. A trusted block behind that is final too.
3. The state after that block, in ranges, each with a proof that it is all there is between its ends.
4. Its body. Then the database is one, and blocks are executed from there on.

How can it be attacked? A peer may give headers of a chain of its own: then it cannot show the votes, or lacks the
trusted block, and what it gave is forgotten. It may give false ranges: each is checked before it is stored. It may be
silent: a request has a deadline, and the others come first then. What it may not do is to decide what is final.
"""

import logging
from collections.abc import Callable
from typing import Final

import trio

from node.age import half_leak
from node.chain_spec import ChainSpec
from node.errors import ExitCode, NodeError, first_error
from node.executor import Executor
from node.followed import BadVotes, Ballots, FollowedChain
from node.ring import MAX_SLOTS_AHEAD, slot_at
from node.sync.asker import Asker, is_unknown
from node.sync.messages import (
    MAX_HEADERS,
    MAX_VOTE_BLOCKS,
    Handshake,
    MessageError,
    StateAnswer,
    StateRequest,
)
from node.sync.pace import Pace, PeerFails, PeerLies, SourcePeer
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, PeerInfo, Refuse, Refused, Topic, Verdict
from pallets.finality.votes import Checkpoint
from runtime.header import Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from runtime.trie import ProofError, StateVersion, verify_range
from storage.snapshot import Snapshot

log = logging.getLogger(__name__)

_WAITING: Final = 10.0
"""Seconds between two lines of the log while there is nobody to ask."""
_PROGRESS: Final = 5.0
_HEADERS_HELD: Final = 8_192
"""Headers that are in memory only: the last ones, of which some may not be there to stay."""
_BYTES_HELD: Final = 1 << 24
"""As many bytes of them, too."""
_AT_ONCE: Final = 32
"""Headers that are followed at once in a thread, which cannot be interrupted."""
_VOTE_RANGES: Final = 8
"""Stretches of blocks that are searched for votes, the last one first."""
_FIRST_STRETCH: Final = 32


class FastSync:
    """`p2p.network.NetworkHandler` of a node that has no chain yet."""

    def __init__(
        self,
        spec: ChainSpec,
        genesis: Header,
        snapshot: Snapshot,
        executor: Executor,
        clock: Callable[[], int],
        trusted: BlockRef | None,
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
        self._marks: dict[int, Hash] = {}
        """Blocks that lead to the trusted one, which is among them, by number; none before a peer has shown them."""
        self._strangers: set[PeerId] = set()
        self._pace = Pace(float("-inf"))
        self._told_at = float("-inf")

    async def run(self, network: Network, pruning: int | None) -> BlockRef:
        """Fetch until the database is one; return its head. `pruning` as in `ChainDatabase.open`.

        Raises:
            StorageError: the database has failed.
            NodeError: what it has contradicts the trusted block.
        """
        if self._trusted is None:
            log.warning(
                "fast sync without --trusted believes whoever had the votes in the past: a history that was made up "
                "by producers who have left cannot be told from the right one"
            )
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

    def _resume(self) -> None:
        """Follow the headers that are here already."""
        for header in self._snapshot.headers():
            try:
                self._chain.follow(header, is_checked=True)
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
        self._chain = FollowedChain(self._spec, self._genesis, self._trusted)
        self._marks = {}
        self._strangers = set()

    # Peers.

    async def _next_peer(self) -> PeerId:
        """Wait for a peer that may be asked; of several, the one that failed least."""
        while True:
            now = trio.current_time()
            ready = [(peer.failures, name) for name, peer in self._peers.items() if peer.not_before <= now]
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
        """Note what a peer has given; raises PeerFails if it is too little for the time, and another one is ready."""
        now = trio.current_time()
        others = any(name != ask.peer and peer.not_before <= now for name, peer in self._peers.items())
        if self._pace.is_too_slow(now, count) and others:
            raise PeerFails("the peer is slow")

    # Headers.

    async def _headers(self, ask: Asker) -> tuple[FollowedChain, list[Header]]:
        """Follow a peer's chain to its end; return it there, and the headers that are not stored yet."""
        if not self._chain.is_trusted and not self._marks:
            await self._find_trusted(ask)
        chain, fresh, size = self._chain.copy(), list[Header](), 0
        while headers := await self._more(ask, chain):
            fresh += headers
            size += _size(headers)
            sure = self._sure(headers)
            if sure:
                count = sure - self._chain.head.number
            elif len(fresh) > 2 * _HEADERS_HELD or size > 2 * _BYTES_HELD:
                if not chain.is_trusted:
                    raise PeerLies(Misbehaviour.BAD_BLOCK, "headers that do not lead to the trusted block")
                count = len(fresh) // 2
            else:
                continue
            await self._store(fresh[:count])
            del fresh[:count]
            size = _size(fresh)
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
                at += await self._executor.aside(_follow, chain, headers[at : at + _AT_ONCE])
                if chain.handover is not None:
                    await self._show(ask, chain)
        except InvalidBlock as error:
            raise PeerLies(Misbehaviour.BAD_BLOCK, f"behind block {chain.head.number}: {error}") from None
        if chain.slot > slot_at(self._clock(), self._spec.slot_duration) + MAX_SLOTS_AHEAD:
            raise PeerFails(f"block {chain.head.number} is far ahead of this machine's clock: is the clock right?")
        if headers:
            self._strangers.discard(ask.peer)
            self._moved(ask, len(headers))
        self._tell("fast sync: header %d", chain.head.number)
        return headers

    async def _find_trusted(self, ask: Asker) -> None:
        """Follow headers to the trusted block and keep hashes on the way: what leads elsewhere is never stored.

        Then the headers are fetched again, from whoever has them, and stored from one such hash to the next.
        """
        trusted = self._trusted
        assert trusted is not None, "there is something to find"
        chain, marks = self._chain.copy(), dict[int, Hash]()
        since, size = chain.head.number, 0
        while chain.head.number < trusted.number:
            headers = await self._more(ask, chain, trusted.number)
            if not headers:
                raise PeerFails("the peer has not got the trusted block yet")
            size += _size(headers)
            if chain.head.number == trusted.number or chain.head.number - since >= MAX_HEADERS or size >= _BYTES_HELD:
                marks[chain.head.number] = chain.head.hash
                since, size = chain.head.number, 0
        self._marks = marks

    def _sure(self, headers: list[Header]) -> int:
        """Return the last of some headers that is known to lead to the trusted block, 0 if none is."""
        sure = 0
        for header in headers:
            mark = self._marks.get(header.number)
            if mark is not None:
                if mark != header.hash():
                    raise PeerLies(Misbehaviour.BAD_BLOCK, f"block {header.number} does not lead to the trusted one")
                sure = header.number
        return sure

    async def _store(self, headers: list[Header]) -> None:
        """Store headers behind those that are stored."""
        for at in range(0, len(headers), MAX_HEADERS):
            await self._executor.on_chain(self._keep, headers[at : at + MAX_HEADERS])

    def _keep(self, headers: list[Header]) -> None:
        self._snapshot.append(headers)
        for header in headers:
            self._chain.follow(header, is_checked=True)

    async def _met_stranger(self, peer: PeerId) -> None:
        """A peer knows nothing of our last header: if half of them do not, that one is taken for the wrong one."""
        if self._marks and not self._chain.is_trusted:
            return  # It leads to the trusted block.
        self._strangers = {*self._strangers, peer} & self._peers.keys()
        if self._chain.head.number and 2 * len(self._strangers) >= max(1, len(self._peers)):
            await self._executor.on_chain(self._start_over)

    async def _show(self, ask: Asker, chain: FollowedChain) -> None:
        """Have a handover shown."""
        handover = chain.handover
        assert handover is not None, "there is one"
        first = chain.checkpoint_since(handover.since)
        ballots = Ballots(chain)
        number = handover.by.number if first is None else BlockNumber(first.number + 1)
        while number <= handover.by.number:
            last = min(handover.by.number, number + MAX_VOTE_BLOCKS - 1)
            number = await self._votes(ask, ballots, number, BlockNumber(last))
        await self._executor.aside(chain.show, ballots.votes())

    async def _votes(self, ask: Asker, ballots: Ballots, first: BlockNumber, last: BlockNumber) -> BlockNumber:
        """Ask for the votes in some blocks; return the first block that is left."""
        answer = await ask.votes(first, last)
        ballots.add(answer.votes)
        self._moved(ask, answer.last - first + 1)
        return BlockNumber(answer.last + 1)

    async def _target(self, ask: Asker, chain: FollowedChain) -> BlockRef:
        """Find the latest block that is final, by votes or because it is trusted."""
        trusted = self._trusted
        if not chain.is_trusted:
            raise PeerFails("the peer has not got the trusted block yet")
        now = slot_at(self._clock(), self._spec.slot_duration)
        if chain.trusted_slot is not None and now - chain.trusted_slot > half_leak(self._spec):
            log.warning(
                "the trusted block is older than half the leak: whoever has left since could have made another history"
            )
        final = await self._final(ask, chain)
        if trusted is not None and (final is None or final.number <= trusted.number):
            return trusted
        if final is None or not final.number:
            raise PeerFails("nothing is final yet")
        return BlockRef(final.number, final.hash)

    async def _final(self, ask: Asker, chain: FollowedChain) -> Checkpoint | None:
        ballots = Ballots(chain)
        last = chain.head.number
        for attempt in range(_VOTE_RANGES):
            if last < 1:
                break
            # The first stretches are short, for peers that have few bodies.
            first = BlockNumber(max(1, last - min(MAX_VOTE_BLOCKS, _FIRST_STRETCH << attempt) + 1))
            number = first
            try:
                while number <= last:
                    number = await self._votes(ask, ballots, number, last)
            except Refused:
                # A peer that has begun with a snapshot itself has no bodies from before.
                break
            final = await self._executor.aside(chain.final_by, ballots.votes())
            if final is not None:
                return final
            last = BlockNumber(first - 1)
        return None

    # The state.

    async def _state(self, ask: Asker) -> None:
        """Fetch the rest of the state; the next range is asked for while one is checked and stored."""
        snapshot = self._snapshot
        if snapshot.has_state:
            return
        header = snapshot.target_header
        given, taken = trio.open_memory_channel[StateAnswer](1)

        async def fetch() -> None:
            async with given:
                after = snapshot.after
                while True:
                    answer = await ask.state(StateRequest(header.hash(), after))
                    last = answer.pairs[-1][0] if answer.pairs else b""
                    if not answer.is_last and (not answer.pairs or (after is not None and last <= after)):
                        raise PeerLies(Misbehaviour.BAD_RESPONSE, "a range of the state that leads nowhere")
                    await given.send(answer)
                    if answer.is_last:
                        return
                    after = last

        count, failure = 0, None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fetch)
                async for answer in taken:
                    await self._executor.on_chain(_store_range, snapshot, header.state_root, answer)
                    count += len(answer.pairs)
                    self._strangers.clear()
                    self._moved(ask, sum(1 + len(value) // 1_024 for _, value in answer.pairs))
                    self._tell("fast sync: %d keys of the state of block %d", count, header.number)
        except* (PeerLies, PeerFails, NetworkError, MessageError) as group:
            failure = first_error(group)
        if failure is not None:
            raise failure

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


def _size(headers: list[Header]) -> int:
    return sum(len(header.encode()) for header in headers)


def _follow(chain: FollowedChain, headers: list[Header]) -> int:
    """Follow headers, up to one whose handover has to be shown; return how many."""
    for count, header in enumerate(headers, 1):
        chain.follow(header)
        if chain.handover is not None:
            return count
    return len(headers)


def _store_range(snapshot: Snapshot, root: Hash, answer: StateAnswer) -> None:
    """Check a range of the state, then store it."""
    try:
        verify_range(root, answer.proof, answer.pairs, snapshot.after, StateVersion.V1, is_last=answer.is_last)
    except ProofError as error:
        raise PeerLies(Misbehaviour.BAD_BLOCK, f"a part of the state: {error}") from None
    snapshot.put(answer.pairs, is_last=answer.is_last)
