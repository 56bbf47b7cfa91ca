"""Rows of fixed width: one call for all values gives what the codecs give one after the other, or nothing."""

from dataclasses import make_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.matrix_factorization.events import RATING_SUBMITTED
from pallets.system.events import DISPATCH_INFO, EXTRINSIC_SUCCESS, encode_success, record_info
from runtime.interface.calls import Call, read_arguments
from runtime.interface.system import DispatchInfo
from runtime.interface.weights import DispatchClass
from runtime.scale import (
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    UNIT,
    Bytes,
    Codec,
    Field,
    FixedBytes,
    Integer,
    Reader,
    ScaleError,
    Struct,
    Tuple,
    Vec,
    layout_of,
)

FIXED: tuple[Codec[Any], ...] = (U8, U16, U32, U64, I8, I16, I32, I64, FixedBytes(3), FixedBytes(32))
ROWS = st.lists(st.sampled_from(FIXED), min_size=1, max_size=5)


def values_of(codec: Codec[Any]) -> st.SearchStrategy[Any]:
    if isinstance(codec, Integer):
        return st.integers(-(1 << codec.bits - 1), (1 << codec.bits) - 1)
    assert isinstance(codec, FixedBytes)
    return st.binary(min_size=codec.length - 1, max_size=codec.length + 1)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Codec[Any]], list[Any]]:
    """Codecs and a value for each, some of which do not fit."""
    codecs = draw(ROWS)
    return codecs, [draw(values_of(codec)) for codec in codecs]


def one_by_one(codecs: list[Codec[Any]], values: list[Any]) -> bytes | None:
    try:
        return b"".join(codec.encode(value) for codec, value in zip(codecs, values, strict=True))
    except ScaleError:
        return None


@given(rows())
def test_packing_is_encoding_one_by_one(row: tuple[list[Codec[Any]], list[Any]]) -> None:
    layout = layout_of(row[0])
    assert layout is not None
    expected = one_by_one(*row)
    assert layout.pack(row[1]) == expected
    if expected is not None:
        assert layout.size == len(expected)
        assert layout.unpack(b"." + expected + b"..", 1) == tuple(row[1])
        assert layout.unpack(b"." + expected[:-1], 1) is None
        assert list(layout.rows(expected * 3)) == [tuple(row[1])] * 3


@given(ROWS, st.binary(max_size=200), st.integers(0, 5))
def test_unpacking_is_reading_one_by_one(codecs: list[Codec[Any]], data: bytes, offset: int) -> None:
    layout = layout_of(codecs)
    assert layout is not None
    reader = Reader(data)
    reader.offset = min(offset, len(data))
    start = reader.offset
    try:
        expected = tuple(codec.read(reader) for codec in codecs)
    except ScaleError:
        assert layout.unpack(data, start) is None
    else:
        assert layout.unpack(data, start) == expected


@pytest.mark.parametrize("codecs", [[], [U128], [U8, I128], [Bytes(3)], [Tuple(U8)], [U8, UNIT]])
def test_other_rows_have_no_layout(codecs: list[Codec[Any]]) -> None:
    assert layout_of(codecs) is None


@given(rows(), st.integers(0, 2))
def test_a_struct_of_fixed_fields_is_that_row(row: tuple[list[Codec[Any]], list[Any]], units: int) -> None:
    codecs, values = row
    names = [f"f{index}" for index in range(len(codecs) + units)]
    python_type = make_dataclass("Row", names, frozen=True)
    codec = Struct(python_type, tuple(Field(n, c) for n, c in zip(names, [*codecs, *[UNIT] * units], strict=True)))
    value = python_type(*values, *[()] * units)
    expected = one_by_one(codecs, values)
    if expected is None:
        with pytest.raises(ScaleError, match=r"^Row\.f\d: "):
            codec.encode(value)
        return
    assert codec.encode(value) == expected
    assert codec.decode(expected) == value
    with pytest.raises(ScaleError, match=r" at offset \d+ needs \d+ bytes?, "):
        codec.decode(expected[:-1])
    with pytest.raises(ScaleError, match=r"^Row ends at offset \d+, 1 bytes are left over$"):
        codec.decode(expected + b"0")


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_a_list_of_rows_is_read_at_once(pairs: list[tuple[int, int]]) -> None:
    codec = Vec(Tuple(U64, I64), 20)
    data = codec.encode(tuple(pairs))
    assert codec.decode(data) == tuple(pairs)
    if pairs:
        with pytest.raises(ScaleError, match=r" claims length \d+, only \d+ bytes are left$"):
            codec.decode(data[:-1])


@given(st.binary(max_size=20))
def test_a_call_of_fixed_width_is_read_as_any_other(data: bytes) -> None:
    call = Call(0, "rate", (Field("item", U64), Field("rating", I64)), lambda: None, lambda: 0, "")
    assert call.layout is not None
    row = call.layout.unpack(data, 0)
    assert (row is None) == (len(data) < 16)
    if row is not None:
        assert read_arguments(call, Reader(data)) == row


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1))
def test_an_event_of_fixed_width(account: bytes, item: int, rating: int) -> None:
    fields = [item.codec for item in RATING_SUBMITTED.fields]
    assert RATING_SUBMITTED.encode(account, item, rating) == b"\x08\x00" + Tuple(*fields).encode(
        (account, item, rating)
    )
    with pytest.raises(ScaleError, match=r"^AccountId32 takes 32 bytes, not 31$"):
        RATING_SUBMITTED.encode(account[:-1], item, rating)


@given(st.integers(0, 2**64 - 1), st.sampled_from(DispatchClass))
def test_success_is_encoded_as_the_codec_does_it(weight: int, dispatch_class: DispatchClass) -> None:
    info = DispatchInfo(weight, dispatch_class)
    assert encode_success(info) == EXTRINSIC_SUCCESS.encode(record_info(info))
    assert encode_success(info) == b"\x00\x00" + DISPATCH_INFO.encode(record_info(info))
