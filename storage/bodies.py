"""Bodies of blocks that have been final for long, which a node need not keep; their headers always stay."""

from typing import Final

from runtime.primitives import BlockNumber
from storage.blocks import read_hash
from storage.columns import NOTE, body_key
from storage.kv import KeyValueReader, Write

HISTORY_NOTE: Final = b"history"
"""The note that a database has whose bodies begin with a later block than block 1: that block's number."""
_AT_ONCE: Final = 1_024


def first_body(reader: KeyValueReader) -> BlockNumber:
    """Return the block with which the bodies begin, 0 if all are there."""
    return BlockNumber(int.from_bytes(reader.get(NOTE + HISTORY_NOTE) or b"", "big"))


def history_begins(first: BlockNumber) -> Write:
    """The write that notes with which block the bodies begin."""
    return NOTE + HISTORY_NOTE, first.to_bytes(4, "big")


def forget_bodies(reader: KeyValueReader, finalized: BlockNumber, known: BlockNumber, keep: int | None) -> list[Write]:
    """The writes that forget the bodies of all final blocks but the last `keep`, None for all; not too many at once.

    `finalized` is the last final block from now on; up to `known` its chain is the one that `reader` has as the best.
    """
    if keep is None:
        return []
    first = max(1, first_body(reader))
    end = min(finalized - keep, known, first + _AT_ONCE - 1) + 1
    if end <= first:
        return []
    names = [read_hash(reader, BlockNumber(number)) for number in range(first, end)]
    return [*((body_key(name), None) for name in names if name is not None), history_begins(BlockNumber(end))]
