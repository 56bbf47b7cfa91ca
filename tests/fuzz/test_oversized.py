"""Everything larger than it may be, over the limits of a real node: refused with the reason, and the node goes on."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.transactions import register_item, signing_now, submit_ratings
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import to_hex
from tests.support.processes import PATIENCE, NodeProcess

pytestmark = pytest.mark.full

MEBIBYTE = 1 << 20
ALICE = to_hex(key_pair_from_uri("//Alice", Scheme.ED25519).public)
LONG = "x" * MEBIBYTE
HUGE = 10**4_000


@pytest.fixture(autouse=True)
def _alive(client: RpcClient) -> Iterator[None]:
    """The node answers before and after."""
    assert client.call("system_chain") == client.call("system_chain")
    yield
    assert client.call("mf_predict", ALICE, 0)["item"] == 0


@pytest.mark.parametrize(
    ("method", "parameters", "code", "message"),
    [
        ("mf_predict", [LONG, 0], -32602, "longer than 128 characters"),
        ("mf_predict", [ALICE, "9" * 1_000], -32602, "must be an item"),
        ("mf_predictBatch", [[[ALICE, 0]] * 10_001], 8004, "too many pairs: at most 10000"),
        ("mf_recommend", [ALICE, 1_001], 8004, "at most 1000"),
        ("mf_similarItems", [0, 10**9], 8004, "at most 1000"),
        ("mf_items", [0, 1_001], 8004, "at most 1000"),
        ("mf_user", ["0x" + "ab" * MEBIBYTE], -32602, "longer than 128 characters"),
        ("chain_getBlockHash", [[0] * 1_001], 8004, "too many block numbers"),
        ("chain_getBlockHash", ["0x" + "f" * 1_000], -32602, "must be a block number"),
        ("chain_getHeader", ["0x" + "ab" * MEBIBYTE], -32602, "must be a hash"),
        ("state_getStorage", ["0x" + "ab" * MEBIBYTE], None, ""),
        ("state_queryStorageAt", [["0x"] * 1_001], 8004, "too many keys"),
        ("state_getReadProof", [["0x"] * 1_001], 8004, "too many keys"),
        ("state_getKeysPaged", ["0x", 10**6], 8004, "at most 1000"),
        ("state_call", [LONG, "0x"], -32602, "1024 characters at most"),
        ("state_call", ["Core_version", "0x" + "ab" * MEBIBYTE], None, ""),
        ("author_submitExtrinsic", ["0x" + "ab" * MEBIBYTE], 1010, "Invalid Transaction"),
        ("author_submitAndWatchExtrinsic", ["0x" + "ab" * MEBIBYTE], 1010, "Invalid Transaction"),
        ("system_dryRun", ["0x" + "ab" * MEBIBYTE], None, ""),
        ("author_unwatchExtrinsic", [LONG], None, ""),
        ("dev_rate", [LONG, 0, 1], -32602, "1024 characters at most"),
        ("dev_rate", ["//" + "x" * 1_000, 0, 1], None, ""),
        (LONG, [], -32601, "Method not found"),
    ],
)
def test_parameters(client: RpcClient, method: str, parameters: list[object], code: int | None, message: str) -> None:
    [result] = client.batch([(method, parameters)])
    if not isinstance(result, RpcError):
        assert code is None
        return
    assert result.code == code if code is not None else result.code != -32603
    assert message in result.message
    assert len(result.message) < 300


def test_transactions_whose_parts_are_too_long(client: RpcClient) -> None:
    """What a call bounds is refused by decoding, what fits a block is refused by the call."""
    signing, pair = signing_now(client), key_pair_from_uri("//Long", Scheme.ED25519)
    rating = (5).to_bytes(8, "little") + (1).to_bytes(8, "little")
    for call in (register_item("x" * 100_000), submit_ratings(rating * 257), submit_ratings(rating * 100_000)):
        with pytest.raises(RpcError) as caught:
            client.call("author_submitExtrinsic", to_hex(signing.sign(pair, call, 0)))
        assert caught.value.code in (1001, 1010)


def post(node: NodeProcess, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE)
    try:
        connection.request("POST", "/", body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000, -32700),
        (b'{"a":' * 100_000, -32700),
        (b"[" * 900 + b"]" * 900, -32600),
        (b'{"jsonrpc":"2.0","id":1' + b"0" * 10_000 + b',"method":"system_chain"}', None),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * MEBIBYTE + b'","method":"system_chain"}', None),
        (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "mf_item", "params": [HUGE]}).encode(), None),
        (json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "system_chain"}] * 1_001).encode(), 8004),
        (b"\xff" * MEBIBYTE, -32700),
    ],
    ids=["arrays", "objects", "deep batch", "id", "text id", "number", "batch", "no text"],
)
def test_requests(node: NodeProcess, body: bytes, code: int | None) -> None:
    status, answer = post(node, body)
    assert status == 200
    parsed = json.loads(answer)
    if code is not None:
        (fault,) = [parsed] if isinstance(parsed, dict) else parsed
        assert fault["error"]["code"] == code


def test_headers_paths_and_methods(node: NodeProcess) -> None:
    for request in (
        b"GET /" + b"x" * MEBIBYTE + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"x" * MEBIBYTE + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 15728641\r\n\r\n" + b" " * (15 * MEBIBYTE + 1),
        b"\x00" * MEBIBYTE,
    ):
        with socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE) as raw:
            try:
                raw.sendall(request)
                answer = raw.recv(1 << 16)
            except ConnectionError:
                continue
            assert not answer or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ", b"HTTP/1.1 404 ")), answer[:80]


def test_messages_of_a_websocket(node: NodeProcess) -> None:
    with connect(node.url, proxy=None, max_queue=None) as connection:
        with suppress(ConnectionClosedError):
            connection.send(b" " * (15 * MEBIBYTE + 1))
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv(PATIENCE)
        # The reason may be lost on its way, when the node hangs up on what is still being sent.
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1009


def test_subscriptions_of_one_connection(node: NodeProcess) -> None:
    with connect(node.url, proxy=None, max_queue=None) as connection:
        calls = [{"jsonrpc": "2.0", "id": at, "method": "mf_subscribeModel"} for at in range(1_000)]
        connection.send(json.dumps(calls))
        assert all("result" in answer for answer in json.loads(connection.recv(PATIENCE)))
        connection.send(json.dumps(calls[:25]))
        answers = json.loads(connection.recv(PATIENCE))
        assert ["result" in answer for answer in answers] == [True] * 24 + [False]
        assert answers[-1]["error"]["code"] == 8004
