"""What was learned from the ratings of the last epoch's freeze, and how the present is measured against it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pallets.matrix_factorization.canonical import Canonical, RatingSet, canonical
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.digest import model_digest
from pallets.matrix_factorization.fixed_point import I32, I64, RatingScale
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    Prior,
    UserPosteriors,
    initial_precision,
)
from pallets.matrix_factorization.ratings import ENTRY, Entries
from pallets.matrix_factorization.statistics import pointers_of
from runtime.primitives import AccountId, Hash

Lists = Sequence[tuple[AccountId, Entries]]


def rating_set(lists: Sequence[Entries], scale: RatingScale) -> RatingSet:
    """Join the lists of some users, one after the other, for the solvers."""
    entries = np.concatenate(lists) if lists else np.empty(0, ENTRY)
    counts = np.array([len(entries) for entries in lists], np.int64)
    return RatingSet(
        pointers=pointers_of(counts),
        items=entries["item"].astype(np.int64),
        ratings=scale.to_units(entries["rating"].astype(np.int64)),
    )


def as_rows(users: UserPosteriors) -> I32:
    """Put posteriors into one table. Shape (U, D + P + 1): mean, covariance, precision."""
    return np.concatenate((users.mean, users.covariance, users.precision[:, None]), axis=1)


def from_rows(rows: I32, parameters: ModelParameters) -> UserPosteriors:
    """Take a table made by `as_rows` apart."""
    width, end = parameters.width, parameters.width + parameters.packed
    return UserPosteriors(rows[:, :width], rows[:, width:end], rows[:, end])


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

    def canonical_rows(self, priors: I64) -> I64:
        """What users see of all items: learned for those with ratings in the set, `priors` for the others.

        Shapes: priors and result (I, P + D + 1), by item id.
        """
        rows = priors.copy()
        rows[self.canonical.item_ids] = self.canonical.rows
        return rows


def learn_frozen(lists: Lists, config: Config) -> Frozen:
    """Learn from the lists of a frozen set: accounts ascending, none of them empty."""
    ratings = rating_set([entries for _, entries in lists], config.scale)
    model = canonical(ratings, config.model)
    rows = as_rows(model.users)
    accounts = [account for account, _ in lists]
    digest = model_digest(accounts, np.diff(ratings.pointers), rows, model.item_ids, model.totals, model.prior)
    return Frozen(config, model, {account: row for row, account in enumerate(accounts)}, rows, digest)


@dataclass(slots=True)
class PendingEpoch:
    """A frozen set whose model is not in force yet; whoever needs the model first computes it, a node ahead of time."""

    generation: int
    lists: Lists
    config: Config
    _result: Frozen | None = field(default=None)

    @property
    def is_computed(self) -> bool:
        """Tell whether the model is ready."""
        return self._result is not None

    def compute(self) -> Frozen:
        """Return the model; two threads that come here at once compute the same."""
        result = self._result
        if result is None:
            result = self._result = learn_frozen(self.lists, self.config)
        return result
