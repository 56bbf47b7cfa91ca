"""One block's model made ready for many questions: what they share is worked out when it is first asked for.

A reading never changes what it answers, so any thread may ask it. Two threads that want the same at once both work
it out, with the same result.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from pallets.matrix_factorization.fixed_point import F64, I64
from pallets.matrix_factorization.predict import Predictions
from pallets.matrix_factorization.prepared import RowPredictor, item_rows, user_rows
from pallets.matrix_factorization.ratings import NO_RATINGS
from pallets.matrix_factorization.storage import ITEMS
from pallets.matrix_factorization.view import ReadModel
from rpc.service import JsonObject
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, BlockRef, to_hex

CHUNK: Final = 4_096
"""Items whose rows are made together."""

MOST_USERS: Final = 4_096
"""Users whose rows are kept, about a kilobyte each."""

MOST_EXPECTED: Final = 256
"""Users asked about at the last head that are worked out with the first one at the next: together they cost little."""


class _Users:
    """Rows of users, as many as there is room for. Lines are added, never changed."""

    def __init__(self, width: int) -> None:
        """Take the room, which costs memory only where it is used."""
        self.lines: dict[AccountId, int] = {}
        self.rows = np.empty((MOST_USERS, width))

    def add(self, accounts: Iterable[AccountId], rows: Iterable[F64]) -> None:
        """Keep the rows of these accounts too."""
        for account, row in zip(accounts, rows, strict=True):
            if account not in self.lines:
                line = len(self.lines)
                self.rows[line] = row
                # Last: whoever finds the line finds the row.
                self.lines[account] = line


@dataclass(frozen=True, slots=True)
class Rated:
    """What an account has rated: items and ratings, the n-th of the one belonging to the n-th of the other."""

    items: npt.NDArray[np.uint32]
    ratings: npt.NDArray[np.int16]

    def of(self, item: int) -> int | None:
        """Return the rating of an item, if there is one."""
        found = self.ratings[self.items == item]
        return int(found[0]) if found.size else None


class PreparedModel:
    """Rows of a model's users and items."""

    def __init__(self, model: ReadModel, expected: Iterable[AccountId] = ()) -> None:
        """Prepare nothing yet; with the first user, work out those `expected` too."""
        self._model = model
        self._expected = frozenset(expected)
        self._asked: dict[AccountId, None] = {}
        self._predictor = RowPredictor(model.config.model.width)
        self._users = _Users(self._predictor.row_width)
        self._lock = threading.Lock()
        self._chunks: dict[int, F64] = {}
        self._raters: dict[int, int] = {}
        self._rated: dict[AccountId, Rated] = {}
        self.titles: dict[int, str] = {}

    @property
    def asked(self) -> list[AccountId]:
        """Return accounts that were asked about."""
        return list(self._asked)

    def is_of(self, model: ReadModel) -> bool:
        """Tell whether all is as in this model: a block without ratings, items and epochs shares them."""
        return model.items is self._model.items and model.frozen is self._model.frozen

    @cached_property
    def item_features(self) -> tuple[F64, F64]:
        """Posterior means of the features (I, K), and their lengths (I,)."""
        features = np.concatenate(
            [np.zeros((0, self._model.config.model.dimension)), *map(self._features, self._all_chunks())]
        )
        return features, np.sqrt(np.sum(features * features, axis=1))

    @cached_property
    def item_raters(self) -> I64:
        """How many accounts have rated each item. Shape (I,)."""
        return self._model.items.raters

    def raters_of(self, item: int) -> int:
        """Return how many accounts have rated an item."""
        raters = self._raters.get(item)
        if raters is None:
            raters = self._raters[item] = int(self._model.items.raters_of(np.array([item]))[0])
        return raters

    def rated_by(self, account: AccountId) -> Rated:
        """Return what an account has rated."""
        rated = self._rated.get(account)
        if rated is None:
            entry = self._model.users.get(account)
            entries = NO_RATINGS.entries if entry is None else entry.ratings.entries
            if len(self._rated) >= MOST_USERS:
                self._rated.clear()
            rated = self._rated[account] = Rated(entries["item"], entries["rating"])
        return rated

    def _features(self, rows: F64) -> F64:
        return rows[:, 1 : self._model.config.model.width]

    def predict_one(self, account: AccountId, item: int) -> tuple[int, int]:
        """Mean and variance of one rating, Q20."""
        return self._predictor.predict_one(self._user(account), self._chunk(item // CHUNK)[item % CHUNK])

    def predict_pairs(self, accounts: Sequence[AccountId], items: I64) -> Predictions:
        """Means and variances of pairs."""
        parts = [_NOTHING]
        for start in range(0, len(accounts), MOST_USERS):
            some = accounts[start : start + MOST_USERS]
            self._note(some)
            users = self._known(some)
            lines = np.array([users.lines[account] for account in some])
            item_rows = self._item_rows(items[start : start + MOST_USERS])
            parts.append(self._predictor.predict(users.rows.take(lines, axis=0), item_rows))
        return parts[1] if len(parts) == 2 else _joined(parts)

    def predict_all(self, account: AccountId) -> Predictions:
        """Means and variances of one account's ratings of all items, by item. Shapes: (I,)."""
        user = self._user(account)
        return _joined([_NOTHING, *(self._predictor.predict(user, rows) for rows in self._all_chunks())])

    def has_users(self, accounts: Sequence[AccountId]) -> bool:
        """Tell whether nothing has to be solved for these."""
        return self._users.lines.keys() >= set(accounts)

    def _user(self, account: AccountId) -> F64:
        """Return a user's row."""
        users = self._users
        if account not in self._asked:
            self._note([account])
        if account not in users.lines:
            users = self._known([account])
        row: F64 = users.rows[users.lines[account]]
        return row

    def _note(self, accounts: Iterable[AccountId]) -> None:
        """Remember who was asked about, up to a number."""
        for account in accounts:
            if len(self._asked) >= MOST_EXPECTED:
                return
            self._asked[account] = None

    def _known(self, accounts: Sequence[AccountId]) -> _Users:
        """Return rows of users in which these are, at most as many as there is room for; what is missing is solved."""
        wanted, users = set(accounts), self._users
        if not users.lines and len(wanted) + len(self._expected) <= MOST_USERS:
            wanted |= self._expected
        # Not as a difference of sets, which would walk through all the lines.
        while missing := sorted(account for account in wanted if account not in users.lines):
            rows = user_rows(self._model.posteriors(missing))
            with self._lock:
                before = users = self._users
                if len(before.lines) + len(missing) > MOST_USERS:
                    users = self._users = _Users(self._predictor.row_width)
                    kept = sorted(wanted & before.lines.keys())
                    users.add(kept, [before.rows[before.lines[account]] for account in kept])
                users.add(missing, rows)
        return users

    def _item_rows(self, items: I64) -> F64:
        """Return the rows of some items. Shape (n, W)."""
        chunks = items // CHUNK
        first = int(chunks[0])
        if np.all(chunks == first):
            return self._chunk(first).take(items % CHUNK, axis=0)
        rows = np.empty((items.size, self._predictor.row_width))
        for chunk in np.unique(chunks).tolist():
            wanted = chunks == chunk
            rows[wanted] = self._chunk(chunk)[items[wanted] % CHUNK]
        return rows

    def _all_chunks(self) -> list[F64]:
        return [self._chunk(chunk) for chunk in range(-(-self._model.items.size // CHUNK))]

    def _chunk(self, chunk: int) -> F64:
        """Return the rows of `CHUNK` items on end. Shape (n, W)."""
        rows = self._chunks.get(chunk)
        if rows is None:
            items = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, self._model.items.size))
            rows = self._chunks[chunk] = item_rows(self._model.items.posteriors(items))
        return rows


class Reading:
    """A block, its model and its state, which stay as they are while the chain moves on."""

    def __init__(self, ref: BlockRef, model: ReadModel, state: StateReader, prepared: PreparedModel) -> None:
        """Take what is `prepared` of the model, or of one that shares its ratings and items."""
        self.ref = ref
        self.model = model
        self.state = state
        self.prepared = prepared
        self.block: JsonObject = {"hash": to_hex(ref.hash), "number": ref.number}

    def title(self, item: int) -> str:
        """Return an item's title, empty if there is no such item."""
        title = self.prepared.titles.get(item)
        if title is None:
            entry = ITEMS.find(self.state, item)
            title = self.prepared.titles[item] = "" if entry is None else entry.title
        return title


_NOTHING: Final = Predictions(np.zeros(0, np.int64), np.zeros(0, np.int64))


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(np.concatenate([part.mean for part in parts]), np.concatenate([part.variance for part in parts]))
