"""What was learned from the ratings of the last epoch's freeze, and how the present is measured against it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.canonical import Canonical, RatingSet, canonical
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.digest import model_digest
from pallets.matrix_factorization.fixed_point import I32, I64, RatingScale
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    Prior,
    UserPosteriors,
    initial_precision,
    item_prior_means,
    item_rows,
    solve_unrated_items,
)
from pallets.matrix_factorization.ratings import ENTRY, Entries
from pallets.matrix_factorization.statistics import pointers_of
from runtime.primitives import AccountId, Hash

Lists = Sequence[tuple[AccountId, Entries]]


def rating_set(lists: Sequence[Entries], scale: RatingScale) -> RatingSet:
    """Join the lists of some users, one after the other, for the solvers."""
    # As bytes: concatenating structured arrays compares their types over and over.
    entries = np.frombuffer(b"".join([entries.tobytes() for entries in lists]), ENTRY)
    counts = np.array([len(entries) for entries in lists], np.int64)
    return RatingSet(
        pointers=pointers_of(counts),
        items=entries["item"].astype(np.int64),
        ratings=scale.to_units(entries["rating"].astype(np.int64)),
    )


def as_rows(users: UserPosteriors) -> I32:
    """Put posteriors into one table. Shape (U, D + P + 1): mean, covariance, precision."""
    return np.concatenate((users.mean, users.covariance, users.precision[:, None]), axis=1)


def row_table(rows: Sequence[I32], parameters: ModelParameters) -> I32:
    """Put rows of users into one table. Shapes: U times (D + P + 1,); result (U, D + P + 1)."""
    columns = parameters.width + parameters.packed + 1
    return np.array(rows, np.int32).reshape(len(rows), columns)


def from_rows(rows: I32, parameters: ModelParameters) -> UserPosteriors:
    """Take a table made by `as_rows` apart."""
    width, end = parameters.width, parameters.width + parameters.packed
    return UserPosteriors(rows[:, :width], rows[:, width:end], rows[:, end])


class CanonicalRows:
    """What users see of items under one frozen model: learned for those with ratings in the set, else the prior.

    A cache: what stands in a line depends on nothing but the line. So threads that fill it at the same time do each
    other no harm, and a line is computed when somebody first asks for it.
    """

    __slots__ = ("_canonical", "_table")

    def __init__(self, canonical: Canonical) -> None:
        """Start without any line: ids may be anywhere, and most sets are learned from and never asked."""
        self._canonical = canonical
        self._table = np.empty((0, canonical.rows.shape[1]), np.int64), np.zeros(0, np.bool_)

    def holding(self, ids: I64) -> I64:
        """Return a table whose lines `ids` are those items'; its other lines mean nothing.

        Shapes: ids (n,), in any order; result (more than the largest id, P + D + 1).
        """
        rows, known = self._table
        if ids.size and (most := int(ids.max())) >= known.size:
            rows, known = self._grown(most + 1)
        unknown = ids[~known[ids]]
        if unknown.size:
            missing = np.unique(unknown)
            prior = self._canonical.prior
            items = solve_unrated_items(item_prior_means(missing, prior.parameters), prior)
            rows[missing] = item_rows(items)
            known[missing] = True
        return rows

    def _grown(self, count: int) -> tuple[I64, npt.NDArray[np.bool_]]:
        """Make room for so many items, and as many again: the system gives memory only to lines that are filled."""
        rows, known = self._table
        larger = np.empty((2 * count, rows.shape[1]), np.int64)
        filled = np.zeros(2 * count, np.bool_)
        lines = np.flatnonzero(known)
        larger[lines] = rows[lines]
        learned = self._canonical.item_ids < 2 * count
        ids = self._canonical.item_ids[learned]
        larger[ids] = self._canonical.rows[learned]
        filled[lines] = filled[ids] = True
        # Not what stands there a moment later: another thread may have made a smaller one meanwhile.
        table = self._table = larger, filled
        return table


@dataclass(frozen=True, slots=True)
class Frozen:
    """The canonical model of a frozen set, with look-ups by account and by item id.

    `user_rows` (U, D + P + 1) belongs to `users`, which are those with ratings in the set.
    """

    config: Config
    canonical: Canonical
    users: dict[AccountId, int]
    user_rows: I32
    digest: Hash
    item_rows: CanonicalRows

    @property
    def prior(self) -> Prior:
        """Return the hyperparameters in force."""
        return self.canonical.prior

    def user_row(self, account: AccountId) -> I32 | None:
        """Return the posterior of an account that has ratings in the set."""
        index = self.users.get(account)
        return None if index is None else self.user_rows[index]

    def starting_precision(self, account: AccountId) -> int:
        """Return where a solve of this account's precision starts: from its own if it has one, else tau0."""
        row = self.user_row(account)
        if row is not None:
            return int(row[-1])
        return int(initial_precision(1, self.config.model)[0])


def learn_frozen(lists: Lists, config: Config) -> Frozen:
    """Learn from the lists of a frozen set: accounts ascending, none of them empty."""
    ratings = rating_set([entries for _, entries in lists], config.scale)
    model = canonical(ratings, config.model)
    rows = as_rows(model.users)
    accounts = [account for account, _ in lists]
    digest = model_digest(accounts, np.diff(ratings.pointers), rows, model.item_ids, model.totals, model.prior)
    places = {account: row for row, account in enumerate(accounts)}
    return Frozen(config, model, places, rows, digest, CanonicalRows(model))
