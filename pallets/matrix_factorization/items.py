"""The items' side of the model: statistics and posteriors of all items, in pages that versions share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.fixed_point import I32, I64
from pallets.matrix_factorization.frozen import Frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import (
    ItemPosteriors,
    item_prior_means,
    item_rows,
    solve_items,
    solve_unrated_items,
)

_PAGE_BITS = 4
_PAGE = 1 << _PAGE_BITS
"""Items of a page: what a change copies for one touched item. Any value gives the same bits."""

Page: TypeAlias = npt.NDArray[np.uint8]
"""Lines of `_PAGE` items with neighbouring ids, as bytes; shape (_PAGE, bytes of a line)."""

Lines: TypeAlias = npt.NDArray[np.void]
"""Items one after the other: totals (P + D,), raters and rows (P + D + 1,); mean (D,) and covariance (P,)."""


@lru_cache(maxsize=8)
def _line_type(width: int) -> np.dtype[np.void]:
    packed = width * (width + 1) // 2
    return np.dtype(
        [
            ("totals", np.int64, (packed + width,)),
            ("raters", np.int64),
            ("rows", np.int64, (packed + width + 1,)),
            ("mean", np.int32, (width,)),
            ("covariance", np.int32, (packed,)),
        ],
        align=True,
    )


@dataclass(frozen=True, slots=True)
class ItemTable:
    """All items by id: the statistics T, the raters, the posteriors and what users see of them. It never changes.

    A changed version shares all but the touched pages with the old one. A page of which no item was ever rated is not
    there (None): what stands in it is the prior. So a change costs by the items it touches, not by all there are.
    `frozen` has the hyperparameters, `rated_count` says how many items have raters. Layouts: `posterior`.
    """

    frozen: Frozen
    size: int
    pages: tuple[Page | None, ...]
    rated_count: int

    @classmethod
    def unrated(cls, frozen: Frozen, count: int) -> ItemTable:
        """Return the table of so many items that nobody has rated."""
        return cls(frozen, count, (None,) * _pages_of(count), 0)

    @classmethod
    def at_freeze(cls, frozen: Frozen, count: int) -> ItemTable:
        """Return the table when the ratings of now are those of the frozen set."""
        model = frozen.canonical
        lines = np.zeros(model.item_ids.size, _line_type(frozen.config.model.width))
        lines["totals"], lines["raters"], lines["rows"] = model.totals, model.raters, model.rows
        lines["mean"], lines["covariance"] = model.items.mean, model.items.covariance
        return cls.unrated(frozen, count)._with(model.item_ids, lines, model.item_ids.size)

    def sized(self, count: int) -> ItemTable:
        """Return the table with items up to `count`: new ones are unrated, and so must be those that are dropped."""
        pages = self.pages[: _pages_of(count)]
        return ItemTable(self.frozen, count, pages + (None,) * (_pages_of(count) - len(pages)), self.rated_count)

    def changed(self, ids: I64, sums: I64, raters: I64) -> ItemTable:
        """Add to the statistics of some items, ascending, and solve these anew.

        Shapes: ids (n,), sums (n, P + D), raters (n,).
        """
        lines = self._take(ids)
        lines["totals"] += sums
        known = np.count_nonzero(lines["raters"])
        lines["raters"] += raters
        rated = self.rated_count + int(np.count_nonzero(lines["raters"]) - known)
        constants = self.frozen.config.model
        solved = solve_items(lines["totals"], item_prior_means(ids, constants), self.frozen.prior)
        lines["mean"], lines["covariance"], lines["rows"] = solved.mean, solved.covariance, item_rows(solved)
        return self._with(ids, lines, rated)

    def posteriors(self, ids: I64) -> ItemPosteriors:
        """Return the posteriors of some items. Shape: ids (n,)."""
        lines = self._take(ids)
        return ItemPosteriors(lines["mean"], lines["covariance"])

    def rows_of(self, ids: I64) -> I64:
        """Return what users see of some items. Shapes: ids (n,); result (n, P + D + 1)."""
        rows: I64 = np.ascontiguousarray(self._take(ids)["rows"])
        return rows

    def raters_of(self, ids: I64) -> I64:
        """Return how many accounts have rated each of some items. Shapes (n,)."""
        raters: I64 = self._take(ids)["raters"]
        return raters

    def rated(self) -> tuple[I64, I64]:
        """Return the items that have raters, ascending, and their statistics. Shapes (n,), (n, P + D)."""
        ids = self._ids([number for number, page in enumerate(self.pages) if page is not None])
        lines = self._take(ids)
        known = lines["raters"] > 0
        return ids[known], lines["totals"][known]

    @property
    def totals(self) -> I64:
        """The statistics T of all items; copied for the caller, as the others here. Shape (size, P + D)."""
        return self._all("totals")

    @property
    def raters(self) -> I64:
        """How many accounts have rated each item. Shape (size,)."""
        return self._all("raters")

    @property
    def mean(self) -> I32:
        """Posterior means of all items. Shape (size, D)."""
        return self._all("mean")

    @property
    def covariance(self) -> I32:
        """Posterior covariances of all items. Shape (size, P)."""
        return self._all("covariance")

    @property
    def rows(self) -> I64:
        """What users see of all items. Shape (size, P + D + 1)."""
        return self._all("rows")

    def _all(self, field: str) -> npt.NDArray[Any]:
        kind = _line_type(self.frozen.config.model.width)
        unrated = self._take(self._ids([number for number, page in enumerate(self.pages) if page is None]))
        pages = iter(unrated.view(np.uint8).reshape(unrated.size // _PAGE, _PAGE, kind.itemsize))
        whole = [next(pages) if page is None else page for page in self.pages]
        lines = np.concatenate([np.zeros((0, kind.itemsize), np.uint8), *whole]).view(kind)
        return np.ascontiguousarray(lines[: self.size, 0][field])

    def _ids(self, numbers: Sequence[int]) -> I64:
        """Return the ids on some pages; on the last one there may be more than there are items."""
        return (np.array(numbers, np.int64)[:, None] << _PAGE_BITS | np.arange(_PAGE)).reshape(-1)

    def _take(self, ids: I64) -> Lines:
        """Copy the lines of some items."""
        kind = _line_type(self.frozen.config.model.width)
        pages = self.pages
        found = [(item >> _PAGE_BITS, item & (_PAGE - 1)) for item in ids.tolist()]
        absent = [place for place, (number, _) in enumerate(found) if pages[number] is None]
        present = [page[line] for number, line in found if (page := pages[number]) is not None]
        there = np.concatenate(present).view(kind) if present else np.zeros(0, kind)
        if not absent:
            return there
        lines = np.empty(ids.size, kind)
        without = np.zeros(ids.size, np.bool_)
        without[absent] = True
        lines[~without] = there
        lines[without] = _prior_lines(self.frozen, ids[without])
        return lines

    def _with(self, ids: I64, lines: Lines, rated: int) -> ItemTable:
        """Return the table with the lines of some items, ascending, replaced, so that `rated` items have raters."""
        pages = list(self.pages)
        source = lines.view(np.uint8).reshape(ids.size, lines.dtype.itemsize)
        numbers = ids >> _PAGE_BITS
        new = [number for number, _ in _runs(numbers) if pages[number] is None]
        priors = _prior_lines(self.frozen, self._ids(new))
        fresh = dict(zip(new, priors.view(np.uint8).reshape(len(new), _PAGE, source.shape[1]), strict=True))
        places = ids & (_PAGE - 1)
        for number, run in _runs(numbers):
            page = pages[number]
            # A page of its own: a slice of all fresh ones would keep the others in memory.
            copy = fresh[number].copy() if page is None else page.copy()
            copy[places[run]] = source[run]
            pages[number] = copy
        return ItemTable(self.frozen, self.size, tuple(pages), rated)


def _pages_of(count: int) -> int:
    return (count + _PAGE - 1) >> _PAGE_BITS


def _runs(numbers: I64) -> Iterator[tuple[int, slice]]:
    """Walk the different numbers among ascending ones, each with where it stands."""
    bounds = [*np.flatnonzero(np.diff(numbers, prepend=-1)).tolist(), numbers.size]
    for start, end in pairwise(bounds):
        yield int(numbers[start]), slice(start, end)


def _prior_lines(frozen: Frozen, ids: I64) -> Lines:
    """Return lines of items that nobody has rated."""
    constants: ModelParameters = frozen.config.model
    lines = np.zeros(ids.size, _line_type(constants.width))
    items = solve_unrated_items(item_prior_means(ids, constants), frozen.prior)
    lines["mean"], lines["covariance"], lines["rows"] = items.mean, items.covariance, item_rows(items)
    return lines
