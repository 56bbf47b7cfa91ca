"""Slots and turns, against loops that go through them one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.producers.claim import Claim
from pallets.producers.turns import check_time, check_turn, next_turn, skipped, slot_at, slot_start, turn_of
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import AccountId, Slot

A, B, C, STRANGER = (AccountId(bytes([number]) * 32) for number in (1, 2, 3, 9))
RING = (A, B, C)

rings = st.lists(st.integers(0, 255), min_size=1, max_size=9, unique=True).map(
    lambda numbers: tuple(AccountId(bytes([number]) * 32) for number in numbers)
)
slots = st.integers(0, 10**12).map(Slot)


def fault(claim: Claim, parent: int, ring: tuple[AccountId, ...] = RING) -> tuple[BlockFault, str]:
    with pytest.raises(InvalidBlock) as caught:
        check_turn(claim, ring, Slot(parent))
    return caught.value.fault, caught.value.detail


def test_a_slot_is_a_stretch_of_time() -> None:
    assert [slot_at(time, 2_000) for time in (0, 1_999, 2_000, 3_999, 4_000)] == [0, 0, 1, 1, 2]
    assert slot_start(Slot(3), 2_000) == 6_000


@given(slots, st.integers(1, 60_000))
def test_a_slot_begins_where_the_one_before_it_ends(slot: Slot, duration: int) -> None:
    start = slot_start(slot, duration)
    assert slot_at(start, duration) == slot
    assert slot_at(start - 1, duration) == slot - 1
    assert slot_at(start + duration - 1, duration) == slot


def test_members_take_turns() -> None:
    assert [turn_of(RING, Slot(slot)) for slot in range(7)] == [A, B, C, A, B, C, A]
    assert turn_of((B,), Slot(2**64 - 1)) == B


@given(rings, slots, st.data())
def test_the_next_turn_is_the_first_that_a_loop_finds(
    ring: tuple[AccountId, ...], after: Slot, data: st.DataObject
) -> None:
    account = data.draw(st.sampled_from(ring))
    found = next(slot for slot in range(after + 1, after + 1 + len(ring)) if turn_of(ring, Slot(slot)) == account)
    assert next_turn(ring, account, after) == found


def test_who_is_not_in_the_ring_has_no_turn() -> None:
    assert next_turn(RING, STRANGER, Slot(5)) is None


@given(rings, slots, st.integers(1, 40))
def test_skipped_are_those_whom_a_loop_meets(ring: tuple[AccountId, ...], parent: Slot, distance: int) -> None:
    slot = Slot(parent + distance)
    met = [turn_of(ring, Slot(between)) for between in range(parent + 1, slot)]
    assert skipped(ring, parent, slot) == tuple(dict.fromkeys(met))


def test_a_gap_of_any_length_is_quickly_gone_through() -> None:
    assert skipped(RING, Slot(0), Slot(2**64 - 1)) == (B, C, A)


@pytest.mark.parametrize(("slot", "parent"), [(1, 0), (4, 0), (10**12 + 3, 10**12)])
def test_the_member_whose_turn_it_is_may_make_the_block_of_a_later_slot(slot: int, parent: int) -> None:
    check_turn(Claim(Slot(slot), turn_of(RING, Slot(slot))), RING, Slot(parent))


@pytest.mark.parametrize("slot", [0, 3, 6])
def test_a_slot_comes_after_the_parents(slot: int) -> None:
    message = f"slot {slot} does not come after the parent's slot 6"
    assert fault(Claim(Slot(slot), A), parent=6) == (BlockFault.WRONG_SLOT, message)


@pytest.mark.parametrize("author", [A, C, STRANGER])
def test_nobody_else_may_make_the_block(author: AccountId) -> None:
    message = f"slot 7 is the turn of 0x{B.hex()}, not of 0x{author.hex()}"
    assert fault(Claim(Slot(7), author), parent=6) == (BlockFault.WRONG_AUTHOR, message)


@pytest.mark.parametrize("time", [14_000, 15_000, 15_999])
def test_the_time_of_a_block_lies_in_its_slot(time: int) -> None:
    check_time(Slot(7), time, 2_000)


@pytest.mark.parametrize("time", [0, 13_999, 16_000, 2**53 - 1])
def test_the_time_of_a_block_lies_nowhere_else(time: int) -> None:
    with pytest.raises(InvalidBlock) as caught:
        check_time(Slot(7), time, 2_000)
    message = f"the time {time} is not in slot 7, from 14000 to 15999"
    assert (caught.value.fault, caught.value.detail) == (BlockFault.BAD_TIMESTAMP, message)
