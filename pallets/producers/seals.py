"""Seals: how the author of a block signs it.

A seal is the ed25519 signature of the author over SEAL_DOMAIN, the genesis hash and the hash of the header without
the seal. The domain keeps it from being taken for a signature of anything else: no extrinsic begins like it, as there
is no pallet 109. The genesis hash keeps it from being replayed on another chain.
"""

from dataclasses import replace
from typing import Final

from pallets.producers.claim import RING_ENGINE, Claim, read_claim_digest
from runtime.header import DigestKind, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.interface.signatures import verify_ed25519
from runtime.primitives import Hash

SEAL_DOMAIN: Final = b"mfchain/seal/1"


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


def check_seal(header: Header, genesis: Hash) -> Claim:
    """Check that the author named in a header has sealed it, on this chain; return the claim.

    Raises:
        InvalidBlock: BAD_CLAIM or BAD_SEAL.
    """
    claim = read_claim(header)
    if not verify_ed25519(claim.author, seal_message(header, genesis), header.digest[-1].payload):
        raise InvalidBlock(BlockFault.BAD_SEAL, "the seal is not the author's signature")
    return claim
