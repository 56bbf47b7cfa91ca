"""The chain on disk: blocks, the state of the head, and recent states through undo records.

One thread writes (commit, adopt, revert_head, set_finalized, store_side_block); any thread reads at any time. After
each write a new view of the store is published in one assignment: a reader takes it once and sees one head.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from runtime.header import Block, Header
from runtime.interface.state import StateReader
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from runtime.trie import StateVersion, Trie
from storage.blocks import block_writes, read_body, read_hash, read_header
from storage.bodies import first_body, forget_bodies
from storage.branch import ExecutedBlock, forget_block, switch
from storage.columns import FINALIZED, HEAD, IDENTITY, NOTE, SIDE, header_key, side_block, side_key, undo_key
from storage.errors import Reason, RevertError, StatePruned, StorageError, UnknownBlock
from storage.kv import KeyValueReader, KeyValueStore, Write
from storage.proofs import RecentTries
from storage.records import Head, encode_finalized
from storage.recovery import check_identity, create, recover
from storage.state_db import (
    ArchiveState,
    Changes,
    HeadState,
    UndoRecords,
    WindowState,
)

__all__ = ["ChainDatabase", "ExecutedBlock", "RevertError", "StatePruned", "StorageError", "UnknownBlock"]


@dataclass(frozen=True, slots=True)
class _View:
    """What readers see until the next write."""

    reader: KeyValueReader
    state: HeadState
    head: BlockRef
    floor: BlockNumber
    finalized: BlockRef
    trie: Trie


class ChainDatabase:
    """The blocks that a node has, which of them is the head, and the states it can still read."""

    def __init__(
        self,
        store: KeyValueStore,
        view: _View,
        pruning: int | None,
        blocks_pruning: int | None,
        *,
        keep_unfinalized: bool,
    ) -> None:
        """Use `open`, which checks what it finds."""
        self._store = store
        self._view = view
        self._pruning = pruning
        self._blocks_pruning = blocks_pruning
        self._keep_unfinalized = keep_unfinalized
        self._undo = UndoRecords()
        self._writing = Lock()
        self._tries = RecentTries()

    @staticmethod
    def open(
        store: KeyValueStore,
        genesis_block: Header,
        genesis_state: Iterable[tuple[bytes, bytes]],
        *,
        state_pruning: int | None,
        blocks_pruning: int | None = None,
        state_version: StateVersion = StateVersion.V1,
        keep_unfinalized: bool = False,
    ) -> "ChainDatabase":
        """Make the database in an empty store, or check the one that is there and rebuild its trie.

        Args:
            store: where it is, or is going to be; this class closes it.
            genesis_block: block 0 of the chain, without extrinsics.
            genesis_state: its state, ascending by key; read only if the store is empty.
            state_pruning: how many states behind the head's can be read, at least 1; None keeps all of them.
            blocks_pruning: how many of the last final blocks keep their bodies, at least 1; None for all of them.
            state_version: the layout of the state trie.
            keep_unfinalized: keep also what it takes to go back to the last finalized block, however far that is.

        Raises:
            StorageError: what is there cannot be used; the reason says why.
            ValueError: the arguments contradict each other.
        """
        if state_pruning is not None and state_pruning < 1:
            raise ValueError(f"the states of {state_pruning} blocks cannot be kept: 1 is the least")
        if blocks_pruning is not None and blocks_pruning < 1:
            raise ValueError(f"the bodies of {blocks_pruning} final blocks cannot be kept: 1 is the least")
        identity = store.get(IDENTITY)
        if identity is None:
            create(store, genesis_block, genesis_state, state_pruning, state_version)
        else:
            check_identity(store, identity, genesis_block.hash(), state_pruning)
        reader = store.snapshot()
        found = recover(reader, state_version)
        view = _View(reader, HeadState(reader), found.head.block, found.head.floor, found.finalized, found.trie)
        return ChainDatabase(store, view, state_pruning, blocks_pruning, keep_unfinalized=keep_unfinalized)

    def close(self) -> None:
        """Close the store; no thread may be reading."""
        with self._writing:
            self._store.close()

    def head(self) -> BlockRef:
        """The best block."""
        return self._view.head

    def head_state(self) -> tuple[BlockRef, StateReader]:
        """The best block and the state after it, from one moment."""
        view = self._view
        return view.head, view.state

    def finalized(self) -> BlockRef:
        """The last block that cannot be taken back."""
        return self._view.finalized

    def floor(self) -> BlockNumber:
        """The lowest block that the head's chain can be taken back to."""
        return self._view.floor

    def head_trie(self) -> Trie:
        """The trie of the head's state, without the values that it holds by their hash."""
        return self._view.trie

    def header(self, block: Hash) -> Header | None:
        """The header of any stored block."""
        return read_header(self._store, block)

    def has(self, block: Hash) -> bool:
        """Whether a block is stored, on the head's chain or not."""
        return self._store.get(header_key(block)) is not None

    def body(self, block: Hash) -> tuple[bytes, ...] | None:
        """The extrinsics of any stored block."""
        return read_body(self._store, block)

    def block(self, block: Hash) -> Block | None:
        """Any stored block."""
        header, extrinsics = self.header(block), self.body(block)
        return None if header is None or extrinsics is None else Block(header, extrinsics)

    def hash_at(self, number: BlockNumber) -> Hash | None:
        """The hash of the block with this number on the head's chain."""
        return read_hash(self._view.reader, number)

    def side_blocks(self) -> Iterator[BlockRef]:
        """Walk the stored blocks that are not on the head's chain, by number."""
        for key, _ in self._view.reader.items(SIDE):
            yield side_block(key)

    def state_at(self, block: Hash) -> StateReader:
        """The state after a block of the head's chain; it stays as it is while the head moves on.

        Raises:
            UnknownBlock: there is no such block.
            StatePruned: there is, but its state is not kept.
        """
        return self._state_at(self._view, block)

    def changed_keys(self, block: Hash) -> list[bytes]:
        """The storage keys, ascending, that a block of the head's chain changed.

        Raises:
            UnknownBlock: there is no such block.
            StatePruned: there is, but its undo record is not kept; the genesis block never had one.
        """
        view = self._view
        ref = _canonical(view, block)
        if ref.number <= view.floor:
            raise StatePruned(ref, f"what a block changed is known of the blocks after block {view.floor}")
        return sorted(self._undo.load(view.reader, ref.number))

    def prove(self, block: Hash, keys: Sequence[bytes]) -> list[bytes]:
        """The trie nodes that prove the values of keys, or their absence, in the state after a block.

        Behind the head it costs the changes since that block; one such trie is made at a time, and the ones
        used last are kept.

        Raises:
            UnknownBlock: there is no such block.
            StatePruned: there is, but its state is not kept.
        """
        view = self._view
        state = self._state_at(view, block)
        return self._trie_at(view, block, state).prove(keys, state.get)

    def commit(self, block: Block, changes: Changes, trie: Trie, *, final: bool = False) -> None:
        """Make a child of the head the new head, with its state, in one write that outlives a loss of power.

        Args:
            block: the child.
            changes: what it changes in the head's state, ascending by key.
            trie: the head's trie with these changes.
            final: the block is final at once.

        Raises:
            StorageError: the write failed. Readers go on seeing the old head, but the next start may find
                either of the two: stop.
            ValueError: this is no child of the head, or not with this state.
        """
        with self._writing:
            _check_child(self._view.head, block.header, trie)
            executed = ExecutedBlock(block, changes, trie)
            self._adopt((executed,), finalized=executed.ref if final else None)

    def adopt(self, branch: Sequence[ExecutedBlock], *, finalized: BlockRef | None = None) -> list[Block]:
        """Make a branch the best chain, in one write; return the blocks that leave it, newest first.

        Args:
            branch: blocks that follow one another, oldest first; the parent of the first is on the head's chain.
            finalized: a block of the new best chain that is final from now on.

        Raises:
            StorageError: as in `commit`.
            RevertError: what would have to leave is final, or what it replaced is not kept.
            ValueError: the blocks do not follow one another, or not with these states, or the finalized one is not of
                their chain.
        """
        with self._writing:
            return self._adopt(branch, finalized=finalized)

    def _adopt(self, branch: Sequence[ExecutedBlock], *, finalized: BlockRef | None) -> list[Block]:
        view = self._view
        fork = _known_ref(view, branch[0].block.header)
        parent = fork
        for executed in branch:
            _check_child(parent, executed.block.header, executed.trie)
            parent = executed.ref
        leaving = [self._leaving(view, BlockNumber(number)) for number in range(view.head.number, fork.number, -1)]
        undos = [(ref, self._undo.load(view.reader, ref.number)) for ref, _ in leaving]
        done = switch(view.state, undos, branch, is_archive=self._pruning is None)
        if finalized is None:
            finalized = view.finalized
        elif finalized.number <= fork.number:
            _check_final(view, finalized, read_hash(view.reader, finalized.number))
        else:
            _check_final(view, finalized, branch[finalized.number - fork.number - 1].ref.hash)
        floor = view.floor
        if self._pruning is not None:
            oldest = parent.number - self._pruning
            floor = BlockNumber(max(floor, min(oldest, finalized.number) if self._keep_unfinalized else oldest))
        writes = [
            # First, since the last write of a key counts: what enters may have been a side block until now.
            *self._forgotten_sides(view, BlockNumber(max(floor, finalized.number))),
            *done.writes,
            *((undo_key(BlockNumber(number)), None) for number in range(view.floor + 1, floor + 1)),
            (HEAD, Head(parent, floor).encode()),
        ]
        if finalized != view.finalized:
            writes += self._finalizing(view, finalized, fork.number)
        self._store.write(writes, sync=True)
        for ref, undo in done.undos:
            self._undo.remember(ref, undo)
        if floor != view.floor:
            self._undo.forget(floor)
        self._tries.remember(view.head.hash, view.trie)
        for executed in branch[:-1]:
            self._tries.remember(executed.ref.hash, executed.trie)
        self._publish(replace(view, head=parent, floor=floor, finalized=finalized, trie=branch[-1].trie), done.changes)
        return [block for _, block in leaving]

    def revert_head(self) -> Block:
        """Make the head's parent the head again, with its state; return the old head, which stays stored.

        Raises:
            RevertError: the head is final, or what it replaced is not kept.
            StorageError: the write failed (see `commit`), or the database is damaged.
        """
        with self._writing:
            view = self._view
            head, block = self._leaving(view, view.head.number)
            parent = self.header(block.header.parent_hash)
            if parent is None:
                raise _damaged(f"the parent of {_the_head(head)} is missing")
            undo = self._undo.load(view.reader, head.number)
            done = switch(view.state, [(head, undo)], (), is_archive=self._pruning is None)
            trie = view.trie.apply(done.changes)
            _check_root(trie, parent)
            ref = BlockRef(parent.number, parent.hash())
            self._store.write([*done.writes, (HEAD, Head(ref, view.floor).encode())], sync=True)
            self._publish(replace(view, head=ref, trie=trie), done.changes)
            return block

    def _leaving(self, view: _View, number: BlockNumber) -> tuple[BlockRef, Block]:
        """A block of the head's chain that is to leave it."""
        name = read_hash(view.reader, number)
        block = None if name is None else self.block(name)
        if name is None or block is None:
            raise _damaged(f"block {number} of the head's chain is missing")
        ref = BlockRef(number, name)
        what = _the_head(ref) if ref == view.head else f"block {number} ({to_hex(name)})"
        if number <= view.finalized.number:
            raise RevertError(f"{what} is final and cannot be taken back")
        if number <= view.floor:
            raise RevertError(f"{what} cannot be taken back: what it replaced is not kept")
        return ref, block

    def _forgotten_sides(self, view: _View, limit: BlockNumber) -> Iterator[Write]:
        """The writes that forget the side blocks up to a height: nothing can go on from them any more."""
        for key, _ in view.reader.items(SIDE):
            side = side_block(key)
            if side.number > limit:
                return
            yield from forget_block(side)

    def _finalizing(self, view: _View, block: BlockRef, known: BlockNumber) -> list[Write]:
        """The writes that note a later final block, and forget bodies behind it; see `forget_bodies`."""
        forgotten = forget_bodies(view.reader, block.number, known, self._blocks_pruning)
        return [(FINALIZED, encode_finalized(block)), *forgotten]

    def set_finalized(self, block: Hash) -> None:
        """Note that a block of the head's chain is final.

        Raises:
            ValueError: it is not on the head's chain, or below the last finalized block.
        """
        with self._writing:
            view = self._view
            header = read_header(view.reader, block)
            if header is None:
                raise ValueError(f"block {to_hex(block)} is not on the head's chain, and cannot be final")
            ref = BlockRef(header.number, block)
            _check_final(view, ref, read_hash(view.reader, ref.number))
            writes = [*self._finalizing(view, ref, ref.number), *self._forgotten_sides(view, ref.number)]
            self._store.write(writes, sync=True)
            self._publish(replace(view, finalized=ref), ())

    def store_side_block(self, block: Block) -> None:
        """Keep a block that is not, or not yet, on the head's chain; one that is stored is left alone.

        Not synced: the next commit makes sure of it, and until then it can be asked for again.
        """
        with self._writing:
            ref = BlockRef(block.header.number, block.header.hash())
            if read_header(self._store, ref.hash) is None:
                self._store.write([*block_writes(block, ref.hash), (side_key(ref), b"")], sync=False)
                self._publish(self._view, ())

    def first_body(self) -> BlockNumber:
        """The block with which the bodies begin, 0 if all are there."""
        return first_body(self._store)

    def note(self, name: bytes) -> bytes | None:
        """What `write_note` has kept under a name."""
        return self._store.get(NOTE + name)

    def write_note(self, name: bytes, data: bytes) -> None:
        """Keep something that belongs to this node and not to the chain; it outlives a loss of power."""
        with self._writing:
            self._store.write([(NOTE + name, data)], sync=True)

    def _publish(self, view: _View, changes: Changes) -> None:
        """Show readers the store as it is now, after these changes of the head's state."""
        reader = self._store.snapshot()
        self._view = replace(view, reader=reader, state=view.state.changed(changes, reader))

    def _state_at(self, view: _View, block: Hash) -> StateReader:
        if block == view.head.hash:
            return view.state
        ref = _canonical(view, block)
        # The floor of an archive is where its history begins: with block 0 or with a snapshot.
        if ref.number < view.floor:
            raise StatePruned(ref, f"the oldest that is kept is that of block {view.floor}")
        if self._pruning is None:
            return ArchiveState(view.reader, ref.number)
        return WindowState(view.reader, ref.number, view.head.number, self._undo)

    def trie_at(self, block: Hash) -> Trie:
        """The trie of the state after a block of the head's chain; see `prove` for what it costs.

        It does not wait for tries that are being made for proofs.

        Raises:
            UnknownBlock: there is no such block.
            StatePruned: there is, but its state is not kept.
        """
        view = self._view
        state = self._state_at(view, block)
        if block == view.head.hash:
            return view.trie
        return self._tries.find(block) or self._make_trie(view, block, state)

    def _trie_at(self, view: _View, block: Hash, state: StateReader) -> Trie:
        if block == view.head.hash:
            return view.trie
        return self._tries.get(block, lambda: self._make_trie(view, block, state))

    def _make_trie(self, view: _View, block: Hash, state: StateReader) -> Trie:
        if isinstance(state, WindowState):
            trie = view.trie.apply(sorted(state.replaced().items()))
        else:
            trie = Trie.from_items(state.items(b""), view.trie.version)
        _check_root(trie, _known_header(view, block))
        return trie


def _known_header(view: _View, block: Hash) -> Header:
    header = read_header(view.reader, block)
    if header is None:
        raise UnknownBlock(block)
    return header


def _canonical(view: _View, block: Hash) -> BlockRef:
    ref = BlockRef(_known_header(view, block).number, block)
    if read_hash(view.reader, ref.number) != block:
        raise StatePruned(ref, "it is not on the chain of the best block")
    return ref


def _known_ref(view: _View, child: Header) -> BlockRef:
    """The parent of a block, which is on the head's chain."""
    parent = BlockRef(BlockNumber(child.number - 1), child.parent_hash)
    if read_hash(view.reader, parent.number) != parent.hash:
        raise ValueError(f"the parent of block {child.number} ({to_hex(child.hash())}) is not on the head's chain")
    return parent


def _the_head(head: BlockRef) -> str:
    return f"the head, block {head.number} ({to_hex(head.hash)}),"


def _damaged(what: str) -> StorageError:
    return StorageError(Reason.CORRUPT, f"the database is damaged: {what}")


def _check_final(view: _View, block: BlockRef, canonical: Hash | None) -> None:
    """Check that a block may be the finalized one; `canonical` is the one of its number on the head's chain."""
    if canonical != block.hash:
        raise ValueError(f"block {to_hex(block.hash)} is not on the head's chain, and cannot be final")
    if block.number < view.finalized.number:
        raise ValueError(f"block {block.number} is below block {view.finalized.number}, which is final")


def _check_child(head: BlockRef, header: Header, trie: Trie) -> None:
    name = f"block {header.number} ({to_hex(header.hash())})"
    if header.parent_hash != head.hash or header.number != head.number + 1:
        raise ValueError(f"{name} is not a child of block {head.number} ({to_hex(head.hash)})")
    if trie.root() != header.state_root:
        raise ValueError(
            f"{name} commits to the state root {to_hex(header.state_root)}, "
            f"but its changes lead to {to_hex(trie.root())}"
        )


def _check_root(trie: Trie, header: Header) -> None:
    if trie.root() != header.state_root:
        raise StorageError(
            Reason.CORRUPT,
            f"the database is damaged: what is kept of block {header.number} leads to the state root "
            f"{to_hex(trie.root())}, but the block commits to {to_hex(header.state_root)}",
        )
