"""Ranges of a trie: what is proven is all there is, and nothing else passes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.primitives import Hash
from runtime.trie import EMPTY_ROOT, ProofError, StateVersion, Trie, verify_range

V1 = StateVersion.V1
Pairs = list[tuple[bytes, bytes]]


def pairs_of(seed: int, count: int) -> Pairs:
    """Keys that nest and share beginnings; values short and long."""
    rng = Random(seed)  # noqa: S311 - the same tries each time
    stems = [rng.randbytes(rng.randrange(1, 4)) for _ in range(8)]
    keys = {rng.choice(stems) + rng.randbytes(rng.randrange(0, 5)) for _ in range(count)}
    return [(key, rng.randbytes(rng.choice((1, 8, 32, 33, 80)))) for key in sorted(keys)]


def check(trie: Trie, pairs: Pairs, after: bytes | None, *, is_last: bool) -> None:
    last = None if is_last else pairs[-1][0]
    verify_range(trie.root(), trie.prove_range(after, last), pairs, after, V1, is_last=is_last)


def refused(root: Hash, proof: list[bytes], pairs: Pairs, after: bytes | None, *, is_last: bool = False) -> str:
    with pytest.raises(ProofError) as caught:
        verify_range(root, proof, pairs, after, V1, is_last=is_last)
    return str(caught.value)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("step", [1, 3, 7, 1_000])
def test_a_trie_in_pieces(seed: int, step: int) -> None:
    pairs = pairs_of(seed, 60)
    trie = Trie.from_items(pairs, V1)
    after = None
    for at in range(0, len(pairs), step):
        piece = pairs[at : at + step]
        check(trie, piece, after, is_last=at + step >= len(pairs))
        after = piece[-1][0]
    check(trie, [], after, is_last=True)


def test_a_range_may_begin_where_there_is_no_key() -> None:
    pairs = pairs_of(1, 60)
    trie = Trie.from_items(pairs, V1)
    rng = Random(2)  # noqa: S311 - the same ends each time
    for _ in range(200):
        after = rng.choice(pairs)[0][: rng.randrange(0, 4)] + rng.randbytes(rng.randrange(0, 3))
        behind = [pair for pair in pairs if pair[0] > after]
        check(trie, behind, after, is_last=True)
        if behind:
            check(trie, behind[: rng.randrange(1, len(behind) + 1)], after, is_last=False)


@given(st.sets(st.binary(max_size=4), max_size=12), st.binary(max_size=4), st.integers(0, 12))
def test_any_trie(keys: set[bytes], after: bytes, count: int) -> None:
    pairs = [(key, key * 9 + b"x") for key in sorted(keys)]
    trie = Trie.from_items(pairs, V1)
    behind = [pair for pair in pairs if pair[0] > after]
    check(trie, pairs, None, is_last=True)
    check(trie, behind, after, is_last=True)
    if behind[:count]:
        check(trie, behind[:count], after, is_last=False)


def test_a_short_key_behind_a_branch_at_half_a_byte() -> None:
    pairs = [(bytes.fromhex(key), b"x") for key in ("0010", "00f0", "00f1", "01", "05")]
    trie = Trie.from_items(pairs, V1)
    check(trie, pairs[1:], pairs[0][0], is_last=True)
    check(trie, pairs[1:4], pairs[0][0], is_last=False)


def test_the_empty_trie() -> None:
    verify_range(EMPTY_ROOT, [], [], None, V1, is_last=True)
    verify_range(EMPTY_ROOT, [], [], b"key", V1, is_last=True)
    assert refused(EMPTY_ROOT, [], [(b"a", b"1")], b"", is_last=True) == "the trie has no key 0x61"


@pytest.mark.parametrize("seed", range(6))
def test_no_pair_can_be_left_out_added_or_changed(seed: int) -> None:
    pairs = pairs_of(seed, 40)
    trie = Trie.from_items(pairs, V1)
    piece, after = pairs[10:25], pairs[9][0]
    proof = trie.prove_range(after, piece[-1][0])
    for at in range(len(piece)):
        key, value = piece[at]
        shorter = piece[:at] + piece[at + 1 :]
        if at < len(piece) - 1:
            refused(trie.root(), proof, shorter, after)
        refused(trie.root(), trie.prove_range(after, shorter[-1][0]), shorter, after, is_last=True)
        refused(trie.root(), proof, [*piece[:at], (key, value + b"!"), *piece[at + 1 :]], after)
        refused(trie.root(), proof, [*piece[:at], (key[:-1] + bytes([key[-1] ^ 1]), value), *piece[at + 1 :]], after)
    # As if it were the end, though more follows; and with one behind that end.
    refused(trie.root(), trie.prove_range(after, None), piece, after, is_last=True)
    refused(trie.root(), proof, [*piece, (b"\xff" * 9, b"added")], after)


def test_what_is_said_of_a_false_proof() -> None:
    pairs = pairs_of(3, 40)
    trie, other = Trie.from_items(pairs, V1), Trie.from_items(pairs_of(4, 40), V1)
    piece, after, root = pairs[10:20], pairs[9][0], trie.root()
    proof = trie.prove_range(after, piece[-1][0])
    first, second = piece[0][0].hex(), piece[1][0].hex()
    assert refused(root, proof, [piece[1], piece[0]], after) == f"the key 0x{first} comes after 0x{second}"
    assert refused(root, proof, piece, piece[3][0]) == f"the key 0x{first} comes after 0x{piece[3][0].hex()}"
    assert refused(root, proof, [], after) == "a range that does not reach the end has a pair at least"
    assert refused(root, [b""] * 600, piece, after) == "a proof of a range has 514 nodes at most, this one has 600"
    assert refused(root, [], piece, after) == f"the proof is incomplete: it lacks the trie node 0x{root.hex()}"
    padded = [*proof, other.prove_range(b"", None)[0]]
    assert refused(root, padded, piece, after) == "the proof has nodes that are on the way to neither end"
    assert refused(other.root(), [], pairs, None, is_last=True).startswith(
        "the pairs are those of a trie with the root 0x"
    )
    assert refused(root, proof, [(b"\0" * 129, b"")], None).startswith("a key has 128 bytes at most")
    for at in range(len(proof)):
        refused(root, [*proof[:at], *proof[at + 1 :]], piece, after)
        broken = [*proof[:at], proof[at][:-1], *proof[at + 1 :]]
        refused(root, broken, piece, after)
