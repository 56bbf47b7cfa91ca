"""The claim of a block: exactly one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.producers.claim import Claim, claim_digest, read_claim_digest
from runtime.header import DigestItem, DigestKind
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import AccountId, Slot
from runtime.scale import ScaleError

AUTHOR = AccountId(bytes(range(32)))
RING_ITEM, AUTHOR_ITEM, WORK_ITEM = claim_digest(Slot(7), AUTHOR, 258)
ORDER = "the pre-runtime items of the digest must be one rrbn, then one pow_, then at most one work"


def pre_runtime(engine: bytes, payload: bytes) -> DigestItem:
    return DigestItem(DigestKind.PRE_RUNTIME, engine, payload)


def test_a_claim_is_a_slot_and_an_author_each_under_its_engine() -> None:
    assert [item.encode().hex() for item in claim_digest(Slot(2**64 - 2), AUTHOR)] == [
        "06" + b"rrbn".hex() + "20" + "feffffffffffffff",
        "06" + b"pow_".hex() + "80" + AUTHOR.hex(),
    ]


@given(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32))
def test_a_claim_that_was_written_is_read(slot: int, author: bytes) -> None:
    claim = Claim(Slot(slot), AccountId(author))
    assert read_claim_digest(claim_digest(claim.slot, claim.author)) == claim


@given(st.integers(0, 2**64 - 1))
def test_a_claim_to_an_open_slot_has_a_nonce(nonce: int) -> None:
    digest = claim_digest(Slot(7), AUTHOR, nonce)
    assert [item.engine for item in digest] == [b"rrbn", b"pow_", b"work"]
    assert digest[2].payload == nonce.to_bytes(8, "little")
    claim = read_claim_digest(digest)
    assert claim == Claim(Slot(7), AUTHOR, nonce)
    assert claim.is_open
    assert not read_claim_digest(digest[:2]).is_open


def test_a_slot_has_64_bits() -> None:
    with pytest.raises(ScaleError, match=r"^u64 cannot hold 18446744073709551616$"):
        claim_digest(Slot(2**64), AUTHOR)


def test_what_execution_puts_into_a_digest_is_no_part_of_the_claim() -> None:
    others = (DigestItem(DigestKind.CONSENSUS, b"rrbn", b"x"), DigestItem(DigestKind.SEAL, b"rrbn", bytes(64)))
    assert read_claim_digest((RING_ITEM, AUTHOR_ITEM, *others)) == Claim(Slot(7), AUTHOR)


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        ((), ORDER),
        ((RING_ITEM,), ORDER),
        ((AUTHOR_ITEM,), ORDER),
        ((AUTHOR_ITEM, RING_ITEM), ORDER),
        ((RING_ITEM, RING_ITEM, AUTHOR_ITEM), ORDER),
        ((RING_ITEM, AUTHOR_ITEM, AUTHOR_ITEM), ORDER),
        ((RING_ITEM, AUTHOR_ITEM, pre_runtime(b"more", b"")), ORDER),
        ((pre_runtime(b"aura", RING_ITEM.payload), AUTHOR_ITEM), ORDER),
        ((DigestItem(DigestKind.CONSENSUS, b"rrbn", RING_ITEM.payload), AUTHOR_ITEM), ORDER),
        ((pre_runtime(b"rrbn", bytes(7)), AUTHOR_ITEM), "a slot has 8 bytes, this one has 7"),
        ((pre_runtime(b"rrbn", bytes(9)), AUTHOR_ITEM), "a slot has 8 bytes, this one has 9"),
        ((RING_ITEM, pre_runtime(b"pow_", bytes(31))), "an author has 32 bytes, this one has 31"),
        ((RING_ITEM, pre_runtime(b"pow_", bytes(33))), "an author has 32 bytes, this one has 33"),
        ((RING_ITEM, AUTHOR_ITEM, pre_runtime(b"work", bytes(7))), "a nonce has 8 bytes, this one has 7"),
        ((RING_ITEM, AUTHOR_ITEM, pre_runtime(b"work", bytes(9))), "a nonce has 8 bytes, this one has 9"),
        ((RING_ITEM, AUTHOR_ITEM, WORK_ITEM, WORK_ITEM), ORDER),
        ((RING_ITEM, WORK_ITEM, AUTHOR_ITEM), ORDER),
    ],
)
def test_any_other_digest_is_no_claim(digest: tuple[DigestItem, ...], message: str) -> None:
    with pytest.raises(InvalidBlock) as caught:
        read_claim_digest(digest)
    assert (caught.value.fault, caught.value.detail) == (BlockFault.BAD_CLAIM, message)
