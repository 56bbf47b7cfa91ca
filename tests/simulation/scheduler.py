"""trio in virtual time, and the same run again for the same seed.

trio shuffles the tasks that can run, on purpose, with a random source of its own. Here that source is seeded and what
it shuffles is put in order first, as trio itself does under hypothesis. Two things are left to the code that runs: it
must start no threads (`InlineExecutor`), and must not depend on the order of a set of bytes or texts, which differs
between processes. The seams used are private to trio; `test_scheduler.py` tells when they move.
"""

import heapq
import itertools
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio.testing

T = TypeVar("T")

_run: Any = trio._core._run  # type: ignore[attr-defined]


class Clock:
    """Stands still while anything can run; then jumps to what comes next, a task's deadline or a call it was given.

    The calls are made between two turns of trio's loop, which is several times cheaper than a task that waits for
    each: they must not wait, and not raise. They may start tasks and set events. Their times are rounded up to whole
    milliseconds, so that what happens nearly at once costs trio one turn.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def current_time(self) -> float:
        """Seconds since the start."""
        return self._now

    def at(self, when: float, function: Callable[..., None], *arguments: Any) -> float:
        """Calls a function at a time, rounded up; answers which. What is due together comes in the order of asking."""
        when = max(math.ceil(when * 1000) / 1000, self._now)
        heapq.heappush(self._calls, (when, next(self._order), function, arguments))
        return when

    def for_trio(self) -> trio.testing.MockClock:
        """What trio takes for its clock; it lets nobody derive from its own."""
        clock = trio.testing.MockClock(autojump_threshold=0)
        vars(clock).update(current_time=self.current_time, _autojump=self._go_on)
        return clock

    def _go_on(self) -> None:
        calls = self._calls
        deadline = _run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if not calls or calls[0][0] > deadline:
            if deadline < math.inf:
                self._now = max(self._now, deadline)
            return
        self._now = now = calls[0][0]
        while calls and calls[0][0] <= now:
            _, _, function, arguments = heapq.heappop(calls)
            function(*arguments)


def run(seed: object, clock: Clock, main: Callable[[], Awaitable[T]]) -> T:
    """Runs `main` by a clock that has not been used yet."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(f"{seed}/scheduler")
    try:
        return trio.run(main, clock=clock.for_trio())
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        _run._r.setstate(before[1])


def rng_of(seed: object, purpose: str) -> random.Random:
    """A source of randomness of its own for each purpose: drawing more of one changes nothing for the others."""
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - it must come back the same
