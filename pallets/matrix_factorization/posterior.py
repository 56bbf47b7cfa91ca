"""Closed-form updates of users and items: the only place where the model divides.

Every function works on a batch, and gives each entity the same bits whatever the batch and the machine: it
only adds, subtracts, multiplies and divides float64 elementwise in a fixed order. The last axis is the batch.
What comes in and goes out are integers, Q20 unless said otherwise: an integer becomes a float rounded once
(exact below 2^53), a float an integer rounded half to even. D = K + 1, P = D (D + 1) / 2, packed as
`fixed_point.triangle`.

Layouts (int64, one line an entity):
    item row          P + D + 1   E[c], E[zz'] (its first line is E[z]), E[c q] (K), E[c^2]; z = [1, q]
    user statistics   P + D + 1   A = sum E[zz'], b = sum r E[z] - E[c z] (Q27), s = sum E[(r - c)^2] (Q27)
    contribution      P + D       G = tau E[ww'] (its first line is tau E[w]), h = tau E[b w]; w = [1, p]
    item statistics   P + D       C = sum G, B = sum r g - h (Q27), with g the first line of G
Bounds: entries are clipped to 32 bits and |r| <= 2^7 units, so a visit adds less than 2^40. See `statistics`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pallets.matrix_factorization.fixed_point import (
    F64,
    I32,
    I64,
    ONE,
    UNITS,
    from_fixed,
    hash_uniform,
    square_index,
    to_fixed,
    triangle,
)
from pallets.matrix_factorization.parameters import ModelParameters, decimal

PIVOT_FLOOR = 2.0**-10
_BATCH = 1024
"""Entities solved together, so that a core's second cache holds them. Any value gives the same bits."""
_Q20 = 1.0 / ONE
_Q27 = 1.0 / (ONE * UNITS)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the chain learns about users and items as such. Q20.

    Shapes: user_mean (D,), user_covariance (P,), item_covariance (P,). Covariances are positive definite.
    """

    user_mean: I32
    user_covariance: I32
    item_bias: int
    item_covariance: I32
    precision_rate: int
    """b0 of the Gamma prior of a user's precision; its shape a0 is a constant."""

    @classmethod
    def initial(cls, parameters: ModelParameters) -> Hyperparameters:
        """Hyperparameters of a chain without ratings: the constants."""
        rate = decimal(parameters.precision_shape_ppm) / decimal(parameters.initial_precision_ppm)
        return cls(
            user_mean=np.zeros(parameters.width, np.int32),
            user_covariance=_diagonal(
                parameters, parameters.user_bias_variance_ppm, parameters.user_factor_variance_ppm
            ),
            item_bias=0,
            item_covariance=_diagonal(
                parameters, parameters.item_bias_variance_ppm, parameters.item_factor_variance_ppm
            ),
            precision_rate=int(to_fixed(np.array([rate]))[0]),
        )


def _diagonal(parameters: ModelParameters, bias_ppm: int, factor_ppm: int) -> I32:
    rows, columns = triangle(parameters.width)
    variances = np.full(parameters.width, decimal(factor_ppm))
    variances[0] = decimal(bias_ppm)
    return to_fixed(np.where(rows == columns, variances[rows], 0.0))


@dataclass(frozen=True, slots=True)
class Prior:
    """Hyperparameters as the solves use them: inverse covariances, and constants as floats.

    Shapes: user_precision (P, 1), user_shift (D, 1) = Px mu_x, item_precision (P, 1).
    """

    parameters: ModelParameters
    hyperparameters: Hyperparameters
    user_precision: F64
    user_shift: F64
    item_precision: F64

    @classmethod
    def of(cls, hyperparameters: Hyperparameters, parameters: ModelParameters) -> Prior:
        """Invert the two covariances once."""
        width = parameters.width
        user = from_fixed(hyperparameters.user_covariance)[:, None]
        item = from_fixed(hyperparameters.item_covariance)[:, None]
        sweep_inverse(user, width)
        sweep_inverse(item, width)
        shift = _times(user, from_fixed(hyperparameters.user_mean)[:, None])
        return cls(parameters, hyperparameters, user, shift, item)


@dataclass(frozen=True, slots=True)
class UserPosteriors:
    """Posteriors of U users. Shapes: mean (U, D) = [b, p], covariance (U, P), precision tau (U,). Q20."""

    mean: I32
    covariance: I32
    precision: I32

    @classmethod
    def of_prior(cls, prior: Prior, count: int) -> UserPosteriors:
        """Posteriors of that many users of whom nothing is known."""
        learned = prior.hyperparameters
        rate = np.full(count, learned.precision_rate * _Q20)
        return cls(
            mean=np.tile(learned.user_mean, (count, 1)),
            covariance=np.tile(learned.user_covariance, (count, 1)),
            precision=_precision(rate, np.zeros(count, np.int64), prior.parameters),
        )


@dataclass(frozen=True, slots=True)
class ItemPosteriors:
    """Posteriors of I items. Shapes: mean (I, D) = [c, q], covariance (I, P). Q20."""

    mean: I32
    covariance: I32


@np.errstate(over="ignore", invalid="ignore")
def sweep_inverse(matrices: F64, width: int) -> None:
    """Invert symmetric positive definite matrices in place by the sweep operator, one pivot after the other.

    Shape: packed (P, batch) of D x D matrices. A pivot below the floor is raised to it, which amounts to
    adding to that entry of the diagonal: short of overflow, the result is the inverse of a positive definite
    matrix.
    """
    rows, columns = triangle(width)
    for pivot, line in enumerate(square_index(width)):
        reciprocal = 1.0 / np.fmax(matrices[line[pivot]], PIVOT_FLOOR)
        column = matrices[line]
        scaled = column * reciprocal
        matrices -= column[rows] * scaled[columns]
        matrices[line] = scaled
        matrices[line[pivot]] = -reciprocal
    np.negative(matrices, out=matrices)


def sum_lines(lines: F64) -> F64:
    """Sum over the first axis, folding its end onto its start in place: few calls, and one fixed order."""
    count = lines.shape[0]
    while count > 1:
        half = count // 2
        lines[:half] += lines[count - half : count]
        count -= half
    first: F64 = lines[0]
    return first


def _times(matrices: F64, vectors: F64) -> F64:
    """Product of packed (P, batch) and (D, batch)."""
    return sum_lines(matrices[square_index(vectors.shape[0])] * vectors[:, None])


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, min(start + _BATCH, count))


def as_columns(values: I32 | I64, scale: float = _Q20) -> F64:
    """Integers (batch, n) as floats (n, batch), times a power of two."""
    columns = values.T.astype(np.float64, order="C")
    columns *= scale
    return columns


def _store_covariance(covariance: F64, width: int, into: I32) -> None:
    """Round packed (P, batch) into (batch, P); a variance is at least 2^-20."""
    rounded = to_fixed(covariance)
    diagonal = square_index(width).diagonal()
    rounded[diagonal] = np.maximum(rounded[diagonal], 1)
    into[...] = rounded.T


@np.errstate(over="ignore", invalid="ignore")
def solve_users(statistics: I64, counts: I64, precision: I32, prior: Prior) -> UserPosteriors:
    """Posterior of each user given its statistics, then its precision tau given that posterior.

    Shapes: statistics (U, P + D + 1), counts (U,) of ratings, precision (U,) where tau starts. No rating: the
    prior. S = (tau A + Px)^-1, m = S (tau b + Px mu_x), tau = (a0 + n / 2) / (b0 + se / 2) within its bounds,
    se = s - 2 m.b + tr(A (S + m m')). Source: docs/inference.md, eq. 4 and 5.
    """
    constants = prior.parameters
    width, packed = constants.width, constants.packed
    users = statistics.shape[0]
    mean = np.empty((users, width), np.int32)
    covariance = np.empty((users, packed), np.int32)
    updated = np.empty(users, np.int32)
    for batch in _batches(users):
        part = statistics[batch]
        moments = as_columns(part[:, :packed])
        linear = as_columns(part[:, packed : packed + width], _Q27)
        squares = part[:, packed + width] * _Q27
        tau = from_fixed(precision[batch])
        inverse = moments * tau + prior.user_precision
        sweep_inverse(inverse, width)
        solution = _times(inverse, linear * tau + prior.user_shift)
        mean[batch] = to_fixed(solution).T
        _store_covariance(inverse, width, covariance[batch])
        error = squares + _expected_error(moments, linear, inverse, solution)
        rate = prior.hyperparameters.precision_rate * _Q20 + 0.5 * np.fmax(error, 0.0)
        updated[batch] = _precision(rate, counts[batch], constants)
    return UserPosteriors(mean, covariance, updated)


def _expected_error(moments: F64, linear: F64, covariance: F64, mean: F64) -> F64:
    """The part of a user's expected squared error that depends on its posterior: tr(A E[xx']) - 2 m.b."""
    rows, columns = triangle(mean.shape[0])
    second = moments * (covariance + mean[rows] * mean[columns])
    second[rows != columns] *= 2.0
    return sum_lines(second) - 2.0 * sum_lines(mean * linear)


def _precision(rate: F64, counts: I64, constants: ModelParameters) -> I32:
    shape = decimal(constants.precision_shape_ppm) + 0.5 * counts.astype(np.float64)
    tau = np.fmax(shape / rate, decimal(constants.minimum_precision_ppm))
    return to_fixed(np.fmin(tau, decimal(constants.maximum_precision_ppm)))


def initial_precision(count: int, constants: ModelParameters) -> I32:
    """Where the tau of users starts who were not in the last epoch's set."""
    return to_fixed(np.full(count, decimal(constants.initial_precision_ppm)))


def item_prior_means(items: I64, parameters: ModelParameters) -> I32:
    """Prior feature means h_i of items by their ids (docs/inference.md, eq. 3). Shapes: (I,) -> (I, K), Q20."""
    return to_fixed(decimal(parameters.amplitude_ppm) * hash_uniform(items, parameters.dimension))


@np.errstate(over="ignore", invalid="ignore")
def solve_items(statistics: I64, prior_means: I32, prior: Prior) -> ItemPosteriors:
    """Posterior of each item given the sum of its raters' contributions; with statistics of zero, its prior.

    Shapes: statistics (I, P + D), prior_means (I, K) = h. S = (C + Py)^-1, m = S (B + Py [mu_c, h]).
    Source: docs/inference.md, eq. 6.
    """
    width, packed = prior.parameters.width, prior.parameters.packed
    items = statistics.shape[0]
    mean = np.empty((items, width), np.int32)
    covariance = np.empty((items, packed), np.int32)
    for batch in _batches(items):
        part = statistics[batch]
        inverse = as_columns(part[:, :packed]) + prior.item_precision
        shift = _times(prior.item_precision, _item_starts(prior_means[batch], prior))
        sweep_inverse(inverse, width)
        solution = _times(inverse, as_columns(part[:, packed:], _Q27) + shift)
        mean[batch] = to_fixed(solution).T
        _store_covariance(inverse, width, covariance[batch])
    return ItemPosteriors(mean, covariance)


@np.errstate(over="ignore", invalid="ignore")
def solve_unrated_items(prior_means: I32, prior: Prior) -> ItemPosteriors:
    """Posterior of items without raters: to the last bit `solve_items` with statistics of zero, which differ in h only.

    Shape: prior_means (I, K) = h. One matrix is inverted for all.
    """
    width, packed = prior.parameters.width, prior.parameters.packed
    count = prior_means.shape[0]
    mean = np.empty((count, width), np.int32)
    covariance = np.empty((1, packed), np.int32)
    inverse = prior.item_precision.copy()
    sweep_inverse(inverse, width)
    _store_covariance(inverse, width, covariance)
    for batch in _batches(count):
        start = _item_starts(prior_means[batch], prior)
        mean[batch] = to_fixed(_times(inverse, _times(prior.item_precision, start))).T
    return ItemPosteriors(mean, np.repeat(covariance, count, axis=0))


def _item_starts(prior_means: I32, prior: Prior) -> F64:
    """Prior means [mu_c, h] of items as columns. Shapes: (I, K) -> (D, I)."""
    start = np.empty((prior_means.shape[1] + 1, prior_means.shape[0]))
    start[0] = prior.hyperparameters.item_bias * _Q20
    start[1:] = as_columns(prior_means)
    return start


def second_moments(mean: I32, covariance: I32) -> F64:
    """E[yy'] of posteriors (n, D), (n, P) as packed floats (P, n)."""
    rows, columns = triangle(mean.shape[1])
    centre = as_columns(mean)
    return as_columns(covariance) + centre[rows] * centre[columns]


def moment_sums(mean: I32, covariance: I32) -> tuple[I64, I64]:
    """Sums over posteriors: of means (D,), and of rounded E[yy'] (P,). Exact up to 2^31 entities."""
    first = np.add.reduce(mean, axis=0, dtype=np.int64)
    second = np.zeros(covariance.shape[1], np.int64)
    for batch in _batches(mean.shape[0]):
        moments = to_fixed(second_moments(mean[batch], covariance[batch]))
        second += np.add.reduce(moments, axis=1, dtype=np.int64)
    return first, second


def item_rows(items: ItemPosteriors) -> I64:
    """What users see of items. Shape: (I, P + D + 1), the item row of the module's layout."""
    count, width = items.mean.shape
    packed = items.covariance.shape[1]
    rows = np.empty((count, packed + width + 1), np.int64)
    for batch in _batches(count):
        moments = to_fixed(second_moments(items.mean[batch], items.covariance[batch])).T
        part = rows[batch]
        part[:, 0] = items.mean[batch, 0]
        part[:, 1] = ONE
        part[:, 2 : width + 1] = items.mean[batch, 1:]
        part[:, width + 1 : packed + 1] = moments[:, width:]
        part[:, packed + 1 : packed + width] = moments[:, 1:width]
        part[:, packed + width] = moments[:, 0]
    return rows


def contributions(users: UserPosteriors, counts: I64, parameters: ModelParameters) -> I64:
    """What items see of their raters. Shape: (U, P + D), the contribution of the module's layout.

    counts (U,) are the users' ratings: with trust_kappa, a user weighs n / (n + kappa).
    """
    total, width = users.mean.shape
    packed = users.covariance.shape[1]
    kappa = decimal(parameters.trust_kappa_ppm)
    rows = np.empty((total, packed + width), np.int64)
    for batch in _batches(total):
        weight = from_fixed(users.precision[batch])
        if kappa:
            number = counts[batch].astype(np.float64)
            weight = weight * (number / (number + kappa))
        mean = as_columns(users.mean[batch])
        moments = second_moments(users.mean[batch], users.covariance[batch])
        part = rows[batch]
        part[:, 0] = to_fixed(weight)
        part[:, 1:width] = to_fixed(mean[1:] * weight).T
        part[:, width:packed] = to_fixed(moments[width:] * weight).T
        part[:, packed] = to_fixed(mean[0] * weight)
        part[:, packed + 1 :] = to_fixed(moments[1:width] * weight).T
    return rows
