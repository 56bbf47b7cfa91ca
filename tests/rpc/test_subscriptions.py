"""Subscriptions: what is told, in which order, and what becomes of clients that do not listen."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.guards import GuardedWebSocket
from rpc.limits import RpcLimits
from rpc.service import TransactionState, TransactionStatus
from rpc.subscriptions import MOST_WAITING_EVENTS
from runtime.header import Header
from runtime.primitives import Hash, blake2b_256, to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import BAD_EXTRINSIC, EXTRINSIC, FakeNode
from tests.rpc.served import PATIENCE, Served, messages

SOME_HASH = blake2b_256(b"some block")


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def served(start: Start, node: FakeNode) -> Served:
    return start(node)


@pytest.fixture
def client(served: Served) -> Iterator[RpcClient]:
    with served.client() as connected:
        yield connected


@contextmanager
def plain(served: Served) -> Iterator[ClientConnection]:
    """A WebSocket without the client, to see each message as it is."""
    with connect(served.url, proxy=None) as connection:
        yield connection


def send(connection: ClientConnection, method: str, *params: object) -> None:
    connection.send(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))


def receive(connection: ClientConnection) -> Any:
    return orjson.loads(connection.recv(PATIENCE))


def read_on(connection: ClientConnection) -> None:
    """Read until the server closes."""
    while True:
        connection.recv(PATIENCE)


def numbers(headers: list[Any]) -> list[int]:
    return [int(header["number"], 16) for header in headers]


@pytest.mark.parametrize(
    ("method", "notification"),
    [
        ("chain_subscribeNewHeads", "chain_newHead"),
        ("chain_subscribeNewHead", "chain_newHead"),
        ("chain_subscribeAllHeads", "chain_allHead"),
        ("chain_subscribeFinalizedHeads", "chain_finalizedHead"),
        ("chain_subscribeFinalisedHeads", "chain_finalizedHead"),
    ],
)
def test_head_subscription_answers_then_tells_the_current_head(
    served: Served, node: FakeNode, method: str, notification: str
) -> None:
    with plain(served) as connection:
        send(connection, method)
        answer = receive(connection)
        assert set(answer) == {"jsonrpc", "id", "result"}
        identifier = answer["result"]
        assert isinstance(identifier, str)
        header = node.blocks[node.chain[0]].header
        assert receive(connection) == {
            "jsonrpc": "2.0",
            "method": notification,
            "params": {"subscription": identifier, "result": header.to_json()},
        }


def test_in_a_batch_the_answer_comes_first_too(served: Served) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "chain_subscribeNewHeads"}
    with plain(served) as connection:
        connection.send(orjson.dumps([call, {**call, "id": 2}]))
        identifiers = [entry["result"] for entry in receive(connection)]
        told = [receive(connection)["params"]["subscription"] for _ in range(2)]
        assert told == identifiers


def test_new_heads_follow_the_best_chain_and_all_heads_every_block(client: RpcClient, node: FakeNode) -> None:
    best, every = client.subscribe("chain_subscribeNewHeads"), client.subscribe("chain_subscribeAllHeads")
    first = node.grow({b"a": b"1"})
    side = node.grow({b"b": b"1"}, node.chain[0], is_best=False)
    second = node.grow({b"c": b"1"})
    assert [best.next() for _ in range(3)] == [
        header.to_json() for header in (node.blocks[node.chain[0]].header, first, second)
    ]
    assert [every.next() for _ in range(4)][1:] == [header.to_json() for header in (first, side, second)]


def test_finalized_heads(client: RpcClient, node: FakeNode) -> None:
    finalized = client.subscribe("chain_subscribeFinalizedHeads")
    for number in range(1, 4):
        node.grow({b"a": bytes((number,))})
    node.finalize(1)
    node.finalize(3)
    assert numbers([finalized.next() for _ in range(3)]) == [0, 1, 3]
    later = client.subscribe("chain_subscribeFinalizedHeads")
    assert numbers([later.next()]) == [3]


def test_a_late_subscriber_begins_where_the_others_are(client: RpcClient, node: FakeNode) -> None:
    early = client.subscribe("chain_subscribeNewHeads")
    node.grow({b"a": b"1"})
    node.grow({b"a": b"2"})
    assert numbers([early.next() for _ in range(3)]) == [0, 1, 2]
    late = client.subscribe("chain_subscribeNewHeads")
    node.grow({b"a": b"3"})
    assert numbers([late.next(), late.next()]) == [2, 3]
    assert numbers([early.next()]) == [3]


def test_a_subscriber_never_goes_back(client: RpcClient, node: FakeNode) -> None:
    """The node may be a block ahead of what the server has heard of: that block comes when it is told."""
    early = client.subscribe("chain_subscribeNewHeads")
    node.grow({b"a": b"1"})
    assert numbers([early.next(), early.next()]) == [0, 1]
    events: list[Any] = []
    node.listeners, listeners = [events.append], node.listeners
    node.grow({b"a": b"2"})
    node.listeners = listeners
    late, storage = client.subscribe("chain_subscribeNewHeads"), client.subscribe("state_subscribeStorage", ["0x61"])
    node.emit(events[0])
    assert numbers([late.next(), late.next()]) == [1, 2]
    assert [storage.next()["changes"], storage.next()["changes"]] == [[["0x61", "0x31"]], [["0x61", "0x32"]]]


def test_storage_subscription(client: RpcClient, node: FakeNode) -> None:
    present, absent = to_hex(b"\x01"), to_hex(b"none")
    storage = client.subscribe("state_subscribeStorage", [absent, present])
    assert storage.next() == {
        "block": to_hex(node.chain[0]),
        "changes": [[present, to_hex(b"one")], [absent, None]],
    }
    node.grow({b"elsewhere": b"1"})
    node.grow({b"\x01": b"uno", b"elsewhere": b"2"})
    node.grow({b"\x01": b"side"}, node.chain[1], is_best=False)
    node.grow({b"\x01": None, b"none": b"there"})
    assert storage.next() == {"block": to_hex(node.chain[2]), "changes": [[present, to_hex(b"uno")]]}
    assert storage.next() == {
        "block": to_hex(node.chain[3]),
        "changes": [[present, None], [absent, to_hex(b"there")]],
    }


def test_storage_subscription_needs_keys(client: RpcClient) -> None:
    with pytest.raises(RpcError, match=r"^parameter keys must be an array of 0x-hex, not null$"):
        client.subscribe("state_subscribeStorage", None)


def test_runtime_version_is_told_when_it_changes(client: RpcClient, node: FakeNode) -> None:
    versions = client.subscribe("state_subscribeRuntimeVersion")
    assert versions.next()["specVersion"] == 100
    node.grow({b"a": b"1"})
    node.spec_version = 101
    node.grow({b"a": b"2"})
    node.grow({b"a": b"3"})
    node.spec_version = 102
    node.grow({b"a": b"4"})
    assert [versions.next()["specVersion"], versions.next()["specVersion"]] == [101, 102]


def test_model_is_told_when_it_changes(client: RpcClient, node: FakeNode) -> None:
    models = client.subscribe("mf_subscribeModel")
    node.grow({b"a": b"1"})
    node.grow({b"a": b"2"}, model={"ratings": 1, "digest": b"\x01\x02"})
    assert models.next() == {"ratings": 1, "digest": "0x0102"}


def test_watched_transaction_goes_through_its_statuses(client: RpcClient, node: FakeNode) -> None:
    watched = client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
    told: list[tuple[TransactionStatus, object]] = [
        (TransactionStatus(TransactionState.FUTURE), "future"),
        (TransactionStatus(TransactionState.READY), "ready"),
        (TransactionStatus(TransactionState.BROADCAST, peers=("a", "b")), {"broadcast": ["a", "b"]}),
        (TransactionStatus(TransactionState.BROADCAST), {"broadcast": []}),
        (TransactionStatus(TransactionState.IN_BLOCK, SOME_HASH), {"inBlock": to_hex(SOME_HASH)}),
        (TransactionStatus(TransactionState.RETRACTED, SOME_HASH), {"retracted": to_hex(SOME_HASH)}),
        (TransactionStatus(TransactionState.IN_BLOCK, SOME_HASH), {"inBlock": to_hex(SOME_HASH)}),
        (TransactionStatus(TransactionState.FINALIZED, SOME_HASH), {"finalized": to_hex(SOME_HASH)}),
    ]
    for status, _ in told:
        node.tell_status(EXTRINSIC, status)
    assert [watched.next() for _ in told] == [shown for _, shown in told]
    assert node.cancelled == [EXTRINSIC]
    assert client.call("author_unwatchExtrinsic", watched.identifier) is False, "it has ended by itself"


def test_finality_that_comes_at_once_leaves_time_to_look_at_the_block(served: Served, node: FakeNode) -> None:
    """polkadot.js fetches the block's events at inBlock, and forgets about them when finalized comes meanwhile."""
    with plain(served) as connection:
        send(connection, "author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
        receive(connection)
        node.tell_status(EXTRINSIC, TransactionStatus(TransactionState.IN_BLOCK, SOME_HASH))
        node.tell_status(EXTRINSIC, TransactionStatus(TransactionState.FINALIZED, SOME_HASH))
        assert receive(connection)["params"]["result"] == {"inBlock": to_hex(SOME_HASH)}
        send(connection, "chain_getHeader")
        assert receive(connection)["result"]["number"] == "0x0"
        assert receive(connection)["params"]["result"] == {"finalized": to_hex(SOME_HASH)}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (TransactionStatus(TransactionState.USURPED, SOME_HASH), {"usurped": to_hex(SOME_HASH)}),
        (TransactionStatus(TransactionState.FINALITY_TIMEOUT, SOME_HASH), {"finalityTimeout": to_hex(SOME_HASH)}),
        (TransactionStatus(TransactionState.DROPPED), "dropped"),
        (TransactionStatus(TransactionState.INVALID), "invalid"),
    ],
    ids=lambda value: value.state if isinstance(value, TransactionStatus) else "",
)
def test_last_statuses_of_failed_transactions(
    client: RpcClient, node: FakeNode, status: TransactionStatus, shown: object
) -> None:
    watched = client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
    node.tell_status(EXTRINSIC, status)
    node.tell_status(EXTRINSIC, TransactionStatus(TransactionState.READY))
    assert watched.next() == shown
    assert client.call("system_chain") == "Test"
    assert not watched._unread, "nothing follows the last status"


def test_transaction_that_is_refused_is_not_watched(client: RpcClient, node: FakeNode) -> None:
    with pytest.raises(RpcError) as caught:
        client.subscribe("author_submitAndWatchExtrinsic", to_hex(BAD_EXTRINSIC))
    assert caught.value.to_json() == {
        "code": 1010,
        "message": "Invalid Transaction",
        "data": "Transaction has a bad signature",
    }
    assert node.watched == {}


def test_unwatched_transaction(client: RpcClient, node: FakeNode) -> None:
    watched = client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
    assert client.call("author_unwatchExtrinsic", watched.identifier) is True
    assert node.cancelled == [EXTRINSIC]
    node.tell_status(EXTRINSIC, TransactionStatus(TransactionState.READY))
    assert client.call("system_chain") == "Test"
    assert not watched._unread


OPPOSITES = {
    "chain_subscribeNewHeads": "chain_unsubscribeNewHeads",
    "chain_subscribeAllHeads": "chain_unsubscribeAllHeads",
    "chain_subscribeFinalizedHeads": "chain_unsubscribeFinalizedHeads",
    "state_subscribeStorage": "state_unsubscribeStorage",
    "state_subscribeRuntimeVersion": "state_unsubscribeRuntimeVersion",
    "mf_subscribeModel": "mf_unsubscribeModel",
}


@pytest.mark.parametrize("method", OPPOSITES)
def test_unsubscribing_says_whether_there_was_one(
    served: Served, client: RpcClient, node: FakeNode, method: str
) -> None:
    params: list[object] = [[to_hex(b"\x01")]] if method == "state_subscribeStorage" else []
    subscription = client.subscribe(method, *params)
    for other in OPPOSITES.values():
        if other != OPPOSITES[method]:
            assert client.call(other, subscription.identifier) is False, "of another kind"
    with served.client() as stranger:
        assert stranger.call(OPPOSITES[method], subscription.identifier) is False, "of another connection"
    assert client.call(OPPOSITES[method], subscription.identifier) is True
    assert client.call(OPPOSITES[method], subscription.identifier) is False
    subscription._unread.clear()
    node.grow({b"\x01": b"changed"}, model={"ratings": 1})
    node.finalize(1)
    assert client.call("system_chain") == "Test"
    assert not subscription._unread


@pytest.mark.parametrize("identifier", ["", "unknown", 5, 2**63])
def test_unsubscribing_from_an_unknown_id(client: RpcClient, identifier: object) -> None:
    assert client.call("chain_unsubscribeNewHeads", identifier) is False


def test_unsubscribing_from_what_is_no_id(client: RpcClient) -> None:
    with pytest.raises(RpcError, match=r"^parameter subscription must be a subscription's id, not an array$"):
        client.call("chain_unsubscribeNewHeads", [])


@pytest.mark.parametrize("method", [*OPPOSITES, "author_submitAndWatchExtrinsic"])
def test_subscriptions_need_a_websocket(served: Served, method: str) -> None:
    params = {"state_subscribeStorage": [[]], "author_submitAndWatchExtrinsic": [to_hex(EXTRINSIC)]}
    error = {
        "code": -32601,
        "message": "subscriptions need a WebSocket connection",
        "data": {"reason": "NeedsWebSocket"},
    }
    assert served.error(method, *params.get(method, [])) == error
    if method in OPPOSITES:
        assert served.error(OPPOSITES[method], "id") == error


def test_most_subscriptions_of_a_connection(start: Start) -> None:
    served = start(limits=RpcLimits(max_subscriptions=2))
    with served.client() as client, served.client() as other:
        first = client.subscribe("chain_subscribeNewHeads")
        client.subscribe("mf_subscribeModel")
        with pytest.raises(RpcError) as caught:
            client.subscribe("chain_subscribeAllHeads")
        assert caught.value.to_json() == {
            "code": 8004,
            "message": "too many subscriptions on the connection: at most 2",
            "data": {"reason": "TooMany", "limit": 2},
        }
        other.subscribe("chain_subscribeAllHeads")
        assert first.unsubscribe()
        client.subscribe("chain_subscribeAllHeads")


def test_most_keys_watched_on_a_connection(start: Start, node: FakeNode) -> None:
    served = start(node, RpcLimits(max_watched_keys=3))
    with served.client() as client:
        first = client.subscribe("state_subscribeStorage", ["0x01", "0x02"])
        with pytest.raises(RpcError, match=r"^too many storage keys watched on the connection: at most 3$"):
            client.subscribe("state_subscribeStorage", ["0x01", "0x02"])
        assert first.unsubscribe()
        again = client.subscribe("state_subscribeStorage", ["0x01", "0x02", "0x02", "0x03"])
        node.grow({b"\x03": b"three"})
        assert len(again.next()["changes"]) == 3
        assert again.next()["changes"] == [["0x03", to_hex(b"three")]]


def test_subscription_to_state_that_is_gone_leaves_nothing_behind(start: Start, node: FakeNode) -> None:
    served = start(node, RpcLimits(max_subscriptions=1))
    del node.states[node.chain[0]]
    with served.client() as client:
        for _ in range(3):
            with pytest.raises(RpcError, match=r"^the state of block 0x[0-9a-f]{64} is not kept any more$"):
                client.subscribe("state_subscribeStorage", ["0x01"])
        client.subscribe("chain_subscribeNewHeads")


def test_batch_whose_answer_is_too_large_leaves_nothing_behind(start: Start) -> None:
    served = start(limits=RpcLimits(max_response_size=1_000, max_subscriptions=50))
    call = {"jsonrpc": "2.0", "id": 1, "method": "chain_subscribeNewHeads"}
    with plain(served) as connection:
        for _ in range(3):
            connection.send(orjson.dumps([call] * 50))
            assert receive(connection)["error"]["message"] == "too many bytes in the batch's answer: at most 1000"


def test_closing_the_connection_ends_what_was_watched(served: Served, node: FakeNode) -> None:
    with served.client() as client:
        client.subscribe("author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
        client.subscribe("state_subscribeStorage", ["0x01"])
    assert node.cancelled_one.wait(PATIENCE)
    assert node.cancelled == [EXTRINSIC]
    node.grow({b"\x01": b"changed"})
    assert served.result("system_chain") == "Test"


def test_watch_whose_client_leaves_before_it_begins_is_given_up(served: Served, node: FakeNode) -> None:
    node.submit_gate = threading.Event()
    with plain(served) as connection:
        send(connection, "author_submitAndWatchExtrinsic", to_hex(EXTRINSIC))
        assert node.submit_begun.wait(PATIENCE)
    served.wait_until_idle()
    node.submit_gate.set()
    assert served.result("system_chain") == "Test"
    assert node.watched == {}


def test_event_that_cannot_be_told_harms_no_other(
    client: RpcClient, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    models = client.subscribe("mf_subscribeModel")
    with caplog.at_level(logging.ERROR, "rpc.subscriptions"):
        node.grow({b"a": b"1"}, model={"ratings": object()})
        node.grow({b"a": b"2"}, model={"ratings": 2})
        assert models.next() == {"ratings": 2}
    assert messages(caplog, "rpc.subscriptions") == ["an event could not be told to subscribers"]


def test_event_of_a_block_whose_state_is_gone_is_passed_over(
    served: Served, client: RpcClient, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    storage, heads = client.subscribe("state_subscribeStorage", ["0x01"]), client.subscribe("chain_subscribeNewHeads")
    storage.next(), heads.next()
    node.listeners, listeners = [], node.listeners
    pruned = node.grow({b"\x01": b"one"})
    events: list[Any] = []
    node.listeners = [events.append]
    header = node.grow({b"\x01": b"two"})
    node.listeners = listeners
    del node.states[header.hash()]
    with caplog.at_level(logging.WARNING, "rpc.subscriptions"):
        node.emit(events[0])
        assert heads.next() == header.to_json()
        node.grow({b"\x01": b"three"}, _restore(node, pruned))
        assert storage.next()["changes"] == [["0x01", to_hex(b"three")]]
    assert messages(caplog, "rpc.subscriptions") == [
        f"an event could not be told to subscribers: the state of block {to_hex(header.hash())} is not kept any more"
    ]


def _restore(node: FakeNode, header: Header) -> Hash:
    """Make an earlier block the best one again."""
    node.chain = node.chain[: header.number + 1]
    return header.hash()


def test_client_that_falls_behind_is_dropped_and_the_others_go_on(start: Start, node: FakeNode) -> None:
    served = start(node, RpcLimits(max_queued_messages=8))
    with served.client() as steady, plain(served) as flooded:
        heads = steady.subscribe("chain_subscribeNewHeads")
        for _ in range(10):
            send(flooded, "state_subscribeStorage", ["0x01"])
        for _ in range(20):
            receive(flooded)
        # Ten notifications at once for one, a single one for the other.
        node.grow({b"\x01": b"changed"})
        assert numbers([heads.next(), heads.next()]) == [0, 1]
        with pytest.raises(ConnectionClosedError) as caught:
            read_on(flooded)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "notifications were not read in time")
        node.grow({b"\x01": b"again"})
        assert numbers([heads.next()]) == [2]


@pytest.mark.full
def test_client_that_does_not_read_is_cut_off_and_the_others_go_on(start: Start, node: FakeNode) -> None:
    served = start(node, RpcLimits(max_queued_messages=8, stalled_timeout=3_600.0))
    with served.client() as steady, _deaf_socket(served) as deaf:
        heads = steady.subscribe("chain_subscribeNewHeads")
        heads.next()
        frame = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "state_subscribeStorage", "params": [["0x01"]]})
        deaf.sendall(_masked(frame))
        with _logged("rpc.endpoint", "a client was cut off: notifications were not read in time") as cut_off:
            # The socket's buffers take some megabytes; the rest has nowhere to go.
            for number in range(1, 41):
                node.grow({b"\x01": bytes((number,)) * 262_144})
                assert numbers([heads.next()]) == [number]
            assert cut_off.wait(PATIENCE)
        # At once, long before an unanswered ping would give the client away.
        deadline = time.monotonic() + 10.0
        while _stalled(served):
            assert time.monotonic() < deadline
        received = 0
        while part := deaf.recv(1 << 20):
            received += len(part)
        assert received < 40 * 2 * 262_144
        node.grow({b"\x01": b"again"})
        assert numbers([heads.next()]) == [41]


@pytest.mark.full
def test_client_that_does_not_read_its_answers_is_cut_off(start: Start, node: FakeNode) -> None:
    node.grow({b"big": bytes(1 << 20)})
    served = start(node, RpcLimits(stalled_timeout=0.5))
    with _deaf_socket(served) as deaf:
        call = {"jsonrpc": "2.0", "id": 1, "method": "state_getStorage", "params": [to_hex(b"big")]}
        frame = _masked(orjson.dumps(call))
        # Reading stops with writing, so that sending too blocks at last, until the connection is cut off.
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            deaf.sendall(frame * 200_000)
    assert served.result("system_chain") == "Test"


def test_pings_of_a_client_that_does_not_read_are_not_answered(start: Start, node: FakeNode) -> None:
    """Each would leave a pong in the server's memory."""
    node.grow({b"big": bytes(6 << 20)})
    served = start(node, RpcLimits(stalled_timeout=3_600.0))
    with _deaf_socket(served) as deaf:
        call = {"jsonrpc": "2.0", "id": 1, "method": "state_getStorage", "params": [to_hex(b"big")]}
        deaf.sendall(_masked(orjson.dumps(call)))
        deadline = time.monotonic() + PATIENCE
        while not (stalled := _stalled(served)):
            assert time.monotonic() < deadline
        assert served.result("system_chain") == "Test"
        before = stalled[0].transport.get_write_buffer_size()
        ping = b"\x89\x84" + bytes(8)
        deaf.settimeout(0.2)
        with pytest.raises(TimeoutError):
            deaf.sendall(ping * 5_000_000)
        assert served.result("system_chain") == "Test"
        assert stalled[0].transport.get_write_buffer_size() == before


def _stalled(served: Served) -> list[GuardedWebSocket]:
    connections = tuple(served.server._server.server_state.connections)
    return [one for one in connections if isinstance(one, GuardedWebSocket) and one.stalled_since is not None]


def test_events_the_loop_cannot_keep_up_with_drop_the_subscribers(
    start: Start, node: FakeNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rpc.subscriptions.MOST_WAITING_EVENTS", 0)
    assert MOST_WAITING_EVENTS > 1_000
    served = start(node)
    with plain(served) as connection:
        send(connection, "chain_subscribeNewHeads")
        receive(connection), receive(connection)
        with caplog.at_level(logging.ERROR, "rpc.subscriptions"):
            node.grow({b"a": b"1"})
            with pytest.raises(ConnectionClosedError) as caught:
                read_on(connection)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "the node is overloaded")
        assert messages(caplog, "rpc.subscriptions") == ["more than 0 events waited: all subscribers are dropped"]
    assert served.result("system_chain") == "Test"


@contextmanager
def _logged(logger: str, message: str) -> Iterator[threading.Event]:
    """An event that is set when this message is logged."""
    seen = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == message:
                seen.set()

    target, listener = logging.getLogger(logger), Listener()
    level = target.level
    target.addHandler(listener)
    target.setLevel(logging.INFO)
    try:
        yield seen
    finally:
        target.removeHandler(listener)
        target.setLevel(level)


@contextmanager
def _deaf_socket(served: Served) -> Iterator[socket.socket]:
    """A WebSocket as bare as can be, with a small buffer that nobody empties."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.settimeout(PATIENCE)
    with connection:
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert connection.recv(4_096).startswith(b"HTTP/1.1 101 ")
        yield connection


def _masked(payload: bytes) -> bytes:
    """A text frame of a client with the mask 0."""
    assert 126 <= len(payload) < 65_536 or len(payload) < 126
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return b"\x81" + size + bytes(4) + payload


def test_what_happens_during_a_batch_is_held_within_bounds(start: Start, node: FakeNode) -> None:
    """Each subscription of the batch would be told of the change, and none has been named yet."""
    key = b"\x03"
    node.slow_gate = threading.Event()
    served = start(node, RpcLimits(max_queued_bytes=100_000))
    subscribe = {"jsonrpc": "2.0", "id": 1, "method": "state_subscribeStorage", "params": [[to_hex(key)]]}
    wait = {"jsonrpc": "2.0", "id": 2, "method": "state_call", "params": ["Core_version", "0x"]}
    with plain(served) as connection:
        connection.send(orjson.dumps([*[subscribe] * 50, wait]))
        assert node.slow_begun.acquire(timeout=PATIENCE)
        node.grow({key: bytes(2_000)})
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1013
        assert caught.value.rcvd.reason == "too many notifications before the answer that names them"
    node.slow_gate.set()


def test_a_change_is_written_once_for_all_who_watch_the_same(served: Served, node: FakeNode) -> None:
    key = b"\x03"
    with plain(served) as connection:
        for _ in range(20):
            send(connection, "state_subscribeStorage", [to_hex(key)])
        found = [receive(connection) for _ in range(40)]
        before = len(node.state_threads)
        node.grow({key: b"\x01"})
        told = [receive(connection)["params"] for _ in range(20)]
        assert len({entry["subscription"] for entry in told}) == 20
        assert [entry["result"]["changes"] for entry in told] == [[["0x03", "0x01"]]] * 20
        assert len(node.state_threads) == before + 1
        assert len(found) == 40


def test_what_was_held_for_a_batch_that_was_refused_counts_no_more(start: Start, node: FakeNode) -> None:
    node.grow({b"\x03": bytes(30_000)})
    served = start(node, RpcLimits(max_queued_bytes=100_000, max_response_size=90_000))
    subscribe = {"jsonrpc": "2.0", "id": 1, "method": "state_subscribeStorage", "params": [["0x03"]]}
    read = {"jsonrpc": "2.0", "id": 2, "method": "state_getStorage", "params": ["0x03"]}
    with plain(served) as connection:
        for _ in range(5):
            connection.send(orjson.dumps([subscribe, read, read]))
            assert receive(connection)["error"]["code"] == 8004
        send(connection, "state_subscribeStorage", ["0x03"])
        assert "result" in receive(connection)
        assert receive(connection)["method"] == "state_storage"
