"""mfchain-node revert: take back the last blocks of a stopped node's chain."""

from typing import Annotated

import typer

from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    StoppedChain,
    chosen_base_path,
    chosen_spec,
    count_of,
    open_database,
    stopped_chain,
)
from node.errors import ExitCode, NodeError
from runtime.primitives import BlockNumber, BlockRef, to_hex
from storage.columns import FINALIZED, HEAD
from storage.records import Head, encode_finalized


def revert(
    count: Annotated[int, typer.Argument(metavar="N", min=1, help="How many blocks.")],
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
) -> None:
    """Take back the last blocks of a chain, final ones too; no node may be running on it."""
    spec = chosen_spec(chain, dev=dev)
    with stopped_chain(spec, chosen_base_path(base_path)) as stopped:
        _unfinalize(stopped, count)
        # Opened again, so that it goes by the new record.
        database = open_database(stopped.genesis, stopped.store, stopped.pruning)
        for _ in range(count):
            database.revert_head()
        head = database.head()
    typer.echo(f"took back {count_of(count)}: the best block is {head.number} ({to_hex(head.hash)})")


def _unfinalize(stopped: StoppedChain, count: int) -> None:
    """Note that the last blocks are not final: without a ring nobody else has ever relied on that."""
    database, head = stopped.database, Head.decode(stopped.store.get(HEAD) or b"")
    most = head.block.number - head.floor
    if count > most:
        message = f"the best block is {head.block.number}: {count_of(most)} can be taken back at most"
        raise NodeError(ExitCode.FAILED, message)
    target = BlockNumber(head.block.number - count)
    first = database.first_body()
    if target < first:
        message = f"block {target} cannot be the best block again: bodies are kept from block {first} on"
        raise NodeError(ExitCode.FAILED, message)
    identity = database.hash_at(target)
    if target < database.finalized().number and identity is not None:
        stopped.store.write([(FINALIZED, encode_finalized(BlockRef(target, identity)))], sync=True)
