"""What the model says of ratings that were not given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pallets.matrix_factorization.fixed_point import (
    F64,
    I64,
    ONE,
    RatingScale,
    from_fixed,
    square_index,
    triangle,
)
from pallets.matrix_factorization.posterior import ItemPosteriors, UserPosteriors, as_columns, sum_lines

INTERVAL_90 = 1.6448536
"""Half the width of the central interval that holds 90% of a normal distribution, in standard deviations."""

MOST_VARIANCE = 2.0**41
"""What a variance on [-1, 1] is clipped to, so that it has 62 bits in Q20. None of a model comes near it."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Distributions of n ratings on [-1, 1], noise included. Shapes: (n,). Q20, not clipped."""

    mean: I64
    variance: I64


@dataclass(frozen=True, slots=True)
class ScaledPredictions:
    """The same on the chain's rating scale, mean and interval clipped to it. Shapes (n,)."""

    mean: F64
    deviation: F64
    low: F64
    high: F64


def predict(users: UserPosteriors, items: ItemPosteriors) -> Predictions:
    """Mean and variance of each user's rating of each item, in pairs; a single user or item goes with all.

    With x = [b, p], y = [c, q], z = [1, q], w = [1, p]: mean = E[c + x.z], variance = E[z]' Sx E[z] + E[w]'
    Sy E[w] + tr(Sx Sy) over the features + 1 / tau. Rounds half to even. Bounds: |mean| < 2^48, 1 / tau <=
    variance <= 2^61. Source: docs/inference.md, eq. 7.
    """
    width = users.mean.shape[1]
    rows, columns = triangle(width)
    user_mean, item_mean = as_columns(users.mean), as_columns(items.mean)
    products = user_mean[1:] * item_mean[1:]
    mean = (user_mean[0] + item_mean[0]) + sum_lines(products)
    user_mean[0] = item_mean[0] = 1.0
    user_covariance, item_covariance = as_columns(users.covariance), as_columns(items.covariance)
    terms = user_covariance * (item_mean[rows] * item_mean[columns])
    terms = terms + item_covariance * (user_mean[rows] * user_mean[columns])
    terms[width:] += user_covariance[width:] * item_covariance[width:]
    # Each entry off the diagonal stands for two of the full matrix.
    terms += terms
    diagonal = square_index(width).diagonal()
    terms[diagonal] *= 0.5
    # Rounded covariances may be indefinite in their last bit.
    variance = np.maximum(sum_lines(terms), 0.0) + 1.0 / as_columns(users.precision)
    variance = np.minimum(variance, MOST_VARIANCE)
    return Predictions(np.rint(mean * ONE).astype(np.int64), np.rint(variance * ONE).astype(np.int64))


def on_scale(predictions: Predictions, scale: RatingScale) -> ScaledPredictions:
    """Predictions in the ratings that users know, with the interval that holds 90%."""
    half = (scale.maximum - scale.minimum) / 2
    middle = (scale.maximum + scale.minimum) / 2
    mean = middle + half * from_fixed(predictions.mean)
    deviation = half * np.sqrt(from_fixed(predictions.variance))
    reach = INTERVAL_90 * deviation
    return ScaledPredictions(
        mean=np.clip(mean, scale.minimum, scale.maximum),
        deviation=deviation,
        low=np.clip(mean - reach, scale.minimum, scale.maximum),
        high=np.clip(mean + reach, scale.minimum, scale.maximum),
    )
