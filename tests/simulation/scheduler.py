"""trio in virtual time, and the same run again for the same seed.

trio shuffles the tasks that can run, on purpose, with a random source of its own. Here that source is seeded and what
it shuffles is put in order first, as trio itself does under hypothesis. Two things are left to the code that runs: it
must start no threads (`InlineExecutor`), and must not depend on the order of a set of bytes or texts, which differs
between processes.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
import trio.testing

T = TypeVar("T")

_run: Any = trio._core._run


def run(seed: object, main: Callable[[], Awaitable[T]]) -> T:
    """Runs `main` from second 0 of a clock that jumps to the next deadline whenever nothing can run."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(f"{seed}/scheduler")
    try:
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        _run._r.setstate(before[1])


def rng_of(seed: object, purpose: str) -> random.Random:
    """A source of randomness of its own for each purpose: drawing more of one changes nothing for the others."""
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - it must come back the same
