"""The eyes of the other tests: what of a node's log they let pass."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from node.commands.logs import TextFormatter
from tests.support.networks import check_readable
from tests.support.processes import Lines, NodeProcess, loud_lines


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


def node_that_wrote(*lines: str) -> NodeProcess:
    log = Lines(io.StringIO("\n".join(lines) + "\n"))
    log.rest()
    return NodeProcess(("--alice",), SimpleNamespace(err=log))


def test_what_is_loud_is_told_before_the_rest() -> None:
    quiet, loud = logged(logging.INFO), logged(logging.WARNING)
    node = node_that_wrote(*quiet, *loud, *quiet)
    with pytest.raises(AssertionError) as caught:
        node.check_log()
    assert str(caught.value).startswith("\n".join([*loud, "", "The log of --alice:", *quiet, *loud, *quiet]))
    node_that_wrote(*quiet).check_log()


def test_what_a_reader_would_stumble_over_is_told_before_the_rest() -> None:
    block = "2026-01-01 00:00:00.000 INFO  node.head_follower: block 3 0x01234567: 2 transactions"
    strange = "2026-01-01 00:00:00.000 INFO  node.service: lost its way"
    for fault, lines in ((strange, [block, strange]), ("head_follower: block 3 0x01234567: ", [block, block])):
        with pytest.raises(AssertionError) as caught:
            check_readable(node_that_wrote(*lines))
        assert str(caught.value).startswith("\n".join([fault, "", "The log of --alice:", *lines]))
    check_readable(node_that_wrote(block))
