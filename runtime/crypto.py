"""Signatures: ed25519 by libsodium's rules and sr25519 (Schnorr over Ristretto, context "substrate").

One verifier is fixed for each scheme because implementations differ on malformed keys and signatures, and a
signature that one node accepts and another refuses would split the chain. The message is signed as it is:
the `<Bytes>` wrapping that wallets put around free text plays no part in extrinsics.
"""

import enum
from dataclasses import dataclass, field
from typing import Final

import sr25519
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from runtime.primitives import AccountId

PUBLIC_LENGTH: Final = 32
SEED_LENGTH: Final = 32
SIGNATURE_LENGTH: Final = 64


class Scheme(enum.IntEnum):
    """A signature scheme; the value is its tag in an extrinsic."""

    ED25519 = 0
    SR25519 = 1


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key, which is the account's id, and the secret that signs for it."""

    scheme: Scheme
    public: AccountId
    _secret: bytes = field(repr=False, compare=False)

    @staticmethod
    def from_seed(scheme: Scheme, seed: bytes) -> "KeyPair":
        """The pair of a 32-byte seed (for sr25519 the mini secret)."""
        if len(seed) != SEED_LENGTH:
            raise ValueError(f"a seed has {SEED_LENGTH} bytes, this one has {len(seed)}")
        if scheme is Scheme.ED25519:
            public, secret = crypto_sign_seed_keypair(seed)
        else:
            public, secret = sr25519.pair_from_seed(seed)
        return KeyPair(scheme, AccountId(public), secret)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`: always the same for ed25519, another each time for sr25519."""
        if self.scheme is Scheme.ED25519:
            return crypto_sign(message, self._secret)[:SIGNATURE_LENGTH]
        return sr25519.sign((self.public, self._secret), message)


def verify(scheme: Scheme, public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` is `public`'s; garbage of any length is simply not."""
    # The bindings hand the buffers to C without looking at their lengths.
    if len(public) != PUBLIC_LENGTH or len(signature) != SIGNATURE_LENGTH:
        return False
    if scheme is Scheme.ED25519:
        try:
            crypto_sign_open(signature + message, public)
        except BadSignatureError:
            return False
        return True
    try:
        return sr25519.verify(signature, message, public)
    except ValueError:
        return False
