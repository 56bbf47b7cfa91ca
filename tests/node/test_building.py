"""What gets into a block beside transactions, when there is not room for all of it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from node.building import BlockBuilder
from pallets.finality.calls import votes_call
from pallets.finality.votes import CheckpointId
from runtime.crypto import verify
from runtime.executive import check_signature
from runtime.extrinsic import Extrinsic, Signature
from runtime.header import Block
from runtime.primitives import ZERO_HASH, Hash
from tests.support.node_chain import SMALL, NodeChain, small_spec
from tests.support.ring_nodes import MEMBERS, RingNode, ring_spec
from tests.support.small_chain import PAIRS, register_item, remark
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


@pytest.mark.parametrize(("seconds", "tried"), [(0.2, "Alice Bob Charlie"), (0.01, "Alice Bob Charlie Dave Eve")])
def test_filling_ends_when_much_time_was_lost_to_what_does_not_fit(seconds: float, tried: str) -> None:
    node = NodeChain(small_spec(replace(SMALL, max_items_per_block=1)))
    names = ("Alice", "Bob", "Charlie", "Dave", "Eve")
    node.block(*((name, remark(b"")) for name in names))
    asked: list[bytes] = []

    def check(_extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        asked.append(signature.account)
        return verify(signature.scheme, signature.account, payload, signature.value)

    builder = _builder(node, check, map(seconds.__mul__, count()).__next__)
    transactions = node.transactions(*((name, register_item(name)) for name in names))
    assert builder.fill(transactions) == (), "they may fit into the next block"
    # A slot has 2 s, an eighth of which may be lost; the first one fits, whatever time it takes.
    assert asked == [PAIRS[name].public for name in tried.split()]
    assert builder.execution.extrinsics == 2


@pytest.mark.parametrize(("members", "seconds", "filled"), [(2, 0.3, 2), (2, 0.1, 5), (1, 100.0, 5)])
def test_who_shares_turns_fills_a_block_for_a_third_of_a_slot_at_most(
    members: int, seconds: float, filled: int
) -> None:
    node = RingNode(ring_spec(MEMBERS[:members]))
    names = ("Alice", "Bob", "Charlie", "Dave", "Eve")
    builder = _builder(node, check_signature, map(seconds.__mul__, count()).__next__)
    transactions = node.transactions(*((name, remark(b"")) for name in names))
    assert builder.fill(transactions) == (), "they wait for the next block"
    # A slot has 2 s; the clock is looked at before the first one and before each.
    assert builder.execution.extrinsics == 1 + filled


def test_who_makes_all_blocks_fills_them_whatever_time_it_takes() -> None:
    node = NodeChain()
    names = ("Alice", "Bob", "Charlie", "Dave", "Eve")
    builder = _builder(node, check_signature, map((100.0).__mul__, count()).__next__)
    builder.fill(node.transactions(*((name, remark(b"")) for name in names)))
    assert builder.execution.extrinsics == 1 + len(names)


def _builder(
    node: NodeChain | RingNode, check: Callable[[Hash, Signature, bytes], bool], clock: Callable[[], float]
) -> BlockBuilder:
    chain = node.chain
    snapshot = chain.snapshot
    template = chain.consensus.rehearsal(snapshot.state)
    return BlockBuilder(chain.spec, chain.runtime, snapshot.state, snapshot.best, snapshot.view, template, check, clock)
