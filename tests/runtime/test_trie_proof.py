import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runtime.primitives import Hash, blake2b_256, from_hex
from runtime.trie import EMPTY_ROOT, ProofError, StateVersion, Trie, verify_proof

VECTORS = Path(__file__).parent.parent / "vectors"
READ_PROOF = json.loads((VECTORS / "read_proof.json").read_text())
POLKADOT = json.loads((VECTORS / "read_proof_polkadot_genesis.json").read_text())

KEYS = st.lists(st.sampled_from([0x00, 0x01, 0x10, 0x11, 0x1F, 0xFF]), max_size=4).map(bytes)
VALUES = st.builds(lambda size, seed: bytes([seed]) * size, st.sampled_from([0, 1, 28, 32, 33, 64]), st.integers(0, 9))
PAIRS = st.dictionaries(KEYS, VALUES, max_size=25)
BOTH = pytest.mark.parametrize("version", list(StateVersion))


def message_of(root: bytes, proof: Sequence[bytes], *keys: bytes, version: StateVersion | None = None) -> str:
    with pytest.raises(ProofError) as caught:
        verify_proof(Hash(root), proof, keys, version)
    return str(caught.value)


def name(item: bytes) -> str:
    return "0x" + blake2b_256(item).hex()


class TestReadProofOfAV1State:
    root = Hash(from_hex(READ_PROOF["state_root"]))
    proof = tuple(from_hex(node) for node in READ_PROOF["proof"])
    key = from_hex(READ_PROOF["key"])
    value = from_hex(READ_PROOF["value"])

    def test_proves_the_value(self) -> None:
        assert verify_proof(self.root, self.proof, [self.key]) == {self.key: self.value}
        assert verify_proof(self.root, self.proof[::-1], [self.key], StateVersion.V1) == {self.key: self.value}

    def test_proves_absence_beside_it(self) -> None:
        absent = [self.key + b"\0", self.key[:-1], self.key[:20], b""]
        assert verify_proof(self.root, self.proof, absent) == dict.fromkeys(absent)

    def test_is_no_proof_for_layout_v0(self) -> None:
        assert message_of(self.root, self.proof, self.key, version=StateVersion.V0) == (
            f"the trie node {name(self.proof[3])} is malformed: "
            "it holds a value by its hash, which layout V0 does not know"
        )

    def test_without_the_value(self) -> None:
        assert message_of(self.root, self.proof[:-1], self.key) == (
            f"the proof has only the hash of the value of 0x{self.key.hex()}"
        )

    def test_without_a_node_on_the_way(self) -> None:
        assert message_of(self.root, self.proof[:2], self.key) == (
            f"the proof is incomplete: the way to 0x{self.key.hex()} needs the trie node {name(self.proof[2])}"
        )


class TestReadProofOfThePolkadotGenesis:
    root = Hash(from_hex(POLKADOT["state_root"]))
    proof = tuple(from_hex(node) for node in POLKADOT["proof"])
    key = from_hex(POLKADOT["key"])

    def test_proves_the_value(self) -> None:
        value = from_hex(POLKADOT["value"])
        assert verify_proof(self.root, self.proof, [self.key], StateVersion.V0) == {self.key: value}

    def test_proves_absence(self) -> None:
        absent = from_hex(POLKADOT["absent_key"])
        assert verify_proof(self.root, self.proof, [absent]) == {absent: None}

    def test_is_incomplete_for_another_key(self) -> None:
        key = from_hex(POLKADOT["incomplete_key"])
        message = message_of(self.root, self.proof, key)
        assert message.startswith(f"the proof is incomplete: the way to 0x{key.hex()} needs the trie node 0x")
        assert len(message.removeprefix(message[: message.rindex("0x") + 2])) == 64

    def test_any_altered_byte_is_refused(self) -> None:
        for at, node in enumerate(self.proof):
            for offset in range(0, len(node), 7):
                altered = bytearray(node)
                altered[offset] ^= 1
                with pytest.raises(ProofError):
                    verify_proof(self.root, [*self.proof[:at], bytes(altered), *self.proof[at + 1 :]], [self.key])


@BOTH
@given(pairs=PAIRS, keys=st.lists(KEYS, min_size=1, max_size=6))
def test_a_proof_shows_values_and_absence(version: StateVersion, pairs: dict[bytes, bytes], keys: list[bytes]) -> None:
    trie = Trie.from_items(sorted(pairs.items()), version)
    proof = trie.prove(keys, pairs.get)
    assert verify_proof(trie.root(), proof, keys, version) == {key: pairs.get(key) for key in keys}
    assert verify_proof(trie.root(), proof, keys[:1], version) == {keys[0]: pairs.get(keys[0])}
    assert len(set(proof)) == len(proof)


@BOTH
@given(pairs=PAIRS, keys=st.lists(KEYS, min_size=1, max_size=6), data=st.data())
def test_a_tampered_proof_is_refused(
    version: StateVersion, pairs: dict[bytes, bytes], keys: list[bytes], data: st.DataObject
) -> None:
    trie = Trie.from_items(sorted(pairs.items()), version)
    proof = trie.prove(keys, pairs.get)
    at = data.draw(st.integers(0, len(proof) - 1))
    item = bytearray(proof[at])
    how = data.draw(st.sampled_from(["alter", "cut", "extend", "drop", "double", "add"]))
    if how == "alter":
        assume(item)
        item[data.draw(st.integers(0, len(item) - 1))] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        assume(item)
        del item[data.draw(st.integers(0, len(item) - 1)) :]
    elif how == "extend":
        item += data.draw(st.binary(min_size=1, max_size=3))
    proof[at : at + 1] = {"drop": [], "double": [bytes(item)] * 2, "add": [bytes(item), b"more"]}.get(
        how, [bytes(item)]
    )
    with pytest.raises(ProofError):
        verify_proof(trie.root(), proof, keys, version)


@given(proof=st.lists(st.binary(max_size=80), max_size=4), key=KEYS)
def test_any_bytes_are_a_proof_or_a_proof_error(proof: list[bytes], key: bytes) -> None:
    root = blake2b_256(proof[0]) if proof else EMPTY_ROOT
    try:
        verify_proof(root, proof, [key])
    except ProofError as error:
        assert str(error)  # noqa: PT017 - either outcome is good


@BOTH
def test_the_empty_trie_proves_that_nothing_is_there(version: StateVersion) -> None:
    proof = Trie.empty(version).prove([b"", b"key"])
    assert proof == [b"\0"]
    assert verify_proof(EMPTY_ROOT, proof, [b"", b"key"]) == {b"": None, b"key": None}


def test_a_proof_for_another_root() -> None:
    assert message_of(bytes(32), [b"\0"], b"") == (f"no item of the proof has the hash of the root, 0x{'00' * 32}")
    assert message_of(EMPTY_ROOT, [], b"") == (f"no item of the proof has the hash of the root, 0x{EMPTY_ROOT.hex()}")


def test_an_item_twice() -> None:
    assert message_of(EMPTY_ROOT, [b"\0", b"\0"], b"") == (
        f"the proof has the item with hash 0x{EMPTY_ROOT.hex()} twice"
    )


def test_an_item_that_belongs_to_nothing() -> None:
    assert message_of(EMPTY_ROOT, [b"\0", b"pad"], b"") == (
        f"nothing in the proof refers to its item with hash {name(b'pad')}"
    )


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("", "node header at offset 0 needs 1 byte, none is left"),
        ("01", "its header 0x01 is unknown"),
        ("0000", "its header 0x00 is unknown"),
        ("7f", "node header at offset 1 needs 1 byte, none is left"),
        ("7fffff", "node header at offset 3 needs 1 byte, none is left"),
        ("42", "partial key at offset 1 needs 1 bytes, 0 are left"),
        ("411000", "its partial key has an odd number of nibbles but no padding"),
        ("8001", "child bitmap at offset 1 needs 2 bytes, 1 are left"),
        ("800000", "it is a branch without children"),
        ("40", "value at offset 1 needs 1 byte, none is left"),
        ("4008aa", "value at offset 1 claims length 2, only 1 bytes are left"),
        ("40010000", "value at offset 1 is longer than its value 0 needs"),
        ("4004aabb", "1 bytes are left over"),
        ("20aabb", "value hash at offset 1 needs 32 bytes, 2 are left"),
        ("800100", "child at offset 3 needs 1 byte, none is left"),
        ("80010084", "child at offset 3 has length 33, at most 32 is allowed"),
    ],
)
def test_a_malformed_node(node: str, reason: str) -> None:
    item = bytes.fromhex(node)
    message = message_of(blake2b_256(item), [item], b"")
    assert message == f"the trie node {name(item)} is malformed: {reason}"


@pytest.mark.parametrize("child", ["", "00", "01"])
def test_a_malformed_node_inside_its_parent(child: str) -> None:
    inner = bytes.fromhex(child)
    item = bytes.fromhex("800100") + bytes([4 * len(inner)]) + inner
    message = message_of(blake2b_256(item), [item], b"")
    assert message.startswith(f"the trie node 0x{child} is malformed: ")


def test_values_may_be_equal_to_nodes() -> None:
    """A value that is itself the encoding of a node of the same trie proves only what it is."""
    inner = Trie.from_items([(b"\x11" * 20, bytes(31))], StateVersion.V1)
    [node] = inner.prove([b""])
    pairs = {b"\x11" * 20: bytes(31), b"\x22": node}
    trie = Trie.from_items(sorted(pairs.items()), StateVersion.V1)
    proof = trie.prove(pairs, pairs.get)
    assert verify_proof(trie.root(), proof, pairs) == pairs
