"""Block headers and whole blocks: their wire form, their JSON form, and the bounds on what a peer may send.

A header commits to everything: its parent, the state after the block, the block's extrinsics, and in its
digest what the consensus engine has to say. A block's hash is the hash of its header.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.primitives import BlockNumber, Hash, HexError, blake2b_256, from_hex, to_hex
from runtime.scale import Codec, Compact, Reader, ScaleError, encode_compact

MAX_DIGEST_ITEMS: Final = 32
MAX_DIGEST_PAYLOAD: Final = 1 << 16
MAX_EXTRINSICS: Final = 1 << 16
MAX_BODY_BYTES: Final = 5 << 20

ENGINE_LENGTH: Final = 4
_NUMBER: Final = Compact(32)


class DigestKind(enum.IntEnum):
    """What a digest item is about; the value is its tag on the wire."""

    OTHER = 0
    CONSENSUS = 4
    SEAL = 5
    PRE_RUNTIME = 6
    RUNTIME_ENVIRONMENT_UPDATED = 8


WITH_ENGINE: Final = (DigestKind.CONSENSUS, DigestKind.SEAL, DigestKind.PRE_RUNTIME)
_KINDS: Final = {kind.value: kind for kind in DigestKind}


class HeaderError(ScaleError):
    """A header, a digest item or a block is malformed; the message says how."""


@dataclass(frozen=True, slots=True)
class DigestItem:
    """One entry of a header's digest.

    `engine` is the 4-byte id of a consensus engine for CONSENSUS, SEAL and PRE_RUNTIME, and empty otherwise.
    """

    kind: DigestKind
    engine: bytes = b""
    payload: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what has no wire form."""
        expected = ENGINE_LENGTH if self.kind in WITH_ENGINE else 0
        if len(self.engine) != expected:
            raise HeaderError(f"a {self.kind.name} digest item has an engine id of {expected} bytes")
        if len(self.payload) > MAX_DIGEST_PAYLOAD:
            raise HeaderError(f"a digest payload holds {MAX_DIGEST_PAYLOAD} bytes at most")
        if self.payload and self.kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            raise HeaderError("a RUNTIME_ENVIRONMENT_UPDATED digest item has no payload")

    def encode(self) -> bytes:
        """Tag, engine id if any, and payload."""
        tag = bytes((self.kind,))
        if self.kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            return tag
        return tag + self.engine + encode_compact(len(self.payload)) + self.payload

    @staticmethod
    def read(reader: Reader) -> "DigestItem":
        """The item at the reader's position."""
        tag = reader.byte("digest item")
        kind = _KINDS.get(tag)
        if kind is None:
            raise HeaderError(f"digest item at offset {reader.offset - 1} has an unknown tag {tag}")
        if kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            return DigestItem(kind)
        engine = reader.take(ENGINE_LENGTH, "engine id") if kind in WITH_ENGINE else b""
        size = reader.length(1, MAX_DIGEST_PAYLOAD, "digest payload")
        return DigestItem(kind, engine, reader.take(size))

    @staticmethod
    def decode(data: bytes) -> "DigestItem":
        """The item that `data`, all of it, encodes."""
        reader = Reader(data)
        item = DigestItem.read(reader)
        _check_end(reader, "digest item")
        return item


class DigestItemCodec(Codec[DigestItem]):
    """The wire form of digest items, for the types they are part of."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The type's name."""
        return "DigestItem"

    @property
    def min_size(self) -> int:
        """An item is a tag at least."""
        return 1

    def encode(self, value: DigestItem) -> bytes:
        """The bytes of an item."""
        return value.encode()

    def read(self, reader: Reader) -> DigestItem:
        """The item at the reader's position."""
        return DigestItem.read(reader)


DIGEST_ITEM: Final = DigestItemCodec()


@dataclass(frozen=True, slots=True)
class Header:
    """A block's commitment to its parent, its state, its extrinsics and its digest."""

    parent_hash: Hash
    number: BlockNumber
    state_root: Hash
    extrinsics_root: Hash
    digest: tuple[DigestItem, ...] = ()
    _hash: Hash | None = field(default=None, init=False, repr=False, compare=False)

    def encode(self) -> bytes:
        """The wire form, which is also what is hashed."""
        parts = [self.parent_hash, _NUMBER.encode(self.number), self.state_root, self.extrinsics_root]
        parts.append(encode_compact(len(self.digest)))
        parts += [item.encode() for item in self.digest]
        return b"".join(parts)

    def hash(self) -> Hash:
        """The block's hash; computed once, as a header never changes."""
        known = self._hash
        if known is None:
            known = blake2b_256(self.encode())
            object.__setattr__(self, "_hash", known)
        return known

    @staticmethod
    def read(reader: Reader) -> "Header":
        """The header at the reader's position."""
        parent = Hash(reader.take(32, "parent hash"))
        number = BlockNumber(_NUMBER.read(reader))
        state_root = Hash(reader.take(32, "state root"))
        extrinsics_root = Hash(reader.take(32, "extrinsics root"))
        count = reader.length(1, MAX_DIGEST_ITEMS, "digest")
        digest = tuple([DigestItem.read(reader) for _ in range(count)])
        return Header(parent, number, state_root, extrinsics_root, digest)

    @staticmethod
    def decode(data: bytes) -> "Header":
        """The header that `data`, all of it, encodes."""
        reader = Reader(data)
        header = Header.read(reader)
        _check_end(reader, "header")
        return header

    def to_json(self) -> dict[str, Any]:
        """The form that JSON-RPC clients read."""
        return {
            "parentHash": to_hex(self.parent_hash),
            "number": hex(self.number),
            "stateRoot": to_hex(self.state_root),
            "extrinsicsRoot": to_hex(self.extrinsics_root),
            "digest": {"logs": [to_hex(item.encode()) for item in self.digest]},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Header":
        """Parse the JSON form; HeaderError names the member that is missing or wrong."""
        digest = _member(value, "digest", Mapping)
        logs = _member(digest, "logs", list)
        if len(logs) > MAX_DIGEST_ITEMS:
            raise HeaderError(f"digest.logs has {len(logs)} entries, at most {MAX_DIGEST_ITEMS} are allowed")
        items = [DigestItem.decode(_hex_bytes(log, f"digest.logs[{at}]")) for at, log in enumerate(logs)]
        return Header(
            parent_hash=_hash_member(value, "parentHash"),
            number=_number_member(value, "number"),
            state_root=_hash_member(value, "stateRoot"),
            extrinsics_root=_hash_member(value, "extrinsicsRoot"),
            digest=tuple(items),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its body; every extrinsic is its full bytes with the length prefix."""

    header: Header
    extrinsics: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The header followed by the extrinsics as a Vec of opaque byte strings."""
        return self.header.encode() + encode_body(self.extrinsics)

    @staticmethod
    def decode(data: bytes) -> "Block":
        """The block that `data`, all of it, encodes."""
        reader = Reader(data)
        header = Header.read(reader)
        return Block(header, _read_body(reader))


def encode_body(extrinsics: tuple[bytes, ...]) -> bytes:
    """A body by itself: the count and the extrinsics, which carry their own length prefixes."""
    return encode_compact(len(extrinsics)) + b"".join(extrinsics)


def decode_body(data: bytes) -> tuple[bytes, ...]:
    """The extrinsics, each with its length prefix, that `data`, all of it, encodes."""
    return _read_body(Reader(data))


def _read_body(reader: Reader) -> tuple[bytes, ...]:
    """The rest of the reader as a body."""
    if reader.remaining > MAX_BODY_BYTES:
        raise HeaderError(f"body has {reader.remaining} bytes, at most {MAX_BODY_BYTES} are allowed")
    count = reader.length(1, MAX_EXTRINSICS, "body")
    extrinsics = []
    for _ in range(count):
        start = reader.offset
        size = reader.length(1, MAX_BODY_BYTES, "extrinsic")
        reader.offset += size
        extrinsics.append(reader.data[start : reader.offset])
    _check_end(reader, "body")
    return tuple(extrinsics)


def _check_end(reader: Reader, what: str) -> None:
    if reader.remaining:
        raise HeaderError(f"{what} ends at offset {reader.offset}, {reader.remaining} bytes are left over")


def _member(value: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    """A member of a JSON object, checked for its type."""
    member = value.get(name)
    if not isinstance(member, kind):
        raise HeaderError(f"header member {name} is missing or of a wrong type")
    return member


def _hex_bytes(text: object, name: str, length: int | None = None) -> bytes:
    """Hex text of a header member as bytes."""
    if not isinstance(text, str):
        raise HeaderError(f"header member {name} is missing or of a wrong type")
    try:
        return from_hex(text, length)
    except HexError as error:
        raise HeaderError(f"header member {name}: {error}") from None


def _hash_member(value: Mapping[str, Any], name: str) -> Hash:
    return Hash(_hex_bytes(value.get(name), name, 32))


def _number_member(value: Mapping[str, Any], name: str) -> BlockNumber:
    """A block number in hexadecimal; clients also write leading zeros."""
    text = value.get(name)
    digits = text[2:] if isinstance(text, str) and text.startswith("0x") else ""
    if not digits or len(digits) > 16 or not digits.isascii() or not digits.isalnum():
        raise HeaderError(f"header member {name} must be a hexadecimal number such as 0x1f")
    try:
        number = int(digits, 16)
    except ValueError:
        raise HeaderError(f"header member {name} must be a hexadecimal number such as 0x1f") from None
    if number >> 32:
        raise HeaderError(f"header member {name} does not fit 32 bits")
    return BlockNumber(number)
