"""mfchain-node compact: give back the disk space that a stopped node's database does not need."""

from pathlib import Path
from typing import Final

import typer

from node.commands.common import BasePath, ChainOption, DevChain, chosen_base_path, chosen_spec, stopped_chain
from node.config import database_path

_MEGABYTE: Final = 1_000_000


def compact(chain: ChainOption = None, dev: DevChain = False, base_path: BasePath = None) -> None:
    """Rewrite the database of a chain without what is pruned or replaced; no node may be running on it.

    A running node does that too, but bit by bit and where it writes: what it no longer touches stays as it is.
    """
    spec, base = chosen_spec(chain, dev=dev), chosen_base_path(base_path)
    path = database_path(base, spec)
    before = _size(path)
    with stopped_chain(spec, base) as stopped:
        stopped.store.compact()
    # Closed, so that the files that were replaced are gone.
    sizes = f"{_megabytes(_size(path))}, {_megabytes(before)} before"
    typer.echo(f"compacted the database of the chain {spec.id} in {path}: {sizes}")


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:.1f} MB"


def _size(path: Path) -> int:
    """The bytes of all files in a directory, 0 without one."""
    return sum(file.stat().st_size for file in path.glob("*"))
