"""Which items an account would like best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.fixed_point import F64, I64
from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.view import ReadModel
from runtime.primitives import AccountId


def unrated(model: ReadModel, account: AccountId) -> npt.NDArray[np.bool_]:
    """Tell of each item whether an account has not rated it. Shape: (I,)."""
    open_ones = np.ones(model.items.size, np.bool_)
    if (entry := model.users.get(account)) is not None:
        open_ones[entry.ratings.entries["item"]] = False
    return open_ones


def best_of(items: I64, scores: F64 | I64, count: int) -> I64:
    """Return the items with the highest scores, best first, ties by ascending id. Shapes: (n,), (n,); (<= count,)."""
    best: I64 = items[np.lexsort((items, -scores))[:count]]
    return best


def best_items(model: ReadModel, account: AccountId, count: int) -> I64:
    """Return the items that an account has not rated with the best expected ratings. Shape: (count,) or less."""
    items = np.flatnonzero(unrated(model, account))
    predictions = predict(model.posteriors([account]), model.items.posteriors(items))
    return best_of(items, predictions.mean, count)
