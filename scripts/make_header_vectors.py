"""Write tests/vectors/sealed_headers.json: sealed headers, good and bad, that another implementation can check.

Nothing in it depends on chance or on the rest of the chain: keys, hashes and ring are made up here, and ed25519
signatures are always the same. A test runs this again and compares.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.ring import SEAL_DOMAIN, claim_digest, seal, seal_message, turn_of, unsealed
from runtime.crypto import KeyPair, Scheme
from runtime.header import DigestItem, DigestKind, Header
from runtime.primitives import AccountId, BlockNumber, Hash, Slot, blake2b_256, to_hex

TARGET = Path(__file__).parents[1] / "tests" / "vectors" / "sealed_headers.json"
SOURCE = (
    "made by this project; a message is `domain`, `genesis` and `unsealed_hash` one after the other, a seal is the "
    "author's ed25519 signature over it. A header is good if it follows a block of slot `parent_slot` whose state has "
    "`ring`; `fault` is the rule that a bad one breaks. Slot s belongs to member s mod n"
)
SEEDS = [bytes([number]) * 32 for number in (1, 2, 3)]
PAIRS = [KeyPair.from_seed(Scheme.ED25519, seed) for seed in SEEDS]
RING = tuple(pair.public for pair in PAIRS)
BY_ACCOUNT = {pair.public: pair for pair in PAIRS}
GENESIS = blake2b_256(b"genesis")
PARENT_SLOT = Slot(867_844_800)


def header(slot: int, number: int, *more: DigestItem) -> Header:
    """Return a header that is not sealed yet, by whose turn it is."""
    author = turn_of(RING, Slot(slot))
    roots = [Hash(blake2b_256(f"{name} {number}".encode())) for name in ("parent", "state", "extrinsics")]
    return Header(roots[0], BlockNumber(number), roots[1], roots[2], (*claim_digest(Slot(slot), author), *more))


def sealed(unfinished: Header) -> Header:
    """Seal a header with the key of the author that it names."""
    return seal(unfinished, GENESIS, BY_ACCOUNT[AccountId(unfinished.digest[1].payload)])


def good() -> Iterator[tuple[str, Header]]:
    """Name headers that break no rule."""
    consensus = DigestItem(DigestKind.CONSENSUS, b"rrbn", b"what execution gives")
    yield "the next slot", sealed(header(PARENT_SLOT + 1, 1))
    yield "after skipped slots", sealed(header(PARENT_SLOT + 12, 70_000))
    yield "the last slot of 64 bits", sealed(header(2**64 - 1, 2**32 - 1))
    yield "a consensus item before the seal", sealed(header(PARENT_SLOT + 2, 10, consensus))


def bad() -> Iterator[tuple[str, Header, str]]:
    """Name headers that break a rule, and the rule."""
    block = sealed(header(PARENT_SLOT + 1, 1))
    claim, author, mark = block.digest
    yield "no seal", unsealed(block), "BadSeal"
    yield "two seals", replace(block, digest=(*block.digest, mark)), "BadSeal"
    yield "a seal that is not the last item", replace(block, digest=(claim, mark, author)), "BadSeal"
    yield "a seal of another engine", replace(block, digest=(claim, author, replace(mark, engine=b"aura"))), "BadSeal"
    cut = replace(mark, payload=mark.payload[:-1])
    yield "a seal that is cut", replace(block, digest=(claim, author, cut)), "BadSeal"
    yield "a seal for another chain", seal(unsealed(block), blake2b_256(b"other"), BY_ACCOUNT[RING[1]]), "BadSeal"
    yield "another state root", replace(block, state_root=GENESIS), "BadSeal"
    other = claim_digest(Slot(PARENT_SLOT + 4), RING[1])[0]
    yield "another slot of the same author", replace(block, digest=(other, author, mark)), "BadSeal"
    yield "no slot", replace(block, digest=(author, mark)), "BadClaim"
    yield "two slots", replace(block, digest=(claim, claim, author, mark)), "BadClaim"
    yield "author and slot in the wrong order", replace(block, digest=(author, claim, mark)), "BadClaim"
    long = replace(claim, payload=claim.payload + b"\0")
    yield "a slot of nine bytes", replace(block, digest=(long, author, mark)), "BadClaim"
    yield "the parent's slot", sealed(header(PARENT_SLOT, 1)), "WrongSlot"
    yield "a slot before the parent's", sealed(header(PARENT_SLOT - 3, 1)), "WrongSlot"
    taken = replace(unsealed(block), digest=claim_digest(Slot(PARENT_SLOT + 1), RING[0]))
    yield "a turn of somebody else", sealed(taken), "WrongAuthor"


def good_vector(name: str, block: Header) -> dict[str, Any]:
    """Return a header with everything on the way to its hash."""
    return {
        "name": name,
        "slot": str(int.from_bytes(block.digest[0].payload, "little")),
        "author": to_hex(block.digest[1].payload),
        "unsealed_scale": to_hex(unsealed(block).encode()),
        "unsealed_hash": to_hex(unsealed(block).hash()),
        "message": to_hex(seal_message(block, GENESIS)),
        "signature": to_hex(block.digest[-1].payload),
        "header_scale": to_hex(block.encode()),
        "hash": to_hex(block.hash()),
    }


def render() -> str:
    """Return the text of the file."""
    document = {
        "source": SOURCE,
        "domain": to_hex(SEAL_DOMAIN),
        "genesis": to_hex(GENESIS),
        "seeds": [to_hex(seed) for seed in SEEDS],
        "ring": [to_hex(member) for member in RING],
        "parent_slot": str(PARENT_SLOT),
        "good": [good_vector(name, block) for name, block in good()],
        "bad": [{"name": name, "header_scale": to_hex(block.encode()), "fault": why} for name, block, why in bad()],
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render())
    sys.stdout.write(f"wrote {TARGET}\n")
