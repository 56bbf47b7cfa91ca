"""Which items an account would like best."""

from __future__ import annotations

import numpy as np

from pallets.matrix_factorization.fixed_point import I64
from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.view import ReadModel
from runtime.primitives import AccountId


def best_items(model: ReadModel, account: AccountId, count: int) -> I64:
    """Return the items that an account has not rated with the best expected ratings, ties by ascending id.

    Shape: (count,) or less.
    """
    eligible = np.ones(model.items.size, np.bool_)
    if (entry := model.users.get(account)) is not None:
        eligible[entry.ratings.entries["item"]] = False
    items = np.flatnonzero(eligible)
    predictions = predict(model.posteriors([account]), model.items.posteriors(items))
    best: I64 = items[np.lexsort((items, -predictions.mean))[:count]]
    return best
