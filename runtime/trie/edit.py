"""Apply a sorted batch of changes to a trie.

One recursion walks the old trie and the changes side by side. It makes each node on the way at most once,
when all changes below it are done, and hashes it then; what no change touches is shared with the old trie.
"""

from bisect import bisect_left
from collections.abc import Sequence

from runtime.trie.node import (
    HASHED_LEAF_HEADERS,
    LEAF_HEADERS,
    REFERENCE_LENGTH,
    Branch,
    Kind,
    Leaf,
    Node,
    StateVersion,
    Value,
    make_branch,
    make_leaf,
    pack_tail,
    parse_leaf,
    reference,
    references_of,
    stored_value,
)

_BYTES = [bytes((n,)) for n in range(256)]

# A child to put at a nibble (None: take it away).
_Edit = tuple[int, Node | None]


class Batch:
    """Changes in ascending order of their keys; None as a value removes the key.

    Methods take a range [low, high) of changes that share the first `depth` nibbles of their keys.
    """

    __slots__ = ("_keys", "_values", "_version")

    def __init__(self, keys: Sequence[bytes], values: Sequence[Value | None], version: StateVersion) -> None:
        """Prepare; the keys are unique and ascending."""
        self._keys = keys
        self._values = values
        self._version = version

    def apply(self, root: Node | None) -> Node | None:
        """Return the root of the changed trie; the very same node if nothing changed."""
        return self._edit(root, 0, 0, len(self._keys)) if self._keys else root

    def _edit(self, node: Node | None, depth: int, low: int, high: int, *, tried: bool = False) -> Node | None:
        """Edit a subtrie; `tried` says that the quick way has failed already."""
        if isinstance(node, Branch):
            return self._edit_branch(node, depth, low, high, tried=tried)
        if high - low > 1:
            return self._regrow(node, depth, low, high)
        key, value = self._keys[low], self._values[low]
        if node is None:
            return None if value is None else make_leaf(key, depth, value, self._version)
        if not self._is_at(node, key, depth):
            return node if value is None else self._regrow(node, depth, low, high)
        if value is None:
            return None
        new = make_leaf(key, depth, value, self._version)
        return node if new == node else new

    def _replace(self, node: Branch, depth: int, index: int) -> Branch | None:
        """Replace one value below a branch where nothing else moves; None if it is not that simple.

        Most changes are, and this way is the quicker one.
        """
        key, value = self._keys[index], self._values[index]
        if value is None:
            return None
        path: list[tuple[Branch, int]] = []
        child: Node = node
        while isinstance(child, Branch):
            branch = child
            if branch.partial:
                if not key.hex().startswith(branch.partial, depth):
                    return None
                depth += len(branch.partial)
            at, bitmap = depth >> 1, branch.bitmap
            if at == len(key):
                return None
            bit = 1 << (key[at] & 15 if depth & 1 else key[at] >> 4)
            if not bitmap & bit:
                return None
            rank = (bitmap & (bit - 1)).bit_count()
            path.append((branch, rank))
            child = branch.children[rank]
            depth += 1
        if not self._is_at(child, key, depth):
            return None
        new: Node = make_leaf(key, depth, value, self._version)
        if new == child:
            return node
        result = None
        for branch, rank in reversed(path):
            result = _patch_one(branch, rank, new)
            if result is None:
                return None
            new = result
        return result

    @staticmethod
    def _is_at(leaf: Leaf, key: bytes, depth: int) -> bool:
        """Tell whether the leaf below the first `depth` nibbles of a key is the key's own."""
        headers = LEAF_HEADERS if leaf[0] >= Kind.LEAF else HASHED_LEAF_HEADERS
        return leaf.startswith(headers[2 * len(key) - depth] + pack_tail(key, depth))

    def _edit_branch(self, node: Branch, depth: int, low: int, high: int, *, tried: bool) -> Node | None:
        keys, single = self._keys, low + 1 == high
        if single and not tried and (replaced := self._replace(node, depth, low)) is not None:
            return replaced
        base, fork = node, depth + len(node.partial)
        if node.partial:
            shared = self._shared_with(node.partial, depth, low, high)
            if shared < len(node.partial):
                base, fork = _cut(node, shared), depth + shared
        value, edits = base.value, []
        if 2 * len(keys[low]) == fork:
            new_value = self._values[low]
            value = stored_value(new_value, self._version) if isinstance(new_value, bytes) else new_value
            low += 1
        at, odd, bitmap, children = fork >> 1, fork & 1, base.bitmap, base.children
        while low < high:
            byte = keys[low][at]
            nibble = byte & 15 if odd else byte >> 4
            end = high if low + 1 == high else _run_end(keys, low, high, at, odd)
            bit = 1 << nibble
            child = children[(bitmap & (bit - 1)).bit_count()] if bitmap & bit else None
            new = self._edit(child, fork + 1, low, end, tried=single)
            if new is not child:
                edits.append((nibble, new))
            low = end
        if not edits and value == base.value:
            return node
        # A branch that was cut has one child so far, and may have to be joined again.
        if value == base.value and base is node and (patched := _patch(base, edits)) is not None:
            return patched
        return self._rebuild(base, value, edits, depth, keys[high - 1])

    def _shared_with(self, partial: str, depth: int, low: int, high: int) -> int:
        """How many nibbles of a branch's partial key all changes of the range share."""
        shared = len(partial)
        for key in (self._keys[low], self._keys[high - 1]):
            digits = key.hex()
            if not digits.startswith(partial, depth):
                common = 0
                for ours, theirs in zip(partial, digits[depth:], strict=False):
                    if ours != theirs:
                        break
                    common += 1
                shared = min(shared, common)
        return shared

    def _regrow(self, leaf: Leaf | None, depth: int, low: int, high: int) -> Node | None:
        """Make the subtrie of a range of changes and of the one leaf that was there."""
        keys: list[bytes] = []
        values: list[Value] = []
        for key, value in zip(self._keys[low:high], self._values[low:high], strict=True):
            if value is not None:
                keys.append(key)
                values.append(value)
        if leaf is not None:
            partial, kept = parse_leaf(leaf)
            key = bytes.fromhex(self._keys[low].hex()[:depth] + partial)
            at = bisect_left(self._keys, key, low, high)
            if at == high or self._keys[at] != key:
                at = bisect_left(keys, key)
                keys.insert(at, key)
                values.insert(at, kept)
        if not keys:
            return None
        new = _Growth(keys, values, self._version).grow(depth, 0, len(keys))
        return leaf if new == leaf else new

    def _rebuild(self, base: Branch, value: Value | None, edits: list[_Edit], depth: int, key: bytes) -> Node | None:
        """Make the branch anew with other children or another value; `key` leads to it."""
        children, references, bitmap = list(base.children), references_of(base), base.bitmap
        for nibble, child in edits:
            bit = 1 << nibble
            rank = (bitmap & (bit - 1)).bit_count()
            if bitmap & bit:
                del children[rank], references[rank]
                bitmap ^= bit
            if child is not None:
                children.insert(rank, child)
                references.insert(rank, reference(child))
                bitmap |= bit
        path = key.hex()[: depth + len(base.partial)]
        if not children:
            return None if value is None else make_leaf(bytes.fromhex(path), depth, value, self._version)
        if len(children) == 1 and value is None:
            return self._join(f"{path}{bitmap.bit_length() - 1:x}", children[0], depth)
        return make_branch(base.partial, value, bitmap, tuple(children), references)

    def _join(self, path: str, child: Node, depth: int) -> Node:
        """Hang an only child in the place of its parent; `path` is the child's, from the root."""
        if isinstance(child, Branch):
            partial = path[depth:] + child.partial
            return make_branch(partial, child.value, child.bitmap, child.children, [child.encoding[child.start :]])
        partial, value = parse_leaf(child)
        return make_leaf(bytes.fromhex(path + partial), depth, value, self._version)


def grow(keys: list[bytes], values: list[Value], depth: int, version: StateVersion) -> Node:
    """Make the subtrie of pairs, ascending and one at least, that share the first `depth` nibbles of their keys."""
    return _Growth(keys, values, version).grow(depth, 0, len(keys))


class _Growth:
    """Makes tries of pairs where there was none; ranges are as in `Batch`, but hold one pair at least."""

    __slots__ = ("_keys", "_values", "_version")

    def __init__(self, keys: list[bytes], values: list[Value], version: StateVersion) -> None:
        """Prepare; the keys are unique and ascending."""
        self._keys = keys
        self._values = values
        self._version = version

    def grow(self, depth: int, low: int, high: int) -> Node:
        """Make the subtrie of a range of pairs."""
        keys = self._keys
        first = keys[low]
        if high - low == 1:
            return make_leaf(first, depth, self._values[low], self._version)
        fork = _shared_nibbles(first, keys[high - 1])
        partial = first.hex()[depth:fork] if fork > depth else ""
        kept = None
        if 2 * len(first) == fork:
            value = self._values[low]
            kept = stored_value(value, self._version) if isinstance(value, bytes) else value
            low += 1
        at, odd, bitmap = fork >> 1, fork & 1, 0
        children: list[Node] = []
        references: list[bytes] = []
        while low < high:
            byte = keys[low][at]
            end = high if low + 1 == high else _run_end(keys, low, high, at, odd)
            child = self.grow(fork + 1, low, end)
            bitmap |= 1 << (byte & 15 if odd else byte >> 4)
            children.append(child)
            references.append(reference(child))
            low = end
        return make_branch(partial, kept, bitmap, tuple(children), references)


def _run_end(keys: Sequence[bytes], low: int, high: int, at: int, odd: int) -> int:
    """Where the run of keys ends that have the same nibble in byte `at` as the first one has."""
    key = keys[low]
    following = key[at] + 1 if odd else (key[at] & 0xF0) + 0x10
    if following > 255:
        return high
    return bisect_left(keys, key[:at] + _BYTES[following], low + 1, high)


def _cut(branch: Branch, shared: int) -> Branch:
    """Put a branch with `shared` of the partial key's nibbles above the rest of it."""
    partial, nibble = branch.partial[:shared], int(branch.partial[shared], 16)
    children = [branch.encoding[branch.start :]]
    rest = make_branch(branch.partial[shared + 1 :], branch.value, branch.bitmap, branch.children, children)
    return make_branch(partial, None, 1 << nibble, (rest,), [reference(rest)])


def _patch_one(branch: Branch, rank: int, child: Node) -> Branch | None:
    """As `_patch`, for the one child that is the `rank`th of those that exist."""
    encoding, children, start = branch.encoding, branch.children, branch.start
    known = reference(child)
    if len(known) != REFERENCE_LENGTH or len(encoding) - start != REFERENCE_LENGTH * len(children):
        return None
    at = start + REFERENCE_LENGTH * rank
    encoding = encoding[:at] + known + encoding[at + REFERENCE_LENGTH :]
    # Splicing two slices is quicker than unpacking them.
    children = children[:rank] + (child,) + children[rank + 1 :]  # noqa: RUF005
    return Branch(branch.partial, branch.value, branch.bitmap, children, encoding, start)


def _patch(branch: Branch, edits: list[_Edit]) -> Branch | None:
    """Copy a branch with some children replaced, if all references are hashes and stay where they are."""
    if len(edits) == 1:
        [(nibble, only)] = edits
        if only is None or not branch.bitmap >> nibble & 1:
            return None
        return _patch_one(branch, (branch.bitmap & ((1 << nibble) - 1)).bit_count(), only)
    children, bitmap, start = list(branch.children), branch.bitmap, branch.start
    if len(branch.encoding) - start != REFERENCE_LENGTH * len(children):
        return None
    encoding = bytearray(branch.encoding)
    for nibble, child in edits:
        if child is None or not bitmap >> nibble & 1:
            return None
        known = reference(child)
        if len(known) != REFERENCE_LENGTH:
            return None
        rank = (bitmap & ((1 << nibble) - 1)).bit_count()
        children[rank] = child
        at = start + REFERENCE_LENGTH * rank
        encoding[at : at + REFERENCE_LENGTH] = known
    return Branch(branch.partial, branch.value, bitmap, tuple(children), bytes(encoding), start)


def _shared_nibbles(one: bytes, other: bytes) -> int:
    """How many leading nibbles two keys have in common."""
    length = min(len(one), len(other))
    differing = int.from_bytes(one[:length], "big") ^ int.from_bytes(other[:length], "big")
    return 2 * length - (differing.bit_length() + 3) // 4
