"""Worker threads for calls that would hold up the loop, and the lines in which those wait."""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from rpc.errors import not_ready, too_many

T = TypeVar("T")

_WORKERS: Final = 2

_Work: TypeAlias = tuple["Future[Any]", Callable[[], Any]]


class SlowCalls:
    """Every client has a line of its own, and the workers take from each in turn.

    When too many wait in all, one of the client that has the most makes room for another's.
    """

    def __init__(self, most: int, each: int, workers: int = _WORKERS) -> None:
        """At most `most` calls wait, `each` of one client."""
        self._most = most
        self._each = each
        self._lock = threading.Lock()
        self._lines: OrderedDict[Hashable, deque[_Work]] = OrderedDict()
        self._waiting = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="rpc-slow")

    def run(self, client: Hashable, function: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Run a function in a worker thread, after those that wait before it. Raises: too_many, not_ready."""
        future: Future[T] = Future()
        with self._lock:
            line = self._lines.get(client)
            own = 0 if line is None else len(line)
            if own >= self._each:
                raise too_many("slow calls of one client", self._each)
            if self._waiting >= self._most:
                self._make_room(own)
            if line is None:
                line = self._lines[client] = deque()
            line.append((future, partial(function, *arguments)))
            self._waiting += 1
        future.add_done_callback(partial(self._forget, client))
        try:
            self._threads.submit(self._work)
        except RuntimeError:
            future.cancel()
            raise not_ready("it is stopping") from None
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the lines; calls that run are left to end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            waiting = [future for line in self._lines.values() for future, _ in line]
        for future in waiting:
            future.cancel()

    def _make_room(self, own: int) -> None:
        """Refuse the last call of whoever has the most, or the newcomer, if that would have no fewer."""
        client, line = max(self._lines.items(), key=lambda entry: len(entry[1]))
        refusal = too_many("slow calls under way", self._most)
        if len(line) <= own + 1:
            raise refusal
        future, _ = self._take(client, line, last=True)
        if future.set_running_or_notify_cancel():
            future.set_exception(refusal)

    def _take(self, client: Hashable, line: deque[_Work], *, last: bool = False) -> _Work:
        work = line.pop() if last else line.popleft()
        if not line:
            del self._lines[client]
        self._waiting -= 1
        return work

    def _forget(self, client: Hashable, future: "Future[Any]") -> None:
        """Take a call that was given up from its line."""
        if not future.cancelled():
            return
        with self._lock:
            line = self._lines.get(client, deque())
            kept = deque(work for work in line if work[0] is not future)
            self._waiting -= len(line) - len(kept)
            if kept:
                self._lines[client] = kept
            else:
                self._lines.pop(client, None)

    def _work(self) -> None:
        """Do the next call, of the client whose turn it is; in a worker thread."""
        with self._lock:
            if not self._lines:
                # Whoever asked for it has given up.
                return
            client, line = next(iter(self._lines.items()))
            future, function = self._take(client, line)
            if line:
                self._lines.move_to_end(client)
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except BaseException as fault:
            future.set_exception(fault)
        finally:
            # The fault holds this frame, and that the future, which holds the fault.
            del future, function
