import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.crypto import KeyPair, Scheme, verify
from runtime.primitives import from_hex, to_hex

ACCOUNTS = json.loads((Path(__file__).parents[1] / "vectors" / "dev_accounts.json").read_text())["accounts"]
SEED = bytes(range(32))
PAIRS = {scheme: KeyPair.from_seed(scheme, SEED) for scheme in Scheme}
SIGNATURES = {scheme: pair.sign(b"message") for scheme, pair in PAIRS.items()}


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["uri"])
def test_ed25519_seeds_have_their_public_keys(account: dict[str, str]) -> None:
    pair = KeyPair.from_seed(Scheme.ED25519, from_hex(account["ed25519_seed"]))
    assert to_hex(pair.public) == account["ed25519_public"]


def test_ed25519_signs_as_the_standard_says() -> None:
    # RFC 8032, section 7.1, test 2.
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    pair = KeyPair.from_seed(Scheme.ED25519, seed)
    assert pair.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert pair.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("message", [b"", b"a", bytes(10_000)], ids=len)
def test_a_signature_is_its_signers_over_its_message(scheme: Scheme, message: bytes) -> None:
    pair, other = PAIRS[scheme], KeyPair.from_seed(scheme, bytes(32))
    signature = pair.sign(message)
    assert len(signature) == 64
    assert verify(scheme, pair.public, message, signature)
    assert not verify(scheme, other.public, message, signature)
    assert not verify(scheme, pair.public, message + b"x", signature)
    assert not verify(Scheme(1 - scheme), pair.public, message, signature)
    assert not verify(scheme, pair.public, b"<Bytes>" + message + b"</Bytes>", signature)


@given(st.sampled_from(Scheme), st.integers(0, 511))
@settings(max_examples=200)
def test_a_signature_with_one_bit_changed_is_not_valid(scheme: Scheme, bit: int) -> None:
    changed = bytearray(SIGNATURES[scheme])
    changed[bit // 8] ^= 1 << bit % 8
    assert verify(scheme, PAIRS[scheme].public, b"message", SIGNATURES[scheme])
    assert not verify(scheme, PAIRS[scheme].public, b"message", bytes(changed))


@given(st.sampled_from(Scheme), st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=130))
def test_garbage_is_not_a_signature(scheme: Scheme, public: bytes, message: bytes, signature: bytes) -> None:
    assert verify(scheme, public, message, signature) is False
    assert verify(scheme, PAIRS[scheme].public, message, signature) is False
    assert verify(scheme, public, b"message", SIGNATURES[scheme]) is False


@pytest.mark.parametrize("scheme", Scheme)
def test_keys_and_signatures_of_a_wrong_length_are_not_valid(scheme: Scheme) -> None:
    public, signature = PAIRS[scheme].public, SIGNATURES[scheme]
    for wrong in (b"", public[:-1], public + b"\0"):
        assert verify(scheme, wrong, b"message", signature) is False
    for wrong in (b"", signature[:-1], signature + b"\0"):
        assert verify(scheme, public, b"message", wrong) is False


def test_a_key_of_small_order_vouches_for_nothing() -> None:
    # The identity as key and nonce with a zero scalar satisfies the plain equation for every message.
    identity = bytes((1,)) + bytes(31)
    assert not verify(Scheme.ED25519, identity, b"anything", identity + bytes(32))


@pytest.mark.parametrize("scheme", Scheme)
def test_a_key_pair_never_shows_its_secret(scheme: Scheme) -> None:
    pair = PAIRS[scheme]
    assert repr(pair) == f"KeyPair(scheme={scheme!r}, public={pair.public!r})"
    assert pair == KeyPair.from_seed(scheme, SEED)


@pytest.mark.parametrize("scheme", Scheme)
def test_a_seed_has_32_bytes(scheme: Scheme) -> None:
    with pytest.raises(ValueError, match=r"^a seed has 32 bytes, this one has 31$"):
        KeyPair.from_seed(scheme, bytes(31))
