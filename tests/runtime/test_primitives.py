import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.primitives import (
    ZERO_HASH,
    BlockNumber,
    BlockRef,
    Hash,
    HexError,
    blake2b_64,
    blake2b_128,
    blake2b_128_concat,
    blake2b_256,
    from_hex,
    to_hex,
    twox_64,
    twox_64_concat,
    twox_128,
    twox_256,
)

VECTORS = Path(__file__).parents[1] / "vectors"
STORAGE_KEYS = json.loads((VECTORS / "storage_keys.json").read_text())


@pytest.mark.parametrize("vector", STORAGE_KEYS["hash_vectors"], ids=lambda vector: vector["input"])
def test_twox_hashes_are_those_of_the_public_vectors(vector: dict[str, str]) -> None:
    data = vector["input"].encode()
    assert to_hex(twox_64(data)) == vector["twox64"]
    assert to_hex(twox_128(data)) == vector["twox128"]
    assert to_hex(twox_256(data)) == vector["twox256"]


@pytest.mark.parametrize(
    "vector", STORAGE_KEYS["storage_keys"], ids=lambda vector: f"{vector['pallet']}.{vector['item']}"
)
def test_hashers_compose_the_public_storage_keys(vector: dict[str, str | None]) -> None:
    hashers = {"blake2_128_concat": blake2b_128_concat, "twox64_concat": twox_64_concat}
    pallet, item, hasher, key = (vector[name] for name in ("pallet", "item", "hasher", "key"))
    assert pallet is not None
    assert item is not None
    suffix = hashers[hasher](from_hex(key)) if hasher is not None and key is not None else b""
    assert to_hex(twox_128(pallet.encode()) + twox_128(item.encode()) + suffix) == vector["storage_key"]


@given(st.binary(max_size=300))
def test_blake2b_is_that_of_hashlib_at_each_digest_size(data: bytes) -> None:
    assert blake2b_256(data) == hashlib.blake2b(data, digest_size=32).digest()
    assert blake2b_128(data) == hashlib.blake2b(data, digest_size=16).digest()
    assert blake2b_64(data) == hashlib.blake2b(data, digest_size=8).digest()


def test_the_prepared_hashers_keep_nothing_of_what_they_hashed() -> None:
    # A trie without entries has this root on every Substrate chain.
    empty_root = "0x03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"
    assert [to_hex(blake2b_256(b"\0")) for _ in range(3)] == [empty_root] * 3


def test_block_refs_are_values() -> None:
    genesis = BlockRef(BlockNumber(0), ZERO_HASH)
    assert genesis == BlockRef(BlockNumber(0), Hash(bytes(32)))
    assert genesis != BlockRef(BlockNumber(1), ZERO_HASH)
    assert len({genesis, BlockRef(BlockNumber(0), ZERO_HASH)}) == 1


@given(st.binary(max_size=100))
def test_hex_round_trip_in_either_case(data: bytes) -> None:
    text = to_hex(data)
    assert text == "0x" + data.hex()
    assert from_hex(text) == from_hex("0x" + data.hex().upper()) == data
    assert from_hex(text, len(data)) == data


@pytest.mark.parametrize(
    ("text", "length", "message"),
    [
        ("", None, "hex text must start with 0x"),
        ("ab", None, "hex text must start with 0x"),
        ("0Xab", None, "hex text must start with 0x"),
        (" 0xab", None, "hex text must start with 0x"),
        ("0xabc", None, "hex text must have an even number of digits, this one has 3"),
        ("0xab", 2, "hex text must hold 2 bytes, this one holds 1"),
        ("0x", 32, "hex text must hold 32 bytes, this one holds 0"),
        ("0xzz", None, "hex text holds a character that is not a hexadecimal digit"),
        ("0xa b ", None, "hex text holds a character that is not a hexadecimal digit"),
        ("0x+1", None, "hex text holds a character that is not a hexadecimal digit"),
        ("0x\u0661\u0661", None, "hex text holds a character that is not a hexadecimal digit"),
    ],
)
def test_from_hex_says_what_is_wrong(text: str, length: int | None, message: str) -> None:
    with pytest.raises(HexError) as caught:
        from_hex(text, length)
    assert str(caught.value) == message


@given(st.text(max_size=20))
def test_from_hex_of_any_text_gives_bytes_or_a_hex_error(text: str) -> None:
    try:
        data = from_hex("0x" + text)
    except HexError:
        return
    assert to_hex(data) == "0x" + text.lower()
