"""What the subcommands share: the options that choose a chain, and its database while no node runs."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from node.chain_spec import ChainSpec, Genesis, genesis, load_spec
from node.config import DEFAULT_CHAIN, Options, database_path, default_base_path
from node.errors import ExitCode, NodeError, UsageError
from runtime.header import Header
from runtime.primitives import HASH_LENGTH, BlockNumber, Hash, HexError, from_hex
from storage.chain_db import ChainDatabase, UnknownBlock
from storage.columns import IDENTITY
from storage.leveldb import LevelDbStore
from storage.records import Identity

_DATABASE_MARK: Final = "CURRENT"
"""The file that every LevelDB directory has."""
_NUMBER: Final = re.compile("[0-9]{1,10}")

ChainOption = Annotated[
    str | None,
    typer.Option(
        "--chain",
        metavar="CHAIN",
        help="dev, local, movielens, halfstars, or the file of a chain specification.",
        show_default=DEFAULT_CHAIN,
    ),
]
DevChain = Annotated[bool, typer.Option("--dev", help="The same as --chain dev.")]
BasePath = Annotated[
    Path | None,
    typer.Option(
        "--base-path",
        "-d",
        metavar="DIR",
        help="Where the files of all chains are.",
        show_default="in the home directory",
        # What cannot be read is the database's business, and another exit code.
        readable=False,
    ),
]


def chosen_spec(chain: str | None, *, dev: bool) -> ChainSpec:
    """The specification of the chain that the options choose."""
    return load_spec(Options(chain=chain, dev=dev).chain_name)


def chosen_base_path(given: Path | None) -> Path:
    """The directory of all files: the given one, or the one that the system provides for such."""
    if given is not None:
        return given.absolute()
    try:
        return default_base_path(Path.home(), sys.platform)
    except RuntimeError:
        raise UsageError("this user has no home directory: say where files are to be with --base-path") from None


def make_directory(path: Path) -> None:
    """Make a directory to write to, if there is none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the directory {path} cannot be made: {error.strerror}"
        raise NodeError(ExitCode.DATABASE_REFUSED, message) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise NodeError(ExitCode.DATABASE_REFUSED, f"the directory {path} cannot be written to")


def count_of(blocks: int) -> str:
    """A number of blocks, in words."""
    return "1 block" if blocks == 1 else f"{blocks} blocks"


def database_exists(path: Path) -> bool:
    """Whether there is a database in a directory."""
    return (path / _DATABASE_MARK).is_file()


def stored_pruning(store: LevelDbStore, otherwise: int | None) -> int | None:
    """How many states a database keeps; `otherwise` if it is still empty."""
    identity = store.get(IDENTITY)
    return otherwise if identity is None else Identity.decode(identity).pruning


@dataclass(frozen=True, slots=True)
class StoppedChain:
    """A chain's database while no node has it open; `pruning` is how many states it keeps, None for all."""

    path: Path
    store: LevelDbStore
    pruning: int | None
    genesis: Genesis
    database: ChainDatabase


def _others(base_path: Path) -> list[str]:
    """The ids of the chains that have a database in a base path."""
    chains = base_path / "chains"
    found = chains.iterdir() if chains.is_dir() else ()
    return sorted(path.name for path in found if database_exists(path / "db"))


@contextmanager
def stopped_chain(spec: ChainSpec, base_path: Path) -> Iterator[StoppedChain]:
    """Open the database of a chain as it is.

    Raises:
        NodeError: there is none.
        StorageError: a node uses it, or it is not of this chain, or damaged.
    """
    path = database_path(base_path, spec)
    if not database_exists(path):
        there = _others(base_path)
        hint = f"; there is one of {' and of '.join(there)}, see --chain" if there else ""
        raise NodeError(ExitCode.FAILED, f"there is no database of the chain {spec.id} in {path}{hint}")
    store = LevelDbStore(path)
    try:
        pruning = stored_pruning(store, None)
        first = genesis(spec)
        yield StoppedChain(path, store, pruning, first, open_database(first, store, pruning))
    finally:
        store.close()


def chosen_block(database: ChainDatabase, text: str) -> Header:
    """The header of the block that an argument names by its number on the best chain, or by its hash.

    Raises:
        UsageError: it is neither.
        NodeError: there is no such block.
    """
    if text.startswith("0x"):
        try:
            name = Hash(from_hex(text, HASH_LENGTH))
        except HexError as error:
            raise UsageError(f"BLOCK: {error}") from None
    else:
        if _NUMBER.fullmatch(text) is None:
            raise UsageError(f"BLOCK: must be a number or a hash, not {text!r}")
        head, number = database.head().number, int(text)
        found = database.hash_at(BlockNumber(number)) if number <= head else None
        if found is None:
            raise NodeError(ExitCode.FAILED, f"there is no block {text}: the best block is {head}")
        name = found
    header = database.header(name)
    if header is None:
        raise NodeError(ExitCode.FAILED, str(UnknownBlock(name)))
    return header


def open_database(first: Genesis, store: LevelDbStore, pruning: int | None) -> ChainDatabase:
    """Check a database and rebuild its trie."""
    return ChainDatabase.open(store, first.header, first.state, state_pruning=pruning)
