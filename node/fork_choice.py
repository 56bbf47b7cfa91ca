"""Fork choice: which of the heads that a node knows it follows, as a pure function over facts about them.

Nobody leaves what is final (F1): heads that do not descend from it are no candidates. Of the others, those count that
descend from the highest checkpoint that is justified in the state of any of them; the heaviest wins, and on a tie the
head that a node follows already, so that it changes its mind only when another chain has outgrown its own. But two
halves of a ring that were cut off from each other would be even for ever after, as each has a block a slot from the
same number of members: if the chains parted more than a few blocks ago, the one wins whose first own block has the
lower hash.

A chain weighs what its blocks weigh (F2): each one more than the voters, not lapsed, in its parent's ring; a block in
an open slot one. By length alone the private chain of a lone attacker, whose absentees have lost their places, would be
as good as ours. The pallet Finality adds the weight up, so it stands in the state of every block.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from pallets.finality.storage import JUSTIFIED, WEIGHT
from runtime.header import Header
from runtime.interface.state import StateReader
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash

PARTED: Final = 10
"""Chains that have each more blocks of their own than this are not just late for each other."""


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What fork choice needs to know of the chain that ends with a block.

    `weight` of the whole chain; `justified` the highest justified checkpoint in the block's state, of epoch `epoch`.
    """

    ref: BlockRef
    weight: int
    epoch: int
    justified: BlockRef

    @staticmethod
    def of(header: Header, state: StateReader) -> "HeadFacts":
        """Take the facts from a block and its state; without a ring a chain weighs as much as it is long."""
        ref = BlockRef(header.number, header.hash())
        justified = JUSTIFIED.find(state)
        if justified is None:
            return HeadFacts(ref, header.number, 0, BlockRef(BlockNumber(0), ZERO_HASH))
        return HeadFacts(ref, WEIGHT.get(state), justified.epoch, BlockRef(justified.number, justified.hash))


class Tree(Protocol):
    """How blocks hang together."""

    def descends(self, block: Hash, ancestor: BlockRef) -> bool:
        """Tell whether a block is another one, or goes on from it."""
        ...

    def part(self, one: BlockRef, other: BlockRef) -> tuple[BlockRef, BlockRef]:
        """Return the first block of each chain that the other one does not have; neither is part of the other."""
        ...


def choose(current: HeadFacts, others: Iterable[HeadFacts], tree: Tree) -> HeadFacts:
    """Return the head to follow; none of them may leave what is final.

    Args:
        current: the head that the node follows.
        others: the other heads, first those that came first. Blocks that are no heads may be among them: whatever
            descends from one weighs more.
        tree: how the blocks hang together.
    """
    heads = [current, *others]
    # The first of those with the highest epoch: only where a third of the voters is faulty can there be two.
    start = max(heads, key=lambda head: head.epoch)
    eligible = [head for head in heads if _goes_on_from(head, start, tree)]
    best = max(eligible, key=lambda head: head.weight)
    for head in eligible:
        if head.weight == best.weight and head != best and _wins_tie(head, best, tree):
            best = head
    return best


def _goes_on_from(head: HeadFacts, start: HeadFacts, tree: Tree) -> bool:
    """Tell whether a head descends from what is justified by another one."""
    return head.justified == start.justified or tree.descends(head.ref.hash, start.justified)


def _wins_tie(head: HeadFacts, other: HeadFacts, tree: Tree) -> bool:
    """Tell whether of two heads of the same weight the first one is followed, though the other came before it."""
    ours, theirs = tree.part(head.ref, other.ref)
    length = min(head.ref.number - ours.number, other.ref.number - theirs.number) + 1
    return length > PARTED and ours.hash < theirs.hash
