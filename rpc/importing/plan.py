"""Which transactions a file of ratings becomes: a pure function of the file and two numbers.

The file is cut into windows. Within a window each user's ratings go into as few transactions as the batch
size allows, in the user's own order; transactions stand in the order of their first ratings. So every user's
ratings keep their order whatever the windows are, and ratings of different users change places within
a window only.

Because the plan can be made again, an account's nonce on the chain says which of its ratings are in.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rpc.importing.ratings_file import RatingsFile
from rpc.transactions import submit_rating, submit_ratings

MAX_BATCH: Final = 256
PAIR: Final = np.dtype([("item", "<u8"), ("rating", "<i8")])


@dataclass(frozen=True, slots=True)
class Transaction:
    """The ratings [start, stop) of the plan's rows, all of one user (an index), in window number `window`."""

    user: int
    start: int
    stop: int
    window: int

    @property
    def ratings(self) -> int:
        """How many ratings it holds."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Plan:
    """Transactions in the order of sending; `order` are the file's rows as the transactions hold them."""

    transactions: tuple[Transaction, ...]
    order: NDArray[np.int64]

    def of_users(self, users: int) -> list[list[int]]:
        """The positions of each user's transactions, in order."""
        positions: list[list[int]] = [[] for _ in range(users)]
        for position, transaction in enumerate(self.transactions):
            positions[transaction.user].append(position)
        return positions


def make_plan(user_index: NDArray[np.int64], batch: int, window: int) -> Plan:
    """Group the rows of a file whose users are given, row by row."""
    transactions: list[Transaction] = []
    orders: list[NDArray[np.int64]] = []
    for number, begin in enumerate(range(0, len(user_index), window)):
        users = user_index[begin : begin + window]
        order = _grouped(users, batch)
        orders.append(order + begin)
        grouped = users[order]
        cuts = _cuts(grouped, batch)
        transactions += [
            Transaction(int(grouped[start]), begin + start, begin + stop, number)
            for start, stop in itertools.pairwise(cuts)
        ]
    return Plan(tuple(transactions), np.concatenate(orders))


def _grouped(users: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
    """The rows so ordered that each transaction's stand together, transactions by their first rows."""
    by_user = np.argsort(users, kind="stable")
    cuts = _cuts(users[by_user], batch)
    first = by_user[np.array(cuts[:-1])]
    lengths = np.diff(np.array(cuts))
    # Each row is sorted by the first row of its transaction; the stable sort keeps the rows' own order.
    return by_user[np.argsort(np.repeat(first, lengths), kind="stable")]


def _cuts(grouped: NDArray[np.int64], batch: int) -> list[int]:
    """Where transactions begin, and the end: at a change of user, and after each `batch` rows of one."""
    starts = [0, *(np.flatnonzero(np.diff(grouped)) + 1).tolist(), len(grouped)]
    cuts: list[int] = []
    for start, stop in itertools.pairwise(starts):
        cuts += range(start, stop, batch)
    return [*cuts, len(grouped)]


def pack(file: RatingsFile, plan: Plan, chain_items: Sequence[int]) -> NDArray[np.void]:
    """The plan's rows as pairs of chain item and rating; `chain_items` belong to the file's items."""
    rows = np.empty(len(plan.order), dtype=PAIR)
    rows["item"] = np.array(chain_items, dtype=np.uint64)[file.item_index[plan.order]]
    rows["rating"] = file.rating[plan.order]
    return rows


def call_of(transaction: Transaction, rows: NDArray[np.void]) -> bytes:
    """The call of a transaction: a rating alone goes by the call for one."""
    if transaction.ratings == 1:
        item, rating = rows[transaction.start].item()
        return submit_rating(item, rating)
    return submit_ratings(rows[transaction.start : transaction.stop].tobytes())
