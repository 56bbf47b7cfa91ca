"""Timing in segments. CPU time is what is compared: on a shared machine a wall clock also measures the neighbours."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Taken:
    """What one segment took, in seconds; `cpu` is that of all threads of this process."""

    cpu: float
    wall: float


class Stopwatch:
    """Measures what happens inside its `with` block."""

    def __enter__(self) -> "Stopwatch":
        """Start."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.taken = Taken(time.process_time() - self._cpu, time.perf_counter() - self._wall)


def segments(work: Callable[[], object], count: int = 9) -> list[Taken]:
    """Do the same work several times over."""
    taken = []
    for _ in range(count):
        with Stopwatch() as watch:
            work()
        taken.append(watch.taken)
    return taken


def summary(taken: Sequence[Taken], operations: int = 1) -> dict[str, float | int]:
    """Median and least CPU seconds, and the median wall seconds, of an operation of which a segment did so many."""
    cpu = [one.cpu / operations for one in taken]
    return {
        "segments": len(taken),
        "cpuSeconds": median(cpu),
        "cpuSecondsLeast": min(cpu),
        "wallSeconds": median(one.wall / operations for one in taken),
    }
