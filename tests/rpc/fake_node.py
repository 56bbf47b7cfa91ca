"""A node for the RPC server's tests: a real chain of headers with real states, and a model that is made up."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rpc.errors import (
    already_imported,
    invalid_params,
    invalid_transaction,
    state_pruned,
    unknown_block,
    unknown_item,
    unknown_runtime_call,
)
from rpc.service import (
    BlockFinalized,
    BlockImported,
    Cancel,
    Health,
    JsonObject,
    Listener,
    ModelChanged,
    NodeEvent,
    NodeInfo,
    Peer,
    ReadProof,
    RecommendOptions,
    StatusListener,
    SyncState,
    TransactionStatus,
)
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.interface.errors import InvalidReason
from runtime.interface.state import StateReader
from runtime.keys import ss58_encode
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, BlockRef, Hash, Nonce, blake2b_256, to_hex
from runtime.trie import StateVersion, Trie, ordered_root

ITEMS = 16
TITLE = "Archer"
BAD_EXTRINSIC = b"\x08\x04\xff"
EXTRINSIC = b"\x08\x04\x01"


@dataclass(frozen=True, slots=True)
class DictState:
    """A state held in a dictionary."""

    values: Mapping[bytes, bytes]

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.values):
            if key.startswith(prefix) and (after is None or key > after):
                yield key, self.values[key]


VERSION = {
    "specName": "mfchain",
    "implName": "mfchain-test",
    "implVersion": 1,
    "apis": [["0xdf6acb689907609b", 5]],
    "transactionVersion": 1,
    "stateVersion": 1,
}


def on_another_thread(function: Callable[..., None], *arguments: object) -> None:
    """Run to its end where the node would run."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


class FakeNode:
    """Everything that `rpc.service.NodeService` asks for."""

    def __init__(self) -> None:
        self.join_terms: JsonObject | None = {"work": 16, "age": 256}
        self.blocks: dict[Hash, Block] = {}
        self.states: dict[Hash, dict[bytes, bytes]] = {}
        self.changes: dict[Hash, list[bytes]] = {}
        self.chain: list[Hash] = []
        self.listeners: list[Listener] = []
        self.watched: dict[bytes, StatusListener] = {}
        self.cancelled: list[bytes] = []
        self.cancelled_one = threading.Event()
        self.pool: list[bytes] = []
        self.peer_list: list[Peer] = []
        self.unready: str | None = None
        self.spec_version = 100
        self.spec_versions: dict[Hash, int] = {}
        self.finalized_number = 0
        self.hang = False
        self.versions_fail = False
        self.submit_gate: threading.Event | None = None
        self.submit_begun = threading.Event()
        self.prepared = True
        self.batch_threads: list[str] = []
        self.state_threads: list[str] = []
        self.slow_gate: threading.Event | None = None
        self.slow_calls: list[bytes] = []
        self.slow_begun = threading.Semaphore(0)
        self.grow({b"\x01": b"one", b"\x01\x02": b"twelve", b"\x02": b"a value that is longer than a hash is, by far"})

    # The chain

    def grow(
        self,
        changes: Mapping[bytes, bytes | None],
        parent: Hash | None = None,
        *,
        is_best: bool = True,
        model: JsonObject | None = None,
    ) -> Header:
        """Add a block, by default to the best one, and tell of it from another thread."""
        before: dict[bytes, bytes] = {}
        number = 0
        if self.chain:
            parent = self.chain[-1] if parent is None else parent
            before, number = self.states[parent], self.blocks[parent].header.number + 1
        state = {key: value for key, value in {**before, **changes}.items() if value is not None}
        extrinsics = (b"\x28\x04\x03\x00\x0b" + number.to_bytes(6, "little"),)
        trie = Trie.from_items(sorted(state.items()), StateVersion.V1)
        seal = DigestItem(DigestKind.SEAL, b"test", b"side" if not is_best else b"main")
        header = Header(parent or ZERO_HASH, BlockNumber(number), trie.root(), ordered_root(extrinsics), (seal,))
        block = header.hash()
        self.blocks[block] = Block(header, extrinsics)
        self.states[block] = state
        self.changes[block] = sorted(changes)
        self.spec_versions[block] = self.spec_version
        if is_best:
            self.chain = [*self.chain[:number], block]
        reference = BlockRef(header.number, block)
        keys = self.changes[block] if is_best else []
        self.emit(BlockImported(reference, header, is_best, keys))
        if model is not None:
            self.emit(ModelChanged(reference, model))
        return header

    def finalize(self, number: int) -> Header:
        self.finalized_number = number
        header = self.blocks[self.chain[number]].header
        self.emit(BlockFinalized(BlockRef(header.number, header.hash()), header))
        return header

    def emit(self, event: NodeEvent) -> None:
        def tell() -> None:
            for listener in tuple(self.listeners):
                listener(event)

        on_another_thread(tell)

    def tell_status(self, extrinsic: bytes, status: TransactionStatus) -> None:
        on_another_thread(self.watched[extrinsic], status)

    # NodeStatus

    def node_info(self) -> NodeInfo:
        return NodeInfo(
            name="mfchain-node",
            version="0.1.0",
            chain="Test",
            chain_type="Development",
            properties={"ss58Format": 42, "tokenDecimals": 12, "tokenSymbol": "MF"},
            roles=("Authority",),
            peer_id="12D3KooWTest",
            listen_addresses=("/ip4/127.0.0.1/tcp/30333/p2p/12D3KooWTest",),
        )

    def health(self) -> Health:
        return Health(peers=len(self.peer_list), is_syncing=False, should_have_peers=False)

    def sync_state(self) -> SyncState:
        best = self.best().number
        return SyncState(BlockNumber(0), best, best)

    def peers(self) -> Sequence[Peer]:
        return self.peer_list

    def unready_reason(self) -> str | None:
        return self.unready

    def subscribe(self, listener: Listener) -> Cancel:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    # ChainReads

    def best(self) -> BlockRef:
        return BlockRef(BlockNumber(len(self.chain) - 1), self.chain[-1])

    def finalized(self) -> BlockRef:
        return BlockRef(BlockNumber(self.finalized_number), self.chain[self.finalized_number])

    def header(self, block: Hash) -> Header | None:
        found = self.blocks.get(block)
        return None if found is None else found.header

    def block(self, block: Hash) -> Block | None:
        return self.blocks.get(block)

    def hash_at(self, number: BlockNumber) -> Hash | None:
        return self.chain[number] if number < len(self.chain) else None

    # StateReads

    def _state(self, at: Hash | None) -> tuple[Hash, dict[bytes, bytes]]:
        block = self.chain[-1] if at is None else at
        if block not in self.blocks:
            raise unknown_block(block)
        if block not in self.states:
            raise state_pruned(block)
        return block, self.states[block]

    def state_at(self, at: Hash | None) -> StateReader:
        self.state_threads.append(threading.current_thread().name.partition("_")[0])
        return DictState(self._state(at)[1])

    def changed_keys(self, block: Hash) -> Sequence[bytes]:
        self._state(block)
        return self.changes[block]

    def read_proof(self, keys: Sequence[bytes], at: Hash | None) -> ReadProof:
        block, state = self._state(at)
        trie = Trie.from_items(sorted(state.items()), StateVersion.V1)
        return ReadProof(block, trie.prove(keys, state.get))

    def runtime_version(self, at: Hash | None) -> JsonObject:
        block, _ = self._state(at)
        if self.versions_fail:
            raise ZeroDivisionError("a defect of the node's")
        return {**VERSION, "specVersion": self.spec_versions[block]}

    def metadata(self, at: Hash | None) -> bytes:
        self._state(at)
        return b"meta\x0e"

    def runtime_call(self, name: str, data: bytes, at: Hash | None) -> bytes:
        self.slow_calls.append(data)
        self.slow_begun.release()
        if self.slow_gate is not None:
            self.slow_gate.wait(30)
        self._state(at)
        if name == "Fault_fault":
            raise ZeroDivisionError("a secret of the node's")
        if name != "Core_version":
            raise unknown_runtime_call(name)
        return b"\x1c" + data

    def dry_run(self, extrinsic: bytes, at: Hash | None) -> bytes:
        self._state(at)
        return b"\x00\x00"

    def transaction_events(self, block: Hash, extrinsic: int | Hash) -> Sequence[JsonObject]:
        self._state(block)
        if extrinsic not in (0, blake2b_256(self.blocks[block].extrinsics[0])):
            raise invalid_params("parameter extrinsic: the block has no such extrinsic")
        return [{"pallet": "System", "event": "ExtrinsicSuccess", "fields": {}}]

    # TransactionPool

    async def submit(self, extrinsic: bytes) -> Hash:
        if self.hang:
            await asyncio.Event().wait()
        if extrinsic == BAD_EXTRINSIC:
            raise invalid_transaction(InvalidReason.BAD_PROOF)
        identifier = blake2b_256(extrinsic)
        if extrinsic in self.pool:
            raise already_imported(identifier)
        self.pool.append(extrinsic)
        return identifier

    async def submit_and_watch(self, extrinsic: bytes, listener: StatusListener) -> Cancel:
        if self.submit_gate is not None:
            self.submit_begun.set()
            await asyncio.to_thread(self.submit_gate.wait, 30)
        await self.submit(extrinsic)
        self.watched[extrinsic] = listener

        def cancel() -> None:
            self.cancelled.append(extrinsic)
            self.cancelled_one.set()

        return cancel

    async def pending(self) -> Sequence[bytes]:
        return list(self.pool)

    def next_nonce(self, account: AccountId) -> Nonce:
        return Nonce(account[0] + len(self.pool))

    async def dev_rate(self, suri: str, item: int, rating: int) -> Hash:
        if item >= ITEMS:
            raise unknown_item(item)
        return blake2b_256(f"{suri} {item} {rating}".encode())

    # RingReads

    def ring_status(self) -> JsonObject:
        return {"ring": ["5Alice"], "turn": "5Alice", "join": self.join_terms}

    # ModelReads

    def _block(self, at: Hash | None) -> JsonObject:
        block, _ = self._state(at)
        return {"hash": to_hex(block), "number": self.blocks[block].header.number}

    def predict(self, account: AccountId, item: int, at: Hash | None) -> JsonObject:
        where = self._block(at)
        if item >= ITEMS:
            raise unknown_item(item)
        return {
            "item": item,
            "title": TITLE,
            "mean": account[0] / 256,
            "std": 0.755,
            "interval90": [-0.94, 1],
            "rated": None,
            "userRatings": 1,
            "itemRatings": 1,
            "canonical": True,
            "raw": {"mean": "317194", "variance": "597688", "fractionalBits": 20},
            "block": where,
        }

    def predict_batch(self, accounts: Sequence[AccountId], items: Sequence[int], at: Hash | None) -> JsonObject:
        where = self._block(at)
        self.batch_threads.append(threading.current_thread().name.partition("_")[0])
        for index, item in enumerate(items):
            if item >= ITEMS:
                raise unknown_item(item, index)
        return {"mean": [account[0] / 256 for account in accounts], "std": [0.755] * len(items), "block": where}

    def is_prepared(self, accounts: Sequence[AccountId]) -> bool:
        return self.prepared

    def recommend(
        self, account: AccountId, count: int, options: RecommendOptions, at: Hash | None
    ) -> Sequence[JsonObject]:
        found = [self.predict(account, item, at) for item in range(min(count, ITEMS))]
        return [{**entry, "options": [options.include_rated, options.min_ratings, options.order]} for entry in found]

    def similar_items(self, item: int, count: int, at: Hash | None) -> Sequence[JsonObject]:
        self._block(at)
        if item >= ITEMS:
            raise unknown_item(item)
        return [{"item": other, "title": TITLE, "similarity": 0.5} for other in range(min(count, ITEMS))]

    def item(self, item: int, at: Hash | None) -> JsonObject:
        where = self._block(at)
        if item >= ITEMS:
            raise unknown_item(item)
        return {"item": item, "title": TITLE, "registrar": None, "ratings": 0, "block": where}

    def items(self, start: int, count: int, at: Hash | None) -> JsonObject:
        self._block(at)
        page = [{"item": item, "title": TITLE, "ratings": 0} for item in range(start, min(start + count, ITEMS))]
        return {"total": ITEMS, "items": page}

    def user(self, account: AccountId, at: Hash | None) -> JsonObject:
        return {"account": ss58_encode(account), "ratings": [], "block": self._block(at)}

    def model(self, at: Hash | None) -> JsonObject:
        return {"ratings": 0, "users": 0, "items": ITEMS, "block": self._block(at)}
