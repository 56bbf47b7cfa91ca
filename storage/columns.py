"""Where everything is in the key-value store: the one place that knows the keys.

    !identity                      schema version, genesis hash, pruning mode          (records.Identity)
    !head                          the best block and the reach of the undo records    (records.Head)
    !finalized                     the last finalized block                            (records.Finalized)
    !snapshot                      how far a snapshot has come, until it is a database (records.Progress)
    !note  name                    what the node keeps for itself beside the chain
    h  block hash                  header, SCALE
    b  block hash                  body, SCALE
    n  number                      hash of the block with this number on the head's chain
    x  number  block hash          empty; the stored blocks that are not on the head's chain
    s  storage key                 the state of the head: the value as it is
    u  number                      what the block of this number replaced              (records.Undo)
    a  storage key  end  number    archive only: what the block of this number replaced at one key

Numbers are big-endian, so that the store's order is theirs. In column `a` a zero byte of the storage key is
followed by 0xff and the key ends with two zero bytes, which keeps the order of the storage keys and the place
of each among its own versions.
"""

from typing import Final

from runtime.primitives import BlockNumber, BlockRef, Hash

IDENTITY: Final = b"!identity"
HEAD: Final = b"!head"
FINALIZED: Final = b"!finalized"
NOTE: Final = b"!note"
SNAPSHOT: Final = b"!snapshot"
SIDE: Final = b"x"
STATE: Final = b"s"
HISTORY: Final = b"a"

NUMBER_LENGTH: Final = 4
_HISTORY_END: Final = b"\0\0"
_HISTORY_TAIL: Final = len(_HISTORY_END) + NUMBER_LENGTH


def header_key(block: Hash) -> bytes:
    """Where a header is."""
    return b"h" + block


def body_key(block: Hash) -> bytes:
    """Where a body is."""
    return b"b" + block


def number_key(number: BlockNumber) -> bytes:
    """Where the hash of a canonical block is."""
    return b"n" + _big_endian(number)


def side_key(block: BlockRef) -> bytes:
    """Where it is noted that a block is stored but not on the head's chain."""
    return SIDE + _big_endian(block.number) + block.hash


def side_block(key: bytes) -> BlockRef:
    """The block that a `side_key` names."""
    number = int.from_bytes(key[len(SIDE) : len(SIDE) + NUMBER_LENGTH], "big")
    return BlockRef(BlockNumber(number), Hash(key[len(SIDE) + NUMBER_LENGTH :]))


def undo_key(number: BlockNumber) -> bytes:
    """Where a block's undo record is."""
    return b"u" + _big_endian(number)


def history_prefix(prefix: bytes) -> bytes:
    """What the history of all storage keys that start with `prefix` starts with."""
    return HISTORY + prefix.replace(b"\0", b"\0\xff")


def history_key(key: bytes, number: BlockNumber) -> bytes:
    """Where it is kept what a block replaced at a storage key."""
    return history_versions(key) + _big_endian(number)


def history_versions(key: bytes) -> bytes:
    """What all history of exactly this storage key starts with."""
    return history_prefix(key) + _HISTORY_END


def history_entry(key: bytes) -> bytes:
    """The storage key that a `history_key` is about."""
    return key[len(HISTORY) : -_HISTORY_TAIL].replace(b"\0\xff", b"\0")


def _big_endian(number: BlockNumber) -> bytes:
    return number.to_bytes(NUMBER_LENGTH, "big")
