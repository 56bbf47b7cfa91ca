"""mfchain-node generate-node-key: make the key that is a node's identity among its peers."""

from pathlib import Path
from typing import Annotated

import typer

from node.node_key import new_node_key, write_node_key
from p2p.addresses import peer_id_from_seed


def generate_node_key(
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Keep the key here instead of printing it.")
    ] = None,
) -> None:
    """Make a key for --node-key; the peer id that goes with it is printed on standard error."""
    seed = new_node_key()
    if file is None:
        typer.echo(seed.hex())
    else:
        write_node_key(file, seed)
    typer.echo(peer_id_from_seed(seed), err=True)
