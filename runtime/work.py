"""Work: hashes that one has to try, to join or to go on in an open slot.

The digest of a piece of work is BLAKE2b-256 of its prefix and a nonce of 64 bits; it is enough if it is, read as a
number with the most significant byte first, below 2^256 / w, where w is the number of hashes it takes on average. It
also decides the place in the ring: by its last eight bytes, of which the work needs none.
"""

import hashlib
from typing import Final

from runtime.primitives import HASH_LENGTH, AccountId, Hash, Slot, blake2b_256
from runtime.scale import SLOT, U64

JOIN_DOMAIN: Final = b"mfchain/join/1"
OPEN_DOMAIN: Final = b"mfchain/open/1"
RANK_LENGTH: Final = 8


def join_prefix(genesis: Hash, recent_block: Hash, account: AccountId) -> bytes:
    """Return what the work of joining is over, without the nonce."""
    return JOIN_DOMAIN + genesis + recent_block + account


def open_prefix(genesis: Hash, parent: Hash, slot: Slot, account: AccountId) -> bytes:
    """Return what the work of a block in an open slot is over, without the nonce."""
    return OPEN_DOMAIN + genesis + parent + SLOT.encode(slot) + account


def work_digest(prefix: bytes, nonce: int) -> Hash:
    """Return the digest of a piece of work."""
    return blake2b_256(prefix + U64.encode(nonce))


def threshold(work: int) -> int:
    """Return the number that a digest must be below: one in `work` is."""
    return (1 << 256) // work


def is_enough(digest: Hash, work: int) -> bool:
    """Tell whether a digest shows so much work."""
    return int.from_bytes(digest, "big") < threshold(work)


def find_nonce(prefix: bytes, work: int, start: int, count: int) -> int | None:
    """Return the first of `count` nonces from `start` on that is enough; the quickest way in this language."""
    limit = threshold(work).to_bytes(33, "big")
    hasher = hashlib.blake2b(prefix, digest_size=HASH_LENGTH)
    # A digest is below 2^256 / w exactly if its bytes come before those of that number.
    bound = limit[1:] if not limit[0] else b"\xff" * HASH_LENGTH + b"\0"
    for nonce in range(start, start + count):
        attempt = hasher.copy()
        attempt.update(nonce.to_bytes(8, "little"))
        if attempt.digest() < bound:
            return nonce
    return None


def rank(digest: Hash) -> bytes:
    """Return what decides the place in the ring."""
    return digest[-RANK_LENGTH:]
