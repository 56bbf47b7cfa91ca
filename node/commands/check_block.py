"""mfchain-node check-block: execute one block of a stopped node's chain again."""

import time
from typing import Annotated

import typer

from node.chain import Chain
from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    chosen_base_path,
    chosen_block,
    chosen_spec,
    stopped_chain,
)
from node.errors import ExitCode, NodeError
from runtime.interface.errors import InvalidBlock
from runtime.primitives import to_hex
from storage.chain_db import StatePruned


def check_block(
    block: Annotated[str, typer.Argument(metavar="BLOCK", help="Its number or its hash.")],
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
) -> None:
    """Execute a block again on the state of its parent and compare the roots; no node may be running on the chain.

    The database stays as it is. The state of the parent must be kept.
    """
    spec = chosen_spec(chain, dev=dev)
    with stopped_chain(spec, chosen_base_path(base_path)) as stopped:
        header = chosen_block(stopped.database, block)
        stored = stopped.database.block(header.hash())
        if header.number == 0:
            raise NodeError(ExitCode.FAILED, "block 0 is where the chain begins: there is nothing to execute")
        if stored is None:
            raise NodeError(ExitCode.FAILED, f"the extrinsics of block {header.number} are not kept")
        opened = Chain(spec, stopped.genesis.runtime, stopped.database)
        begin = time.perf_counter()
        try:
            failed = opened.execute_again(stored)
        except StatePruned as error:
            raise NodeError(ExitCode.FAILED, f"block {header.number} cannot be executed again: {error}") from None
        except InvalidBlock as error:
            raise NodeError(ExitCode.FAILED, f"block {header.number} is not valid: {error}") from None
        milliseconds = (time.perf_counter() - begin) * 1_000
    typer.echo(f"block {header.number} ({to_hex(header.hash())}) is valid: state root {to_hex(header.state_root)}")
    typer.echo(f"{len(stored.extrinsics)} extrinsics, of which {failed} failed, in {milliseconds:.0f} ms")
