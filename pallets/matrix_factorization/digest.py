"""The digest of a model: equal models have equal digests, on any machine."""

import hashlib
from collections.abc import Sequence

import numpy as np

from pallets.matrix_factorization.fixed_point import I32, I64
from pallets.matrix_factorization.posterior import Prior
from runtime.primitives import AccountId, Hash


def model_digest(
    accounts: Sequence[AccountId], counts: I64, rows: I32, item_ids: I64, totals: I64, prior: Prior
) -> Hash:
    """SHA-256 over users, items and hyperparameters; all integers little endian.

    Users with ratings by ascending account: account (32 bytes), number of ratings (u32), mean (D i32), covariance
    (P i32), precision (i32). Items with raters by ascending id: id (u32), statistics T (P + D i64). Then user mean (D
    i32), user covariance (P i32), item bias (i32), item covariance (P i32), precision rate (i64).
    Shapes: counts (U,), rows (U, D + P + 1), item_ids (I,), totals (I, P + D).
    """
    users = np.empty(len(accounts), [("account", "V32"), ("count", "<u4"), ("row", "<i4", (rows.shape[1],))])
    users["account"] = np.frombuffer(b"".join(accounts), "V32")
    users["count"] = counts
    users["row"] = rows
    items = np.empty(item_ids.size, [("id", "<u4"), ("totals", "<i8", (totals.shape[1],))])
    items["id"] = item_ids
    items["totals"] = totals
    learned = prior.hyperparameters
    hasher = hashlib.sha256()
    hasher.update(users.tobytes())
    hasher.update(items.tobytes())
    hasher.update(learned.user_mean.astype("<i4").tobytes())
    hasher.update(learned.user_covariance.astype("<i4").tobytes())
    hasher.update(np.array([learned.item_bias], "<i4").tobytes())
    hasher.update(learned.item_covariance.astype("<i4").tobytes())
    hasher.update(np.array([learned.precision_rate], "<i8").tobytes())
    return Hash(hasher.digest())
