"""What the network calls: peers come and go, tell and ask."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from node.age import is_far_ahead
from node.chain import Chain
from node.chain_writer import ChainWriter
from node.executor import Executor
from node.intake import Intake
from node.pool import TransactionPool
from node.sync.answers import Answers
from node.sync.blocks import BlockExchange
from node.sync.catch_up import CatchUp
from node.sync.messages import Handshake, MessageError
from node.sync.peers import PeerStates
from node.sync.transactions import TransactionExchange
from node.sync.votes import VoteExchange
from p2p.budget import Budgets
from p2p.config import Rate
from p2p.network import Misbehaviour, Network, PeerId, PeerInfo, Refuse, Topic, Verdict
from pallets.finality.votes import Vote
from runtime.header import Block, Header
from storage.errors import StorageError

if TYPE_CHECKING:
    # libp2p brings old stubs of trio, which lack the name `trio.TaskStatus`.
    from trio_typing import TaskStatus

log = logging.getLogger(__name__)

_MEETINGS: Final = 64
_MICROSECONDS: Final = 1_000_000
_WORK: Final = Rate(messages=1e9, size=0.25 * _MICROSECONDS, burst=4.0)
"""Microseconds of a processor a second that answers to one peer may take; a second's worth of work at once."""
_LONGEST_WAIT: Final = 5.0
"""Seconds that a request waits for that, at most."""


class PeerHandler:
    """`p2p.network.NetworkHandler` of a node: everything that it does with peers."""

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        intake: Intake,
        writer: ChainWriter,
        executor: Executor,
        network: Network,
        clock: Callable[[], int],
        on_catching_up: Callable[[bool], None],
        on_header: Callable[[Header], None],
        votes: "Callable[[Network], VoteExchange] | None",
        *,
        takes_blocks: bool,
    ) -> None:
        """Take the parts; `clock` gives the time in milliseconds since the Unix epoch.

        A node that alone makes the blocks of its chain takes none (`takes_blocks`).
        """
        self._takes_blocks = takes_blocks
        self._has_warned = False
        self._broken: StorageError | None = None
        self._breaks = trio.Event()
        self._chain = chain
        self._network = network
        self.peers = PeerStates()
        self.catch_up = CatchUp(chain, writer, network, self.peers, clock, on_catching_up)
        self._blocks = BlockExchange(chain, pool, writer, network, self.peers, self.catch_up, clock, on_header)
        self._transactions = TransactionExchange(
            chain, pool, intake, network, self.peers, lambda: self.catch_up.is_active
        )
        self._votes = None if votes is None else votes(network)
        self._answers = Answers(chain, pool, executor, self._blocks.assembled)
        self._work = Budgets(_WORK, trio.current_time)
        self._met_in, self._met = trio.open_memory_channel[PeerId](_MEETINGS)

    async def run(self) -> None:
        """Keep up with the peers until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._run_network)
            nursery.start_soon(self._end_when_broken)
            if self._takes_blocks:
                nursery.start_soon(self.catch_up.run)
            nursery.start_soon(self._blocks.run)
            nursery.start_soon(self._transactions.run)
            nursery.start_soon(self._compare_pools)

    async def _run_network(self, task_status: "TaskStatus[None]") -> None:
        await self._network.run(self, task_status=task_status)

    async def _end_when_broken(self) -> None:
        """Let a failure of the database end the node: the network survives whatever its handlers raise."""
        await self._breaks.wait()
        assert self._broken is not None
        raise self._broken

    def _break(self, error: StorageError) -> None:
        self._broken = self._broken or error
        self._breaks.set()

    async def executed(self) -> None:
        """Wait until the blocks are executed that peers have announced before now."""
        await self._blocks.executed()

    def announce(self, block: Block) -> None:
        """Tell everybody of a block that we have made."""
        self._blocks.announce(block)

    def tell_votes(self, votes: tuple[Vote, ...], attempt: int) -> None:
        """Tell everybody of votes of ours."""
        if self._votes is not None:
            self._votes.publish(votes, attempt)

    def relay(self, transaction: bytes) -> None:
        """Pass a transaction on that a client of ours has handed in."""
        self._transactions.relay(transaction)

    async def _compare_pools(self) -> None:
        """Take what new peers have in their pools."""
        async for peer in self._met:
            if not self.catch_up.is_active:
                await self._transactions.compare(peer)

    # What the network calls.

    def handshake(self) -> bytes:
        """Say where we are."""
        snapshot = self._chain.snapshot
        return Handshake(snapshot.best, snapshot.finalized).encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        """Take a peer that speaks our language."""
        try:
            handshake = Handshake.decode(their_handshake)
        except MessageError as error:
            raise Refuse(str(error)) from None
        self.peers.add(peer.peer_id, handshake)
        log.info("peer %s, best block %d; %s", peer.peer_id, handshake.best.number, _counted(len(self.peers)))
        if not self._has_warned and is_far_ahead(self._chain, handshake.best.number):
            self._has_warned = True
            log.warning(
                "a peer's chain goes on for longer than half the leak from what is final here: is it the right one? "
                "Ask somebody you trust for a recent final block, and name it with --trusted"
            )
        self.catch_up.look()
        try:
            self._met_in.send_nowait(peer.peer_id)
        except trio.WouldBlock:
            log.debug("the pool of %s is compared later", peer.peer_id)

    def on_peer_gone(self, peer: PeerId) -> None:
        """Forget a peer."""
        self.peers.remove(peer)
        log.info("peer %s is gone; %s", peer, _counted(len(self.peers)))

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        """Judge what a peer passes on."""
        try:
            if topic is Topic.BLOCKS and self._takes_blocks:
                return await self._blocks.on_gossip(payload, from_peer)
            if topic is Topic.TRANSACTIONS:
                return await self._transactions.on_gossip(payload)
            if topic is Topic.VOTES and self._votes is not None:
                return await self._votes.on_gossip(payload, from_peer)
        except StorageError as error:
            self._break(error)
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        """Answer a peer, later if its answers have taken more than its share of a processor."""
        work = self._work.of(peer)
        wait = work.charge(0)
        if wait > _LONGEST_WAIT:
            raise Refuse("busy with what was asked before")
        if wait > 0:
            await trio.sleep(wait)
        spent: list[float] = []
        try:
            return await self._answers.to(kind, payload, spent)
        except MessageError as error:
            self._network.report(peer, Misbehaviour.BAD_MESSAGE, str(error))
            raise Refuse(str(error)) from None
        except StorageError as error:
            self._break(error)
            raise Refuse("the database has failed") from None
        finally:
            work.charge(round(sum(spent) * _MICROSECONDS))


def _counted(peers: int) -> str:
    return "1 peer" if peers == 1 else f"{peers} peers"
