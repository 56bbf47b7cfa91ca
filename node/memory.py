"""How the process keeps its memory in order: what lives as long as the chain is not looked through again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
