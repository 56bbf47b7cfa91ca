"""How the process keeps its memory in order: what lives as long as the chain is not looked through again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

_YOUNG: Final = 2_000
_MIDDLE: Final = 10
_NEVER: Final = 1 << 30
_BETWEEN_SEARCHES: Final = 3_600.0


def settle() -> None:
    """Take everything that exists for permanent: after a start, that is the state trie, the model and the code."""
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


async def collect_now_and_then() -> None:
    """Look for garbage among what is young all the time, and through everything once an hour; until cancelled.

    A look through everything stops all threads, for a second and more where there are millions of ratings, and Python
    would have one for each quarter by which the heap grows. What blocks leave behind is state, and hardly any garbage.
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    try:
        while True:
            await trio.sleep(_BETWEEN_SEARCHES)
            gc.collect()
    finally:
        gc.set_threshold(*before)
