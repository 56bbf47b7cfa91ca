import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization import items as module
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.items import ItemTable
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.phi import Phi
from pallets.matrix_factorization.posterior import item_prior_means, item_rows, solve_items
from pallets.matrix_factorization.ratings import ENTRY, RatingList
from runtime.primitives import AccountId
from tests.support.small_chain import LIKES

CONFIG = Config(LIKES, model=ModelParameters(dimension=2, sweeps=2))
NOTHING = learn_frozen([], CONFIG)
WIDTH, PACKED = CONFIG.model.width, CONFIG.model.packed
FIELDS = ("totals", "raters", "mean", "covariance", "rows")


def same(first: ItemTable, second: ItemTable) -> bool:
    assert first.rated_count == second.rated_count == np.count_nonzero(first.raters)
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in FIELDS)


def sums_of(seed: int, count: int) -> np.ndarray:
    """What raters could have contributed: positive precisions, small moments."""
    sums = np.random.default_rng(seed).integers(-(2**18), 2**18, (count, PACKED + WIDTH))
    sums[:, [0, 3, 5]] += 2**21
    return sums


@pytest.fixture(params=[0, 1, 4], autouse=True)
def _page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 1, 2 and 16 items: their size must not matter."""
    monkeypatch.setattr(module, "_PAGE_BITS", request.param)
    monkeypatch.setattr(module, "_PAGE", 1 << request.param)


def test_a_table_grows_to_the_table_of_so_many_items() -> None:
    for first, more in itertools.product((0, 1, 3, 16, 17), (0, 1, 5, 16)):
        whole = ItemTable.unrated(NOTHING, first + more)
        assert same(ItemTable.unrated(NOTHING, first).sized(first + more), whole)
        assert whole.size == first + more
        assert not whole.totals.any()
        assert not whole.raters.any()
        prior = solve_items(whole.totals, item_prior_means(np.arange(first + more), CONFIG.model), NOTHING.prior)
        assert np.array_equal(whole.mean, prior.mean)
        assert np.array_equal(whole.covariance, prior.covariance)
        assert np.array_equal(whole.rows, item_rows(prior))


@given(st.sets(st.integers(0, 5), max_size=6), st.sets(st.integers(0, 5), max_size=6), st.integers(0, 99))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changes_come_in_any_order_and_can_be_taken_back_bit_for_bit(
    first: set[int], second: set[int], seed: int
) -> None:
    priors = ItemTable.unrated(NOTHING, 6)
    changes = []
    for offset, chosen in enumerate((first, second)):
        ids = np.array(sorted(chosen), np.int64)
        changes.append((ids, sums_of(seed + offset, ids.size), np.ones(ids.size, np.int64)))
    one, other = changes
    forth = priors.changed(*one).changed(*other)
    back = priors.changed(*other).changed(*one)
    assert same(forth, back)
    for ids, sums, raters in changes:
        forth = forth.changed(ids, -sums, -raters)
    assert same(forth, priors)
    assert same(forth.sized(3).sized(6), priors), "what has no raters can be dropped and come again"
    assert forth.rated()[0].tolist() == []


def test_a_change_makes_another_table_and_touches_its_items_only() -> None:
    priors = ItemTable.unrated(NOTHING, 4)
    ids, sums = np.array([1, 3]), sums_of(0, 2)
    after = priors.changed(ids, sums, np.array([2, 1]))
    assert same(priors, ItemTable.unrated(NOTHING, 4))
    assert after.raters.tolist() == [0, 2, 0, 1]
    assert np.array_equal(after.totals[ids], sums)
    for name in FIELDS:
        assert np.array_equal(getattr(after, name)[[0, 2]], getattr(priors, name)[[0, 2]])
        assert not np.array_equal(getattr(after, name)[1], getattr(priors, name)[1])
    solved = solve_items(sums, item_prior_means(ids, CONFIG.model), NOTHING.prior)
    chosen = after.posteriors(ids)
    assert np.array_equal(chosen.mean, solved.mean)
    assert np.array_equal(chosen.covariance, solved.covariance)
    assert np.array_equal(after.rows[ids], item_rows(solved))
    assert np.array_equal(after.rows_of(np.array([3, 0, 3])), after.rows[[3, 0, 3]])
    assert after.raters_of(np.array([1, 2])).tolist() == [2, 0]
    rated, totals = after.rated()
    assert rated.tolist() == [1, 3]
    assert np.array_equal(totals, sums)


def test_a_change_costs_by_what_it_touches() -> None:
    table = ItemTable.unrated(NOTHING, 500)
    assert table.pages.count(None) == len(table.pages)
    after = table.changed(np.array([7, 300]), sums_of(1, 2), np.ones(2, np.int64))
    touched = [page for page in after.pages if page is not None]
    assert len(touched) == 2
    again = after.changed(np.array([7]), sums_of(2, 1), np.ones(1, np.int64))
    assert sum(one is not other for one, other in zip(after.pages, again.pages, strict=True)) == 1


def test_the_table_of_a_frozen_set_is_what_its_raters_add_up_to() -> None:
    lists = [
        (AccountId(bytes([number]) * 32), np.array([(item, 2 * (item % 2) - 1) for item in items], ENTRY))
        for number, items in enumerate(((0, 3), (3, 17), (18,)))
    ]
    frozen = learn_frozen(lists, CONFIG)
    records = [(account, RatingList(entries, ())) for account, entries in lists]
    assert same(ItemTable.at_freeze(frozen, 20), Phi.derived(frozen, 1, records, 20).items)
