"""What the commands print: tables for people, JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Where output goes to a file or a pipe no window sets the width: tables are as wide as their content needs.
_UNBOUNDED = 400


def print_json(value: object) -> None:
    """One line of JSON, exactly the value."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def print_line(text: str) -> None:
    """One line for people."""
    typer.echo(clean(text))


def clean(text: object) -> str:
    """Text of others' making, without the characters that steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(text))


def _console() -> Console:
    """Where tables go: standard output as it is now."""
    plain = Console(highlight=False, markup=False, soft_wrap=False)
    return plain if plain.is_terminal else Console(highlight=False, markup=False, width=_UNBOUNDED)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; titles and accounts are aligned left, all else right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("title", "account") else "right")
    for row in rows:
        table.add_row(*(Text(clean(value)) for value in row))
    _print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values below each other."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(Text(name), Text(clean(value)))
    _print(grid)


def _print(table: Table) -> None:
    """Print without the spaces that would fill lines up to the widest one."""
    target = _console()
    with target.capture() as captured:
        target.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def number(value: object, digits: int = 4) -> str:
    """A number with few digits; a dash for none."""
    if value is None:
        return "-"
    return f"{float(str(value)):.{digits}f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def spread(value: object) -> str:
    """A mean with its standard deviation, or a mere number."""
    if isinstance(value, Mapping):
        return f"{number(value['mean'])} ± {number(value['std'])}"
    return number(value)


def block_text(block: Mapping[str, object]) -> str:
    """A block's number and the beginning of its hash."""
    return f"block {block['number']} ({str(block['hash'])[:10]}…)"


def progress_console(*, quiet: bool) -> Console:
    """Where progress bars and notes go: standard error, or nowhere."""
    return Console(stderr=True, quiet=quiet)


def bars_hidden(target: Console) -> bool:
    """Whether bars would only litter a file or a pipe."""
    return target.quiet or not target.is_terminal
