"""What the RPC server asks of a node: reads in its own thread, writes through the node's main loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar
from unittest.mock import MagicMock

import pytest
import trio

from node import inbox as inbox_module
from node.executor import InlineExecutor
from node.inbox import Inbox
from node.node import Node
from node.pool import TransactionPool
from node.rpc_service import RpcService
from node.spec_types import Sealing
from node.sync.catch_up import CatchUp
from node.sync.handler import PeerHandler
from pallets.system.storage import NUMBER
from rpc.errors import RpcError
from rpc.service import (
    AUTHORITY,
    FULL,
    BlockFinalized,
    BlockImported,
    Health,
    NodeEvent,
    NodeInfo,
    SyncState,
    TransactionState,
    TransactionStatus,
)
from runtime.extrinsic import Extrinsic, extrinsic_hash
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, to_hex
from runtime.trie import StateVersion
from runtime.trie.proof import verify_proof
from tests.support.node_chain import NodeChain, small_spec
from tests.support.small_chain import PAIRS, remark, submit_rating

T = TypeVar("T")

ALICE = PAIRS["Alice"]
INFO = NodeInfo("name", "1.0", "Dev", "Development", {}, ("Full",), "", ())


@dataclass
class Running:
    """A node that makes no blocks by itself: its main loop runs in a thread of its own."""

    node: NodeChain
    pool: TransactionPool = field(default_factory=TransactionPool)
    events: list[NodeEvent] = field(default_factory=list)
    service: RpcService = field(init=False)
    inbox: Inbox = field(init=False)
    _token: trio.lowlevel.TrioToken = field(init=False)
    _stop: trio.Event = field(init=False)

    def start(self, *, serving: bool = True) -> None:
        started = threading.Event()

        async def main() -> None:
            self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
            self.inbox = Inbox(self._token)
            self.service = RpcService(INFO, self.node.chain, self.pool, self.inbox)
            loop = Node(
                chain=self.node.chain,
                pool=self.pool,
                inbox=self.inbox,
                executor=InlineExecutor(),
                notify=self.service.notify,
                producer=None,
                block_time=1.0,
                clock=lambda: 0,
                network=None,
            )
            async with trio.open_nursery() as nursery:
                if serving:
                    nursery.start_soon(loop.run)
                started.set()
                await self._stop.wait()
                nursery.cancel_scope.cancel()

        self._thread = threading.Thread(target=trio.run, args=(main,))
        self._thread.start()
        assert started.wait(60)

    def stop(self) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextmanager
def run_node(node: NodeChain, *, serving: bool = True) -> Iterator[Running]:
    running = Running(node)
    running.start(serving=serving)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def running() -> Iterator[Running]:
    with run_node(NodeChain()) as running:
        yield running


def ask(make: Callable[[], Awaitable[T]]) -> T:
    """Await something as the RPC server does, in a loop of its own."""

    async def main() -> T:
        async with asyncio.timeout(60):
            return await make()

    return asyncio.run(main())


def error_of(action: Callable[[], object]) -> dict[str, object]:
    with pytest.raises(RpcError) as caught:
        action()
    return caught.value.to_json()


# Reads.


def test_a_node_without_a_network_is_healthy_and_never_behind(running: Running) -> None:
    service = running.service
    assert service.node_info() is INFO
    assert service.health() == Health(peers=0, is_syncing=False, should_have_peers=False)
    assert (list(service.peers()), service.unready_reason()) == ([], None)
    running.node.block()
    running.node.block()
    assert service.sync_state() == SyncState(BlockNumber(0), BlockNumber(2), BlockNumber(2))


@pytest.mark.parametrize(
    ("roles", "sealing", "peers", "reason"),
    [
        ((FULL,), Sealing.RING, 0, "no peers: others may have blocks that this node does not know of"),
        ((FULL,), Sealing.RING, 1, None),
        ((AUTHORITY,), Sealing.RING, 0, None),
        ((FULL,), Sealing.INTERVAL, 0, None),
    ],
)
def test_who_only_follows_is_ready_when_there_is_somebody_to_follow(
    roles: tuple[str, ...], sealing: Sealing, peers: int, reason: str | None
) -> None:
    chain = NodeChain(replace(small_spec(), sealing=sealing, ring=(PAIRS["Alice"].public,))).chain
    service = RpcService(replace(INFO, roles=roles), chain, TransactionPool(), MagicMock(Inbox))
    handler = MagicMock(PeerHandler, peers=range(peers), catch_up=MagicMock(CatchUp, is_active=False))
    service.follow_peers(handler)
    assert service.unready_reason() == reason


def test_blocks_are_found_by_hash_and_height(running: Running) -> None:
    service, node = running.service, running.node
    block = node.block(("Alice", remark(b"")))
    assert service.best() == service.finalized() == node.chain.snapshot.best
    assert service.hash_at(BlockNumber(1)) == block
    assert service.hash_at(BlockNumber(2)) is None
    found = service.block(block)
    assert found is not None
    assert found.header == service.header(block)
    assert (service.block(ZERO_HASH), service.header(ZERO_HASH)) == (None, None)


def test_states_are_read_at_the_best_block_or_another_one(running: Running) -> None:
    service, node = running.service, running.node
    first, _ = node.block(), node.block()
    assert NUMBER.get(service.state_at(None)) == 2
    assert NUMBER.get(service.state_at(first)) == 1
    assert NUMBER.key in service.changed_keys(first)
    for at, number in ((None, 2), (first, 1)):
        proof = service.read_proof([NUMBER.key], at)
        assert proof.at == (node.hash_at(2) if at is None else first)
        header = service.header(proof.at)
        assert header is not None
        proven = verify_proof(header.state_root, proof.nodes, [NUMBER.key], StateVersion.V1)
        assert proven == {NUMBER.key: number.to_bytes(4, "little")}


@pytest.fixture
def forgetful() -> Iterator[Running]:
    with run_node(NodeChain(pruning=1)) as running:
        yield running


def test_unknown_and_pruned_blocks_are_told_apart(forgetful: Running) -> None:
    service, node = forgetful.service, forgetful.node
    old, _, _ = node.block(), node.block(), node.block()
    raw = node.sign("Alice", remark(b""))
    for reading in (
        service.state_at,
        service.changed_keys,
        lambda block: service.read_proof([b""], block),
        lambda block: service.dry_run(raw, block),
        lambda block: service.runtime_call("Core_version", b"", block),
    ):
        assert error_of(lambda reading=reading: reading(ZERO_HASH)) == {
            "code": 8002,
            "message": f"block {to_hex(ZERO_HASH)} is unknown",
            "data": {"reason": "UnknownBlock", "block": to_hex(ZERO_HASH)},
        }
        assert error_of(lambda reading=reading: reading(old)) == {
            "code": 8003,
            "message": f"the state of block {to_hex(old)} is not kept any more",
            "data": {"reason": "StatePruned", "block": to_hex(old)},
        }


def test_an_old_state_is_found_out_once_a_block(running: Running) -> None:
    service, node = running.service, running.node
    first, second = node.block(), node.block()
    kept = service.state_at(first)
    assert service.state_at(first) is kept
    header = service.header(second)
    assert header is not None
    service.notify(BlockImported(BlockRef(header.number, second), header, is_best=True, changed_keys=()))
    assert service.state_at(first) is not kept
    assert NUMBER.get(service.state_at(first)) == NUMBER.get(kept) == 1


def test_what_is_the_same_for_all_blocks_is_not_told_of_unknown_ones(running: Running) -> None:
    for question in (running.service.runtime_version, running.service.metadata):
        assert question(running.node.chain.snapshot.best.hash) == question(None)
        with pytest.raises(RpcError, match=f"^block {to_hex(ZERO_HASH)} is unknown$"):
            question(ZERO_HASH)


def test_runtime_version_calls_and_dry_runs(running: Running) -> None:
    service, node = running.service, running.node
    assert service.runtime_version(None) == node.chain.runtime.version.to_json()
    assert service.runtime_call("AccountNonceApi_account_nonce", ALICE.public, None) == bytes(4)
    assert service.dry_run(node.sign("Alice", submit_rating(0, 5)), None) == b"\x00\x00"


def test_the_events_of_a_transaction_are_found_by_index_and_by_hash(running: Running) -> None:
    service, node = running.service, running.node
    raw = node.sign("Alice", submit_rating(3, 5))
    block = node.build(node.valid(raw)).head.ref.hash
    events = service.transaction_events(block, 1)
    assert [event["event"] for event in events] == ["RatingSubmitted", "NewAccount", "ExtrinsicSuccess"]
    assert service.transaction_events(block, extrinsic_hash(raw)) == events
    missing = {"code": -32602, "message": f"block {to_hex(block)} has no such extrinsic"}
    assert error_of(lambda: service.transaction_events(block, 2)) == missing
    assert error_of(lambda: service.transaction_events(block, ZERO_HASH)) == missing
    assert error_of(lambda: service.transaction_events(ZERO_HASH, 0))["code"] == 8002


def test_questions_about_the_model_go_through(running: Running) -> None:
    service = running.service
    running.node.block(("Alice", submit_rating(3, 5)))
    assert service.user(ALICE.public, None) == service.queries.user(ALICE.public, None)
    assert service.predict(ALICE.public, 3, None)["rated"] == 5
    assert service.model(None)["ratings"] == 1


def test_listeners_are_told_until_they_cancel(running: Running) -> None:
    service = running.service
    head = running.node.build().head
    told: list[tuple[str, NodeEvent]] = []
    cancel = [service.subscribe(lambda event, name=name: told.append((name, event))) for name in ("a", "b")]
    event = BlockFinalized(head.ref, head.block.header)
    service.notify(event)
    cancel[0]()
    cancel[0]()
    service.notify(event)
    assert told == [("a", event), ("b", event), ("b", event)]


# Writes.


def test_a_submitted_transaction_is_in_the_pool(running: Running) -> None:
    service, node = running.service, running.node
    first, second = (node.sign("Alice", submit_rating(item, 5), item) for item in (0, 1))
    assert service.next_nonce(ALICE.public) == 0
    assert ask(lambda: service.submit(first)) == extrinsic_hash(first)
    assert service.next_nonce(ALICE.public) == 1
    assert ask(lambda: service.submit(second)) == extrinsic_hash(second)
    assert ask(service.pending) == [first, second]
    assert service.next_nonce(ALICE.public) == 2


def test_a_refused_transaction_says_why(running: Running) -> None:
    service, node = running.service, running.node
    raw = node.sign("Alice", remark(b""))
    ask(lambda: service.submit(raw))
    expected = {
        raw: (1013, f"[{to_hex(extrinsic_hash(raw))}] Already Imported"),
        raw[:-1] + b"\x04": (1001, None),
        Extrinsic(None, remark(b"")).encode(): (
            1010,
            "Could not find an unsigned validator for the unsigned transaction",
        ),
        b"": (1001, None),
    }
    for refused, (code, data) in expected.items():
        error = error_of(lambda refused=refused: ask(lambda: service.submit(refused)))
        assert error["code"] == code
        assert data is None or error["data"] == data
    assert ask(service.pending) == [raw]


def test_a_watched_transaction_is_followed_until_nobody_listens(running: Running) -> None:
    service, node = running.service, running.node
    told: list[TransactionStatus] = []
    raw = node.sign("Alice", remark(b""), 1)
    cancel = ask(lambda: service.submit_and_watch(raw, told.append))
    assert told == [TransactionStatus(TransactionState.FUTURE)]
    ask(lambda: service.submit(node.sign("Alice", remark(b""))))
    assert told[1:] == [TransactionStatus(TransactionState.READY)]
    cancel()
    ask(lambda: service.submit(node.sign("Alice", remark(b""), 2)))
    assert len(told) == 2
    refused = node.sign("Alice", remark(b""), 2)
    assert error_of(lambda: ask(lambda: service.submit_and_watch(refused, told.append)))["code"] == 1013


def test_a_full_inbox_is_a_full_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "CAPACITY", 1)

    async def main() -> None:
        first = service.submit(b"")
        with pytest.raises(RpcError) as caught:
            service.submit(b"")
        assert caught.value.to_json() == {
            "code": 1016,
            "message": "Immediately Dropped",
            "data": "too many transactions wait to be checked",
        }
        assert not asyncio.ensure_future(first).done()

    with run_node(NodeChain(), serving=False) as running:
        service = running.service
        ask(main)


def test_nobody_minds_who_stopped_waiting(running: Running) -> None:
    service, node = running.service, running.node
    raw = node.sign("Alice", remark(b""))

    async def give_up() -> None:
        asyncio.ensure_future(service.submit(raw)).cancel()

    asyncio.run(give_up())

    behind = node.sign("Alice", remark(b""), 1)
    assert ask(lambda: service.submit(behind)) == extrinsic_hash(behind)
    assert ask(service.pending) == [raw, behind], "it was handed in all the same"


def test_a_rating_can_be_signed_by_the_node(running: Running) -> None:
    service = running.service
    submitted = [ask(lambda item=item: service.dev_rate("//Alice", item, 5)) for item in (0, 1)]
    pending = ask(service.pending)
    assert [extrinsic_hash(raw) for raw in pending] == submitted
    built = running.node.build(*(running.node.valid(raw) for raw in pending))
    assert built.head.entered[0].failed == 0
    ratings = service.user(ALICE.public, None)["ratings"]
    assert [(each["item"], each["rating"]) for each in ratings] == [(0, 5), (1, 5)]  # type: ignore[attr-defined]


def test_a_bad_secret_is_refused_without_repeating_it(running: Running) -> None:
    error = error_of(lambda: ask(lambda: running.service.dev_rate("correct horse battery", 0, 5)))
    assert error["code"] == -32602
    assert str(error["message"]).startswith("suri: ")
    assert "horse" not in str(error)
