"""How parameters are read from JSON: what passes, and what each refusal says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc.errors import RpcError
from rpc.parameters import (
    BLOCK_NUMBERS,
    BOOLEAN,
    BYTES,
    EXTRINSIC_PLACE,
    HASH,
    ITEM,
    KEYS,
    PAIRS,
    RATING,
    RECOMMEND_OPTIONS,
    SUBSCRIPTION,
    TEXT,
    Kind,
    Pairs,
    clip,
    count,
    parse_account,
    parse_number,
)
from rpc.service import RecommendOptions, RecommendOrder
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, to_hex

ACCOUNT = AccountId(bytes(range(32)))
ADDRESS = ss58_encode(ACCOUNT)
BLOCK = "must be a block number: a whole number from 0 to 2^64 - 1, or the same in 0x-hex"
AN_ITEM = "must be an item: a whole number from 0 to 2^64 - 1, or the same as a decimal string"
AN_ACCOUNT = "must be an SS58 address or 0x-hex"
COUNT = count(10, "things")


def refusal(kind: Kind, value: object) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        kind.parse(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (BYTES, "0x", b""),
        (BYTES, "0xAbcd", b"\xab\xcd"),
        (HASH, "0x" + "0f" * 32, b"\x0f" * 32),
        (BLOCK_NUMBERS, 0, 0),
        (BLOCK_NUMBERS, 2**64 - 1, 2**64 - 1),
        (BLOCK_NUMBERS, "0x1f", 31),
        (BLOCK_NUMBERS, "0x001F", 31),
        (BLOCK_NUMBERS, "0x0", 0),
        (BLOCK_NUMBERS, "0xffffffffffffffff", 2**64 - 1),
        (BLOCK_NUMBERS, [1, "0x2"], [1, 2]),
        (ITEM, 0, 0),
        (ITEM, 2**64 - 1, 2**64 - 1),
        (ITEM, "18446744073709551615", 2**64 - 1),
        (ITEM, "007", 7),
        (RATING, -(2**63), -(2**63)),
        (RATING, 5, 5),
        (TEXT, "a" * 1_024, "a" * 1_024),
        (BOOLEAN, True, True),
        (KEYS, ["0x", "0x01"], [b"", b"\x01"]),
        (KEYS, [], []),
        (EXTRINSIC_PLACE, 0, 0),
        (EXTRINSIC_PLACE, "0x" + "ab" * 32, b"\xab" * 32),
        (SUBSCRIPTION, "a", "a"),
        (SUBSCRIPTION, 7, "7"),
        (COUNT, 10, 10),
        (COUNT, 0, 0),
        (PAIRS, [], Pairs([], [])),
        (PAIRS, [[ADDRESS, 1], [to_hex(ACCOUNT), "2"]], Pairs([ACCOUNT, ACCOUNT], [1, 2])),
        (RECOMMEND_OPTIONS, {}, RecommendOptions()),
        (
            RECOMMEND_OPTIONS,
            {"includeRated": True, "minRatings": 9, "order": "optimistic"},
            RecommendOptions(include_rated=True, min_ratings=9, order=RecommendOrder.OPTIMISTIC),
        ),
    ],
    ids=lambda value: "" if isinstance(value, Kind) else repr(value)[:30],
)
def test_accepted(kind: Kind, value: object, parsed: object) -> None:
    assert kind.parse(value) == parsed


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (BYTES, None, "must be 0x-hex, not null"),
        (BYTES, {}, "must be 0x-hex, not an object"),
        (BYTES, "0x1", "must be 0x-hex: hex text must have an even number of digits, this one has 1"),
        (BYTES, "0xzz", "must be 0x-hex: hex text holds a character that is not a hexadecimal digit"),
        (BYTES, "0x\u0661\u0661", "must be 0x-hex: hex text holds a character that is not a hexadecimal digit"),
        (HASH, 1, "must be a hash in 0x-hex, not a number"),
        (HASH, "0x00", "must be a hash in 0x-hex: hex text must hold 32 bytes, this one holds 1"),
        (BLOCK_NUMBERS, -1, BLOCK),
        (BLOCK_NUMBERS, 2**64, BLOCK),
        (BLOCK_NUMBERS, 1.0, BLOCK),
        (BLOCK_NUMBERS, True, BLOCK),
        (BLOCK_NUMBERS, "1", BLOCK),
        (BLOCK_NUMBERS, "0x", BLOCK),
        (BLOCK_NUMBERS, "0x-1", BLOCK),
        (BLOCK_NUMBERS, "0x1_0", BLOCK),
        (BLOCK_NUMBERS, "0x\u0661", BLOCK),
        (BLOCK_NUMBERS, "0x10000000000000000", BLOCK),
        (BLOCK_NUMBERS, [1, "x"], BLOCK),
        (BLOCK_NUMBERS, [[1]], BLOCK),
        (ITEM, -1, AN_ITEM),
        (ITEM, 2**64, AN_ITEM),
        (ITEM, True, AN_ITEM),
        (ITEM, 1.0, AN_ITEM),
        (ITEM, None, AN_ITEM),
        (ITEM, "", AN_ITEM),
        (ITEM, "-1", AN_ITEM),
        (ITEM, "1 ", AN_ITEM),
        (ITEM, "0x1", AN_ITEM),
        (ITEM, "\u0661", AN_ITEM),
        (ITEM, "\u00b2", AN_ITEM),
        (ITEM, "18446744073709551616", AN_ITEM),
        (ITEM, "0" * 5_000, AN_ITEM),
        (RATING, 2**63, "must be a rating: a whole number of 64 bits"),
        (RATING, "1", "must be a rating: a whole number of 64 bits"),
        (RATING, False, "must be a rating: a whole number of 64 bits"),
        (TEXT, 1, "must be a string, not a number"),
        (TEXT, "a" * 1_025, "must be a string of 1024 characters at most"),
        (BOOLEAN, 1, "must be true or false, not a number"),
        (KEYS, "0x01", "must be an array of 0x-hex, not a string"),
        (KEYS, ["0x01", 5], "entry 1 must be 0x-hex, not a number"),
        (EXTRINSIC_PLACE, -1, "must be an extrinsic's index in its block, or its hash in 0x-hex"),
        (EXTRINSIC_PLACE, "0x", "must be a hash in 0x-hex: hex text must hold 32 bytes, this one holds 0"),
        (SUBSCRIPTION, None, "must be a subscription's id, not null"),
        (SUBSCRIPTION, True, "must be a subscription's id, not a boolean"),
        (COUNT, -1, "must be a whole number from 0 to 10"),
        (COUNT, "1", "must be a whole number from 0 to 10"),
        (COUNT, True, "must be a whole number from 0 to 10"),
        (PAIRS, None, "must be an array of [account, item], not null"),
        (PAIRS, [[ADDRESS, 1], ADDRESS], "entry 1 must be [account, item]"),
        (PAIRS, [[ADDRESS, 1, 2]], "entry 0 must be [account, item]"),
        (PAIRS, [[ADDRESS, -1]], f"entry 0 {AN_ITEM}"),
        (PAIRS, [[ADDRESS, 1], [1, 1]], f"entry 1 {AN_ACCOUNT}, not a number"),
        (RECOMMEND_OPTIONS, [], "must be an object, not an array"),
        (
            RECOMMEND_OPTIONS,
            {"x" * 99: 1},
            f"has an unknown member {'x' * 40}...: known are includeRated, minRatings and order",
        ),
        (RECOMMEND_OPTIONS, {"includeRated": 1}, "has a wrong member includeRated: it is true or false"),
        (
            RECOMMEND_OPTIONS,
            {"minRatings": -1},
            "has a wrong member minRatings: it is a whole number from 0 to 2^32 - 1",
        ),
        (
            RECOMMEND_OPTIONS,
            {"order": "best"},
            "has a wrong member order: it is mean, optimistic or pessimistic",
        ),
        (RECOMMEND_OPTIONS, {"order": []}, "has a wrong member order: it is mean, optimistic or pessimistic"),
    ],
    ids=lambda value: "" if isinstance(value, Kind) else repr(value)[:30],
)
def test_refused(kind: Kind, value: object, message: str) -> None:
    assert refusal(kind, value) == message


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (KEYS, ["0x"] * 1_001, "too many keys: at most 1000"),
        (BLOCK_NUMBERS, [0] * 1_001, "too many block numbers: at most 1000"),
        (PAIRS, [[ADDRESS, 0]] * 10_001, "too many pairs: at most 10000"),
        (COUNT, 11, "too many things: at most 10"),
    ],
    ids=["keys", "block numbers", "pairs", "count"],
)
def test_too_many(kind: Kind, value: object, message: str) -> None:
    with pytest.raises(RpcError, match=f"^{message}$") as caught:
        kind.parse(value)
    assert caught.value.reason == "TooMany"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, f"{AN_ACCOUNT}, not a number"),
        ("", f"{AN_ACCOUNT}: address is not base58 text"),
        ("0x00", f"{AN_ACCOUNT}: account id: hex text must hold 32 bytes, this one holds 1"),
        (ADDRESS[:-1] + "x", f"{AN_ACCOUNT}: address has a wrong checksum: it is mistyped or cut"),
        ("a" * 129, f"{AN_ACCOUNT}: it is longer than 128 characters"),
    ],
)
def test_what_is_no_account(value: object, message: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r".") as caught:
            parse_account(value)
        assert str(caught.value) == message


def test_accounts_of_any_network() -> None:
    assert parse_account(ADDRESS) == parse_account(to_hex(ACCOUNT)) == parse_account(ss58_encode(ACCOUNT, 0)) == ACCOUNT


@given(st.integers(0, 2**64 - 1))
def test_every_number_reads_the_same_in_hex(number: int) -> None:
    assert parse_number(hex(number)) == parse_number(number) == number
    assert ITEM.parse(str(number)) == number


def test_what_callers_wrote_is_shown_cut() -> None:
    assert clip("short") == "short"
    assert clip("l" * 41) == "l" * 40 + "..."
