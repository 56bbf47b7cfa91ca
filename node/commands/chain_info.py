"""mfchain-node chain-info: what a stopped node's database holds."""

from typing import Annotated

import orjson
import typer

from node.chain_spec import ChainSpec
from node.commands.common import (
    BasePath,
    ChainOption,
    DevChain,
    StoppedChain,
    chosen_base_path,
    chosen_spec,
    stopped_chain,
)
from pallets.matrix_factorization.storage import ITEM_COUNT, MODEL
from runtime.primitives import BlockRef, to_hex

_LABELS = {
    "name": "chain",
    "id": "id",
    "database": "database",
    "statePruning": "state pruning",
    "firstBody": "bodies from",
    "genesis": "genesis",
    "best": "best",
    "finalized": "finalized",
    "items": "items",
    "users": "users",
    "ratings": "ratings",
    "canonical": "model at rest",
}


def chain_info(
    chain: ChainOption = None,
    dev: DevChain = False,
    base_path: BasePath = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what the database of a chain holds; no node may be running on it."""
    spec = chosen_spec(chain, dev=dev)
    with stopped_chain(spec, chosen_base_path(base_path)) as stopped:
        info = _info(spec, stopped)
    if as_json:
        typer.echo(orjson.dumps(info))
        return
    for name, value in info.items():
        typer.echo(f"{_LABELS[name]:<16}{_text(value)}")


def _text(value: object) -> str:
    """A fact, for people."""
    if isinstance(value, dict):
        return f"block {value['number']} ({value['hash']})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _info(spec: ChainSpec, stopped: StoppedChain) -> dict[str, object]:
    database = stopped.database
    best = database.head()
    state = database.state_at(best.hash)
    model = MODEL.get(state)
    return {
        "name": spec.name,
        "id": spec.id,
        "database": str(stopped.path),
        "statePruning": "archive" if stopped.pruning is None else stopped.pruning,
        "firstBody": max(1, database.first_body()),
        "genesis": to_hex(stopped.genesis.header.hash()),
        "best": _block(best),
        "finalized": _block(database.finalized()),
        "items": ITEM_COUNT.get(state),
        "users": model.users,
        "ratings": model.ratings,
        "canonical": model.is_canonical,
    }


def _block(ref: BlockRef) -> dict[str, object]:
    return {"number": ref.number, "hash": to_hex(ref.hash)}
