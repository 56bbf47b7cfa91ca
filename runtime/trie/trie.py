"""A trie as a value: editing one makes another, and both stay good."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from runtime.primitives import HASH_LENGTH, Hash, blake2b_256, to_hex
from runtime.trie.edit import Batch
from runtime.trie.node import (
    EMPTY_NODE,
    EMPTY_ROOT,
    MAX_KEY_LENGTH,
    Branch,
    Node,
    StateVersion,
    TrieError,
    Value,
    ValueHash,
    compact_length,
    encoding_of,
    parse_leaf,
)

_CHUNK = 16_384

ValueSource = Callable[[bytes], bytes | None]
"""Gives the value of a key from wherever the flat state is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Trie:
    """A mapping of byte strings to byte strings with a root hash.

    Layout V1 does not keep a value of 33 bytes or more, only its hash: what needs the value itself takes a
    `values` to ask for it.
    """

    version: StateVersion
    _node: Node | None
    _root: Hash

    @staticmethod
    def empty(version: StateVersion) -> "Trie":
        """Return the trie without a key."""
        return Trie(version, None, EMPTY_ROOT)

    @staticmethod
    def from_items(pairs: Iterable[tuple[bytes, bytes]], version: StateVersion) -> "Trie":
        """Return the trie of these pairs, which come in ascending order of their keys.

        They are taken in portions, so that a stream of them need not fit into memory.
        """
        trie, stream = Trie.empty(version), iter(pairs)
        while portion := list(islice(stream, _CHUNK)):
            trie = trie.apply(portion)
        return trie

    def apply(self, changes: Sequence[tuple[bytes, bytes | None]]) -> "Trie":
        """Return the trie with these changes; None removes a key, and need not find it.

        Raises:
            TrieError: the keys are not unique and ascending, or one is too long.
        """
        keys = [key for key, _ in changes]
        _check_keys(keys)
        node = Batch(keys, [value for _, value in changes], self.version).apply(self._node)
        if node is self._node:
            return self
        return Trie(self.version, node, EMPTY_ROOT if node is None else blake2b_256(encoding_of(node)))

    def root(self) -> Hash:
        """Return the hash that commits to the whole mapping."""
        return self._root

    def get(self, key: bytes, values: ValueSource | None = None) -> bytes | None:
        """Return the value of a key, or None.

        Raises:
            TrieError: only its hash is kept, and `values` is missing or disagrees with it.
        """
        value = self._walk(key, [])
        return _resolve(key, value, values) if isinstance(value, ValueHash) else value

    def prove(self, keys: Iterable[bytes], values: ValueSource | None = None) -> list[bytes]:
        """Return the nodes from the root to each key, or to where it would be, each once.

        A value that its node holds by its hash is an item of its own.

        Raises:
            TrieError: as `get`.
        """
        nodes: dict[bytes, None] = {}
        for key in keys:
            path: list[Node] = []
            value = self._walk(key, path)
            for depth, node in enumerate(path):
                encoding = encoding_of(node)
                if depth == 0 or len(encoding) >= HASH_LENGTH:
                    nodes[encoding] = None
            if not path:
                nodes[EMPTY_NODE] = None
            if isinstance(value, ValueHash):
                nodes[_resolve(key, value, values)] = None
        return list(nodes)

    def prove_range(self, after: bytes | None, last: bytes | None) -> list[bytes]:
        """Return the nodes on the way to both ends of a range, for `verify_range`; None is an end of the trie."""
        nodes: dict[bytes, None] = {}
        for key in (after, last):
            if key is not None:
                path: list[Node] = []
                self._walk(key, path)
                for depth, node in enumerate(path):
                    encoding = encoding_of(node)
                    if depth == 0 or len(encoding) >= HASH_LENGTH:
                        nodes[encoding] = None
        return list(nodes)

    def _walk(self, key: bytes, path: list[Node]) -> Value | None:
        """Return what is kept for a key, and append the nodes on the way to `path`."""
        digits, depth, node = key.hex(), 0, self._node
        while isinstance(node, Branch):
            path.append(node)
            if not digits.startswith(node.partial, depth):
                return None
            depth += len(node.partial)
            if depth == len(digits):
                return node.value
            bit = 1 << int(digits[depth], 16)
            if not node.bitmap & bit:
                return None
            node = node.children[(node.bitmap & (bit - 1)).bit_count()]
            depth += 1
        if node is None:
            return None
        path.append(node)
        partial, value = parse_leaf(node)
        return value if digits[depth:] == partial else None


def ordered_root(values: Sequence[bytes], version: StateVersion = StateVersion.V0) -> Hash:
    """Return the root of the trie of compact(index) -> value: the extrinsics root of a block."""
    pairs = sorted((compact_length(index), value) for index, value in enumerate(values))
    return Trie.empty(version).apply(pairs).root()


def _check_keys(keys: Sequence[bytes]) -> None:
    for key, following in pairwise(keys):
        if key >= following:
            raise TrieError(f"keys must be unique and ascending: {to_hex(following)} comes after {to_hex(key)}")
    longest = max(map(len, keys), default=0)
    if longest > MAX_KEY_LENGTH:
        raise TrieError(f"a key has {MAX_KEY_LENGTH} bytes at most, this one has {longest}")


def _resolve(key: bytes, kept: ValueHash, values: ValueSource | None) -> bytes:
    """Fetch the value behind a hash, and see that it is the one."""
    if values is None:
        raise TrieError(f"the trie keeps only the hash of the value of {to_hex(key)}")
    value = values(key)
    if value is None or blake2b_256(value) != kept.hash:
        raise TrieError(f"the state's value of {to_hex(key)} is not the one the trie commits to")
    return value
