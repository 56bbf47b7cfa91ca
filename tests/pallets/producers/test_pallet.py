"""What clients see of the pallet, and what no chain may decide."""

import pytest

from pallets.producers.config import NO_RING, Config
from pallets.producers.pallet import producers_pallet
from pallets.producers.storage import BLOCK_SLOT, MISSED, RING
from runtime.primitives import AccountId, Slot, twox_128

A, B = (AccountId(bytes([number]) * 32) for number in (1, 2))


def test_the_pallet_has_its_place_and_its_constant() -> None:
    pallet = producers_pallet(Config(1_500, (A,)), genesis_time=0)
    assert (pallet.name, pallet.index) == ("Producers", 5)
    assert [(call.index, call.name) for call in pallet.calls] == [(0, "join"), (1, "leave"), (2, "report_equivocation")]
    assert {constant.name: constant.value for constant in pallet.constants} == {
        "SlotDuration": 1_500,
        "EpochSlots": 10,
        "MissedTurns": 3,
        "LeakCheckpoints": 1_080,
        "LapseCheckpoints": 540,
        "ProbationEpochs": 180,
        "BarEpochs": 1_080,
        "ReturnEpochs": 256,
        "JoinWork": 72_000_000,
        "JoinAge": 256,
        "JoinShare": 64,
        "JoinQueue": 256,
    }


def test_storage_keys_and_values_are_written_down() -> None:
    prefix = twox_128(b"Producers")
    assert RING.key == prefix + twox_128(b"Ring")
    assert BLOCK_SLOT.key == prefix + twox_128(b"Slot")
    assert MISSED.key(A).startswith(prefix + twox_128(b"Missed"))
    assert MISSED.key(A).endswith(A)
    assert RING.codec.encode((A, B)) == b"\x08" + A + B
    assert BLOCK_SLOT.codec.encode(Slot(258)) == bytes((2, 1, 0, 0, 0, 0, 0, 0))
    assert MISSED.codec.encode(3) == bytes((3, 0, 0, 0))


def test_a_ring_is_active_with_its_first_member() -> None:
    assert not NO_RING.is_active
    assert Config(2_000, (A,)).is_active


def test_a_member_has_one_place_and_a_slot_takes_time() -> None:
    with pytest.raises(AssertionError, match=r"^each member has one place"):
        Config(2_000, (A, B, A))
    with pytest.raises(AssertionError, match=r"^a slot takes time"):
        Config(0, (A,))
