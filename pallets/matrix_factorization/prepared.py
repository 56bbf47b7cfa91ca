"""Predictions for many questions about one model, from rows that are made once: the bits are those of `predict`.

A row holds what `predict` would compute of a user or an item each time: bias, features (K), the packed products
ww' or zz' (P) of [1, features], the packed covariance (P), and of a user 1 / tau, of an item 0. Source:
docs/inference.md, eq. 7.
"""

import math

import numpy as np

from pallets.matrix_factorization.fixed_point import F64, ONE, RatingScale, from_fixed, square_index, triangle
from pallets.matrix_factorization.posterior import ItemPosteriors, UserPosteriors
from pallets.matrix_factorization.predict import INTERVAL_90, Predictions


def user_rows(users: UserPosteriors) -> F64:
    """Rows of users. Shape (U, 1 + K + 2 P + 1)."""
    return _rows(from_fixed(users.mean), from_fixed(users.covariance), 1.0 / from_fixed(users.precision))


def item_rows(items: ItemPosteriors) -> F64:
    """Rows of items. Shape (I, 1 + K + 2 P + 1)."""
    return _rows(from_fixed(items.mean), from_fixed(items.covariance), np.zeros(items.mean.shape[0]))


def _rows(mean: F64, covariance: F64, noise: F64) -> F64:
    first, second = triangle(mean.shape[1])
    extended = mean.copy()
    extended[:, 0] = 1.0
    return np.concatenate((mean, extended[:, first] * extended[:, second], covariance, noise[:, None]), axis=1)


class RowPredictor:
    """Predicts from rows of one width D = 1 + K."""

    def __init__(self, width: int) -> None:
        """Find where the parts of a row lie."""
        packed = triangle(width)[0].size
        self._width = width
        self.row_width = width + 2 * packed + 1
        self._products = slice(width, width + packed)
        self._covariance = slice(width + packed, width + 2 * packed)
        # Each entry off the diagonal stands for two of the full matrix; times one or two is exact.
        self._times = np.full(packed, 2.0)
        self._times[square_index(width).diagonal()] = 1.0

    def predict(self, users: F64, items: F64) -> Predictions:
        """Mean and variance of ratings, in pairs of rows; a single user or item goes with all. Shapes: (n, ...)."""
        mean, variance = self._moments(users, items)
        return Predictions(np.rint(mean * ONE).astype(np.int64), np.rint(variance * ONE).astype(np.int64))

    def predict_one(self, user: F64, item: F64) -> tuple[int, int]:
        """Mean and variance of one rating, Q20. Shapes: one row each."""
        mean, variance = self._moments(user, item)
        return round(float(mean) * ONE), round(float(variance) * ONE)

    def _moments(self, users: F64, items: F64) -> tuple[F64, F64]:
        width, products, covariance = self._width, self._products, self._covariance
        mean = (users[..., 0] + items[..., 0]) + _fold(users[..., 1:width] * items[..., 1:width])
        user_covariance, item_covariance = users[..., covariance], items[..., covariance]
        terms = user_covariance * items[..., products]
        terms = terms + item_covariance * users[..., products]
        terms[..., width:] += user_covariance[..., width:] * item_covariance[..., width:]
        terms *= self._times
        return mean, np.maximum(_fold(terms), 0.0) + users[..., -1]


def _fold(lines: F64) -> F64:
    """Sum over the last axis in the order of `posterior.sum_lines`."""
    count = lines.shape[-1]
    while count > 1:
        half = count // 2
        lines[..., :half] += lines[..., count - half : count]
        count -= half
    first: F64 = lines[..., 0]
    return first


def on_scale_one(mean: int, variance: int, scale: RatingScale) -> tuple[float, float, float, float]:
    """Mean, deviation and both ends of the interval of one prediction, as `predict.on_scale` gives them."""
    half = (scale.maximum - scale.minimum) / 2
    middle = (scale.maximum + scale.minimum) / 2
    centre = middle + half * (mean / ONE)
    deviation = half * math.sqrt(variance / ONE)
    reach = INTERVAL_90 * deviation

    def clipped(value: float) -> float:
        return min(max(value, float(scale.minimum)), float(scale.maximum))

    return clipped(centre), deviation, clipped(centre - reach), clipped(centre + reach)
