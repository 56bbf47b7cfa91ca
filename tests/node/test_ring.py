"""Turns and seals on headers: vectors, real blocks of a ring, and every way to get it wrong."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from node.ring import (
    MAX_SLOTS_AHEAD,
    Claim,
    check_author,
    check_seal,
    check_turn,
    claim_digest,
    following_claim,
    read_claim,
    seal,
    seal_message,
    slot_at,
    slot_start,
    unsealed,
    wait_for_slot,
)
from pallets.producers.config import Rules
from runtime.crypto import KeyPair, Scheme
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Hash, Slot, from_hex, to_hex
from tests.support.ring_chain import MEMBERS, RingChain
from tests.support.small_chain import PAIRS

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sealed_headers.json").read_text())
RING = tuple(AccountId(from_hex(member)) for member in VECTORS["ring"])
PARENT_SLOT = Slot(int(VECTORS["parent_slot"]))
VECTOR_GENESIS = Hash(from_hex(VECTORS["genesis"]))
GENESIS = Hash(b"\x01" * 32)
ALICE, BOB = PAIRS["Alice"], PAIRS["Bob"]
MARK = DigestItem(DigestKind.SEAL, b"rrbn", bytes(64))
MUST_END = "the digest must end with a seal and have no other"
NOT_SIGNED = "the seal is not the author's signature"


def bare(author: AccountId = ALICE.public, slot: int = 3, *more: DigestItem) -> Header:
    digest = (*claim_digest(Slot(slot), author), *more)
    return Header(ZERO_HASH, BlockNumber(1), ZERO_HASH, ZERO_HASH, digest)


def fault(header: Header, genesis: Hash = GENESIS) -> tuple[BlockFault, str]:
    with pytest.raises(InvalidBlock) as caught:
        check_seal(header, genesis)
    return caught.value.fault, caught.value.detail


# Vectors


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_a_good_header_of_the_vectors(vector: dict[str, Any]) -> None:
    header = Header.decode(from_hex(vector["header_scale"]))
    claim = Claim(Slot(int(vector["slot"])), AccountId(from_hex(vector["author"])))
    assert check_seal(header, VECTOR_GENESIS) == claim
    check_turn(claim, RING, PARENT_SLOT)
    assert to_hex(header.hash()) == vector["hash"]
    assert to_hex(unsealed(header).encode()) == vector["unsealed_scale"]
    assert to_hex(unsealed(header).hash()) == vector["unsealed_hash"]
    assert to_hex(seal_message(header, VECTOR_GENESIS)) == vector["message"]


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["name"])
def test_a_good_header_is_made_from_its_parts_by_libraries_alone(vector: dict[str, Any]) -> None:
    before = from_hex(vector["unsealed_scale"])
    unsealed_hash = hashlib.blake2b(before, digest_size=32).digest()
    message = b"mfchain/seal/1" + from_hex(VECTORS["genesis"]) + unsealed_hash
    keys = [SigningKey(from_hex(seed)) for seed in VECTORS["seeds"]]
    key = keys[int(vector["slot"]) % len(keys)]
    assert (to_hex(message), to_hex(bytes(key.verify_key))) == (vector["message"], vector["author"])
    signature = key.sign(message).signature
    assert to_hex(signature) == vector["signature"]
    # The item count of the digest is one byte behind parent (32), number, state root and extrinsics root (64).
    width = {0: 1, 1: 2, 2: 4, 3: 5}[before[32] & 3]
    at = 32 + width + 64
    count = (before[at] >> 2) + 1
    after = before[:at] + bytes((count << 2,)) + before[at + 1 :] + b"\x05rrbn\x01\x01" + signature
    assert to_hex(after) == vector["header_scale"]
    assert to_hex(hashlib.blake2b(after, digest_size=32).digest()) == vector["hash"]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["name"])
def test_a_bad_header_of_the_vectors(vector: dict[str, Any]) -> None:
    header = Header.decode(from_hex(vector["header_scale"]))
    with pytest.raises(InvalidBlock) as caught:
        check_turn(check_seal(header, VECTOR_GENESIS), RING, PARENT_SLOT)
    assert caught.value.fault.value == vector["fault"]


def test_the_vectors_have_every_fault_that_a_header_alone_shows() -> None:
    faults = {BlockFault.BAD_CLAIM, BlockFault.BAD_SEAL, BlockFault.WRONG_SLOT, BlockFault.WRONG_AUTHOR}
    assert {vector["fault"] for vector in VECTORS["bad"]} == {fault.value for fault in faults}


# Seals


@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.binary(max_size=9), max_size=2),
    st.binary(min_size=32, max_size=32).map(Hash),
)
def test_what_was_sealed_is_good(slot: int, consensus: list[bytes], genesis: Hash) -> None:
    more = [DigestItem(DigestKind.CONSENSUS, b"rrbn", payload) for payload in consensus]
    header = bare(BOB.public, slot, *more)
    done = seal(header, genesis, BOB)
    assert done.digest[:-1] == header.digest
    assert unsealed(done) == header
    assert unsealed(header) is header
    assert seal_message(done, genesis) == seal_message(header, genesis)
    assert read_claim(done) == check_seal(done, genesis) == Claim(Slot(slot), BOB.public)
    assert Header.decode(done.encode()) == done
    assert done.hash() != header.hash()


def test_the_genesis_header_has_neither_claim_nor_seal() -> None:
    header = Header(ZERO_HASH, BlockNumber(0), ZERO_HASH, ZERO_HASH)
    message = "the pre-runtime items of the digest must be one rrbn, then one pow_, then at most one work"
    assert fault(header) == (BlockFault.BAD_CLAIM, message)
    assert unsealed(header) is header


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        (bare().digest, MUST_END),
        ((*bare().digest, MARK, MARK), MUST_END),
        ((MARK, *bare().digest), MUST_END),
        ((*bare().digest, MARK, DigestItem(DigestKind.CONSENSUS, b"rrbn")), MUST_END),
        ((*bare().digest, replace(MARK, engine=b"aura")), "the seal is not of the engine rrbn"),
        ((*bare().digest, MARK), NOT_SIGNED),
        ((*bare().digest, replace(MARK, payload=b"")), NOT_SIGNED),
        ((*bare().digest, replace(MARK, payload=bytes(1 << 16))), NOT_SIGNED),
    ],
)
def test_one_good_seal_stands_at_the_end(digest: tuple[DigestItem, ...], message: str) -> None:
    assert fault(replace(bare(), digest=digest)) == (BlockFault.BAD_SEAL, message)


@given(st.data())
def test_a_header_of_which_any_bit_was_changed_is_bad(data: st.DataObject) -> None:
    encoded = bytearray(seal(bare(), GENESIS, ALICE).encode())
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    try:
        changed = Header.decode(bytes(encoded))
    except ValueError:
        return
    with pytest.raises(InvalidBlock):
        check_seal(changed, GENESIS)


def test_a_seal_holds_on_one_chain_only() -> None:
    done = seal(bare(), GENESIS, ALICE)
    assert fault(done, genesis=ZERO_HASH) == (BlockFault.BAD_SEAL, NOT_SIGNED)


def test_a_seal_is_the_authors_and_nobody_elses() -> None:
    stolen = seal(bare(BOB.public), GENESIS, BOB).digest[-1]
    header = replace(bare(), digest=(*bare().digest, stolen))
    assert fault(header) == (BlockFault.BAD_SEAL, NOT_SIGNED)


def test_a_node_seals_its_own_blocks_once_with_ed25519() -> None:
    with pytest.raises(AssertionError, match=r"^the author seals its own blocks"):
        seal(bare(BOB.public), GENESIS, ALICE)
    with pytest.raises(AssertionError, match=r"^a header is sealed once"):
        seal(seal(bare(), GENESIS, ALICE), GENESIS, ALICE)
    other = KeyPair.from_seed(Scheme.SR25519, bytes(32))
    with pytest.raises(AssertionError, match=r"^producers sign with ed25519"):
        seal(bare(other.public), GENESIS, other)


# Real blocks


def test_blocks_of_a_ring_have_good_headers() -> None:
    chain = RingChain()
    for slot in (1, 2, 7):
        parent = chain.state
        header = chain.extend(slot).header
        claim = check_seal(header, chain.genesis)
        assert claim == Claim(Slot(slot), MEMBERS[slot % 3])
        check_author(claim, parent, header.parent_hash, chain.genesis, Rules())
        with pytest.raises(
            InvalidBlock, match=f"^WrongSlot: slot {slot} does not come after the parent's slot {slot}$"
        ):
            check_author(claim, chain.state, header.parent_hash, chain.genesis, Rules())


def test_a_turn_is_checked_against_the_ring_of_the_parents_state() -> None:
    chain = RingChain()
    chain.extend(4)
    with pytest.raises(InvalidBlock) as caught:
        check_author(Claim(Slot(6), BOB.public), chain.state, chain.head.hash, chain.genesis, Rules())
    message = f"slot 6 is the turn of {to_hex(ALICE.public)}, not of {to_hex(BOB.public)}"
    assert (caught.value.fault, caught.value.detail) == (BlockFault.WRONG_AUTHOR, message)


def test_the_claim_of_the_following_slot_begins_a_block_on_trial() -> None:
    chain = RingChain()
    chain.extend(4)
    claim = following_claim(chain.state)
    assert claim == Claim(Slot(5), MEMBERS[2])
    check_author(claim, chain.state, chain.head.hash, chain.genesis, Rules())
    chain.runtime.open_block(chain.state, chain.head, chain.view, claim_digest(claim.slot, claim.author))


# Clocks


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, None), (3_999, None), (4_000, 8_000), (11_999, 1), (12_000, 0), (12_001, 0), (10**12, 0)],
)
def test_a_block_waits_until_its_slot_has_begun(milliseconds: int, expected: int | None) -> None:
    assert wait_for_slot(Slot(6), milliseconds, 2_000) == expected


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**53 - 1), st.integers(1, 60_000))
def test_who_has_waited_is_in_the_slot(slot: int, now: int, duration: int) -> None:
    wait = wait_for_slot(Slot(slot), now, duration)
    if wait is None:
        assert slot - slot_at(now, duration) > MAX_SLOTS_AHEAD
    elif wait:
        assert now + wait == slot_start(Slot(slot), duration)
        assert wait <= MAX_SLOTS_AHEAD * duration
    else:
        assert slot_at(now, duration) >= slot
