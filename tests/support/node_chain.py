"""A node's chain over a database in memory, and the transactions for it."""

from dataclasses import dataclass, field, replace

from node.chain import BuiltBlock, Chain
from node.chain_spec import ChainSpec, load_spec
from node.consensus import Template
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from runtime.crypto import KeyPair
from runtime.executive import ValidTransaction
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.interface.weights import BlockLimits
from runtime.primitives import BlockNumber, Hash, Nonce
from storage.memory import MemoryStore
from tests.support.small_chain import LIMITS, PAIRS, STARS

AUTHOR = PAIRS["Eve"].public

# Little to compute; epochs from the fifth rating on.
SMALL = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=3),
    inline_rebuild_limit=4,
    quiet_blocks=3,
    ratings_per_delay_block=6,
    entity_work=0,
)


def small_spec(
    config: Config = SMALL, items: tuple[str, ...] = tuple("abcdefgh"), limits: BlockLimits = LIMITS
) -> ChainSpec:
    return replace(
        load_spec("dev"),
        genesis_time=1_000,
        items=items,
        rating_labels=(),
        matrix_factorization=config,
        limits=limits,
    )


@dataclass
class NodeChain:
    """A chain, and who signs for it."""

    spec: ChainSpec = field(default_factory=small_spec)
    pruning: int | None = 64
    store: MemoryStore = field(default_factory=MemoryStore)
    chain: Chain = field(init=False)
    time: int = 1_000

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Open the chain, as after a restart."""
        self.chain = Chain.open(self.spec, self.store, state_pruning=self.pruning)

    def hash_at(self, number: int) -> Hash:
        block = self.chain.database.hash_at(BlockNumber(number))
        assert block is not None
        return block

    def sign(self, signer: str | KeyPair, call: bytes, ahead: int = 0) -> bytes:
        pair = PAIRS[signer] if isinstance(signer, str) else signer
        nonce = Nonce(self.chain.validator().nonce(pair.public) + ahead)
        version, genesis = self.chain.runtime.version, self.hash_at(0)
        return sign_extrinsic(
            pair, call, IMMORTAL, nonce, version.spec_version, version.transaction_version, genesis, genesis
        )

    def valid(self, raw: bytes) -> ValidTransaction:
        return self.chain.validator().validate(self.chain.runtime.prepare(raw))

    def transactions(self, *calls: tuple[str, bytes]) -> list[ValidTransaction]:
        """Sign calls, each account's one after the other."""
        ahead: dict[str, int] = {}
        valid = []
        for name, call in calls:
            valid.append(self.valid(self.sign(name, call, ahead.get(name, 0))))
            ahead[name] = ahead.get(name, 0) + 1
        return valid

    def build(self, *transactions: ValidTransaction) -> BuiltBlock:
        """Build a block, a second after the last one."""
        self.time += 1_000
        return self.chain.build(transactions, self.template(self.time))

    def template(self, milliseconds: int) -> Template:
        """What Eve puts into a block made at that time."""
        return self.chain.consensus.template(PAIRS["Eve"], milliseconds)

    def block(self, *calls: tuple[str, bytes]) -> Hash:
        """Build a block of calls, none of which is refused; return its hash."""
        built = self.build(*self.transactions(*calls))
        assert built.refused == ()
        assert len(built.head.block.extrinsics) == 1 + len(calls)
        return built.head.ref.hash
