"""Domain ids, hash functions and hex text: the vocabulary that every other module speaks."""

import binascii
import hashlib
from dataclasses import dataclass
from typing import Final, NewType

import xxhash

Hash = NewType("Hash", bytes)
AccountId = NewType("AccountId", bytes)
BlockNumber = NewType("BlockNumber", int)
Nonce = NewType("Nonce", int)
Slot = NewType("Slot", int)

HASH_LENGTH: Final = 32
ACCOUNT_LENGTH: Final = 32
ZERO_HASH: Final = Hash(bytes(HASH_LENGTH))

# Copying a prepared hasher skips its parameters: for short inputs two thirds of the price of building one.
_BLAKE2B_256 = hashlib.blake2b(digest_size=32)
_BLAKE2B_128 = hashlib.blake2b(digest_size=16)
_BLAKE2B_64 = hashlib.blake2b(digest_size=8)


class HexError(ValueError):
    """Text is not 0x-prefixed hexadecimal of the length asked for."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block named by its height and its hash."""

    number: BlockNumber
    hash: Hash


def blake2b_256(data: bytes) -> Hash:
    """BLAKE2b with a 32-byte digest: block, extrinsic and trie node hashes."""
    hasher = _BLAKE2B_256.copy()
    hasher.update(data)
    return Hash(hasher.digest())


def blake2b_128(data: bytes) -> bytes:
    """BLAKE2b with a 16-byte digest."""
    hasher = _BLAKE2B_128.copy()
    hasher.update(data)
    return hasher.digest()


def blake2b_64(data: bytes) -> bytes:
    """BLAKE2b with an 8-byte digest: the ids of runtime APIs."""
    hasher = _BLAKE2B_64.copy()
    hasher.update(data)
    return hasher.digest()


def twox_64(data: bytes) -> bytes:
    """The xxHash64 of `data` with seed 0, little endian."""
    return xxhash.xxh64_intdigest(data, 0).to_bytes(8, "little")


def twox_128(data: bytes) -> bytes:
    """Two xxHash64 with seeds 0 and 1, each little endian: the prefixes of storage keys."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in (0, 1))


def twox_256(data: bytes) -> bytes:
    """Four xxHash64 with seeds 0 to 3, each little endian."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in range(4))


def blake2b_128_concat(data: bytes) -> bytes:
    """A storage map's hasher for keys an outsider may choose; the key stays readable."""
    return blake2b_128(data) + data


def twox_64_concat(data: bytes) -> bytes:
    """A storage map's hasher for keys nobody can choose freely; the key stays readable."""
    return twox_64(data) + data


def to_hex(data: bytes) -> str:
    """Lower-case hexadecimal with the prefix 0x."""
    return "0x" + data.hex()


def from_hex(text: str, length: int | None = None) -> bytes:
    """Parse what `to_hex` writes (either case of the digits), of exactly `length` bytes if given.

    Raises:
        HexError: no 0x, an odd or wrong number of digits, or something that is no digit.
    """
    if not text.startswith("0x"):
        raise HexError("hex text must start with 0x")
    digits = len(text) - 2
    if digits % 2:
        raise HexError(f"hex text must have an even number of digits, this one has {digits}")
    if length is not None and digits != 2 * length:
        raise HexError(f"hex text must hold {length} bytes, this one holds {digits // 2}")
    try:
        return binascii.unhexlify(text[2:])
    except ValueError:
        raise HexError("hex text holds a character that is not a hexadecimal digit") from None
