"""How the process keeps its memory in order: what lives as long as the chain is not looked through again and again."""

import gc
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

_YOUNG: Final = 2_000
_MIDDLE: Final = 10
_NEVER: Final = 1 << 30
_LOOK_EVERY: Final = 1.0
_GROWTH: Final = (16 << 20, 200_000)
"""Bytes of the process, and blocks of Python's, by which what is in use may grow before anybody looks for garbage."""


def settle() -> None:
    """Take everything that is in use for permanent: after a start, that is the state trie, the model and the code.

    It is still freed when nothing refers to it any more, but not if it refers to itself in a circle.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def without_collections() -> Iterator[None]:
    """Look for no garbage that is held in circles: executing blocks leaves none, and has a large heap to search."""
    settle()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        gc.unfreeze()


def memory_in_use() -> int:
    """Return how many bytes of memory this process has; where that is not to be had, the most that it has had."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1_024


async def collect_on_growth(
    memory: Callable[[], int] = memory_in_use, blocks: Callable[[], int] = sys.getallocatedblocks
) -> None:
    """Look for garbage among what is young all the time, and among the rest when memory has grown; until cancelled.

    A look through everything stops all threads, for a second and more where there are millions of ratings. Python would
    begin one for each few thousand objects, which blocks bring by the second: almost all of them state, no garbage.
    So what a look has found in use is left out of the next ones, until memory is half as much again.

    Python's own `blocks` tell garbage that fits into what was freed before: the memory of the process falls by little
    when garbage is freed, so that by it alone each look would come later than the one before.
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    try:
        known = whole = (memory(), blocks())
        while True:
            await trio.sleep(_LOOK_EVERY)
            now = (memory(), blocks())
            if not any(n - k > max(least, k // 8) for n, k, least in zip(now, known, _GROWTH, strict=True)):
                continue
            is_whole = any(n - w > w // 2 for n, w in zip(now, whole, strict=True))
            if is_whole:
                gc.unfreeze()
            settle()
            known = (memory(), blocks())
            if is_whole:
                whole = known
    finally:
        gc.set_threshold(*before)
