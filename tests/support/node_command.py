"""The command mfchain-node run in this process, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from node.cli import execute


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


def failed(code: int, message: str) -> Ended:
    """Return how a command ends that fails with one line."""
    return Ended(code, "", f"mfchain-node: {message}\n")


def command_line(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return what runs the command and gives its end."""

    def call(*arguments: object) -> Ended:
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call
