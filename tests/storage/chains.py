"""Chains of blocks with random states, and what a database that holds them has to answer."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash
from runtime.trie import StateVersion, Trie, ordered_root
from storage.chain_db import ChainDatabase
from storage.kv import KeyValueStore
from storage.state_db import Changes

State = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Step:
    """A block, what it changes, and what is there after it."""

    block: Block
    changes: Changes
    state: State
    trie: Trie

    @property
    def ref(self) -> BlockRef:
        return BlockRef(self.block.header.number, self.hash)

    @property
    def hash(self) -> Hash:
        return self.block.header.hash()


def genesis_step(state: State) -> Step:
    trie = Trie.from_items(sorted(state.items()), StateVersion.V1)
    header = Header(ZERO_HASH, BlockNumber(0), trie.root(), ordered_root([]))
    return Step(Block(header, ()), [], state, trie)


def child(parent: Step, changes: Mapping[bytes, bytes | None], fork: int = 0) -> Step:
    """The block after `parent` that makes these changes; `fork` tells siblings apart."""
    ordered = sorted(changes.items())
    trie = parent.trie.apply(ordered)
    number = BlockNumber(parent.ref.number + 1)
    extrinsics = (b"\x0c\x04%c\x01" % (number % 256), b"\x08\x04%c" % (fork % 256))
    digest = (DigestItem(DigestKind.PRE_RUNTIME, b"test", bytes([fork])),)
    header = Header(parent.hash, number, trie.root(), ordered_root(extrinsics), digest)
    state = {key: value for key, value in {**parent.state, **changes}.items() if value is not None}
    return Step(Block(header, extrinsics), ordered, state, trie)


def random_changes(source: random.Random, state: State) -> dict[bytes, bytes | None]:
    """New keys, new values for old keys, removals, and one of something that is not there."""
    old = sorted(state)
    changes: dict[bytes, bytes | None] = {}
    for _ in range(source.randrange(4)):
        changes[_key(source)] = source.randbytes(source.choice((0, 3, 32, 33, 80)))
    for key in source.sample(old, min(len(old), 3)):
        changes[key] = source.choice((None, b"new", source.randbytes(40)))
    changes[b"absent" + _key(source)] = None
    return changes


def random_chain(length: int, seed: int = 1) -> list[Step]:
    """The genesis block and `length` more."""
    source = random.Random(seed)  # noqa: S311 - reproducible, and secret to nobody
    chain = [genesis_step({_key(source): source.randbytes(source.randrange(60)) for _ in range(20)})]
    while len(chain) <= length:
        chain.append(child(chain[-1], random_changes(source, chain[-1].state)))
    return chain


def _key(source: random.Random) -> bytes:
    return bytes(source.choice((0, 1, 0x7F, 0xFF)) for _ in range(source.randrange(1, 5)))


def open_chain(store: KeyValueStore, genesis: Step, pruning: int | None = 4) -> ChainDatabase:
    return ChainDatabase.open(store, genesis.block.header, sorted(genesis.state.items()), state_pruning=pruning)


def commit(database: ChainDatabase, step: Step, *, final: bool = False) -> None:
    database.commit(step.block, step.changes, step.trie, final=final)


def check_head(database: ChainDatabase, step: Step) -> None:
    """Everything that is said of the head is that of `step`."""
    assert database.head() == step.ref
    assert database.hash_at(step.ref.number) == step.hash
    assert database.hash_at(BlockNumber(step.ref.number + 1)) is None
    assert database.block(step.hash) == step.block
    assert database.head_trie().root() == step.block.header.state_root
    check_state(database, step)


def check_state(database: ChainDatabase, step: Step) -> None:
    """The state after `step` can be read and is right."""
    state = database.state_at(step.hash)
    assert list(state.items(b"")) == sorted(step.state.items())
    assert {key: state.get(key) for key in step.state} == step.state
    assert state.get(b"never there") is None
