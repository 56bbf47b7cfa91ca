from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage.kv import KeyValueStore
from storage.leveldb import LevelDbStore
from storage.memory import MemoryStore

STORES: dict[str, Callable[[Path], KeyValueStore]] = {
    "leveldb": LevelDbStore,
    "memory": lambda _: MemoryStore(),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValueStore]:
    """Both kinds of store; what holds for one holds for the other."""
    opened = STORES[request.param](tmp_path / "db")
    yield opened
    opened.close()
