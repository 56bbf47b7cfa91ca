"""The signals that end a node."""

import signal
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def ignore_signals() -> None:
    """Finish what is nearly finished: who asks twice gets the same end, with nothing left behind."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
