"""What gets into a block beside transactions, when there is not room for all of it."""

from dataclasses import replace

from pallets.finality.calls import votes_call
from pallets.finality.votes import CheckpointId
from runtime.extrinsic import Extrinsic
from runtime.header import Block
from runtime.primitives import ZERO_HASH
from tests.support.ring_nodes import MEMBERS, RingNode, ring_spec
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import NAMES, signed_vote

NOWHERE = CheckpointId(0, ZERO_HASH)


def small_blocks(**limits: int) -> RingNode:
    spec = ring_spec()
    return RingNode(replace(spec, limits=replace(spec.limits, **limits)))


def voters_of(node: RingNode, block: Block) -> list[tuple[int, str]]:
    """Return the epochs since block 0 and the names of the votes in a block, which another node executes."""
    raws = block.extrinsics[1:]
    votes = [vote for raw in raws for vote in node.chain.runtime.prepare(raw).call.arguments[0]]  # type: ignore[attr-defined]
    return [(vote.target.epoch - 100, NAMES[vote.voter]) for vote in votes]


def test_votes_that_are_too_long_for_one_block_go_into_several() -> None:
    votes = [signed_vote(name, NOWHERE, NOWHERE, ZERO_HASH) for name in MEMBERS]
    one, three = (len(Extrinsic(None, votes_call(votes[:count])).encode()) for count in (1, 3))
    node = small_blocks(extrinsic_length=one)
    for slot in range(1, 11):
        node.block(slot)
    node.voters = MEMBERS
    order = [(1, name) for name in sorted(MEMBERS, key=lambda name: PAIRS[name].public)]
    blocks = [node.block(slot) for slot in (11, 12, 13, 14)]
    assert [voters_of(node, block) for block in blocks] == [order[:1], order[1:2], order[2:], []]
    roomy = small_blocks(extrinsic_length=three)
    for slot in range(1, 11):
        roomy.block(slot)
    roomy.voters = MEMBERS
    assert voters_of(roomy, roomy.block(11)) == order


def test_votes_that_are_too_heavy_for_one_block_go_into_several() -> None:
    # Each of the three voters weighs 50,000 for each checkpoint that has votes.
    node = small_blocks(weight=150_000)
    for slot in range(1, 22):
        node.block(slot)
    node.voters = ("Alice",)
    assert [voters_of(node, node.block(slot)) for slot in (22, 23, 24)] == [[(1, "Alice")], [(2, "Alice")], []]
