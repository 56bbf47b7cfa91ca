"""Real nodes for the simulation: the node's own code on a simulated network, disk and clock, without threads."""

import random
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from node.chain import Chain
from node.chain_spec import ChainSpec, load_spec
from node.executor import InlineExecutor
from node.inbox import Inbox, InboxFull, Submission
from node.node import Node
from node.pool import TransactionPool
from p2p.network import Network
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.view import derive_view
from rpc.service import BlockImported, NodeEvent
from runtime.crypto import KeyPair, Scheme
from runtime.extrinsic import IMMORTAL, extrinsic_hash, sign_extrinsic
from runtime.keys import key_pair_from_uri
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from runtime.trie import StateVersion, Trie
from tests.simulation.world import EPOCH, World
from tests.support.small_chain import STARS, submit_rating

SLOT: Final = 2_000
MEMBERS: Final = tuple(key_pair_from_uri(f"//Member{index}", Scheme.ED25519) for index in range(10))
USERS: Final = tuple(key_pair_from_uri(f"//User{index}", Scheme.ED25519) for index in range(8))
ITEMS: Final = 8

# Little to compute; epochs from the tenth rating on.
MODEL: Final = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=2),
    inline_rebuild_limit=9,
    quiet_blocks=4,
    ratings_per_delay_block=8,
    entity_work=0,
    item_commits_per_block=1,
)


def spec_of(members: int) -> ChainSpec:
    """A chain whose ring has so many members, and that begins with the world."""
    return replace(
        load_spec("local"),
        genesis_time=EPOCH,
        slot_duration=SLOT,
        items=tuple(f"item {number}" for number in range(ITEMS)),
        rating_labels=(),
        matrix_factorization=MODEL,
        ring=tuple(pair.public for pair in MEMBERS[:members]),
    )


@dataclass
class SimulatedNode:
    """One life of one node."""

    is_honest = True

    world: World
    index: int
    spec: ChainSpec
    chain: Chain = field(init=False)
    pool: TransactionPool = field(init=False)
    inbox: Inbox = field(init=False)
    node: Node = field(init=False)
    network: Network = field(init=False)

    def __post_init__(self) -> None:
        self.chain = Chain.open(self.spec, self.world.disk(self.index).open(), state_pruning=256)
        self.pool = TransactionPool()

    async def run(self, network: Network) -> None:
        self.inbox = Inbox(trio.lowlevel.current_trio_token())
        self.network = network
        self.node = self.begin()
        await self.node.run()

    def begin(self) -> Node:
        """Make the node of this life."""
        return Node(
            chain=self.chain,
            pool=self.pool,
            inbox=self.inbox,
            executor=InlineExecutor(),
            notify=self._notify,
            producer=self.key(),
            block_time=SLOT / 1_000,
            clock=self.world.clock(self.index),
            network=self.network,
        )

    def key(self) -> KeyPair | None:
        """Who makes blocks here: a member of the first ring."""
        return MEMBERS[self.index] if self.index < len(self.spec.ring) else None

    def _notify(self, event: NodeEvent) -> None:
        if isinstance(event, BlockImported):
            block = event.block
            self.world.note(self.index, "best" if event.is_best else "side", block.number, short(block.hash))

    @property
    def best(self) -> BlockRef:
        return self.chain.snapshot.best

    def root(self) -> Hash:
        """The root of the state that the node has, from memory: a node that has just died has no disk."""
        return self.chain.database.head_trie().root()

    def rate(self, user: KeyPair, item: int, rating: int) -> Hash | None:
        """Hand in a rating as a client of this node would; its hash, if the node had room for it."""
        account, version = user.public, self.chain.runtime.version
        state = self.chain.database.state_at(self.best.hash)
        nonce = self.pool.next_nonce(account, self.chain.runtime.system.nonce(state, account))
        genesis = self.chain.genesis
        raw = sign_extrinsic(
            user,
            submit_rating(item, rating),
            IMMORTAL,
            nonce,
            version.spec_version,
            version.transaction_version,
            genesis,
            genesis,
        )
        try:
            self.inbox.put(Submission(raw, lambda _outcome: None))
        except InboxFull:
            return None
        return extrinsic_hash(raw)


def short(block: Hash) -> str:
    return to_hex(block)[2:8]


def simulated(world: World) -> list[SimulatedNode]:
    """The nodes that live now and have begun."""
    living = [node for _, node in world.nodes() if isinstance(node, SimulatedNode)]
    return [node for node in living if hasattr(node, "node")]


def honest(world: World) -> list[SimulatedNode]:
    """Those of them that keep to the rules: what the others hold for true is of no consequence."""
    return [node for node in simulated(world) if node.is_honest]


async def ratings_now_and_then(world: World, seconds: float, every: float) -> None:
    """Users rate, each at whichever node; played beside everything else."""
    rng: random.Random = world.rng("ratings")
    while trio.current_time() < seconds:
        await trio.sleep(rng.uniform(0, 2 * every))
        nodes = simulated(world)
        if nodes:
            node, user = rng.choice(nodes), rng.choice(USERS)
            node.rate(user, rng.randrange(ITEMS), rng.randint(1, 5))


def all_on_one_chain(world: World, under_way: int = 1) -> None:
    """Every node has the same head but for the last blocks, and what it has derived is what its disk says."""
    assert len(simulated(world)) == len(world.nodes())
    nodes = honest(world)
    lowest = min(nodes, key=lambda node: node.best.number)
    highest = max(nodes, key=lambda node: node.best.number)
    assert highest.best.number - lowest.best.number <= under_way, [(node.index, node.best.number) for node in nodes]
    settled = max(0, lowest.best.number - under_way + 1)
    for number in range(settled + 1):
        hashes = {node.chain.database.hash_at(BlockNumber(number)) for node in nodes}
        assert len(hashes) == 1, f"block {number} differs: {[short(one) for one in hashes if one is not None]}"
    name = lowest.chain.database.hash_at(BlockNumber(settled))
    assert name is not None
    models = {node.chain.model_at(name).digest() for node in nodes}
    assert len(models) == 1
    for node in nodes:
        assert_whole(node)


def assert_whole(node: SimulatedNode) -> None:
    """Flat state, trie, model and head belong together."""
    state = node.chain.database.state_at(node.best.hash)
    root = Trie.from_items(state.items(b""), StateVersion.V1).root()
    header = node.chain.database.header(node.best.hash)
    assert header is not None
    assert root == header.state_root == node.root()
    assert derive_view(state, node.chain.config).read().digest() == node.chain.snapshot.model.digest()
