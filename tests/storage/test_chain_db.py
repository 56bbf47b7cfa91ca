import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from runtime.header import Block, Header
from runtime.primitives import ZERO_HASH, BlockNumber, Hash
from runtime.trie import StateVersion, verify_proof
from storage.chain_db import ChainDatabase
from storage.errors import RevertError, StatePruned, UnknownBlock
from storage.kv import KeyValueStore
from storage.memory import MemoryStore
from tests.storage.chains import (
    Step,
    check_head,
    check_state,
    child,
    commit,
    genesis_step,
    open_chain,
    random_chain,
)

CHAIN = random_chain(12)
ARCHIVE = None
BOTH_MODES = pytest.mark.parametrize("pruning", [4, ARCHIVE])


def opened(store: KeyValueStore, steps: list[Step], pruning: int | None = 4) -> ChainDatabase:
    """A database with these steps, the last of them the head."""
    database = open_chain(store, steps[0], pruning)
    for step in steps[1:]:
        commit(database, step)
    return database


def name(step: Step) -> str:
    return f"block {step.ref.number} (0x{step.hash.hex()})"


def test_a_new_database_has_the_genesis_block(store: KeyValueStore) -> None:
    database = open_chain(store, CHAIN[0])
    check_head(database, CHAIN[0])
    assert database.finalized() == CHAIN[0].ref


@BOTH_MODES
def test_commit(store: KeyValueStore, pruning: int | None) -> None:
    database = open_chain(store, CHAIN[0], pruning)
    for step in CHAIN[1:]:
        commit(database, step)
        check_head(database, step)
    assert [database.hash_at(step.ref.number) for step in CHAIN] == [step.hash for step in CHAIN]
    assert [database.block(step.hash) for step in CHAIN] == [step.block for step in CHAIN]
    assert database.finalized() == CHAIN[0].ref


@BOTH_MODES
def test_everything_is_there_again_after_a_restart(store: KeyValueStore, pruning: int | None) -> None:
    opened(store, CHAIN, pruning).set_finalized(CHAIN[7].hash)
    database = open_chain(store, CHAIN[0], pruning)
    check_head(database, CHAIN[-1])
    assert database.finalized() == CHAIN[7].ref
    for step in CHAIN[-5:]:
        check_state(database, step)


def test_the_states_of_the_window_can_be_read_and_no_others(store: KeyValueStore) -> None:
    database = opened(store, CHAIN)
    for step in CHAIN[-5:]:
        check_state(database, step)
    for step in CHAIN[:-5]:
        with pytest.raises(StatePruned) as caught:
            database.state_at(step.hash)
        assert str(caught.value) == (
            f"the state of {name(step)} is not kept: the oldest that is kept is that of block 8"
        )
        assert caught.value.block == step.ref


def test_an_archive_reads_every_state(store: KeyValueStore) -> None:
    database = opened(store, CHAIN, ARCHIVE)
    for step in CHAIN:
        check_state(database, step)


def test_only_the_records_of_the_window_are_stored(store: KeyValueStore) -> None:
    opened(store, CHAIN)
    assert [int.from_bytes(key[1:], "big") for key, _ in store.items(b"u")] == [9, 10, 11, 12]
    assert list(store.items(b"a")) == []


@BOTH_MODES
def test_a_state_stays_as_it_is_while_the_head_moves_on(store: KeyValueStore, pruning: int | None) -> None:
    database = opened(store, CHAIN[:4], pruning)
    states = [(database.state_at(step.hash), step) for step in CHAIN[1:4]]
    walks = [state.items(b"") for state, _ in states]
    first = [next(walk) for walk in walks]
    for step in CHAIN[4:]:
        commit(database, step)
    for (state, step), walk, pair in zip(states, walks, first, strict=True):
        assert [pair, *walk] == sorted(step.state.items())
        assert {key: state.get(key) for key in step.state} == step.state


@BOTH_MODES
def test_changed_keys(store: KeyValueStore, pruning: int | None) -> None:
    database = opened(store, CHAIN, pruning)
    floor = 8 if pruning else 0
    for step in CHAIN[floor + 1 :]:
        assert database.changed_keys(step.hash) == [key for key, _ in step.changes]
    for step in CHAIN[: floor + 1]:
        with pytest.raises(StatePruned) as caught:
            database.changed_keys(step.hash)
        assert str(caught.value) == (
            f"the state of {name(step)} is not kept: what a block changed is known of the blocks after block {floor}"
        )


def test_blocks_that_nobody_knows(store: KeyValueStore) -> None:
    database = open_chain(store, CHAIN[0])
    unknown = Hash(b"\x05" * 32)
    assert database.header(unknown) is None
    assert database.body(unknown) is None
    assert database.block(unknown) is None
    for ask in (database.state_at, database.changed_keys, lambda block: database.prove(block, [b"key"])):
        with pytest.raises(UnknownBlock) as caught:
            ask(unknown)
        assert str(caught.value) == f"no block with hash 0x{'05' * 32} is stored"
        assert caught.value.block == unknown


@BOTH_MODES
def test_reverting_gives_the_parent_back(store: KeyValueStore, pruning: int | None) -> None:
    database = opened(store, CHAIN, pruning)
    for step, parent in zip(CHAIN[:-5:-1], CHAIN[-2:-6:-1], strict=True):
        assert database.revert_head() == step.block
        check_head(database, parent)
        assert database.block(step.hash) == step.block
    check_head(open_chain(store, CHAIN[0], pruning), CHAIN[8])


@BOTH_MODES
def test_another_branch_wins_and_loses(store: KeyValueStore, pruning: int | None) -> None:
    database = opened(store, CHAIN, pruning)
    for _ in range(3):
        database.revert_head()
    assert list(database.side_blocks()) == [step.ref for step in CHAIN[10:]]
    branch = [CHAIN[9]]
    for fork in (1, 2, 3, 4):
        branch.append(child(branch[-1], {b"branch": b"%d" % fork}, fork))
        commit(database, branch[-1])
    check_head(database, branch[-1])
    # The floor does not fall when the head does: the records below it are gone.
    for step in [CHAIN[9], *branch[1:]]:
        check_state(database, step)
    for _ in branch[1:]:
        database.revert_head()
    for step in CHAIN[10:]:
        commit(database, step)
    check_head(database, CHAIN[-1])
    assert list(database.side_blocks()) == [step.ref for step in branch[1:]]
    for step in CHAIN[9:]:
        check_state(database, step)
    check_head(open_chain(store, CHAIN[0], pruning), CHAIN[-1])


def test_an_archive_forgets_the_history_of_a_reverted_block(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:4], ARCHIVE)
    before = list(store.items(b""))
    commit(database, CHAIN[4])
    database.revert_head()
    gained = [(b"x" + (4).to_bytes(4, "big") + CHAIN[4].hash, b"")]
    gained += [(column + CHAIN[4].hash, store.get(column + CHAIN[4].hash) or b"") for column in (b"h", b"b")]
    assert list(store.items(b"")) == sorted([*before, *gained])


def test_what_is_final_cannot_be_reverted(store: KeyValueStore) -> None:
    database = opened(store, CHAIN)
    database.set_finalized(CHAIN[11].hash)
    database.revert_head()
    with pytest.raises(RevertError) as caught:
        database.revert_head()
    assert str(caught.value) == f"the head, {name(CHAIN[11])}, is final and cannot be taken back"
    check_head(database, CHAIN[11])
    fresh = open_chain(MemoryStore(), CHAIN[0])
    with pytest.raises(RevertError) as caught:
        fresh.revert_head()
    assert str(caught.value) == f"the head, {name(CHAIN[0])}, is final and cannot be taken back"


def test_reverting_ends_where_the_records_do(store: KeyValueStore) -> None:
    database = opened(store, CHAIN)
    for _ in range(4):
        database.revert_head()
    with pytest.raises(RevertError) as caught:
        database.revert_head()
    assert str(caught.value) == f"the head, {name(CHAIN[8])}, cannot be taken back: what it replaced is not kept"
    check_head(database, CHAIN[8])
    for step in CHAIN[9:]:
        commit(database, step)
    check_head(database, CHAIN[-1])


@BOTH_MODES
def test_proofs_at_every_kept_block(store: KeyValueStore, pruning: int | None) -> None:
    for database in (opened(store, CHAIN, pruning), open_chain(store, CHAIN[0], pruning)):
        for step in CHAIN[-5:] if pruning else CHAIN:
            keys = [*step.state, b"never there", b""]
            proof = database.prove(step.hash, keys)
            root = step.block.header.state_root
            assert verify_proof(root, proof, keys, StateVersion.V1) == {key: step.state.get(key) for key in keys}


def test_no_proof_where_there_is_no_state(store: KeyValueStore) -> None:
    database = opened(store, CHAIN)
    with pytest.raises(StatePruned) as caught:
        database.prove(CHAIN[7].hash, [b"key"])
    assert str(caught.value) == (
        f"the state of {name(CHAIN[7])} is not kept: the oldest that is kept is that of block 8"
    )


def test_side_blocks(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:4])
    side = [child(CHAIN[2], {b"side": b"1"}, 1), child(CHAIN[3], {b"side": b"2"}, 2)]
    for step in [*side, *side]:
        database.store_side_block(step.block)
    database.store_side_block(CHAIN[3].block)
    check_head(database, CHAIN[3])
    assert list(database.side_blocks()) == [step.ref for step in side]
    assert not database.has(CHAIN[5].hash)
    for step in side:
        assert database.has(step.hash)
        assert database.block(step.hash) == step.block
        with pytest.raises(StatePruned) as caught:
            database.state_at(step.hash)
        assert str(caught.value) == (f"the state of {name(step)} is not kept: it is not on the chain of the best block")
    commit(database, side[1])
    check_head(database, side[1])
    assert list(database.side_blocks()) == [side[0].ref]


def test_finality_moves_forward(store: KeyValueStore) -> None:
    database = opened(store, CHAIN)
    for step in (CHAIN[3], CHAIN[3], CHAIN[8]):
        database.set_finalized(step.hash)
        assert database.finalized() == step.ref
    with pytest.raises(ValueError, match=r"^block 7 is below block 8, which is final$"):
        database.set_finalized(CHAIN[7].hash)
    side = child(CHAIN[8], {}, 1)
    database.store_side_block(side.block)
    for block in (side.hash, Hash(b"\x05" * 32)):
        with pytest.raises(ValueError, match=r"is not on the head's chain, and cannot be final$") as caught:
            database.set_finalized(block)
        assert str(caught.value) == f"block 0x{block.hex()} is not on the head's chain, and cannot be final"
    assert database.finalized() == CHAIN[8].ref


def test_a_block_may_be_final_at_once(store: KeyValueStore) -> None:
    database = open_chain(store, CHAIN[0])
    commit(database, CHAIN[1], final=True)
    assert database.finalized() == CHAIN[1].ref
    commit(database, CHAIN[2])
    assert database.finalized() == CHAIN[1].ref
    assert open_chain(store, CHAIN[0]).finalized() == CHAIN[1].ref


def test_only_a_child_of_the_head_is_committed(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:3])
    for step in (CHAIN[1], CHAIN[2], CHAIN[4]):
        with pytest.raises(ValueError, match="is not a child of block ") as caught:
            commit(database, step)
        assert str(caught.value) == f"{name(step)} is not a child of {name(CHAIN[2])}"
    header = CHAIN[3].block.header
    wrong_number = Header(header.parent_hash, BlockNumber(4), header.state_root, header.extrinsics_root)
    with pytest.raises(ValueError, match="is not a child of block "):
        database.commit(Block(wrong_number, ()), CHAIN[3].changes, CHAIN[3].trie)
    check_head(database, CHAIN[2])


def test_only_a_block_with_its_own_state_is_committed(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:3])
    with pytest.raises(ValueError, match="commits to the state root") as caught:
        database.commit(CHAIN[3].block, CHAIN[3].changes, CHAIN[2].trie)
    assert str(caught.value) == (
        f"{name(CHAIN[3])} commits to the state root 0x{CHAIN[3].trie.root().hex()}, "
        f"but its changes lead to 0x{CHAIN[2].trie.root().hex()}"
    )
    check_head(database, CHAIN[2])


def test_the_head_trie_shares_the_head_s_root(store: KeyValueStore) -> None:
    database = opened(store, CHAIN[:3])
    assert database.head_trie().apply(CHAIN[3].changes).root() == CHAIN[3].block.header.state_root


def test_at_least_one_older_state_is_kept() -> None:
    with pytest.raises(ValueError, match=r"^the states of 0 blocks cannot be kept: 1 is the least$"):
        open_chain(MemoryStore(), CHAIN[0], 0)
    database = opened(MemoryStore(), CHAIN, 1)
    check_state(database, CHAIN[-2])
    database.revert_head()
    check_head(database, CHAIN[-2])


def test_a_genesis_header_of_another_state_is_refused() -> None:
    genesis, other = CHAIN[0], genesis_step({b"other": b"state"})
    with pytest.raises(ValueError, match="is not the genesis block") as caught:
        ChainDatabase.open(MemoryStore(), genesis.block.header, sorted(other.state.items()), state_pruning=None)
    assert str(caught.value) == (
        f"block 0 with state root 0x{genesis.trie.root().hex()} is not the genesis block "
        f"of a state with root 0x{other.trie.root().hex()}"
    )
    late = Header(ZERO_HASH, BlockNumber(1), other.trie.root(), ZERO_HASH)
    with pytest.raises(ValueError, match=r"^block 1 with state root 0x\w{64} is not the genesis block of "):
        ChainDatabase.open(MemoryStore(), late, sorted(other.state.items()), state_pruning=None)


def test_the_genesis_state_may_be_empty_and_a_stream() -> None:
    empty = genesis_step({})
    check_head(open_chain(MemoryStore(), empty), empty)
    database = ChainDatabase.open(
        MemoryStore(), CHAIN[0].block.header, iter(sorted(CHAIN[0].state.items())), state_pruning=1
    )
    check_head(database, CHAIN[0])


@pytest.mark.parametrize("pruning", [3, ARCHIVE])
def test_readers_see_one_head_at_a_time(store: KeyValueStore, pruning: int | None) -> None:
    """Every block sets two keys to its number: no reader may see two different ones, or miss a record."""
    steps = [genesis_step({b"one": b"0", b"two": b"0"})]
    for number in range(1, 80):
        steps.append(child(steps[-1], {b"one": b"%d" % number, b"two": b"%d" % number}))
    by_hash = {step.hash: step for step in steps}
    database = open_chain(store, steps[0], pruning)
    ready, done, failures = threading.Barrier(4), threading.Event(), []

    def look() -> None:
        head = database.head()
        state, number = database.state_at(head.hash), b"%d" % head.number
        assert (state.get(b"one"), state.get(b"two")) == (number, number)
        assert dict(state.items(b"")) == {b"one": number, b"two": number}
        assert database.block(head.hash) == by_hash[head.hash].block
        if head.number:
            parent = by_hash[head.hash].block.header.parent_hash
            proof = database.prove(parent, [b"one"])
            root = by_hash[parent].block.header.state_root
            assert verify_proof(root, proof, [b"one"]) == {b"one": b"%d" % (head.number - 1)}

    def read() -> None:
        try:
            ready.wait(60)
            while not done.is_set():
                # A reader that is held up between two questions may find its block pruned meanwhile.
                with suppress(StatePruned):
                    look()
            look()
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    ready.wait(60)
    for number, step in enumerate(steps[1:], 1):
        commit(database, step)
        if number % 10 == 0:
            database.revert_head()
            commit(database, step)
    done.set()
    for reader in readers:
        reader.join(60)
    assert failures == []
    assert database.head() == steps[-1].ref


def test_close_closes_the_store() -> None:
    store = MemoryStore()
    open_chain(store, CHAIN[0]).close()
    closed: Callable[[], object] = store.snapshot
    with pytest.raises(Exception, match=r"^the database in memory is closed$"):
        closed()
