"""How a node of the trie is kept in memory and how it is encoded.

A leaf is kept as its encoding and nothing else. A branch keeps its encoding and its children; the
references to them (hash or embedded encoding) are read from that encoding, so that no hash is stored twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NewType, TypeAlias, final

from runtime.primitives import HASH_LENGTH, Hash, blake2b_256
from runtime.scale import encode_compact

MAX_KEY_LENGTH: Final = 128
"""Longest key in bytes. The trie is as deep as its keys nest, and it is edited recursively."""

HASHED_VALUE_LENGTH: Final = 33
"""Layout V1 keeps values of this length or more by their hash."""

EMPTY_NODE: Final = b"\0"
EMPTY_ROOT: Final = blake2b_256(EMPTY_NODE)


class TrieError(ValueError):
    """A request that the trie cannot meet; the message says why."""


class StateVersion(IntEnum):
    """The trie's layout, numbered as in Substrate's runtime version."""

    V0 = 0
    V1 = 1


class Kind(IntEnum):
    """The leading bits of a node's header."""

    HASHED_BRANCH = 0x10
    HASHED_LEAF = 0x20
    LEAF = 0x40
    BRANCH = 0x80
    VALUE_BRANCH = 0xC0

    @property
    def most_nibbles(self) -> int:
        """The largest number that the header's remaining bits can hold."""
        return {Kind.HASHED_BRANCH: 15, Kind.HASHED_LEAF: 31}.get(self, 63)


@dataclass(frozen=True, slots=True)
class ValueHash:
    """Stands for a value of which the trie keeps the hash only."""

    hash: Hash


Value: TypeAlias = bytes | ValueHash

Leaf = NewType("Leaf", bytes)
"""The encoding of a node without children."""


@final
class Branch:
    """A node with children. Never changed once made: tries of different blocks share it.

    No dataclass: a frozen one takes several times as long to make, and a block makes thousands.

    Attributes:
        partial: the nibbles between the parent and the children's forks, as hexadecimal digits.
        bitmap: bit n is set if there is a child for nibble n.
        children: the children that exist, in the order of their nibbles.
        encoding: the node as the parent's reference commits to it.
        start: the offset in `encoding` of the first child's reference.
    """

    __slots__ = ("bitmap", "children", "encoding", "partial", "start", "value")

    def __init__(
        self,
        partial: str,
        value: Value | None,
        bitmap: int,
        children: "tuple[Node, ...]",
        encoding: bytes,
        start: int,
    ) -> None:
        """Keep the parts; `make_branch` derives the encoding."""
        self.partial = partial
        self.value = value
        self.bitmap = bitmap
        self.children = children
        self.encoding = encoding
        self.start = start


Node: TypeAlias = Leaf | Branch


def header(kind: Kind, nibbles: int) -> bytes:
    """Encode a node's kind and the length of its partial key."""
    most = kind.most_nibbles
    if nibbles < most:
        return bytes((kind | nibbles,))
    full, rest = divmod(nibbles - most, 255)
    return bytes((kind | most, *(255,) * full, rest))


# No key is longer than MAX_KEY_LENGTH, so these hold every header there can be.
LEAF_HEADERS: Final = [header(Kind.LEAF, n) for n in range(2 * MAX_KEY_LENGTH + 1)]
HASHED_LEAF_HEADERS: Final = [header(Kind.HASHED_LEAF, n) for n in range(2 * MAX_KEY_LENGTH + 1)]
_BRANCH_HEADERS: Final = [header(Kind.BRANCH, n) for n in range(2 * MAX_KEY_LENGTH + 1)]
_NIBBLE: Final = [bytes((n,)) for n in range(16)]
_SHORT_LENGTH: Final = [encode_compact(n) for n in range(64)]
_HASH_LENGTH: Final = _SHORT_LENGTH[HASH_LENGTH]
REFERENCE_LENGTH: Final = len(_HASH_LENGTH) + HASH_LENGTH
"""What a child that is referred to by its hash takes in its parent's encoding."""


def compact_length(length: int) -> bytes:
    """SCALE's compact form of a length; most are short, and those come from a table."""
    return _SHORT_LENGTH[length] if length < 64 else encode_compact(length)


def pack_tail(key: bytes, depth: int) -> bytes:
    """Pack the nibbles of `key` from `depth` on; an odd number has its first nibble alone in a byte."""
    if depth & 1:
        return _NIBBLE[key[depth >> 1] & 15] + key[(depth >> 1) + 1 :]
    return key[depth >> 1 :]


def make_leaf(key: bytes, depth: int, value: Value, version: StateVersion) -> Leaf:
    """Encode the leaf that holds `value` for `key` below the first `depth` nibbles."""
    nibbles = 2 * len(key) - depth
    if isinstance(value, ValueHash):
        return Leaf(HASHED_LEAF_HEADERS[nibbles] + pack_tail(key, depth) + value.hash)
    length = len(value)
    if length >= HASHED_VALUE_LENGTH and version:
        return Leaf(HASHED_LEAF_HEADERS[nibbles] + pack_tail(key, depth) + blake2b_256(value))
    return Leaf(LEAF_HEADERS[nibbles] + pack_tail(key, depth) + compact_length(length) + value)


def make_branch(
    partial: str, value: Value | None, bitmap: int, children: "tuple[Node, ...]", references: Sequence[bytes]
) -> Branch:
    """Put a branch together; `references` are its children's, in the order of their nibbles."""
    nibbles = len(partial)
    if value is None:
        head, body = _BRANCH_HEADERS[nibbles], b""
    elif isinstance(value, ValueHash):
        head, body = header(Kind.HASHED_BRANCH, nibbles), value.hash
    else:
        head, body = header(Kind.VALUE_BRANCH, nibbles), compact_length(len(value)) + value
    packed = bytes.fromhex(partial if nibbles % 2 == 0 else "0" + partial)
    start = len(head) + len(packed) + 2 + len(body)
    encoding = b"".join((head, packed, bitmap.to_bytes(2, "little"), body, *references))
    return Branch(partial, value, bitmap, children, encoding, start)


def stored_value(value: bytes, version: StateVersion) -> Value:
    """What a branch of this layout keeps of a value."""
    if version and len(value) >= HASHED_VALUE_LENGTH:
        return ValueHash(blake2b_256(value))
    return value


def encoding_of(node: Node) -> bytes:
    """Return a node's encoding."""
    return node.encoding if isinstance(node, Branch) else node


def reference(node: Node) -> bytes:
    """Return what stands for the node in its parent: a length, and the hash or the short encoding itself."""
    encoding = node.encoding if isinstance(node, Branch) else node
    if len(encoding) >= HASH_LENGTH:
        return _HASH_LENGTH + blake2b_256(encoding)
    return _SHORT_LENGTH[len(encoding)] + encoding


def references_of(branch: Branch) -> list[bytes]:
    """Return the references to a branch's children, in the order of their nibbles."""
    encoding, at, found = branch.encoding, branch.start, []
    while at < len(encoding):
        end = at + 1 + (encoding[at] >> 2)
        found.append(encoding[at:end])
        at = end
    return found


def parse_leaf(leaf: Leaf) -> tuple[str, Value]:
    """Return a leaf's partial key (hexadecimal digits) and its value."""
    hashed = leaf[0] < Kind.LEAF
    most = 31 if hashed else 63
    nibbles, at = leaf[0] & most, 1
    if nibbles == most:
        # No key is so long that one more byte could not say how long.
        nibbles, at = nibbles + leaf[at], at + 1
    end = at + (nibbles + 1) // 2
    partial = leaf[at:end].hex()[nibbles % 2 :]
    if hashed:
        return partial, ValueHash(Hash(leaf[end:]))
    # The two low bits say what the compact length takes. (A length of 2^30 or more takes five bytes.)
    return partial, leaf[end + (1, 2, 4, 5)[leaf[end] & 3] :]
