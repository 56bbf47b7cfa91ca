"""The process may die at any write, in the middle of any write, and by any signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from runtime.primitives import BlockNumber
from storage.chain_db import ChainDatabase
from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, KeyValueStore, Write
from storage.leveldb import LevelDbStore
from tests.storage import committer
from tests.storage.chains import Step, check_head, check_state, child, commit, open_chain, random_chain

pytestmark = pytest.mark.full

ROOT = Path(__file__).parent.parent.parent
CHAIN = random_chain(7, seed=3)
BRANCH = child(CHAIN[4], {b"branch": b"1"}, 1)
BOTH_MODES = pytest.mark.parametrize("pruning", [3, None])

# What happens to a node, and the head it has afterwards.
STORY: list[tuple[Callable[[ChainDatabase], object], Step]] = [
    *((lambda database, step=step: commit(database, step), step) for step in CHAIN[1:6]),
    (lambda database: database.set_finalized(CHAIN[4].hash), CHAIN[5]),
    (lambda database: database.store_side_block(BRANCH.block), CHAIN[5]),
    (lambda database: database.revert_head(), CHAIN[4]),
    (lambda database: commit(database, BRANCH), BRANCH),
    (lambda database: database.revert_head(), CHAIN[4]),
    *((lambda database, step=step: commit(database, step, final=True), step) for step in CHAIN[5:]),
]


class DyingStore:
    """Fails at the `fatal`th write, which is lost or done, and at everything after it."""

    def __init__(self, store: KeyValueStore, fatal: int, *, lost: bool) -> None:
        self.store = store
        self.left = fatal
        self.lost = lost

    def get(self, key: bytes) -> bytes | None:
        return self._living().get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self._living().items(prefix, after)

    def write(self, batch: Sequence[Write], *, sync: bool) -> None:
        store = self._living()
        self.left -= 1
        if self.left or not self.lost:
            store.write(batch, sync=sync)
        self._living()

    def snapshot(self) -> KeyValueReader:
        return self._living().snapshot()

    def close(self) -> None:
        self.left = 0

    def _living(self) -> KeyValueStore:
        if self.left <= 0:
            raise StorageError(Reason.UNWRITABLE, "the process is dead")
        return self.store


def live(store: KeyValueStore, pruning: int | None, done: int) -> int:
    """Go on with the story after its first `done` events; return how many have happened when it ends."""
    database = open_chain(store, CHAIN[0], pruning)
    for event, _ in STORY[done:]:
        event(database)
        done += 1
    return done


@BOTH_MODES
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "done"])
@pytest.mark.parametrize("fatal", range(1, len(STORY) + 2))
def test_a_crash_at_any_write_leaves_a_whole_head(
    store: KeyValueStore, fatal: int, lost: bool, pruning: int | None
) -> None:
    with pytest.raises(StorageError, match=r"^the process is dead$"):
        live(DyingStore(store, fatal, lost=lost), pruning, 0)
    # The first write makes the database; each event is one more.
    done = fatal - 1 - lost
    heads = [CHAIN[0], *(head for _, head in STORY)]
    database = open_chain(store, CHAIN[0], pruning)
    check_head(database, heads[max(done, 0)])
    assert database.finalized().number <= database.head().number
    assert live(store, pruning, max(done, 0)) == len(STORY)
    again = open_chain(store, CHAIN[0], pruning)
    check_head(again, CHAIN[7])
    assert again.finalized() == CHAIN[7].ref
    for step in CHAIN[4:]:
        check_state(again, step)


def test_the_story_has_one_write_an_event(store: KeyValueStore) -> None:
    counted = DyingStore(store, 1_000, lost=False)
    live(counted, 3, 0)
    assert 1_000 - counted.left == 1 + len(STORY)


def test_a_failed_commit_leaves_readers_where_they_were(store: KeyValueStore) -> None:
    dying = DyingStore(store, 3, lost=True)
    database = open_chain(dying, CHAIN[0])
    commit(database, CHAIN[1])
    with pytest.raises(StorageError, match=r"^the process is dead$"):
        commit(database, CHAIN[2])
    assert database.head() == CHAIN[1].ref
    state = database.state_at(CHAIN[1].hash)
    assert list(state.items(b"")) == sorted(CHAIN[1].state.items())


def committed(child_process: "subprocess.Popen[str]", count: int) -> list[int]:
    """Read `count` of the numbers that the child says are committed, kill it, and read the rest."""
    assert child_process.stdout is not None
    numbers = [int(child_process.stdout.readline()) for _ in range(count)]
    os.kill(child_process.pid, signal.SIGKILL)
    numbers += [int(line) for line in child_process.stdout if line.endswith("\n")]
    assert child_process.wait(60) == -signal.SIGKILL
    return numbers


@pytest.mark.parametrize("pruning", ["5", "archive"])
def test_a_killed_process_loses_nothing_it_has_reported(tmp_path: Path, pruning: str) -> None:
    last = 0
    for count in (1, 7, 40):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.storage.committer", str(tmp_path / "db"), pruning],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as child_process:
            numbers = committed(child_process, count)
        assert numbers == list(range(last + 1, last + 1 + len(numbers)))
        store = LevelDbStore(tmp_path / "db")
        database = committer.open_database(store, pruning)
        head = database.head()
        # The block after the last reported one may have been written before its number could be.
        assert head.number in (numbers[-1], numbers[-1] + 1)
        for number in range(head.number - 5 if head.number > 5 else 0, head.number + 1):
            block = database.hash_at(BlockNumber(number))
            assert block is not None
            state = database.state_at(block)
            assert dict(state.items(b"")) == committer.state_after(number)
        last = head.number
        store.close()
