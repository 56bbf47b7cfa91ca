"""Signatures that pallets check by themselves: those that are no extrinsic's."""

from runtime.crypto import Scheme, verify
from runtime.primitives import AccountId


def verify_ed25519(account: AccountId, message: bytes, signature: bytes) -> bool:
    """Tell whether the holder of an ed25519 key has signed a message."""
    return verify(Scheme.ED25519, account, message, signature)
