"""How other threads hand transactions to the node's main loop: one bounded queue, one wake-up for many."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

from rpc.service import StatusListener
from runtime.primitives import Hash

CAPACITY = 8_192


@dataclass(frozen=True, slots=True)
class Submission:
    """A transaction that somebody waits for: `answer` takes its hash or what was wrong, in the main loop's thread."""

    raw: bytes
    answer: Callable[[Hash | Exception], None]
    listener: StatusListener | None = None


class InboxFull(Exception):
    """More submissions wait than the node takes."""


class Inbox:
    """Submissions on their way into the pool."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        """Wake tasks of the trio run behind `token`."""
        self._token = token
        self._waiting: deque[Submission] = deque()
        self._lock = threading.Lock()
        self._is_woken = False
        self._event = trio.Event()

    def put(self, submission: Submission) -> None:
        """Hand in, from any thread.

        Raises:
            InboxFull: nothing was kept.
        """
        with self._lock:
            if len(self._waiting) >= CAPACITY:
                raise InboxFull
            self._waiting.append(submission)
            wake, self._is_woken = not self._is_woken, True
        if wake:
            try:
                self._token.run_sync_soon(self._wake)
            except trio.RunFinishedError:
                # The node is stopping; the RPC server outlives the main loop by a moment.
                raise InboxFull from None

    def _wake(self) -> None:
        self._event.set()

    def ask(self, question: Callable[[], object]) -> None:
        """Run a short function in the main loop's thread, from any thread."""
        self._token.run_sync_soon(question)

    async def take(self, most: int) -> list[Submission]:
        """Wait for submissions and take some."""
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
                if not batch:
                    self._is_woken = False
                    self._event = trio.Event()
            if batch:
                return batch
            await self._event.wait()
