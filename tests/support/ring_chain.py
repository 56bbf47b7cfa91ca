"""A chain in memory that is sealed by a ring, and headers for rules that need no chain."""

from dataclasses import dataclass, field

from node.ring import seal
from pallets.producers.claim import claim_digest
from pallets.producers.config import Config as ProducersConfig
from pallets.producers.storage import MISSED, RING
from pallets.producers.turns import slot_start, turn_of
from runtime.crypto import KeyPair
from runtime.executive import BlockOutcome
from runtime.header import Block
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, Slot
from tests.support.small_chain import PAIRS, SmallChain

DURATION = 1_000
RING_NAMES = ("Alice", "Bob", "Charlie")
MEMBERS = tuple(PAIRS[name].public for name in RING_NAMES)
BY_ACCOUNT = {pair.public: pair for pair in PAIRS.values()}


def missed(state: StateReader) -> dict[str, int]:
    """Return the counts of missed turns by name."""
    names = {pair.public: name for name, pair in PAIRS.items()}
    return {names[account]: count for account, count in MISSED.items(state)}


@dataclass
class RingChain(SmallChain):
    """Alice, Bob and Charlie in turn; a slot takes a second, block 0 has slot 0."""

    producers: ProducersConfig = field(default_factory=lambda: ProducersConfig(DURATION, MEMBERS))

    def build_in(
        self, slot: int, *extrinsics: bytes, author: AccountId | None = None, time: int | None = None
    ) -> BlockOutcome:
        """Build the block of a slot, by default by whose turn it is and at its beginning; it has no seal yet."""
        author = author or turn_of(RING.get(self.state), Slot(slot))
        execution = self.runtime.open_block(self.state, self.head, self.view, claim_digest(Slot(slot), author))
        execution.apply_inherents({"milliseconds": slot_start(Slot(slot), DURATION) if time is None else time})
        for raw in extrinsics:
            execution.apply(self.runtime.prepare(raw))
        return execution.finalize(self.trie)

    def sealed(self, block: Block, pair: KeyPair | None = None) -> Block:
        """Return a block with the seal of its author."""
        key_pair = pair or BY_ACCOUNT[AccountId(block.header.digest[1].payload)]
        return Block(seal(block.header, self.genesis, key_pair), block.extrinsics)

    def extend(self, slot: int, *extrinsics: bytes) -> Block:
        """Build and seal the block of a slot, execute it as everybody else does, and make it the head."""
        built = self.build_in(slot, *extrinsics)
        block = self.sealed(built.block)
        outcome = self.execute(block)
        assert outcome.changes == built.changes
        self.adopt(outcome)
        return block
