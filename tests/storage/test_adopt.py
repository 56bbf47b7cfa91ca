"""A branch becomes the best chain in one write, and everything reads as if it had always been so."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.header import Block
from runtime.primitives import Hash
from storage.chain_db import ChainDatabase, ExecutedBlock
from storage.errors import RevertError
from storage.kv import KeyValueStore
from storage.memory import MemoryStore
from tests.storage.chains import Step, check_head, check_state, child, commit, open_chain, random_chain, random_changes

CHAIN = random_chain(8, seed=2)
BOTH_MODES = pytest.mark.parametrize("pruning", [4, None])


def executed(step: Step) -> ExecutedBlock:
    return ExecutedBlock(step.block, step.changes, step.trie)


def branch_on(parent: Step, length: int, seed: int) -> list[Step]:
    source = random.Random(seed)  # noqa: S311 - reproducible, and secret to nobody
    steps: list[Step] = []
    for _ in range(length):
        before = steps[-1] if steps else parent
        steps.append(child(before, random_changes(source, before.state), fork=seed % 256))
    return steps


def opened(store: KeyValueStore, steps: list[Step], pruning: int | None = 4) -> ChainDatabase:
    database = open_chain(store, steps[0], pruning)
    for step in steps[1:]:
        commit(database, step)
    return database


def adopt(database: ChainDatabase, steps: list[Step]) -> list[Block]:
    return database.adopt([executed(step) for step in steps])


@BOTH_MODES
def test_the_blocks_above_the_fork_leave(store: KeyValueStore, pruning: int | None) -> None:
    database = opened(store, CHAIN[:6], pruning)
    branch = branch_on(CHAIN[3], 4, seed=7)
    assert adopt(database, branch) == [CHAIN[5].block, CHAIN[4].block]
    check_head(database, branch[-1])
    for step in branch[-3:]:
        check_state(database, step)
    if pruning is None:
        for step in CHAIN[:4]:
            check_state(database, step)
    assert list(database.side_blocks()) == [step.ref for step in (CHAIN[4], CHAIN[5])]
    assert database.changed_keys(branch[1].hash) == [key for key, _ in branch[1].changes]
    assert database.trie_at(branch[1].hash).root() == branch[1].trie.root()
    check_head(open_chain(store, CHAIN[0], pruning), branch[-1])


def test_back_and_forth(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:4])
    theirs, ours = branch_on(CHAIN[3], 2, seed=8), CHAIN[4:7]
    adopt(database, theirs)
    adopt(database, ours)
    check_head(database, CHAIN[6])
    assert list(database.side_blocks()) == [step.ref for step in theirs]
    assert not [step for step in ours if step.ref in database.side_blocks()]


def test_what_is_final_stays(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:5])
    database.set_finalized(CHAIN[4].hash)
    with pytest.raises(RevertError) as caught:
        adopt(database, branch_on(CHAIN[3], 3, seed=9))
    assert str(caught.value) == (f"the head, block 4 (0x{CHAIN[4].hash.hex()}), is final and cannot be taken back")
    check_head(database, CHAIN[4])


def test_what_cannot_be_undone_stays(store: KeyValueStore) -> None:
    database = opened(store, CHAIN, pruning=2)
    with pytest.raises(RevertError) as caught:
        adopt(database, branch_on(CHAIN[5], 9, seed=9))
    assert str(caught.value) == (
        f"block 6 (0x{CHAIN[6].hash.hex()}) cannot be taken back: what it replaced is not kept"
    )
    check_head(database, CHAIN[8])


def test_a_branch_is_whole_and_begins_on_the_chain(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:4])
    branch = branch_on(CHAIN[3], 3, seed=4)
    with pytest.raises(ValueError, match="is not a child of block 4"):
        adopt(database, [branch[0], branch[2]])
    with pytest.raises(ValueError, match="is not on the head's chain"):
        adopt(database, branch[1:])
    check_head(database, CHAIN[3])


def test_side_blocks_that_nothing_can_follow_are_forgotten(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:3], pruning=2)
    sides = branch_on(CHAIN[1], 2, seed=5)
    for step in sides:
        database.store_side_block(step.block)
    commit(database, CHAIN[3])
    assert list(database.side_blocks()) == [step.ref for step in sides]
    commit(database, CHAIN[4])  # the floor is block 2 now
    assert list(database.side_blocks()) == [sides[1].ref]
    assert database.block(sides[0].hash) is None
    database.set_finalized(CHAIN[3].hash)
    assert list(database.side_blocks()) == []
    assert database.block(sides[1].hash) is None


@given(seed=st.integers(0, 2**32), moves=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=6))
@settings(max_examples=40)
def test_any_history_of_switches_reads_like_the_chain_it_leads_to(seed: int, moves: list[tuple[int, int]]) -> None:
    for pruning in (None, 64):
        chain = [*CHAIN[:5]]
        store = MemoryStore()
        database = opened(store, chain, pruning)
        for number, (back, length) in enumerate(moves):
            kept = chain[: max(1, len(chain) - back)]
            branch = branch_on(kept[-1], length, seed + number)
            adopt(database, branch)
            chain = [*kept, *branch]
        for step in chain:
            check_state(database, step)
        check_head(database, chain[-1])
        straight = opened(MemoryStore(), chain, pruning)
        assert state_of(database, chain[-1].hash) == state_of(straight, chain[-1].hash)
        check_head(open_chain(store, chain[0], pruning), chain[-1])


def state_of(database: ChainDatabase, block: Hash) -> list[tuple[bytes, bytes]]:
    return list(database.state_at(block).items(b""))
