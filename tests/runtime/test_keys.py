import hashlib
import json
from pathlib import Path

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.crypto import KeyPair, Scheme, verify
from runtime.keys import (
    DEV_PHRASE,
    AddressError,
    SecretError,
    key_pair_from_uri,
    parse_account,
    parse_junction,
    seed_from_phrase,
    ss58_decode,
    ss58_encode,
    ss58_parts,
)
from runtime.primitives import AccountId, blake2b_256, from_hex, to_hex

VECTORS = Path(__file__).parents[1] / "vectors"
ADDRESSES = json.loads((VECTORS / "ss58.json").read_text())["vectors"]
ACCOUNTS = json.loads((VECTORS / "dev_accounts.json").read_text())["accounts"]
SECRETS = json.loads((VECTORS / "secret_uris.json").read_text())

SCHEMES = {"ed25519": Scheme.ED25519, "sr25519": Scheme.SR25519}
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
SEED_HEX = "0x" + "11" * 32
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"

accounts = st.binary(min_size=32, max_size=32).map(AccountId)


def as_address(body: bytes, checksum: bytes | None = None) -> str:
    """Base58 of a body with its right checksum: to reach the checks behind it."""
    right = hashlib.blake2b(b"SS58PRE" + body).digest()[:2]
    return base58.b58encode(body + (right if checksum is None else checksum)).decode()


# Addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", ADDRESSES, ids=lambda vector: vector["address"])
def test_addresses_are_those_of_the_public_vectors(vector: dict[str, str | int]) -> None:
    address, prefix = str(vector["address"]), int(vector["prefix"])
    account = AccountId(from_hex(str(vector["public_key"])))
    assert ss58_parts(address) == (account, prefix)
    assert ss58_encode(account, prefix) == address
    assert ss58_decode(address) == parse_account(address) == account


@given(accounts, st.integers(0, (1 << 14) - 1))
def test_addresses_of_every_prefix_come_back(account: AccountId, prefix: int) -> None:
    assert ss58_parts(ss58_encode(account, prefix)) == (account, prefix)


@given(
    accounts,
    st.integers(0, 47),
    st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
)
def test_an_address_with_one_character_changed_is_another_or_an_error(
    account: AccountId, position: int, character: str
) -> None:
    address = ss58_encode(account)
    changed = address[:position] + character + address[position + 1 :]
    try:
        parts = ss58_parts(changed)
    except AddressError:
        assert changed != address
    else:
        assert ss58_encode(*parts) == changed


@given(st.text(max_size=70))
def test_any_text_is_an_account_or_an_address_error(text: str) -> None:
    for candidate in (text, "0x" + text):
        with pytest.raises(AddressError):
            parse_account(candidate)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "address is not base58 text"),
        ("0OIl", "address is not base58 text"),
        (ALICE + " ", "address is not base58 text"),
        ("\u00e9", "address is not base58 text"),
        ("1" * 64, "address holds 64 bytes, an account's has 35"),
        ("1" * 65, "address is longer than 64 characters"),
        (ALICE[:-1] + "Z", "address has a wrong checksum: it is mistyped or cut"),
        (as_address(b"\x2a" + bytes(31)), "address holds 34 bytes, an account's has 35"),
        (as_address(b"\x2a" + bytes(33)), "address holds 36 bytes, an account's has 35"),
        (as_address(b"\x50\x40" + bytes(31)), "address holds 35 bytes, an account's has 36"),
        (as_address(b"\x80" + bytes(32)), "address has a reserved network prefix"),
        (
            as_address(b"\x4a\x80" + bytes(32)),
            "address writes its network prefix 42 in two bytes instead of one",
        ),
        (as_address(b"\x2a" + bytes(32), b"\0\0"), "address has a wrong checksum: it is mistyped or cut"),
        ("0x00", "account id: hex text must hold 32 bytes, this one holds 1"),
        ("0x" + "zz" * 32, "account id: hex text holds a character that is not a hexadecimal digit"),
    ],
)
def test_a_wrong_address_says_why(text: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_account(text)
    assert str(caught.value) == message


def test_an_account_may_be_written_in_hex() -> None:
    assert parse_account("0x" + "Ab" * 32) == bytes.fromhex("ab" * 32)


def test_what_has_no_address_is_refused() -> None:
    with pytest.raises(AddressError, match=r"^an account id has 32 bytes, this one has 31$"):
        ss58_encode(AccountId(bytes(31)))
    for prefix in (-1, 1 << 14):
        with pytest.raises(AddressError) as caught:
            ss58_encode(AccountId(bytes(32)), prefix)
        assert str(caught.value) == f"an address prefix is a number from 0 to 16383, not {prefix}"


# Keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", ACCOUNTS, ids=lambda vector: vector["uri"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_development_accounts_are_those_of_every_substrate_tool(vector: dict[str, str], scheme: str) -> None:
    pair = key_pair_from_uri(vector["uri"], SCHEMES[scheme])
    assert to_hex(pair.public) == vector[f"{scheme}_public"]
    assert ss58_encode(pair.public) == vector[f"{scheme}_ss58_42"]
    assert pair == key_pair_from_uri(DEV_PHRASE + vector["uri"], SCHEMES[scheme])
    assert verify(pair.scheme, pair.public, b"message", pair.sign(b"message"))


@pytest.mark.parametrize("vector", ACCOUNTS, ids=lambda vector: vector["uri"])
def test_chain_codes_and_seeds_of_hard_junctions(vector: dict[str, str]) -> None:
    assert to_hex(parse_junction(vector["uri"][2:], hard=True).chain_code) == vector["chain_code"]
    seed = from_hex(vector["ed25519_seed"])
    pair = key_pair_from_uri(vector["uri"], Scheme.ED25519)
    assert pair.sign(b"m") == KeyPair.from_seed(Scheme.ED25519, seed).sign(b"m")


@pytest.mark.parametrize("vector", SECRETS["uris"], ids=lambda vector: f"{vector['scheme']}-{vector['uri'][-20:]}")
def test_secret_uris_give_the_keys_of_other_implementations(vector: dict[str, str]) -> None:
    pair = key_pair_from_uri(vector["uri"], SCHEMES[vector["scheme"]])
    assert to_hex(pair.public) == vector["public"]
    assert verify(pair.scheme, pair.public, b"message", pair.sign(b"message"))


@pytest.mark.parametrize("vector", SECRETS["phrases"], ids=lambda vector: vector["phrase"][:12])
def test_phrases_give_the_mini_secrets_of_other_implementations(vector: dict[str, str]) -> None:
    assert to_hex(seed_from_phrase(vector["phrase"], vector["password"])) == vector["mini_secret"]
    spaced = "  " + vector["phrase"].replace(" ", " \n ")
    assert to_hex(seed_from_phrase(spaced, vector["password"])) == vector["mini_secret"]


def test_a_signature_of_another_implementation_is_valid() -> None:
    vector = SECRETS["signature"]
    public, signature = from_hex(vector["public"]), from_hex(vector["signature"])
    assert verify(Scheme.SR25519, public, vector["message"].encode(), signature)
    assert not verify(Scheme.SR25519, public, b"another message", signature)


@pytest.mark.parametrize(
    ("code", "chain_code"),
    [
        ("1", (1).to_bytes(32, "little")),
        ("007", (7).to_bytes(32, "little")),
        ("+7", (7).to_bytes(32, "little")),
        ("18446744073709551615", (2**64 - 1).to_bytes(32, "little")),
        ("18446744073709551616", b"\x5018446744073709551616".ljust(32, b"\0")),
        ("0" * 30 + "1", (1).to_bytes(32, "little")),
        ("-1", b"\x08-1".ljust(32, b"\0")),
        ("\u0661", b"\x08\xd9\xa1".ljust(32, b"\0")),
        ("a" * 31, b"\x7c" + b"a" * 31),
        ("a" * 32, blake2b_256(b"\x80" + b"a" * 32)),
        ("a" * 64, blake2b_256(b"\x01\x01" + b"a" * 64)),
    ],
)
def test_junctions_are_numbers_or_text(code: str, chain_code: bytes) -> None:
    assert parse_junction(code, hard=True).chain_code == chain_code


def test_every_part_of_a_secret_uri_counts() -> None:
    uris = [
        "//a",
        "//b",
        "/a",
        "//a//b",
        "//b//a",
        "//a/b",
        "/a//b",
        "//a///x",
        "//a///",
        "///x",
        PHRASE,
        SEED_HEX,
    ]
    keys = {uri: key_pair_from_uri(uri, Scheme.SR25519).public for uri in uris}
    assert keys.pop("//a///") == keys["//a"]
    assert len(set(keys.values())) == len(keys)


def test_a_password_may_hold_anything() -> None:
    with_slashes = key_pair_from_uri(PHRASE + "//a///b//c d\n", Scheme.ED25519)
    seed = seed_from_phrase(PHRASE, "b//c d\n")
    assert with_slashes == key_pair_from_uri(to_hex(seed) + "//a", Scheme.ED25519)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "the secret URI is empty"),
        ("  ", "the secret URI is empty"),
        ("a" * 2049, "the secret URI is longer than 2048 characters"),
        ("//\ud800", "the secret URI is not valid Unicode text"),
        ("//", "the secret URI is not of the form phrase//hard/soft///password"),
        ("//Alice/", "the secret URI is not of the form phrase//hard/soft///password"),
        ("Alice", "a secret phrase has 12, 15, 18, 21 or 24 words, this one has 1"),
        (PHRASE + " legal", "a secret phrase has 12, 15, 18, 21 or 24 words, this one has 13"),
        (PHRASE.replace("wave", "wavy"), "word 5 of the secret phrase is not in the English BIP39 list"),
        (
            PHRASE.replace("yellow", "year"),
            "the secret phrase has a wrong checksum: a word is wrong or out of place",
        ),
        ("0x1234", "secret seed: hex text must hold 32 bytes, this one holds 2"),
        ("0x123", "secret seed: hex text must have an even number of digits, this one has 3"),
        (SEED_HEX + "///x", "a password goes with a secret phrase, not with a hexadecimal seed"),
        ("/soft", "ed25519 keys have no soft derivation: use // in the secret URI, or the scheme sr25519"),
        ("//a/b//c", "ed25519 keys have no soft derivation: use // in the secret URI, or the scheme sr25519"),
    ],
)
def test_a_wrong_secret_uri_says_why(uri: str, message: str) -> None:
    with pytest.raises(SecretError) as caught:
        key_pair_from_uri(uri, Scheme.ED25519)
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


@given(st.text(alphabet="/0x1 abandonlegal\u00e9\ud800", max_size=60), st.sampled_from(Scheme))
def test_any_text_is_a_key_or_a_secret_error(text: str, scheme: Scheme) -> None:
    try:
        pair = key_pair_from_uri(text, scheme)
    except SecretError:
        return
    assert verify(scheme, pair.public, b"message", pair.sign(b"message"))


@given(st.lists(st.text(alphabet="abc0123456789\u00e9", min_size=1, max_size=40), max_size=3))
def test_keys_of_a_path_are_derived_step_by_step(codes: list[str]) -> None:
    path = "".join("//" + code for code in codes)
    seed = bytes.fromhex("11" * 32)
    for code in codes:
        seed = blake2b_256(b"\x2cEd25519HDKD" + seed + parse_junction(code, hard=True).chain_code)
    derived = key_pair_from_uri(SEED_HEX + path, Scheme.ED25519)
    assert derived.public == KeyPair.from_seed(Scheme.ED25519, seed).public
