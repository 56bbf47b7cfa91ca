"""mfchain-node export-chain-spec: print a whole chain specification."""

import typer

from node.chain_spec import render
from node.commands.common import ChainOption, DevChain, chosen_spec


def export_chain_spec(chain: ChainOption = None, dev: DevChain = False) -> None:
    """Print a chain specification with every member, defaults too."""
    # As bytes: the file is UTF-8 whatever the terminal's encoding.
    typer.echo(render(chosen_spec(chain, dev=dev)), nl=False)
