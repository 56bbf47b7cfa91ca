"""Check what a list of trie nodes proves about a root that is trusted.

The list comes from a stranger. It can lie about nothing: a node counts only if the root commits to it,
through the hashes of the nodes between them. Leaving nodes out is noticed when a key's way ends at one that
is missing, and what no node refers to is refused, so that a proof cannot be padded. The work is linear in
the proof's bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runtime.primitives import HASH_LENGTH, Hash, blake2b_256, to_hex
from runtime.scale import Reader, ScaleError
from runtime.trie.node import EMPTY_NODE, Kind, StateVersion, Value, ValueHash


class ProofError(ValueError):
    """The proof does not show what it is asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class TrieNode:
    """A decoded node; a child is named by its hash, or by its encoding if that is shorter than one."""

    partial: str
    value: Value | None
    children: Mapping[int, bytes]


def verify_proof(
    root: Hash, proof: Sequence[bytes], keys: Iterable[bytes], version: StateVersion | None = None
) -> dict[bytes, bytes | None]:
    """Return the value of each key in the trie with this root; None for a key that it does not have.

    Raises:
        ProofError: the proof is malformed, does not belong to the root, or does not reach a key; with
            `version` V0 also if it holds a node of the layout V1.
    """
    items: dict[Hash, bytes] = {}
    for item in proof:
        name = blake2b_256(item)
        if name in items:
            raise ProofError(f"the proof has the item with hash {to_hex(name)} twice")
        items[name] = item
    nodes = _decode_all(root, items, version)
    return {key: _look_up(key, root, nodes, items) for key in keys}


def _decode_all(root: Hash, items: Mapping[Hash, bytes], version: StateVersion | None) -> dict[bytes, TrieNode]:
    """Decode the nodes that hang together with the root, by what they are named by."""
    if root not in items:
        raise ProofError(f"no item of the proof has the hash of the root, {to_hex(root)}")
    nodes: dict[bytes, TrieNode] = {}
    values: dict[Hash, None] = {}
    waiting: list[bytes] = [root]
    while waiting:
        name = waiting.pop()
        encoding = items[Hash(name)] if len(name) == HASH_LENGTH else name
        if encoding == EMPTY_NODE and name == root:
            node = TrieNode("", None, {})
        else:
            try:
                node = decode_node(encoding, version)
            except ScaleError as error:
                raise ProofError(f"the trie node {to_hex(name)} is malformed: {error}") from None
        nodes[name] = node
        if isinstance(node.value, ValueHash) and node.value.hash in items:
            values[node.value.hash] = None
        waiting += [
            child
            for child in node.children.values()
            if child not in nodes and (len(child) < HASH_LENGTH or child in items)
        ]
    for name in items:
        if name not in nodes and name not in values:
            raise ProofError(f"nothing in the proof refers to its item with hash {to_hex(name)}")
    return nodes


def _look_up(key: bytes, root: Hash, nodes: Mapping[bytes, TrieNode], items: Mapping[Hash, bytes]) -> bytes | None:
    digits, depth, name = key.hex(), 0, bytes(root)
    while (node := nodes.get(name)) is not None:
        if not digits.startswith(node.partial, depth):
            return None
        depth += len(node.partial)
        if depth == len(digits):
            if not isinstance(node.value, ValueHash):
                return node.value
            if node.value.hash not in items:
                raise ProofError(f"the proof has only the hash of the value of {to_hex(key)}")
            return items[node.value.hash]
        child = node.children.get(int(digits[depth], 16))
        if child is None:
            return None
        name, depth = child, depth + 1
    raise ProofError(f"the proof is incomplete: the way to {to_hex(key)} needs the trie node {to_hex(name)}")


def decode_node(encoding: bytes, version: StateVersion | None) -> TrieNode:
    """Decode a node and all of it. Raises ScaleError."""
    reader = Reader(encoding)
    kind, nibbles = _read_header(reader)
    hashed = kind in (Kind.HASHED_LEAF, Kind.HASHED_BRANCH)
    if hashed and version is StateVersion.V0:
        raise ScaleError("it holds a value by its hash, which layout V0 does not know")
    packed = reader.take((nibbles + 1) // 2, "partial key")
    if nibbles % 2 and packed[0] > 15:
        raise ScaleError("its partial key has an odd number of nibbles but no padding")
    bitmap = 0
    if kind not in (Kind.LEAF, Kind.HASHED_LEAF):
        bitmap = int.from_bytes(reader.take(2, "child bitmap"), "little")
        if not bitmap:
            raise ScaleError("it is a branch without children")
    value: Value | None = None
    if hashed:
        value = ValueHash(Hash(reader.take(HASH_LENGTH, "value hash")))
    elif kind is not Kind.BRANCH:
        value = reader.take(reader.length(1, len(encoding), "value"), "value")
    children = {
        nibble: reader.take(reader.length(1, HASH_LENGTH, "child"), "child")
        for nibble in range(16)
        if bitmap >> nibble & 1
    }
    if reader.remaining:
        raise ScaleError(f"{reader.remaining} bytes are left over")
    return TrieNode(packed.hex()[nibbles % 2 :], value, children)


def _read_header(reader: Reader) -> tuple[Kind, int]:
    """Read a node's kind and the number of nibbles in its partial key."""
    first = reader.byte("node header")
    for kind in (Kind.VALUE_BRANCH, Kind.BRANCH, Kind.LEAF, Kind.HASHED_LEAF, Kind.HASHED_BRANCH):
        if first >= kind:
            break
    else:
        raise ScaleError(f"its header {first:#04x} is unknown")
    most = kind.most_nibbles
    nibbles = first & most
    more = nibbles == most
    while more:
        step = reader.byte("node header")
        nibbles, more = nibbles + step, step == 255
    return kind, nibbles
