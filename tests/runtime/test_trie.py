import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.primitives import blake2b_256, from_hex, twox_128
from runtime.trie import EMPTY_ROOT, MAX_KEY_LENGTH, StateVersion, Trie, TrieError, ordered_root, verify_proof
from runtime.trie.node import Kind, Leaf, ValueHash, header, make_leaf, parse_leaf
from tests.runtime.reference_trie import reference_root

VECTORS = Path(__file__).parent.parent / "vectors"
TRIE_VECTORS = json.loads((VECTORS / "trie_vectors.json").read_text())
HEADER = json.loads((VECTORS / "header.json").read_text())
BOTH = pytest.mark.parametrize("version", list(StateVersion))

Changes = dict[bytes, bytes | None]

# Few different nibbles, so that keys share prefixes, end inside one another and come back.
KEYS = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0x1F, 0xF1, 0xFF]), max_size=4).map(bytes)
# Lengths on both sides of every limit: inline nodes, hashed values, the compact length's two sizes.
VALUES = st.builds(
    lambda size, seed: bytes([seed]) * size,
    st.sampled_from([0, 1, 2, 26, 27, 28, 29, 30, 31, 32, 33, 34, 63, 64, 65]),
    st.integers(0, 2),
)
BATCHES = st.lists(st.dictionaries(KEYS, st.none() | VALUES, max_size=12), max_size=8)


def vector_pairs(vector: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(from_hex(key), from_hex(value)) for key, value in vector["pairs"]]


def vector_root(vector: dict[str, Any], version: StateVersion) -> bytes:
    return from_hex(vector[f"root_v{version.value}"])


def apply(trie: Trie, changes: Changes) -> Trie:
    return trie.apply(sorted(changes.items()))


def check_whole(trie: Trie, pairs: dict[bytes, bytes], version: StateVersion) -> None:
    """The root is right, and so is every node below it."""
    assert trie.root() == reference_root(pairs, version)
    proof = trie.prove([*pairs, b"absent"], pairs.get)
    assert verify_proof(trie.root(), proof, pairs, version) == pairs


@BOTH
@pytest.mark.parametrize("vector", TRIE_VECTORS, ids=[vector["name"] for vector in TRIE_VECTORS])
class TestVectors:
    def test_the_reference_of_these_tests_agrees(self, vector: dict[str, Any], version: StateVersion) -> None:
        assert reference_root(dict(vector_pairs(vector)), version) == vector_root(vector, version)

    def test_built_at_once(self, vector: dict[str, Any], version: StateVersion) -> None:
        trie = Trie.from_items(sorted(vector_pairs(vector)), version)
        assert trie.root() == vector_root(vector, version)

    def test_built_key_by_key(self, vector: dict[str, Any], version: StateVersion) -> None:
        trie = Trie.empty(version)
        for pair in vector_pairs(vector):
            trie = trie.apply([pair])
        assert trie.root() == vector_root(vector, version)

    def test_taken_down_to_nothing(self, vector: dict[str, Any], version: StateVersion) -> None:
        pairs = dict(vector_pairs(vector))
        trie = Trie.from_items(sorted(pairs.items()), version)
        while pairs:
            key, _ = pairs.popitem()
            trie = trie.apply([(key, None)])
            check_whole(trie, pairs, version)
        assert trie.root() == EMPTY_ROOT


def test_there_are_18_vectors() -> None:
    assert len(TRIE_VECTORS) == 18


@pytest.mark.full
@BOTH
@given(batches=BATCHES)
@example(batches=[{b"\x11\x11": b"", b"\x11\x12": b""}, {b"\x11\x11": b"\x01" * 9, b"\xf1": None}])
@example(batches=[{b"\x11\x11\x11": b"", b"\x11\x11\x12": b""}, {b"\x11": None, b"\x11\x11\x11": None}])
def test_any_history_leads_to_the_reference(version: StateVersion, batches: list[Changes]) -> None:
    trie, pairs = Trie.empty(version), dict[bytes, bytes]()
    history = [(trie, pairs)]
    for changes in batches:
        trie = apply(trie, changes)
        pairs = {key: value for key, value in {**pairs, **changes}.items() if value is not None}
        history.append((trie, pairs))
    for trie, pairs in history:
        check_whole(trie, pairs, version)


@BOTH
@given(first=st.dictionaries(KEYS, VALUES), second=st.dictionaries(KEYS, st.none() | VALUES))
def test_undoing_gives_the_same_root(version: StateVersion, first: dict[bytes, bytes], second: Changes) -> None:
    before = Trie.from_items(sorted(first.items()), version)
    after = apply(before, second)
    assert apply(after, {key: first.get(key) for key in second}).root() == before.root()
    check_whole(before, first, version)


@BOTH
@given(pairs=st.dictionaries(KEYS, VALUES), absent=st.sets(KEYS))
def test_what_changes_nothing_gives_the_same_trie(
    version: StateVersion, pairs: dict[bytes, bytes], absent: set[bytes]
) -> None:
    trie = Trie.from_items(sorted(pairs.items()), version)
    nothing: Changes = {**dict.fromkeys(absent - pairs.keys()), **pairs}
    assert apply(trie, nothing) is trie


@BOTH
@given(pairs=st.dictionaries(KEYS, VALUES, min_size=1), others=st.sets(KEYS))
def test_get(version: StateVersion, pairs: dict[bytes, bytes], others: set[bytes]) -> None:
    trie = Trie.from_items(sorted(pairs.items()), version)
    for key in [*pairs, *others]:
        assert trie.get(key, pairs.get) == pairs.get(key)


@BOTH
def test_a_state_of_thousands_of_keys(version: StateVersion) -> None:
    """Wide branches, patched in place of being put together anew, with one and with many changes below."""
    account = twox_128(b"System") + twox_128(b"Account")
    pairs = {account + blake2b_256(bytes([n % 256, n // 256])): b"%d" % n * 20 for n in range(2_000)}
    trie = Trie.from_items(sorted(pairs.items()), version)
    for step, stride in enumerate((1, 7, 61, 997)):
        changes = dict.fromkeys(list(pairs)[::stride], b"%d" % step * 30)
        pairs |= changes
        trie = apply(trie, dict(changes))
    assert trie.root() == reference_root(pairs, version)
    assert Trie.from_items(iter(sorted(pairs.items())), version).root() == trie.root()


@BOTH
def test_from_items_takes_more_than_a_portion(version: StateVersion) -> None:
    pairs = [(n.to_bytes(3, "big"), b"") for n in range(40_000)]
    assert Trie.from_items(iter(pairs), version).root() == Trie.empty(version).apply(pairs).root()


@BOTH
def test_keys_may_nest_as_deep_as_they_may_be_long(version: StateVersion) -> None:
    stem = bytes([0x11] * MAX_KEY_LENGTH)
    pairs = {stem[:length]: b"stem" for length in range(MAX_KEY_LENGTH + 1)}
    for length in range(MAX_KEY_LENGTH):
        pairs |= {stem[:length] + b"\x12": b"high", stem[:length] + b"\x21": b"low"}
    trie = Trie.from_items(sorted(pairs.items()), version)
    assert trie.root() == reference_root(pairs, version)
    assert apply(trie, dict.fromkeys(pairs)).root() == EMPTY_ROOT


@BOTH
def test_a_key_longer_than_that_is_refused(version: StateVersion) -> None:
    changes = [(bytes(MAX_KEY_LENGTH + 1), b"")]
    with pytest.raises(TrieError) as caught:
        Trie.empty(version).apply(changes)
    assert str(caught.value) == "a key has 128 bytes at most, this one has 129"


@pytest.mark.parametrize("second", [b"\x01", b"\x02"])
def test_changes_out_of_order_are_refused(second: bytes) -> None:
    with pytest.raises(TrieError) as caught:
        Trie.empty(StateVersion.V1).apply([(b"\x02", b""), (second, b"")])
    assert str(caught.value) == f"keys must be unique and ascending: 0x{second.hex()} comes after 0x02"


def test_layout_v1_keeps_a_long_value_by_its_hash() -> None:
    short, long = bytes(32), bytes(33)
    trie = Trie.from_items([(b"a", short), (b"b", long)], StateVersion.V1)
    assert trie.get(b"a") == short
    assert trie.get(b"b", {b"b": long}.get) == long
    with pytest.raises(TrieError) as caught:
        trie.get(b"b")
    assert str(caught.value) == "the trie keeps only the hash of the value of 0x62"
    for wrong in (None, short):
        with pytest.raises(TrieError) as caught:
            trie.prove([b"b"], {b"b": wrong}.get)
        assert str(caught.value) == "the state's value of 0x62 is not the one the trie commits to"
    assert Trie.from_items([(b"b", long)], StateVersion.V0).get(b"b") == long


def test_extrinsics_root_of_a_real_header() -> None:
    extrinsics = [from_hex(extrinsic) for extrinsic in HEADER["extrinsics"]]
    assert ordered_root(extrinsics) == from_hex(HEADER["extrinsics_root"])


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 300])
@BOTH
def test_ordered_root_is_the_trie_of_compact_indices(count: int, version: StateVersion) -> None:
    values = [b"%d" % n * (n % 40) for n in range(count)]
    indices = [bytes([n * 4]) if n < 64 else (n * 4 + 1).to_bytes(2, "little") for n in range(count)]
    assert ordered_root(values, version) == reference_root(dict(zip(indices, values, strict=True)), version)


def test_ordered_root_is_of_layout_v0_unless_said_otherwise() -> None:
    values = [bytes(40)]
    assert ordered_root(values) == ordered_root(values, StateVersion.V0) != ordered_root(values, StateVersion.V1)


def test_the_empty_root_is_the_published_one() -> None:
    assert EMPTY_ROOT.hex() == "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"
    assert Trie.empty(StateVersion.V1).root() == EMPTY_ROOT


@pytest.mark.parametrize(
    ("kind", "nibbles", "encoded"),
    [
        (Kind.LEAF, 0, "40"),
        (Kind.LEAF, 62, "7e"),
        (Kind.LEAF, 63, "7f00"),
        (Kind.LEAF, 317, "7ffe"),
        (Kind.LEAF, 318, "7fff00"),
        (Kind.BRANCH, 63, "bf00"),
        (Kind.VALUE_BRANCH, 64, "ff01"),
        (Kind.HASHED_LEAF, 30, "3e"),
        (Kind.HASHED_LEAF, 31, "3f00"),
        (Kind.HASHED_BRANCH, 14, "1e"),
        (Kind.HASHED_BRANCH, 15, "1f00"),
        (Kind.HASHED_BRANCH, 16, "1f01"),
    ],
)
def test_header(kind: Kind, nibbles: int, encoded: str) -> None:
    assert header(kind, nibbles).hex() == encoded


@BOTH
@pytest.mark.parametrize("size", [0, 1, 63, 64, 16_383, 16_384, 70_000])
@pytest.mark.parametrize("depth", [0, 1, 5, 40, 255, 256])
def test_a_leaf_is_read_back(version: StateVersion, size: int, depth: int) -> None:
    key, value = bytes(range(MAX_KEY_LENGTH)), b"v" * size
    partial, found = parse_leaf(make_leaf(key, depth, value, version))
    assert partial == key.hex()[depth:]
    assert found == (ValueHash(blake2b_256(value)) if version and size > 32 else value)


def test_a_leaf_with_a_value_of_a_gigabyte_would_be_read_back() -> None:
    """The compact length's largest form, with a value that is shorter than it says."""
    assert parse_leaf(Leaf(bytes.fromhex("4003") + (1 << 30).to_bytes(4, "little") + b"v")) == ("", b"v")


def test_a_node_is_made_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are what a block's commit costs: the changed leaves, and each branch above them once."""
    import runtime.trie.node as node

    pairs = {bytes([high, low, 0]): bytes(32) for high in range(256) for low in (0x00, 0x01, 0x10, 0x11)}
    trie = Trie.from_items(sorted(pairs.items()), StateVersion.V1)
    hashed: list[int] = []

    def counting(data: bytes) -> bytes:
        hashed.append(len(data))
        return blake2b_256(data)

    monkeypatch.setattr(node, "blake2b_256", counting)
    changes: Changes = {bytes([0x55, low, 0]): b"\1" * 32 for low in (0x00, 0x01, 0x10, 0x11)}
    assert apply(trie, changes).root() == reference_root(pairs | dict.fromkeys(changes, b"\1" * 32), StateVersion.V1)
    leaves, forks = 4, [0x550, 0x551, 0x55, 0x5]
    assert len(hashed) == leaves + len(forks)


def test_pairs_of_the_vectors_are_unique() -> None:
    for vector in TRIE_VECTORS:
        assert all(one < other for one, other in pairwise(sorted(key for key, _ in vector_pairs(vector))))
