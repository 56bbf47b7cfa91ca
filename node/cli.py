"""The command mfchain-node: which subcommands there are, and how each of its failures ends."""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from node.chain_spec import SpecError
from node.commands import key
from node.commands.benchmark import benchmark
from node.commands.chain_info import chain_info
from node.commands.check_block import check_block
from node.commands.compact import compact
from node.commands.export_blocks import export_blocks
from node.commands.export_chain_spec import export_chain_spec
from node.commands.export_state import export_state
from node.commands.generate_node_key import generate_node_key
from node.commands.import_blocks import import_blocks
from node.commands.purge_chain import purge_chain
from node.commands.revert import revert
from node.commands.run import run
from node.config import VERSION
from node.errors import ExitCode, NodeError, first_error
from node.keystore import KeystoreError
from node.signals import ignore_signals
from runtime.keys import SecretError
from storage.errors import StorageError

PROGRAM: Final = "mfchain-node"

_DEFAULT: Final = "run"
_OWN_OPTIONS: Final = ("--help", "-h", "--version")
_INTERRUPTED: Final = 130

log = logging.getLogger(__name__)


class DefaultRun(TyperGroup):
    """Takes options without a subcommand for those of `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in the subcommand that was left out."""
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the options of `run` as well."""
        super().format_help(ctx, formatter)
        command = self.commands[_DEFAULT]
        with command.make_context(_DEFAULT, [], parent=ctx, resilient_parsing=True) as context:
            command.format_help(context, formatter)


app = typer.Typer(
    name=PROGRAM,
    cls=DefaultRun,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {VERSION}")
        raise typer.Exit


@app.callback()
def mfchain_node(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A node of a chain that learns a recommender system from signed ratings.

    Without a command it runs: `mfchain-node --dev` and `mfchain-node run --dev` are the same.
    """


app.command()(run)
app.add_typer(key.app, name="key")
app.command()(generate_node_key)
app.command()(export_chain_spec)
app.command("build-spec", hidden=True)(export_chain_spec)
app.command()(chain_info)
app.command()(export_blocks)
app.command()(import_blocks)
app.command()(check_block)
app.command()(export_state)
app.command()(revert)
app.command()(compact)
app.command()(benchmark)
app.command()(purge_chain)

_command = typer.main.get_command(app)


def execute(arguments: Sequence[str]) -> int:
    """Run the command with these arguments; return its exit code. Failures are one line on standard error."""
    try:
        result = _command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except Exception as error:
        return _failed(*_explained(first_error(error)))
    if result == _INTERRUPTED:
        return _failed(ExitCode.FAILED, "interrupted")
    return result if isinstance(result, int) else ExitCode.STOPPED


def _explained(error: BaseException) -> tuple[ExitCode, str]:
    """The exit code and the reason that an error stands for."""
    match error:
        case NodeError():
            return error.exit_code, str(error)
        case SpecError() | SecretError():
            return ExitCode.USAGE, str(error)
        case StorageError():
            return ExitCode.DATABASE_REFUSED, str(error)
        case KeystoreError():
            return ExitCode.FAILED, str(error)
        case typer.TyperException():
            code = ExitCode.USAGE if error.exit_code == ExitCode.USAGE else ExitCode.FAILED
            return code, error.format_message()
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return ExitCode.FAILED, f"{error.strerror or error}{where}"
        case _:
            log.debug("unexpected failure", exc_info=error)
            return ExitCode.FAILED, f"unexpected {type(error).__name__}: {error}"


def _failed(code: ExitCode, reason: str) -> int:
    """Print why, on one line; help that was printed instead needs no reason."""
    if reason:
        typer.echo(f"{PROGRAM}: {' '.join(reason.split())}", err=True)
    return code


def main() -> None:
    """Run the command with the arguments of the process, and end it."""
    code = execute(sys.argv[1:])
    ignore_signals()
    sys.exit(code)
