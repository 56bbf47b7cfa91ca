"""The eyes of the other tests: what of a node's log they let pass."""

import logging
import sys

import pytest

from node.commands.logs import TextFormatter
from tests.support.processes import loud_lines


def logged(level: int, *, raised: bool = False) -> list[str]:
    """What a node writes about something."""
    trace = None
    if raised:
        try:
            raise OSError("no disk")
        except OSError:
            trace = sys.exc_info()
    record = logging.LogRecord("node.service", level, "service.py", 1, "block %d", (7,), trace)
    return TextFormatter().format(record).splitlines()


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_a_quiet_line_passes(level: int) -> None:
    assert len(logged(level)) == 1
    assert loud_lines(logged(level)) == []


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_a_loud_one_does_not(level: int) -> None:
    loud = logged(level)
    assert loud_lines([*logged(logging.INFO), *loud]) == loud


def test_a_traceback_does_not() -> None:
    lines = logged(logging.INFO, raised=True)
    assert lines[-1] == "OSError: no disk"
    assert loud_lines(lines) == lines[1:]


def test_what_others_print_does_not() -> None:
    line = "site-packages/thing.py:3: DeprecationWarning: use another"
    assert loud_lines([line]) == [line]
