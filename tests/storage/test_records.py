from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.primitives import BlockNumber, BlockRef, Hash, blake2b_128
from storage.errors import Reason, StorageError
from storage.records import (
    Head,
    Identity,
    _seal,
    decode_finalized,
    decode_replaced,
    decode_undo,
    encode_finalized,
    encode_replaced,
    encode_undo,
)

HASHES = st.binary(min_size=32, max_size=32).map(Hash)
NUMBERS = st.integers(0, 2**32 - 1).map(BlockNumber)
REFS = st.builds(BlockRef, NUMBERS, HASHES)
BLOCK = BlockRef(BlockNumber(9), Hash(b"\x07" * 32))
DECODERS: list[Callable[[bytes], object]] = [
    Identity.decode,
    Head.decode,
    decode_finalized,
    lambda data: decode_undo(data, BLOCK),
    decode_replaced,
]


# Bytes that are msgpack, and bytes that are anything.
PAYLOADS = st.binary(max_size=60) | st.recursive(
    st.none() | st.integers(-1, 2**64 - 1) | st.binary(max_size=33) | st.just(BLOCK.hash),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=2), inner, max_size=2),
    max_leaves=6,
).map(msgpack.packb)


def with_checksum(payload: bytes) -> bytes:
    return blake2b_128(payload) + payload


def refusal(decode: Callable[[bytes], object], data: bytes) -> StorageError:
    with pytest.raises(StorageError) as caught:
        decode(data)
    return caught.value


@given(genesis=HASHES, pruning=st.none() | NUMBERS)
def test_identity(genesis: Hash, pruning: int | None) -> None:
    identity = Identity(genesis, pruning)
    assert Identity.decode(identity.encode()) == identity


@given(block=REFS, floor=NUMBERS)
def test_head(block: BlockRef, floor: BlockNumber) -> None:
    assert Head.decode(Head(block, floor).encode()) == Head(block, floor)


@given(block=REFS)
def test_finalized(block: BlockRef) -> None:
    assert decode_finalized(encode_finalized(block)) == block


@given(block=REFS, undo=st.dictionaries(st.binary(), st.none() | st.binary()))
def test_undo(block: BlockRef, undo: dict[bytes, bytes | None]) -> None:
    assert decode_undo(encode_undo(block.hash, undo), block) == undo


@given(value=st.none() | st.binary())
def test_replaced(value: bytes | None) -> None:
    assert decode_replaced(encode_replaced(value)) == value


@given(block=REFS, floor=NUMBERS, at=st.integers(0, 1_000), bit=st.integers(0, 7))
def test_any_altered_bit_of_the_head_is_noticed(block: BlockRef, floor: BlockNumber, at: int, bit: int) -> None:
    data = bytearray(Head(block, floor).encode())
    data[at % len(data)] ^= 1 << bit
    error = refusal(Head.decode, bytes(data))
    assert error.reason is Reason.CORRUPT
    assert str(error) == "the database is damaged: the head record cannot be read: its checksum is wrong"


@pytest.mark.parametrize("decode", DECODERS)
@given(data=PAYLOADS | PAYLOADS.map(with_checksum))
def test_any_bytes_are_a_record_or_a_storage_error(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except StorageError as error:
        assert error.reason in (Reason.CORRUPT, Reason.WRONG_VERSION)  # noqa: PT017 - either outcome is good


@pytest.mark.parametrize(
    ("decode", "fields", "message"),
    [
        (Head.decode, 7, "the head record cannot be read: it does not have 3 fields"),
        (Head.decode, [7, bytes(32)], "the head record cannot be read: it does not have 3 fields"),
        (Head.decode, [7, bytes(31), 0], "the head record cannot be read: it has a field of the wrong type"),
        (Head.decode, [-1, bytes(32), 0], "the head record cannot be read: it has a field of the wrong type"),
        (
            Head.decode,
            [True, bytes(32), 0],
            "the head record cannot be read: it has a field of the wrong type",
        ),
        (
            Head.decode,
            [7, bytes(32), 1 << 32],
            "the head record cannot be read: it has a field of the wrong type",
        ),
        (Head.decode, [0] * 4, "the head record cannot be read: 4 exceeds max_array_len(3)"),
        (Identity.decode, [1], "the identity record cannot be read: it does not have 3 fields"),
        (
            Identity.decode,
            [1, bytes(32), "x"],
            "the identity record cannot be read: 1 exceeds max_str_len(0)",
        ),
        (
            decode_finalized,
            [None, bytes(32)],
            "the record of the finalized block cannot be read: it has a field of the wrong type",
        ),
    ],
)
def test_a_record_of_another_shape(decode: Callable[[bytes], object], fields: list[object], message: str) -> None:
    assert str(refusal(decode, _seal(fields))) == f"the database is damaged: {message}"


def test_another_version_of_the_schema() -> None:
    error = refusal(Identity.decode, _seal([2, "anything", 1][:1]))
    assert error.reason is Reason.WRONG_VERSION
    assert str(error) == "the database has schema version 2, this program needs 1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([bytes(32), {}], "it is not that block's"),
        ([BLOCK.hash, 1], "it is not that block's"),
        ([BLOCK.hash, {b"key": 1}], "it has a field of the wrong type"),
        ([BLOCK.hash], "it does not have 2 fields"),
    ],
)
def test_an_undo_record_of_another_shape(fields: list[object], message: str) -> None:
    error = refusal(lambda data: decode_undo(data, BLOCK), msgpack.packb(fields))
    assert error.reason is Reason.CORRUPT
    assert str(error) == f"the database is damaged: the undo record of block 9 cannot be read: {message}"


def test_a_replaced_value_of_another_shape() -> None:
    for data in (b"", b"\0\0", b"\2"):
        assert str(refusal(decode_replaced, data)) == (
            "the database is damaged: the history of a storage key cannot be read: it has neither a value nor none"
        )
