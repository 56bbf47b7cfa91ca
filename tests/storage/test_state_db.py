from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.interface.state import StateReader
from runtime.primitives import BlockNumber, Hash, blake2b_256
from storage.columns import STATE, number_key, undo_key
from storage.errors import Reason, StorageError
from storage.memory import MemoryStore
from storage.records import encode_undo
from storage.state_db import (
    ArchiveState,
    HeadState,
    UndoRecords,
    WindowState,
    history_writes,
    replaced_by,
    state_writes,
)

KEYS = st.lists(st.sampled_from([0x00, 0x01, 0xFF]), max_size=3).map(bytes)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=2), max_size=5)

Changes = dict[bytes, bytes | None]


def name(number: int) -> Hash:
    return blake2b_256(b"%d" % number)


def history(blocks: Sequence[Changes]) -> tuple[MemoryStore, list[dict[bytes, bytes]]]:
    """A store after these blocks, with undo records and an archive's history, and the state after each."""
    store, states = MemoryStore(), [dict[bytes, bytes]()]
    for number, changes in enumerate(blocks, 1):
        ordered = sorted(changes.items())
        undo = replaced_by(HeadState(store.snapshot()).get, ordered)
        store.write(
            [
                *state_writes(ordered),
                (number_key(BlockNumber(number)), name(number)),
                (undo_key(BlockNumber(number)), encode_undo(name(number), undo)),
                *history_writes(BlockNumber(number), undo),
            ],
            sync=False,
        )
        states.append({key: value for key, value in {**states[-1], **changes}.items() if value is not None})
    return store, states


def check(state: StateReader, pairs: dict[bytes, bytes], prefix: bytes, after: bytes | None, key: bytes) -> None:
    chosen = [key for key in sorted(pairs) if key.startswith(prefix) and (after is None or key > after)]
    assert list(state.items(prefix, after)) == [(key, pairs[key]) for key in chosen]
    assert state.get(key) == pairs.get(key)
    assert {key: state.get(key) for key in pairs} == pairs


@given(blocks=st.lists(CHANGES, max_size=6), prefix=KEYS, after=st.none() | KEYS, key=KEYS)
def test_every_state_of_any_history_is_read(
    blocks: list[Changes], prefix: bytes, after: bytes | None, key: bytes
) -> None:
    store, states = history(blocks)
    reader, head, records = store.snapshot(), BlockNumber(len(blocks)), UndoRecords()
    store.write([(STATE + key, b"later") for key in (b"", b"\0", b"\0\1", b"\xff")], sync=False)
    check(HeadState(reader), states[-1], prefix, after, key)
    for number, pairs in enumerate(states):
        check(WindowState(reader, BlockNumber(number), head, records), pairs, prefix, after, key)
        check(ArchiveState(reader, BlockNumber(number)), pairs, prefix, after, key)


@given(blocks=st.lists(CHANGES, max_size=5))
def test_what_is_replaced_leads_back(blocks: list[Changes]) -> None:
    store, states = history(blocks)
    for number, pairs in enumerate(states):
        state = WindowState(store.snapshot(), BlockNumber(number), BlockNumber(len(blocks)), UndoRecords())
        assert state.replaced() == state.replaced()
        back = {**states[-1], **state.replaced()}
        assert {key: value for key, value in back.items() if value is not None} == pairs


class CountingReader:
    """Notes which keys of a column are read from the store: undo records, if not told otherwise."""

    def __init__(self, store: MemoryStore, column: bytes = b"u") -> None:
        self.store = store
        self.column = column
        self.read: list[bytes] = []
        self.items = store.items

    def get(self, key: bytes) -> bytes | None:
        if key.startswith(self.column):
            self.read.append(key)
        return self.store.get(key)


def test_records_are_read_when_they_are_needed_and_once() -> None:
    store, _ = history([{b"first": b"1"}, {b"second": b"2"}, {b"third": b"3"}])
    reader, records = CountingReader(store), UndoRecords()
    state = WindowState(reader, BlockNumber(0), BlockNumber(3), records)
    assert reader.read == []
    assert state.get(b"second") is None
    assert reader.read == [undo_key(BlockNumber(1)), undo_key(BlockNumber(2))]
    assert state.get(b"first") is None
    again = WindowState(reader, BlockNumber(0), BlockNumber(3), records)
    assert again.get(b"second") is None
    assert reader.read == [undo_key(BlockNumber(1)), undo_key(BlockNumber(2))]


def test_the_records_kept_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.state_db._CACHED_BYTES", 5 * 152)
    store, _ = history([{b"%d%d" % (n, key): b"" for key in range(2)} for n in range(4)])
    reader, records = CountingReader(store), UndoRecords()
    for number in (1, 2, 1, 3, 1, 2):
        records.load(reader, BlockNumber(number))
    # Two fit; 2 was the one not used for longest when 3 came.
    assert reader.read == [undo_key(BlockNumber(number)) for number in (1, 2, 3, 2)]


def test_records_that_the_store_has_lost_are_not_kept_in_memory_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.state_db._CACHED_BYTES", 3 * 152)
    store, _ = history([{b"%d" % n: b""} for n in range(5)])
    reader, records = CountingReader(store), UndoRecords()
    for number in (1, 2, 3):
        records.load(reader, BlockNumber(number))
    records.forget(BlockNumber(2))
    # There is room again: the third stays when the fourth and the fifth come.
    for number in (4, 5, 3, 2, 4):
        records.load(reader, BlockNumber(number))
    assert reader.read == [undo_key(BlockNumber(number)) for number in (1, 2, 3, 4, 5, 2, 4)]


def test_a_record_larger_than_the_bound_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.state_db._CACHED_BYTES", 1)
    store, _ = history([{b"a": b"", b"b": b""}])
    reader, records = CountingReader(store), UndoRecords()
    assert records.load(reader, BlockNumber(1)) is records.load(reader, BlockNumber(1))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (number_key(BlockNumber(1)), "no block 1 is on the head's chain"),
        (undo_key(BlockNumber(1)), "the undo record of block 1 is missing"),
    ],
)
def test_a_missing_record(lost: bytes, message: str) -> None:
    store, _ = history([{b"a": b""}])
    store.write([(lost, None)], sync=False)
    with pytest.raises(StorageError) as caught:
        UndoRecords().load(store, BlockNumber(1))
    assert caught.value.reason is Reason.CORRUPT
    assert str(caught.value) == f"the database is damaged: {message}"


def test_the_head_reads_a_short_value_once_and_a_long_one_again() -> None:
    store = MemoryStore()
    store.write([(STATE + b"short", b"1"), (STATE + b"long", bytes(5_000))], sync=False)
    reader = CountingReader(store, STATE)
    state = HeadState(reader)
    for _ in range(3):
        assert state.get(b"short") == b"1"
        assert state.get(b"long") == bytes(5_000)
        assert state.get(b"absent") is None
    assert sorted(reader.read) == [STATE + key for key in (b"absent", b"long", b"long", b"long", b"short")]


def test_what_the_head_remembers_is_bounded() -> None:
    reader = CountingReader(MemoryStore(), STATE)
    state = HeadState(reader)
    for _ in range(2):
        for number in range(20_000):
            assert state.get(b"%d" % number) is None
    assert 20_000 < len(reader.read) < 40_000
    reader.read.clear()
    state = state.changed([(b"new %d" % number, b"1") for number in range(20_000)], reader)
    for number in range(20_000):
        state.get(b"new %d" % number)
    assert 10_000 < len(reader.read) < 20_000, "the last ones are remembered, in half of the room"


@given(blocks=st.lists(CHANGES, max_size=8), reads=st.lists(KEYS, max_size=8))
def test_what_is_remembered_from_head_to_head_is_what_is_stored(blocks: list[Changes], reads: list[bytes]) -> None:
    store = MemoryStore()
    reader = store.snapshot()
    state, now, passed = HeadState(reader), dict[bytes, bytes](), list[tuple[HeadState, dict[bytes, bytes]]]()
    for changes in blocks:
        for key in reads:
            assert state.get(key) == now.get(key)
        passed.append((state, dict(now)))
        ordered = sorted(changes.items())
        store.write(state_writes(ordered), sync=False)
        state = state.changed(ordered, store.snapshot())
        now = {key: value for key, value in {**now, **changes}.items() if value is not None}
        check(state, now, b"", None, b"\0")
    for old, pairs in passed:
        check(old, pairs, b"", None, b"\0")


def test_a_head_knows_what_made_it() -> None:
    reader = CountingReader(MemoryStore(), STATE)
    before = HeadState(reader)
    assert before.get(b"read") is None
    state = before.changed([(b"gone", None), (b"long", bytes(5_000)), (b"new", b"1")], reader)
    reader.read.clear()
    assert (state.get(b"gone"), state.get(b"new"), state.get(b"read")) == (None, b"1", None)
    assert not reader.read
    assert state.get(b"long") is None, "it is too long to be remembered, and this store is empty"
    assert reader.read == [STATE + b"long"]
