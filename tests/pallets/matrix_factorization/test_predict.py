import numpy as np
import pytest

from pallets.matrix_factorization.fixed_point import (
    F64,
    INT32_MAX,
    INT32_MIN,
    ONE,
    RatingScale,
    square_index,
    to_fixed,
    triangle,
)
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    Hyperparameters,
    ItemPosteriors,
    Prior,
    UserPosteriors,
    item_prior_means,
    solve_items,
)
from pallets.matrix_factorization.predict import INTERVAL_90, Predictions, on_scale, predict

WIDTH = 4
ROWS, COLUMNS = triangle(WIDTH)
STARS = RatingScale(1, 5, 1)


def gaussians(count: int, seed: int) -> tuple[F64, F64]:
    random = np.random.default_rng(seed)
    factors = random.normal(0, 0.2, (count, WIDTH, WIDTH + 2))
    return random.normal(0, 0.5, (count, WIDTH)), factors @ factors.swapaxes(1, 2)


def some_users(count: int) -> UserPosteriors:
    mean, covariance = gaussians(count, 1)
    tau = np.random.default_rng(9).uniform(0.5, 16, count)
    return UserPosteriors(to_fixed(mean), to_fixed(covariance[:, ROWS, COLUMNS]), to_fixed(tau))


def some_items(count: int) -> ItemPosteriors:
    mean, covariance = gaussians(count, 2)
    return ItemPosteriors(to_fixed(mean), to_fixed(covariance[:, ROWS, COLUMNS]))


def test_mean_and_variance_are_those_of_the_random_variable() -> None:
    users, items = some_users(20), some_items(20)
    predicted = predict(users, items)
    square = square_index(WIDTH)
    for pair in range(20):
        mx, sx = users.mean[pair] / ONE, users.covariance[pair][square] / ONE
        my, sy = items.mean[pair] / ONE, items.covariance[pair][square] / ONE
        second_x, second_y = sx + np.outer(mx, mx), sy + np.outer(my, my)
        mean = my[0] + mx[0] + mx[1:] @ my[1:]
        # E[(b + c + p.q)^2], term by term, from the second moments of independent x and y.
        square_mean = second_x[0, 0] + second_y[0, 0] + np.sum(second_x[1:, 1:] * second_y[1:, 1:])
        square_mean += 2 * (mx[0] * my[0] + second_x[0, 1:] @ my[1:] + mx[1:] @ second_y[0, 1:])
        variance = square_mean - mean**2 + ONE / users.precision[pair]
        assert abs(predicted.mean[pair] / ONE - mean) < 1 / ONE
        assert abs(predicted.variance[pair] / ONE - variance) < 1e-5


def test_a_sample_of_the_posteriors_agrees() -> None:
    users, items = some_users(1), some_items(1)
    random, square = np.random.default_rng(3), square_index(WIDTH)
    x = random.multivariate_normal(users.mean[0] / ONE, users.covariance[0][square] / ONE, 200_000)
    y = random.multivariate_normal(items.mean[0] / ONE, items.covariance[0][square] / ONE, 200_000)
    ratings = x[:, 0] + y[:, 0] + (x[:, 1:] * y[:, 1:]).sum(1)
    predicted = predict(users, items)
    assert abs(ratings.mean() - predicted.mean[0] / ONE) < 0.01
    assert abs(ratings.var() + ONE / users.precision[0] - predicted.variance[0] / ONE) < 0.02


def test_a_pair_gets_the_same_bits_alone_and_among_others() -> None:
    users, items = some_users(50), some_items(50)
    together = predict(users, items)
    for pair in range(50):
        user = UserPosteriors(users.mean[pair, None], users.covariance[pair, None], users.precision[pair, None])
        item = ItemPosteriors(items.mean[pair, None], items.covariance[pair, None])
        alone = predict(user, item)
        assert (alone.mean[0], alone.variance[0]) == (together.mean[pair], together.variance[pair])
        spread = predict(user, items)
        assert (spread.mean[pair], spread.variance[pair]) == (together.mean[pair], together.variance[pair])
        audience = predict(users, item)
        assert (audience.mean[pair], audience.variance[pair]) == (
            together.mean[pair],
            together.variance[pair],
        )


def test_nothing_is_predicted_for_no_pairs() -> None:
    predicted = predict(some_users(0), some_items(0))
    assert (predicted.mean.tolist(), predicted.variance.tolist()) == ([], [])


@pytest.mark.parametrize("dimension", [8, 16, 64])
@pytest.mark.parametrize("extreme", [INT32_MIN, INT32_MAX])
def test_saturated_posteriors_stay_within_64_bits(extreme: int, dimension: int) -> None:
    width = dimension + 1
    packed = width * (width + 1) // 2
    users = UserPosteriors(
        np.full((1, width), extreme, np.int32),
        np.full((1, packed), INT32_MAX, np.int32),
        np.full(1, ONE // 2, np.int32),
    )
    items = ItemPosteriors(np.full((1, width), INT32_MIN, np.int32), np.full((1, packed), INT32_MAX, np.int32))
    predicted = predict(users, items)
    assert abs(int(predicted.mean[0])) < 2**48
    assert 2 * ONE <= int(predicted.variance[0]) <= 2**61
    # Rounding can leave a covariance that is not one; the noise remains.
    negative = predict(users, ItemPosteriors(items.mean, np.full((1, packed), INT32_MIN, np.int32)))
    assert int(negative.variance[0]) == 2 * ONE


def test_who_never_rated_is_predicted_from_the_prior_and_the_item() -> None:
    parameters = ModelParameters()
    prior = Prior.of(Hyperparameters.initial(parameters), parameters)
    items = solve_items(np.zeros((3, 54), np.int64), item_prior_means(np.arange(3), parameters), prior)
    predicted = predict(UserPosteriors.of_prior(prior, 1), items)
    assert predicted.mean.tolist() == [0, 0, 0]
    # Bias variances .05 and .1, eight products of features of variance .5 and .05 about h, noise 1/4.
    h = item_prior_means(np.arange(3), parameters) / ONE
    expected = 0.05 + 0.1 + 8 * 0.5 * 0.05 + 0.5 * (h**2).sum(1) + 0.25
    np.testing.assert_allclose(predicted.variance / ONE, expected, atol=2e-5)


def test_predictions_on_the_scale_are_clipped_and_their_deviation_is_not() -> None:
    raw = Predictions(np.array([0, ONE // 2, 2 * ONE, -2 * ONE]), np.array([ONE // 4, ONE, ONE // 16, ONE // 16]))
    scaled = on_scale(raw, STARS)
    assert scaled.mean.tolist() == [3.0, 4.0, 5.0, 1.0]
    assert scaled.deviation.tolist() == [1.0, 2.0, 0.5, 0.5]
    assert scaled.low.tolist() == [3 - INTERVAL_90, 1.0, 5.0, 1.0]
    assert scaled.high.tolist() == [3 + INTERVAL_90, 5.0, 5.0, 1.0]
    seven = on_scale(raw, RatingScale(-1, 1, 2))
    assert seven.mean.tolist() == [0.0, 0.5, 1.0, -1.0]
    assert seven.deviation.tolist() == [0.5, 1.0, 0.25, 0.25]
