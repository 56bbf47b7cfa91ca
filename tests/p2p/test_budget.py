import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.budget import Budget, Budgets
from p2p.config import Rate
from p2p.network import PeerId


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_what_is_over_it_waits() -> None:
    clock = Clock()
    budget = Budget(Rate(messages=10, size=1000, burst=2), clock)
    assert [budget.charge(10) for _ in range(20)] == [0.0] * 20
    assert budget.charge(10) == pytest.approx(0.1)
    clock.now += 1.125
    assert [budget.charge(10) for _ in range(10)] == [0.0] * 10
    assert budget.charge(10) == pytest.approx(0.075)


def test_bytes_count_as_well() -> None:
    budget = Budget(Rate(messages=10, size=1000, burst=2), Clock())
    assert budget.charge(2000) == 0.0
    assert budget.charge(500) == pytest.approx(0.5)


def test_a_flood_is_one_a_second() -> None:
    clock = Clock()
    budget = Budget(Rate(1, 1), clock)
    assert [budget.is_flood(), budget.is_flood()] == [True, False]
    clock.now += 1.0
    assert budget.is_flood()


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000)), max_size=50))
def test_who_waits_as_told_stays_within_the_rate(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    rate = Rate(messages=5, size=1000, burst=1)
    budget = Budget(rate, clock)
    start, sent = clock.now, 0
    for pause, size in steps:
        clock.now += pause
        clock.now += budget.charge(size)
        sent += size
        assert sent <= rate.size * (rate.burst + clock.now - start) + 1e-3


def test_a_budget_outlasts_connections_and_old_ones_are_forgotten() -> None:
    budgets = Budgets(Rate(1, 100, burst=1), Clock())
    mallory = PeerId("mallory")
    assert budgets.of(mallory).charge(100) == 0.0
    assert budgets.of(mallory).charge(100) > 0.0
    for number in range(512):
        budgets.of(PeerId(str(number)))
    assert budgets.of(mallory).charge(100) == 0.0
