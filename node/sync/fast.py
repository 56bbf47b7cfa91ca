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
from node.followed import BadVotes, FollowedChain
from node.ring import MAX_SLOTS_AHEAD, slot_at
from node.sync.asker import Asker
from node.sync.messages import (
    MAX_HEADERS,
    MAX_VOTE_BLOCKS,
    Handshake,
    MessageError,
    StateAnswer,
    StateRequest,
)
from p2p.network import Misbehaviour, Network, NetworkError, PeerId, PeerInfo, Refuse, Refused, Topic, Verdict
from pallets.finality.votes import Checkpoint, Vote
from runtime.header import Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from runtime.trie import ProofError, StateVersion, verify_range
from storage.snapshot import Snapshot

log = logging.getLogger(__name__)

_PAUSE: Final = 2.0
"""Seconds after which a peer is asked again that has failed; each failure doubles them."""
_LONGEST_PAUSE: Final = 300.0
_WAITING: Final = 10.0
"""Seconds between two lines of the log while there is nobody to ask."""
_PROGRESS: Final = 5.0
_HEADERS_HELD: Final = 8_192
"""Headers that are in memory only: the last ones, of which some may not be there to stay."""
_VOTE_RANGES: Final = 8
"""Stretches of blocks that are searched for votes, the last one first."""
_FIRST_STRETCH: Final = 32


class _PeerFails(Exception):
    """This peer leads nowhere now; it is not to blame."""


class _PeerLies(Exception):
    """This peer has given what no honest one gives."""

    def __init__(self, misbehaviour: Misbehaviour, detail: str) -> None:
        super().__init__(detail)
        self.misbehaviour = misbehaviour


class _Peer:
    """How fetching from one peer went."""

    def __init__(self) -> None:
        self.failures = 0
        self.not_before = float("-inf")


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
        self._peers: dict[PeerId, _Peer] = {}
        self._came = trio.Event()
        self._strangers = 0
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
            except _PeerLies as error:
                log.warning("%s gives what cannot be true: %s", peer, error)
                network.report(peer, error.misbehaviour, str(error))
                self._fail(peer)
            except MessageError as error:
                network.report(peer, Misbehaviour.BAD_RESPONSE, str(error))
                self._fail(peer)
            except (_PeerFails, NetworkError) as error:
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
        if self._chain.head.number:
            log.info("going on with a fast sync: %d headers are here", self._chain.head.number)

    def _start_over(self) -> None:
        log.info("the headers so far lead nowhere; starting over")
        self._snapshot.start_over()
        self._chain = FollowedChain(self._spec, self._genesis, self._trusted)
        self._strangers = 0

    # Peers.

    async def _next_peer(self) -> PeerId:
        """Wait for a peer that may be asked; of several, the one that failed least."""
        while True:
            now = trio.current_time()
            ready = [(peer.failures, name) for name, peer in self._peers.items() if peer.not_before <= now]
            if ready:
                return min(ready)[1]
            self._came = trio.Event()
            wake = min((peer.not_before for peer in self._peers.values()), default=now + _WAITING)
            with trio.move_on_at(wake):
                await self._came.wait()
            if not self._peers:
                self._tell("fast sync waits for a peer")

    def _fail(self, name: PeerId) -> None:
        peer = self._peers.get(name)
        if peer is not None:
            peer.not_before = trio.current_time() + min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(peer.failures, 16))
            peer.failures += 1

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
        if snapshot.target is not None:
            try:
                await self._state(ask)
            except Refused as error:
                log.debug("%s has not got the state that was begun with: %s", peer, error)
        if not snapshot.has_state:
            chain, headers = await self._headers(ask)
            target = await self._target(ask, chain)
            if target == snapshot.target:
                raise _PeerFails("the peer has not got the state of the block that it holds for final")
            await self._executor.on_chain(self._begin_state, headers, target)
            await self._state(ask)
        return await ask.body(snapshot.target_header)

    async def _headers(self, ask: Asker) -> tuple[FollowedChain, list[Header]]:
        """Follow a peer's chain to its end; return it there, and the headers that are not stored yet."""
        chain, fresh = self._chain.copy(), list[Header]()
        while True:
            try:
                headers = await ask.headers(chain.head.hash)
            except Refused:
                if not fresh:
                    await self._met_stranger()
                raise
            self._strangers = 0
            if not headers:
                return chain, fresh
            try:
                while headers:
                    followed = await self._executor.aside(_follow, chain, headers)
                    fresh += headers[:followed]
                    del headers[:followed]
                    if chain.handover is not None:
                        await self._show(ask, chain)
            except InvalidBlock as error:
                raise _PeerLies(Misbehaviour.BAD_BLOCK, f"behind block {chain.head.number}: {error}") from None
            if chain.slot > slot_at(self._clock(), self._spec.slot_duration) + MAX_SLOTS_AHEAD:
                raise _PeerFails(f"block {chain.head.number} is far ahead of this machine's clock: is the clock right?")
            self._tell("fast sync: header %d", chain.head.number)
            if len(fresh) > 2 * _HEADERS_HELD:
                await self._executor.on_chain(self._keep, fresh[:-_HEADERS_HELD])
                del fresh[:-_HEADERS_HELD]

    async def _met_stranger(self) -> None:
        """A peer knows nothing of our last header: after a few such, that one is taken for the wrong one."""
        self._strangers += 1
        if self._chain.head.number and self._strangers > max(1, len(self._peers)):
            await self._executor.on_chain(self._start_over)

    async def _show(self, ask: Asker, chain: FollowedChain) -> None:
        """Have a handover shown."""
        handover = chain.handover
        assert handover is not None, "there is one"
        first = chain.checkpoint_since(handover.since)
        votes: list[Vote] = []
        number = handover.by.number if first is None else BlockNumber(first.number + 1)
        while number <= handover.by.number:
            last = min(handover.by.number, number + MAX_VOTE_BLOCKS - 1)
            answer = await ask.votes(number, BlockNumber(last))
            votes += answer.votes
            number = BlockNumber(answer.last + 1)
        try:
            await self._executor.aside(chain.show, votes)
        except BadVotes as error:
            raise _PeerLies(Misbehaviour.BAD_BLOCK, str(error)) from None

    async def _target(self, ask: Asker, chain: FollowedChain) -> BlockRef:
        """Find the latest block that is final, by votes or because it is trusted."""
        trusted = self._trusted
        if not chain.is_trusted:
            raise _PeerFails("the peer has not got the trusted block yet")
        now = slot_at(self._clock(), self._spec.slot_duration)
        if chain.trusted_slot is not None and now - chain.trusted_slot > half_leak(self._spec):
            log.warning(
                "the trusted block is older than half the leak: whoever has left since could have made another history"
            )
        final = await self._final(ask, chain)
        if trusted is not None and (final is None or final.number <= trusted.number):
            return trusted
        if final is None or not final.number:
            raise _PeerFails("nothing is final yet")
        return BlockRef(final.number, final.hash)

    async def _final(self, ask: Asker, chain: FollowedChain) -> Checkpoint | None:
        votes: list[Vote] = []
        last = chain.head.number
        for attempt in range(_VOTE_RANGES):
            if last < 1:
                break
            # The first stretches are short, for peers that have few bodies.
            first = BlockNumber(max(1, last - min(MAX_VOTE_BLOCKS, _FIRST_STRETCH << attempt) + 1))
            number = first
            try:
                while number <= last:
                    answer = await ask.votes(number, last)
                    votes += answer.votes
                    number = BlockNumber(answer.last + 1)
            except Refused:
                # A peer that has begun with a snapshot itself has no bodies from before.
                break
            try:
                final = await self._executor.aside(chain.final_by, votes)
            except BadVotes as error:
                raise _PeerLies(Misbehaviour.BAD_BLOCK, str(error)) from None
            if final is not None:
                return final
            last = BlockNumber(first - 1)
        return None

    def _keep(self, headers: list[Header]) -> None:
        """Store headers. Should they turn out to be of a chain that is not the right one, all are forgotten."""
        for at in range(0, len(headers), MAX_HEADERS):
            self._snapshot.append(headers[at : at + MAX_HEADERS])
        for header in headers:
            self._chain.follow(header, is_checked=True)

    def _begin_state(self, headers: list[Header], target: BlockRef) -> None:
        """Store headers up to the target, which are there to stay, and begin with its state."""
        self._keep([header for header in headers if header.number <= target.number])
        self._snapshot.aim_at(target)
        log.info("fetching the state of block %d %s", target.number, to_hex(target.hash)[:10])

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
                        raise _PeerLies(Misbehaviour.BAD_RESPONSE, "a range of the state that leads nowhere")
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
                    self._tell("fast sync: %d keys of the state of block %d", count, header.number)
        except* (_PeerLies, NetworkError, MessageError) as group:
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
        self._peers[peer.peer_id] = _Peer()
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
        raise _PeerLies(Misbehaviour.BAD_BLOCK, f"a part of the state: {error}") from None
    snapshot.put(answer.pairs, is_last=answer.is_last)
