"""Bodies of blocks that have been final for long are forgotten; their headers stay."""

import pytest

from storage import bodies
from storage.chain_db import ChainDatabase, ExecutedBlock
from storage.kv import KeyValueStore
from tests.storage.chains import Step, check_head, child, commit, random_chain

CHAIN = random_chain(12, seed=3)


def open_pruned(store: KeyValueStore, keep: int | None, pruning: int | None = 4) -> ChainDatabase:
    first = CHAIN[0]
    return ChainDatabase.open(
        store, first.block.header, sorted(first.state.items()), state_pruning=pruning, blocks_pruning=keep
    )


def kept(database: ChainDatabase, steps: list[Step]) -> list[int]:
    """The numbers of the blocks that are whole; of all of them the header is there."""
    assert [database.header(step.hash) for step in steps] == [step.block.header for step in steps]
    assert [database.hash_at(step.ref.number) for step in steps] == [step.hash for step in steps]
    return [step.ref.number for step in steps if database.block(step.hash) is not None]


@pytest.mark.parametrize("pruning", [4, None])
def test_the_last_final_blocks_and_all_behind_them_are_kept(store: KeyValueStore, pruning: int | None) -> None:
    database = open_pruned(store, 3, pruning)
    for step in CHAIN[1:10]:
        commit(database, step, final=True)
    for step in CHAIN[10:]:
        commit(database, step)
    check_head(database, CHAIN[-1])
    assert kept(database, CHAIN) == [0, 7, 8, 9, 10, 11, 12]
    assert database.first_body() == 7


def test_all_are_kept_unless_one_asks_for_less(store: KeyValueStore) -> None:
    database = open_pruned(store, None)
    for step in CHAIN[1:]:
        commit(database, step, final=True)
    assert kept(database, CHAIN) == list(range(13))
    assert database.first_body() == 0


def test_what_becomes_final_long_after_it_came(store: KeyValueStore) -> None:
    database = open_pruned(store, 1)
    for step in CHAIN[1:]:
        commit(database, step)
    database.set_finalized(CHAIN[5].hash)
    assert kept(database, CHAIN) == [0, *range(5, 13)]
    database.set_finalized(CHAIN[6].hash)
    assert kept(database, CHAIN) == [0, *range(6, 13)]


def test_a_branch_whose_blocks_are_final_at_once(store: KeyValueStore) -> None:
    database = open_pruned(store, 1)
    for step in CHAIN[1:7]:
        commit(database, step)
    branch = [child(CHAIN[3], {b"other": b"1"}, fork=1)]
    for _ in range(4):
        branch.append(child(branch[-1], {b"other": b"2"}, fork=1))
    executed = [ExecutedBlock(step.block, step.changes, step.trie) for step in branch]
    database.adopt(executed, finalized=branch[3].ref)
    # The rest of the branch is forgotten when the next block is final.
    chain = [*CHAIN[:4], *branch]
    assert kept(database, chain) == [0, *range(4, 9)]
    database.set_finalized(branch[4].hash)
    assert kept(database, chain) == [0, 8]


def test_a_database_with_everything_gets_there_step_by_step(
    store: KeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_AT_ONCE", 4)
    database = open_pruned(store, None)
    for step in CHAIN[1:10]:
        commit(database, step, final=True)
    database = open_pruned(store, 2)
    found = []
    for step in CHAIN[10:]:
        commit(database, step, final=True)
        found.append(kept(database, CHAIN[: step.ref.number + 1]))
    assert found == [[0, *range(5, 11)], [0, *range(9, 12)], [0, 11, 12]]
    database = open_pruned(store, None)
    commit(database, child(CHAIN[-1], {}), final=True)
    assert database.first_body() == 11


def test_none_at_all_is_refused(store: KeyValueStore) -> None:
    with pytest.raises(ValueError, match=r"^the bodies of 0 final blocks cannot be kept: 1 is the least$"):
        open_pruned(store, 0)
