"""Check that a run of pairs is all that a trie with a trusted root has between two keys.

Whoever gives the pairs gives the nodes on the way to both ends too. What lies wholly between the ends is built from the
pairs alone, and must be what the nodes refer to; what lies outside is not looked at. So a pair that is left out, added
or changed makes a subtrie another one than the root commits to. The work is linear in pairs and proof.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.primitives import HASH_LENGTH, Hash, blake2b_256, to_hex
from runtime.scale import ScaleError
from runtime.trie.edit import grow
from runtime.trie.node import (
    EMPTY_NODE,
    EMPTY_ROOT,
    MAX_KEY_LENGTH,
    Node,
    StateVersion,
    Value,
    encoding_of,
    reference,
    stored_value,
)
from runtime.trie.proof import ProofError, TrieNode, decode_node

MAX_NODES = 4 * MAX_KEY_LENGTH + 2
"""Two ways from the root have no more nodes."""


def verify_range(
    root: Hash,
    proof: Sequence[bytes],
    pairs: Sequence[tuple[bytes, bytes]],
    after: bytes | None,
    version: StateVersion,
    *,
    is_last: bool,
) -> None:
    """Check that a trie has exactly these pairs behind the key `after` (None: from the first one on).

    They go up to the last of them or, with `is_last`, to the end of the trie.

    Raises:
        ProofError: it has others, the pairs do not ascend, or the proof is not of this trie.
    """
    keys = [key for key, _ in pairs]
    lower = after
    for key in keys:
        if lower is not None and key <= lower:
            raise ProofError(f"the key {to_hex(key)} comes after {to_hex(lower)}")
        if len(key) > MAX_KEY_LENGTH:
            raise ProofError(f"a key has {MAX_KEY_LENGTH} bytes at most, this one has {len(key)}")
        lower = key
    if not pairs and not is_last:
        raise ProofError("a range that does not reach the end has a pair at least")
    if len(proof) > MAX_NODES:
        raise ProofError(f"a proof of a range has {MAX_NODES} nodes at most, this one has {len(proof)}")
    nodes = {blake2b_256(item): item for item in proof}
    walk = _Walk(keys, [value for _, value in pairs], after, None if is_last else keys[-1], version, nodes)
    walk.start(root)
    if walk.used != nodes.keys():
        raise ProofError("the proof has nodes that are on the way to neither end")


@dataclass(slots=True)
class _Ends:
    """The ends of a range in hexadecimal digits; None stands for that of the trie."""

    after: str | None
    last: str | None

    def excludes(self, path: str) -> bool:
        """Tell whether no key that begins with `path` is in the range."""
        is_before = self.after is not None and path < self.after and not self.after.startswith(path)
        is_behind = self.last is not None and path > self.last
        return is_before or is_behind

    def includes(self, path: str) -> bool:
        """Tell whether all keys that begin with `path` are."""
        begins = self.after is None or path > self.after
        ends = self.last is None or (path < self.last and not self.last.startswith(path))
        return begins and ends

    def has(self, key: str) -> bool:
        """Tell whether a key is in the range."""
        return (self.after is None or key > self.after) and (self.last is None or key <= self.last)


class _Walk:
    """Goes through the trie in the order of its keys, as far as the range reaches."""

    def __init__(
        self,
        keys: list[bytes],
        values: list[bytes],
        after: bytes | None,
        last: bytes | None,
        version: StateVersion,
        nodes: dict[Hash, bytes],
    ) -> None:
        self._keys = keys
        self._values = values
        self._ends = _Ends(None if after is None else after.hex(), None if last is None else last.hex())
        self._version = version
        self._nodes = nodes
        self._at = 0
        self.used: set[Hash] = set()

    def start(self, root: Hash) -> None:
        """Walk from the root; raises ProofError."""
        ends = self._ends
        if ends.after is None and ends.last is None:
            built = blake2b_256(encoding_of(self._grow(0, 0, len(self._keys)))) if self._keys else EMPTY_ROOT
            if built != root:
                raise ProofError(f"the pairs are those of a trie with the root {to_hex(built)}")
            return
        if root != EMPTY_ROOT:
            self._enter(self._find(root), "")
        elif self._nodes.get(root) == EMPTY_NODE:
            self.used.add(root)
        if self._at != len(self._keys):
            raise ProofError(f"the trie has no key {to_hex(self._keys[self._at])}")

    def _grow(self, depth: int, low: int, high: int) -> Node:
        values: list[Value] = list(self._values[low:high])
        return grow(self._keys[low:high], values, depth, self._version)

    def _find(self, name: bytes) -> TrieNode:
        """Decode the node with a hash, or the one whose encoding stands there."""
        encoding = name
        if len(name) == HASH_LENGTH:
            self.used.add(Hash(name))
            found = self._nodes.get(Hash(name))
            if found is None:
                raise ProofError(f"the proof is incomplete: it lacks the trie node {to_hex(name)}")
            encoding = found
        try:
            return decode_node(encoding, self._version)
        except ScaleError as error:
            raise ProofError(f"the trie node {to_hex(name)} is malformed: {error}") from None

    def _enter(self, node: TrieNode, path: str) -> None:
        """Look at a node below `path` that an end may lie in."""
        path += node.partial
        ends = self._ends
        if ends.excludes(path):
            return
        if node.value is not None and len(path) % 2 == 0 and ends.has(path):
            self._take(bytes.fromhex(path), node)
        for nibble in sorted(node.children):
            child, below = node.children[nibble], f"{path}{nibble:x}"
            if ends.excludes(below):
                continue
            if ends.includes(below):
                self._compare(child, below)
            else:
                self._enter(self._find(child), below)

    def _take(self, key: bytes, node: TrieNode) -> None:
        """Compare the value of a node on the way to an end with the pair whose turn it is."""
        at = self._at
        if at == len(self._keys) or self._keys[at] != key:
            raise ProofError(f"the pairs lack the key {to_hex(key)}")
        if stored_value(self._values[at], self._version) != node.value:
            raise ProofError(f"the value of {to_hex(key)} is not the trie's")
        self._at = at + 1

    def _compare(self, child: bytes, path: str) -> None:
        """Build what lies wholly within the range from the pairs, and compare it with what the trie has there."""
        low = self._at
        high = self._end_of(path, low)
        if low == high:
            raise ProofError(f"the pairs lack the keys that begin with {path}")
        if reference(self._grow(len(path), low, high))[1:] != child:
            raise ProofError(f"the pairs whose keys begin with {path} are not the trie's")
        self._at = high

    def _end_of(self, path: str, low: int) -> int:
        """Where the run of pairs ends whose keys begin with `path`."""
        if low == len(self._keys) or not self._keys[low].hex().startswith(path):
            return low
        return bisect_left(self._keys, True, low, key=lambda key: not key.hex().startswith(path))
