"""Rates, origins, addresses, and who may call unsafe methods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc.limits import (
    DEFAULT_ORIGINS,
    Origins,
    RateLimiter,
    RpcLimits,
    UnsafeMethods,
    client_key,
    is_loopback,
)
from tests.rpc.conftest import Start


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_defaults_are_those_of_the_command_line() -> None:
    limits = RpcLimits()
    assert limits.max_connections == 1_000
    assert limits.max_request_size == 15 * 1024 * 1024
    assert limits.max_batch == 1_000
    assert limits.max_subscriptions == 1_024
    assert limits.rate_limit is None
    assert limits.methods is UnsafeMethods.AUTO


@pytest.mark.parametrize("name", ["max_connections", "max_request_size", "max_batch", "max_subscriptions"])
def test_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be at least 1$"):
        RpcLimits(**{name: 0})


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^rate_limit must be above 0$"):
        RpcLimits(rate_limit=rate)


@pytest.mark.parametrize(
    ("methods", "only_loopback", "allowed"),
    [
        (UnsafeMethods.AUTO, True, True),
        (UnsafeMethods.AUTO, False, False),
        (UnsafeMethods.SAFE, True, False),
        (UnsafeMethods.UNSAFE, False, True),
    ],
)
def test_who_may_call_unsafe_methods(methods: UnsafeMethods, only_loopback: bool, allowed: bool) -> None:
    assert RpcLimits(methods=methods).unsafe_allowed(only_loopback=only_loopback) is allowed


def test_a_second_of_calls_at_once_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(4.0, clock=clock)
    assert [limiter.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert limiter.take("b"), "each client has a bucket of its own"
    clock.now = 0.25
    assert [limiter.take("a") for _ in range(2)] == [True, False]
    clock.now = 1_000.0
    assert [limiter.take("a") for _ in range(5)] == [True] * 4 + [False], "silence saves up no more than a second"


def test_rate_below_one_call_a_second() -> None:
    clock = Clock()
    limiter = RateLimiter(0.5, clock=clock)
    assert [limiter.take("a"), limiter.take("a")] == [True, False]
    clock.now = 1.5
    assert not limiter.take("a")
    clock.now = 2.0
    assert limiter.take("a")


def test_clients_longest_silent_are_forgotten() -> None:
    limiter = RateLimiter(1.0, capacity=2, clock=Clock())
    assert [limiter.take(client) for client in ("a", "b", "a", "c")] == [True, True, False, True]
    assert len(limiter) == 2
    assert not limiter.take("a"), "it has called since b"
    assert limiter.take("b"), "forgotten, so with a full bucket"


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 50))
def test_never_more_than_the_rate_and_one_second(waits: list[float], rate: float) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, clock=clock)
    granted = 0
    for wait in waits:
        clock.now += wait
        granted += limiter.take("a")
    assert granted <= max(rate, 1.0) + rate * clock.now + 1e-6


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("127.0.0.1", None),
        ("127.8.9.10", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_what_a_client_is_counted_as(address: str, key: str | None) -> None:
    assert client_key(address) == key


@pytest.mark.parametrize(
    ("address", "own"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.0", False), ("::", False), ("x", False)],
)
def test_loopback_addresses(address: str, own: bool) -> None:
    assert is_loopback(address) is own


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://localhost:3000", "127.0.0.1:9944", True),
        ("http://localhost", "127.0.0.1:9944", True),
        ("https://127.0.0.1:9944", "127.0.0.1:9944", True),
        ("https://polkadot.js.org", "127.0.0.1:9944", True),
        ("HTTPS://POLKADOT.JS.ORG", "127.0.0.1:9944", True),
        ("https://polkadot.js.org:8443", "127.0.0.1:9944", False),
        ("http://polkadot.js.org", "127.0.0.1:9944", False),
        ("https://polkadotxjs.org", "127.0.0.1:9944", False),
        ("http://localhost:3000.example.com", "127.0.0.1:9944", False),
        ("http://localhost.example.com", "127.0.0.1:9944", False),
        ("http://localhost:", "127.0.0.1:9944", False),
        ("http://localhost:3000/", "127.0.0.1:9944", False),
        ("null", "127.0.0.1:9944", False),
        ("", "127.0.0.1:9944", False),
        # The node's own page, on an address of another machine.
        ("http://203.0.113.7:9944", "203.0.113.7:9944", True),
        ("http://[2001:db8::1]:9944", "[2001:db8::1]:9944", True),
        # A name that its owner has made to point to this machine.
        ("http://rebound.example.com:9944", "rebound.example.com:9944", False),
        ("http://203.0.113.7:9944", "203.0.113.8:9944", False),
    ],
)
def test_which_pages_may_call(origin: str, host: str, allowed: bool) -> None:
    assert Origins(DEFAULT_ORIGINS).allows(origin, host) is allowed


def test_no_page_may_call_when_none_is_listed() -> None:
    assert not Origins(()).allows("http://localhost:3000", "127.0.0.1:9944")


@pytest.mark.parametrize("entry", ["all", "*"])
def test_all_pages_may_call(entry: str) -> None:
    assert Origins((entry,)).allows("null", "")


def test_loopback_clients_have_no_rate_limit(start: Start) -> None:
    served = start(limits=RpcLimits(rate_limit=1.0))
    calls = [{"jsonrpc": "2.0", "id": 1, "method": "system_chain"}] * 100
    assert all(entry["result"] == "Test" for entry in served.post(calls).json)


def test_calls_above_the_rate_are_refused_one_by_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.endpoint.client_key", lambda address: address)
    served = start(limits=RpcLimits(rate_limit=0.001))
    call = {"jsonrpc": "2.0", "id": 1, "method": "system_chain"}
    first, second, third = served.post([call, {**call, "id": 2}, {"jsonrpc": "2.0", "id": 3}]).json
    assert first["result"] == "Test"
    fault = {
        "code": 8006,
        "message": "more than 0.001 calls a second",
        "data": {"reason": "RateLimited", "callsPerSecond": 0.001},
    }
    assert second == {"jsonrpc": "2.0", "error": fault, "id": 2}
    assert third == {"jsonrpc": "2.0", "error": fault, "id": 3}
    assert served.post(b"{").json == {"jsonrpc": "2.0", "error": fault, "id": None}
    assert served.post({"jsonrpc": "2.0", "method": "system_chain"}).status == 204
    with served.client() as client:
        client._transport.send(b'{"jsonrpc":"2.0","id":9,"method":"system_chain"}', 1.0)
        assert b'"code":8006' in client._transport.receive(30.0)


def test_what_counts_as_many_calls_is_owed() -> None:
    clock = Clock()
    limiter = RateLimiter(4.0, clock=clock)
    assert limiter.take("a", 12.0), "a large message passes as long as there is a call left"
    clock.now = 2.0
    assert not limiter.take("a")
    clock.now = 2.5
    assert limiter.take("a")


@pytest.mark.parametrize(
    "message",
    [b"[]", b"[" + b"1," * 1_000 + b"1]", b"[[]]", b'{"id":[]}', b"5", b"," * 150_000],
    ids=["empty batch", "long batch", "no call", "no id", "number", "many parts"],
)
def test_whatever_is_sent_counts_as_a_call(start: Start, monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
    monkeypatch.setattr("rpc.endpoint.client_key", lambda address: address)
    served = start(limits=RpcLimits(rate_limit=0.001))
    assert b'"code":8006' not in served.post(message).body
    assert b'"code":8006' in served.post(message).body


def test_a_large_call_passes_and_is_paid_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.endpoint.client_key", lambda address: address)
    call = {"jsonrpc": "2.0", "id": 1, "method": "state_getStorage", "params": ["0x" + "00" * 100_000]}
    for message in (call, [call]):
        served = start(limits=RpcLimits(rate_limit=2.0))
        assert b'"result":null' in served.post(message).body
        assert b'"code":8006' in served.post({**call, "params": ["0x00"]}).body
