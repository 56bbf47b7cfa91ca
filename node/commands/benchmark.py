"""mfchain-node benchmark: whether this machine keeps up with what the chain charges for calls."""

import tempfile
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from node.ring_weights import RING_ROUNDS, measure_ring, ring_cases
from node.weights import REFERENCE_CHECK, Cost, cases, measure
from storage.leveldb import LevelDbStore

_MICROSECONDS: Final = 1e6


def benchmark(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    scale: Annotated[
        float, typer.Option(min=0.01, max=10.0, help="Transactions in a block, relative to the usual number.")
    ] = 1.0,
) -> None:
    """Measure every call on this machine, beside the weight that it is charged.

    A block holds as much weight as its limit says, a promise of so many seconds: a machine on which a call takes more
    than it is charged cannot keep up with full blocks of it. Whole blocks of a ring, without any transaction, are
    charged to nobody.
    """
    with tempfile.TemporaryDirectory(prefix="mfchain-benchmark-") as directory:
        numbers = count()

        def make_store() -> LevelDbStore:
            return LevelDbStore(Path(directory) / str(next(numbers)))

        costs = chain(
            measure(make_store, cases(scale)),
            measure_ring(make_store, ring_cases(scale), max(1, round(RING_ROUNDS * scale))),
        )
        if as_json:
            typer.echo(orjson.dumps([_row(cost) for cost in costs]))
        else:
            _print(costs)


def _row(cost: Cost) -> dict[str, object]:
    return {
        "call": cost.name,
        "chargedSeconds": cost.charged,
        "measuredSeconds": cost.measured,
        "signatureCheckSeconds": cost.check,
        "referenceSeconds": cost.on_reference,
        "share": cost.ratio,
    }


def _print(costs: Iterable[Cost]) -> None:
    columns = f"{'charged':>10}{'here':>10}{'check':>8}{'reference':>11}{'share':>8}"
    typer.echo(f"{'microseconds of CPU, each':<42}{columns}")
    for cost in costs:
        charged, share = "-", "-"
        if cost.charged is not None and cost.ratio is not None:
            charged, share = f"{cost.charged * _MICROSECONDS:,.0f}", f"{cost.ratio:.0%}"
        here, check, reference = (seconds * _MICROSECONDS for seconds in (cost.measured, cost.check, cost.on_reference))
        typer.echo(f"{cost.name:<42}{charged:>10}{here:>10,.0f}{check:>8.0f}{reference:>11,.0f}{share:>8}")
    reference_check = f"{REFERENCE_CHECK * _MICROSECONDS:.0f}"
    typer.echo(f"check: a signature check meanwhile; reference: a machine on which that takes {reference_check}")
