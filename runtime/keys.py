"""Addresses (SS58) and keys from secret URIs, as every Substrate tool reads them.

A secret URI is `phrase//hard/soft///password`: a BIP39 phrase or a 0x-hex seed, junctions that derive child
keys from it, and the phrase's password. Without a phrase it starts from the well-known development phrase,
which is how //Alice comes to be the same account everywhere; such accounts are for test chains only.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import base58
import sr25519
from mnemonic import Mnemonic

from runtime.crypto import SEED_LENGTH, KeyPair, Scheme
from runtime.primitives import ACCOUNT_LENGTH, AccountId, HexError, blake2b_256, from_hex
from runtime.scale import encode_compact

DEV_PHRASE: Final = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
DEFAULT_PREFIX: Final = 42
MAX_PREFIX: Final = (1 << 14) - 1

_CHECKSUM_CONTEXT: Final = b"SS58PRE"
_CHECKSUM_LENGTH: Final = 2
_LONGEST_ADDRESS: Final = 64
_LONGEST_URI: Final = 2048
_CHAIN_CODE_LENGTH: Final = 32
_PBKDF2_ROUNDS: Final = 2048
_URI: Final = re.compile(r"(?P<secret>[^/]*)(?P<path>(?://?[^/]+)*)(?:///(?P<password>.*))?", re.DOTALL)
_JUNCTION: Final = re.compile(r"(//?)([^/]+)")
_NUMBER: Final = re.compile(r"\+?0*(?P<digits>[0-9]{1,20})")


class AddressError(ValueError):
    """Text is no account address; the message says why."""


class SecretError(ValueError):
    """Text is no secret URI, or the scheme cannot derive it; the message never shows the secret."""


@dataclass(frozen=True, slots=True)
class Junction:
    """One step of a derivation path; whoever holds a key can undo a soft step but not a hard one."""

    chain_code: bytes
    hard: bool


def ss58_encode(account: AccountId, prefix: int = DEFAULT_PREFIX) -> str:
    """The address of `account` on networks of this prefix."""
    if len(account) != ACCOUNT_LENGTH:
        raise AddressError(f"an account id has {ACCOUNT_LENGTH} bytes, this one has {len(account)}")
    if not 0 <= prefix <= MAX_PREFIX:
        raise AddressError(f"an address prefix is a number from 0 to {MAX_PREFIX}, not {prefix}")
    two_bytes = (prefix & 0xFC) >> 2 | 0x40, prefix >> 8 | (prefix & 3) << 6
    head = bytes((prefix,)) if prefix < 64 else bytes(two_bytes)
    body = head + account
    return base58.b58encode(body + _checksum(body)).decode()


def ss58_decode(text: str) -> AccountId:
    """The account of an address, whatever its network prefix."""
    return ss58_parts(text)[0]


def ss58_parts(text: str) -> tuple[AccountId, int]:
    """The account and the network prefix of an address.

    Raises:
        AddressError: not base58, a wrong length, prefix or checksum.
    """
    if len(text) > _LONGEST_ADDRESS:
        raise AddressError(f"address is longer than {_LONGEST_ADDRESS} characters")
    try:
        # The library would trim white space around the text.
        data = base58.b58decode(text) if text.strip() == text else b""
    except ValueError:
        data = b""
    if not data:
        raise AddressError("address is not base58 text")
    if data[0] < 0x40:
        prefix, size = data[0], 1
    elif data[0] < 0x80 and len(data) > 1:
        prefix, size = (data[0] & 0x3F) << 2 | data[1] >> 6 | (data[1] & 0x3F) << 8, 2
    else:
        raise AddressError("address has a reserved network prefix")
    if len(data) != size + ACCOUNT_LENGTH + _CHECKSUM_LENGTH:
        raise AddressError(
            f"address holds {len(data)} bytes, an account's has {size + ACCOUNT_LENGTH + _CHECKSUM_LENGTH}"
        )
    if size == 2 and prefix < 64:
        raise AddressError(f"address writes its network prefix {prefix} in two bytes instead of one")
    body = data[:-_CHECKSUM_LENGTH]
    if _checksum(body) != data[-_CHECKSUM_LENGTH:]:
        raise AddressError("address has a wrong checksum: it is mistyped or cut")
    return AccountId(body[size:]), prefix


def parse_account(text: str) -> AccountId:
    """An account written as an SS58 address or as 0x and 64 hexadecimal digits."""
    if not text.startswith("0x"):
        return ss58_decode(text)
    try:
        return AccountId(from_hex(text, ACCOUNT_LENGTH))
    except HexError as error:
        raise AddressError(f"account id: {error}") from None


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(_CHECKSUM_CONTEXT + body).digest()[:_CHECKSUM_LENGTH]


def key_pair_from_uri(uri: str, scheme: Scheme) -> KeyPair:
    """The key pair that a secret URI names under a scheme.

    Raises:
        SecretError: no valid phrase, seed or path, or a soft junction with ed25519.
    """
    seed, junctions = _parse_uri(uri)
    if scheme is Scheme.SR25519:
        return _derive_sr25519(seed, junctions)
    for junction in junctions:
        if not junction.hard:
            raise SecretError("ed25519 keys have no soft derivation: use // in the secret URI, or the scheme sr25519")
        seed = blake2b_256(_scale_text("Ed25519HDKD") + seed + junction.chain_code)
    return KeyPair.from_seed(scheme, seed)


def seed_from_phrase(phrase: str, password: str = "") -> bytes:
    """The mini secret of an English BIP39 phrase: Substrate stretches its entropy, BIP39 itself the text.

    Raises:
        SecretError: a wrong number of words, a word that is not in the list, or a wrong checksum.
    """
    return _stretch(" ".join(phrase.split()), password)


@lru_cache(maxsize=16)
def _stretch(phrase: str, password: str) -> bytes:
    """The 2048 rounds; remembered, as thousands of keys may be derived from one phrase."""
    words = phrase.split(" ")
    if len(words) not in (12, 15, 18, 21, 24):
        raise SecretError(f"a secret phrase has 12, 15, 18, 21 or 24 words, this one has {len(words)}")
    known = _word_list()
    for position, word in enumerate(words, start=1):
        if word not in known.wordlist:
            raise SecretError(f"word {position} of the secret phrase is not in the English BIP39 list")
    try:
        entropy = bytes(known.to_entropy(words))
    except ValueError:
        raise SecretError("the secret phrase has a wrong checksum: a word is wrong or out of place") from None
    salt = b"mnemonic" + password.encode()
    return hashlib.pbkdf2_hmac("sha512", entropy, salt, _PBKDF2_ROUNDS)[:SEED_LENGTH]


@cache
def _word_list() -> Mnemonic:
    return Mnemonic("english")


def _parse_uri(uri: str) -> tuple[bytes, tuple[Junction, ...]]:
    """The root seed of a secret URI and its path."""
    if not uri.strip():
        raise SecretError("the secret URI is empty")
    if len(uri) > _LONGEST_URI:
        raise SecretError(f"the secret URI is longer than {_LONGEST_URI} characters")
    if any("\ud800" <= character <= "\udfff" for character in uri):
        raise SecretError("the secret URI is not valid Unicode text")
    match = _URI.fullmatch(uri)
    if match is None:
        raise SecretError("the secret URI is not of the form phrase//hard/soft///password")
    junctions = tuple(parse_junction(code, hard=slashes == "//") for slashes, code in _JUNCTION.findall(match["path"]))
    secret, password = match["secret"].strip(), match["password"]
    if not secret.startswith("0x"):
        return seed_from_phrase(secret or DEV_PHRASE, password or ""), junctions
    if password is not None:
        raise SecretError("a password goes with a secret phrase, not with a hexadecimal seed")
    try:
        return from_hex(secret, SEED_LENGTH), junctions
    except HexError as error:
        raise SecretError(f"secret seed: {error}") from None


def parse_junction(code: str, *, hard: bool) -> Junction:
    """A step of a path: a number below 2^64 counts as u64, all else as text; padded or hashed to 32 bytes."""
    number = _NUMBER.fullmatch(code)
    if number and int(number["digits"]) < 1 << 64:
        data = int(number["digits"]).to_bytes(8, "little")
    else:
        data = _scale_text(code)
    return Junction(
        blake2b_256(data) if len(data) > _CHAIN_CODE_LENGTH else data.ljust(_CHAIN_CODE_LENGTH, b"\0"), hard
    )


def _derive_sr25519(seed: bytes, junctions: tuple[Junction, ...]) -> KeyPair:
    """Schnorrkel's derivation; the chain code enters each step anew."""
    public, secret = sr25519.pair_from_seed(seed)
    for junction in junctions:
        derive = sr25519.hard_derive_keypair if junction.hard else sr25519.derive_keypair
        _, public, secret = derive((junction.chain_code, public, secret), b"")
    return KeyPair(Scheme.SR25519, AccountId(public), secret)


def _scale_text(text: str) -> bytes:
    data = text.encode()
    return encode_compact(len(data)) + data
