"""mfchain-node export-state: write the state at a block of a stopped node's chain."""

import sys
from typing import Annotated

import typer

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
from runtime.primitives import to_hex
from storage.chain_db import StatePruned


def export_state(
    block: Annotated[
        str | None,
        typer.Argument(metavar="[BLOCK]", help="Its number or its hash.", show_default="the best block"),
    ] = None,
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
) -> None:
    """Write all storage keys and values at a block to standard output, as JSON; no node may be running on the chain.

    The members are number, hash, stateRoot and state, an object from key to value, ascending; a pair a line.
    """
    spec = chosen_spec(chain, dev=dev)
    with stopped_chain(spec, chosen_base_path(base_path)) as stopped:
        database = stopped.database
        header = chosen_block(database, str(database.head().number) if block is None else block)
        name = header.hash()
        try:
            state = database.state_at(name)
        except StatePruned as error:
            raise NodeError(ExitCode.FAILED, str(error)) from None
        write = sys.stdout.write
        write(
            f'{{"number":{header.number},"hash":"{to_hex(name)}","stateRoot":"{to_hex(header.state_root)}","state":{{'
        )
        separator = "\n"
        for key, value in state.items(b""):
            write(f'{separator}"{to_hex(key)}":"{to_hex(value)}"')
            separator = ",\n"
        write("\n}}\n")
