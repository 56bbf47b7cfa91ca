import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.items import ItemTable
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import item_prior_means, item_rows, solve_items
from tests.support.small_chain import LIKES

CONFIG = Config(LIKES, model=ModelParameters(dimension=2, sweeps=2))
NOTHING = learn_frozen([], CONFIG)
WIDTH, PACKED = CONFIG.model.width, CONFIG.model.packed
FIELDS = ("totals", "raters", "mean", "covariance", "rows")


def same(first: ItemTable, second: ItemTable) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in FIELDS)


def sums_of(seed: int, count: int) -> np.ndarray:
    """What raters could have contributed: positive precisions, small moments."""
    sums = np.random.default_rng(seed).integers(-(2**18), 2**18, (count, PACKED + WIDTH))
    sums[:, [0, 3, 5]] += 2**21
    return sums


def changed(table: ItemTable, ids: np.ndarray, sums: np.ndarray, raters: np.ndarray) -> ItemTable:
    """A copy with a change, as the owner of a block makes it."""
    copy = table.copy()
    copy.add(ids, sums, raters, NOTHING)
    return copy


@given(st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=30)
def test_a_table_grows_to_the_table_of_so_many_items(first: int, more: int) -> None:
    whole = ItemTable.priors(NOTHING, first + more)
    assert same(ItemTable.priors(NOTHING, first).grown(NOTHING, first + more), whole)
    assert whole.size == first + more
    assert not whole.totals.any()
    assert not whole.raters.any()
    ids = np.arange(first + more)
    prior = solve_items(whole.totals, item_prior_means(ids, CONFIG.model), NOTHING.prior)
    assert np.array_equal(whole.mean, prior.mean)
    assert np.array_equal(whole.rows, item_rows(prior))


@given(st.sets(st.integers(0, 5), max_size=6), st.sets(st.integers(0, 5), max_size=6), st.integers(0, 99))
@settings(max_examples=40)
def test_changes_come_in_any_order_and_can_be_taken_back_bit_for_bit(
    first: set[int], second: set[int], seed: int
) -> None:
    priors = ItemTable.priors(NOTHING, 6)
    changes = []
    for offset, chosen in enumerate((first, second)):
        ids = np.array(sorted(chosen), np.int64)
        changes.append((ids, sums_of(seed + offset, ids.size), np.ones(ids.size, np.int64)))
    one, other = changes
    forth = changed(changed(priors, *one), *other)
    back = changed(changed(priors, *other), *one)
    assert same(forth, back)
    for ids, sums, raters in changes:
        forth = changed(forth, ids, -sums, -raters)
    assert same(forth, priors)


def test_a_change_makes_another_table_and_touches_its_items_only() -> None:
    priors = ItemTable.priors(NOTHING, 4)
    ids, sums = np.array([1, 3]), sums_of(0, 2)
    after = changed(priors, ids, sums, np.array([2, 1]))
    assert same(priors, ItemTable.priors(NOTHING, 4))
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
