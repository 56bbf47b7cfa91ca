"""The two files that an import keeps beside its file of ratings.

FILE.items.json is for the user: {file item id: chain item id}. FILE.progress.json is for going on after an
interruption: what the plan was made from, and each account's nonce when the import began. The progress itself
is not in it: that is each account's nonce on the chain now, which no crash can falsify.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from rpc.failure import CommandError, Failing

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Record:
    """An import under way: everything from which its plan is made again.

    `first_nonces` holds the accounts (by the file's user ids) that had sent transactions before, the others
    began at 0.
    """

    genesis: str
    file_digest: str
    prefix: str
    batch: int
    window: int
    first_nonces: Mapping[int, int]

    def belongs_to(self, genesis: str, file_digest: str, prefix: str) -> bool:
        """Whether this is the record of the same file's import into the same chain by the same accounts."""
        return (self.genesis, self.file_digest, self.prefix) == (genesis, file_digest, prefix)


def items_path(ratings: Path) -> Path:
    """Where the mapping of items is kept."""
    return ratings.with_name(ratings.name + ".items.json")


def progress_path(ratings: Path) -> Path:
    """Where the record is kept."""
    return ratings.with_name(ratings.name + ".progress.json")


def read_record(ratings: Path) -> Record | None:
    """The record beside a file of ratings; None if there is none, or none that this version can read."""
    try:
        value = orjson.loads(progress_path(ratings).read_bytes())
        if value["version"] != _VERSION:
            return None
        nonces = {int(user): int(nonce) for user, nonce in value["first_nonces"].items()}
        batch, window = int(value["batch"]), int(value["window"])
        if min(batch, window) < 1:
            return None
        return Record(value["genesis"], value["file_digest"], value["prefix"], batch, window, nonces)
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{progress_path(ratings)} cannot be read: {error.strerror}"
        raise CommandError(Failing.FILE_FAILED, message) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_record(ratings: Path, record: Record) -> None:
    """Keep the record; it is on the disk when this returns."""
    _write(progress_path(ratings), {"version": _VERSION, **asdict(record)})


def write_items(ratings: Path, mapping: Mapping[int, int]) -> None:
    """Keep the mapping {file item id: chain item id}."""
    _write(items_path(ratings), mapping)


def _write(path: Path, value: Any) -> None:
    """Replace the whole file at once."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise CommandError(Failing.FILE_FAILED, f"{path} cannot be written: {error.strerror}") from error
