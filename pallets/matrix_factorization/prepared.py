"""Predictions for many questions about one model, from rows that are made once: the bits are those of `predict`.

A row holds what `predict` would compute of a user or an item each time: bias, features (K), the packed products
ww' or zz' (P) of [1, features], the packed covariance (P), and of a user 1 / tau, of an item 0. Source:
docs/inference.md, eq. 7.
"""

import math
from operator import add

import numpy as np

from pallets.matrix_factorization.fixed_point import F64, ONE, RatingScale, from_fixed, square_index, triangle
from pallets.matrix_factorization.posterior import ItemPosteriors, UserPosteriors
from pallets.matrix_factorization.predict import INTERVAL_90, MOST_VARIANCE, Predictions


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
        products, terms = self._terms(users, items)
        mean = (users[..., 0] + items[..., 0]) + _fold(products)
        variance = np.minimum(np.maximum(_fold(terms), 0.0) + users[..., -1], MOST_VARIANCE)
        return Predictions(np.rint(mean * ONE).astype(np.int64), np.rint(variance * ONE).astype(np.int64))

    def predict_one(self, user: F64, item: F64) -> tuple[int, int]:
        """Mean and variance of one rating, Q20. Shapes: one row each.

        The sums are made of Python's numbers, which for so few terms takes half the time of arrays.
        """
        products, terms = self._terms(user, item)
        mean = (float(user[0]) + float(item[0])) + _fold_list(products.tolist())
        variance = min(max(_fold_list(terms.tolist()), 0.0) + float(user[-1]), MOST_VARIANCE)
        return round(mean * ONE), round(variance * ONE)

    def _terms(self, users: F64, items: F64) -> tuple[F64, F64]:
        """Return what the mean and the variance are sums of, along the last axis."""
        width, products, covariance = self._width, self._products, self._covariance
        user_covariance, item_covariance = users[..., covariance], items[..., covariance]
        terms = user_covariance * items[..., products]
        terms += item_covariance * users[..., products]
        terms[..., width:] += user_covariance[..., width:] * item_covariance[..., width:]
        terms *= self._times
        return users[..., 1:width] * items[..., 1:width], terms


def _fold(lines: F64) -> F64:
    """Sum over the last axis in the order of `posterior.sum_lines`."""
    count = lines.shape[-1]
    while count > 1:
        half = count // 2
        lines[..., :half] += lines[..., count - half : count]
        count -= half
    first: F64 = lines[..., 0]
    return first


def _fold_list(line: list[float]) -> float:
    """Sum one line in the same order."""
    while (count := len(line)) > 1:
        half = count // 2
        line = [*map(add, line, line[count - half :]), *line[half : count - half]]
    return line[0]


def on_scale_one(mean: int, variance: int, scale: RatingScale) -> tuple[float, float, float, float]:
    """Mean, deviation and both ends of the interval of one prediction, as `predict.on_scale` gives them."""
    half = (scale.maximum - scale.minimum) / 2
    middle = (scale.maximum + scale.minimum) / 2
    centre = middle + half * (mean / ONE)
    deviation = half * math.sqrt(variance / ONE)
    reach = INTERVAL_90 * deviation
    least, most = float(scale.minimum), float(scale.maximum)
    clipped = [min(max(value, least), most) for value in (centre, centre - reach, centre + reach)]
    return clipped[0], deviation, clipped[1], clipped[2]
