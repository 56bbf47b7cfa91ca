"""The user's command `mfchain`: rates, predicts, recommends, imports, exports.

The options that hold for every subcommand (--url, --json, --suri, --key-file, --scheme) may stand before or
after it, and a negative rating is an argument like any other: both are a matter of putting the command line's
words in order before it is parsed.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from rpc.client import DEFAULT_URL
from rpc.commands import export, export_ratings, import_ratings, output, reads, ring, watch, writes
from rpc.commands.session import Session, Settings
from rpc.errors import RpcError
from rpc.failure import CommandError, describe
from runtime.crypto import Scheme

EPILOG: Final = "The options of mfchain itself (--url, --json, --suri, --key-file, --scheme) may stand here, too."
_NEGATIVE: Final = re.compile(r"-[0-9.]+")


class SchemeName(StrEnum):
    """How the signer signs."""

    ED25519 = "ed25519"
    SR25519 = "sr25519"


class Subcommand(TyperCommand):
    """A subcommand that takes negative numbers for arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put arguments behind a `--`, where nothing is an option any more."""
        options, arguments = _split(args, _valued(self.params))
        return super().parse_args(ctx, [*options, "--", *arguments])


class Group(TyperGroup):
    """All of `mfchain`: finds its own options anywhere, and tells of failures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the options of `mfchain` itself before the subcommand."""
        valued = _valued(self.params)
        flags = {name for one in _options(self.params) if one.is_flag for name in one.opts} - {"--help"}
        own: list[str] = []
        others: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                others += [word, *words]
            elif word in flags or (word.partition("=")[0] in valued and "=" in word):
                own.append(word)
            elif word in valued:
                own += [word, *_next(words)]
            else:
                others.append(word)
        return super().parse_args(ctx, [*own, *others])

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; a failure is told in a line, or as JSON with --json, and the exit code is 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever reads the output has enough
            raise
        except (CommandError, RpcError, OSError) as error:
            _tell(error, as_json=bool(ctx.params.get("as_json")))
            raise typer.Exit(1) from error


def _next(words: Iterator[str]) -> list[str]:
    word = next(words, None)
    return [] if word is None else [word]


def _options(params: Sequence[object]) -> list[TyperOption]:
    return [one for one in params if isinstance(one, TyperOption)]


def _valued(params: Sequence[object]) -> set[str]:
    """The names of options that take a value."""
    return {name for one in _options(params) if not one.is_flag for name in one.opts}


def _split(args: Sequence[str], valued: set[str]) -> tuple[list[str], list[str]]:
    """Options with their values, and arguments."""
    options: list[str] = []
    arguments: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            arguments += words
        elif word in valued:
            options += [word, *_next(words)]
        elif word.startswith("-") and len(word) > 1 and not _NEGATIVE.fullmatch(word):
            options.append(word)
        else:
            arguments.append(word)
    return options, arguments


def _tell(error: Exception, *, as_json: bool) -> None:
    told = describe(error)
    if as_json:
        output.print_json({"error": told})
    else:
        typer.echo(output.clean(f"mfchain: {told['message']}"), err=True)


app = typer.Typer(
    name="mfchain",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Rate items on an mfchain node, ask for predictions, import and export.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mfchain {version('mfchain')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="The node: ws://, or http:// for what only reads.")] = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    suri: Annotated[str | None, typer.Option(help="Who signs: a secret URI, like //Alice.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Who signs: a file that holds a secret URI.")] = None,
    scheme: Annotated[SchemeName, typer.Option(help="How the signer signs.")] = SchemeName.ED25519,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Keep the options for the subcommand."""
    session = Session(Settings(url, as_json, suri, key_file, Scheme[scheme.name]))
    context.obj = session
    context.call_on_close(session.close)


for name, command in (
    ("status", reads.status),
    ("items", reads.items),
    ("rate", writes.rate),
    ("retract", writes.retract),
    ("predict", reads.predict),
    ("recommend", reads.recommend),
    ("similar", reads.similar),
    ("me", reads.me),
    ("register-item", writes.register),
    ("import", import_ratings.import_ratings),
    ("export-model", export.export_model),
    ("export-ratings", export_ratings.export_ratings),
    ("watch", watch.watch),
    ("join", ring.join),
    ("leave", ring.leave),
):
    app.command(name, cls=Subcommand, epilog=EPILOG)(command)


def main() -> None:
    """Run the command."""
    sys.exit(app())


if __name__ == "__main__":
    main()
