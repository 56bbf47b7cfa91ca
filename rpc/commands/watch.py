"""The subcommand watch: a line for each block as it comes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer

from rpc.client import Subscription
from rpc.commands.output import print_line
from rpc.commands.session import Session, session
from rpc.failure import expecting
from rpc.transactions import head_of

# A block's header and its model travel apart; most blocks that leave the model alone are empty and rare.
MODEL_PATIENCE = 0.25
LONGEST_SILENCE = 24 * 3600.0


def watch(
    context: typer.Context,
    blocks: Annotated[int | None, typer.Option(min=1, help="Stop after this many; go on without it.")] = None,
) -> None:
    """Print a line for each new block until interrupted."""
    here = session(context)
    with suppress(KeyboardInterrupt):
        _follow(here, blocks)


def _follow(here: Session, blocks: int | None) -> None:
    with (
        here.node.subscribe("mf_subscribeModel") as models,
        here.node.subscribe("chain_subscribeNewHeads", timeout=LONGEST_SILENCE) as heads,
    ):
        known: Any = None
        for count, (block, model) in enumerate(_blocks(heads, models), 1):
            if here.as_json:
                here.print({"block": block, "model": model})
            else:
                print_line(_line(block, model, known))
            known = model or known
            if count == blocks:
                break


def _blocks(heads: Subscription, models: Subscription) -> Iterator[tuple[dict[str, object], Any]]:
    """Each new block with its model, which is None where the block left it as it was."""
    waiting: Any = None
    for header in heads:
        with expecting("chain_subscribeNewHeads"):
            digest, number = head_of(header)
        model = None
        with expecting("mf_subscribeModel"):
            while waiting is None or waiting["block"]["number"] <= number:
                if waiting is not None and waiting["block"]["hash"] == digest:
                    model, waiting = waiting, None
                    break
                try:
                    waiting = models.next(MODEL_PATIENCE)
                except TimeoutError:
                    waiting = None
                    break
        yield {"hash": digest, "number": number}, model


def _line(block: dict[str, object], model: Any, before: Any) -> str:
    text = f"#{block['number']} {str(block['hash'])[:18]}…"
    if model is None:
        return text
    with expecting("mf_subscribeModel"):
        gained = model["ratings"] - (before["ratings"] if before else model["ratings"])
        change = f" ({gained:+d})" if gained else ""
        state = "canonical" if model["canonical"] else f"{model['ratingsSinceEpoch']} since the epoch"
        size = f"{model['ratings']} ratings{change}, {model['users']} users, {model['items']} items"
        return f"{text}  {size}, {state}"
