"""The model beside the exact posterior, drawn by Gibbs sampling: as near as docs/inference.md says."""

import numpy as np
import pytest

from benchmarks.recommenders.gibbs import Rating, Sampled, sample
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import F64, RatingScale, from_fixed
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.phi import Phi
from pallets.matrix_factorization.predict import INTERVAL_90, predict
from pallets.matrix_factorization.ratings import ENTRY, RatingList
from runtime.primitives import AccountId

pytestmark = pytest.mark.full

ITEMS = 12
Case = tuple[list[Rating], list[tuple[int, int]]]


def account(user: int) -> AccountId:
    return AccountId(bytes([user + 1]) * 32)


def of_chain(ratings: list[Rating], pairs: list[tuple[int, int]], parameters: ModelParameters) -> tuple[F64, F64]:
    """Means and standard deviations by the pallet, at rest."""
    config = Config(RatingScale(-128, 128, 1), model=parameters)
    lists = [
        (account(user), np.array([(one.item, round(one.value * 128)) for one in ratings if one.user == user], ENTRY))
        for user in sorted({one.user for one in ratings})
    ]
    frozen = learn_frozen(lists, config)
    phi = Phi.derived(frozen, 1, [(owner, RatingList(entries, ())) for owner, entries in lists], ITEMS)
    users = phi.posteriors([account(user) for user, _ in pairs])
    predictions = predict(users, phi.items.posteriors(np.array([item for _, item in pairs])))
    return from_fixed(predictions.mean), np.sqrt(from_fixed(predictions.variance))


def two_tastes(size: int) -> Case:
    everything = [
        Rating(user, item, 1.0 if (user < size // 2) == (item < size // 2) else -1.0)
        for user in range(size)
        for item in range(size)
    ]
    missing = {(user, user) for user in range(size)} | {(user, (user + 2) % size) for user in range(size)}
    given = [one for one in everything if (one.user, one.item) not in missing]
    return given, sorted(missing)[:8]


def sparse() -> Case:
    random = np.random.default_rng(4)
    pairs = [(int(place) // 6, int(place) % 6) for place in random.permutation(36)]
    given = [Rating(user, item, float(random.integers(-2, 3)) / 2) for user, item in pairs[:12]]
    return given, pairs[12:20]


CASES: dict[str, Case] = {
    "three ratings": ([Rating(0, 0, 1.0), Rating(1, 0, 1.0), Rating(1, 1, 1.0)], [(0, 1)]),
    "two tastes": two_tastes(6),
    "sparse": sparse(),
    "one account": ([Rating(0, item, (-1.0) ** item) for item in range(6)], [(0, 7), (1, 0)]),
    "one item": ([Rating(user, 0, 0.5) for user in range(8)] + [Rating(0, 1, -0.5)], [(0, 2), (5, 1), (11, 0)]),
}


@pytest.mark.parametrize("name", CASES)
def test_means_and_intervals_are_near_the_exact_posterior(name: str) -> None:
    ratings, pairs = CASES[name]
    # So many imagined observations that the hyperparameters stay at the constants, where the sampler has them.
    parameters = ModelParameters(dimension=3, pseudo_observations_ppm=2**32 - 1)
    exact: Sampled = sample(ratings, pairs, parameters, draws=1_500, burn_in=200, seed=1)
    mean, deviation = of_chain(ratings, pairs, parameters)
    assert np.max(np.abs(mean - exact.mean) / exact.deviation) < 0.2
    ratio = deviation / exact.deviation
    assert ratio.min() > 0.85
    assert ratio.max() < 1.1
    reach = INTERVAL_90 * deviation
    within = exact.share_within(mean - reach, mean + reach)
    assert within.min() > 0.84
    assert within.max() < 0.94
