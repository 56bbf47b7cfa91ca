"""A process that commits blocks until it is killed, and says each number once the block is committed."""

import sys
from pathlib import Path

from runtime.header import Block, Header
from runtime.primitives import BlockNumber
from runtime.trie import ordered_root
from storage.chain_db import ChainDatabase
from storage.kv import KeyValueStore
from storage.leveldb import LevelDbStore
from tests.storage.chains import genesis_step, open_chain

SLOTS = 40


def state_after(number: int) -> dict[bytes, bytes]:
    """The state as a function of the block's number, so that whoever reads it knows what to expect."""
    recent = range(max(0, number - SLOTS + 1), number + 1)
    return {b"number": b"%d" % number} | {b"slot%d" % (n % SLOTS): b"%d" % n * 50 for n in recent}


def changes_of(number: int) -> list[tuple[bytes, bytes | None]]:
    before, after = state_after(number - 1), state_after(number)
    return [(key, after.get(key)) for key in sorted({*before, *after}) if before.get(key) != after.get(key)]


def open_database(store: KeyValueStore, pruning: str) -> ChainDatabase:
    return open_chain(store, genesis_step(state_after(0)), None if pruning == "archive" else int(pruning))


def main(path: str, pruning: str) -> None:
    database = open_database(LevelDbStore(Path(path)), pruning)
    while True:
        head = database.head()
        number = BlockNumber(head.number + 1)
        changes = changes_of(number)
        trie = database.head_trie().apply(changes)
        header = Header(head.hash, number, trie.root(), ordered_root([]))
        database.commit(Block(header, ()), changes, trie)
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
