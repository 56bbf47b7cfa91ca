"""The subcommand import: a CSV file of ratings becomes signed transactions of as many accounts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rpc.commands.output import bars_hidden, block_text, print_line, progress_console
from rpc.commands.session import Session, session
from rpc.failure import CommandError, Failing
from rpc.importing.link import Link
from rpc.importing.plan import MAX_BATCH
from rpc.importing.run import Import, Options, Outcome


class RateColumn(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """The column's text."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@dataclass(slots=True)
class ProgressReports:
    """Stages as progress bars, notes as lines, on standard error."""

    progress: Progress

    def note(self, text: str) -> None:
        """A line above the bars."""
        self.progress.console.print(text, markup=False, highlight=False)

    def stage(self, name: str, total: int) -> Callable[[int], None]:
        """A new bar. What was done before it began does not count for its speed."""
        task = self.progress.add_task(name, total=total, start=False)

        def report(done: int) -> None:
            if not self.progress.tasks[task].started:
                self.progress.reset(task, total=total, completed=done)
            else:
                self.progress.update(task, completed=done)

        return report


def import_ratings(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV: user,item,rating[,timestamp]; a header is optional.")],
    titles: Annotated[Path | None, typer.Option(help='CSV: item,title. Without it items are called "item N".')] = None,
    suri_prefix: Annotated[str, typer.Option(help="User N of the file is the account PREFIX//N.")] = "//user",
    batch: Annotated[int, typer.Option(min=1, max=MAX_BATCH, help="Ratings a signature, at most.")] = MAX_BATCH,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Most ratings a second.")] = None,
    strict_order: Annotated[
        bool, typer.Option("--strict-order", help="Send a window only when the one before is in blocks.")
    ] = False,
    window: Annotated[int, typer.Option(min=1, help="Ratings among which users' batches are gathered.")] = 4_096,
) -> None:
    """Import a file of ratings; the same command goes on after an interruption."""
    here = session(context)
    options = Options(suri_prefix, titles, batch, window, rate, strict_order)
    link = Link(here.settings.url)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    target = progress_console(quiet=here.as_json)
    with Progress(*columns, console=target, disable=bars_hidden(target)) as progress:
        job = Import(link, file, options, ProgressReports(progress))
        try:
            outcome = job.run()
        except KeyboardInterrupt as error:
            done = f"{job.included} of {job.total} ratings in"
            message = f"interrupted with {done}: the same command goes on from there"
            raise CommandError(Failing.INTERRUPTED, message) from error
        finally:
            link.close()
    _print(here, outcome)


def _print(here: Session, outcome: Outcome) -> None:
    if here.as_json:
        here.print(
            {
                "ratings": outcome.ratings,
                "already": outcome.already,
                "users": outcome.users,
                "items": outcome.items,
                "transactions": outcome.transactions,
                "seconds": round(outcome.seconds, 3),
                "ratingsPerSecond": round(outcome.per_second, 1),
                "blocks": outcome.blocks,
                "block": outcome.block,
            }
        )
        return
    if outcome.already == outcome.ratings:
        print_line(f"all {outcome.ratings:,} ratings were imported before, {block_text(outcome.block)}")
        return
    before = f" ({outcome.already:,} more were in before)" if outcome.already else ""
    what = f"{outcome.ratings - outcome.already:,} ratings of {outcome.users:,} users on {outcome.items:,} items"
    speed = f"{outcome.seconds:.1f} s, {outcome.per_second:,.0f} ratings/s, {outcome.blocks:,} blocks"
    print_line(f"imported {what}{before}: {speed}")
