import numpy as np

from pallets.matrix_factorization.canonical import canonical
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import CanonicalRows, as_rows, from_rows, learn_frozen, rating_set
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import item_prior_means, item_rows, solve_items
from pallets.matrix_factorization.ratings import ENTRY
from runtime.primitives import AccountId
from tests.support.small_chain import STARS

CONFIG = Config(STARS, model=ModelParameters(dimension=2, sweeps=3, initial_precision_ppm=3_000_000))
ANNA, BERT = AccountId(b"a" * 32), AccountId(b"b" * 32)
LISTS = [
    (ANNA, np.array([(2, 5), (7, 1)], ENTRY)),
    (BERT, np.array([(7, 3)], ENTRY)),
]


def test_lists_are_joined_in_units_of_the_model() -> None:
    ratings = rating_set([entries for _, entries in LISTS], STARS)
    assert ratings.pointers.tolist() == [0, 2, 3]
    assert ratings.items.tolist() == [2, 7, 7]
    assert ratings.ratings.tolist() == [128, -128, 0]
    nothing = rating_set([], STARS)
    assert (nothing.pointers.tolist(), nothing.items.size) == ([0], 0)


def test_posteriors_survive_the_way_through_a_table() -> None:
    users = canonical(rating_set([entries for _, entries in LISTS], STARS), CONFIG.model).users
    rows = as_rows(users)
    assert rows.shape == (2, 3 + 6 + 1)
    back = from_rows(rows, CONFIG.model)
    for name in ("mean", "covariance", "precision"):
        assert np.array_equal(getattr(back, name), getattr(users, name))


def test_what_was_learned_is_found_by_account() -> None:
    frozen = learn_frozen(LISTS, CONFIG)
    model = canonical(rating_set([entries for _, entries in LISTS], STARS), CONFIG.model)
    for index, (account, _) in enumerate(LISTS):
        row = frozen.user_row(account)
        assert row is not None
        assert row.tolist() == as_rows(model.users)[index].tolist()
        assert frozen.starting_precision(account) == model.users.precision[index]
    stranger = AccountId(bytes(32))
    assert frozen.user_row(stranger) is None
    assert frozen.starting_precision(stranger) == 3 << 20
    assert frozen.prior is frozen.canonical.prior


def test_item_rows_are_learned_for_rated_items_and_prior_for_others() -> None:
    frozen = learn_frozen(LISTS, CONFIG)
    ids = np.arange(9)
    nothing = np.zeros((9, CONFIG.model.packed + CONFIG.model.width), np.int64)
    prior = item_rows(solve_items(nothing, item_prior_means(ids, CONFIG.model), frozen.prior))
    assert frozen.canonical.item_ids.tolist() == [2, 7]
    for asked in ([7, 1, 7], [8, 0], [], list(range(9))):
        rows = frozen.item_rows.holding(np.array(asked, np.int64))
        for item in asked:
            expected = frozen.canonical.rows[[2, 7].index(item)] if item in (2, 7) else prior[item]
            assert rows[item].tolist() == expected.tolist(), item
    assert not np.array_equal(rows[2], prior[2])


class Overtaken(CanonicalRows):
    """Whenever it has grown, another thread puts its own table in place, which has no lines yet."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "_table":
            super().__setattr__(name, (np.empty((0, 10), np.int64), np.zeros(0, np.bool_)))


def test_threads_that_grow_the_rows_at_once_each_use_their_own() -> None:
    frozen = learn_frozen(LISTS, CONFIG)
    overtaken = Overtaken(frozen.canonical)
    assert overtaken.holding(np.array([5]))[5].tolist() == frozen.item_rows.holding(np.array([5]))[5].tolist()
