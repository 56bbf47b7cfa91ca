"""The exact posterior of the model, by a slow Gibbs sampler: what the chain's closed formulas approximate.

The model of docs/inference.md, eq. 1 to 3, with its hyperparameters at the constants. Every conditional is drawn in
turn: a user's vector and precision given the items, an item's vector given the users. For small cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.recommenders.scores import F64
from pallets.matrix_factorization.fixed_point import ONE
from pallets.matrix_factorization.parameters import ModelParameters, decimal
from pallets.matrix_factorization.posterior import item_prior_means


@dataclass(frozen=True, slots=True)
class Rating:
    """What a user (0, 1, ...) gave an item (its id on the chain), on [-1, 1]."""

    user: int
    item: int
    value: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Draws of ratings that would be given, noise included. Shape (draws, pairs)."""

    draws: F64

    @property
    def mean(self) -> F64:
        """Posterior means. Shape (pairs,)."""
        means: F64 = self.draws.mean(axis=0)
        return means

    @property
    def deviation(self) -> F64:
        """Posterior standard deviations. Shape (pairs,)."""
        deviations: F64 = self.draws.std(axis=0)
        return deviations

    def share_within(self, low: F64, high: F64) -> F64:
        """The posterior probability of intervals. Shapes (pairs,)."""
        shares: F64 = ((self.draws >= low) & (self.draws <= high)).mean(axis=0)
        return shares


def sample(
    ratings: Sequence[Rating],
    pairs: Sequence[tuple[int, int]],
    parameters: ModelParameters,
    *,
    draws: int,
    burn_in: int,
    seed: int,
) -> Sampled:
    """Draw what users would give items, from the posterior given some ratings."""
    random = np.random.default_rng(seed)
    items = sorted({rating.item for rating in ratings} | {item for _, item in pairs})
    users = sorted({rating.user for rating in ratings} | {user for user, _ in pairs})
    width = parameters.width
    item_means = np.zeros((len(items), width))
    item_means[:, 1:] = item_prior_means(np.array(items), parameters) / ONE
    by_user, by_item = _sides(ratings, users, items)
    user_prior = _diagonal(width, parameters.user_bias_variance_ppm, parameters.user_factor_variance_ppm)
    item_prior = _diagonal(width, parameters.item_bias_variance_ppm, parameters.item_factor_variance_ppm)
    shape = decimal(parameters.precision_shape_ppm)
    rate = shape / decimal(parameters.initial_precision_ppm)
    x, y = np.zeros((len(users), width)), item_means.copy()
    tau = np.full(len(users), decimal(parameters.initial_precision_ppm))
    places = [(users.index(user), items.index(item)) for user, item in pairs]
    kept = np.empty((draws, len(pairs)))
    for step in range(burn_in + draws):
        for u, (others, values) in enumerate(by_user):
            design, target = _seen(y[others]), values - y[others, 0]
            x[u] = _drawn(random, design, target, np.full(values.size, tau[u]), user_prior, np.zeros(width))
            error = target - design @ x[u]
            tau[u] = random.gamma(shape + values.size / 2, 1.0 / (rate + error @ error / 2))
        for i, (others, values) in enumerate(by_item):
            design, target = _seen(x[others]), values - x[others, 0]
            y[i] = _drawn(random, design, target, tau[others], item_prior, item_means[i])
        if step >= burn_in:
            for column, (u, i) in enumerate(places):
                mean = x[u, 0] + y[i, 0] + x[u, 1:] @ y[i, 1:]
                kept[step - burn_in, column] = mean + random.normal() / np.sqrt(tau[u])
    return Sampled(kept)


_Side = list[tuple[np.ndarray, F64]]


def _sides(ratings: Sequence[Rating], users: list[int], items: list[int]) -> tuple[_Side, _Side]:
    """Each user's items and ratings, and each item's raters and ratings, by place."""
    by_user: list[list[tuple[int, float]]] = [[] for _ in users]
    by_item: list[list[tuple[int, float]]] = [[] for _ in items]
    for rating in ratings:
        u, i = users.index(rating.user), items.index(rating.item)
        by_user[u].append((i, rating.value))
        by_item[i].append((u, rating.value))

    def columns(side: list[list[tuple[int, float]]]) -> _Side:
        return [
            (np.array([place for place, _ in visits], np.int64), np.array([value for _, value in visits], np.float64))
            for visits in side
        ]

    return columns(by_user), columns(by_item)


def _diagonal(width: int, bias_ppm: int, factor_ppm: int) -> F64:
    """Inverse prior covariance. Shape (D, D)."""
    variances = np.full(width, decimal(factor_ppm))
    variances[0] = decimal(bias_ppm)
    return np.diag(1.0 / variances)


def _seen(vectors: F64) -> F64:
    """[1, q] of vectors [c, q]. Shapes (n, D)."""
    design = vectors.copy()
    design[:, 0] = 1.0
    return design


def _drawn(random: np.random.Generator, design: F64, target: F64, weights: F64, prior: F64, mean: F64) -> F64:
    """Draw a vector given linear observations of it. Shapes: design (n, D), target and weights (n,)."""
    precision = prior + design.T @ (design * weights[:, None])
    root = np.linalg.cholesky(precision)
    centre = np.linalg.solve(precision, prior @ mean + design.T @ (weights * target))
    drawn = centre + np.linalg.solve(root.T, random.normal(size=mean.size))
    return np.asarray(drawn, np.float64)
