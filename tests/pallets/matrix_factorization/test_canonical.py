"""What is learned from a set of ratings: the same bits for the same set, on every machine; and sensible."""

import dataclasses
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy._core import _multiarray_umath

from pallets.matrix_factorization import posterior, statistics
from pallets.matrix_factorization.canonical import Canonical, canonical
from pallets.matrix_factorization.fixed_point import F64, INT32_MAX, INT32_MIN, ONE, square_index, to_fixed, triangle
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    Hyperparameters,
    ItemPosteriors,
    contributions,
    item_prior_means,
    item_rows,
    solve_items,
    solve_users,
)
from pallets.matrix_factorization.predict import Predictions, predict
from pallets.matrix_factorization.statistics import (
    RatingSet,
    arrange,
    item_statistics_of,
    pointers_of,
    user_statistics,
)

ROOT = Path(__file__).parents[3]
SMALL = ModelParameters(dimension=2, sweeps=4)
Lists = list[list[tuple[int, int]]]


def rating_set(lists: Lists) -> RatingSet:
    flat = [entry for entries in lists for entry in entries]
    return RatingSet(
        pointers_of(np.array([len(entries) for entries in lists], np.int64)),
        np.array([item for item, _ in flat], np.int64),
        np.array([rating for _, rating in flat], np.int64),
    )


def learn(lists: Lists, parameters: ModelParameters = ModelParameters()) -> Canonical:  # noqa: B008
    return canonical(rating_set(lists), parameters)


def shared(model: Canonical) -> list[object]:
    """All that does not belong to one user, as bytes and integers."""
    learned = model.prior.hyperparameters
    arrays = (
        model.item_ids,
        model.items.mean,
        model.items.covariance,
        model.rows,
        model.totals,
        learned.user_mean,
        learned.user_covariance,
        learned.item_covariance,
    )
    return [*(array.tobytes() for array in arrays), learned.item_bias, learned.precision_rate]


def per_user(model: Canonical) -> list[tuple[bytes, bytes, bytes]]:
    users = model.users
    return [
        (users.mean[user].tobytes(), users.covariance[user].tobytes(), users.precision[user].tobytes())
        for user in range(users.precision.size)
    ]


def digest(model: Canonical) -> str:
    return hashlib.sha256(repr((shared(model), per_user(model))).encode()).hexdigest()


def some_ratings(users: int = 150, items: int = 90, seed: int = 6) -> Lists:
    """Made-up tastes in integers alone, so that every machine makes the same."""
    state = np.random.PCG64(seed)
    lists: Lists = []
    for user in range(users):
        chosen = {value % items for value in state.random_raw(1 + user % 40).tolist()}
        lists.append([(item, ((user * item) % 5 - 2) * 64) for item in sorted(chosen)])
    return lists


def rate_missing(lists: Lists, pairs: list[tuple[int, int]], model: Canonical) -> Predictions:
    """Predict pairs of user and item, each user solved against the items as they are now."""
    parameters, width = model.prior.parameters, model.prior.parameters.width
    ids = np.unique([item for entries in lists for item, _ in entries] + [item for _, item in pairs])
    totals = np.zeros((ids.size, parameters.packed + width), np.int64)
    totals[np.searchsorted(ids, model.item_ids)] = model.totals
    items = solve_items(totals, item_prior_means(ids, parameters), model.prior)
    asked = rating_set([lists[user] for user, _ in pairs])
    sums = user_statistics(item_rows(items), np.searchsorted(ids, asked.items), asked.ratings, asked.pointers, width)
    starts = model.users.precision[[user for user, _ in pairs]]
    users = solve_users(sums, np.diff(asked.pointers), starts, model.prior)
    at = np.searchsorted(ids, [item for _, item in pairs])
    return predict(users, ItemPosteriors(items.mean[at], items.covariance[at]))


LISTS = st.lists(
    st.dictionaries(st.integers(0, 2**32 - 1) | st.integers(0, 6), st.integers(-128, 128), max_size=8).map(
        lambda entries: list(entries.items())
    ),
    max_size=7,
)


@given(LISTS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_neither_order_nor_numbering_reaches_a_result(lists: Lists, random: object) -> None:
    model = learn(lists, SMALL)
    places = list(range(len(lists)))
    random.shuffle(places)  # type: ignore[attr-defined]
    shuffled = []
    for place in places:
        entries = list(lists[place])
        random.shuffle(entries)  # type: ignore[attr-defined]
        shuffled.append(entries)
    other = learn(shuffled, SMALL)
    assert shared(other) == shared(model)
    assert per_user(other) == [per_user(model)[place] for place in places]
    # Who has rated nothing changes nothing for others.
    crowded = learn([*lists, [], []], SMALL)
    assert shared(crowded) == shared(model)
    assert per_user(crowded)[: len(lists)] == per_user(model)


def test_three_ratings_give_one_model_in_all_six_orders() -> None:
    given_ratings = [("A", 0), ("B", 0), ("B", 1)]
    raws, digests = set(), set()
    for order in itertools.permutations(given_ratings):
        names = list(dict.fromkeys(name for name, _ in order))
        lists: Lists = [[(item, 128) for name, item in order if name == user] for user in names]
        model = learn(lists)
        predicted = rate_missing(lists, [(names.index("A"), 1)], model)
        raws.add((int(predicted.mean[0]), int(predicted.variance[0])))
        digests.add(hashlib.sha256(repr((shared(model), sorted(per_user(model)))).encode()).hexdigest())
    assert len(digests) == 1
    assert len(raws) == 1
    mean, variance = raws.pop()
    assert round(mean / ONE, 4) == 0.3025
    assert round((variance / ONE) ** 0.5, 3) == 0.755


def test_two_tastes_are_told_apart_without_biases() -> None:
    def rating(user: int, item: int) -> int:
        return 128 if (user < 4) == (item < 4) else -128

    # Each user leaves two items unrated, one of each kind, so that neither users nor items have a bias.
    missing = {(user, item) for user in range(8) for item in (user % 4, 4 + (user + 1) % 4)}
    lists = [[(i, rating(u, i)) for i in range(8) if (u, i) not in missing] for u in range(8)]
    assert all(sum(value for _, value in entries) == 0 for entries in lists)
    pairs = sorted(missing)
    predicted = rate_missing(lists, pairs, learn(lists)).mean / ONE
    signs = np.array([np.sign(rating(user, item)) for user, item in pairs])
    assert (predicted * signs).min() > 0.0
    assert (predicted * signs).mean() > 0.3


def test_the_sweeps_are_those_of_plain_linear_algebra() -> None:
    parameters = ModelParameters(dimension=3, sweeps=6, learning_minimum=2)
    lists = some_ratings(30, 15)
    model = learn(lists, parameters)
    users, items = reference(lists, parameters)
    np.testing.assert_allclose(model.users.mean / ONE, users[0], atol=2e-4)
    np.testing.assert_allclose(model.users.covariance[:, square_index(4)] / ONE, users[1], atol=2e-4)
    np.testing.assert_allclose(model.users.precision / ONE, users[2], rtol=1e-3)
    np.testing.assert_allclose(model.items.mean / ONE, items[0], atol=2e-4)
    np.testing.assert_allclose(model.items.covariance[:, square_index(4)] / ONE, items[1], atol=2e-4)


def reference(lists: Lists, parameters: ModelParameters) -> tuple[tuple[F64, F64, F64], tuple[F64, F64]]:
    """The model in floats, rating by rating, with inverses by LAPACK and dense moments."""
    width, n0, a0 = parameters.width, 20.0, 5.0
    ids = sorted({item for entries in lists for item, _ in entries})
    cx0, cy0 = np.diag([0.05, *[0.5] * (width - 1)]), np.diag([0.1, *[0.05] * (width - 1)])
    cx, cy, b0, mu_x, mu_c = cx0, cy0, a0 / 4.0, np.zeros(width), 0.0
    h = item_prior_means(np.array(ids), parameters) / ONE
    my, sy = np.column_stack((np.zeros(len(ids)), h)), np.stack([cy0] * len(ids))
    mx, sx, tau = np.zeros((len(lists), width)), np.stack([cx0] * len(lists)), np.full(len(lists), 4.0)
    visits = [(u, ids.index(i), r / 128) for u, entries in enumerate(lists) for i, r in entries]

    def seen(mean: F64, covariance: F64) -> tuple[F64, F64, float]:
        """E[zz'], E[c z] and E[c^2] of a vector [c, q] with z = [1, q]."""
        second = covariance + np.outer(mean, mean)
        outer, cross = second.copy(), second[0].copy()
        outer[0], outer[:, 0], cross[0] = [1, *mean[1:]], [1, *mean[1:]], mean[0]
        return outer, cross, second[0, 0]

    for _ in range(parameters.sweeps):
        old_tau = tau.copy()
        for u in range(len(lists)):
            precision, shift, error, number = np.linalg.inv(cx), np.linalg.inv(cx) @ mu_x, 0.0, 0
            mine = [(i, r) for user, i, r in visits if user == u]
            parts = [(*seen(my[i], sy[i]), r) for i, r in mine]
            for outer, cross, _, r in parts:
                precision = precision + old_tau[u] * outer
                shift = shift + old_tau[u] * (r * outer[0] - cross)
            sx[u] = np.linalg.inv(precision)
            mx[u] = sx[u] @ shift
            for outer, cross, square, r in parts:
                error += r * r - 2 * r * cross[0] + square - 2 * mx[u] @ (r * outer[0] - cross)
                error += float(np.trace(outer @ (sx[u] + np.outer(mx[u], mx[u]))))
                number += 1
            tau[u] = np.clip((a0 + number / 2) / (b0 + error / 2), 0.5, 16)
        known = [u for u, entries in enumerate(lists) if len(entries) >= parameters.learning_minimum]
        total = n0 + len(known)
        new_mu_x = sum(mx[u] for u in known) / total
        new_cx = (n0 * cx0 + sum(sx[u] + np.outer(mx[u], mx[u]) for u in known)) / total
        new_cx = new_cx - np.outer(new_mu_x, new_mu_x)
        b0 = a0 / ((n0 * 4.0 + sum(tau[u] for u in known)) / total)
        raters = [sum(i == item for _, i, _ in visits) for item in range(len(ids))]
        known = [i for i, count in enumerate(raters) if count >= parameters.learning_minimum]
        total = n0 + len(known)
        apart = {i: my[i] - np.array([0, *h[i]]) for i in known}
        centre = sum(apart.values()) / total
        new_cy = (n0 * cy0 + sum(sy[i] + np.outer(apart[i], apart[i]) for i in known)) / total
        new_cy[0] -= centre[0] * centre
        new_cy[1:, 0] = new_cy[0, 1:]
        mu_x, cx, mu_c, cy = new_mu_x, new_cx, centre[0], new_cy
        for i in range(len(ids)):
            precision, shift = np.linalg.inv(cy), np.linalg.inv(cy) @ np.array([mu_c, *h[i]])
            for u, item, r in visits:
                if item == i:
                    outer, cross, _ = seen(mx[u], sx[u])
                    precision = precision + tau[u] * outer
                    shift = shift + tau[u] * (r * outer[0] - cross)
            sy[i] = np.linalg.inv(precision)
            my[i] = sy[i] @ shift
    return (mx, sx, tau), (my, sy)


@pytest.mark.parametrize("size", [1, 7, 13, 1000])
def test_the_cutting_of_the_work_does_not_reach_a_bit(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digest(learn(some_ratings(), SMALL))
    monkeypatch.setattr(posterior, "_BATCH", size)
    for name in ("_BLOCK", "_NARROW", "_CHUNK"):
        monkeypatch.setattr(statistics, name, size)
    assert digest(learn(some_ratings(), SMALL)) == expected


@pytest.mark.full
def test_processors_of_all_kinds_compute_the_same_bits() -> None:
    """This machine with its vector units, without some and without all of them, and a recorded result."""
    expected = "610844b1feadc51cdff04efa8eb9db92b41d2c4dcfede80927f0676b15cfef7b"
    assert digest(learn(some_ratings())) == expected
    enabled = [name for name in _multiarray_umath.__cpu_dispatch__ if _multiarray_umath.__cpu_features__[name]]
    # A level can only be switched off together with those above it.
    for first in range(len(enabled)):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NPY_DISABLE_CPU_FEATURES": " ".join(enabled[first:]),
        }
        process = subprocess.run(
            [sys.executable, __file__], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert (process.stdout, process.returncode) == (f"{expected}\n", 0), process.stderr


def test_the_empty_set_is_the_constants() -> None:
    model = learn([])
    assert (model.item_ids.size, model.users.precision.size, model.totals.shape) == (0, 0, (0, 54))
    initial = Hyperparameters.initial(ModelParameters())
    learned = model.prior.hyperparameters
    assert learned.user_mean.tolist() == initial.user_mean.tolist()
    assert learned.user_covariance.tolist() == initial.user_covariance.tolist()
    assert learned.item_covariance.tolist() == initial.item_covariance.tolist()
    assert (learned.item_bias, learned.precision_rate) == (initial.item_bias, initial.precision_rate)
    only_empty = learn([[], []])
    assert shared(only_empty) == shared(model)


DEGENERATE = {
    "constant": [[(item, 128) for item in range(10)] for _ in range(10)],
    "all at the middle": [[(item, 0) for item in range(10)] for _ in range(10)],
    "alternating": [[(item, 128 if (user + item) % 2 else -128) for item in range(10)] for user in range(10)],
    "one rating": [[(0, -128)]],
    "one user": [[(item, 128 - item % 5 * 64) for item in range(200)]],
    "one item": [[(7, 128 - user % 5 * 64)] for user in range(200)],
    "clique": [[(item, 128) for item in range(10)] if user < 10 else [(99, -128)] for user in range(20)],
    "ids at the ends": [[(0, 128), (2**32 - 1, -128)], [(2**32 - 1, 128)], []],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_gives_positive_variances(name: str) -> None:
    lists = DEGENERATE[name]
    model = learn(lists)
    diagonal = square_index(9).diagonal()
    assert (model.users.covariance[:, diagonal] > 0).all()
    assert (model.items.covariance[:, diagonal] > 0).all()
    learned = model.prior.hyperparameters
    for covariance in (learned.user_covariance, learned.item_covariance):
        assert np.linalg.eigvalsh(covariance[square_index(9)] / ONE).min() > 1e-4
    rated = [(user, item) for user, entries in enumerate(lists) for item, _ in entries[:3]]
    predicted = rate_missing(lists, rated, model)
    assert (predicted.variance >= ONE // 16).all()
    assert (np.abs(predicted.mean) < 3 * ONE // 2).all()


def test_statistics_of_the_model_are_the_sums_of_its_users() -> None:
    lists = some_ratings()
    model = learn(lists, SMALL)
    ratings = rating_set(lists)
    given_by = contributions(model.users, np.diff(ratings.pointers), SMALL)
    index = np.searchsorted(model.item_ids, ratings.items)
    order = np.argsort(index)
    raters = np.repeat(np.arange(len(lists)), np.diff(ratings.pointers))[order]
    pointers = pointers_of(np.bincount(index))
    totals = item_statistics_of(given_by, arrange(raters, ratings.ratings[order], pointers), SMALL.width)
    assert (totals == model.totals).all()
    solved = solve_items(totals, item_prior_means(model.item_ids, SMALL), model.prior)
    assert (solved.mean == model.items.mean).all()
    assert (item_rows(solved) == model.rows).all()


def test_few_ratings_do_not_move_what_is_learned_of_all() -> None:
    parameters = dataclasses.replace(SMALL, learning_minimum=3)
    fakes: Lists = [[(50, 128), (51, 128)] for _ in range(1)] + [[(52, -128)]]
    honest: Lists = [[(item, 64 * (item % 3 - 1)) for item in range(5)] for _ in range(6)]
    alone, joined = learn(honest, parameters), learn(honest + fakes, parameters)
    assert shared(joined)[5:] == shared(alone)[5:]
    assert per_user(joined)[: len(honest)] == per_user(alone)


def test_hyperparameters_pool_the_posteriors_with_the_pseudo_observations() -> None:
    lists = some_ratings(60, 20)
    model = learn(lists, dataclasses.replace(SMALL, sweeps=40))
    known = [user for user, entries in enumerate(lists) if len(entries) >= 3]
    rows, columns = triangle(3)
    mean = model.users.mean[known] / ONE
    centre = mean.sum(0) / (20 + len(known))
    second = model.users.covariance[known].sum(0) / ONE + (mean[:, rows] * mean[:, columns]).sum(0)
    pooled = (20 * np.diag([0.05, 0.5, 0.5])[rows, columns] + second) / (20 + len(known))
    learned = model.prior.hyperparameters
    np.testing.assert_allclose(learned.user_mean / ONE, centre, atol=2 / ONE)
    np.testing.assert_allclose(learned.user_covariance / ONE, pooled - centre[rows] * centre[columns], atol=3 / ONE)
    tau = (20 * 4 + (model.users.precision[known] / ONE).sum()) / (20 + len(known))
    assert abs(learned.precision_rate - int(to_fixed(np.array([5 / tau]))[0])) <= 1


def test_posteriors_are_within_reach_of_the_types() -> None:
    model = learn(some_ratings(5, 5), SMALL)
    users, items = model.users, model.items
    diagonal = square_index(SMALL.width).diagonal()
    for array in (users.mean, users.covariance, users.precision, items.mean, items.covariance):
        assert array.dtype == np.int32
        assert array.min() > INT32_MIN
        assert array.max() < INT32_MAX, "nothing is clipped"
    assert {model.rows.dtype, model.totals.dtype, model.item_ids.dtype} == {np.dtype(np.int64)}
    # To know ratings makes nobody less certain than the prior, and noise has bounds.
    for covariance, prior in (
        (users.covariance, model.prior.hyperparameters.user_covariance),
        (items.covariance, model.prior.hyperparameters.item_covariance),
    ):
        assert covariance[:, diagonal].min() > 0
        assert np.all(covariance[:, diagonal] <= prior[diagonal] + ONE // 100)
    assert users.precision.min() >= SMALL.minimum_precision_ppm * ONE // 10**6
    assert users.precision.max() <= SMALL.maximum_precision_ppm * ONE // 10**6
    assert np.abs(users.mean).max() < 2 * ONE
    assert np.abs(items.mean).max() < 2 * ONE


if __name__ == "__main__":
    print(digest(learn(some_ratings())))
