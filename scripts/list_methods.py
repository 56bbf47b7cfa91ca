"""Writes docs/rpc-methods.md, the list of all JSON-RPC methods, from their declarations."""

from pathlib import Path

from rpc.methods import all_methods
from rpc.openrpc import table

PATH = Path(__file__).parents[1] / "docs" / "rpc-methods.md"

TEXT = """# All JSON-RPC methods

Written by `python scripts/list_methods.py` from the declarations in `rpc/methods/`; a test compares. A running node
gives the same, with the schemas of parameters and results, as an OpenRPC document at `/openrpc.json`. Parameters with
`?` may be left out. Methods marked unsafe are for the node's operator (`--rpc-methods`). Subscriptions,
`chainHead_v1_*` and `transaction_v1_*` need a WebSocket.

"""


def text() -> str:
    """The whole file."""
    return TEXT + table(all_methods())


if __name__ == "__main__":
    PATH.write_text(text())
