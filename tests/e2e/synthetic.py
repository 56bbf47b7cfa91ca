"""Ratings by made-up users of made-up items, from taste to stars."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

USERS = 60
ITEMS = 120
COUNT = 3_000


@dataclass(frozen=True, slots=True)
class Ratings:
    """Rows of user, item and stars (1 to 5), each pair of user and item at most once."""

    rows: tuple[tuple[int, int, int], ...]

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Write ratings.csv and titles.csv; return their paths."""
        directory.mkdir(parents=True, exist_ok=True)
        ratings, titles = directory / "ratings.csv", directory / "titles.csv"
        ratings.write_text("user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in self.rows))
        items = sorted({item for _, item, _ in self.rows})
        titles.write_text("item,title\n" + "".join(f"{item},Film {item}\n" for item in items))
        return ratings, titles


def make_ratings(seed: int = 7) -> Ratings:
    """Draw users and items with three traits each, and let taste, mood and noise decide."""
    return Ratings(tuple(_rows(np.random.default_rng(seed))))


def _rows(draw: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    tastes, traits = draw.normal(0, 0.8, (USERS, 3)), draw.normal(0, 0.8, (ITEMS, 3))
    moods, fame = draw.normal(0, 0.4, USERS), draw.normal(0, 0.5, ITEMS)
    pairs = draw.permutation(USERS * ITEMS)[:COUNT]
    users, items = np.divmod(pairs, ITEMS)
    liking = 3.3 + moods[users] + fame[items] + np.sum(tastes[users] * traits[items], axis=1)
    stars = np.clip(np.rint(liking + draw.normal(0, 0.6, COUNT)), 1, 5).astype(int)
    for user, item, rating in zip(users.tolist(), items.tolist(), stars.tolist(), strict=True):
        yield user + 1, item + 1, rating
