"""The signals that end a node."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

log = logging.getLogger(__name__)

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def restored_signals() -> Iterator[None]:
    """Put back at the end what handles these signals now, whatever is set within."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping_signals(stopped: trio.Event) -> Iterator[None]:
    """Set the event when the process is asked to end, and do nothing else however often that is.

    trio's own receiver would raise those signals again that came after the first one. A signal comes between any two
    steps of the program, also in the middle of writing a line of the log, which does not bear that another is begun:
    so what there is to say waits until the loop gets to it.
    """
    token = trio.lowlevel.current_trio_token()

    def stop(number: int) -> None:
        log.info("stopping on %s", signal.Signals(number).name)
        stopped.set()

    with restored_signals():
        for number in STOPPING:
            signal.signal(number, lambda number, _: token.run_sync_soon(stop, number))
        yield


def ignore_signals() -> None:
    """Finish what is nearly finished: who asks twice gets the same end, with nothing left behind."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
