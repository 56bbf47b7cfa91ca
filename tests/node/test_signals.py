"""What a signal does to a node, at whatever moment it comes."""

import io
import logging
import signal
from typing import Any

import pytest
import trio

from node.signals import STOPPING, stopping_signals


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_a_signal_stops_and_is_told_of_later(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is written while the signal is handled: a line of the log may just be under way."""
    caplog.set_level(logging.INFO)
    before = signal.getsignal(number)

    async def main() -> None:
        stopped = trio.Event()
        with stopping_signals(stopped):
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert not caplog.messages
            await stopped.wait()
            assert caplog.messages[0] == f"stopping on {number.name}"

    trio.run(main)
    assert signal.getsignal(number) is before


class _Interrupted(io.RawIOBase):
    """Where a log is written to; a signal comes in the middle of the first line."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.written:
            self.written += b"."
            signal.raise_signal(signal.SIGTERM)
        self.written += data
        return len(memoryview(data))


def test_a_signal_in_the_middle_of_a_line_of_the_log_is_not_lost() -> None:
    raw = _Interrupted()
    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True))
    logger = logging.getLogger("node.signals")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    async def main() -> None:
        stopped = trio.Event()
        with stopping_signals(stopped):
            logger.info("a line")
            await stopped.wait()

    try:
        trio.run(main)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert raw.written == b".a line\nstopping on SIGTERM\n"
