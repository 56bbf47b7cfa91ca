"""Phi(F_A, F_now): the model of the ratings of now, measured from what was learned from frozen ones.

An account's posterior is the canonical one while its list has changed little since the freeze, else one solve against
the canonical item rows; an item's statistics T are the exact sum of what its raters contribute. No order enters, and
what was added can be taken back: two ways to the same two sets end in the same bits. Source: docs/inference.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pallets.matrix_factorization.accounts import AccountMap
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.digest import model_digest
from pallets.matrix_factorization.fixed_point import I32, I64
from pallets.matrix_factorization.frozen import Frozen, as_rows, from_rows, rating_set, row_table
from pallets.matrix_factorization.items import ItemTable
from pallets.matrix_factorization.posterior import UserPosteriors, contributions, solve_users
from pallets.matrix_factorization.ratings import NO_RATINGS, Entries, RatingList
from pallets.matrix_factorization.statistics import RatingSet, exchange, item_changes, user_statistics
from runtime.primitives import AccountId, Hash


@dataclass(frozen=True, slots=True)
class UserEntry:
    """An account that has ratings: its list, and the posterior (D + P + 1,) by which it contributes to its items."""

    ratings: RatingList
    row: I32


Users = AccountMap[UserEntry]
Records = Sequence[tuple[AccountId, RatingList]]


def user_entries(records: Records, frozen: Frozen, active: int) -> list[UserEntry | None]:
    """Posteriors of accounts by Phi; None for an empty list."""
    entries: list[UserEntry | None] = []
    solve: list[int] = []
    for index, (account, ratings) in enumerate(records):
        changed, before = ratings.difference(active)
        if ratings.entries.size == 0:
            entries.append(None)
            continue
        row = frozen.user_row(account)
        if row is None or 2 * changed >= before:
            solve.append(index)
            row = frozen.user_rows[:0]
        entries.append(UserEntry(ratings, row))
    if solve:
        starts = [frozen.starting_precision(records[index][0]) for index in solve]
        ratings_of_all = rating_set([records[index][1].entries for index in solve], frozen.config.scale)
        solved = solve_set(ratings_of_all, starts, frozen, frozen.item_rows.holding(ratings_of_all.items))
        for index, row in zip(solve, as_rows(solved), strict=True):
            entries[index] = UserEntry(records[index][1], row)
    return entries


def solve_set(ratings: RatingSet, starts: Sequence[int], frozen: Frozen, rows: I64) -> UserPosteriors:
    """Solve some users' lists, whose items are lines of `rows`. `starts`: where their precisions start, Q20."""
    width = frozen.config.model.width
    statistics = user_statistics(rows, ratings.items, ratings.ratings, ratings.pointers, width)
    return solve_users(statistics, np.diff(ratings.pointers), np.array(starts, np.int32), frozen.prior)


@dataclass(frozen=True, slots=True)
class Phi:
    """The model of one block, as a value: `followed` makes that of another, which shares what is the same.

    `generation` is the freeze that `frozen` was learned from.
    """

    frozen: Frozen
    generation: int
    users: Users
    items: ItemTable

    @property
    def config(self) -> Config:
        """Return the constants of the pallet."""
        return self.frozen.config

    @classmethod
    def derived(cls, frozen: Frozen, generation: int, records: Records, item_count: int) -> Phi:
        """Compute the model of all lists of ratings (accounts ascending) from nothing but them."""
        entries = user_entries(records, frozen, generation)
        users = {account: entry for (account, _), entry in zip(records, entries, strict=True) if entry is not None}
        items = ItemTable.unrated(frozen, item_count)
        if users:
            config = frozen.config
            ratings = _set_of(entries, config)
            owners = np.repeat(np.arange(len(entries)), np.diff(ratings.pointers))
            shares = _shares(entries, config)
            ids, sums = item_changes(shares, owners, ratings.items, ratings.ratings, config.model.width)
            items = items.changed(ids, sums, np.bincount(ratings.items, minlength=item_count)[ids])
        return cls(frozen, generation, Users().updated(users), items)

    @classmethod
    def at_freeze(cls, frozen: Frozen, generation: int, lists: Users, item_count: int) -> Phi:
        """Return the model of exactly the frozen ratings, whose lists `lists` has: nothing is left to compute."""
        entries = [
            UserEntry(entry.ratings, row) for (_, entry), row in zip(lists.items(), frozen.user_rows, strict=True)
        ]
        users = dict(zip(frozen.users, entries, strict=True))
        return cls(frozen, generation, Users().updated(users), ItemTable.at_freeze(frozen, item_count))

    def sized(self, item_count: int) -> Phi:
        """Return the model with so many items; those that are dropped have no raters."""
        return self if item_count == self.items.size else replace(self, items=self.items.sized(item_count))

    def followed(self, records: Records) -> Phi:
        """Take back what these accounts (ascending) contributed, and add what they contribute with these lists."""
        if not records:
            return self
        before = [self.users.get(account) for account, _ in records]
        after = user_entries(records, self.frozen, self.generation)
        old, new = _set_of(before, self.config), _set_of(after, self.config)
        shares = _shares(before, self.config), _shares(after, self.config)
        ids, sums, raters = exchange(*shares, old, new, self.config.model.width)
        users = self.users.updated({account: entry for (account, _), entry in zip(records, after, strict=True)})
        return replace(self, users=users, items=self.items.changed(ids, sums, raters))

    def moved(self, source: Users, target: Users) -> Phi:
        """Follow from the lists in `source`, which are those of this model, to those in `target`.

        Costs by what differs between the two, if one comes from the other.
        """
        entries = [(account, target.get(account)) for account in source.differing(target)]
        return self.followed([(account, NO_RATINGS if entry is None else entry.ratings) for account, entry in entries])

    def posteriors(self, accounts: Sequence[AccountId]) -> UserPosteriors:
        """Return the posteriors by which accounts' ratings are predicted: solves against the item rows of now.

        Shapes: U = len(accounts). Who has no ratings has the prior.
        """
        entries = [self.users.get(account) for account in accounts]
        ratings = _set_of(entries, self.config)
        starts = [
            self.frozen.starting_precision(account) if entry is None else int(entry.row[-1])
            for account, entry in zip(accounts, entries, strict=True)
        ]
        ids, lines = np.unique(ratings.items, return_inverse=True)
        return solve_set(replace(ratings, items=lines), starts, self.frozen, self.items.rows_of(ids))

    def digest(self) -> Hash:
        """Return the digest of the model. Takes time in proportion to users and items."""
        entries = list(self.users.items())
        counts = np.array([entry.ratings.entries.size for _, entry in entries], np.int64)
        rows = row_table([entry.row for _, entry in entries], self.config.model)
        ids, totals = self.items.rated()
        return model_digest([account for account, _ in entries], counts, rows, ids, totals, self.frozen.prior)


def _shares(entries: Sequence[UserEntry | None], config: Config) -> I64:
    """What users contribute to each of their items. Shape (U, P + D); a line of zeros for who has no ratings."""
    present = np.array([index for index, entry in enumerate(entries) if entry is not None], np.int64)
    known = [entry for entry in entries if entry is not None]
    users = from_rows(row_table([entry.row for entry in known], config.model), config.model)
    counts = np.array([entry.ratings.entries.size for entry in known], np.int64)
    shares = np.zeros((len(entries), config.model.packed + config.model.width), np.int64)
    shares[present] = contributions(users, counts, config.model)
    return shares


def _set_of(entries: Sequence[UserEntry | None], config: Config) -> RatingSet:
    lists: list[Entries] = [NO_RATINGS.entries if entry is None else entry.ratings.entries for entry in entries]
    return rating_set(lists, config.scale)
