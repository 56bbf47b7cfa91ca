"""A chain in memory, run by the real runtime: blocks are built, executed again, and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pallets.construct import ChainConstants, construct_runtime
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import RatingScale
from pallets.matrix_factorization.view import ModelView, derive_view
from pallets.producers.config import NO_RING
from pallets.producers.config import Config as ProducersConfig
from runtime.crypto import KeyPair, Scheme
from runtime.executive import BlockOutcome, Runtime
from runtime.extrinsic import IMMORTAL, Era, sign_extrinsic
from runtime.header import Block, Header
from runtime.interface.errors import DispatchError
from runtime.interface.weights import BlockLimits
from runtime.keys import key_pair_from_uri
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, Nonce
from runtime.scale import I64, U64, Tuple, Vec, encode_compact
from runtime.trie import StateVersion, Trie, ordered_root
from tests.support.memory_state import MemoryState

PAIRS: Mapping[str, KeyPair] = {
    name: key_pair_from_uri(f"//{name}", Scheme.ED25519) for name in ("Alice", "Bob", "Charlie", "Dave", "Eve")
}
LIKES = RatingScale(-1, 1, 2)
STARS = RatingScale(1, 5, 1)
LIMITS = BlockLimits(weight=2 * 10**12, length=5 << 20, extrinsic_length=1 << 17, new_accounts=128)


def submit_rating(item: int, rating: int) -> bytes:
    return bytes((8, 0)) + U64.encode(item) + I64.encode(rating)


def get_prediction(item: int) -> bytes:
    return bytes((8, 1)) + U64.encode(item)


def retract_rating(item: int) -> bytes:
    return bytes((8, 2)) + U64.encode(item)


def register_item(title: str) -> bytes:
    text = title.encode()
    return bytes((8, 3)) + encode_compact(len(text)) + text


def submit_ratings(ratings: Sequence[tuple[int, int]]) -> bytes:
    return bytes((8, 4)) + Vec(Tuple(U64, I64), 1_000).encode(tuple(ratings))


def remark(data: bytes) -> bytes:
    return bytes((0, 0)) + encode_compact(len(data)) + data


@dataclass
class SmallChain:
    """The head of a chain: its state, trie and model."""

    config: Config = field(default_factory=lambda: Config(LIKES))
    items: tuple[str, ...] = tuple("abcdefghijklmnop")
    limits: BlockLimits = LIMITS
    producers: ProducersConfig = NO_RING
    runtime: Runtime = field(init=False)
    state: MemoryState = field(init=False)
    trie: Trie = field(init=False)
    view: ModelView = field(init=False)
    head: BlockRef = field(init=False)
    genesis: Hash = field(init=False)
    blocks: list[Block] = field(default_factory=list)
    time: int = 0

    def __post_init__(self) -> None:
        constants = ChainConstants(0, 1, self.items, self.limits, self.config, self.producers)
        self.runtime = construct_runtime(constants)
        overlay = Overlay(MemoryState())
        self.runtime.build_genesis(overlay)
        changes = overlay.changes()
        self.state = MemoryState().changed(changes)
        self.trie = Trie.empty(StateVersion.V1).apply(changes)
        self.view = derive_view(self.state, self.config)
        header = Header(ZERO_HASH, BlockNumber(0), self.trie.root(), ordered_root(()))
        self.head = BlockRef(BlockNumber(0), header.hash())
        self.genesis = header.hash()

    def sign(self, signer: str | KeyPair, call: bytes, ahead: int = 0, era: Era = IMMORTAL, birth: int = 0) -> bytes:
        """Sign a call with an account's next nonce, or one `ahead` of it; a mortal era begins at block `birth`."""
        pair = PAIRS[signer] if isinstance(signer, str) else signer
        nonce = Nonce(self.runtime.system.nonce(self.state, pair.public) + ahead)
        version = self.runtime.version
        return sign_extrinsic(
            pair,
            call,
            era,
            nonce,
            version.spec_version,
            version.transaction_version,
            self.genesis,
            self.hash_at(birth),
        )

    def hash_at(self, number: int) -> Hash:
        """Return the hash of a block."""
        return self.blocks[number - 1].header.hash() if number else self.genesis

    def build(self, *extrinsics: bytes) -> BlockOutcome:
        """Build a block on the head without making it the head."""
        self.time += 1
        execution = self.runtime.open_block(self.state, self.head, self.view)
        execution.apply_inherents({"milliseconds": self.time})
        for raw in extrinsics:
            execution.apply(self.runtime.prepare(raw))
        return execution.finalize(self.trie)

    def adopt(self, outcome: BlockOutcome) -> None:
        """Make an executed block the head."""
        assert isinstance(outcome.view, ModelView)
        self.state = self.state.changed(outcome.changes)
        self.trie, self.view = outcome.trie, outcome.view
        header = outcome.block.header
        self.head = BlockRef(header.number, header.hash())
        self.blocks.append(outcome.block)

    def execute(self, block: Block) -> BlockOutcome:
        """Execute a block on the head without making it the head."""
        return self.runtime.execute_block(block, self.state, self.trie, self.view, self.head)

    def block(self, *calls: tuple[str, bytes]) -> tuple[DispatchError | None, ...]:
        """Build a block of calls, execute it as everybody else does, adopt it; return how the calls ended."""
        ahead: dict[str, int] = {}
        extrinsics = []
        for name, call in calls:
            extrinsics.append(self.sign(name, call, ahead.get(name, 0)))
            ahead[name] = ahead.get(name, 0) + 1
        built = self.build(*extrinsics)
        outcome = self.execute(built.block)
        assert outcome.changes == built.changes
        self.adopt(outcome)
        return outcome.errors[1:]
