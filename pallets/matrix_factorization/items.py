"""The items' side of the model: statistics and posteriors of all items, as tables by item id."""

from dataclasses import dataclass

import numpy as np

from pallets.matrix_factorization.fixed_point import I32, I64
from pallets.matrix_factorization.frozen import Frozen
from pallets.matrix_factorization.posterior import ItemPosteriors, item_prior_means, item_rows, solve_items


@dataclass(frozen=True, slots=True)
class ItemTable:
    """All items, by id. It changes only until its owner shows it to others.

    Shapes: totals (I, P + D), the statistics T; raters (I,); mean (I, D), covariance (I, P), the posteriors;
    rows (I, P + D + 1), what users see of them. Layouts: `posterior`.
    """

    totals: I64
    raters: I64
    mean: I32
    covariance: I32
    rows: I64

    @property
    def size(self) -> int:
        """Return the number of items."""
        return self.raters.size

    @classmethod
    def priors(cls, frozen: Frozen, count: int) -> "ItemTable":
        """Return the table of so many items that nobody has rated."""
        return cls.empty(frozen).grown(frozen, count)

    @classmethod
    def empty(cls, frozen: Frozen) -> "ItemTable":
        """Return the table without items."""
        width, size = frozen.config.model.width, frozen.config.model.packed
        return cls(
            totals=np.zeros((0, size + width), np.int64),
            raters=np.zeros(0, np.int64),
            mean=np.zeros((0, width), np.int32),
            covariance=np.zeros((0, size), np.int32),
            rows=np.zeros((0, size + width + 1), np.int64),
        )

    def grown(self, frozen: Frozen, count: int) -> "ItemTable":
        """Return a table with items up to `count`, the new ones unrated."""
        new = np.arange(self.size, count, dtype=np.int64)
        totals = np.zeros((new.size, self.totals.shape[1]), np.int64)
        items = solve_items(totals, item_prior_means(new, frozen.config.model), frozen.prior)
        return ItemTable(
            totals=np.concatenate((self.totals, totals)),
            raters=np.concatenate((self.raters, np.zeros(new.size, np.int64))),
            mean=np.concatenate((self.mean, items.mean)),
            covariance=np.concatenate((self.covariance, items.covariance)),
            rows=np.concatenate((self.rows, item_rows(items))),
        )

    def copy(self) -> "ItemTable":
        """Return a table that its owner may `add` to."""
        return ItemTable(
            self.totals.copy(), self.raters.copy(), self.mean.copy(), self.covariance.copy(), self.rows.copy()
        )

    def add(self, ids: I64, sums: I64, raters: I64, frozen: Frozen) -> None:
        """Add `sums` (n, P + D) and `raters` (n,) to the items `ids` (n,) in place, and solve these anew.

        For the owner of a fresh table, before anybody else sees it.
        """
        self.totals[ids] += sums
        self.raters[ids] += raters
        solved = solve_items(self.totals[ids], item_prior_means(ids, frozen.config.model), frozen.prior)
        self.mean[ids], self.covariance[ids] = solved.mean, solved.covariance
        self.rows[ids] = item_rows(solved)

    def posteriors(self, ids: I64) -> ItemPosteriors:
        """Return the posteriors of some items."""
        return ItemPosteriors(self.mean[ids], self.covariance[ids])
