"""The subcommand export-ratings: the ratings that a range of blocks brought, as a Parquet file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import track

from rpc.client import RpcClient
from rpc.commands.output import bars_hidden, print_line, progress_console
from rpc.commands.session import session
from rpc.failure import CommandError, Failing, expecting
from rpc.transactions import batch_results
from runtime.extrinsic import Extrinsic
from runtime.primitives import from_hex
from runtime.scale import ScaleError

_PALLET: Final = "MatrixFactorization"
_CALLS: Final = (b"\x08\x00", b"\x08\x02", b"\x08\x04")
"""The calls that change ratings: submit_rating, retract_rating, submit_ratings."""

_BLOCKS_AT_ONCE: Final = 64
_ROWS_AT_ONCE: Final = 50_000

Row = tuple[int, int, str, int, int | None]


def export_ratings(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write, *.parquet.")],
    start: Annotated[int, typer.Option("--from", min=1, help="The first block.")] = 1,
    end: Annotated[int | None, typer.Option("--to", min=1, help="The last block; the best one by default.")] = None,
) -> None:
    """Write every rating that blocks brought, changed or took back to FILE (Parquet).

    Columns: block, extrinsic, account, item, rating; no rating where one was taken back. Only what took effect is
    there, which the node tells from the events of a block: for old blocks it needs --state-pruning archive.
    """
    here = session(context)
    best = here.call("chain_getHeader")
    with expecting("chain_getHeader"):
        last = int(best["number"], 16) if end is None else end
    if last < start:
        raise CommandError(Failing.INVALID_ARGUMENT, f"--to {last} comes before --from {start}")
    genesis = str(here.call("chain_getBlockHash", 0))
    rows = _write(file, _rows(here.node, start, last, quiet=here.as_json), {"genesis": genesis})
    if here.as_json:
        here.print({"file": str(file), "from": start, "to": last, "rows": rows})
        return
    print_line(f"{file}: {rows} rows of blocks {start} to {last}")


def _rows(node: RpcClient, start: int, last: int, *, quiet: bool) -> Iterator[Row]:
    """What the blocks did to ratings, in their order."""
    target = progress_console(quiet=quiet)
    parts = [range(first, min(first + _BLOCKS_AT_ONCE, last + 1)) for first in range(start, last + 1, _BLOCKS_AT_ONCE)]
    for part in track(parts, "reading blocks", console=target, transient=True, disable=bars_hidden(target)):
        hashes = batch_results(node, [("chain_getBlockHash", [number]) for number in part])
        for number, name in zip(part, hashes, strict=True):
            if name is None:
                raise CommandError(Failing.INVALID_ARGUMENT, f"there is no block {number}")
        blocks = batch_results(node, [("chain_getBlock", [name]) for name in hashes])
        places = [
            (number, name, index)
            for number, name, block in zip(part, hashes, blocks, strict=True)
            for index in _rating_extrinsics(block)
        ]
        events = batch_results(node, [("mf_transactionEvents", [name, index]) for _, name, index in places])
        for (number, _, index), told in zip(places, events, strict=True):
            yield from _rows_of(number, index, told)


def _rating_extrinsics(block: Any) -> list[int]:
    """The places in a block of the transactions that could change ratings."""
    found = []
    with expecting("chain_getBlock"):
        raws = [from_hex(raw) for raw in block["block"]["extrinsics"]]
    for index, raw in enumerate(raws):
        try:
            if Extrinsic.decode(raw).call[:2] in _CALLS:
                found.append(index)
        except ScaleError:
            message = "the node's answer to chain_getBlock is not of the expected form"
            raise CommandError(Failing.UNEXPECTED_ANSWER, message) from None
    return found


def _rows_of(block: int, extrinsic: int, events: Any) -> Iterator[Row]:
    with expecting("mf_transactionEvents"):
        for event in events:
            fields = event["fields"]
            if event["pallet"] == _PALLET and event["event"] in ("RatingSubmitted", "RatingRetracted"):
                given = int(fields["rating"]) if event["event"] == "RatingSubmitted" else None
                yield block, extrinsic, str(fields["account"]), int(fields["item"]), given


def _write(path: Path, rows: Iterator[Row], about: dict[str, str]) -> int:
    """Write a whole file or none; return the number of rows."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        message = "writing Parquet needs pyarrow, which the extra `movielens` brings"
        raise CommandError(Failing.FILE_FAILED, message) from error
    fields = [("block", pa.uint32()), ("extrinsic", pa.uint32()), ("account", pa.string())]
    schema = pa.schema([*fields, ("item", pa.uint64()), ("rating", pa.int64())], metadata=about)
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            waiting: list[Row] = []
            for row in rows:
                waiting.append(row)
                count += 1
                if len(waiting) == _ROWS_AT_ONCE:
                    writer.write_table(_table(pa, schema, waiting))
                    waiting = []
            writer.write_table(_table(pa, schema, waiting))
        part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(Failing.FILE_FAILED, f"{path} cannot be written: {reason}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _table(pa: Any, schema: Any, rows: list[Row]) -> Any:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
