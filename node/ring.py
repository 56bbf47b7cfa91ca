"""Turns and seals: who may make the block of a slot, and how its author signs it.

Everything here is a pure function over headers, a ring and times, so that a header can be judged before its body
has arrived, and long before it is executed. The runtime checks the claim again; the seal is checked only here, since
it stands outside of what execution gives.

A seal is the ed25519 signature of the author over SEAL_DOMAIN, the genesis hash and the hash of the header without
the seal. The domain keeps it from being taken for a signature of anything else: no extrinsic begins like it, as there
is no pallet 109. The genesis hash keeps it from being replayed on another chain.
"""

from dataclasses import replace
from typing import Final

from pallets.producers.claim import RING_ENGINE, Claim, claim_digest, read_claim_digest
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.producers.turns import check_turn as check_turn_after
from pallets.producers.turns import next_turn, slot_at, slot_start, turn_of
from runtime.crypto import KeyPair, Scheme, verify
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.interface.state import StateReader
from runtime.primitives import Hash, Slot

__all__ = [
    "MAX_SLOTS_AHEAD",
    "SEAL_DOMAIN",
    "Claim",
    "check_seal",
    "check_turn",
    "check_turn_after",
    "claim_digest",
    "following_claim",
    "next_turn",
    "read_claim",
    "seal",
    "seal_message",
    "slot_at",
    "slot_start",
    "turn_of",
    "unsealed",
    "wait_for_slot",
]

SEAL_DOMAIN: Final = b"mfchain/seal/1"
MAX_SLOTS_AHEAD: Final = 4
"""A block that is further ahead of our clock is not worth keeping until it is due."""


def read_claim(header: Header) -> Claim:
    """Read what the header of a block claims: one slot, one author, and a seal behind everything else.

    The seal itself is for `check_seal`. Block 0 claims nothing and has no seal.

    Raises:
        InvalidBlock: BAD_CLAIM or BAD_SEAL.
    """
    claim = read_claim_digest(header.digest)
    kinds = [item.kind for item in header.digest]
    if kinds[-1] is not DigestKind.SEAL or kinds.count(DigestKind.SEAL) != 1:
        raise InvalidBlock(BlockFault.BAD_SEAL, "the digest must end with a seal and have no other")
    if header.digest[-1].engine != RING_ENGINE:
        raise InvalidBlock(BlockFault.BAD_SEAL, "the seal is not of the engine rrbn")
    return claim


def unsealed(header: Header) -> Header:
    """Return a sealed header as it was before; one without a seal as it is."""
    digest = header.digest
    if not digest or digest[-1].kind is not DigestKind.SEAL:
        return header
    return replace(header, digest=digest[:-1])


def seal_message(header: Header, genesis: Hash) -> bytes:
    """Return what the author of a block signs; it does not depend on whether the header has its seal already."""
    return SEAL_DOMAIN + genesis + unsealed(header).hash()


def seal(header: Header, genesis: Hash, key_pair: KeyPair) -> Header:
    """Return the header with a seal by the author that it names."""
    assert key_pair.scheme is Scheme.ED25519, "producers sign with ed25519"
    assert unsealed(header) is header, "a header is sealed once"
    assert read_claim_digest(header.digest).author == key_pair.public, "the author seals its own blocks"
    signature = key_pair.sign(seal_message(header, genesis))
    return replace(header, digest=(*header.digest, DigestItem(DigestKind.SEAL, RING_ENGINE, signature)))


def check_seal(header: Header, genesis: Hash) -> Claim:
    """Check that the author named in a header has sealed it, on this chain; return the claim.

    Raises:
        InvalidBlock: BAD_CLAIM or BAD_SEAL.
    """
    claim = read_claim(header)
    if not verify(Scheme.ED25519, claim.author, seal_message(header, genesis), header.digest[-1].payload):
        raise InvalidBlock(BlockFault.BAD_SEAL, "the seal is not the author's signature")
    return claim


def check_turn(claim: Claim, parent_state: StateReader) -> None:
    """Check a claim against the state of the block's parent; `check_turn_after` takes the ring and the slot from it.

    Raises:
        InvalidBlock: WRONG_SLOT or WRONG_AUTHOR.
    """
    check_turn_after(claim, RING.get(parent_state), BLOCK_SLOT.get(parent_state))


def following_claim(parent_state: StateReader) -> Claim:
    """Return the claim of the slot right after a block: for blocks that are only tried, never sealed."""
    slot = Slot(BLOCK_SLOT.get(parent_state) + 1)
    return Claim(slot, turn_of(RING.get(parent_state), slot))


def wait_for_slot(slot: Slot, milliseconds: int, duration: int) -> int | None:
    """Return how many milliseconds a block of `slot` has to wait until it is due, 0 if it is.

    None if it is more than MAX_SLOTS_AHEAD ahead of the clock: it is to be discarded. Times in milliseconds.
    """
    if slot > slot_at(milliseconds, duration) + MAX_SLOTS_AHEAD:
        return None
    return max(0, slot_start(slot, duration) - milliseconds)
