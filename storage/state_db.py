"""The state: its values at the head, and the way back to the states before.

Only the head's values are stored as they are. Each block leaves an undo record of the values it replaced,
and the state after an older block is the head's seen through the records of all blocks since. An archive also
keeps every replaced value by storage key and block number, and so reads any state without walking back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from threading import Lock
from typing import Final

from runtime.primitives import BlockNumber, BlockRef, Hash
from storage.columns import (
    STATE,
    history_entry,
    history_key,
    history_prefix,
    history_versions,
    number_key,
    undo_key,
)
from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, Write
from storage.layers import Layer, walk
from storage.records import Undo, decode_replaced, decode_undo, encode_replaced

Changes = Sequence[tuple[bytes, bytes | None]]
"""New values by storage key, unique and ascending; None removes the key."""

_CACHED_BYTES: Final = 16 << 20
_ENTRY_BYTES: Final = 150
_REMEMBERED: Final = 1 << 14
_SHORT: Final = 1 << 11


class HeadState:
    """The state of the head, as it was when `reader` was taken.

    Short values are remembered: what executes a block reads what it is going to replace, what writes it does so again,
    and the next blocks will change much of the same, since who rates does it more than once.
    """

    def __init__(self, reader: KeyValueReader) -> None:
        """Read from a snapshot."""
        self._reader = reader
        # Those that were replaced last come last.
        self._known: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a storage key, or None."""
        try:
            return self._known[key]
        except KeyError:
            value = self._reader.get(STATE + key)
        if len(self._known) < _REMEMBERED and _is_short(value):
            self._known[key] = value
        return value

    def changed(self, changes: Changes, reader: KeyValueReader) -> "HeadState":
        """Return the state that these changes make of this one, which `reader` sees, with what is known of it.

        This one has to look up again what somebody still asks of it: old states may be kept, but not all they knew.
        """
        state = HeadState(reader)
        # A copy, since threads may be reading from this one, and remembering what they have read.
        known = state._known = self._known.copy()
        self._known = {}
        for key, value in changes:
            known.pop(key, None)
            if _is_short(value):
                known[key] = value
        # Half of the room is for what will be read.
        for key in list(islice(known, max(0, len(known) - _REMEMBERED // 2))):
            del known[key]
        return state

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        low = None if after is None else STATE + after
        for key, value in self._reader.items(STATE + prefix, low):
            yield key[len(STATE) :], value


def _is_short(value: bytes | None) -> bool:
    return value is None or len(value) <= _SHORT


class UndoRecords:
    """Decoded undo records, the ones used last kept in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._records: OrderedDict[BlockRef, Undo] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def load(self, reader: KeyValueReader, number: BlockNumber) -> Undo:
        """Return the undo record of the block with this number on the chain that `reader` sees.

        Raises:
            StorageError: there is none, or it is damaged.
        """
        block = reader.get(number_key(number))
        if block is None:
            raise StorageError(Reason.CORRUPT, f"the database is damaged: no block {number} is on the head's chain")
        ref = BlockRef(number, Hash(block))
        with self._lock:
            known = self._records.get(ref)
            if known is not None:
                self._records.move_to_end(ref)
                return known
        data = reader.get(undo_key(number))
        if data is None:
            raise StorageError(Reason.CORRUPT, f"the database is damaged: the undo record of block {number} is missing")
        undo = decode_undo(data, ref)
        self.remember(ref, undo)
        return undo

    def remember(self, block: BlockRef, undo: Undo) -> None:
        """Keep a record in memory, for as long as it is among those used last."""
        with self._lock:
            if block in self._records:
                return
            self._records[block] = undo
            self._held += _size(undo)
            while self._held > _CACHED_BYTES and len(self._records) > 1:
                _, dropped = self._records.popitem(last=False)
                self._held -= _size(dropped)

    def forget(self, floor: BlockNumber) -> None:
        """Keep nothing of blocks up to this number: the store does not either, so that nobody asks any more."""
        with self._lock:
            for block in [block for block in self._records if block.number <= floor]:
                self._held -= _size(self._records.pop(block))


def _size(undo: Undo) -> int:
    """About how much memory a record takes, in bytes."""
    return _ENTRY_BYTES * len(undo) + sum(map(len, undo)) + sum(map(len, filter(None, undo.values())))


class WindowState:
    """The state after a block behind the head, by the undo records of the blocks since."""

    def __init__(self, reader: KeyValueReader, number: BlockNumber, head: BlockNumber, records: UndoRecords) -> None:
        """See the state after block `number` through a snapshot whose head is block `head`."""
        self._reader = reader
        self._head = HeadState(reader)
        self._since = range(number + 1, head + 1)
        self._records = records
        # Filled as reads need them; two threads that fill the same place put the same record there.
        self._loaded: dict[BlockNumber, Undo] = {}
        self._all: Layer | None = None
        """All that was replaced, once somebody has walked; the records are needed no more then."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a storage key, or None: what the first block since that changed it replaced."""
        known = self._all
        if known is not None:
            return known.values[key] if key in known.values else self._head.get(key)
        loaded = self._loaded
        for number in map(BlockNumber, self._since):
            record = loaded.get(number)
            if record is None:
                record = loaded[number] = self._records.load(self._reader, number)
            if key in record:
                return record[key]
        return self._head.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        return walk((self._replaced(),), self._head, prefix, after)

    def replaced(self) -> Mapping[bytes, bytes | None]:
        """What has to be changed in the head's state to get this one."""
        return self._replaced().values

    def _replaced(self) -> Layer:
        """Bring the records together, once: a branch that goes on from here walks again and again."""
        known = self._all
        if known is None:
            changes: dict[bytes, bytes | None] = {}
            for number in reversed(self._since):
                changes.update(self._records.load(self._reader, BlockNumber(number)))
            known = self._all = Layer(changes)
            self._loaded = {}
        return known


class ArchiveState:
    """The state after a block behind the head, by what an archive knows of each storage key."""

    def __init__(self, reader: KeyValueReader, number: BlockNumber) -> None:
        """See the state after block `number`."""
        self._reader = reader
        self._head = HeadState(reader)
        self._number = number

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a storage key, or None: what the first block since that changed it replaced."""
        since = self._reader.items(history_versions(key), history_key(key, self._number))
        first = next(since, None)
        return self._head.get(key) if first is None else decode_replaced(first[1])

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        present = (key for key, _ in self._head.items(prefix, after))
        last = None
        for key in merge(self._changed_keys(prefix, after), present):
            if key != last and (value := self.get(key)) is not None:
                yield key, value
            last = key

    def _changed_keys(self, prefix: bytes, after: bytes | None) -> Iterator[bytes]:
        """Walk the storage keys that have a history, leaping over the versions of each."""
        stem = history_prefix(prefix)
        last = None if after is None else _past(after)
        while (entry := next(self._reader.items(stem, last), None)) is not None:
            key = history_entry(entry[0])
            yield key
            last = _past(key)


def _past(key: bytes) -> bytes:
    """A key that is greater than all of a storage key's history, and smaller than that of the next one."""
    return history_key(key, BlockNumber((1 << 32) - 1))


def state_writes(changes: Changes) -> list[Write]:
    """The writes that bring the head's state up to date."""
    return [(STATE + key, value) for key, value in changes]


def replaced_by(get: Callable[[bytes], bytes | None], changes: Changes) -> Undo:
    """What `changes` are going to replace in the state that `get` reads."""
    return {key: get(key) for key, _ in changes}


def history_writes(number: BlockNumber, undo: Undo) -> list[Write]:
    """The writes by which an archive remembers what a block replaced."""
    return [(history_key(key, number), encode_replaced(value)) for key, value in undo.items()]
