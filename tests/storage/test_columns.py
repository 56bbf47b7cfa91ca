from hypothesis import given
from hypothesis import strategies as st

from runtime.primitives import BlockNumber, BlockRef, Hash
from storage import columns

KEYS = st.lists(st.sampled_from([0x00, 0x01, 0xFE, 0xFF]), max_size=5).map(bytes)
NUMBERS = st.integers(0, 2**32 - 1).map(BlockNumber)


@given(one=st.tuples(KEYS, NUMBERS), other=st.tuples(KEYS, NUMBERS))
def test_history_is_ordered_by_key_then_number(
    one: tuple[bytes, BlockNumber], other: tuple[bytes, BlockNumber]
) -> None:
    assert (columns.history_key(*one) < columns.history_key(*other)) == (one < other)


@given(key=KEYS, number=NUMBERS)
def test_history_key_is_read_back(key: bytes, number: BlockNumber) -> None:
    assert columns.history_entry(columns.history_key(key, number)) == key


@given(key=KEYS, prefix=KEYS, number=NUMBERS)
def test_history_is_found_by_prefix(key: bytes, prefix: bytes, number: BlockNumber) -> None:
    entry = columns.history_key(key, number)
    assert entry.startswith(columns.history_prefix(prefix)) == key.startswith(prefix)
    assert entry.startswith(columns.history_versions(prefix)) == (key == prefix)


@given(one=NUMBERS, other=NUMBERS)
def test_side_blocks_are_ordered_by_number(one: BlockNumber, other: BlockNumber) -> None:
    low, high = BlockRef(one, Hash(b"\xff" * 32)), BlockRef(other, Hash(bytes(32)))
    assert (columns.side_key(low) < columns.side_key(high)) == (one < other)
    assert columns.side_block(columns.side_key(low)) == low


def test_no_column_reaches_into_another() -> None:
    block = Hash(bytes(32))
    number = BlockNumber(7)
    keys = [
        columns.IDENTITY,
        columns.HEAD,
        columns.FINALIZED,
        columns.STATE,
        columns.HISTORY,
        columns.SIDE,
        columns.header_key(block),
        columns.body_key(block),
        columns.number_key(number),
        columns.undo_key(number),
    ]
    starts = [key if key.startswith(b"!") else key[:1] for key in keys]
    assert not [(one, other) for one in starts for other in starts if one != other and one.startswith(other)]
    assert len({*starts}) == len(keys)
