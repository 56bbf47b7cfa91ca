"""The usual online version: each rating updates the two Gaussians it concerns, and is forgotten.

The rating's mean and precision are as in docs/inference.md, eq. 1; each update is the exact one of eq. 4 and 6 for a
single rating. Whoever comes first decides in which direction the features go: this is what the chain's model avoids.
"""

import numpy as np

from benchmarks.recommenders.data import I64
from benchmarks.recommenders.scores import F64
from pallets.matrix_factorization.fixed_point import ONE
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import item_prior_means

_PRECISION = 4.0


class Sequential:
    """Posteriors of users [b, p] and items [c, q] after some ratings. Shapes: means (n, D), covariances (n, D, D)."""

    def __init__(self, users: int, items: int) -> None:
        """Start with the priors, and the same symmetry breaking as the chain."""
        constants = ModelParameters()
        width = constants.width
        self.users = np.zeros((users, width))
        self.items = np.zeros((items, width))
        self.items[:, 1:] = item_prior_means(np.arange(items), constants) / ONE
        self.user_spread = np.tile(np.diag([0.05, *[0.5] * (width - 1)]), (users, 1, 1))
        self.item_spread = np.tile(np.diag([0.1, *[0.05] * (width - 1)]), (items, 1, 1))

    def update(self, user: int, item: int, rating: float) -> None:
        """Learn one rating on [-1, 1]: the user against the item as it is, then the item against the user."""
        x, y = self.users[user], self.items[item]
        _condition(x, self.user_spread[user], np.concatenate(([1.0], y[1:])), rating - y[0])
        _condition(y, self.item_spread[item], np.concatenate(([1.0], x[1:])), rating - x[0])

    def predicted(self, pairs: I64) -> F64:
        """Means in stars, not clipped. Shapes (n, 2+) -> (n,)."""
        x, y = self.users[pairs[:, 0]], self.items[pairs[:, 1]]
        means: F64 = 3.0 + 2.0 * (x[:, 0] + y[:, 0] + np.sum(x[:, 1:] * y[:, 1:], axis=1))
        return means


def _condition(mean: F64, spread: F64, weights: F64, target: float) -> None:
    """Condition a Gaussian on target = weights . vector + noise, in place."""
    gain = spread @ weights
    scale = 1.0 / (1.0 / _PRECISION + weights @ gain)
    mean += gain * (scale * (target - weights @ mean))
    spread -= np.outer(gain, gain) * scale


def learn(ratings: I64, items: int) -> Sequential:
    """Learn ratings in their order."""
    model = Sequential(int(ratings[:, 0].max()) + 1, items)
    for user, item, stars in ratings[:, :3].tolist():
        model.update(user, item, (stars - 3.0) / 2.0)
    return model
