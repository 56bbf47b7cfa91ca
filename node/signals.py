"""The signals that end a node."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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


def ignore_signals() -> None:
    """Finish what is nearly finished: who asks twice gets the same end, with nothing left behind."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
