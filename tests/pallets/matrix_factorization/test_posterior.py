import dataclasses

import numpy as np
import pytest

from pallets.matrix_factorization import posterior
from pallets.matrix_factorization.fixed_point import F64, I32, I64, ONE, square_index, to_fixed, triangle
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    Hyperparameters,
    ItemPosteriors,
    Prior,
    UserPosteriors,
    contributions,
    initial_precision,
    item_prior_means,
    item_rows,
    moment_sums,
    solve_items,
    solve_users,
    sweep_inverse,
)
from pallets.matrix_factorization.statistics import arrange, item_statistics_of, user_statistics

PARAMETERS = ModelParameters(dimension=3)
WIDTH, PACKED = PARAMETERS.width, PARAMETERS.packed
ROWS, COLUMNS = triangle(WIDTH)
SQUARE = square_index(WIDTH)


def covariances(count: int, seed: int, scale: float = 0.1) -> F64:
    factors = np.random.default_rng(seed).normal(0, scale, (count, WIDTH, WIDTH + 3))
    return factors @ factors.swapaxes(1, 2) + 0.01 * np.eye(WIDTH)


def pack(matrices: F64) -> I32:
    return to_fixed(matrices[..., ROWS, COLUMNS])


def unpack(packed: I32) -> F64:
    return packed[..., SQUARE] / ONE


def learned_prior(parameters: ModelParameters = PARAMETERS) -> Prior:
    user, item = covariances(2, 11)
    return Prior.of(
        Hyperparameters(
            user_mean=to_fixed(np.array([0.2, -0.1, 0.05, 0.3])),
            user_covariance=pack(user),
            item_bias=-ONE // 10,
            item_covariance=pack(item),
            precision_rate=3 * ONE // 2,
        ),
        parameters,
    )


def some_items(count: int, seed: int = 1) -> ItemPosteriors:
    means = np.random.default_rng(seed).normal(0, 0.4, (count, WIDTH))
    return ItemPosteriors(to_fixed(means), pack(covariances(count, seed)))


def some_users(count: int, seed: int = 2) -> UserPosteriors:
    random = np.random.default_rng(seed)
    means, taus = random.normal(0, 0.4, (count, WIDTH)), random.uniform(0.5, 16, count)
    return UserPosteriors(to_fixed(means), pack(covariances(count, seed)), to_fixed(taus))


def test_the_sweep_inverts_like_linear_algebra() -> None:
    matrices = covariances(500, 5, scale=2.0)
    swept = np.ascontiguousarray(matrices[:, ROWS, COLUMNS].T)
    sweep_inverse(swept, WIDTH)
    np.testing.assert_allclose(swept[SQUARE].transpose(2, 0, 1), np.linalg.inv(matrices), rtol=1e-9, atol=1e-9)


def test_a_pivot_below_the_floor_is_raised_to_it() -> None:
    singular = np.ones((PACKED, 1))
    sweep_inverse(singular, WIDTH)
    raised = np.ones((WIDTH, WIDTH)) + np.diag([0.0] + [posterior.PIVOT_FLOOR] * (WIDTH - 1))
    # After the first pivot nothing is left of the matrix, and every other pivot is the floor.
    np.testing.assert_allclose(singular[SQUARE][:, :, 0], np.linalg.inv(raised), rtol=1e-9)
    nothing = np.zeros((PACKED, 1))
    sweep_inverse(nothing, WIDTH)
    assert nothing[SQUARE][:, :, 0].tolist() == (1024.0 * np.eye(WIDTH)).tolist()


def test_item_rows_hold_the_moments_that_users_see() -> None:
    items = some_items(5)
    rows = item_rows(items) / ONE
    for mean, covariance, row in zip(items.mean / ONE, unpack(items.covariance), rows, strict=True):
        z = np.concatenate(([1.0], mean[1:]))
        moments = np.outer(z, z)
        moments[1:, 1:] += covariance[1:, 1:]
        expected = [
            mean[0],
            *moments[ROWS, COLUMNS],
            *(covariance[0, 1:] + mean[0] * mean[1:]),
            covariance[0, 0] + mean[0] ** 2,
        ]
        np.testing.assert_allclose(row, expected, atol=0.51 / ONE)


@pytest.mark.parametrize("kappa", [0, 10])
def test_contributions_hold_the_moments_that_items_see(kappa: int) -> None:
    users, counts = some_users(5), np.array([1, 2, 10, 500, 32768])
    parameters = dataclasses.replace(PARAMETERS, trust_kappa_ppm=kappa * 10**6)
    lines = contributions(users, counts, parameters) / ONE
    for index, line in enumerate(lines):
        mean, covariance = users.mean[index] / ONE, unpack(users.covariance[index])
        weight = users.precision[index] / ONE * counts[index] / (counts[index] + kappa)
        w = np.concatenate(([1.0], mean[1:]))
        moments = np.outer(w, w)
        moments[1:, 1:] += covariance[1:, 1:]
        cross = [mean[0], *(covariance[0, 1:] + mean[0] * mean[1:])]
        expected = weight * np.array([*moments[ROWS, COLUMNS], *cross])
        np.testing.assert_allclose(line, expected, atol=0.51 / ONE)


def test_users_are_solved_like_the_equations_say() -> None:
    prior, items = learned_prior(), some_items(6)
    lists = [[(0, 128), (3, -64), (5, 0)], [], [(2, -128)], [(item, 64) for item in range(6)]]
    counts = np.array([len(entries) for entries in lists])
    flat = np.array([entry for entries in lists for entry in entries])
    pointers = np.array([0, *np.cumsum(counts)])
    rows = item_rows(items)
    statistics = user_statistics(rows, flat[:, 0], flat[:, 1], pointers, WIDTH)
    starts = to_fixed(np.array([4.0, 2.0, 16.0, 0.5]))
    solved = solve_users(statistics, counts, starts, prior)
    for user, entries in enumerate(lists):
        mean, covariance, tau = reference_user(entries, items, starts[user] / ONE, prior)
        np.testing.assert_allclose(solved.mean[user] / ONE, mean, atol=1e-4)
        np.testing.assert_allclose(unpack(solved.covariance[user]), covariance, atol=1e-4)
        np.testing.assert_allclose(solved.precision[user] / ONE, tau, rtol=1e-4)


def reference_user(
    entries: list[tuple[int, int]], items: ItemPosteriors, start: float, prior: Prior
) -> tuple[F64, F64, float]:
    learned = prior.hyperparameters
    precision = np.linalg.inv(unpack(learned.user_covariance))
    shift = precision @ (learned.user_mean / ONE)
    seen = []
    for item, units in entries:
        y, cov, r = items.mean[item] / ONE, unpack(items.covariance[item]), units / 128
        z = np.array([1.0, *y[1:]])
        second = np.outer(z, z)
        second[1:, 1:] += cov[1:, 1:]
        cross = np.array([y[0], *(cov[0, 1:] + y[0] * y[1:])])
        seen.append((second, r * z - cross, r * r - 2 * r * y[0] + cov[0, 0] + y[0] ** 2))
    posterior_precision = precision + start * sum((part[0] for part in seen), np.zeros_like(precision))
    covariance = np.linalg.inv(posterior_precision)
    mean = covariance @ (shift + start * sum((part[1] for part in seen), np.zeros(WIDTH)))
    moment = covariance + np.outer(mean, mean)
    error = sum(s - 2 * mean @ b + np.trace(a @ moment) for a, b, s in seen)
    tau = (5.0 + len(entries) / 2) / (learned.precision_rate / ONE + error / 2)
    return mean, covariance, min(max(tau, 0.5), 16.0)


def test_items_are_solved_like_the_equations_say() -> None:
    prior, users = learned_prior(), some_users(4)
    counts = np.array([3, 1, 1, 2])
    lines = contributions(users, counts, PARAMETERS)
    raters, ratings, pointers = np.array([0, 2, 3, 1]), np.array([128, -64, 32, -128]), np.array([0, 3, 3, 4])
    statistics = item_statistics_of(lines, arrange(raters, ratings, pointers), WIDTH)
    means = item_prior_means(np.array([3, 1, 4]), PARAMETERS)
    solved = solve_items(statistics, means, prior)
    precision = np.linalg.inv(unpack(prior.hyperparameters.item_covariance))
    for item in range(3):
        total = precision.copy()
        shift = precision @ np.array([prior.hyperparameters.item_bias / ONE, *(means[item] / ONE)])
        for entry in range(pointers[item], pointers[item + 1]):
            x, cov = users.mean[raters[entry]] / ONE, unpack(users.covariance[raters[entry]])
            tau, r = users.precision[raters[entry]] / ONE, ratings[entry] / 128
            w = np.array([1.0, *x[1:]])
            second = np.outer(w, w)
            second[1:, 1:] += cov[1:, 1:]
            total += tau * second
            shift = shift + tau * (r * w - np.array([x[0], *(cov[0, 1:] + x[0] * x[1:])]))
        np.testing.assert_allclose(unpack(solved.covariance[item]), np.linalg.inv(total), atol=1e-4)
        np.testing.assert_allclose(solved.mean[item] / ONE, np.linalg.solve(total, shift), atol=1e-4)


def test_who_is_unknown_has_the_prior() -> None:
    prior = learned_prior()
    learned = prior.hyperparameters
    nobody = UserPosteriors.of_prior(prior, 2)
    assert nobody.mean.tolist() == [learned.user_mean.tolist()] * 2
    assert nobody.covariance.tolist() == [learned.user_covariance.tolist()] * 2
    assert nobody.precision.tolist() == [to_fixed(np.array([5 / 1.5]))[0]] * 2
    nothing = np.zeros((2, PACKED + WIDTH + 1), np.int64)
    solved = solve_users(nothing, np.zeros(2, np.int64), initial_precision(2, PARAMETERS), prior)
    np.testing.assert_allclose(solved.mean, nobody.mean, atol=1)
    np.testing.assert_allclose(solved.covariance, nobody.covariance, atol=1)
    assert solved.precision.tolist() == nobody.precision.tolist()


def test_the_initial_hyperparameters_are_the_constants() -> None:
    learned = Hyperparameters.initial(PARAMETERS)
    assert learned.user_mean.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(unpack(learned.user_covariance), np.diag([0.05, 0.5, 0.5, 0.5]), atol=1 / ONE)
    np.testing.assert_allclose(unpack(learned.item_covariance), np.diag([0.1, 0.05, 0.05, 0.05]), atol=1 / ONE)
    assert (learned.item_bias, learned.precision_rate) == (0, 5 * ONE // 4)


def random_statistics(count: int, columns: int) -> I64:
    """Bounded sums that belong to no data, positive definite or not."""
    random = np.random.default_rng(8)
    return (random.integers(-(2**54), 2**54, (count, columns)) >> random.integers(0, 54, (count, 1))).astype(np.int64)


@pytest.mark.parametrize("batch", [1, 7, 13, 1000])
def test_results_do_not_depend_on_the_batch(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = all_solves()
    monkeypatch.setattr(posterior, "_BATCH", batch)
    assert all_solves() == expected


def all_solves() -> list[bytes]:
    prior, count = learned_prior(), 300
    starts, counts = some_users(count).precision, np.arange(count)
    users = solve_users(random_statistics(count, PACKED + WIDTH + 1), counts, starts, prior)
    means = item_prior_means(np.arange(count), PARAMETERS)
    items = solve_items(random_statistics(count, PACKED + WIDTH), means, prior)
    arrays = [users.mean, users.covariance, users.precision, items.mean, items.covariance, item_rows(items)]
    return [array.tobytes() for array in (*arrays, contributions(users, counts, PARAMETERS))]


@pytest.mark.parametrize("extreme", [2**62, -(2**62)])
def test_sums_that_no_data_could_have_still_give_bounded_posteriors(extreme: int) -> None:
    prior = learned_prior()
    signs = np.random.default_rng(4).choice([-1, 1], (200, PACKED + WIDTH + 1))
    statistics = extreme * signs
    users = solve_users(statistics, np.full(200, 2**15), initial_precision(200, PARAMETERS), prior)
    items = solve_items(statistics[:, :-1].copy(), item_prior_means(np.arange(200), PARAMETERS), prior)
    diagonal = SQUARE.diagonal()
    assert (users.covariance[:, diagonal] > 0).all()
    assert (items.covariance[:, diagonal] > 0).all()
    assert ((users.precision >= ONE // 2) & (users.precision <= 16 * ONE)).all()


def test_moment_sums_are_sums_of_rounded_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    items = some_items(20)
    means, covariance = items.mean / ONE, unpack(items.covariance)
    moments = to_fixed((covariance + means[:, :, None] * means[:, None])[:, ROWS, COLUMNS])
    expected = (items.mean.sum(0).tolist(), moments.sum(0, dtype=np.int64).tolist())
    for batch in (1, 7, 1000):
        monkeypatch.setattr(posterior, "_BATCH", batch)
        first, second = moment_sums(items.mean, items.covariance)
        assert (first.tolist(), second.tolist()) == expected
