"""A question to the node's main loop that many may ask at once: it is put once, and its answer is everybody's."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

import trio

T = TypeVar("T")

# The main loop is left in peace for so many times as long as the last answer took it: a tenth of its time at most.
_REST: Final = 9.0


class SharedQuestion(Generic[T]):
    """Asked from another thread's event loop; one is under way at a time."""

    def __init__(self, put: Callable[[Callable[[], object]], None], question: Callable[[], T]) -> None:
        """Take what runs a function in the main loop's thread, and the question, which is short."""
        self._put = put
        self._question = question
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[T]] = []
        self._is_asked = False
        self._rest_ends = 0.0

    def ask(self) -> Awaitable[T]:
        """The answer, found after this moment."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(future)
            is_asked, self._is_asked = self._is_asked, True
        if not is_asked:
            self._begin(future.get_loop())
        return future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        rest = self._rest_ends - time.monotonic()
        if rest > 0.0:
            loop.call_later(rest, self._put_it, loop)
        else:
            self._put_it(loop)

    def _put_it(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._put(lambda: self._answer(loop))
        except trio.RunFinishedError:
            # The node is stopping; the RPC server outlives its main loop by a moment.
            for future in self._take():
                future.cancel()

    def _take(self) -> list[asyncio.Future[T]]:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer all who have asked so far; in the main loop's thread."""
        waiting = self._take()
        began = time.monotonic()
        found = self._question()
        now = time.monotonic()
        self._rest_ends = now + _REST * (now - began)
        # After the other loop's end nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._settle, loop, waiting, found)

    def _settle(self, loop: asyncio.AbstractEventLoop, waiting: list[asyncio.Future[T]], found: T) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(found)
        with self._lock:
            self._is_asked = bool(self._waiting)
        if self._is_asked:
            self._begin(loop)
