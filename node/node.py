"""A running node without its process: chain, pool, author and peers in one nursery.

It reaches the network, threads and the clock through what it is given, so a simulation runs this very code.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import trio

from node.authoring import Bell, seal_by_interval, seal_in_turn, seal_instantly
from node.chain import Chain
from node.chain_writer import ChainWriter
from node.consensus import Template
from node.executor import Executor
from node.head_follower import HeadFollower, Notify
from node.inbox import Inbox
from node.intake import Intake
from node.listening import Listening
from node.open_slots import OpenSlots
from node.pool import TransactionPool
from node.protection import LISTENING_EPOCHS, Refused
from node.ring import slot_at, turn_of
from node.signatures import VerifiedSignatures
from node.spec_types import Sealing
from node.sync.handler import PeerHandler
from node.voting_task import Voting
from p2p.network import Network
from pallets.finality.voters import current_voters
from pallets.finality.votes import Vote
from pallets.producers.storage import BLOCK_SLOT, RING
from runtime.crypto import KeyPair
from runtime.header import Block, Header
from runtime.interface.errors import InvalidBlock
from runtime.primitives import AccountId, Slot

log = logging.getLogger(__name__)

_BLOCK_CANDIDATES: Final = 16_384
_SETTLING_SLOTS: Final = 3
"""Slots that an author waits at most to hear from others of the ring, so as not to go on from an old block."""

_PATIENCE: Final = 1 / 3
"""Of a slot that is its turn, how much an author waits for the block of the turn before to come and be executed."""


class Node:
    """The main loop's side of a node. Everything here runs in one thread but what the executor is given."""

    def __init__(
        self,
        *,
        chain: Chain,
        pool: TransactionPool,
        inbox: Inbox,
        executor: Executor,
        notify: Notify,
        producer: KeyPair | None,
        block_time: float,
        clock: Callable[[], int],
        network: Network | None,
    ) -> None:
        """Take the parts.

        Args:
            chain: what there is so far.
            pool: transactions for the next blocks.
            inbox: where other threads hand transactions in.
            executor: where work runs that would hold up the loop.
            notify: told of whatever happens.
            producer: the key of the author of this node's blocks; None: it makes none.
            block_time: seconds between the blocks of sealing `interval`.
            clock: the time in milliseconds since the Unix epoch.
            network: None for a chain of one's own.
        """
        self._chain = chain
        self._pool = pool
        self._inbox = inbox
        self._producer = producer
        self._block_time = block_time
        self._clock = clock
        self._executor = executor
        self._has_ready = Bell()
        self._arrived = Bell()
        self._voting: Voting | None = None
        if chain.spec.sealing is Sealing.RING:
            self._voting = Voting(chain, producer, clock)
        signatures = VerifiedSignatures()
        self._follower = HeadFollower(chain, pool, signatures, notify, self._relay)
        self._writer = ChainWriter(chain, executor, signatures, self._follower, self._on_block)
        self._intake = Intake(chain, pool, executor, signatures, self._has_ready)
        self._settled_at = float("inf")
        self._listening = Listening(self._listening_slots, self._is_level, self._is_in_touch)
        self._is_first = False
        self.peers: PeerHandler | None = None
        if network is not None:
            is_sole_author = producer is not None and chain.spec.sealing is not Sealing.RING
            self.peers = PeerHandler(
                chain,
                pool,
                self._intake,
                self._writer,
                executor,
                network,
                clock,
                self._on_catching_up,
                self._on_header,
                None if self._voting is None else self._voting.exchange,
                takes_blocks=not is_sole_author,
            )

    async def run(self) -> None:
        """Serve until cancelled."""
        self._settled_at = trio.current_time() + _SETTLING_SLOTS * self._chain.spec.slot_duration / 1_000
        self._is_first = self._chain.snapshot.best.number == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._intake.serve, self._inbox, self._relay)
            nursery.start_soon(self._writer.learn_ahead)
            if self.peers is not None:
                nursery.start_soon(self.peers.run)
            if self._producer is not None:
                nursery.start_soon(self._seal, self._producer)
            if self._producer is not None and self._voting is not None:
                nursery.start_soon(self._open_slots, self._producer)
            if self._voting is not None:
                nursery.start_soon(self._voting.run, self._listens_since, self._may_vote, self._tell_votes)

    def _relay(self, transaction: bytes) -> None:
        if self.peers is not None:
            self.peers.relay(transaction)

    def _on_block(self, block: Block) -> None:
        self._arrived.ring()
        if self._voting is not None:
            self._voting.hear_block(block)

    def _on_header(self, header: Header) -> None:
        if self._voting is not None:
            self._voting.hear_header(header)

    def _may_vote(self) -> bool:
        return self._chain.has_trusted and (self.peers is None or not self.peers.catch_up.is_active)

    def _tell_votes(self, votes: tuple[Vote, ...], attempt: int) -> None:
        if self.peers is not None:
            self.peers.tell_votes(votes, attempt)

    def _on_catching_up(self, is_active: bool) -> None:
        self._follower.is_quiet = is_active

    # Authoring.

    async def _seal(self, producer: KeyPair) -> None:
        """Make blocks as the chain says."""

        def template() -> Template:
            return self._template(producer)

        async def produce() -> None:
            await self._produce(template)

        async def produce_in_turn() -> None:
            await self._let_turn_before_end()
            await produce()

        sealing = self._chain.spec.sealing
        if sealing is Sealing.INSTANT:
            await seal_instantly(
                produce, self._has_ready, lambda: self._pool.has_ready, lambda: self._chain.is_learning
            )
        elif sealing is Sealing.INTERVAL:
            await seal_by_interval(produce, self._block_time)
        else:
            await seal_in_turn(
                produce_in_turn,
                lambda slot: self._is_our_turn(producer, slot),
                self._clock,
                self._chain.spec.slot_duration,
            )

    async def _let_turn_before_end(self) -> None:
        """Wait a little for the block of the slot before: who goes on from an older one makes a branch.

        Everybody executes that too, so that where blocks are late already, all the following would be later.
        """
        duration = self._chain.spec.slot_duration
        before = self._slot() - 1
        if self.peers is None or len(RING.get(self._chain.snapshot.state)) < 2:
            return
        with trio.move_on_after(duration / 1_000 * _PATIENCE):
            await self.peers.executed()
            while BLOCK_SLOT.get(self._chain.snapshot.state) < before:
                await self._arrived.wait()

    async def _open_slots(self, producer: KeyPair) -> None:
        """Go on where all producers are gone."""

        async def produce(nonce: int) -> None:
            is_stranger = producer.public not in current_voters(self._chain.snapshot.state).members
            if await self._produce(lambda: self._template(producer, nonce)) and is_stranger:
                # It has had neither turns nor votes, and nobody may be left to be heard.
                self._listening.skip(self._slot())

        slots = OpenSlots(self._chain, producer.public, self._executor, self._clock)
        await slots.run(self._is_at_the_end, produce)

    def _is_at_the_end(self) -> bool:
        """Tell whether nobody seems to have a longer chain, so that no block has been made for as long as it looks."""
        is_behind = self.peers is not None and self.peers.catch_up.is_behind
        return self._chain.has_trusted and self._is_settled() and not is_behind

    def _template(self, producer: KeyPair, nonce: int | None = None) -> Template:
        """What the next block begins and ends with, if its time is now."""
        now = self._clock()
        made = self._chain.consensus.template(producer, now, nonce)
        return made if self._voting is None else self._voting.complete(made, now)

    def _is_in_touch(self) -> bool:
        """Tell whether others are heard: without that, nothing can be known of what our key does elsewhere."""
        return self.peers is None or len(self.peers.peers) > 0

    def _is_level(self) -> bool:
        """Tell whether we have what another node has, and all others have been asked."""
        return self.peers is None or (self.peers.catch_up.has_settled and self.peers.catch_up.is_level)

    def _listening_slots(self) -> int:
        """Return how many slots of listening are enough for blocks and for votes."""
        ring = RING.get(self._chain.snapshot.state)
        return max(len(ring), LISTENING_EPOCHS * self._chain.spec.rules.epoch_slots)

    def _slot(self) -> Slot:
        """Return the slot that it is by the clock."""
        return slot_at(self._clock(), self._chain.spec.slot_duration)

    def _listens_since(self) -> Slot | None:
        return self._listening.since(self._slot())

    def _has_listened(self, ring: Sequence[AccountId], slot: Slot) -> bool:
        """Tell whether turns have been let pass for a round: should our key run elsewhere, we have heard of that.

        Nobody else has made a block yet on a chain that begins, or makes any where there is one member.
        """
        if self._is_first or len(ring) < 2:
            return True
        since = self._listens_since()
        return since is not None and slot > since + len(ring)

    def _is_our_turn(self, producer: KeyPair, slot: Slot) -> bool:
        """Tell whether to make the block of a slot."""
        state = self._chain.snapshot.state
        ring = RING.get(state)
        if slot <= BLOCK_SLOT.get(state) or turn_of(ring, slot) != producer.public:
            return False
        if not self._chain.has_trusted or not self._has_listened(ring, slot):
            return False
        if len(ring) == 1 or self.peers is None:
            return True
        return self._is_settled()

    def _is_settled(self) -> bool:
        """Tell whether the chain that we have is likely the one that others have."""
        if self.peers is None:
            return True
        catch_up = self.peers.catch_up
        return not catch_up.is_active and (catch_up.has_settled or trio.current_time() >= self._settled_at)

    async def _produce(self, template: Callable[[], Template]) -> bool:
        """Make one block of what is ready, and tell everybody; return whether there is one."""
        candidates = islice(self._pool.ready(), _BLOCK_CANDIDATES)
        try:
            built = await self._writer.build(candidates, template)
        except (InvalidBlock, Refused) as error:
            # Between the look at the clock and the end of the block the head has moved on, or the slot is over.
            log.info("no block in this slot: %s", error)
            return False
        for transaction, refusal in built.refused:
            self._pool.drop(transaction.prepared.hash, refusal.reason)
        if self.peers is not None:
            self.peers.announce(built.head.block)
        return True
