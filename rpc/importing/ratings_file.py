"""The CSV files of an import: ratings (user,item,rating[,timestamp]) and titles (item,title)."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rpc.failure import CommandError, Failing

# What a title may hold on the chain, in UTF-8.
MAX_TITLE_BYTES: Final = 128
_LARGEST_ID: Final = 2**63 - 1
_ELLIPSIS: Final = "…"


@dataclass(frozen=True, slots=True)
class Scale:
    """The ratings that a chain takes."""

    least: int
    greatest: int
    step: int

    def holds(self, rating: int) -> bool:
        """Whether the chain takes this rating."""
        return self.least <= rating <= self.greatest and (rating - self.least) % self.step == 0


@dataclass(frozen=True, slots=True)
class RatingsFile:
    """Ratings in the file's order, as columns: each an index into `users` or `items`, and the rating itself.

    `users` are in the order of their first rating, `items` ascending. `digest` is the SHA-256 of the file.
    """

    users: tuple[int, ...]
    items: tuple[int, ...]
    user_index: NDArray[np.int64]
    item_index: NDArray[np.int64]
    rating: NDArray[np.int64]
    digest: str

    def __len__(self) -> int:
        """How many ratings there are."""
        return len(self.rating)


def read_ratings(path: Path, scale: Scale) -> RatingsFile:
    """Read and check the whole file before anything is sent.

    Raises:
        CommandError: it cannot be read, or a line is not a rating of this chain; which, and why.
    """
    users: dict[int, int] = {}
    rows: list[tuple[int, int, int]] = []
    for number, row in _rows(path):
        if len(row) not in (3, 4):
            raise _invalid(path, number, f"expected user,item,rating or user,item,rating,timestamp, got {row}")
        if not rows and number == 1 and not _is_number(row[0]):
            continue  # the header
        user = _identifier(path, number, "user", row[0])
        item = _identifier(path, number, "item", row[1])
        rating = _rating(path, number, row[2], scale)
        rows.append((users.setdefault(user, len(users)), item, rating))
    if not rows:
        raise CommandError(Failing.INVALID_FILE, f"{path} has no ratings")
    table = np.array(rows, dtype=np.int64)
    items, item_index = np.unique(table[:, 1], return_inverse=True)
    return RatingsFile(
        users=tuple(users),
        items=tuple(items.tolist()),
        user_index=np.ascontiguousarray(table[:, 0]),
        item_index=item_index.astype(np.int64),
        rating=np.ascontiguousarray(table[:, 2]),
        digest=_digest(path),
    )


def read_titles(path: Path) -> dict[int, str]:
    """Titles by item id, as long as the chain takes them; the last one of an id counts."""
    titles: dict[int, str] = {}
    for number, row in _rows(path):
        if len(row) != 2:
            raise _invalid(path, number, f"expected item,title, got {row}")
        if not titles and number == 1 and not _is_number(row[0]):
            continue
        titles[_identifier(path, number, "item", row[0])] = shorten(row[1])
    return titles


def shorten(title: str) -> str:
    """The title itself, or as much of it as the chain takes, with an ellipsis."""
    encoded = title.encode()
    if len(encoded) <= MAX_TITLE_BYTES:
        return title
    room = MAX_TITLE_BYTES - len(_ELLIPSIS.encode())
    return encoded[:room].decode(errors="ignore") + _ELLIPSIS


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold anything, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(Failing.INVALID_FILE, f"{path} cannot be read: {reason}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _identifier(path: Path, number: int, what: str, text: str) -> int:
    # int() alone would take forms like 1_000, and digits of any length slowly.
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _LARGEST_ID):
        raise _invalid(path, number, f"{text!r} is no {what} id, which is a number from 0 to 2^63 - 1")
    return int(text)


def _rating(path: Path, number: int, text: str, scale: Scale) -> int:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (value.is_integer() and scale.holds(int(value))):
        known = f"{scale.least} to {scale.greatest}, step {scale.step}"
        raise _invalid(path, number, f"{text!r} is no rating of this chain, which takes {known}")
    return int(value)


def _invalid(path: Path, number: int, why: str) -> CommandError:
    return CommandError(Failing.INVALID_FILE, f"{path}, line {number}: {why}", {"line": number})
