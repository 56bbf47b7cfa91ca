"""JSON-RPC itself, over HTTP: forms of requests, batches, notifications, and every refusal."""

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect

from rpc.app import create_app
from rpc.dispatch import Call, Dispatcher, Method
from rpc.errors import RpcError, invalid_params
from rpc.limits import RpcLimits
from rpc.parameters import BOOLEAN, TEXT, Param, optional
from runtime.primitives import blake2b_256, to_hex
from tests.rpc.conftest import Start
from tests.rpc.fake_node import EXTRINSIC, FakeNode
from tests.rpc.served import Served, messages

CHAIN = {"jsonrpc": "2.0", "id": 1, "method": "system_chain"}
PARSE_ERROR = {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}


def answer(result: object, identifier: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "result": result, "id": identifier}


def refusal(code: int, message: str, identifier: object = 1, data: object = None) -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "error": error, "id": identifier}


def exchange(served: Served, request: object) -> Any:
    reply = served.post(request)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    return reply.json


@pytest.mark.parametrize("identifier", [0, -1, 7, 2**63, "", "a", "\u2603", None, 1.5], ids=lambda value: repr(value))
def test_id_of_any_legal_type_is_echoed(served: Served, identifier: object) -> None:
    assert exchange(served, {**CHAIN, "id": identifier}) == answer("Test", identifier)


@pytest.mark.parametrize(("identifier", "kind"), [([1], "an array"), ({}, "an object"), (True, "a boolean")], ids=str)
def test_id_of_another_type_is_refused(served: Served, identifier: object, kind: str) -> None:
    message = f"Invalid request: id must be a string, a number or null, not {kind}"
    assert exchange(served, {**CHAIN, "id": identifier}) == refusal(-32600, message, None)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"\x00",
        b'{"jsonrpc": "2.0", "id": NaN, "method": "system_chain"}',
        b'{"jsonrpc": "2.0", "id": Infinity, "method": "system_chain"}',
        b'{"jsonrpc": "2.0", "id": 1e999, "method": "system_chain"}',
        b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "system_chain"}',
        b"[" * 100_000,
        b"[" * 2_000 + b"]" * 2_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b'{"jsonrpc": "2.0"} {}',
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json_is_a_parse_error(served: Served, text: bytes) -> None:
    assert exchange(served, text) == PARSE_ERROR


def test_depth_that_json_allows_is_no_danger(served: Served) -> None:
    nested = b"[" * 900 + b"]" * 900
    text = b'{"jsonrpc":"2.0","id":1,"method":"state_getStorage","params":[' + nested + b"]}"
    message = "parameter key must be 0x-hex, not an array"
    assert exchange(served, text) == refusal(-32602, message)


@pytest.mark.parametrize(
    ("request_", "message", "identifier"),
    [
        (1, "a request is an object, not a number", None),
        ("text", "a request is an object, not a string", None),
        (None, "a request is an object, not null", None),
        (True, "a request is an object, not a boolean", None),
        ([], "a batch must have at least one request", None),
        ({}, 'jsonrpc must be "2.0"', None),
        ({"id": 4}, 'jsonrpc must be "2.0"', 4),
        ({"jsonrpc": "1.0", "id": 4, "method": "system_chain"}, 'jsonrpc must be "2.0"', 4),
        ({"jsonrpc": 2.0, "id": 4, "method": "system_chain"}, 'jsonrpc must be "2.0"', 4),
        ({"jsonrpc": "2.0", "id": 4}, "method must be a string", 4),
        ({"jsonrpc": "2.0", "id": 4, "method": ["system_chain"]}, "method must be a string", 4),
        ({"jsonrpc": "2.0", "method": 5}, "method must be a string", None),
    ],
)
def test_invalid_request(served: Served, request_: object, message: str, identifier: object) -> None:
    assert exchange(served, request_) == refusal(-32600, f"Invalid request: {message}", identifier)


@pytest.mark.parametrize("method", ["no_such_method", "", "system_chain ", "__class__", "rpc_methods\x00"])
def test_unknown_method(served: Served, method: str) -> None:
    assert served.error(method) == {"code": -32601, "message": "Method not found"}


@pytest.mark.parametrize("params", [None, [], {}])
def test_params_may_be_left_out_or_empty(served: Served, params: object) -> None:
    assert exchange(served, CHAIN) == answer("Test")
    assert exchange(served, {**CHAIN, "params": params}) == answer("Test")


def test_params_by_position_and_by_name_mean_the_same(served: Served) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "state_getKeysPaged"}
    by_position = exchange(served, {**call, "params": ["0x01", 1, None, None]})
    by_name = exchange(served, {**call, "params": {"count": 1, "key": "0x01"}})
    assert by_position == by_name == answer(["0x01"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("0x01", "params must be an array or an object, not a string"),
        (1, "params must be an array or an object, not a number"),
        (False, "params must be an array or an object, not a boolean"),
        ([], "parameter key is missing"),
        ({}, "parameter key is missing"),
        ({"at": None}, "parameter key is missing"),
        ([None], "parameter key must be 0x-hex, not null"),
        ({"key": None}, "parameter key must be 0x-hex, not null"),
        (["0x01", None, None], "at most 2 parameters are taken, not 3"),
        ({"key": "0x01", "block": None}, "there is no parameter block: known are key, at"),
        (
            {"key": "0x01", "x" * 1_000: None},
            f"there is no parameter {'x' * 40}...: known are key, at",
        ),
        ([1], "parameter key must be 0x-hex, not a number"),
        (["01"], "parameter key must be 0x-hex: hex text must start with 0x"),
        (["0x01", "0x02"], "parameter at must be a hash in 0x-hex: hex text must hold 32 bytes, this one holds 1"),
    ],
    ids=str,
)
def test_wrong_params_say_which_and_why(served: Served, params: object, message: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "state_getStorage", "params": params}
    assert exchange(served, call) == refusal(-32602, message)


def test_unknown_name_for_a_method_without_parameters(served: Served) -> None:
    message = "there is no parameter a: known are none"
    assert exchange(served, {**CHAIN, "params": {"a": 1}}) == refusal(-32602, message)


@pytest.mark.parametrize(
    "request_",
    [
        {"jsonrpc": "2.0", "method": "system_chain"},
        {"jsonrpc": "2.0", "method": "no_such_method"},
        {"jsonrpc": "2.0", "method": "state_getStorage", "params": [1]},
        {"jsonrpc": "2.0", "method": "state_call", "params": ["Core_version", "0x"]},
        {"jsonrpc": "2.0", "method": "state_call", "params": ["Fault_fault", "0x"]},
        [{"jsonrpc": "2.0", "method": "system_chain"}],
    ],
    ids=str,
)
def test_notification_has_no_answer(start: Start, request_: object) -> None:
    reply = start().post(request_)
    assert (reply.status, reply.body) == (204, b"")


def test_notification_is_carried_out(start: Start) -> None:
    served = start()
    served.post({"jsonrpc": "2.0", "method": "author_submitExtrinsic", "params": [to_hex(EXTRINSIC)]})
    assert served.result("author_pendingExtrinsics") == [to_hex(EXTRINSIC)]


def test_batch_is_answered_in_order_without_its_notifications(served: Served) -> None:
    batch = [
        {**CHAIN, "id": "a"},
        {"jsonrpc": "2.0", "method": "system_chain"},
        5,
        {"jsonrpc": "2.0", "id": "b", "method": "no_such_method"},
        {"jsonrpc": "2.0", "id": "c", "method": "state_call", "params": ["Core_version", "0x01"]},
        {"jsonrpc": "2.0", "id": "d", "method": "author_pendingExtrinsics"},
        [],
        {**CHAIN, "id": "e"},
    ]
    assert exchange(served, batch) == [
        answer("Test", "a"),
        refusal(-32600, "Invalid request: a request is an object, not a number", None),
        refusal(-32601, "Method not found", "b"),
        answer("0x1c01", "c"),
        answer([], "d"),
        refusal(-32600, "Invalid request: a request is an object, not an array", None),
        answer("Test", "e"),
    ]


def test_batch_of_submissions_arrives_in_order(start: Start) -> None:
    served = start()
    extrinsics = [bytes((8, 4, number)) for number in range(100)]
    batch = [
        {"jsonrpc": "2.0", "id": index, "method": "author_submitExtrinsic", "params": [to_hex(extrinsic)]}
        for index, extrinsic in enumerate(extrinsics)
    ]
    expected = [answer(to_hex(blake2b_256(extrinsic)), index) for index, extrinsic in enumerate(extrinsics)]
    assert exchange(served, batch) == expected
    assert served.result("author_pendingExtrinsics") == [to_hex(extrinsic) for extrinsic in extrinsics]


def test_largest_batch_and_one_more(served: Served) -> None:
    assert len(exchange(served, [CHAIN] * 1_000)) == 1_000
    data = {"reason": "TooMany", "limit": 1_000}
    message = "too many requests in the batch: at most 1000"
    assert exchange(served, [CHAIN] * 1_001) == refusal(8004, message, None, data)


@pytest.mark.parametrize("part", [b"[],", b'"",', b'{"a":0},', b"1,"], ids=repr)
def test_a_request_of_very_many_parts_is_refused_unread(served: Served, part: bytes) -> None:
    """Reading fourteen megabytes of brackets would hold up the whole node for seconds."""
    message = "too many parts in the request: at most 116000"
    fault = refusal(8004, message, None, {"reason": "TooMany", "limit": 116_000})
    assert exchange(served, b"[" + part * 116_001 + b"0]") == fault
    # One part fewer than is refused: read, and not even JSON.
    assert exchange(served, b"{" + b"," * 115_999) == PARSE_ERROR
    with served.client() as client:
        client._transport.send(b"[" + part * 116_001 + b"0]", 30.0)
        assert orjson.loads(client._transport.receive(30.0)) == fault


def test_the_largest_lists_and_texts_are_read(served: Served) -> None:
    pairs = [["0x" + "01" * 32, item % 16] for item in range(10_000)]
    call = {"jsonrpc": "2.0", "id": 1, "method": "mf_predictBatch", "params": [pairs]}
    assert [len(entry["result"]["mean"]) for entry in exchange(served, [call] * 3)] == [10_000] * 3
    assert served.result("state_getStorage", "0x" + "00" * (7 << 20)) is None


def test_answer_has_a_largest_size(start: Start) -> None:
    node = FakeNode()
    node.grow({b"big": b"\x00" * 1_000})
    served = start(node, RpcLimits(max_response_size=2_000))
    data = {"reason": "TooMany", "limit": 2_000}
    assert served.error("state_getStorage", "0x626967") == {
        "code": 8004,
        "message": "too many bytes in the answer: at most 2000",
        "data": data,
    }
    small = {"jsonrpc": "2.0", "id": 1, "method": "state_getStorageSize", "params": ["0x626967"]}
    assert exchange(served, [small] * 20) == [answer(1_000)] * 20
    message = "too many bytes in the batch's answer: at most 2000"
    assert exchange(served, [small] * 100) == refusal(8004, message, None, data)


def test_a_defect_is_logged_once_with_its_traceback_and_not_shown(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    served = start()
    with caplog.at_level(logging.ERROR, "rpc.dispatch"):
        for _ in range(2):
            reply = served.post({"jsonrpc": "2.0", "id": 1, "method": "state_call", "params": ["Fault_fault", "0x"]})
            assert reply.status == 200
            assert reply.json == refusal(-32603, "Internal error")
            assert b"secret" not in reply.body
    first, second = (record for record in caplog.records if record.name == "rpc.dispatch")
    assert first.getMessage() == second.getMessage() == "state_call failed: ZeroDivisionError: a secret of the node's"
    assert first.exc_info is not None
    assert first.exc_info[0] is ZeroDivisionError
    assert not second.exc_info


def test_an_error_of_the_node_reaches_the_caller_whole(served: Served) -> None:
    unknown = "0x" + "ab" * 32
    assert served.error("state_getStorage", "0x01", unknown) == {
        "code": 8002,
        "message": f"block {unknown} is unknown",
        "data": {"reason": "UnknownBlock", "block": unknown},
    }


def test_unsafe_methods_are_refused_and_not_listed_when_not_allowed(start: Start) -> None:
    refused = start(limits=RpcLimits(methods="safe"))  # type: ignore[arg-type]  # a StrEnum's value
    allowed = start()
    unsafe = {"dev_rate", "state_getKeys", "state_getPairs", "state_queryStorage", "system_dryRun"}
    unsafe |= {"system_dryRunAt", "system_peers"}
    listed, all_listed = refused.result("rpc_methods")["methods"], allowed.result("rpc_methods")["methods"]
    assert set(all_listed) - set(listed) == unsafe
    for method in sorted(unsafe):
        assert refused.error(method) == {
            "code": -32601,
            "message": "RPC call is unsafe to be called externally",
            "data": {"reason": "MethodIsUnsafe"},
        }
    assert allowed.result("system_peers") == []


def test_call_that_the_node_never_answers_has_a_deadline(start: Start) -> None:
    node = FakeNode()
    node.hang = True
    served = start(node, RpcLimits(request_timeout=0.05))
    why = "no result within 0.05 seconds"
    assert served.error("author_submitExtrinsic", to_hex(EXTRINSIC)) == {
        "code": 8005,
        "message": f"the node is not ready: {why}",
        "data": {"reason": "NotReady", "why": why},
    }


def test_slow_calls_wait_in_a_bounded_line(start: Start) -> None:
    node = FakeNode()
    node.slow_gate = threading.Event()
    served = start(node, RpcLimits(max_waiting_slow_calls=1))
    slow = {"jsonrpc": "2.0", "id": 1, "method": "state_call", "params": ["Core_version", "0x"]}
    replies: list[Any] = []
    callers = [threading.Thread(target=lambda: replies.append(served.post(slow).json)) for _ in range(4)]
    for caller in callers:
        caller.start()
    # Two run; whichever came fourth has been refused when the others are let go.
    for _ in range(2):
        assert node.slow_begun.acquire(timeout=30)
    while not replies:
        assert served.result("system_chain") == "Test", "quick calls go on meanwhile"
    node.slow_gate.set()
    for caller in callers:
        caller.join(30)
    message = "too many slow calls under way: at most 1"
    assert replies[0] == refusal(8004, message, data={"reason": "TooMany", "limit": 1})
    assert replies[1:] == [answer("0x1c")] * 3
    assert exchange(served, [slow] * 10) == [answer("0x1c")] * 10, "one after the other, and the line is free again"


def _slow(identifier: int, data: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identifier, "method": "state_call", "params": ["Core_version", data]}


@contextmanager
def _two_in_line(served: Served, greedy: int) -> Iterator[tuple[ClientConnection, ClientConnection]]:
    """One client who has asked for so many slow things, and one for a single one, while the workers are busy."""
    gate = served.node.slow_gate = threading.Event()
    with connect(served.url, proxy=None) as first, connect(served.url, proxy=None) as second:
        for identifier in range(greedy):
            first.send(orjson.dumps(_slow(identifier, "0x01")))
        for _ in range(2):
            assert served.node.slow_begun.acquire(timeout=30)
        first.send(orjson.dumps({**CHAIN, "id": -1}))
        assert orjson.loads(first.recv(30)) == answer("Test", -1)
        second.send(orjson.dumps(_slow(0, "0x02")))
        second.send(orjson.dumps({**CHAIN, "id": -1}))
        assert orjson.loads(second.recv(30)) == answer("Test", -1)
        yield first, second
        gate.set()


def test_slow_calls_of_all_clients_take_turns(start: Start) -> None:
    served = start()
    with _two_in_line(served, greedy=20) as (first, second):
        assert served.node.slow_gate is not None
        served.node.slow_gate.set()
        assert orjson.loads(second.recv(30)) == answer("0x1c02", 0)
        assert served.node.slow_calls.index(b"\x02") <= 3, "two were under way, and one of the first may go before"
        assert sorted(orjson.loads(first.recv(30))["id"] for _ in range(20)) == list(range(20))


def test_who_has_the_most_slow_calls_makes_room(start: Start) -> None:
    served = start(limits=RpcLimits(max_waiting_slow_calls=4))
    message = "too many slow calls under way: at most 4"
    with _two_in_line(served, greedy=6) as (first, second):
        assert orjson.loads(first.recv(30)) == refusal(8004, message, 5, {"reason": "TooMany", "limit": 4})
        assert served.node.slow_gate is not None
        served.node.slow_gate.set()
        assert orjson.loads(second.recv(30)) == answer("0x1c02", 0)
        assert sorted(orjson.loads(first.recv(30))["id"] for _ in range(5)) == [0, 1, 2, 3, 4]


def test_slow_calls_of_one_client_are_bounded(start: Start) -> None:
    served = start(limits=RpcLimits(max_slow_calls_each=3))
    message = "too many slow calls of one client: at most 3"
    with _two_in_line(served, greedy=5) as (first, _):
        first.send(orjson.dumps(_slow(9, "0x01")))
        assert orjson.loads(first.recv(30)) == refusal(8004, message, 9, {"reason": "TooMany", "limit": 3})


def _echo(call: Call, text: str, flag: bool | None) -> object:
    """Gives back what it is given."""
    return [text, flag]


ECHO = Method("echo", _echo, (Param("text", TEXT), optional("flag", BOOLEAN)), aliases=("echo_again",), unsafe=True)


def test_methods_are_data() -> None:
    dispatcher = Dispatcher([ECHO])
    assert dispatcher.methods == [ECHO]
    assert dispatcher.names(unsafe=True) == ["echo", "echo_again"]
    assert dispatcher.names(unsafe=False) == []


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^two methods are named echo_again$"):
        Dispatcher([ECHO, Method("echo_again", _echo)])


def test_a_defect_of_a_quick_method_harms_only_its_call(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    node = FakeNode()
    node.node_info = {}.popitem  # type: ignore[method-assign, assignment]
    served = start(node)
    notification = {"jsonrpc": "2.0", "method": "system_chain"}
    call = {"jsonrpc": "2.0", "id": 2, "method": "chain_getBlockHash", "params": [0]}
    with caplog.at_level(logging.ERROR, "rpc.dispatch"):
        assert exchange(served, [CHAIN, notification, call]) == [
            refusal(-32603, "Internal error"),
            answer(to_hex(node.chain[0]), 2),
        ]
    assert messages(caplog, "rpc.dispatch") == ["system_chain failed: KeyError: 'popitem(): dictionary is empty'"] * 2


class _LetGo:
    """A node that cancels the calls it holds, as one that stops does."""

    def __await__(self) -> Any:
        raise asyncio.CancelledError
        yield


def test_a_call_that_the_stopping_node_lets_go_is_answered(start: Start) -> None:
    node = FakeNode()
    node.pending = _LetGo  # type: ignore[method-assign, assignment]
    served = start(node)
    assert served.error("author_pendingExtrinsics") == {
        "code": 8005,
        "message": "the node is not ready: it is stopping",
        "data": {"reason": "NotReady", "why": "it is stopping"},
    }


def test_a_refusal_that_was_waited_for_leaves_nothing_for_the_collector() -> None:
    refusals: list[weakref.ref[RpcError]] = []

    async def refuse(_: Call) -> None:
        fault = invalid_params("no")
        refusals.append(weakref.ref(fault))
        raise fault

    async def main() -> None:
        server = create_app(FakeNode(), RpcLimits(), only_loopback=True).server
        call = Call(server, server.service)
        gc.disable()
        try:
            outcome = Dispatcher([Method("refuse", refuse)]).dispatch(orjson.dumps({**CHAIN, "method": "refuse"}), call)
            assert isinstance(outcome, Awaitable)
            assert orjson.loads(await outcome or b"") == refusal(-32602, "no")
            assert [reference() for reference in refusals] == [None]
        finally:
            gc.enable()

    asyncio.run(main())


@pytest.mark.parametrize("result", [2**64, {1: 2}, object()], ids=["beyond 64 bits", "keys", "object"])
def test_result_without_a_json_form_is_a_defect(start: Start, result: object, caplog: pytest.LogCaptureFixture) -> None:
    node = FakeNode()
    node.model = lambda at: result  # type: ignore[method-assign, assignment, return-value]
    with caplog.at_level(logging.ERROR, "rpc.dispatch"):
        assert start(node).error("mf_model") == {"code": -32603, "message": "Internal error"}
    assert [text.startswith("mf_model failed: ") for text in messages(caplog, "rpc.dispatch")] == [True]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={"jsonrpc": st.just("2.0") | JSON, "id": JSON, "method": st.just("system_chain") | JSON, "params": JSON},
)


@given(st.lists(MEMBERS | JSON, min_size=1, max_size=20))
def test_any_requests_are_answered_in_form(served: Served, requests: list[object]) -> None:
    reply = served.post(orjson.dumps(requests))
    assert reply.status in (200, 204)
    for entry in reply.json if reply.status == 200 else []:
        assert set(entry) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        assert entry["jsonrpc"] == "2.0"
        assert entry.get("result", "Test") == "Test"
        assert entry.get("error", {"code": -32600})["code"] in (-32600, -32601, -32602)


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_in_form(served: Served, text: bytes) -> None:
    reply = served.post(text)
    assert reply.status == 200
    assert reply.json["error"]["code"] in (-32700, -32600)
