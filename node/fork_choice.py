"""Fork choice: which of two heads a node follows, as a pure function over what their headers say.

The longest chain wins, and on a tie the head that came first stays, so that two nodes which see the same blocks in
another order change their mind only when one chain has outgrown the other.

`weight` is the one place that says what makes a chain heavy. Which heads are candidates at all is decided before:
whoever calls `is_better` offers no head that does not descend from the finalized block.
"""

from dataclasses import dataclass

from runtime.header import Header
from runtime.primitives import BlockNumber, BlockRef, Hash


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What fork choice needs to know of the chain that ends with a block."""

    hash: Hash
    number: BlockNumber

    @staticmethod
    def of(header: Header) -> "HeadFacts":
        """Take the facts from a header."""
        return HeadFacts(header.hash(), header.number)

    @property
    def ref(self) -> BlockRef:
        """Return the block as others name it."""
        return BlockRef(self.number, self.hash)

    @property
    def weight(self) -> int:
        """Return what the whole chain weighs: each block since block 0 the same."""
        return self.number


def is_better(candidate: HeadFacts, current: HeadFacts) -> bool:
    """Tell whether a node that follows `current` should follow `candidate` instead."""
    return candidate.weight > current.weight
