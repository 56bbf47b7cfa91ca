import pytest

from runtime.header import Header
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef
from runtime.trie import StateVersion
from storage.chain_db import ChainDatabase
from storage.columns import FINALIZED, HEAD, IDENTITY, STATE, body_key, header_key, number_key, undo_key
from storage.errors import Reason, RevertError, StatePruned, StorageError
from storage.kv import KeyValueStore, Write
from storage.memory import MemoryStore
from storage.records import Head, encode_finalized, encode_undo
from tests.runtime.reference_trie import reference_root
from tests.storage.chains import (
    check_head,
    check_state,
    child,
    commit,
    genesis_step,
    open_chain,
    random_chain,
)

CHAIN = random_chain(6, seed=2)
HEAD_STEP = CHAIN[-1]
OTHER = child(CHAIN[-2], {b"other": b"1"}, 1)


def filled(store: KeyValueStore, pruning: int | None = 4) -> None:
    database = open_chain(store, CHAIN[0], pruning)
    for step in CHAIN[1:]:
        commit(database, step)
    database.set_finalized(CHAIN[2].hash)
    database.store_side_block(OTHER.block)


def refusal(store: KeyValueStore, pruning: int | None = 4) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_chain(store, CHAIN[0], pruning)
    return caught.value


STATE_KEY, STATE_VALUE = sorted(HEAD_STEP.state.items())[3]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ([(HEAD, None)], "the head record is missing"),
        ([(HEAD, b"")], "the head record cannot be read: its checksum is wrong"),
        ([(IDENTITY, b"nonsense")], "the identity record cannot be read: its checksum is wrong"),
        ([(FINALIZED, None)], "the record of the finalized block is missing"),
        (
            [(FINALIZED, b"?")],
            "the record of the finalized block cannot be read: its checksum is wrong",
        ),
        (
            [(FINALIZED, encode_finalized(BlockRef(BlockNumber(7), ZERO_HASH)))],
            "the finalized block 7 is above the head, block 6",
        ),
        (
            [(FINALIZED, encode_finalized(OTHER.ref))],
            "the finalized block is not the one that is listed as number 6",
        ),
        ([(header_key(HEAD_STEP.hash), None)], "the header of the head block is missing"),
        (
            [(header_key(HEAD_STEP.hash), OTHER.block.header.encode())],
            "the header of the head block is another block's",
        ),
        (
            [(header_key(HEAD_STEP.hash), HEAD_STEP.block.header.encode()[:-1])],
            f"the header of block 0x{HEAD_STEP.hash.hex()} cannot be read: "
            "digest payload at offset 103 claims length 1, only 0 bytes are left",
        ),
        ([(header_key(CHAIN[2].hash), None)], "the header of the finalized block is missing"),
        ([(body_key(HEAD_STEP.hash), None)], "the body of the head block is missing"),
        (
            [(body_key(HEAD_STEP.hash), b"\x04")],
            f"the body of block 0x{HEAD_STEP.hash.hex()} cannot be read: "
            "body at offset 0 claims length 1, only 0 bytes are left",
        ),
        (
            [(number_key(HEAD_STEP.ref.number), None)],
            "the head block is not the one that is listed as number 6",
        ),
        (
            [(HEAD, Head(BlockRef(BlockNumber(5), HEAD_STEP.hash), BlockNumber(0)).encode())],
            "the header of the head block is another block's",
        ),
    ],
)
def test_damage_is_found_at_the_start(damage: list[Write], message: str) -> None:
    store = MemoryStore()
    filled(store)
    store.write(damage, sync=False)
    error = refusal(store)
    assert error.reason is Reason.CORRUPT
    assert str(error) == f"the database is damaged: {message}"


@pytest.mark.parametrize(
    "damage",
    [
        (STATE + STATE_KEY, None),
        (STATE + STATE_KEY, STATE_VALUE + b"!"),
        (STATE + b"another key", b""),
    ],
)
def test_a_state_that_is_not_the_head_s_is_found_at_the_start(damage: Write) -> None:
    store = MemoryStore()
    filled(store)
    store.write([damage], sync=False)
    error = refusal(store)
    assert error.reason is Reason.CORRUPT
    state = {**HEAD_STEP.state, damage[0].removeprefix(STATE): damage[1]}
    found = reference_root({key: value for key, value in state.items() if value is not None}, StateVersion.V1)
    assert str(error) == (
        f"the database is damaged: the state has the root 0x{found.hex()}, "
        f"but the head, block 6, commits to 0x{HEAD_STEP.trie.root().hex()}"
    )


def test_a_database_of_another_chain(store: KeyValueStore) -> None:
    filled(store)
    other = genesis_step({b"other": b"chain"})
    with pytest.raises(StorageError) as caught:
        open_chain(store, other)
    assert caught.value.reason is Reason.WRONG_GENESIS
    assert str(caught.value) == (
        f"the database is of the chain with genesis block 0x{CHAIN[0].hash.hex()}, not 0x{other.hash.hex()}"
    )


def test_a_store_with_something_else_in_it(store: KeyValueStore) -> None:
    store.write([(b"somebody's", b"data")], sync=False)
    error = refusal(store)
    assert error.reason is Reason.CORRUPT
    assert str(error) == "the database holds something, but no record of what: it is damaged or not ours"
    assert list(store.items(b"")) == [(b"somebody's", b"data")]


def test_an_archive_stays_one(store: KeyValueStore) -> None:
    filled(store, None)
    error = refusal(store, 4)
    assert error.reason is Reason.WRONG_PRUNING
    assert str(error) == "the database is an archive, and cannot keep only the last 4 states"
    check_head(open_chain(store, CHAIN[0], None), HEAD_STEP)


def test_a_pruned_database_does_not_become_an_archive(store: KeyValueStore) -> None:
    filled(store, 4)
    error = refusal(store, None)
    assert error.reason is Reason.WRONG_PRUNING
    assert str(error) == ("the database keeps the states of the last 4 blocks only, and cannot become an archive")
    check_head(open_chain(store, CHAIN[0], 4), HEAD_STEP)


def test_a_smaller_window_prunes_at_once(store: KeyValueStore) -> None:
    filled(store, 4)
    database = open_chain(store, CHAIN[0], 2)
    assert [key for key, _ in store.items(b"u")] == [undo_key(BlockNumber(5)), undo_key(BlockNumber(6))]
    for step in CHAIN[-3:]:
        check_state(database, step)
    with pytest.raises(StatePruned):
        database.state_at(CHAIN[-4].hash)
    assert open_chain(store, CHAIN[0], 2).head() == HEAD_STEP.ref


def test_a_larger_window_fills_as_the_chain_grows(store: KeyValueStore) -> None:
    filled(store, 2)
    database = open_chain(store, CHAIN[0], 4)
    with pytest.raises(StatePruned) as caught:
        database.state_at(CHAIN[3].hash)
    assert str(caught.value).endswith(" is not kept: the oldest that is kept is that of block 4")
    longer = [child(HEAD_STEP, {b"7": b"7"})]
    longer.append(child(longer[0], {b"8": b"8"}))
    longer.append(child(longer[1], {b"9": b"9"}))
    for step in longer:
        commit(database, step)
    for step in [*CHAIN[5:], *longer]:
        check_state(database, step)
    for step in [*longer[::-1], CHAIN[6]]:
        assert database.revert_head() == step.block
    with pytest.raises(RevertError):
        database.revert_head()


def test_a_record_of_another_block_is_found_when_it_is_used() -> None:
    store = MemoryStore()
    filled(store)
    swapped = store.get(undo_key(BlockNumber(5)))
    store.write([(undo_key(BlockNumber(6)), swapped)], sync=False)
    database = open_chain(store, CHAIN[0])
    for use in (lambda: database.state_at(CHAIN[4].hash).get(b"key"), database.revert_head):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.reason is Reason.CORRUPT
        assert str(caught.value) == (
            "the database is damaged: the undo record of block 6 cannot be read: it is not that block's"
        )
    check_head(database, HEAD_STEP)


def test_a_record_with_other_values_is_found_when_it_is_used() -> None:
    store = MemoryStore()
    filled(store)
    store.write([(undo_key(BlockNumber(6)), encode_undo(HEAD_STEP.hash, {b"forged": b"value"}))], sync=False)
    database = open_chain(store, CHAIN[0])
    expected = f"but the block commits to 0x{CHAIN[5].trie.root().hex()}"
    for use in (lambda: database.prove(CHAIN[5].hash, [b"key"]), database.revert_head):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.reason is Reason.CORRUPT
        assert str(caught.value).startswith(
            "the database is damaged: what is kept of block 5 leads to the state root 0x"
        )
        assert str(caught.value).endswith(expected)
    check_head(database, HEAD_STEP)


def test_reverting_onto_a_parent_that_is_missing() -> None:
    store = MemoryStore()
    filled(store)
    store.write([(header_key(CHAIN[5].hash), None)], sync=False)
    database = open_chain(store, CHAIN[0])
    with pytest.raises(StorageError) as caught:
        database.revert_head()
    assert caught.value.reason is Reason.CORRUPT
    assert str(caught.value) == (
        f"the database is damaged: the parent of the head, block 6 (0x{HEAD_STEP.hash.hex()}), is missing"
    )


def test_the_genesis_header_decides_and_its_state_is_not_read_again() -> None:
    store = MemoryStore()
    filled(store)
    header: Header = CHAIN[0].block.header
    check_head(ChainDatabase.open(store, header, [], state_pruning=4), HEAD_STEP)
