"""Subcommands that send a transaction: rate, retract, register-item."""

from typing import Annotated, Any

import typer

from rpc.commands.output import block_text, print_line
from rpc.commands.reads import Item
from rpc.commands.session import Session, session
from rpc.failure import CommandError, Failing, expecting
from rpc.transactions import (
    next_nonce,
    register_item,
    retract_rating,
    signing_now,
    submit,
    submit_and_wait,
    submit_rating,
)
from runtime.extrinsic import extrinsic_hash
from runtime.primitives import to_hex

LARGEST_RATING = 2**63 - 1
OUT_OF_RANGE = "RatingOutOfRange"
"""The pallet's error for a rating that its chain does not know."""

NoWait = Annotated[bool, typer.Option("--no-wait", help="Send only; do not wait for a block.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds to wait for a block.")]


def rate(
    context: typer.Context,
    item: Item,
    rating: Annotated[str, typer.Argument(help="A number of the chain's scale, or like or dislike.")],
    no_wait: NoWait = False,
    timeout: Timeout = 60.0,
) -> None:
    """Rate an item."""
    here = session(context)
    value = _rating(here, rating)
    try:
        send_call(here, submit_rating(item, value), f"rated item {item} with {value}", no_wait, timeout)
    except CommandError as error:
        if error.reason != OUT_OF_RANGE:
            raise
        raise CommandError(error.reason, f"{error.message} {_scale_text(here)}", error.data) from None


def retract(context: typer.Context, item: Item, no_wait: NoWait = False, timeout: Timeout = 60.0) -> None:
    """Take a rating back."""
    here = session(context)
    send_call(here, retract_rating(item), f"took back the rating of item {item}", no_wait, timeout)


def register(
    context: typer.Context,
    title: Annotated[str, typer.Argument(help="The item's title.")],
    no_wait: NoWait = False,
    timeout: Timeout = 60.0,
) -> None:
    """Add an item that can be rated."""
    here = session(context)
    if not title.strip():
        raise CommandError(Failing.INVALID_ARGUMENT, "an item needs a title")
    send_call(here, register_item(title), f"registered {title}", no_wait, timeout)


def _rating(here: Session, text: str) -> int:
    """The number that a rating's text means: itself, an end of the scale, or one of the scale's labels."""
    try:
        value = int(text)
    except ValueError:
        scale = _scale(here)
        with expecting("mf_model"):
            names = {"like": int(scale["max"]), "dislike": int(scale["min"])}
            names |= {str(label): int(number) for number, label in (scale.get("labels") or {}).items()}
        if text not in names:
            known = ", ".join(names)
            raise CommandError(
                Failing.INVALID_ARGUMENT, f"{text} is no rating: give a number or one of {known}"
            ) from None
        return names[text]
    if abs(value) > LARGEST_RATING:
        raise CommandError(Failing.INVALID_ARGUMENT, f"{text} is out of every scale")
    return value


def _scale_text(here: Session) -> str:
    """Which ratings the chain takes."""
    scale = _scale(here)
    with expecting("mf_model"):
        return f"They go from {scale['min']} to {scale['max']} in steps of {scale['step']}."


def _scale(here: Session) -> Any:
    model = here.call("mf_model")
    with expecting("mf_model"):
        return model["scale"]


def send_call(here: Session, call: bytes, what: str, no_wait: bool, timeout: float) -> None:
    """Sign, send, wait for the block, and print what happened there."""
    pair = here.signer()
    signing = signing_now(here.node)
    extrinsic = signing.sign(pair, call, next_nonce(here.node, pair.public))
    digest = to_hex(extrinsic_hash(extrinsic))
    if no_wait:
        submit(here.node, extrinsic)
        if here.as_json:
            here.print({"extrinsicHash": digest})
        else:
            print_line(f"sent {digest}")
        return
    block_hash = submit_and_wait(here.node, extrinsic, timeout)
    header = here.call("chain_getHeader", block_hash)
    events = here.call("mf_transactionEvents", block_hash, digest)
    with expecting("chain_getHeader"):
        block = {"hash": block_hash, "number": int(header["number"], 16)}
    _raise_dispatch_failure(events, digest, block)
    if here.as_json:
        here.print({"extrinsicHash": digest, "block": block, "events": events})
        return
    print_line(f"{what}: {block_text(block)}")
    with expecting("mf_transactionEvents"):
        for event in events:
            if event["pallet"] != "System":
                fields = " ".join(f"{name}={value}" for name, value in event["fields"].items())
                print_line(f"  {event['pallet']}.{event['event']} {fields}")


def _raise_dispatch_failure(events: Any, digest: str, block: dict[str, object]) -> None:
    with expecting("mf_transactionEvents"):
        failed = [one for one in events if (one["pallet"], one["event"]) == ("System", "ExtrinsicFailed")]
        if not failed:
            return
        error = failed[0]["fields"]["error"]
        data = {"pallet": error["pallet"], "extrinsicHash": digest, "block": block}
        message = f"{error['name']}: {error['message']}"
        reason = str(error["name"])
    raise CommandError(reason, message, data)
