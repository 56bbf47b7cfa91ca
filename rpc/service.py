"""What the RPC server asks of a node.

Two threads meet here. The RPC server runs an asyncio loop in a thread of its own; the node runs elsewhere.

- Plain methods are reads: any thread may call them at any time, they never wait for the node, and each sees
  one consistent view of the chain. Those marked *slow* are called from a worker thread instead of the loop.
- Methods that return an `Awaitable` are called on the loop's thread and awaited there, with a deadline at
  which the awaitable is cancelled; what it stands for may happen all the same. An `asyncio.Future` that the
  node settles by `call_soon_threadsafe` (not if it is done already) is the cheapest; a coroutine works, too.
- The node tells what happens by calling the subscribed listeners, from any thread; they return at once.

`at=None` means the best block. A method that cannot answer raises an `RpcError` made by `rpc.errors`, for
instance `unknown_block`, `state_pruned`, `unknown_item`, `invalid_transaction`, `not_ready`. Results that are
JSON-ready may hold bytes, which become 0x-hex; whole numbers above 2^53 are to be decimal strings.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from runtime.header import Block, Header
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce

JsonObject: TypeAlias = Mapping[str, object]


FULL: Final = "Full"
AUTHORITY: Final = "Authority"
"""What Substrate calls a node that makes blocks."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What does not change while a node runs."""

    name: str
    version: str
    chain: str
    chain_type: str
    properties: JsonObject
    roles: tuple[str, ...]
    peer_id: str
    listen_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """How the node is connected."""

    peers: int
    is_syncing: bool
    should_have_peers: bool


@dataclass(frozen=True, slots=True)
class SyncState:
    """Heights at start, now, and the highest one that a peer has told of."""

    starting: BlockNumber
    current: BlockNumber
    highest: BlockNumber


@dataclass(frozen=True, slots=True)
class Peer:
    """A connected node and the best block it has told of."""

    peer_id: str
    roles: str
    best: BlockRef


@dataclass(frozen=True, slots=True)
class ReadProof:
    """Trie nodes that prove some keys' values in the state of one block."""

    at: Hash
    nodes: Sequence[bytes]


class TransactionState(StrEnum):
    """The stations of a transaction's life, by the names that clients see."""

    FUTURE = "future"
    READY = "ready"
    BROADCAST = "broadcast"
    IN_BLOCK = "inBlock"
    RETRACTED = "retracted"
    FINALIZED = "finalized"
    FINALITY_TIMEOUT = "finalityTimeout"
    USURPED = "usurped"
    DROPPED = "dropped"
    INVALID = "invalid"


FINAL_STATES = frozenset(
    {
        TransactionState.FINALIZED,
        TransactionState.FINALITY_TIMEOUT,
        TransactionState.USURPED,
        TransactionState.DROPPED,
        TransactionState.INVALID,
    }
)


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """One station; `hash` is the block's (for usurped the other transaction's), `peers` those it went to."""

    state: TransactionState
    hash: Hash | None = None
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockImported:
    """A block was executed and stored.

    `changed_keys` are the sorted storage keys whose values may differ from those at the best block before:
    after a reorganisation those of all blocks left and entered. There are none when `is_best` is false.
    """

    block: BlockRef
    header: Header
    is_best: bool
    changed_keys: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class BlockFinalized:
    """The finalized head moved to this block; blocks between the old and the new one are not told of."""

    block: BlockRef
    header: Header


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """A new best block changed the model; `model` is what `mf_model` gives at that block."""

    block: BlockRef
    model: JsonObject


NodeEvent: TypeAlias = BlockImported | BlockFinalized | ModelChanged
Listener: TypeAlias = Callable[[NodeEvent], None]
StatusListener: TypeAlias = Callable[[TransactionStatus], None]
Cancel: TypeAlias = Callable[[], None]


class RecommendOrder(StrEnum):
    """What recommendations are sorted by: the mean, or the mean plus or minus one standard deviation."""

    MEAN = "mean"
    OPTIMISTIC = "optimistic"
    PESSIMISTIC = "pessimistic"


@dataclass(frozen=True, slots=True)
class RecommendOptions:
    """Which items may be recommended, and in which order."""

    include_rated: bool = False
    min_ratings: int = 0
    order: RecommendOrder = RecommendOrder.MEAN


class NodeStatus(Protocol):
    """The node itself."""

    def node_info(self) -> NodeInfo:
        """Names, version, roles and addresses."""

    def health(self) -> Health:
        """Peers, and whether the node is catching up."""

    def sync_state(self) -> SyncState:
        """Where the node is on its way to the highest block."""

    def peers(self) -> Sequence[Peer]:
        """The connected peers."""

    def unready_reason(self) -> str | None:
        """Why the node cannot serve the truth now, in a line; None when it can."""

    def subscribe(self, listener: Listener) -> Cancel:
        """Call `listener` for each event from now on, in order, until the returned function is called."""


class ChainReads(Protocol):
    """Blocks."""

    def best(self) -> BlockRef:
        """The head of the best chain."""

    def finalized(self) -> BlockRef:
        """The highest block that cannot be undone."""

    def header(self, block: Hash) -> Header | None:
        """The header of any block the node has."""

    def block(self, block: Hash) -> Block | None:
        """Header and extrinsics of any block the node has."""

    def hash_at(self, number: BlockNumber) -> Hash | None:
        """The block at this height of the best chain."""


class StateReads(Protocol):
    """States of recent blocks; every method raises unknown_block or state_pruned."""

    def state_at(self, at: Hash | None) -> StateReader:
        """Keys and values of one state; the reader stays good for the time of a call. Slow but for the best block."""

    def changed_keys(self, block: Hash) -> Sequence[bytes]:
        """The sorted storage keys that this block changed."""

    def read_proof(self, keys: Sequence[bytes], at: Hash | None) -> ReadProof:
        """Slow: trie nodes that prove the values of `keys` or their absence."""

    def runtime_version(self, at: Hash | None) -> JsonObject:
        """The version of the runtime as `state_getRuntimeVersion` gives it; cheap, asked at every block."""

    def metadata(self, at: Hash | None) -> bytes:
        """The metadata of version 14, by which clients read and write all else; made once."""

    def runtime_call(self, name: str, data: bytes, at: Hash | None) -> bytes:
        """Slow: a runtime API by its full name, arguments and result in SCALE.

        Raises: `unknown_runtime_call` for a name the runtime lacks, invalid_params for bad data.
        """

    def dry_run(self, extrinsic: bytes, at: Hash | None) -> bytes:
        """Slow: the SCALE-encoded ApplyExtrinsicResult of an extrinsic, on a state that is thrown away."""

    def transaction_events(self, block: Hash, extrinsic: int | Hash) -> Sequence[JsonObject]:
        """Slow: events of an extrinsic (index in its block, or hash): [{"pallet", "event", "fields": {...}}].

        Raises: unknown_block, state_pruned, invalid_params if the block has no such extrinsic.
        """


class TransactionPool(Protocol):
    """Transactions on their way into a block."""

    def submit(self, extrinsic: bytes) -> Awaitable[Hash]:
        """Check, keep and gossip; the extrinsic's hash. Raises: 1001 and 1010 to 1016 of `rpc.errors`."""

    def submit_and_watch(self, extrinsic: bytes, listener: StatusListener) -> Awaitable[Cancel]:
        """Like submit; `listener` gets each status from "future" or "ready" on, from any thread.

        It is forgotten after a final status, when the result is called, or if this awaitable was cancelled.
        """

    def pending(self) -> Awaitable[Sequence[bytes]]:
        """The transactions that could be in the next blocks, in the order in which they would be taken."""

    def next_nonce(self, account: AccountId) -> Nonce:
        """The nonce of this account's next transaction, those in the pool counted."""

    def dev_rate(self, suri: str, item: int, rating: int) -> Awaitable[Hash]:
        """Sign a rating with the key of a secret URI and submit it; the extrinsic's hash."""


class ModelReads(Protocol):
    """The model; results are JSON-ready, in the form of the mf_* method of the same name."""

    def predict(self, account: AccountId, item: int, at: Hash | None) -> JsonObject:
        """One rating's predicted mean and spread. Raises: unknown_item."""

    def predict_batch(self, accounts: Sequence[AccountId], items: Sequence[int], at: Hash | None) -> JsonObject:
        """Means and spreads of many pairs. Raises: unknown_item with the index of the first one."""

    def is_prepared(self, accounts: Sequence[AccountId]) -> bool:
        """Whether predictions for these accounts at the best block are quick, whatever their number."""

    def recommend(
        self, account: AccountId, count: int, options: RecommendOptions, at: Hash | None
    ) -> Sequence[JsonObject]:
        """Slow: the `count` items with the best predictions, best first, ties by ascending item."""

    def similar_items(self, item: int, count: int, at: Hash | None) -> Sequence[JsonObject]:
        """Slow: the `count` items nearest to `item`, nearest first. Raises: unknown_item."""

    def item(self, item: int, at: Hash | None) -> JsonObject:
        """What the model knows of an item. Raises: unknown_item."""

    def items(self, start: int, count: int, at: Hash | None) -> JsonObject:
        """Slow: the items from id `start` on, `count` at most."""

    def user(self, account: AccountId, at: Hash | None) -> JsonObject:
        """Slow: what the model knows of an account; one that never rated has the prior."""

    def model(self, at: Hash | None) -> JsonObject:
        """Slow: the model as a whole, with its digest."""


class RingReads(Protocol):
    """Who makes blocks, and what is final."""

    def ring_status(self) -> JsonObject:
        """Ring, voters and checkpoints at the best block, in the form of the method of that name."""


class NodeService(NodeStatus, ChainReads, StateReads, TransactionPool, ModelReads, RingReads, Protocol):
    """All that the RPC server asks of a node."""
