"""chainHead_v1: what followers are told, and what they may ask."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from websockets.sync.client import ClientConnection, connect

from rpc.chain_head import MOST_OPERATIONS, MOST_PINNED, MOST_UNFINALIZED
from rpc.methods.chain_head import MOST_FOLLOWS
from rpc.service import BlockFinalized, BlockImported
from runtime.header import Header
from runtime.primitives import BlockNumber, BlockRef, Hash, blake2b_256, to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import FakeNode
from tests.rpc.served import PATIENCE, Served, messages

SPEC = {
    "specName": "mfchain",
    "implName": "mfchain-test",
    "specVersion": 100,
    "implVersion": 1,
    "transactionVersion": 1,
    "apis": {"0xdf6acb689907609b": 5},
}


class Follower:
    """A client that follows the chain, and sees each message as it is."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.early: list[Any] = []
        self.identifier = ""

    def ask(self, method: str, *params: object) -> Any:
        """The answer to a call; events that come before it are kept."""
        self.connection.send(orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
        while True:
            message = orjson.loads(self.connection.recv(PATIENCE))
            if message.get("id") == 7:
                return message
            self.early.append(message)

    def follow(self, with_runtime: bool = True) -> "Follower":
        self.identifier = self.ask("chainHead_v1_follow", with_runtime)["result"]
        assert self.early == [], "the answer comes before the first event"
        return self

    def call(self, method: str, *params: object) -> Any:
        """The result of a chainHead method of this subscription."""
        answer = self.ask(f"chainHead_v1_{method}", self.identifier, *params)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, *params: object) -> Any:
        answer = self.ask(f"chainHead_v1_{method}", self.identifier, *params)
        assert "error" in answer, answer
        return answer["error"]

    def event(self) -> Any:
        """The next event of this subscription."""
        message = self.early.pop(0) if self.early else orjson.loads(self.connection.recv(PATIENCE))
        assert message["method"] == "chainHead_v1_followEvent"
        assert message["params"]["subscription"] == self.identifier
        return message["params"]["result"]

    def events(self, count: int) -> list[Any]:
        return [self.event() for _ in range(count)]

    def operation(self, method: str, *params: object) -> Any:
        """Start an operation; its first event."""
        started = self.call(method, *params)
        assert started["result"] == "started"
        event = self.event()
        assert event.pop("operationId") == started["operationId"]
        return event


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def served(start: Start, node: FakeNode) -> Served:
    return start(node)


@pytest.fixture
def follower(served: Served) -> Iterator[Follower]:
    with connect(served.url, proxy=None) as connection:
        yield Follower(connection)


def name(header: Header) -> str:
    return to_hex(header.hash())


def genesis(node: FakeNode) -> str:
    return to_hex(node.chain[0])


def new(header: Header, runtime: object = None) -> dict[str, object]:
    return {
        "event": "newBlock",
        "blockHash": name(header),
        "parentBlockHash": to_hex(header.parent_hash),
        "newRuntime": runtime,
    }


def best(header: Header) -> dict[str, object]:
    return {"event": "bestBlockChanged", "bestBlockHash": name(header)}


def finalized(*headers: Header, pruned: tuple[Header, ...] = ()) -> dict[str, object]:
    hashes, gone = [name(header) for header in headers], [name(header) for header in pruned]
    return {"event": "finalized", "finalizedBlockHashes": hashes, "prunedBlockHashes": gone}


def test_a_follower_begins_with_the_finalized_blocks_and_the_way_to_the_best_one(
    follower: Follower, node: FakeNode
) -> None:
    headers = [node.grow({}) for _ in range(4)]
    node.finalize(2)
    follower.follow()
    assert follower.events(4) == [
        {
            "event": "initialized",
            "finalizedBlockHashes": [genesis(node), name(headers[0]), name(headers[1])],
            "finalizedBlockRuntime": {"type": "valid", "spec": SPEC},
        },
        new(headers[2]),
        new(headers[3]),
        best(headers[3]),
    ]


def test_without_runtimes_nothing_is_said_of_them(follower: Follower, node: FakeNode) -> None:
    follower.follow(with_runtime=False)
    first = {"event": "initialized", "finalizedBlockHashes": [genesis(node)]}
    assert follower.events(2) == [first, {"event": "bestBlockChanged", "bestBlockHash": genesis(node)}]
    header = node.grow({})
    told = follower.event()
    assert "newRuntime" not in told
    assert told["blockHash"] == name(header)


def test_blocks_forks_and_finality(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    first = node.grow({})
    left = node.grow({b"\x01": b"left"})
    right = node.grow({b"\x01": b"right"}, first.hash(), is_best=False)
    child = node.grow({}, right.hash(), is_best=False)
    assert follower.events(6) == [new(first), best(first), new(left), best(left), new(right), new(child)]
    last = node.grow({})
    assert follower.events(2) == [new(last), best(last)]
    node.finalize(2)
    assert follower.event() == finalized(first, left, pruned=(right, child))
    node.finalize(3)
    assert follower.event() == finalized(last)


def test_ancestors_of_which_nothing_was_told_come_first(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    listeners, node.listeners = node.listeners, []
    missed = node.grow({})
    node.listeners = listeners
    later = node.grow({})
    assert follower.events(3) == [new(missed), new(later), best(later)]


def test_a_finalized_block_off_the_best_chain_becomes_the_best_one(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    left, right = node.grow({b"a": b"l"}), node.grow({b"a": b"r"}, node.chain[0], is_best=False)
    follower.events(3)
    node.emit(BlockFinalized(BlockRef(right.number, right.hash()), right))
    assert follower.events(2) == [best(right), finalized(right, pruned=(left,))]


def test_late_news_of_what_is_final_already_is_passed_over(follower: Follower, node: FakeNode) -> None:
    headers = [node.grow({}) for _ in range(3)]
    node.finalize(3)
    follower.follow().events(2)
    old = headers[0]
    node.emit(BlockImported(BlockRef(old.number, old.hash()), old, True, []))
    node.emit(BlockFinalized(BlockRef(old.number, old.hash()), old))
    last = node.grow({})
    assert follower.events(2) == [new(last), best(last)]


def test_a_new_runtime_is_told_with_its_first_block(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    node.spec_version = 101
    upgraded = node.grow({})
    assert follower.event() == new(upgraded, {"type": "valid", "spec": {**SPEC, "specVersion": 101}})
    assert follower.event() == best(upgraded)
    after = node.grow({})
    assert follower.event() == new(after)


def test_headers_and_bodies_of_pinned_blocks(follower: Follower, node: FakeNode) -> None:
    header = node.grow({})
    follower.follow().events(3)
    assert follower.call("header", name(header)) == to_hex(header.encode())
    body = [to_hex(extrinsic) for extrinsic in node.blocks[header.hash()].extrinsics]
    assert follower.operation("body", name(header)) == {"event": "operationBodyDone", "value": body}


def test_calls(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    at = genesis(node)
    done = {"event": "operationCallDone", "output": "0x1c0102"}
    assert follower.operation("call", at, "Core_version", "0x0102") == done
    assert follower.operation("call", at, "Core_version", "") == {**done, "output": "0x1c"}
    assert follower.operation("call", at, "No_such", "0x") == {
        "event": "operationError",
        "error": "the runtime has no function No_such",
    }
    assert follower.operation("call", at, "Fault_fault", "0x") == {"event": "operationError", "error": "Internal error"}


def test_storage(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    queries = [
        {"key": "0x01", "type": "value"},
        {"key": "0x0102", "type": "hash"},
        {"key": "0x99", "type": "value"},
        {"key": "0x01", "type": "descendantsValues"},
        {"key": "0x02", "type": "descendantsHashes"},
    ]
    long = node.states[node.chain[0]][b"\x02"]
    assert follower.operation("storage", genesis(node), queries, None) == {
        "event": "operationStorageItems",
        "items": [
            {"key": "0x01", "value": to_hex(b"one")},
            {"key": "0x0102", "hash": to_hex(blake2b_256(b"twelve"))},
            {"key": "0x01", "value": to_hex(b"one")},
            {"key": "0x0102", "value": to_hex(b"twelve")},
            {"key": "0x02", "hash": to_hex(blake2b_256(long))},
        ],
    }
    assert follower.event()["event"] == "operationStorageDone"
    assert follower.operation("storage", genesis(node), [{"key": "0x99", "type": "hash"}]) == {
        "event": "operationStorageDone"
    }


def test_storage_in_portions_waits_for_its_client(follower: Follower, node: FakeNode) -> None:
    keys = {b"\x07" + number.to_bytes(2): b"x" for number in range(1_200)}
    header = node.grow(keys)
    follower.follow().events(3)
    started = follower.call("storage", name(header), [{"key": "0x07", "type": "descendantsValues"}], None)
    got = []
    for _ in range(2):
        got += follower.event()["items"]
        assert follower.event()["event"] == "operationWaitingForContinue"
        assert follower.call("continue", started["operationId"]) is None
    got += follower.event()["items"]
    assert follower.event() == {"event": "operationStorageDone", "operationId": started["operationId"]}
    assert [item["key"] for item in got] == [to_hex(key) for key in sorted(keys)]
    assert follower.error("continue", started["operationId"]) == {
        "code": -32803,
        "message": "The operation does not wait for a continuation",
    }


def test_an_operation_that_is_stopped_says_no_more(follower: Follower, node: FakeNode) -> None:
    header = node.grow({b"\x07" + number.to_bytes(2): b"x" for number in range(600)})
    follower.follow().events(3)
    started = follower.call("storage", name(header), [{"key": "0x07", "type": "descendantsValues"}], None)
    follower.events(2)
    assert follower.call("stopOperation", started["operationId"]) is None
    assert follower.call("stopOperation", started["operationId"]) is None
    assert follower.error("continue", started["operationId"])["code"] == -32803
    assert follower.operation("body", name(header))["event"] == "operationBodyDone"


def test_operations_are_bounded(follower: Follower, node: FakeNode) -> None:
    header = node.grow({b"\x07" + number.to_bytes(2): b"x" for number in range(600)})
    follower.follow().events(3)
    query = [{"key": "0x07", "type": "descendantsHashes"}]
    started = [follower.call("storage", name(header), query, None) for _ in range(MOST_OPERATIONS)]
    assert {answer["result"] for answer in started} == {"started"}
    assert follower.call("body", name(header)) == {"result": "limitReached"}
    waiting = [
        event for event in follower.events(2 * MOST_OPERATIONS) if event["event"] == "operationWaitingForContinue"
    ]
    assert len(waiting) == MOST_OPERATIONS
    follower.call("stopOperation", started[0]["operationId"])
    assert follower.call("body", name(header))["result"] == "started"


def test_a_state_that_is_gone_is_inaccessible(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    at = node.chain[0]
    del node.states[at]
    for method, params in (("call", ("Core_version", "0x")), ("storage", ([{"key": "0x01", "type": "value"}], None))):
        assert follower.operation(method, to_hex(at), *params) == {"event": "operationInaccessible"}
    del node.blocks[at]
    assert follower.operation("body", to_hex(at)) == {"event": "operationInaccessible"}
    assert follower.call("header", to_hex(at)) is None


NOT_PINNED = {"code": -32801, "message": "Block hash is not pinned"}


def test_what_was_let_go_may_not_be_asked_about(follower: Follower, node: FakeNode) -> None:
    headers = [node.grow({}) for _ in range(3)]
    follower.follow().events(5)
    assert follower.call("unpin", name(headers[0])) is None
    assert follower.call("unpin", [name(headers[1]), genesis(node)]) is None
    for header in headers[:2]:
        assert follower.error("header", name(header)) == NOT_PINNED
        assert follower.error("body", name(header)) == NOT_PINNED
    assert follower.error("unpin", name(headers[0])) == NOT_PINNED
    assert follower.error("unpin", [name(headers[2]), name(headers[0])]) == NOT_PINNED
    assert follower.call("header", name(headers[2])) is not None, "all or none"
    twice = [name(headers[2])] * 2
    assert follower.error("unpin", twice) == {"code": -32804, "message": "A block is named twice"}
    assert follower.error("header", to_hex(Hash(b"\xee" * 32))) == NOT_PINNED


@pytest.mark.full
def test_who_lets_nothing_go_is_told_to_stop(follower: Follower, node: FakeNode) -> None:
    follower.follow(with_runtime=False).events(2)
    for number in range(MOST_PINNED):
        node.grow({})
        node.finalize(number + 1)
    events = follower.events(3 * MOST_PINNED)
    assert events[-1] == {"event": "stop"}
    assert events[-2]["event"] == "bestBlockChanged"
    assert follower.call("body", to_hex(node.chain[-1])) == {"result": "limitReached"}
    follower.follow(with_runtime=False)
    assert follower.event()["event"] == "initialized"


def test_a_chain_far_ahead_of_its_final_block_cannot_be_followed(follower: Follower, node: FakeNode) -> None:
    for _ in range(MOST_UNFINALIZED + 1):
        node.grow({})
    follower.follow()
    assert follower.event() == {"event": "stop"}
    assert follower.call("body", genesis(node)) == {"result": "limitReached"}
    node.finalize(1)
    follower.follow()
    events = follower.events(MOST_UNFINALIZED + 2)
    assert (events[0]["event"], events[-1]) == ("initialized", best(node.blocks[node.chain[-1]].header))


def test_a_follower_that_fails_harms_no_other(
    served: Served, follower: Follower, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(served.url, proxy=None) as connection:
        other = Follower(connection).follow(with_runtime=False)
        other.events(2)
        follower.follow().events(2)
        node.versions_fail = True
        header = node.grow({})
        assert [event["event"] for event in other.events(2)] == ["newBlock", "bestBlockChanged"]
        assert follower.call("header", name(header)) is None, "its subscription is over"
    assert messages(caplog, "rpc.subscriptions") == ["a follower lost the chain"]


@pytest.mark.full
def test_who_lets_go_follows_for_ever(follower: Follower, node: FakeNode) -> None:
    follower.follow(with_runtime=False).events(2)
    for number in range(MOST_PINNED + 10):
        header = node.grow({})
        node.finalize(number + 1)
        assert [event["event"] for event in follower.events(3)] == ["newBlock", "bestBlockChanged", "finalized"]
        follower.call("unpin", to_hex(header.parent_hash))


def test_a_subscription_that_is_over_has_no_blocks(follower: Follower, node: FakeNode) -> None:
    follower.follow().events(2)
    assert follower.call("unfollow") is None
    node.grow({})
    at = genesis(node)
    assert follower.call("header", at) is None
    assert follower.call("body", at) == {"result": "limitReached"}
    assert follower.call("unpin", at) is None
    assert follower.call("continue", "1") is None
    assert follower.call("stopOperation", "1") is None
    assert follower.call("unfollow") is None
    assert follower.early == []


def test_follows_of_a_connection_are_bounded(follower: Follower) -> None:
    for _ in range(MOST_FOLLOWS):
        assert "result" in follower.ask("chainHead_v1_follow", True)
    error = follower.ask("chainHead_v1_follow", False)["error"]
    assert error == {"code": -32800, "message": f"Too many chainHead_v1_follow subscriptions: at most {MOST_FOLLOWS}"}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("storage", ([], "0x01"), "parameter childTrie must be null, not a string"),
        ("storage", ({}, None), "parameter items must be an array of objects with key and type, not an object"),
        ("storage", ([1], None), "parameter items entry 0 must be an object with key and type, not a number"),
        (
            "storage",
            ([{"key": "0x", "type": "closestDescendantMerkleValue"}], None),
            "parameter items entry 0 has a wrong type: known are value, hash, descendantsValues, descendantsHashes",
        ),
        (
            "storage",
            ([{"key": "01", "type": "value"}], None),
            "parameter items entry 0 has a wrong key: it must be 0x-hex: hex text must start with 0x",
        ),
        ("call", ("Core_version", "01"), "parameter callParameters must be 0x-hex: hex text must start with 0x"),
    ],
)
def test_wrong_parameters(
    follower: Follower, node: FakeNode, method: str, params: tuple[object, ...], message: str
) -> None:
    follower.follow()
    assert follower.error(method, genesis(node), *params) == {"code": -32602, "message": message}


def test_following_needs_a_websocket(served: Served) -> None:
    assert served.error("chainHead_v1_follow", True)["message"] == "subscriptions need a WebSocket connection"
    assert served.error("chainHead_v1_header", "x", "0x" + 64 * "0")["data"] == {"reason": "NeedsWebSocket"}


def test_names_of_the_chain(served: Served, node: FakeNode) -> None:
    assert served.result("chainSpec_v1_chainName") == "Test"
    assert served.result("chainSpec_v1_genesisHash") == genesis(node)
    assert served.result("chainSpec_v1_properties") == node.node_info().properties
    assert node.best() == BlockRef(BlockNumber(0), node.chain[0])
