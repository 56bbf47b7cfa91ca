"""Branches: what is written when the best chain changes. What leaves is undone, what enters is done, in one batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.header import Block
from runtime.primitives import BlockRef
from runtime.trie import Trie
from storage.blocks import block_writes
from storage.columns import body_key, header_key, history_key, number_key, side_key, undo_key
from storage.kv import Write
from storage.records import Undo, encode_undo
from storage.state_db import Changes, HeadState, history_writes, replaced_by, state_writes


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block with what it changes in its parent's state (ascending by key) and the trie of the state after it."""

    block: Block
    changes: Changes
    trie: Trie

    @property
    def ref(self) -> BlockRef:
        """The block's number and hash."""
        return BlockRef(self.block.header.number, self.block.header.hash())


@dataclass(frozen=True, slots=True)
class Switch:
    """The batch, what it changes in the state of the head (ascending by key), and what each entering block replaces."""

    writes: list[Write]
    changes: Changes
    undos: list[tuple[BlockRef, Undo]]


def switch(
    head: HeadState,
    leaving: Sequence[tuple[BlockRef, Undo]],
    entering: Sequence[ExecutedBlock],
    *,
    is_archive: bool,
) -> Switch:
    """Let blocks leave the best chain, newest first, and others enter it, oldest first.

    `head` is the state of the newest block that leaves, or of the first entering one's parent if none does.
    """
    writes: list[Write] = []
    values: dict[bytes, bytes | None] = {}
    for ref, undo in leaving:
        values.update(undo)
        writes += [(undo_key(ref.number), None), (number_key(ref.number), None), (side_key(ref), b"")]
        if is_archive:
            writes += [(history_key(key, ref.number), None) for key in undo]

    def value(key: bytes) -> bytes | None:
        return values[key] if key in values else head.get(key)

    undos: list[tuple[BlockRef, Undo]] = []
    for executed in entering:
        ref = executed.ref
        undo = replaced_by(value, executed.changes)
        values.update(executed.changes)
        undos.append((ref, undo))
        writes += [
            *block_writes(executed.block, ref.hash),
            (number_key(ref.number), ref.hash),
            (side_key(ref), None),
            (undo_key(ref.number), encode_undo(ref.hash, undo)),
        ]
        if is_archive:
            writes += history_writes(ref.number, undo)
    changes = sorted(values.items())
    return Switch([*writes, *state_writes(changes)], changes, undos)


def forget_block(block: BlockRef) -> list[Write]:
    """The writes by which a block that is not on the best chain is forgotten."""
    return [(header_key(block.hash), None), (body_key(block.hash), None), (side_key(block), None)]
