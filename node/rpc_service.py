"""What the RPC server asks of this node: reads from what the chain has published, writes through the inbox."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from node.block_events import extrinsic_events
from node.chain import Chain
from node.crossing import Crossing
from node.dry_run import dry_run
from node.inbox import Inbox, InboxFull, Submission
from node.model_queries import ModelQueries
from node.pool import TransactionPool
from node.ring_queries import ring_status
from node.runtime_calls import RuntimeCalls
from node.shared_question import SharedQuestion
from node.spec_types import Sealing
from node.sync.handler import PeerHandler
from rpc.errors import invalid_params, pool_full, state_pruned, unknown_block
from rpc.service import (
    AUTHORITY,
    BlockImported,
    Cancel,
    Health,
    JsonObject,
    Listener,
    NodeEvent,
    NodeInfo,
    Peer,
    ReadProof,
    StatusListener,
    SyncState,
)
from rpc.transactions import submit_rating
from runtime.crypto import KeyPair, Scheme
from runtime.extrinsic import IMMORTAL, extrinsic_hash, sign_extrinsic
from runtime.header import Block, Header
from runtime.interface.state import StateReader
from runtime.keys import SecretError, key_pair_from_uri
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce, to_hex
from storage.chain_db import StatePruned, UnknownBlock

T = TypeVar("T")

# Readers of old states that are kept: each finds out what has changed since its block, and knows it from then on.
_OLD_STATES = 4


class RpcService:
    """One node as the RPC server sees it; the methods are described where `rpc.service` declares them."""

    def __init__(self, info: NodeInfo, chain: Chain, pool: TransactionPool, inbox: Inbox) -> None:
        """Take what is asked."""
        self._info = info
        self._chain = chain
        self._pool = pool
        self._inbox = inbox
        self._queries = ModelQueries(chain)
        self._calls = RuntimeCalls(chain)
        self._pending = SharedQuestion(inbox.ask, pool.pending)
        self._old_states: dict[Hash, StateReader] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._starting = chain.snapshot.best.number
        self._handler: PeerHandler | None = None
        self._crossing: Crossing | None = None
        self._version = chain.runtime.version.to_json()
        self.predict = self._queries.predict
        self.predict_batch = self._queries.predict_batch
        self.is_prepared = self._queries.is_prepared
        self.similar_items = self._queries.similar_items
        self.item = self._queries.item
        self.items = self._queries.items
        self.user = self._queries.user
        self.model = self._queries.model
        self.recommend = self._queries.recommend

    @property
    def queries(self) -> ModelQueries:
        """Return what answers questions about the model."""
        return self._queries

    def notify(self, event: NodeEvent) -> None:
        """Tell everybody who listens."""
        if isinstance(event, BlockImported):
            self._queries.let_go()
            self._old_states = {}
        for listener in self._listeners:
            listener(event)

    # The node itself.

    def node_info(self) -> NodeInfo:
        """Names, version, roles and addresses."""
        return self._info

    def follow_peers(self, handler: PeerHandler) -> None:
        """Answer for this handler's peers from now on."""
        self._handler = handler

    def health(self) -> Health:
        """A node without a network needs no peers and is never behind."""
        handler = self._handler
        if handler is None:
            return Health(peers=0, is_syncing=False, should_have_peers=False)
        return Health(len(handler.peers), handler.catch_up.is_active, should_have_peers=True)

    def sync_state(self) -> SyncState:
        """Heights at start, now, and the highest one that a peer has told of."""
        best = self._chain.snapshot.best.number
        highest = best if self._handler is None else BlockNumber(max(best, self._handler.peers.highest))
        return SyncState(self._starting, best, highest)

    def peers(self) -> Sequence[Peer]:
        """The connected peers and what they have told of their chains."""
        if self._handler is None:
            return ()
        return tuple(Peer(str(peer), "FULL", state.best) for peer, state in self._handler.peers)

    def unready_reason(self) -> str | None:
        """Why the node cannot serve the truth now; the chain is open from the start."""
        handler = self._handler
        if handler is None:
            return None
        if handler.catch_up.is_active:
            state = self.sync_state()
            return f"catching up: block {state.current} of {state.highest}"
        if not len(handler.peers) and self._chain.spec.sealing is Sealing.RING and AUTHORITY not in self._info.roles:
            return "no peers: others may have blocks that this node does not know of"
        return None

    def subscribe(self, listener: Listener) -> Cancel:
        """Add a listener; the tuple is replaced as a whole, so that `notify` can run in another thread."""
        self._listeners = (*self._listeners, listener)

        def cancel() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return cancel

    # Blocks.

    def best(self) -> BlockRef:
        """The head."""
        return self._chain.snapshot.best

    def finalized(self) -> BlockRef:
        """The highest block that cannot be undone."""
        return self._chain.snapshot.finalized

    def header(self, block: Hash) -> Header | None:
        """The header of a block."""
        return self._chain.database.header(block)

    def block(self, block: Hash) -> Block | None:
        """Header and extrinsics of a block."""
        return self._chain.database.block(block)

    def hash_at(self, number: BlockNumber) -> Hash | None:
        """The block at this height."""
        return self._chain.database.hash_at(number)

    # States.

    def state_at(self, at: Hash | None) -> StateReader:
        """The state of a block; that of an old one is kept until the next block for whoever asks again."""
        if at is None or at == self._chain.snapshot.best.hash:
            return self._chain.snapshot.state
        states = self._old_states
        state = states.get(at)
        if state is None:
            state = self._reading(self._chain.state_at, at)
            if len(states) >= _OLD_STATES:
                states.clear()
            states[at] = state
        return state

    def changed_keys(self, block: Hash) -> Sequence[bytes]:
        """The storage keys that a block changed."""
        return self._reading(lambda known: self._chain.database.changed_keys(known), block)

    def read_proof(self, keys: Sequence[bytes], at: Hash | None) -> ReadProof:
        """Trie nodes that prove some keys' values."""
        block = self._chain.snapshot.best.hash if at is None else at
        return ReadProof(block, self._reading(lambda known: self._chain.database.prove(known, keys), block))

    def _reading(self, read: Callable[[Hash], T], at: Hash | None) -> T:
        block = self._chain.snapshot.best.hash if at is None else at
        try:
            return read(block)
        except UnknownBlock:
            raise unknown_block(block) from None
        except StatePruned:
            raise state_pruned(block) from None

    def _check_known(self, at: Hash | None) -> None:
        if at is not None and not self._chain.knows(at):
            raise unknown_block(at)

    def runtime_version(self, at: Hash | None) -> JsonObject:
        """The version of the runtime; there has been one so far."""
        self._check_known(at)
        return self._version

    def runtime_call(self, name: str, data: bytes, at: Hash | None) -> bytes:
        """A runtime API by its full name."""
        return self._reading(lambda block: self._calls.call(name, data, block), at)

    def metadata(self, at: Hash | None) -> bytes:
        """The metadata in version 14, which every client reads; there has been one runtime so far."""
        self._check_known(at)
        return self._calls.metadata(14)

    def dry_run(self, extrinsic: bytes, at: Hash | None) -> bytes:
        """Apply an extrinsic to a state that is thrown away."""
        return self._reading(lambda block: dry_run(self._chain, extrinsic, block), at)

    def transaction_events(self, block: Hash, extrinsic: int | Hash) -> Sequence[JsonObject]:
        """The events of one extrinsic of a block."""
        body = self._chain.database.body(block)
        if body is None:
            # Of blocks before a snapshot there are headers only.
            raise state_pruned(block) if self._chain.knows(block) else unknown_block(block)
        if isinstance(extrinsic, int):
            index = extrinsic if extrinsic < len(body) else None
        else:
            index = next((at for at, raw in enumerate(body) if extrinsic_hash(raw) == extrinsic), None)
        if index is None:
            raise invalid_params(f"block {to_hex(block)} has no such extrinsic")
        return extrinsic_events(self._chain.runtime, self.state_at(block), index)

    def ring_status(self) -> JsonObject:
        """Ring, voters and checkpoints."""
        return ring_status(self._chain)

    # Transactions.

    def submit(self, extrinsic: bytes) -> Awaitable[Hash]:
        """Hand a transaction to the main loop; its hash, once the pool has it."""
        future: asyncio.Future[Hash] = asyncio.get_running_loop().create_future()
        self._hand_in(extrinsic, future, None)
        return future

    async def submit_and_watch(self, extrinsic: bytes, listener: StatusListener) -> Cancel:
        """The same; the listener is told each status from the first one on."""
        future: asyncio.Future[Hash] = asyncio.get_running_loop().create_future()
        self._hand_in(extrinsic, future, listener)
        submitted = await future
        return lambda: self._pool.unwatch(submitted, listener)

    def _hand_in(self, extrinsic: bytes, future: "asyncio.Future[Hash]", listener: StatusListener | None) -> None:
        crossing = self._crossing_to(future.get_loop())

        def settle(outcome: Hash | Exception) -> None:
            if future.cancelled():
                return
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(Hash(outcome))

        try:
            self._inbox.put(Submission(extrinsic, partial(crossing.call, settle), listener))
        except InboxFull:
            raise pool_full("too many transactions wait to be checked") from None

    def pending(self) -> Awaitable[Sequence[bytes]]:
        """The ready transactions, in the order in which they would be taken."""
        return self._pending.ask()

    def _crossing_to(self, loop: asyncio.AbstractEventLoop) -> Crossing:
        """The way back to who asks: one for all, as the server has one loop."""
        if self._crossing is None or self._crossing.loop is not loop:
            self._crossing = Crossing(loop)
        return self._crossing

    def next_nonce(self, account: AccountId) -> Nonce:
        """The nonce of an account's next transaction."""
        state = self._chain.snapshot.state
        return self._pool.next_nonce(account, self._chain.runtime.system.nonce(state, account))

    async def dev_rate(self, suri: str, item: int, rating: int) -> Hash:
        """Sign a rating with the key of a secret URI and submit it."""
        try:
            pair = key_pair_from_uri(suri, Scheme.ED25519)
        except SecretError as error:
            raise invalid_params(f"suri: {error}") from None
        return await self.submit(self._signed(pair, submit_rating(item, rating)))

    def _signed(self, pair: KeyPair, call: bytes) -> bytes:
        version, genesis = self._chain.runtime.version, self._chain.database.hash_at(BlockNumber(0))
        assert genesis is not None, "a chain has a first block"
        nonce = self.next_nonce(pair.public)
        return sign_extrinsic(
            pair, call, IMMORTAL, nonce, version.spec_version, version.transaction_version, genesis, genesis
        )
