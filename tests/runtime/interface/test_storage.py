import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.interface.storage import Hasher, StorageMap, StorageValue
from runtime.overlay import Overlay
from runtime.primitives import blake2b_128, from_hex, to_hex, twox_64
from runtime.scale import U32, Bytes
from tests.support.memory_state import MemoryState

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "storage_keys.json").read_text())
HASHERS = {"blake2_128_concat": Hasher.BLAKE2_128_CONCAT, "twox64_concat": Hasher.TWOX_64_CONCAT}


class Raw(Bytes):
    """Bytes without a length: map keys of the vectors come encoded."""

    def encode(self, value: bytes) -> bytes:
        return value


@pytest.mark.parametrize("vector", VECTORS["storage_keys"], ids=lambda vector: vector["item"])
def test_storage_keys_are_those_of_substrate(vector: dict[str, Any]) -> None:
    if vector["hasher"] is None:
        key = StorageValue(vector["pallet"], vector["item"], U32, "").key
    else:
        hasher = HASHERS[vector["hasher"]]
        entry = StorageMap(vector["pallet"], vector["item"], hasher, Raw(100), U32, "")
        key = entry.key(from_hex(vector["key"]))
    assert to_hex(key) == vector["storage_key"]


@given(st.sampled_from(Hasher), st.binary(max_size=40))
def test_every_hasher_ends_with_the_key_itself(hasher: Hasher, data: bytes) -> None:
    hashed = hasher.hash(data)
    assert hashed[hasher.prefix_length :] == data
    expected = {
        Hasher.BLAKE2_128_CONCAT: blake2b_128(data),
        Hasher.TWOX_64_CONCAT: twox_64(data),
        Hasher.IDENTITY: b"",
    }
    assert hashed[: hasher.prefix_length] == expected[hasher]


def test_the_hashers_have_the_numbers_of_the_metadata() -> None:
    assert {hasher.name: hasher.value for hasher in Hasher} == {
        "BLAKE2_128_CONCAT": 2,
        "TWOX_64_CONCAT": 5,
        "IDENTITY": 6,
    }


def test_a_value_is_found_or_has_its_default() -> None:
    state = Overlay(MemoryState())
    number = StorageValue("Pallet", "Number", U32, "", default=7)
    assert (number.find(state), number.get(state)) == (None, 7)
    number.put(state, 0)
    assert (number.find(state), number.get(state)) == (0, 0)
    number.kill(state)
    assert (number.find(state), number.get(state)) == (None, 7)
    assert state.changes() == []


def test_a_value_without_a_default_must_be_looked_for() -> None:
    state = Overlay(MemoryState())
    number = StorageValue("Pallet", "Number", U32, "")
    with pytest.raises(AssertionError, match=r"^Pallet\.Number has no default: use find$"):
        number.get(state)
    number.put(state, 3)
    assert number.get(state) == 3


@given(
    st.sampled_from(Hasher),
    st.dictionaries(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_a_map_is_a_dict(hasher: Hasher, entries: dict[int, int], absent: int) -> None:
    state = Overlay(MemoryState())
    numbers = StorageMap("Pallet", "Numbers", hasher, U32, U32, "", default=9)
    neighbour = StorageValue("Pallet", "Other", U32, "")
    neighbour.put(state, 1)
    for key, value in entries.items():
        numbers.put(state, key, value)
        assert numbers.key_of(numbers.key(key)) == key
    walked = list(numbers.items(state))
    assert dict(walked) == entries
    assert [numbers.key(key) for key, _ in walked] == sorted(numbers.key(key) for key in entries)
    assert numbers.find(state, absent) == entries.get(absent)
    assert numbers.get(state, absent) == entries.get(absent, 9)
    assert numbers.contains(state, absent) is (absent in entries)
    for key in entries:
        numbers.remove(state, key)
    numbers.remove(state, absent)
    assert [key for key, _ in state.changes()] == [neighbour.key]


def test_a_map_without_a_default_must_be_looked_in() -> None:
    numbers = StorageMap("Pallet", "Numbers", Hasher.IDENTITY, U32, U32, "")
    with pytest.raises(AssertionError, match=r"^Pallet\.Numbers has no default: use find$"):
        numbers.get(Overlay(MemoryState()), 1)
