import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.crypto import Scheme, verify
from runtime.extrinsic import (
    EXTRINSIC,
    IMMORTAL,
    MAX_EXTRINSIC_BYTES,
    Era,
    Extrinsic,
    ExtrinsicError,
    Signature,
    extrinsic_hash,
    sign_extrinsic,
    signing_payload,
)
from runtime.keys import key_pair_from_uri
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash, Nonce, blake2b_256, from_hex, to_hex
from runtime.scale import NONCE, U8, Compact, FixedBytes, Reader, ScaleError, encode_compact

VECTORS = Path(__file__).parents[1] / "vectors"
ERAS = json.loads((VECTORS / "era.json").read_text())
SIGNED = json.loads((VECTORS / "extrinsic_v4.json").read_text())["vectors"]
REAL = json.loads((VECTORS / "header_real_runtime.json").read_text())["extrinsics"]

ALICE = key_pair_from_uri("//Alice", Scheme.ED25519)
RAW = from_hex(SIGNED[1]["extrinsic"])

eras = st.just(IMMORTAL) | st.builds(Era.mortal, st.integers(1, 100_000), st.integers(0, 2**32 - 1))
signatures = st.builds(
    Signature,
    st.binary(min_size=32, max_size=32).map(AccountId),
    st.sampled_from(Scheme),
    st.binary(min_size=64, max_size=64),
    eras,
    st.integers(0, 2**32 - 1).map(Nonce),
)
calls = st.binary(min_size=2, max_size=400)
extrinsics = st.builds(Extrinsic, st.none() | signatures, calls)


def by_the_codecs(raw: bytes) -> Extrinsic:
    """The same decoding, field by field: what the offsets of the real one must agree with."""
    reader = Reader(raw)
    length = reader.compact()
    if length != reader.remaining or U8.read(reader) not in (0x04, 0x84):
        raise ScaleError("length or version")
    signature = None
    if raw[reader.offset - 1] == 0x84:
        if U8.read(reader) != 0:
            raise ScaleError("address")
        account = AccountId(FixedBytes(32).read(reader))
        tag = U8.read(reader)
        if tag not in (0, 1):
            raise ScaleError("scheme")
        value = FixedBytes(64).read(reader)
        first = U8.read(reader)
        era = Era.decode(bytes((first,)) if first == 0 else bytes((first, U8.read(reader))))
        signature = Signature(account, Scheme(tag), value, era, Nonce(Compact(32).read(reader)))
    call = reader.take(reader.remaining)
    if len(call) < 2:
        raise ScaleError("call")
    return Extrinsic(signature, call)


# Eras ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", ERAS["vectors"], ids=lambda vector: vector["hex"])
def test_eras_are_those_of_the_public_vectors(vector: dict[str, Any]) -> None:
    era = Era(vector["period"], vector["phase"])
    assert to_hex(era.encode()) == vector["hex"]
    assert Era.decode(from_hex(vector["hex"])) == era
    assert not era.is_immortal


def test_the_era_of_a_period_and_a_block_is_rounded_as_clients_do() -> None:
    example = ERAS["object_example"]
    era = Era.mortal(example["period"], example["current"])
    assert era == Era(example["gives"]["period"], example["gives"]["phase"])
    assert to_hex(era.encode()) == example["gives"]["hex"]
    assert [Era.mortal(period, 0).period for period in (0, 1, 4, 5, 64, 65, 65_536, 65_537)] == [
        4, 4, 4, 8, 64, 128, 65_536, 65_536,
    ]  # fmt: skip


def test_birth_and_death_frame_the_current_block() -> None:
    example = ERAS["birth_death"]
    era, current = Era.decode(from_hex(example["hex"])), BlockNumber(example["current"])
    assert (era.birth(current), era.death(current)) == (example["birth"], example["death"])
    assert (era.birth(BlockNumber(0)), era.death(BlockNumber(0))) == (60, 124)


def test_the_immortal_era_begins_at_genesis_and_never_ends() -> None:
    assert to_hex(IMMORTAL.encode()) == ERAS["immortal"]
    assert Era.decode(from_hex(ERAS["immortal"])) is Era.immortal() is IMMORTAL
    assert IMMORTAL.is_immortal
    assert (IMMORTAL.birth(BlockNumber(9)), IMMORTAL.death(BlockNumber(9))) == (0, 2**64 - 1)


@given(st.integers(0, 70_000), st.integers(0, 2**32 - 1))
def test_a_mortal_era_holds_the_block_it_was_made_for(period: int, current: int) -> None:
    era, block = Era.mortal(period, current), BlockNumber(current)
    assert era.birth(block) <= current < era.death(block)
    assert current - era.birth(block) < max(era.period >> 12, 1)
    assert era.death(block) - era.birth(block) == era.period >= min(period, 65_536)
    assert era.birth(BlockNumber(era.death(block) - 1)) == era.birth(block)


def test_every_two_bytes_are_one_era_or_none() -> None:
    seen = set()
    for word in range(1 << 16):
        data = word.to_bytes(2, "little")
        try:
            era = Era.decode(data)
        except ExtrinsicError:
            continue
        assert era.encode() == data
        seen.add(era)
    # Periods 4 to 4,096 have a phase for each block, longer ones 4,096 phases; no era begins with 0.
    assert len(seen) == sum(min(1 << exponent, 4096) for exponent in range(2, 17))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "an era is the byte 00 or two bytes"),
        ("01", "an era is the byte 00 or two bytes"),
        ("850200", "an era is the byte 00 or two bytes"),
        ("0000", "an era's period is a power of two from 4 to 65536, not 2"),
        ("4100", "an era's phase is a multiple of 1 below 4, not 4"),
    ],
)
def test_a_malformed_era_says_why(data: str, message: str) -> None:
    with pytest.raises(ExtrinsicError) as caught:
        Era.decode(bytes.fromhex(data))
    assert str(caught.value) == message


@pytest.mark.parametrize(("period", "phase"), [(5, 0), (2, 0), (1 << 17, 0), (0, 1), (64, -1), (8192, 1)])
def test_an_era_without_a_wire_form_is_not_made(period: int, phase: int) -> None:
    with pytest.raises(ExtrinsicError):
        Era(period, phase)


# Extrinsics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["name"])
def test_extrinsics_that_a_public_client_signed(vector: dict[str, Any]) -> None:
    raw, call, era = (
        from_hex(vector["extrinsic"]),
        from_hex(vector["call"]),
        Era.decode(from_hex(vector["era"])),
    )
    genesis, birth = Hash(from_hex(vector["genesis_hash"])), Hash(from_hex(vector["block_hash"]))
    nonce, versions = Nonce(vector["nonce"]), (vector["spec_version"], vector["transaction_version"])
    payload = signing_payload(call, era, nonce, *versions, genesis, birth)
    assert to_hex(payload) == vector["signed_message"]
    assert payload in (from_hex(vector["signing_payload"]), blake2b_256(from_hex(vector["signing_payload"])))
    extrinsic = Extrinsic.decode(raw)
    signed = extrinsic.signature
    assert signed is not None
    assert (signed.account, signed.scheme, signed.era, signed.nonce) == (
        ALICE.public,
        Scheme.ED25519,
        era,
        nonce,
    )
    assert extrinsic.call == call
    assert verify(signed.scheme, signed.account, payload, signed.value)
    assert extrinsic.encode() == raw
    assert to_hex(extrinsic_hash(raw)) == vector["extrinsic_hash"]
    assert sign_extrinsic(ALICE, call, era, nonce, *versions, genesis, birth) == raw


@pytest.mark.parametrize("text", REAL)
def test_extrinsics_of_a_real_runtime_come_back(text: str) -> None:
    assert to_hex(Extrinsic.decode(from_hex(text)).encode()) == text


def test_fields_of_a_real_runtimes_extrinsics() -> None:
    assert Extrinsic.decode(from_hex(REAL[0])) == Extrinsic(None, bytes.fromhex("02000bda2f1b03a201"))
    signed = Extrinsic.decode(from_hex(REAL[2])).signature
    assert signed is not None
    assert (signed.account, signed.era, signed.nonce) == (ALICE.public, IMMORTAL, 101)


def test_a_payload_of_256_bytes_is_signed_as_it_is_and_a_longer_one_by_its_hash() -> None:
    rest = 1 + 1 + 4 + 4 + 32 + 32
    for size, hashed in ((256, False), (257, True)):
        call = bytes(size - rest)
        payload = signing_payload(call, IMMORTAL, Nonce(0), 0, 0, ZERO_HASH, ZERO_HASH)
        assert payload == (blake2b_256(bytes(size)) if hashed else bytes(size))


@pytest.mark.parametrize("scheme", Scheme)
def test_a_signed_extrinsic_is_valid_for_its_own_chain_only(scheme: Scheme) -> None:
    pair, era, genesis = key_pair_from_uri("//Bob", scheme), Era.mortal(64, 1000), Hash(b"g" * 32)
    raw = sign_extrinsic(pair, b"\x08\x00abc", era, Nonce(300), 100, 1, genesis, ZERO_HASH)
    extrinsic = Extrinsic.decode(raw)
    signed = extrinsic.signature
    assert signed is not None
    assert (signed.account, signed.scheme, signed.era, signed.nonce) == (pair.public, scheme, era, 300)

    def valid(genesis_hash: Hash, spec_version: int = 100) -> bool:
        payload = signing_payload(extrinsic.call, era, Nonce(300), spec_version, 1, genesis_hash, ZERO_HASH)
        return verify(scheme, pair.public, payload, signed.value)

    assert valid(genesis)
    assert not valid(ZERO_HASH)
    assert not valid(genesis, spec_version=101)


@given(extrinsics)
def test_extrinsics_come_back(extrinsic: Extrinsic) -> None:
    raw = extrinsic.encode()
    assert Extrinsic.decode(raw) == extrinsic == by_the_codecs(raw)


@given(extrinsics, st.data())
def test_changed_bytes_decode_exactly_as_the_codecs_do(extrinsic: Extrinsic, data: st.DataObject) -> None:
    raw = bytearray(extrinsic.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, min(len(raw), 115)))
        raw[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    same_result(bytes(raw))


@given(st.binary(max_size=160), st.sampled_from([b"", b"\x04", b"\x84", b"\x84\0"]))
def test_any_bytes_decode_exactly_as_the_codecs_do(payload: bytes, head: bytes) -> None:
    same_result(payload)
    same_result(encode_compact(len(head + payload)) + head + payload)


@given(st.binary(min_size=1, max_size=12), st.sampled_from(Scheme))
def test_any_end_behind_the_signature_decodes_exactly_as_the_codecs_do(end: bytes, scheme: Scheme) -> None:
    payload = b"\x84\0" + bytes(32) + bytes((scheme,)) + bytes(64) + end
    same_result(encode_compact(len(payload)) + payload)


def same_result(raw: bytes) -> None:
    try:
        expected = by_the_codecs(raw)
    except ScaleError:
        with pytest.raises(ScaleError):
            Extrinsic.decode(raw)
    else:
        assert Extrinsic.decode(raw) == expected
        assert expected.encode() == raw


def changed(offset: int, value: int) -> bytes:
    return RAW[:offset] + bytes((value,)) + RAW[offset + 1 :]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "extrinsic length at offset 0 needs 1 byte, none is left"),
        (b"\0", "extrinsic is empty"),
        (RAW[:-1], "extrinsic announces 120 bytes, 119 follow"),
        (RAW + b"\0", "extrinsic announces 120 bytes, 121 follow"),
        (changed(2, 0x05), "extrinsic version byte is 0x05, known are 0x04 and 0x84"),
        (changed(3, 0xFF), "signer's address is of kind 255, only 0 (account id) is accepted"),
        (changed(36, 2), "signature scheme is 2, known are 0 (ed25519) and 1 (sr25519)"),
        (changed(101, 0x80), "an era's period is a power of two from 4 to 65536, not 2"),
        (b"\x0c\x84\0\0", "a signed extrinsic has 103 bytes or more, this one has 3"),
        (b"\x08\x04\0", "extrinsic ends at offset 3 within its call"),
        (RAW[103:104] + RAW, "extrinsic announces 7 bytes, 122 follow"),
        (bytes(MAX_EXTRINSIC_BYTES + 1), "an extrinsic has 1048576 bytes at most, this one has 1048577"),
    ],
    ids=itertools.count(),
)
def test_a_malformed_extrinsic_says_why(raw: bytes, message: str) -> None:
    with pytest.raises(ScaleError) as caught:
        Extrinsic.decode(raw)
    assert str(caught.value) == message


def test_the_longest_extrinsic_is_still_read() -> None:
    call = bytes(MAX_EXTRINSIC_BYTES - 5)
    raw = Extrinsic(None, call).encode()
    assert len(raw) == MAX_EXTRINSIC_BYTES
    assert Extrinsic.decode(raw) == Extrinsic(None, call)


def test_a_nonce_is_a_canonical_u32() -> None:
    head = b"\x84\0" + bytes(32) + b"\0" + bytes(64) + b"\0"
    for nonce, message in (
        (b"\x01\x00", "nonce at offset 102 is longer than its value 0 needs"),
        (b"\x07" + bytes(4) + b"\1", "nonce at offset 102 does not fit 32 bits"),
    ):
        payload = head + nonce + b"\0\0"
        with pytest.raises(ScaleError) as caught:
            Extrinsic.decode(encode_compact(len(payload)) + payload)
        assert str(caught.value) == message
    assert NONCE.decode(b"\xff" * 4) == 2**32 - 1


def test_an_extrinsic_among_other_things() -> None:
    reader = Reader(b"\x08\x04\x00\x99")
    assert EXTRINSIC.read(reader) == b"\x08\x04\x00"
    assert reader.remaining == 1
    assert EXTRINSIC.encode(b"\x08\x04\x00") == b"\x08\x04\x00"
    assert (EXTRINSIC.label, EXTRINSIC.min_size) == ("Extrinsic", 1)
    with pytest.raises(ScaleError) as caught:
        EXTRINSIC.decode(b"\x0c\x04\x00")
    assert str(caught.value) == "Extrinsic at offset 0 claims length 3, only 2 bytes are left"
