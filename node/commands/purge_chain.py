"""mfchain-node purge-chain: delete a chain's database."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    chosen_base_path,
    chosen_spec,
    database_exists,
)
from node.config import database_path
from node.errors import ExitCode, NodeError, UsageError
from storage.errors import Reason, StorageError
from storage.leveldb import LevelDbStore


def purge_chain(
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the database of a chain: all blocks and the whole state. Keys are kept."""
    spec = chosen_spec(chain, dev=dev)
    path = database_path(chosen_base_path(base_path), spec)
    if not database_exists(path):
        typer.echo(f"there is no database of the chain {spec.id} in {path}")
        return
    if not yes and not _confirmed(f"Delete the database of the chain {spec.id} in {path}? [y/N] "):
        typer.echo("nothing was deleted")
        return
    _refuse_if_in_use(path)
    try:
        shutil.rmtree(path)
    except OSError as error:
        message = f"the database in {path} cannot be deleted: {error.strerror or error}"
        raise NodeError(ExitCode.FAILED, message) from None
    typer.echo(f"deleted the database of the chain {spec.id} in {path}")


def _confirmed(question: str) -> bool:
    typer.echo(question, nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("nobody is there to confirm: say --yes")
    return answer.strip().lower() in ("y", "yes")


def _refuse_if_in_use(path: Path) -> None:
    """Opening takes the database's lock: a damaged one may be deleted, one that a node works with may not."""
    try:
        LevelDbStore(path).close()
    except StorageError as error:
        if error.reason is Reason.LOCKED:
            raise
