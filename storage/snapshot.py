"""A database that is on its way to become one: headers from block 0 on, and the state of a later block, range by range.

Until `finish` there is a record of how far this has come, and none of what the database is, so nobody can take it for a
chain. Each step is one batch with that record, so a crash leaves what was there before the step or after it. `finish`
is one batch too: before it the database is on its way, after it an ordinary one whose history begins with a snapshot.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from runtime.header import Block, Header
from runtime.primitives import BlockNumber, BlockRef, to_hex
from storage.blocks import block_writes, read_hash, read_header
from storage.bodies import history_begins
from storage.columns import FINALIZED, HEAD, IDENTITY, SNAPSHOT, STATE, body_key, header_key, number_key
from storage.errors import Reason, StorageError
from storage.kv import KeyValueStore, Write
from storage.records import Head, Identity, Progress, encode_finalized

_BATCH: Final = 8_192


def is_empty(store: KeyValueStore) -> bool:
    """Tell whether there is nothing in a store."""
    return next(iter(store.items(b"")), None) is None


def is_snapshot(store: KeyValueStore) -> bool:
    """Tell whether a store holds a snapshot that is not finished."""
    return store.get(SNAPSHOT) is not None


def discard_snapshot(store: KeyValueStore) -> None:
    """Empty a store that holds an unfinished snapshot.

    The record goes last and tells of nothing by then, so that this can be cut short.
    """
    data = store.get(SNAPSHOT)
    if data is not None:
        # A record that cannot be read says nothing that could mislead.
        with suppress(StorageError):
            store.write([(SNAPSHOT, Progress(Progress.decode(data).genesis).encode())], sync=True)
    for writes in _batches([key for key, _ in store.items(b"") if key != SNAPSHOT]):
        store.write(writes, sync=False)
    store.write([(SNAPSHOT, None)], sync=True)


def _batches(keys: Sequence[bytes]) -> Iterator[list[Write]]:
    for at in range(0, len(keys), _BATCH):
        yield [(key, None) for key in keys[at : at + _BATCH]]


@dataclass(slots=True)
class Snapshot:
    """Takes headers and a state as they come, and makes a database of them. One thread at a time."""

    _store: KeyValueStore
    _genesis: Header
    _progress: Progress

    @staticmethod
    def open(store: KeyValueStore, genesis: Header) -> "Snapshot":
        """Begin in an empty store, or go on.

        Raises:
            StorageError: it holds something else, or what belongs to another chain.
        """
        name = genesis.hash()
        data = store.get(SNAPSHOT)
        if data is not None:
            progress = Progress.decode(data)
            if progress.genesis != name:
                what = f"the database is of the chain with genesis block {to_hex(progress.genesis)}, not {to_hex(name)}"
                raise StorageError(Reason.WRONG_GENESIS, what)
            snapshot = Snapshot(store, genesis, progress)
            if not progress.height:
                # Perhaps it was cut short while it forgot what it had.
                snapshot.start_over()
            return snapshot
        if not is_empty(store):
            raise StorageError(Reason.CORRUPT, "the database holds something: a snapshot begins in an empty one")
        snapshot = Snapshot(store, genesis, Progress(name))
        snapshot._begin()
        return snapshot

    def _begin(self) -> None:
        name = self._progress.genesis
        writes = [*block_writes(Block(self._genesis, ()), name), (number_key(BlockNumber(0)), name)]
        self._write(writes, Progress(name))

    def _write(self, writes: list[Write], progress: Progress) -> None:
        self._store.write([*writes, (SNAPSHOT, progress.encode())], sync=False)
        self._progress = progress

    # Headers.

    @property
    def height(self) -> BlockNumber:
        """The number of the last header."""
        return self._progress.height

    def headers(self) -> Iterator[Header]:
        """Walk the headers from block 1 on.

        Raises:
            StorageError: one is missing.
        """
        for number in range(1, self.height + 1):
            name = read_hash(self._store, BlockNumber(number))
            header = None if name is None else read_header(self._store, name)
            if header is None:
                raise StorageError(Reason.CORRUPT, f"the database is damaged: the header of block {number} is missing")
            yield header

    def append(self, headers: Sequence[Header]) -> None:
        """Keep headers that follow the last one, and each other."""
        writes: list[Write] = []
        for header in headers:
            name = header.hash()
            writes += [(header_key(name), header.encode()), (number_key(header.number), name)]
        if headers:
            self._write(writes, replace(self._progress, height=headers[-1].number))

    def cut(self, height: BlockNumber) -> None:
        """Forget the headers above a height; the block whose state this is going to be must not be above it."""
        assert self.target is None or self.target.number <= height, "the header of a state's block is kept"
        writes: list[Write] = []
        for number in map(BlockNumber, range(height + 1, self.height + 1)):
            name = read_hash(self._store, number)
            writes.append((number_key(number), None))
            if name is not None:
                writes.append((header_key(name), None))
        self._write(writes, replace(self._progress, height=min(height, self.height)))

    def start_over(self) -> None:
        """Forget everything but block 0."""
        self._begin()
        keep = {SNAPSHOT, header_key(self._progress.genesis), body_key(self._progress.genesis)}
        keep.add(number_key(BlockNumber(0)))
        for writes in _batches([key for key, _ in self._store.items(b"") if key not in keep]):
            self._store.write(writes, sync=False)

    # The state.

    @property
    def target(self) -> BlockRef | None:
        """The block whose state this is going to be, once that is settled."""
        return self._progress.target

    @property
    def target_header(self) -> Header:
        """Its header."""
        assert self._progress.target is not None, "there is a target"
        header = read_header(self._store, self._progress.target.hash)
        if header is None:
            raise StorageError(Reason.CORRUPT, "the database is damaged: the header of the snapshot's block is missing")
        return header

    @property
    def after(self) -> bytes | None:
        """The last key that is here, None before the first range."""
        return self._progress.after

    @property
    def has_state(self) -> bool:
        """Tell whether all of the state is here."""
        return self._progress.has_state

    def aim_at(self, target: BlockRef | None) -> None:
        """Settle the block, one of the headers, or none; what there is of the state of another one goes."""
        # With no range noted, whatever may lie in the column is none of this state's.
        self._write([], replace(self._progress, target=None, after=None, has_state=False))
        for writes in _batches([key for key, _ in self._store.items(STATE)]):
            self._store.write(writes, sync=False)
        if target is not None:
            self._write([], replace(self._progress, target=target))

    def put(self, pairs: Sequence[tuple[bytes, bytes]], *, is_last: bool) -> None:
        """Keep the next range of the state, which has been checked."""
        after = pairs[-1][0] if pairs else self._progress.after
        writes: list[Write] = [(STATE + key, value) for key, value in pairs]
        self._write(writes, replace(self._progress, after=after, has_state=is_last))

    # The end.

    def finish(self, body: tuple[bytes, ...], pruning: int | None) -> None:
        """Make a database whose head, final, is the target; `pruning` as in `ChainDatabase.open`."""
        target = self._progress.target
        assert target is not None, "there is a target"
        assert self._progress.has_state, "its state is here"
        writes: list[Write] = block_writes(Block(self.target_header, body), target.hash)
        for number in range(target.number + 1, self.height + 1):
            name = read_hash(self._store, BlockNumber(number))
            writes.append((number_key(BlockNumber(number)), None))
            if name is not None:
                writes.append((header_key(name), None))
        writes += [
            (IDENTITY, Identity(self._progress.genesis, pruning).encode()),
            (HEAD, Head(target, target.number).encode()),
            (FINALIZED, encode_finalized(target)),
            history_begins(target.number),
            (SNAPSHOT, None),
        ]
        self._store.write(writes, sync=True)
