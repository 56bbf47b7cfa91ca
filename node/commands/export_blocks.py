"""mfchain-node export-blocks: write the blocks of a stopped node's chain to a file."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from node.commands.block_stream import write_block
from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    chosen_base_path,
    chosen_spec,
    count_of,
    stopped_chain,
)
from node.errors import ExitCode, NodeError, UsageError
from runtime.header import Block
from runtime.primitives import BlockNumber
from storage.chain_db import ChainDatabase

STANDARD = "-"
"""The name that stands for standard input or output."""


def export_blocks(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to write; - is standard output.")],
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
    first: Annotated[int, typer.Option("--from", metavar="N", min=0, help="The first block.")] = 1,
    last: Annotated[
        int | None,
        typer.Option("--to", metavar="N", min=0, help="The last block.", show_default="the best block"),
    ] = None,
) -> None:
    """Write the blocks of a chain to a file; no node may be running on it."""
    spec = chosen_spec(chain, dev=dev)
    with stopped_chain(spec, chosen_base_path(base_path)) as stopped:
        head = stopped.database.head().number
        end = head if last is None else last
        if end > head:
            raise UsageError(f"--to: the best block is {head}")
        if first > end + 1:
            raise UsageError(f"--from: the last block to write is {end}")
        with _written(file) as stream:
            for block in _blocks(stopped.database, first, end):
                write_block(stream, block)
    typer.echo(f"exported {count_of(end + 1 - first)}", err=True)


def _blocks(database: ChainDatabase, first: int, last: int) -> Iterator[Block]:
    for number in range(first, last + 1):
        known = database.hash_at(BlockNumber(number))
        block = None if known is None else database.block(known)
        if block is None and number < (first_kept := database.first_body()):
            message = f"block {number} is not kept: the history of this database begins with block {first_kept}"
            raise NodeError(ExitCode.FAILED, message)
        if block is None:
            raise NodeError(ExitCode.DATABASE_REFUSED, f"the database is damaged: block {number} is missing")
        yield block


@contextmanager
def _written(name: str) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole."""
    if name == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with part.open("xb") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the file {path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
