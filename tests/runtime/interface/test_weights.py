import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.weights import BlockLimits, BlockMeter, DispatchClass

LIMITS = BlockLimits(weight=100, length=1_000, extrinsic_length=500, new_accounts=3)


def fits(meter: BlockMeter, *, weight: int = 0, length: int = 0, is_new: bool = False) -> bool:
    refusals: set[tuple[InvalidReason, str]] = set()
    try:
        meter.check(weight=weight, length=length, is_new=is_new)
    except InvalidTransaction as error:
        refusals.add((error.reason, str(error)))
        return False
    finally:
        assert refusals <= {(InvalidReason.EXHAUSTS_RESOURCES, "Transaction would exhaust the block limits")}
    return True


def test_a_block_can_be_filled_to_the_last_picosecond_and_byte() -> None:
    meter = BlockMeter(LIMITS)
    assert fits(meter, weight=100, length=1_000)
    assert not fits(meter, weight=101)
    assert not fits(meter, length=1_001)
    meter.add(weight=60, length=400, is_new=False)
    assert (meter.weight, meter.length) == (60, 400)
    assert fits(meter, weight=40, length=600)
    assert not fits(meter, weight=41, length=600)
    assert not fits(meter, weight=40, length=601)


def test_half_of_the_weight_is_kept_for_known_accounts() -> None:
    meter = BlockMeter(LIMITS)
    meter.add(weight=30, length=1, is_new=True)
    assert fits(meter, weight=20, is_new=True)
    assert not fits(meter, weight=21, is_new=True)
    assert fits(meter, weight=70)
    meter.add(weight=50, length=1, is_new=False)
    assert fits(meter, weight=20, is_new=True), "what known accounts use does not count against the half"


def test_new_accounts_are_counted() -> None:
    meter = BlockMeter(LIMITS)
    for _ in range(3):
        assert fits(meter, is_new=True)
        meter.add(weight=0, length=0, is_new=True)
    assert not fits(meter, is_new=True)
    assert fits(meter)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 500), st.booleans()), max_size=30))
def test_no_order_of_extrinsics_passes_a_bound(extrinsics: list[tuple[int, int, bool]]) -> None:
    meter = BlockMeter(LIMITS)
    taken: list[tuple[int, int, bool]] = []
    for weight, length, is_new in extrinsics:
        if fits(meter, weight=weight, length=length, is_new=is_new):
            meter.add(weight=weight, length=length, is_new=is_new)
            taken.append((weight, length, is_new))
    new = [weight for weight, _, is_new in taken if is_new]
    assert sum(weight for weight, _, _ in taken) == meter.weight <= 100
    assert sum(length for _, length, _ in taken) == meter.length <= 1_000
    assert len(new) <= 3
    assert sum(new) <= 50


def test_a_check_counts_nothing() -> None:
    meter = BlockMeter(LIMITS)
    for _ in range(5):
        assert fits(meter, weight=50, length=1_000, is_new=True)
    assert (meter.weight, meter.length) == (0, 0)


@pytest.mark.parametrize(("name", "index"), [("NORMAL", 0), ("OPERATIONAL", 1), ("MANDATORY", 2)])
def test_the_classes_have_the_indices_of_substrate(name: str, index: int) -> None:
    assert DispatchClass[name] == index
