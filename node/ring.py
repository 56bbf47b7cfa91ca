"""Turns and seals: who may make the block of a slot, and how its author signs it.

Everything here is a pure function over headers, a ring and times, so that a header can be judged before its body
has arrived, and long before it is executed. The runtime checks the claim again; the seal is checked only here, since
it stands outside of what execution gives.
"""

from dataclasses import replace
from typing import Final

from pallets.producers.authors import check_author
from pallets.producers.claim import RING_ENGINE, Claim, claim_digest, read_claim_digest
from pallets.producers.seals import SEAL_DOMAIN, check_seal, read_claim, seal_message, unsealed
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.producers.turns import check_turn, next_turn, slot_at, slot_start, turn_of
from runtime.crypto import KeyPair, Scheme
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.state import StateReader
from runtime.primitives import Hash, Slot

__all__ = [
    "MAX_SLOTS_AHEAD",
    "SEAL_DOMAIN",
    "Claim",
    "check_author",
    "check_seal",
    "check_turn",
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

MAX_SLOTS_AHEAD: Final = 4
"""A block that is further ahead of our clock is not worth keeping until it is due."""


def seal(header: Header, genesis: Hash, key_pair: KeyPair) -> Header:
    """Return the header with a seal by the author that it names."""
    assert key_pair.scheme is Scheme.ED25519, "producers sign with ed25519"
    assert unsealed(header) is header, "a header is sealed once"
    assert read_claim_digest(header.digest).author == key_pair.public, "the author seals its own blocks"
    signature = key_pair.sign(seal_message(header, genesis))
    return replace(header, digest=(*header.digest, DigestItem(DigestKind.SEAL, RING_ENGINE, signature)))


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
