"""The node's own records, in msgpack; the three that everything hangs on carry a checksum.

What is read back is checked as if a stranger had written it: a damaged disk is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from runtime.primitives import HASH_LENGTH, BlockNumber, BlockRef, Hash, blake2b_128
from storage.errors import Reason, StorageError

SCHEMA_VERSION: Final = 1
"""Raised whenever a column or a record changes its meaning."""

_CHECKSUM_LENGTH: Final = 16
_MAX_NUMBER: Final = (1 << 32) - 1
_FIRST: Final = BlockNumber(0)
_MAX_CHANGES: Final = 1 << 22
_MAX_VALUE: Final = 1 << 26
_REMOVED: Final = b"\0"
_PRESENT: Final = b"\1"

Undo = Mapping[bytes, bytes | None]
"""The values that a block's changed keys had before it, ascending by key; None: the key was not there."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a database is for; `pruning` is the number of states behind the head it keeps, None: all."""

    genesis: Hash
    pruning: int | None

    def encode(self) -> bytes:
        """The record with the schema's version before it, and its checksum."""
        return _seal([SCHEMA_VERSION, self.genesis, self.pruning])

    @staticmethod
    def decode(data: bytes) -> "Identity":
        """Raises StorageError, also if another version of the schema wrote the database."""
        what = "identity record"
        value = _unseal(data, what)
        if isinstance(value, list) and value and value[0] != SCHEMA_VERSION:
            message = f"the database has schema version {value[0]!r}, this program needs {SCHEMA_VERSION}"
            raise StorageError(Reason.WRONG_VERSION, message)
        _, genesis, pruning = _fields(value, 3, what)
        return Identity(_hash(genesis, what), None if pruning is None else _number(pruning, what))


@dataclass(frozen=True, slots=True)
class Head:
    """The best block; the undo records of the blocks `floor` + 1 to the head are there."""

    block: BlockRef
    floor: BlockNumber

    def encode(self) -> bytes:
        """The record with its checksum."""
        return _seal([self.block.number, self.block.hash, self.floor])

    @staticmethod
    def decode(data: bytes) -> "Head":
        """Raises StorageError."""
        what = "head record"
        number, block, floor = _fields(_unseal(data, what), 3, what)
        ref = BlockRef(BlockNumber(_number(number, what)), _hash(block, what))
        return Head(ref, BlockNumber(_number(floor, what)))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a snapshot has come: headers up to `height`, the block it is of, and its state up to the key `after`."""

    genesis: Hash
    height: BlockNumber = _FIRST
    target: BlockRef | None = None
    after: bytes | None = None
    has_state: bool = False

    def encode(self) -> bytes:
        """The record with the schema's version before it, and its checksum."""
        target = None if self.target is None else [self.target.number, self.target.hash]
        return _seal([SCHEMA_VERSION, [self.genesis, self.height, target], [self.after, self.has_state]])

    @staticmethod
    def decode(data: bytes) -> "Progress":
        """Raises StorageError."""
        what = "record of a snapshot"
        version, first, second = _fields(_unseal(data, what), 3, what)
        if version != SCHEMA_VERSION:
            message = f"the database has schema version {version!r}, this program needs {SCHEMA_VERSION}"
            raise StorageError(Reason.WRONG_VERSION, message)
        genesis, height, target = _fields(first, 3, what)
        after, has_state = _fields(second, 2, what)
        if not (after is None or isinstance(after, bytes)) or not isinstance(has_state, bool):
            raise _damaged(what, "it has a field of the wrong type")
        ref = None
        if target is not None:
            number, block = _fields(target, 2, what)
            ref = BlockRef(BlockNumber(_number(number, what)), _hash(block, what))
        return Progress(_hash(genesis, what), BlockNumber(_number(height, what)), ref, after, has_state)


def encode_finalized(block: BlockRef) -> bytes:
    """The record of the last finalized block, with its checksum."""
    return _seal([block.number, block.hash])


def decode_finalized(data: bytes) -> BlockRef:
    """Raises StorageError."""
    what = "record of the finalized block"
    number, block = _fields(_unseal(data, what), 2, what)
    return BlockRef(BlockNumber(_number(number, what)), _hash(block, what))


def encode_undo(block: Hash, undo: Undo) -> bytes:
    """What a block replaced, with the hash of the block that it belongs to."""
    return msgpack.packb([block, undo])


def decode_undo(data: bytes, block: BlockRef) -> Undo:
    """Raises StorageError, also if the record belongs to another block of this number."""
    what = f"undo record of block {block.number}"
    owner, undo = _fields(_unpack(data, what), 2, what)
    if owner != block.hash or not isinstance(undo, dict):
        raise _damaged(what, "it is not that block's")
    for key, value in undo.items():
        if not (isinstance(key, bytes) and (value is None or isinstance(value, bytes))):
            raise _damaged(what, "it has a field of the wrong type")
    return undo


def encode_replaced(value: bytes | None) -> bytes:
    """One value of an archive's history."""
    return _REMOVED if value is None else _PRESENT + value


def decode_replaced(data: bytes) -> bytes | None:
    """Raises StorageError."""
    if data == _REMOVED:
        return None
    if data[:1] != _PRESENT:
        raise _damaged("history of a storage key", "it has neither a value nor none")
    return data[1:]


def _seal(fields: list[object]) -> bytes:
    payload = msgpack.packb(fields)
    return blake2b_128(payload) + payload


def _unseal(data: bytes, what: str) -> Any:
    payload = data[_CHECKSUM_LENGTH:]
    if blake2b_128(payload) != data[:_CHECKSUM_LENGTH]:
        raise _damaged(what, "its checksum is wrong")
    return _unpack(payload, what)


def _unpack(data: bytes, what: str) -> Any:
    try:
        return msgpack.unpackb(
            data,
            max_array_len=3,
            max_map_len=_MAX_CHANGES,
            max_bin_len=_MAX_VALUE,
            max_str_len=0,
            max_ext_len=0,
        )
    except ValueError as error:
        raise _damaged(what, f"{error}") from error


def _fields(value: Any, count: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        raise _damaged(what, f"it does not have {count} fields")
    return value


def _number(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_NUMBER:
        raise _damaged(what, "it has a field of the wrong type")
    return value


def _hash(value: Any, what: str) -> Hash:
    if not isinstance(value, bytes) or len(value) != HASH_LENGTH:
        raise _damaged(what, "it has a field of the wrong type")
    return Hash(value)


def _damaged(what: str, why: str) -> StorageError:
    return StorageError(Reason.CORRUPT, f"the database is damaged: the {what} cannot be read: {why}")
