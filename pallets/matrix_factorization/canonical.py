"""The model of a set of ratings: a pure function, bit for bit, whatever the order or the numbering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pallets.matrix_factorization.fixed_point import F64, I32, I64, from_fixed, to_fixed, triangle
from pallets.matrix_factorization.parameters import ModelParameters, decimal
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
)
from pallets.matrix_factorization.statistics import RatingSet as RatingSet
from pallets.matrix_factorization.statistics import (
    arrange,
    item_statistics_of,
    pointers_of,
    user_statistics_of,
)


@dataclass(frozen=True, slots=True)
class Canonical:
    """The model of a set of ratings.

    users: the posteriors of the set's U users, as the last sweep solved them. item_ids (I,): the items with a
    rating, ascending, and raters (I,) how many each. totals (I, P + D): the sum T of these users' contributions;
    items and rows: solved from it.
    """

    prior: Prior
    users: UserPosteriors
    item_ids: I64
    raters: I64
    items: ItemPosteriors
    rows: I64
    totals: I64


def canonical(ratings: RatingSet, parameters: ModelParameters) -> Canonical:
    """Learn from a set of ratings and nothing else: some sweeps from the start that item ids give.

    A sweep solves all users against the items, renews T, then the hyperparameters, then solves the items.
    Source: docs/inference.md, eq. 4 to 6 and 8.
    """
    width = parameters.width
    counts = np.diff(ratings.pointers)
    item_ids, index = np.unique(ratings.items, return_inverse=True)
    rater_counts = np.bincount(index, minlength=item_ids.size)
    by_item = np.argsort(index)
    raters = np.repeat(np.arange(counts.size), counts)[by_item]
    user_lists = arrange(index, ratings.ratings, ratings.pointers)
    item_lists = arrange(raters, ratings.ratings[by_item], pointers_of(rater_counts))
    prior_means = item_prior_means(item_ids, parameters)

    prior = Prior.of(Hyperparameters.initial(parameters), parameters)
    users = UserPosteriors.of_prior(prior, counts.size)
    precision = initial_precision(counts.size, parameters)
    totals = np.zeros((item_ids.size, parameters.packed + width), np.int64)
    items = solve_items(totals, prior_means, prior)
    for _ in range(parameters.sweeps):
        statistics = user_statistics_of(item_rows(items), user_lists, width)
        users = solve_users(statistics, counts, precision, prior)
        precision = users.precision
        given = contributions(users, counts, parameters)
        totals = item_statistics_of(given, item_lists, width)
        learned = learn(users, counts, items, rater_counts, prior_means, parameters)
        prior = Prior.of(learned, parameters)
        items = solve_items(totals, prior_means, prior)
    return Canonical(prior, users, item_ids, rater_counts, items, item_rows(items), totals)


def learn(
    users: UserPosteriors,
    counts: I64,
    items: ItemPosteriors,
    rater_counts: I64,
    prior_means: I32,
    parameters: ModelParameters,
) -> Hyperparameters:
    """Hyperparameters that fit the posteriors, and n0 imagined ones that are as the constants say.

    Only users and items with enough ratings count. An item's features are taken about its own prior mean.
    Source: docs/inference.md, eq. 8.
    """
    initial = Hyperparameters.initial(parameters)
    pseudo = decimal(parameters.pseudo_observations_ppm)
    rows, columns = triangle(parameters.width)

    known = counts >= parameters.learning_minimum
    number = pseudo + float(np.count_nonzero(known))
    mean, second = _pool(users.mean[known], users.covariance[known], initial.user_covariance, pseudo, number)
    taus = np.add.reduce(users.precision[known], dtype=np.int64, keepdims=True)
    tau = (pseudo * decimal(parameters.initial_precision_ppm) + from_fixed(taus)) / number

    known = rater_counts >= parameters.learning_minimum
    deviation = items.mean[known]
    deviation[:, 1:] -= prior_means[known]
    number = pseudo + float(np.count_nonzero(known))
    item_mean, item_second = _pool(deviation, items.covariance[known], initial.item_covariance, pseudo, number)
    # Only the bias has a learned mean; the features' second moments stay about their hash.
    item_second[: parameters.width] -= item_mean[0] * item_mean
    return Hyperparameters(
        user_mean=to_fixed(mean),
        user_covariance=to_fixed(second - mean[rows] * mean[columns]),
        item_bias=int(to_fixed(item_mean)[0]),
        item_covariance=to_fixed(item_second),
        precision_rate=int(to_fixed(decimal(parameters.precision_shape_ppm) / tau)[0]),
    )


def _pool(mean: I32, covariance: I32, initial: I32, pseudo: float, number: float) -> tuple[F64, F64]:
    """First and second moments of posteriors and `pseudo` others of mean zero and the initial covariance."""
    first, second = moment_sums(mean, covariance)
    return from_fixed(first) / number, (pseudo * from_fixed(initial) + from_fixed(second)) / number
