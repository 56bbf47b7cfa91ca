"""The way from the main loop's thread into the RPC server's loop: one wake-up for many calls."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class Crossing:
    """Calls functions in a loop that runs in another thread, in the order in which they were handed in.

    To wake a loop is a call to the system, and the thread that wakes may lose its processor by it: hundreds of
    transactions are answered at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the loop."""
        self.loop = loop
        self._waiting: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._lock = threading.Lock()

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function that raises nothing in the loop; after the loop's end nobody waits for that any more."""
        with self._lock:
            self._waiting.append((function, arguments))
            if len(self._waiting) > 1:
                return
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for function, arguments in waiting:
            function(*arguments)
