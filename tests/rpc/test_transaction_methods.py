"""transaction_v1 and transactionWatch_v1, and payment_queryInfo."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from websockets.sync.client import ClientConnection, connect

from rpc.errors import invalid_params, pool_full, state_pruned
from rpc.methods.transaction import MOST_BROADCASTS
from rpc.service import TransactionState, TransactionStatus
from runtime.apis import FEE_INFO, FeeInfo
from runtime.interface.dispatch import Weight
from runtime.interface.weights import DispatchClass
from runtime.primitives import Hash, blake2b_256, to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import BAD_EXTRINSIC, EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served

RAW, BAD = to_hex(EXTRINSIC), to_hex(BAD_EXTRINSIC)
SOME_HASH = blake2b_256(b"some block")


class FullNode(FakeNode):
    """A node whose pool is full at first; it counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = True
        self.attempts: list[bytes] = []

    async def submit(self, extrinsic: bytes) -> Hash:
        self.attempts.append(extrinsic)
        if self.is_full:
            raise pool_full("there is no room")
        return await super().submit(extrinsic)


@pytest.fixture
def node() -> FullNode:
    return FullNode()


@pytest.fixture
def served(start: Start, node: FakeNode) -> Served:
    return start(node)


@pytest.fixture
def connection(served: Served) -> Iterator[ClientConnection]:
    with connect(served.url, proxy=None) as connected:
        yield connected


def ask(connection: ClientConnection, method: str, *params: object) -> Any:
    connection.send(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    answer = orjson.loads(connection.recv(PATIENCE))
    assert answer["id"] == 1
    return answer.get("result", answer.get("error"))


def event(connection: ClientConnection, identifier: str) -> Any:
    message = orjson.loads(connection.recv(PATIENCE))
    assert message["method"] == "transactionWatch_v1_watchEvent"
    assert message["params"]["subscription"] == identifier
    return message["params"]["result"]


def head(connection: ClientConnection) -> None:
    """Wait for the notification of a new head: what the server did at that block is done."""
    assert orjson.loads(connection.recv(PATIENCE))["method"] == "chain_newHead"


def test_a_broadcast_tries_again_at_each_block_until_the_pool_has_room(
    connection: ClientConnection, node: FullNode
) -> None:
    ask(connection, "chain_subscribeNewHeads")
    head(connection)
    operation = ask(connection, "transaction_v1_broadcast", RAW)
    assert isinstance(operation, str)
    for attempts in (2, 3):
        node.grow({})
        head(connection)
        assert len(node.attempts) == attempts
    node.is_full = False
    for _ in range(3):
        node.grow({})
        head(connection)
    assert node.pool == [EXTRINSIC]
    assert len(node.attempts) == 4, "the pool has it: that is all"
    assert ask(connection, "transaction_v1_stop", operation) is None
    fault = ask(connection, "transaction_v1_stop", operation)
    assert fault == {"code": -32602, "message": "there is no broadcast of this id"}


def test_a_broadcast_that_was_stopped_tries_no_more(connection: ClientConnection, node: FullNode) -> None:
    ask(connection, "chain_subscribeNewHeads")
    head(connection)
    operation = ask(connection, "transaction_v1_broadcast", RAW)
    node.grow({})
    head(connection)
    assert ask(connection, "transaction_v1_stop", operation) is None
    before = len(node.attempts)
    node.is_full = False
    node.grow({})
    head(connection)
    assert (len(node.attempts), node.pool) == (before, [])


def test_what_can_never_be_valid_is_not_tried_again(connection: ClientConnection, node: FullNode) -> None:
    node.is_full = False
    ask(connection, "chain_subscribeNewHeads")
    head(connection)
    assert isinstance(ask(connection, "transaction_v1_broadcast", BAD), str)
    for _ in range(2):
        node.grow({})
        head(connection)
    assert node.attempts == [BAD_EXTRINSIC]


def test_broadcasts_of_a_connection_are_bounded(connection: ClientConnection) -> None:
    operations = [ask(connection, "transaction_v1_broadcast", RAW) for _ in range(MOST_BROADCASTS)]
    assert len(set(operations)) == MOST_BROADCASTS
    assert ask(connection, "transaction_v1_broadcast", RAW) is None
    ask(connection, "transaction_v1_stop", operations[0])
    assert isinstance(ask(connection, "transaction_v1_broadcast", RAW), str)


def test_a_watched_transaction_goes_through_its_events(connection: ClientConnection, node: FullNode) -> None:
    node.is_full = False
    watch = ask(connection, "transactionWatch_v1_submitAndWatch", RAW)
    header = node.grow({})
    block, extrinsics = header.hash(), node.blocks[header.hash()].extrinsics
    node.blocks[block] = type(node.blocks[block])(header, (*extrinsics, EXTRINSIC))
    place = {"hash": to_hex(block), "index": 1}
    for status in (
        TransactionStatus(TransactionState.FUTURE),
        TransactionStatus(TransactionState.READY),
        TransactionStatus(TransactionState.BROADCAST, peers=("a",)),
        TransactionStatus(TransactionState.IN_BLOCK, block),
        TransactionStatus(TransactionState.RETRACTED, block),
        TransactionStatus(TransactionState.IN_BLOCK, block),
        TransactionStatus(TransactionState.FINALIZED, block),
    ):
        node.tell_status(EXTRINSIC, status)
    assert [event(connection, watch) for _ in range(5)] == [
        {"event": "validated"},
        {"event": "bestChainBlockIncluded", "block": place},
        {"event": "bestChainBlockIncluded", "block": None},
        {"event": "bestChainBlockIncluded", "block": place},
        {"event": "finalized", "block": place},
    ]
    assert ask(connection, "transactionWatch_v1_unwatch", watch) is False, "it is over"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (TransactionStatus(TransactionState.INVALID), ("invalid", "Transaction is not valid any more")),
        (
            TransactionStatus(TransactionState.USURPED, SOME_HASH),
            ("invalid", "Transaction was replaced by another one of the same nonce"),
        ),
        (TransactionStatus(TransactionState.DROPPED), ("dropped", "Transaction was dropped from the pool")),
        (
            TransactionStatus(TransactionState.FINALITY_TIMEOUT, SOME_HASH),
            ("dropped", "Transaction was in a block that did not become final in time"),
        ),
    ],
)
def test_the_ends_of_failed_transactions(
    connection: ClientConnection, node: FullNode, status: TransactionStatus, told: tuple[str, str]
) -> None:
    node.is_full = False
    watch = ask(connection, "transactionWatch_v1_submitAndWatch", RAW)
    node.tell_status(EXTRINSIC, status)
    assert event(connection, watch) == {"event": told[0], "error": told[1]}


def test_a_refusal_is_an_event(connection: ClientConnection, node: FullNode) -> None:
    node.is_full = False
    watch = ask(connection, "transactionWatch_v1_submitAndWatch", BAD)
    why = "Invalid Transaction: Transaction has a bad signature"
    assert event(connection, watch) == {"event": "invalid", "error": why}
    assert ask(connection, "transactionWatch_v1_unwatch", watch) is False


def test_unwatching(connection: ClientConnection, node: FullNode) -> None:
    node.is_full = False
    watch = ask(connection, "transactionWatch_v1_submitAndWatch", RAW)
    assert ask(connection, "transactionWatch_v1_unwatch", watch) is True
    assert node.cancelled == [EXTRINSIC]


class PayingNode(FakeNode):
    """A node whose runtime knows what extrinsics weigh."""

    def runtime_call(self, name: str, data: bytes, at: Hash | None) -> bytes:
        assert name == "TransactionPaymentApi_query_info"
        if at is not None:
            raise state_pruned(at)
        if data != EXTRINSIC + len(EXTRINSIC).to_bytes(4, "little"):
            raise invalid_params("data: it is no extrinsic")
        return FEE_INFO.encode(FeeInfo(Weight(12_345, 0), DispatchClass.OPERATIONAL, 0))


def test_fees_are_zero(start: Start) -> None:
    served = start(PayingNode())
    info = {"weight": {"ref_time": 12_345, "proof_size": 0}, "class": "operational", "partialFee": "0"}
    assert served.result("payment_queryInfo", RAW) == info
    nothing = {"weight": {"ref_time": 0, "proof_size": 0}, "class": "normal", "partialFee": "0"}
    assert served.result("payment_queryInfo", "0x00") == nothing
    assert served.error("payment_queryInfo", RAW, "0x" + 64 * "1")["code"] == 8003
