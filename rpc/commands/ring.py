"""Subcommands of producers: join (which finds the work) and leave."""

import time
from itertools import count
from typing import Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rpc.commands.output import bars_hidden, progress_console
from rpc.commands.session import Session, session
from rpc.commands.writes import NoWait, Timeout, send_call
from rpc.failure import CommandError, Failing, expecting
from rpc.transactions import join_ring, leave_ring, signing_now
from runtime.crypto import Scheme
from runtime.primitives import AccountId, Hash, from_hex
from runtime.work import find_nonce, join_prefix

CHUNK: Final = 50_000
"""Hashes between two looks at the clock and the bar: some tens of milliseconds."""
FRESH_SECONDS: Final = 60.0
"""How long work is looked for over the same block: each hash is as good as any other, but blocks grow old."""


def join(
    context: typer.Context,
    no_wait: NoWait = False,
    timeout: Timeout = 60.0,
) -> None:
    """Join the ring of producers: find the work it takes, and send it. The node must run with the same key."""
    here = session(context)
    pair = here.signer()
    if pair.scheme is not Scheme.ED25519:
        raise CommandError(Failing.INVALID_ARGUMENT, "producers sign with ed25519")
    recent, nonce = _find_work(here, pair.public)
    send_call(here, join_ring(recent, nonce), "waits to join the ring", no_wait, timeout)


def leave(context: typer.Context, no_wait: NoWait = False, timeout: Timeout = 60.0) -> None:
    """Leave the ring of producers. Keep the node running until others have taken over its vote."""
    send_call(session(context), leave_ring(), "leaves the ring with the next epoch", no_wait, timeout)


def _find_work(here: Session, account: AccountId) -> tuple[int, int]:
    """Find work for joining; return the block that it is for and the nonce."""
    console = progress_console(quiet=here.as_json)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn())
    work, genesis = _terms(here)
    tried, began = 0, time.monotonic()
    with Progress(*columns, console=console, disable=bars_hidden(console)) as progress:
        bar = progress.add_task("finding the work", total=work, rate="")
        while True:
            recent, prefix = _recent_block(here, genesis, account)
            until = time.monotonic() + FRESH_SECONDS
            for start in count(step=CHUNK):
                nonce = find_nonce(prefix, work, start, CHUNK)
                tried += CHUNK
                rate = f"{tried / (time.monotonic() - began):,.0f} hashes/s"
                # It takes as many hashes as the chain asks for on average; luck has no end.
                done = min(tried, work - 1) if nonce is None else work
                progress.update(bar, completed=done, rate=rate)
                if nonce is not None:
                    return recent, nonce
                if time.monotonic() > until:
                    break


def _terms(here: Session) -> tuple[int, Hash]:
    """Ask what joining takes on this chain, and which chain it is."""
    status, genesis = here.call("ring_status"), here.call("chain_getBlockHash", 0)
    with expecting("ring_status"):
        if status["join"] is None:
            raise CommandError(Failing.INVALID_ARGUMENT, "this chain is not sealed by a ring: there is none to join")
        return int(status["join"]["work"]), Hash(from_hex(genesis, 32))


def _recent_block(here: Session, genesis: Hash, account: AccountId) -> tuple[int, bytes]:
    """Return the block that the work is for, one that is likely to stay, and what the work is over."""
    reference = signing_now(here.node).reference
    name = here.call("chain_getBlockHash", reference)
    with expecting("chain_getBlockHash"):
        return reference, join_prefix(genesis, Hash(from_hex(name, 32)), account)
