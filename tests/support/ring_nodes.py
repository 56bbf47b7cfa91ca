"""Chains of a ring of three, each with a database of its own, whose blocks are made in any slot one likes."""

from dataclasses import dataclass, field, replace

from node.chain import Chain, NewHead
from node.chain_spec import ChainSpec, load_spec
from node.ring import slot_start, turn_of
from pallets.finality.calls import votes_call
from pallets.finality.checkpoints import open_ballot
from pallets.finality.storage import OPEN
from pallets.finality.votes import CheckpointId
from pallets.matrix_factorization.view import ReadModel
from pallets.producers.storage import BLOCK_SLOT, RING
from runtime.crypto import KeyPair
from runtime.executive import ValidTransaction
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.header import Block
from runtime.interface.state import StateReader
from runtime.primitives import Hash, Nonce, Slot
from storage.memory import MemoryStore
from tests.support.node_chain import SMALL
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import signed_vote

MEMBERS = ("Alice", "Bob", "Charlie")
GENESIS_SLOT = 1_000
BY_ACCOUNT: dict[bytes, KeyPair] = {PAIRS[name].public: PAIRS[name] for name in MEMBERS}


def ring_spec(members: tuple[str, ...] = MEMBERS) -> ChainSpec:
    local = load_spec("local")
    return replace(
        local,
        genesis_time=GENESIS_SLOT * local.slot_duration,
        items=tuple("abcdefgh"),
        rating_labels=(),
        matrix_factorization=SMALL,
        ring=tuple(PAIRS[name].public for name in members),
    )


@dataclass
class RingNode:
    """One node's chain."""

    spec: ChainSpec = field(default_factory=ring_spec)
    pruning: int | None = 64
    voters: tuple[str, ...] = ()
    bodies: int | None = None
    store: MemoryStore = field(default_factory=MemoryStore)
    chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Open the chain, as after a restart."""
        self.chain = Chain.open(self.spec, self.store, state_pruning=self.pruning, blocks_pruning=self.bodies)

    @property
    def slot(self) -> Slot:
        """The slot of the best block, relative to block 0's."""
        state = self.chain.database.state_at(self.head)
        return Slot(BLOCK_SLOT.get(state) - GENESIS_SLOT)

    @property
    def head(self) -> Hash:
        return self.chain.snapshot.best.hash

    @property
    def model(self) -> ReadModel:
        return self.chain.snapshot.model

    def sign(self, name: str, call: bytes, ahead: int = 0) -> bytes:
        pair, version = PAIRS[name], self.chain.runtime.version
        nonce = Nonce(self.chain.validator().nonce(pair.public) + ahead)
        genesis = self.chain.genesis
        return sign_extrinsic(
            pair, call, IMMORTAL, nonce, version.spec_version, version.transaction_version, genesis, genesis
        )

    def block(self, slot: int, *calls: tuple[str, bytes]) -> Block:
        """Make the block of a slot, relative to block 0's, with these calls."""
        return self.build(slot, *calls).block

    def build(self, slot: int, *calls: tuple[str, bytes]) -> NewHead:
        absolute = Slot(GENESIS_SLOT + slot)
        author = turn_of(RING.get(self.chain.database.state_at(self.head)), absolute)
        template = self.chain.consensus.template(BY_ACCOUNT[author], slot_start(absolute, self.spec.slot_duration) + 17)
        template = replace(template, calls=self.votes)
        built = self.chain.build(self.transactions(*calls), template)
        assert built.refused == ()
        return built.head

    def transactions(self, *calls: tuple[str, bytes]) -> list[ValidTransaction]:
        """Sign calls, each account's one after the other."""
        ahead: dict[str, int] = {}
        valid = []
        for name, call in calls:
            raw = self.sign(name, call, ahead.get(name, 0))
            ahead[name] = ahead.get(name, 0) + 1
            valid.append(self.chain.validator().validate(self.chain.runtime.prepare(raw)))
        return valid

    def votes(self, state: StateReader) -> list[bytes]:
        """Return the call with all votes of `voters` that the next block may include."""
        found = []
        for epoch, checkpoint in OPEN.items(state):
            ballot = open_ballot(state, epoch, self.spec.rules)
            assert ballot is not None
            for name in self.voters:
                target = CheckpointId(epoch, checkpoint.hash)
                vote = signed_vote(name, checkpoint.source, target, self.chain.genesis)
                if ballot.find_fault(vote) is None:
                    found.append(vote)
        return [votes_call(sorted(found, key=lambda vote: vote.order))] if found else []

    def take(self, *blocks: Block) -> None:
        for block in blocks:
            self.chain.import_block(block)
