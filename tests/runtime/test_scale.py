import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.scale import (
    ACCOUNT_ID,
    BLOCK_NUMBER,
    BOOL,
    H256,
    I8,
    I16,
    I32,
    I64,
    I128,
    NONCE,
    U8,
    U16,
    U32,
    U64,
    U128,
    UNIT,
    Array,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Described,
    Enum,
    Err,
    Field,
    FixedBytes,
    Integer,
    Option,
    PackedArray,
    Reader,
    Result,
    ScaleError,
    Struct,
    Text,
    Tuple,
    Variant,
    Vec,
    encode_compact,
    shown_name,
    variant,
)

VECTORS = Path(__file__).parents[1] / "vectors"
COMPACTS = json.loads((VECTORS / "compact.json").read_text())["vectors"]


@dataclass(frozen=True, slots=True)
class Rate:
    item: int
    rating: int


@dataclass(frozen=True, slots=True)
class Remark:
    text: bytes


@dataclass(frozen=True, slots=True)
class Quit:
    pass


class Fault(enum.StrEnum):
    UNKNOWN = "Unknown"
    RANGE = "Range"


RATE = Struct(Rate, (Field("item", U64, "ItemId"), Field("rating", I64)), path=("pallet", "Rate"))
MODEL_CALL: Enum[Rate | Quit] = Enum(
    "ModelCall", (variant(0, Rate, *RATE.fields), variant(7, Quit, docs=("Ends it.",)))
)
FAULT: Enum[Fault] = Enum("Fault", tuple(Variant(i, fault.value, value=fault) for i, fault in enumerate(Fault)))
SYSTEM_CALL: Enum[Remark] = Enum("SystemCall", (variant(0, Remark, Field("text", Bytes(64))),))
OUTCOME: Enum[Remark | Rate | Quit | Fault] = Enum(
    "Outcome",
    (
        Variant(0, "System", (Field("call", SYSTEM_CALL, anonymous=True),)),
        Variant(8, "Model", (Field("call", MODEL_CALL, anonymous=True),)),
        Variant(9, "Failed", (Field("fault", FAULT, anonymous=True),)),
    ),
)
ENTRY = np.dtype([("item", "<u4"), ("rating", "<i2")])
RATINGS = PackedArray(Vec(Tuple(U32, I16), 500), ENTRY)
TRIANGLE = PackedArray(Array(I32, 45), np.dtype("<i4"))


def message_of(action: Callable[[], Any]) -> str:
    with pytest.raises(ScaleError) as caught:
        action()
    return str(caught.value)


# Numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", COMPACTS, ids=lambda vector: vector["value"])
def test_compacts_are_those_of_the_public_vectors(vector: dict[str, str]) -> None:
    value, data = int(vector["value"]), bytes.fromhex(vector["hex"][2:])
    assert encode_compact(value) == data
    assert Compact(128).encode(value) == data
    assert Compact(128).decode(data) == value


def test_the_widest_compact_has_536_bits() -> None:
    top = (1 << 536) - 1
    assert encode_compact(top) == b"\xff" + b"\xff" * 67
    assert Reader(encode_compact(top)).compact(536) == top
    assert message_of(lambda: encode_compact(top + 1)) == "a compact cannot hold a number of 537 bits"
    assert message_of(lambda: encode_compact(-1)) == "a compact cannot hold -1"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("0100", 0),
        ("fd00", 63),
        ("02000000", 0),
        ("feff0000", 16383),
        ("0300000000", 0),
        ("03ffffff3f", (1 << 30) - 1),
        ("070000004000", 1 << 30),
        ("17000000000000000100", 1 << 56),
    ],
)
def test_a_compact_longer_than_needed_is_refused(data: str, value: int) -> None:
    with pytest.raises(ScaleError) as caught:
        Compact(64).decode(bytes.fromhex(data))
    assert str(caught.value) == f"Compact<u64> at offset 0 is longer than its value {value} needs"


def test_a_compact_is_bounded_by_its_width() -> None:
    assert Compact(32).decode(bytes.fromhex("03ffffffff")) == (1 << 32) - 1
    above = bytes.fromhex("070000000001")
    assert message_of(lambda: Compact(32).decode(above)) == "Compact<u32> at offset 0 does not fit 32 bits"
    assert Compact(64).decode(above) == 1 << 32
    assert message_of(lambda: Compact(8).encode(256)) == "Compact<u8> cannot hold 256"
    assert message_of(lambda: Compact(8).encode(-1)) == "Compact<u8> cannot hold -1"


def test_a_cut_compact_says_how_much_is_missing() -> None:
    assert message_of(lambda: Compact(32).decode(b"")) == "Compact<u32> at offset 0 needs 1 byte, none is left"
    expected = "Compact<u32> at offset 0 needs 4 bytes, 3 are left"
    assert message_of(lambda: Compact(32).decode(b"\x02\x00\x01")) == expected
    expected = "Compact<u32> at offset 0 needs 68 bytes, 1 are left"
    assert message_of(lambda: Compact(32).decode(b"\xff")) == expected


@pytest.mark.parametrize(
    ("codec", "label", "low", "high", "size"),
    [
        (U8, "u8", 0, 255, 1),
        (U16, "u16", 0, 65_535, 2),
        (U32, "u32", 0, 2**32 - 1, 4),
        (U64, "u64", 0, 2**64 - 1, 8),
        (U128, "u128", 0, 2**128 - 1, 16),
        (I8, "i8", -128, 127, 1),
        (I16, "i16", -(2**15), 2**15 - 1, 2),
        (I32, "i32", -(2**31), 2**31 - 1, 4),
        (I64, "i64", -(2**63), 2**63 - 1, 8),
        (I128, "i128", -(2**127), 2**127 - 1, 16),
    ],
)
def test_integers_cover_their_range_and_no_more(codec: Integer, label: str, low: int, high: int, size: int) -> None:
    for value in (low, high, 0, 1):
        data = codec.encode(value)
        assert data == (value % 2 ** (8 * size)).to_bytes(size, "little")
        assert codec.decode(data) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ScaleError) as caught:
            codec.encode(value)
        assert str(caught.value) == f"{label} cannot hold {value}"
    with pytest.raises(ScaleError) as caught:
        codec.decode(bytes(size - 1))
    assert str(caught.value) == f"{label} at offset 0 needs {size} bytes, {size - 1} are left"
    with pytest.raises(ScaleError) as caught:
        codec.decode(bytes(size + 2))
    assert str(caught.value) == f"{label} ends at offset {size}, 2 bytes are left over"


def test_a_bool_is_0_or_1() -> None:
    assert [BOOL.encode(False), BOOL.encode(True)] == [b"\0", b"\1"]
    assert [BOOL.decode(b"\0"), BOOL.decode(b"\1")] == [False, True]
    assert message_of(lambda: Tuple(U8, BOOL).decode(b"\1\2")) == "bool at offset 1 must be 0 or 1, not 2"


# Sequences -------------------------------------------------------------------------------------------------


def test_bytes_and_text_have_a_length_and_a_limit() -> None:
    assert Bytes(3).encode(b"abc") == b"\x0cabc"
    assert Text(4).encode("h\u00e9") == b"\x0ch\xc3\xa9"
    assert Text(4).decode(b"\x0ch\xc3\xa9") == "h\u00e9"
    assert message_of(lambda: Bytes(3).encode(b"abcd")) == "Bytes has length 4, at most 3 is allowed"
    assert message_of(lambda: Text(2).encode("h\u00e9")) == "Text has length 3, at most 2 is allowed"
    assert message_of(lambda: Bytes(3).decode(b"\x10abcd")) == ("Bytes at offset 0 has length 4, at most 3 is allowed")
    assert message_of(lambda: Bytes(300).decode(b"\x10abc")) == (
        "Bytes at offset 0 claims length 4, only 3 bytes are left"
    )
    assert message_of(lambda: Text(9).decode(b"\x04\xff")) == "Text at offset 0 is not UTF-8"
    assert message_of(lambda: Text(9).encode("\ud800")) == ("Text holds a lone surrogate, which UTF-8 cannot express")


def test_a_vec_is_bounded_before_its_elements_are_read() -> None:
    codec = Vec(Tuple(U64, I64), 1 << 31)
    assert message_of(lambda: codec.decode(bytes.fromhex("02000040") + bytes(31))) == (
        "Vec<(u64, i64)> at offset 0 claims length 268435456, only 31 bytes are left"
    )
    assert message_of(lambda: Vec(U8, 2).decode(b"\x0c\0\0\0")) == (
        "Vec<u8> at offset 0 has length 3, at most 2 is allowed"
    )
    assert message_of(lambda: Vec(U8, 2).encode((1, 2, 3))) == "Vec<u8> has length 3, at most 2 is allowed"
    assert Vec(U16, 2).decode(b"\x08\1\0\2\0") == (1, 2)
    assert Vec(U16, 2).encode([1, 2]) == b"\x08\1\0\2\0"


def test_a_vec_of_nothing_is_no_type() -> None:
    with pytest.raises(ValueError, match=r"^a Vec of elements without bytes would cost time for nothing$"):
        Vec(UNIT, 10)


def test_arrays_tuples_and_fixed_bytes_have_one_length() -> None:
    assert Array(U16, 2).encode((1, 2)) == b"\1\0\2\0"
    assert Array(U16, 2).decode(b"\1\0\2\0") == (1, 2)
    assert message_of(lambda: Array(U16, 2).encode((1,))) == "[u16; 2] takes 2 elements, not 1"
    assert message_of(lambda: Array(U16, 2).decode(b"\1\0\2")) == "u16 at offset 2 needs 2 bytes, 1 are left"
    assert message_of(lambda: Tuple(U8, BOOL).encode((1,))) == "(u8, bool) takes 2 values, not 1"  # type: ignore[arg-type]
    assert FixedBytes(2).decode(b"ab") == b"ab"
    assert message_of(lambda: FixedBytes(2).encode(b"abc")) == "[u8; 2] takes 2 bytes, not 3"
    assert message_of(lambda: H256.encode(b"abc")) == "H256 takes 32 bytes, not 3"  # type: ignore[arg-type]
    assert message_of(lambda: ACCOUNT_ID.decode(b"ab")) == "AccountId32 at offset 0 needs 32 bytes, 2 are left"
    assert (UNIT.encode(()), UNIT.decode(b"")) == (b"", ())
    assert (BLOCK_NUMBER, NONCE) == (U32, U32)


def test_an_option_is_nothing_or_a_value() -> None:
    codec = Option(U8)
    assert [codec.encode(None), codec.encode(7)] == [b"\0", b"\1\7"]
    assert [codec.decode(b"\0"), codec.decode(b"\1\7")] == [None, 7]
    assert message_of(lambda: codec.decode(b"\2\7")) == "Option<u8> at offset 0 must start with 0 or 1, not 2"
    assert Option(UNIT).decode(Option(UNIT).encode(())) == ()
    assert Option(UNIT).decode(Option(UNIT).encode(None)) is None
    with pytest.raises(ValueError, match=r"^an Option of an Option has two encodings of None$"):
        Option(codec)


# Structs and enums -----------------------------------------------------------------------------------------


def test_a_struct_is_its_fields_in_order() -> None:
    data = bytes.fromhex("0300000000000000fbffffffffffffff")
    assert RATE.encode(Rate(3, -5)) == data
    assert RATE.decode(data) == Rate(3, -5)
    assert message_of(lambda: RATE.encode(Rate(-1, 0))) == "Rate.item: u64 cannot hold -1"
    assert message_of(lambda: RATE.encode(Remark(b""))) == "Rate cannot hold a Remark"  # type: ignore[arg-type]


def test_a_struct_names_exactly_the_fields_of_its_dataclass() -> None:
    with pytest.raises(ValueError, match=r"^the fields of Rate are \['item', 'rating'\], the codec lists \['item'\]$"):
        Struct(Rate, (Field("item", U64),))


@dataclass(frozen=True, slots=True)
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


def test_a_struct_that_its_dataclass_refuses_is_no_value() -> None:
    codec = Struct(Even, (Field("number", U8),))
    assert codec.decode(b"\x04") == Even(4)
    with pytest.raises(ScaleError, match=r"^Even: 5 is odd$"):
        codec.decode(b"\x05")


def test_an_enum_of_dataclasses() -> None:
    assert MODEL_CALL.encode(Rate(3, -5)) == b"\0" + RATE.encode(Rate(3, -5))
    assert MODEL_CALL.encode(Quit()) == b"\7"
    assert MODEL_CALL.decode(b"\7") == Quit()
    assert message_of(lambda: MODEL_CALL.decode(b"\1")) == "ModelCall at offset 0 has no variant 1"
    assert message_of(lambda: MODEL_CALL.encode([])) == "ModelCall has no variant for a list"  # type: ignore[arg-type]
    assert message_of(lambda: MODEL_CALL.encode(Rate(0, 2**63))) == ("Rate.rating: i64 cannot hold 9223372036854775808")


def test_an_enum_of_constants() -> None:
    assert [FAULT.encode(fault) for fault in Fault] == [b"\0", b"\1"]
    assert FAULT.decode(b"\1") is Fault.RANGE
    assert message_of(lambda: FAULT.encode("Other")) == "Fault has no variant for a str"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (Remark(b"hi"), b"\0\0\x08hi"),
        (Rate(1, 2), b"\x08\0" + RATE.encode(Rate(1, 2))),
        (Quit(), b"\x08\7"),
        (Fault.RANGE, b"\x09\1"),
    ],
)
def test_an_enum_that_stands_for_the_values_of_others(value: Remark | Rate | Quit | Fault, data: bytes) -> None:
    assert OUTCOME.encode(value) == data
    assert OUTCOME.decode(data) == value


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ((variant(0, Quit), variant(0, Remark, Field("text", Bytes(1)))), "Bad has two variants of index 0"),
        ((variant(0, Quit), variant(1, Quit)), "the values of Bad.Quit are those of another variant"),
        (
            (Variant(0, "A", value="x"), Variant(1, "B", value="x")),
            "the values of Bad.B are those of another variant",
        ),
        ((Variant(0, "A", value="x"), Variant(1, "A", value="y")), "Bad has two variants of the same name"),
        ((Variant(0, "A"),), "Bad.A needs a value or a python_type"),
        (
            (Variant(0, "A", (Field("number", U8),)),),
            "Bad.A needs a python_type: its values cannot be told apart",
        ),
        (
            (Variant(0, "A", (Field("rate", RATE), Field("more", RATE))),),
            "Bad.A needs a python_type: its values cannot be told apart",
        ),
    ],
)
def test_an_enum_whose_values_are_ambiguous_is_no_type(variants: tuple[Variant, ...], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared
        Enum("Bad", variants)
    assert str(caught.value) == message


def test_codecs_are_values_that_can_be_keys() -> None:
    again = Struct(Rate, (Field("item", Integer(64), "ItemId"), Field("rating", I64)), path=("pallet", "Rate"))
    assert again == RATE
    assert {RATE: 1, MODEL_CALL: 2, RATINGS: 3, Vec(Option(U8), 3): 4}[again] == 1
    assert Vec(U8, 3) != Vec(U8, 4)
    with pytest.raises(AttributeError):
        RATE.path = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("codec", "size"),
    [
        (U8, 1), (I128, 16), (BOOL, 1), (Compact(64), 1), (Bytes(9), 1), (Text(9), 1), (H256, 32), (UNIT, 0),
        (Vec(U64, 9), 1), (Array(U64, 3), 24), (Option(U64), 1), (Tuple(U8, U64), 9), (RATE, 16),
        (MODEL_CALL, 1), (SYSTEM_CALL, 2), (OUTCOME, 2), (RATINGS, 1), (TRIANGLE, 180),
    ],
)  # fmt: skip
def test_the_size_of_the_shortest_encoding(codec: Codec[Any], size: int) -> None:
    assert codec.min_size == size


def test_a_vec_accepts_elements_of_the_shortest_size() -> None:
    for inner in (
        BOOL,
        Compact(8),
        Bytes(1),
        Text(1),
        Option(U8),
        Vec(U8, 1),
        PackedArray(Vec(U8, 1), np.dtype("u1")),
    ):
        assert len(Vec(inner, 2).decode(b"\x08\0\0")) == 2  # type: ignore[misc]


def test_a_field_is_named_in_the_metadata_unless_it_says_otherwise() -> None:
    assert (Field("item", U64).anonymous, OUTCOME.variants[0].fields[0].anonymous) == (False, True)


# Packed arrays ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-(2**15), 2**15 - 1)), max_size=500))
def test_a_packed_vec_is_the_plain_vec(entries: list[tuple[int, int]]) -> None:
    data = RATINGS.plain.encode(entries)
    array = np.array(entries, ENTRY)
    assert RATINGS.encode(array) == data
    assert RATINGS.decode(data).tolist() == entries
    assert RATINGS.decode(data).dtype == ENTRY
    assert RATINGS.plain.decode(data) == tuple(entries)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=45, max_size=45))
def test_a_packed_array_is_the_plain_array(numbers: list[int]) -> None:
    data = TRIANGLE.plain.encode(numbers)
    assert TRIANGLE.encode(np.array(numbers, "<i4")) == data
    assert TRIANGLE.decode(data).tolist() == numbers
    assert TRIANGLE.plain.decode(data) == tuple(numbers)


@given(st.lists(st.tuples(*[st.integers(-(2**15), 2**15 - 1)] * 4), max_size=20))
def test_records_with_arrays_inside_are_packed_too(rows: list[tuple[int, int, int, int]]) -> None:
    plain = Vec(Tuple(Array(Array(I16, 2), 1), Tuple(I16, I16)), 20)
    dtype = np.dtype([("mean", "<i2", (1, 2)), ("rest", [("a", "<i2"), ("b", "<i2")])])
    codec = PackedArray(plain, dtype)
    nested = [(((row[0], row[1]),), (row[2], row[3])) for row in rows]
    array = np.array([([[row[0], row[1]]], (row[2], row[3])) for row in rows], dtype)
    assert codec.encode(array) == plain.encode(nested)
    assert codec.encode(codec.decode(plain.encode(nested))) == plain.encode(nested)
    assert codec.decode(plain.encode(nested))["rest"]["b"].tolist() == [row[3] for row in rows]


def test_a_strided_array_is_packed_in_its_own_order() -> None:
    codec = PackedArray(Vec(I32, 10), np.dtype("<i4"))
    array = np.arange(10, dtype="<i4")[::-3]
    assert codec.encode(array) == Vec(I32, 10).encode((9, 6, 3, 0))


def test_a_packed_array_is_read_only() -> None:
    with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
        TRIANGLE.decode(bytes(180))[0] = 1


@pytest.mark.parametrize(
    ("codec", "array", "message"),
    [
        (RATINGS, np.zeros(501, ENTRY), "Vec<(u32, i16)> has length 501, at most 500 is allowed"),
        (TRIANGLE, np.zeros(44, "<i4"), "[i32; 45] takes 45 elements, not 44"),
        (TRIANGLE, np.zeros(45, "<i8"), "[i32; 45] takes a vector of int32, not 1 axes of int64"),
        (TRIANGLE, np.zeros((9, 5), "<i4"), "[i32; 45] takes a vector of int32, not 2 axes of int32"),
    ],
)
def test_a_packed_array_refuses_what_the_plain_codec_would(
    codec: PackedArray[Any], array: np.ndarray[Any, Any], message: str
) -> None:
    assert message_of(lambda: codec.encode(array)) == message


def test_a_packed_array_checks_lengths_before_it_takes() -> None:
    assert message_of(lambda: RATINGS.decode(bytes.fromhex("d507"))) == (
        "Vec<(u32, i16)> at offset 0 has length 501, at most 500 is allowed"
    )
    assert message_of(lambda: RATINGS.decode(b"\x08" + bytes(11))) == (
        "Vec<(u32, i16)> at offset 0 claims length 2, only 11 bytes are left"
    )
    assert message_of(lambda: TRIANGLE.decode(bytes(179))) == ("[i32; 45] at offset 0 needs 180 bytes, 179 are left")


@pytest.mark.parametrize(
    ("plain", "dtype", "message"),
    [
        (Vec(U32, 9), np.dtype("<i4"), "the layout of int32 is not that of u32"),
        (Vec(U32, 9), np.dtype("<u8"), "the layout of uint64 is not that of u32"),
        (Vec(Compact(8), 9), np.dtype("<u1"), "the layout of uint8 is not that of Compact<u8>"),
        (Vec(Tuple(U8, BOOL), 9), np.dtype("<u2"), "the layout of uint16 is not that of (u8, bool)"),
        (Vec(U32, 9), np.dtype(">u4"), ">u4 is not a little-endian integer"),
        (Vec(U32, 9), np.dtype("<f4"), "float32 is not a little-endian integer"),
        (
            Vec(Tuple(U8, U32), 9),
            np.dtype([("a", "u1"), ("b", "<u4")], align=True),
            f"{np.dtype([('a', 'u1'), ('b', '<u4')], align=True)} has padding before b",
        ),
        (
            Vec(Tuple(U32, U8), 9),
            np.dtype([("a", "<u4"), ("b", "u1")], align=True),
            f"{np.dtype([('a', '<u4'), ('b', 'u1')], align=True)} has padding at its end",
        ),
    ],
)
def test_a_packed_array_needs_the_same_layout(plain: Vec[Any], dtype: np.dtype[Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared
        PackedArray(plain, dtype)
    assert str(caught.value) == message


# Any codec -------------------------------------------------------------------------------------------------


def composed(inner: st.SearchStrategy[Codec[Any]]) -> st.SearchStrategy[Codec[Any]]:
    limits = st.integers(0, 5)
    return st.one_of(
        st.builds(Vec, inner.filter(lambda codec: codec.min_size > 0), limits),
        st.builds(Array, inner, limits),
        st.builds(Option, inner.filter(lambda codec: not isinstance(codec, Option))),
        st.lists(inner, max_size=4).map(lambda parts: Tuple(*parts)),
        inner.map(lambda codec: Struct(Remark, (Field("text", codec),))),
        inner.map(lambda codec: Enum("Either", (variant(3, Remark, Field("text", codec)), variant(250, Quit)))),
    )


NUMBERS: list[Codec[Any]] = [U8, U32, U64, U128, I8, I16, I64, I128, BOOL, *map(Compact, (8, 64, 128))]
OTHERS: list[Codec[Any]] = [
    Bytes(6),
    Text(6),
    FixedBytes(3),
    ACCOUNT_ID,
    UNIT,
    RATE,
    MODEL_CALL,
    FAULT,
    OUTCOME,
]
LEAVES = st.sampled_from(NUMBERS + OTHERS)
CODECS = st.recursive(LEAVES, composed, max_leaves=6)


def values(codec: Codec[Any]) -> st.SearchStrategy[Any]:
    """Values of any codec: a walk over its structure, as the metadata's will be."""
    match codec:
        case Integer(bits, signed):
            low = -(1 << bits - 1) if signed else 0
            return st.integers(low, low + (1 << bits) - 1)
        case Boolean():
            return st.booleans()
        case Compact(bits):
            return st.integers(0, (1 << bits) - 1)
        case Bytes(limit):
            return st.binary(max_size=limit)
        case Text(limit):
            return st.text(max_size=limit).filter(lambda text: len(text.encode()) <= limit)
        case FixedBytes(length):
            return st.binary(min_size=length, max_size=length)
        case Vec(inner, limit):
            return st.lists(values(inner), max_size=limit).map(tuple)
        case Array(inner, length):
            return st.tuples(*[values(inner)] * length)
        case Option(inner):
            return st.none() | values(inner)
        case Tuple():
            return st.tuples(*map(values, codec.inner))
        case Struct():
            return st.builds(codec.python_type, *[values(part.codec) for part in codec.fields])
        case Enum():
            return st.one_of([variant_values(case) for case in codec.variants])
    raise AssertionError(codec)


def variant_values(case: Variant) -> st.SearchStrategy[Any]:
    if case.python_type is not None:
        return st.builds(case.python_type, *[values(part.codec) for part in case.fields])
    return values(case.fields[0].codec) if case.fields else st.just(case.value)


@given(st.data())
def test_every_value_comes_back(data: st.DataObject) -> None:
    codec = data.draw(CODECS)
    value = data.draw(values(codec))
    encoded = codec.encode(value)
    assert len(encoded) >= codec.min_size
    assert codec.decode(encoded) == value


@given(st.data())
def test_any_bytes_are_an_error_or_the_one_encoding_of_their_value(data: st.DataObject) -> None:
    codec = data.draw(CODECS)
    raw = bytearray(codec.encode(data.draw(values(codec))))
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(raw)))
        raw[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        value = codec.decode(bytes(raw))
    except ScaleError:
        return
    assert codec.encode(value) == raw


@given(st.data())
def test_no_prefix_of_an_encoding_is_an_encoding(data: st.DataObject) -> None:
    codec = data.draw(CODECS.filter(lambda codec: codec.min_size > 0))
    encoded = codec.encode(data.draw(values(codec)))
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ScaleError):
        codec.decode(encoded[:cut])


@given(st.binary(max_size=80))
def test_any_bytes_at_all(raw: bytes) -> None:
    codecs: list[Codec[Any]] = [OUTCOME, RATINGS, Vec(Vec(Text(9), 9), 9), Vec(Option(RATE), 9), Compact(536)]
    for codec in codecs:
        try:
            value = codec.decode(raw)
        except ScaleError:
            continue
        assert codec.encode(value) == raw


def test_result() -> None:
    outcome = Result(U8, Text(10))
    for value, data in ((7, "0007"), (Err("no"), "01086e6f")):
        assert outcome.encode(value).hex() == data
        assert outcome.decode(bytes.fromhex(data)) == value
    assert (outcome.label, outcome.min_size) == ("Result<u8, Text>", 2)
    with pytest.raises(ScaleError) as caught:
        outcome.decode(b"\x02\x00")
    assert str(caught.value) == "Result<u8, Text> at offset 0 must start with 0 or 1, not 2"


def test_a_result_of_a_result_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an Err in a Result of a Result could be the error of either$"):
        Result(Result(U8, U8), U8)


def test_what_is_only_described_has_no_codec() -> None:
    assert (Described("Moon").label, Described("Moon").min_size) == ("Moon", 1)
    with pytest.raises(NotImplementedError):
        Described("Moon").encode(b"")


def test_names_that_python_has_taken() -> None:
    assert (shown_name("class_"), shown_name("pays_fee")) == ("class", "pays_fee")
