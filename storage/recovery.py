"""Making a database, and trusting one again after the process that wrote it is gone.

Every commit is one atomic batch, so a crash leaves the state before a block or after it, never between. What
is checked here is that nothing else went wrong: a wrong directory, a damaged disk, another version's data.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from runtime.header import Block, Header
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from runtime.trie import StateVersion, Trie
from storage.blocks import block_writes, read_body, read_hash, read_header
from storage.columns import FINALIZED, HEAD, IDENTITY, SNAPSHOT, STATE, number_key, undo_key
from storage.errors import Reason, StorageError
from storage.kv import KeyValueReader, KeyValueStore, Write
from storage.records import Head, Identity, decode_finalized, encode_finalized
from storage.state_db import HeadState


@dataclass(frozen=True, slots=True)
class Recovered:
    """A database that was found whole."""

    head: Head
    finalized: BlockRef
    trie: Trie


def create(
    store: KeyValueStore,
    genesis: Header,
    state: Iterable[tuple[bytes, bytes]],
    pruning: int | None,
    version: StateVersion,
) -> None:
    """Write the genesis block and its state (ascending by key) into an empty store, in one batch.

    Raises:
        StorageError: the store is not empty, or cannot be written.
        ValueError: this is no genesis header, or not the one of this state.
    """
    if store.get(SNAPSHOT) is not None:
        message = "the database holds a fast sync that is not done: start the node again, which goes on with it"
        raise StorageError(Reason.UNFINISHED, message)
    if next(iter(store.items(b"")), None) is not None:
        raise StorageError(
            Reason.CORRUPT, "the database holds something, but no record of what: it is damaged or not ours"
        )
    pairs = list(state)
    root = Trie.from_items(pairs, version).root()
    if genesis.number or genesis.state_root != root:
        raise ValueError(
            f"block {genesis.number} with state root {to_hex(genesis.state_root)} is not the genesis block "
            f"of a state with root {to_hex(root)}"
        )
    block = BlockRef(genesis.number, genesis.hash())
    writes: list[Write] = [(STATE + key, value) for key, value in pairs]
    writes += [
        (IDENTITY, Identity(block.hash, pruning).encode()),
        (HEAD, Head(block, block.number).encode()),
        (FINALIZED, encode_finalized(block)),
        *block_writes(Block(genesis, ()), block.hash),
        (number_key(block.number), block.hash),
    ]
    store.write(writes, sync=True)


def check_identity(store: KeyValueStore, data: bytes, genesis: Hash, pruning: int | None) -> None:
    """See that the database is for this chain and can go on in this pruning mode; adapt its window.

    Raises:
        StorageError: it is of another version, another chain, or was not written in this mode.
    """
    identity = Identity.decode(data)
    if identity.genesis != genesis:
        raise StorageError(
            Reason.WRONG_GENESIS,
            f"the database is of the chain with genesis block {to_hex(identity.genesis)}, not {to_hex(genesis)}",
        )
    if identity.pruning == pruning:
        return
    if pruning is None:
        raise StorageError(
            Reason.WRONG_PRUNING,
            f"the database keeps the states of the last {identity.pruning} blocks only, and cannot become an archive",
        )
    if identity.pruning is None:
        raise StorageError(
            Reason.WRONG_PRUNING,
            f"the database is an archive, and cannot keep only the last {pruning} states",
        )
    head = Head.decode(_need(store, HEAD, "head record"))
    floor = BlockNumber(max(head.floor, head.block.number - pruning))
    writes: list[Write] = [(undo_key(BlockNumber(number)), None) for number in range(head.floor + 1, floor + 1)]
    writes += [(HEAD, Head(head.block, floor).encode()), (IDENTITY, Identity(genesis, pruning).encode())]
    store.write(writes, sync=True)


def recover(reader: KeyValueReader, version: StateVersion) -> Recovered:
    """Check head, finalized block and state, and rebuild the head's trie.

    Raises:
        StorageError: CORRUPT, and what is not as it should be.
    """
    head = Head.decode(_need(reader, HEAD, "head record"))
    header = _canonical_header(reader, head.block, "head block")
    if read_body(reader, head.block.hash) is None:
        _corrupt("the body of the head block is missing")
    finalized = decode_finalized(_need(reader, FINALIZED, "record of the finalized block"))
    if finalized.number > head.block.number:
        _corrupt(f"the finalized block {finalized.number} is above the head, block {head.block.number}")
    _canonical_header(reader, finalized, "finalized block")
    trie = Trie.from_items(HeadState(reader).items(b""), version)
    if trie.root() != header.state_root:
        _corrupt(
            f"the state has the root {to_hex(trie.root())}, but the head, block {head.block.number}, "
            f"commits to {to_hex(header.state_root)}"
        )
    return Recovered(head, finalized, trie)


def _canonical_header(reader: KeyValueReader, block: BlockRef, what: str) -> Header:
    header = read_header(reader, block.hash)
    if header is None:
        _corrupt(f"the header of the {what} is missing")
    if header.hash() != block.hash or header.number != block.number:
        _corrupt(f"the header of the {what} is another block's")
    if read_hash(reader, block.number) != block.hash:
        _corrupt(f"the {what} is not the one that is listed as number {block.number}")
    return header


def _need(reader: KeyValueReader, key: bytes, what: str) -> bytes:
    data = reader.get(key)
    if data is None:
        _corrupt(f"the {what} is missing")
    return data


def _corrupt(what: str) -> NoReturn:
    raise StorageError(Reason.CORRUPT, f"the database is damaged: {what}")
