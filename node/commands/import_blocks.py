"""mfchain-node import-blocks: execute the blocks of a file on a stopped node's chain."""

import sys
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from node.ahead import checked_ahead
from node.chain import Chain
from node.commands.block_stream import StreamError, read_blocks
from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    chosen_base_path,
    chosen_spec,
    count_of,
    make_directory,
    stored_pruning,
)
from node.commands.export_blocks import STANDARD
from node.config import DEFAULT_STATE_PRUNING, database_path, parse_pruning
from node.errors import ExitCode, NodeError
from node.memory import without_collections
from node.signatures import VerifiedSignatures
from runtime.executive import SignatureCheck
from runtime.header import Block
from runtime.interface.errors import InvalidBlock
from storage.leveldb import LevelDbStore


def import_blocks(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to read; - is standard input.")],
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
    state_pruning: Annotated[
        str | None,
        typer.Option(
            "--state-pruning",
            metavar="N|archive",
            help="How many states behind the newest can be read.",
            show_default=f"as the database is, {DEFAULT_STATE_PRUNING} for a new one",
        ),
    ] = None,
) -> None:
    """Execute the blocks of a file, as if a peer had sent them; no node may be running on the chain.

    Blocks that the chain has already are passed over, so an interrupted import goes on where it was.
    """
    spec = chosen_spec(chain, dev=dev)
    wanted = DEFAULT_STATE_PRUNING if state_pruning is None else parse_pruning(state_pruning)
    path = database_path(chosen_base_path(base_path), spec)
    with _read(file) as stream:
        make_directory(path)
        store = LevelDbStore(path)
        try:
            pruning = stored_pruning(store, wanted) if state_pruning is None else wanted
            opened = Chain.open(spec, store, state_pruning=pruning)
            count = _import_all(opened, stream, file)
            head = opened.database.head().number
        finally:
            store.close()
    typer.echo(f"imported {count_of(count)}: the best block is {head}", err=True)


def _read(name: str) -> AbstractContextManager[BinaryIO]:
    if name == STANDARD:
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the file {name} cannot be read: {error.strerror}") from None


def _import_all(chain: Chain, stream: BinaryIO, file: str) -> int:
    """Import block after block; return how many were new."""
    count = 0
    signatures = VerifiedSignatures()
    blocks = checked_ahead(read_blocks(stream), chain.runtime.version, chain.database.hash_at, signatures)
    try:
        with closing(blocks), without_collections():
            for block in blocks:
                count += _import(chain, block, signatures)
    except StreamError as error:
        raise NodeError(ExitCode.FAILED, f"{file}: {error}; {count_of(count)} came before it") from None
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the file {file} cannot be read: {error.strerror}") from None
    return count


def _import(chain: Chain, block: Block, signatures: SignatureCheck) -> bool:
    """Import a block; whether it was new."""
    head, number = chain.database.head().number, block.header.number
    if number <= head:
        if chain.database.hash_at(number) != block.header.hash():
            raise NodeError(ExitCode.FAILED, f"block {number} is not the block {number} of this chain")
        return False
    if number > head + 1:
        raise NodeError(ExitCode.FAILED, f"block {number} does not follow the best block, which is {head}")
    try:
        chain.import_block(block, signatures)
    except InvalidBlock as error:
        raise NodeError(ExitCode.FAILED, f"block {number} is not valid: {error}") from None
    return True
