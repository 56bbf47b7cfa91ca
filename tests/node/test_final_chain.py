"""What a node does with finality: it follows the state of its head, never leaves what is final, and keeps the rest."""

from collections.abc import Sequence

import pytest

from node.chain import TooOld, UnknownParent
from pallets.finality.storage import FINALIZED
from runtime.primitives import BlockNumber, BlockRef, Hash
from storage.kv import Write
from tests.support.ring_nodes import MEMBERS, RingNode


def voting(pruning: int | None = 64) -> RingNode:
    return RingNode(pruning=pruning, voters=MEMBERS)


def at(node: RingNode, number: int) -> Hash:
    name = node.chain.database.hash_at(BlockNumber(number))
    assert name is not None
    return name


def test_the_finalized_block_follows_the_state_of_the_head() -> None:
    node, follower = voting(), RingNode()
    told = []
    for slot in range(1, 45):
        head = node.build(slot)
        follower.take(head.block)
        if head.finalized is not None:
            told.append((slot, head.finalized.number))
        found = FINALIZED.find(node.chain.snapshot.state)
        assert found is not None
        assert node.chain.snapshot.finalized.number == found.number
        assert follower.chain.snapshot.finalized == node.chain.snapshot.finalized
    # Slot 10 begins epoch 1; each child brings the votes.
    assert told == [(21, 10), (31, 20), (41, 30)]
    node.open()
    assert node.chain.snapshot.finalized == BlockRef(BlockNumber(30), at(node, 30))


def test_what_is_final_is_noted_in_the_write_of_the_block_that_makes_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    node = voting()
    writes: list[int] = []
    write = node.store.write

    def count(batch: Sequence[Write], *, sync: bool) -> None:
        writes.append(len(batch))
        write(batch, sync=sync)

    monkeypatch.setattr(node.store, "write", count)
    for slot in range(1, 25):
        node.block(slot)
    assert len(writes) == 24
    final = node.chain.snapshot.finalized
    assert final.number > 0
    node.open()
    assert node.chain.snapshot.finalized == final


def test_no_branch_leaves_what_is_final_however_heavy() -> None:
    us, they = voting(), RingNode()
    for slot in range(1, 9):
        they.take(us.block(slot))
    for slot in range(9, 25):
        us.block(slot)
    assert us.chain.snapshot.finalized.number == 10
    theirs = [they.block(slot) for slot in range(10, 40)]
    with pytest.raises(TooOld) as caught:
        us.take(*theirs)
    name = theirs[0].header.hash().hex()
    assert str(caught.value) == f"block 9 (0x{name}) leaves the best chain below block 10"


def test_a_branch_that_finality_has_left_is_dead() -> None:
    us, they = voting(), RingNode()
    for slot in range(1, 9):
        they.take(us.block(slot))
    theirs = [they.block(slot) for slot in range(10, 40, 3)]
    ours = [us.block(slot) for slot in range(9, 20)]
    us.take(*theirs[:-1])
    assert us.chain.snapshot.best == BlockRef(ours[-1].header.number, ours[-1].header.hash())
    for slot in range(20, 25):
        us.block(slot)
    assert us.chain.snapshot.finalized.number == 10
    best = us.chain.snapshot.best
    with pytest.raises((TooOld, UnknownParent)):
        us.take(theirs[-1])
    us.open()
    with pytest.raises((TooOld, UnknownParent)):
        us.take(theirs[-1])
    assert us.chain.snapshot.best == best


def test_a_lighter_branch_wins_whose_checkpoint_is_justified() -> None:
    us, they = RingNode(), voting()
    for slot in range(1, 9):
        they.take(us.block(slot))
    heavy = [us.block(slot) for slot in range(9, 25)]
    us.take(they.block(11))
    assert us.head == heavy[-1].header.hash()
    us.take(they.block(12))
    assert us.chain.snapshot.best == they.chain.snapshot.best
    assert they.chain.snapshot.best.number == 10


def test_chains_that_parted_long_ago_and_weigh_the_same_come_together() -> None:
    us, they = RingNode(), RingNode()
    ours = [us.block(slot) for slot in range(1, 31, 2)]
    theirs = [they.block(slot) for slot in range(2, 32, 2)]
    us.take(*theirs)
    they.take(*ours)
    assert us.chain.snapshot.best == they.chain.snapshot.best
    winner = min((ours[0], theirs[0]), key=lambda block: block.header.hash())
    assert at(us, 1) == at(they, 1) == winner.header.hash()
