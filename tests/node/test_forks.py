"""Branches: what a node makes of blocks that do not follow its best one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import Imported, TooOld, UnknownParent
from node.ring import seal, unsealed
from pallets.finality.storage import WEIGHT
from runtime.executive import BlockOutcome, Runtime
from runtime.header import Block
from runtime.interface.errors import InvalidBlock
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef
from tests.support.ring_nodes import BY_ACCOUNT, RingNode
from tests.support.small_chain import retract_rating, submit_rating, submit_ratings

FIVE = submit_ratings([(item, 1 + item % 5) for item in range(5)])


def ref(block: Block) -> BlockRef:
    return BlockRef(block.header.number, block.header.hash())


def forked() -> tuple[list[Block], list[Block], RingNode, RingNode]:
    """Two nodes that agree on a block and then no more: two blocks of ours, three of theirs."""
    us, they = RingNode(), RingNode()
    first = us.block(1, ("Alice", FIVE))
    they.take(first)
    ours = [us.block(2, ("Bob", submit_rating(0, 5))), us.block(5, ("Alice", submit_rating(7, 1)))]
    theirs = [
        they.block(3, ("Bob", submit_rating(1, 1))),
        they.block(4, ("Alice", retract_rating(2)), ("Charlie", FIVE)),
        they.block(6),
    ]
    return ours, theirs, us, they


def test_a_branch_that_is_no_better_stays_beside_the_best_chain() -> None:
    ours, theirs, us, _ = forked()
    before = us.chain.snapshot
    assert us.chain.import_block(theirs[0]) == Imported(ref(theirs[0]), is_new=True)
    assert us.chain.import_block(theirs[1]) == Imported(ref(theirs[1]), is_new=True)
    assert us.chain.snapshot is before
    assert list(us.chain.database.side_blocks()) == [ref(theirs[0]), ref(theirs[1])]
    assert us.chain.import_block(theirs[1]) == Imported(ref(theirs[1]), is_new=False)
    assert us.chain.import_block(ours[1]) == Imported(ref(ours[1]), is_new=False)


def test_a_better_branch_takes_over_with_its_state_and_model() -> None:
    ours, theirs, us, they = forked()
    us.take(*theirs[:2])
    head = us.chain.import_block(theirs[2]).head
    assert head is not None
    assert head.retracted == (ours[1], ours[0])
    assert [entered.block for entered in head.entered] == theirs
    assert (head.ref, head.block, head.model_changed) == (ref(theirs[2]), theirs[2], True)
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert us.model.digest() == they.model.digest()
    assert us.chain.snapshot.view.record == they.chain.snapshot.view.record
    for node in (us, they):
        assert node.chain.database.hash_at(BlockNumber(3)) == theirs[1].header.hash()
    for block in (us.head, theirs[0].header.hash()):
        assert us.chain.model_at(block).digest() == they.chain.model_at(block).digest()
    left = {key for block in ours for key in keys_of(block)}
    assert {key for block in theirs for key in they.chain.database.changed_keys(block.header.hash())} | left == set(
        head.changed_keys
    )


def keys_of(block: Block) -> list[bytes]:
    """The keys that one of our blocks changes."""
    ours, _, us, _ = forked()
    assert block in ours
    return us.chain.database.changed_keys(block.header.hash())


def test_the_chain_goes_back_and_forth() -> None:
    ours, theirs, us, they = forked()
    us.take(*theirs)
    they.take(*ours)
    straight = RingNode()
    straight.take(*us_first(), *ours)
    longer = [straight.block(7), straight.block(8, ("Charlie", submit_rating(3, 3)))]
    for node in (us, they):
        node.take(*longer)
        assert node.chain.snapshot.best == straight.chain.snapshot.best
        assert node.model.digest() == straight.model.digest()


def test_a_head_that_another_took_the_place_of_is_not_executed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = us_first()
    left, right, us = RingNode(), RingNode(), RingNode()
    for node in (left, right, us):
        node.take(*first)
    ours = [left.block(4, ("Bob", submit_rating(0, 5))), left.block(5)]
    theirs = [right.block(2), right.block(3, ("Bob", submit_rating(1, 1)))]
    us.take(*ours[:1], *theirs)
    assert us.chain.snapshot.best == ref(theirs[1]), "our head has left the best chain"
    executed: list[int] = []
    execute = Runtime.execute_block

    def counted(runtime: Runtime, block: Block, *rest: Any, **more: Any) -> BlockOutcome:
        executed.append(block.header.number)
        return execute(runtime, block, *rest, **more)

    monkeypatch.setattr(Runtime, "execute_block", counted)
    last = left.block(6)
    us.take(ours[1], last)
    assert us.chain.snapshot.best == left.chain.snapshot.best == ref(last)
    assert us.model.digest() == left.model.digest()
    assert executed == [ours[1].header.number, last.header.number]


def us_first() -> list[Block]:
    return [RingNode().block(1, ("Alice", FIVE))]


def test_a_side_block_of_an_earlier_run_is_executed_again() -> None:
    _, theirs, us, they = forked()
    us.take(*theirs[:2])
    us.open()
    us.take(theirs[2])
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert us.model.digest() == they.model.digest()


def test_a_restart_after_the_switch_finds_the_same() -> None:
    _, theirs, us, they = forked()
    us.take(*theirs)
    us.open()
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert us.model.digest() == they.model.digest()


def test_a_block_without_its_parent_is_not_taken() -> None:
    _, theirs, us, _ = forked()
    with pytest.raises(UnknownParent) as caught:
        us.take(theirs[1])
    assert str(caught.value) == f"the parent 0x{theirs[0].header.hash().hex()} of block 3 is not known"
    assert not us.chain.knows(theirs[1].header.hash())


def test_what_is_not_final_can_be_undone_however_little_is_kept() -> None:
    us, they = RingNode(pruning=2), RingNode()
    for slot in range(1, 6):
        us.block(slot)
    for slot in range(2, 9):
        us.take(they.block(slot))
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert us.model.digest() == they.model.digest()


def test_invalid_blocks_are_remembered_and_change_nothing() -> None:
    _, theirs, us, they = forked()
    before = us.chain.snapshot
    header = unsealed(theirs[0].header)
    author = BY_ACCOUNT[header.digest[1].payload]
    cases = {
        "BadSeal: the seal is not the author's signature": replace(theirs[0].header, state_root=ZERO_HASH),
        "StateRootMismatch: ": seal(replace(header, state_root=ZERO_HASH), us.chain.genesis, author),
        "WrongNumber: block 9 follows block 1": seal(replace(header, number=BlockNumber(9)), us.chain.genesis, author),
        "ExtrinsicsRootMismatch: the body is not that of the header": seal(
            replace(header, extrinsics_root=ZERO_HASH), us.chain.genesis, author
        ),
    }
    for message, bad in cases.items():
        block = Block(bad, theirs[0].extrinsics)
        for _ in range(2):
            with pytest.raises(InvalidBlock) as caught:
                us.take(block)
            assert str(caught.value).startswith(message)
        # A body that is not the header's says nothing of the block.
        assert us.chain.is_known_bad(bad.hash()) is not message.startswith("ExtrinsicsRootMismatch")
        assert not us.chain.knows(bad.hash())
    assert us.chain.snapshot is before
    us.take(*theirs)
    assert us.head == they.head


def test_a_false_body_does_not_spoil_the_block() -> None:
    _, theirs, us, they = forked()
    with pytest.raises(InvalidBlock, match=r"^ExtrinsicsRootMismatch: "):
        us.take(Block(theirs[0].header, theirs[0].extrinsics[:1]))
    us.take(*theirs)
    assert us.head == they.head


def test_block_0_is_not_taken_from_others() -> None:
    header = replace(RingNode().block(1).header, number=BlockNumber(0))
    with pytest.raises(InvalidBlock, match=r"^WrongNumber: block 0 is where the chain begins$"):
        RingNode().take(Block(header, ()))


def test_side_blocks_that_memory_has_dropped_are_executed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.forks.MOST_KEPT", 1)
    _, theirs, us, they = forked()
    us.take(*theirs)
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert us.model.digest() == they.model.digest()


def test_headers_are_checked_before_their_bodies_are_here() -> None:
    ours, theirs, us, _ = forked()
    us.chain.check_header(theirs[0].header)
    with pytest.raises(UnknownParent):
        us.chain.check_header(theirs[1].header)
    us.take(theirs[0])
    us.chain.check_header(theirs[1].header)
    with pytest.raises(InvalidBlock, match=r"^BadSeal: "):
        us.chain.check_header(replace(theirs[1].header, state_root=ZERO_HASH))
    author = BY_ACCOUNT[theirs[1].header.digest[1].payload]
    wrong = seal(replace(unsealed(theirs[1].header), number=BlockNumber(77)), us.chain.genesis, author)
    with pytest.raises(InvalidBlock, match=r"^WrongNumber: block 77 follows block 2$"):
        us.chain.check_header(wrong)
    for slot in range(6, 16):
        us.block(slot)
    late = RingNode()
    late.take(*us_first(), ours[0])
    with pytest.raises(TooOld):
        us.chain.check_header(late.block(9).header)


def test_it_is_nobody_elses_turn() -> None:
    us = RingNode()
    block = us.block(1)
    digest = list(block.header.digest[:2])
    digest[1] = replace(digest[1], payload=next(key for key in BY_ACCOUNT if key != digest[1].payload))
    header = replace(block.header, digest=tuple(digest))
    forged = seal(header, us.chain.genesis, BY_ACCOUNT[digest[1].payload])
    with pytest.raises(InvalidBlock, match=r"^WrongAuthor: slot 1001 is the turn of "):
        RingNode().take(Block(forged, block.extrinsics))


def test_nothing_is_final_in_a_ring_of_several() -> None:
    us = RingNode()
    us.block(1)
    assert us.chain.snapshot.finalized.number == 0


STEP = st.tuples(
    st.integers(0, 2),  # who makes the block
    st.integers(1, 3),  # slots later than its best one
    st.sampled_from(["Alice", "Bob", "Charlie"]),
    st.integers(0, 7),
    st.none() | st.integers(1, 5),
    st.sets(st.integers(0, 2)),  # who hears of it at once
)


@given(steps=st.lists(STEP, max_size=12), data=st.data())
@settings(max_examples=30)
def test_whatever_the_order_all_end_with_one_head_and_one_model(
    steps: Sequence[tuple[int, int, str, int, int | None, set[int]]], data: st.DataObject
) -> None:
    nodes = [RingNode() for _ in range(3)]
    made: list[Block] = []
    for who, later, name, item, rating, hearers in steps:
        call = retract_rating(item) if rating is None else submit_rating(item, rating)
        made.append(nodes[who].block(nodes[who].slot + later, (name, call)))
        for hearer in sorted(hearers - {who}):
            try_to_take(nodes[hearer], [made[-1]])
    if made:
        winner = max(nodes, key=lambda node: WEIGHT.get(node.chain.snapshot.state))
        made.append(winner.block(winner.slot + 3))
    fresh = RingNode()
    for node in [*nodes, fresh]:
        try_to_take(node, data.draw(st.permutations(made)))
    straight = RingNode()
    straight.take(*best_chain(fresh))
    for node in [*nodes, fresh]:
        assert node.head == straight.head
        assert node.model.digest() == straight.model.digest()
        node.open()
        assert node.model.digest() == straight.model.digest()
        state = node.chain.database.state_at(node.head)
        assert list(state.items(b"")) == list(straight.chain.database.state_at(node.head).items(b""))


def try_to_take(node: RingNode, blocks: Sequence[Block]) -> None:
    """Import blocks in any order, those without a parent later."""
    waiting = list(blocks)
    while waiting:
        left = []
        for block in waiting:
            try:
                node.take(block)
            except UnknownParent:
                left.append(block)
        if len(left) == len(waiting):
            return
        waiting = left


def best_chain(node: RingNode) -> list[Block]:
    blocks = []
    for number in range(1, node.chain.snapshot.best.number + 1):
        name = node.chain.database.hash_at(BlockNumber(number))
        assert name is not None
        block = node.chain.database.block(name)
        assert block is not None
        blocks.append(block)
    return blocks
