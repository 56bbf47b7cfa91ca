"""The model's working memory: everything that is derived from the state of one block.

The model at a block is a function Phi(F_A, F_now) of two sets: the ratings at the active freeze, and the ratings now.
An account's posterior is the canonical one while its list has changed little since the freeze, else one solve against
the canonical item rows; an item's statistics T are the exact sum of what its raters contribute. No order enters.

`ModelView` belongs to the head; `ModelBranch` follows one block on top of it, copy-on-write; `ReadModel` is what
readers in other threads keep. Source: docs/inference.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pallets.matrix_factorization.accounts import AccountMap
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.digest import model_digest
from pallets.matrix_factorization.fixed_point import I32, I64
from pallets.matrix_factorization.frozen import (
    Frozen,
    Lists,
    PendingEpoch,
    as_rows,
    from_rows,
    learn_frozen,
    rating_set,
)
from pallets.matrix_factorization.items import ItemTable
from pallets.matrix_factorization.posterior import UserPosteriors, contributions, solve_users
from pallets.matrix_factorization.predict import predict as predict_ratings
from pallets.matrix_factorization.ratings import NO_RATINGS, Entries, RatingList, packed
from pallets.matrix_factorization.statistics import RatingSet, exchange, item_changes, user_statistics
from pallets.matrix_factorization.storage import ITEM_COUNT, MODEL, RATINGS, Model
from runtime.interface.state import StateReader
from runtime.overlay import Overlay
from runtime.primitives import AccountId, Hash


@dataclass(frozen=True, slots=True)
class UserEntry:
    """An account that has ratings: its list, and the posterior (D + P + 1,) by which it contributes to its items."""

    ratings: RatingList
    row: I32


Records = Sequence[tuple[AccountId, RatingList]]


def user_entries(records: Records, frozen: Frozen, active: int, rows: I64) -> list[UserEntry | None]:
    """Posteriors of accounts by Phi; None for an empty list. `rows` are the canonical rows of all items."""
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
        solved = solve_lists([records[index][1].entries for index in solve], starts, frozen, rows)
        for index, row in zip(solve, as_rows(solved), strict=True):
            entries[index] = UserEntry(records[index][1], row)
    return entries


def solve_lists(lists: Sequence[Entries], starts: Sequence[int], frozen: Frozen, rows: I64) -> UserPosteriors:
    """Solve some users' lists against item rows. `starts`: where their precisions start, Q20."""
    ratings = rating_set(lists, frozen.config.scale)
    width = frozen.config.model.width
    statistics = user_statistics(rows, ratings.items, ratings.ratings, ratings.pointers, width)
    return solve_users(statistics, np.diff(ratings.pointers), np.array(starts, np.int32), frozen.prior)


def solve_accounts(
    accounts: Sequence[AccountId], entries: Sequence[UserEntry | None], frozen: Frozen, rows: I64
) -> UserPosteriors:
    """Solve the lists of some accounts against item rows; without an entry, the prior."""
    lists, starts = [], []
    for account, entry in zip(accounts, entries, strict=True):
        lists.append(NO_RATINGS.entries if entry is None else entry.ratings.entries)
        starts.append(frozen.starting_precision(account) if entry is None else int(entry.row[-1]))
    return solve_lists(lists, starts, frozen, rows)


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The model at one block, for readers in any thread; nothing in it ever changes."""

    config: Config
    record: Model
    frozen: Frozen
    users: AccountMap[UserEntry]
    items: ItemTable

    def posteriors(self, accounts: Sequence[AccountId]) -> UserPosteriors:
        """Return the posteriors by which accounts' ratings are predicted: solves against the item rows of now.

        Shapes: U = len(accounts). Who has no ratings has the prior.
        """
        return solve_accounts(accounts, [self.users.get(account) for account in accounts], self.frozen, self.items.rows)

    def digest(self) -> Hash:
        """Return the digest of the model. Takes time in proportion to users and items."""
        entries = list(self.users.items())
        counts = np.array([entry.ratings.entries.size for _, entry in entries], np.int64)
        rows = _row_table([entry for _, entry in entries], self.config)
        ids = np.flatnonzero(self.items.raters)
        accounts = [account for account, _ in entries]
        return model_digest(accounts, counts, rows, ids, self.items.totals[ids], self.frozen.prior)


def _row_table(entries: Sequence[UserEntry], config: Config) -> I32:
    """Posteriors of users as one table. Shape (U, D + P + 1)."""
    columns = config.model.width + config.model.packed + 1
    return np.array([entry.row for entry in entries], np.int32).reshape(len(entries), columns)


def _shares(entries: Sequence[UserEntry | None], config: Config) -> I64:
    """What users contribute to each of their items. Shape (U, P + D); a line of zeros for who has no ratings."""
    present = np.array([index for index, entry in enumerate(entries) if entry is not None], np.int64)
    known = [entry for entry in entries if entry is not None]
    users = from_rows(_row_table(known, config), config.model)
    counts = np.array([entry.ratings.entries.size for entry in known], np.int64)
    shares = np.zeros((len(entries), config.model.packed + config.model.width), np.int64)
    shares[present] = contributions(users, counts, config.model)
    return shares


def _set_of(entries: Sequence[UserEntry | None], config: Config) -> RatingSet:
    lists = [NO_RATINGS.entries if entry is None else entry.ratings.entries for entry in entries]
    return rating_set(lists, config.scale)


@dataclass(frozen=True, slots=True)
class ModelView:
    """The model of a block, ready for a block on top of it. It never changes, so any thread may branch it."""

    config: Config
    record: Model
    frozen: Frozen
    canonical_rows: I64
    users: AccountMap[UserEntry]
    items: ItemTable
    pending: PendingEpoch | None = None

    def branch(self) -> "ModelBranch":
        """Follow a block on top of this one."""
        return ModelBranch(self)

    def read(self) -> ReadModel:
        """Return what readers may keep."""
        return ReadModel(self.config, self.record, self.frozen, self.users, self.items)


def build_view(
    config: Config,
    record: Model,
    frozen: Frozen,
    records: Records,
    item_count: int,
    pending: PendingEpoch | None,
) -> ModelView:
    """Derive the working memory from all lists of ratings (accounts ascending)."""
    table = ItemTable.priors(frozen, item_count)
    canonical_rows = frozen.canonical_rows(table.rows)
    entries = user_entries(records, frozen, record.active, canonical_rows)
    users = {account: entry for (account, _), entry in zip(records, entries, strict=True) if entry is not None}
    if users:
        ratings = _set_of(entries, config)
        owners = np.repeat(np.arange(len(entries)), np.diff(ratings.pointers))
        shares = _shares(entries, config)
        ids, sums = item_changes(shares, owners, ratings.items, ratings.ratings, config.model.width)
        raters = np.bincount(ratings.items, minlength=item_count)[ids]
        table.add(ids, sums, raters, frozen)
    return ModelView(config, record, frozen, canonical_rows, AccountMap[UserEntry]().updated(users), table, pending)


class DigestMismatch(Exception):
    """What was learned from the state's ratings is not what the chain learned from them."""


def derive_view(state: StateReader, config: Config, known: Mapping[Hash, Frozen] | None = None) -> ModelView:
    """Rebuild the working memory from a state alone; `known` frozen models are used instead of learned anew.

    Raises:
        DigestMismatch: the model learned from the frozen set does not have the digest that the state records.
    """
    record = MODEL.get(state)
    records = sorted(RATINGS.items(state), key=lambda entry: entry[0])
    frozen = (known or {}).get(record.digest)
    if frozen is None:
        frozen = learn_frozen(lists_at_freeze(records, record.active), config)
        if frozen.digest != record.digest:
            raise DigestMismatch(f"learned {frozen.digest.hex()}, the chain has {record.digest.hex()}")
    pending = None
    if record.is_pending:
        pending = PendingEpoch(record.generation, lists_at_freeze(records, record.generation), config)
    return build_view(config, record, frozen, records, ITEM_COUNT.get(state), pending)


def lists_at_freeze(records: Records, generation: int) -> Lists:
    """The set of ratings at a freeze, without the accounts that had none."""
    lists = [(account, ratings.at_freeze(generation)) for account, ratings in records]
    return [(account, entries) for account, entries in lists if entries.size]


class ModelBranch:
    """The model of a block under execution."""

    def __init__(self, view: ModelView) -> None:
        """Start where the parent block ended."""
        self._view = view
        self.config = view.config
        self.frozen = view.frozen
        self.active = view.record.active
        self.pending = view.pending
        self._canonical_rows = view.canonical_rows
        self._users: dict[AccountId, UserEntry | None] = {}
        self._items = view.items
        self._owns_items = False
        self._synced = 0
        self._replacement: ModelView | None = None

    def branch(self) -> "ModelBranch":
        """A block has no blocks on top of it before it is the head."""
        raise AssertionError("a branch becomes a view before it is branched again")

    @property
    def items(self) -> ItemTable:
        """Return the items as of the last `sync`."""
        return self._items

    def user(self, account: AccountId) -> UserEntry | None:
        """Return an account's entry as of the last `sync`."""
        if account in self._users:
            return self._users[account]
        return self._view.users.get(account)

    def touched(self) -> list[AccountId]:
        """Return the accounts whose lists this block has changed, ascending."""
        return sorted(self._users)

    def previous(self, account: AccountId) -> Entries:
        """Return an account's ratings before this block."""
        entry = self._view.users.get(account)
        return NO_RATINGS.entries if entry is None else entry.ratings.entries

    def unsynced(self, state: Overlay) -> int:
        """Return how many ratings the lists have that the next `sync` follows."""
        written, _ = state.written_since(self._synced, RATINGS.prefix)
        return sum(RATINGS.codec.decode(value).entries.size for _, value in written if value is not None)

    def sync(self, state: Overlay) -> None:
        """Follow the changes of lists and of the registry since the last time."""
        self._grow(ITEM_COUNT.get(state))
        written, self._synced = state.written_since(self._synced, RATINGS.prefix)
        changed = [
            (RATINGS.key_of(key), NO_RATINGS if value is None else RATINGS.codec.decode(value))
            for key, value in written
        ]
        if changed:
            self._apply(sorted(changed, key=lambda entry: entry[0]))

    def predict(self, account: AccountId, item: int) -> int:
        """Return the rating that is expected as of the last `sync`, on [-1, 1] in Q20 and not clipped."""
        users = solve_accounts([account], [self.user(account)], self.frozen, self._items.rows)
        predicted = predict_ratings(users, self._items.posteriors(np.array([item])))
        return int(predicted.mean[0])

    def _grow(self, item_count: int) -> None:
        """Make room for items that were registered in this block."""
        if item_count > self._items.size:
            before = self._items.size
            self._items = self._items.grown(self.frozen, item_count)
            # What is new was in no frozen set.
            self._canonical_rows = np.concatenate((self._canonical_rows, self._items.rows[before:]))
            self._owns_items = True

    def _apply(self, records: Records) -> None:
        """Take back what these accounts contributed and add what they contribute now."""
        before = [self.user(account) for account, _ in records]
        after = user_entries(records, self.frozen, self.active, self._canonical_rows)
        old, new = _set_of(before, self.config), _set_of(after, self.config)
        shares = _shares(before, self.config), _shares(after, self.config)
        ids, sums = exchange(*shares, old, new, self.config.model.width)
        size = self._items.size
        raters = np.bincount(new.items, minlength=size) - np.bincount(old.items, minlength=size)
        if not self._owns_items:
            self._items, self._owns_items = self._items.copy(), True
        self._items.add(ids, sums, raters[ids], self.frozen)
        self._users.update((account, entry) for (account, _), entry in zip(records, after, strict=True))

    def all_records(self) -> Records:
        """Return the lists of all accounts that have ratings, ascending."""
        users = self._view.users.updated(self._users)
        return [(account, entry.ratings) for account, entry in users.items()]

    def freeze(self, generation: int) -> None:
        """Keep the ratings of now for the next model."""
        lists = [(account, ratings.entries) for account, ratings in self.all_records()]
        self.pending = PendingEpoch(generation, lists, self.config)

    def activate(self, record: Model) -> Hash:
        """Put the model of the pending freeze in force; return its digest."""
        assert self.pending is not None, "nothing is frozen"
        frozen = self.pending.compute()
        view = build_view(self.config, record, frozen, self.all_records(), self._items.size, None)
        self.frozen, self.active, self.pending = frozen, record.active, None
        self._items, self._canonical_rows, self._owns_items = view.items, view.canonical_rows, False
        self._users = {account: view.users.get(account) for account in self._users}
        self._replacement = view
        return frozen.digest

    def finish(self, record: Model) -> ModelView:
        """Return the view of the head that this block becomes."""
        if self._replacement is not None:
            return replace(self._replacement, record=record, pending=self.pending)
        users = self._view.users.updated(self._users)
        return ModelView(self.config, record, self.frozen, self._canonical_rows, users, self._items, self.pending)

    def changed_items(self) -> list[int]:
        """Return the items whose ratings this block has changed, ascending."""
        changed = [np.zeros(0, np.int64)]
        for account, entry in self._users.items():
            now = NO_RATINGS.entries if entry is None else entry.ratings.entries
            changed.append(np.setxor1d(packed(self.previous(account)), packed(now)) >> 16)
        items: list[int] = np.unique(np.concatenate(changed)).tolist()
        return items
