import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.header import (
    MAX_BODY_BYTES,
    MAX_DIGEST_ITEMS,
    MAX_DIGEST_PAYLOAD,
    Block,
    DigestItem,
    DigestKind,
    Header,
    HeaderError,
    decode_body,
    encode_body,
)
from runtime.primitives import ZERO_HASH, BlockNumber, Hash, from_hex, to_hex
from runtime.scale import ScaleError, encode_compact

VECTORS = Path(__file__).parents[1] / "vectors"
SEALED = json.loads((VECTORS / "header.json").read_text())
GENESIS = json.loads((VECTORS / "header_genesis_public.json").read_text())
REAL = json.loads((VECTORS / "header_real_runtime.json").read_text())

EMPTY = Header(ZERO_HASH, BlockNumber(0), ZERO_HASH, ZERO_HASH)

hashes = st.binary(min_size=32, max_size=32).map(Hash)
engines = st.binary(min_size=4, max_size=4)
digest_items = st.one_of(
    st.builds(DigestItem, st.just(DigestKind.OTHER), st.just(b""), st.binary(max_size=80)),
    st.builds(
        DigestItem,
        st.sampled_from([DigestKind.CONSENSUS, DigestKind.SEAL, DigestKind.PRE_RUNTIME]),
        engines,
        st.binary(max_size=80),
    ),
    st.just(DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED)),
)
headers = st.builds(
    Header,
    hashes,
    st.integers(0, 2**32 - 1).map(BlockNumber),
    hashes,
    hashes,
    st.lists(digest_items, max_size=6).map(tuple),
)
extrinsics = st.binary(max_size=200).map(lambda payload: encode_compact(len(payload)) + payload)
blocks = st.builds(Block, headers, st.lists(extrinsics, max_size=8).map(tuple))


@pytest.mark.parametrize("vector", GENESIS, ids=lambda vector: vector["chain"])
def test_genesis_headers_of_public_chains_have_their_public_hashes(vector: dict[str, Any]) -> None:
    header = Header.from_json(vector["header"])
    assert to_hex(header.encode()) == vector["header_scale"]
    assert to_hex(header.hash()) == vector["well_known_genesis_hash"]
    assert header.to_json() == vector["header"]
    assert Header.decode(from_hex(vector["header_scale"])) == header


def test_a_sealed_header_is_read_item_by_item() -> None:
    header = Header.from_json(SEALED["header_json"])
    assert header == Header.decode(from_hex(SEALED["header_scale"]))
    author = from_hex("0x88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee")
    assert header.digest[0] == DigestItem(DigestKind.PRE_RUNTIME, b"pow_", author)
    assert (header.digest[1].kind, header.digest[1].engine) == (DigestKind.CONSENSUS, b"mlpw")
    assert (header.digest[2].kind, len(header.digest[2].payload)) == (DigestKind.SEAL, 40)
    assert header.number == 12
    assert to_hex(header.hash()) == SEALED["hash"]
    assert header.to_json() == SEALED["header_json"]


def test_a_header_of_a_real_runtime_whose_number_has_leading_zeros() -> None:
    header = Header.from_json(REAL["header_json"])
    assert header.digest == (DigestItem(DigestKind.PRE_RUNTIME, b"aura", bytes.fromhex("a4ced51100000000")),)
    assert to_hex(header.hash()) == REAL["hash"]
    assert header.to_json()["number"] == "0x3"


def test_the_body_of_a_real_block_is_its_extrinsics_one_after_the_other() -> None:
    raws = tuple(from_hex(text) for text in REAL["extrinsics"])
    block = Block(Header.from_json(REAL["header_json"]), raws)
    assert encode_body(raws) == b"\x0c" + b"".join(raws)
    assert decode_body(encode_body(raws)) == raws
    assert block.encode() == block.header.encode() + encode_body(raws)
    assert Block.decode(block.encode()) == block


def test_a_changed_copy_has_a_hash_of_its_own() -> None:
    first = EMPTY.hash()
    second = replace(EMPTY, number=BlockNumber(1))
    assert EMPTY.hash() == first
    assert second.hash() != first
    unhashed = Header(ZERO_HASH, BlockNumber(0), ZERO_HASH, ZERO_HASH)
    assert unhashed == EMPTY


@given(headers)
def test_headers_come_back_from_bytes_and_json(header: Header) -> None:
    assert Header.decode(header.encode()) == header
    assert Header.from_json(json.loads(json.dumps(header.to_json()))) == header


@given(blocks)
def test_blocks_come_back(block: Block) -> None:
    assert Block.decode(block.encode()) == block


@given(blocks, st.data())
def test_changed_bytes_are_an_error_or_another_block(block: Block, data: st.DataObject) -> None:
    raw = bytearray(block.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw)))
        raw[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        other = Block.decode(bytes(raw))
    except ScaleError:
        return
    assert other.encode() == raw


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error_or_come_back(raw: bytes) -> None:
    prefixed = bytes(32) + b"\4" + bytes(64) + raw
    try:
        header = Header.decode(prefixed)
    except ScaleError:
        return
    assert header.encode() == prefixed


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "parent hash at offset 0 needs 32 bytes, 0 are left"),
        (bytes(32), "Compact<u32> at offset 32 needs 1 byte, none is left"),
        (bytes(32) + b"\x07" + bytes(4) + b"\1", "Compact<u32> at offset 32 does not fit 32 bits"),
        (bytes(33) + bytes(31), "state root at offset 33 needs 32 bytes, 31 are left"),
        (bytes(65) + bytes(31), "extrinsics root at offset 65 needs 32 bytes, 31 are left"),
        (bytes(97) + b"\x84" + bytes(99), "digest at offset 97 has length 33, at most 32 is allowed"),
        (bytes(97) + b"\x04\x01", "digest item at offset 98 has an unknown tag 1"),
        (bytes(97) + b"\x04\x05abc", "engine id at offset 99 needs 4 bytes, 3 are left"),
        (
            bytes(97) + b"\x04\x05abcd\x04",
            "digest payload at offset 103 claims length 1, only 0 bytes are left",
        ),
        (
            bytes(97) + b"\x04\x00\x06\x00\x04\x00",
            "digest payload at offset 99 has length 65537, at most 65536 is allowed",
        ),
        (bytes(99), "header ends at offset 98, 1 bytes are left over"),
    ],
)
def test_a_malformed_header_says_what_and_where(raw: bytes, message: str) -> None:
    with pytest.raises(ScaleError) as caught:
        Header.decode(raw)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body at offset 0 needs 1 byte, none is left"),
        (encode_compact(65_537), "body at offset 0 has length 65537, at most 65536 is allowed"),
        (b"\x08\0", "body at offset 0 claims length 2, only 1 bytes are left"),
        (b"\x04\x08a", "extrinsic at offset 1 claims length 2, only 1 bytes are left"),
        (b"\x04\x01\x00", "extrinsic at offset 1 is longer than its value 0 needs"),
        (b"\0\0", "body ends at offset 1, 1 bytes are left over"),
        (bytes(MAX_BODY_BYTES + 1), "body has 5242881 bytes, at most 5242880 are allowed"),
    ],
    ids=itertools.count(),
)
def test_a_malformed_body_says_what_and_where(body: bytes, message: str) -> None:
    with pytest.raises(ScaleError) as caught:
        decode_body(body)
    assert str(caught.value) == message


def test_digest_items_without_a_wire_form_are_not_made() -> None:
    with pytest.raises(HeaderError, match=r"^a SEAL digest item has an engine id of 4 bytes$"):
        DigestItem(DigestKind.SEAL, b"abc")
    with pytest.raises(HeaderError, match=r"^a OTHER digest item has an engine id of 0 bytes$"):
        DigestItem(DigestKind.OTHER, b"abcd")
    with pytest.raises(HeaderError, match=r"^a digest payload holds 65536 bytes at most$"):
        DigestItem(DigestKind.OTHER, b"", bytes(MAX_DIGEST_PAYLOAD + 1))
    with pytest.raises(HeaderError, match=r"^a RUNTIME_ENVIRONMENT_UPDATED digest item has no payload$"):
        DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED, b"", b"a")


def test_a_number_may_have_16_digits() -> None:
    assert Header.from_json(EMPTY.to_json() | {"number": "0x00000000ffffffff"}).number == 2**32 - 1


def test_the_largest_body_is_still_read() -> None:
    payload = bytes(MAX_BODY_BYTES - 5)
    body = (encode_compact(len(payload)) + payload,)
    assert len(encode_body(body)) == MAX_BODY_BYTES
    assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parentHash": None}, "header member parentHash is missing or of a wrong type"),
        ({"parentHash": "0x00"}, "header member parentHash: hex text must hold 32 bytes, this one holds 1"),
        ({"stateRoot": "00" * 32}, "header member stateRoot: hex text must start with 0x"),
        ({"extrinsicsRoot": 7}, "header member extrinsicsRoot is missing or of a wrong type"),
        ({"number": 7}, "header member number must be a hexadecimal number such as 0x1f"),
        ({"number": "0x"}, "header member number must be a hexadecimal number such as 0x1f"),
        ({"number": "0x1_0"}, "header member number must be a hexadecimal number such as 0x1f"),
        ({"number": "0xg"}, "header member number must be a hexadecimal number such as 0x1f"),
        ({"number": "0x" + "0" * 17}, "header member number must be a hexadecimal number such as 0x1f"),
        ({"number": "0x100000000"}, "header member number does not fit 32 bits"),
        ({"digest": []}, "header member digest is missing or of a wrong type"),
        ({"digest": {}}, "header member logs is missing or of a wrong type"),
        ({"digest": {"logs": [3]}}, "header member digest.logs[0] is missing or of a wrong type"),
        ({"digest": {"logs": ["0x08", "0x07"]}}, "digest item at offset 0 has an unknown tag 7"),
        ({"digest": {"logs": ["0x0800"]}}, "digest item ends at offset 1, 1 bytes are left over"),
        (
            {"digest": {"logs": ["0x08"] * (MAX_DIGEST_ITEMS + 1)}},
            "digest.logs has 33 entries, at most 32 are allowed",
        ),
    ],
)
def test_malformed_json_says_which_member(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScaleError) as caught:
        Header.from_json(EMPTY.to_json() | changes)
    assert str(caught.value) == message
