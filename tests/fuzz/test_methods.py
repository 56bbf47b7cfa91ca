"""Random calls of every method of a real node: results or proper errors, and nothing in its log."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from websockets.sync.client import connect

from rpc.dispatch import Method
from rpc.errors import CODES, Reason
from rpc.methods import all_methods
from rpc.parameters import (
    ACCOUNT,
    BLOCK_NUMBERS,
    BYTES,
    EXTRINSIC_PLACE,
    HASH,
    ITEM,
    KEYS,
    PAIRS,
    RATING,
    RECOMMEND_OPTIONS,
    SUBSCRIPTION,
    TEXT,
    Kind,
)
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from runtime.primitives import to_hex
from tests.support.processes import PATIENCE, NodeProcess

pytestmark = pytest.mark.full

CALLS_AT_ONCE: Final = 20
DEFECTS: Final = (CODES[Reason.INTERNAL_ERROR], CODES[Reason.PARSE_ERROR], CODES[Reason.INVALID_REQUEST])

ALICE: Final = key_pair_from_uri("//Alice", Scheme.ED25519).public
HEX: Final = st.binary(max_size=80).map(to_hex)
HASHES: Final = st.binary(min_size=32, max_size=32).map(to_hex)
ACCOUNTS: Final = st.sampled_from([to_hex(ALICE), ss58_encode(ALICE)]) | HASHES
ITEMS: Final = st.integers(0, 20) | st.integers(0, 2**64 - 1) | st.integers(0, 2**64 - 1).map(str)
ANYTHING: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | HEX,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OF_KIND: Final[tuple[tuple[Kind, SearchStrategy[object]], ...]] = (
    (ACCOUNT, ACCOUNTS),
    (BLOCK_NUMBERS, st.integers(0, 12) | st.lists(st.integers(0, 2**64), max_size=4)),
    (BYTES, HEX),
    (EXTRINSIC_PLACE, st.integers(0, 3) | HASHES),
    (ITEM, ITEMS),
    (KEYS, st.lists(HEX, max_size=4)),
    (PAIRS, st.lists(st.tuples(ACCOUNTS, ITEMS).map(list), max_size=40)),
    (RATING, st.sampled_from([-1, 1]) | st.integers(-(2**63), 2**63 - 1)),
    (
        RECOMMEND_OPTIONS,
        st.fixed_dictionaries(
            {},
            optional={
                "includeRated": st.booleans(),
                "minRatings": st.integers(0, 2**32),
                "order": st.sampled_from(["mean", "optimistic", "pessimistic", "random"]),
            },
        ),
    ),
    (SUBSCRIPTION, st.text(max_size=20) | st.integers()),
    (TEXT, st.sampled_from(["//Alice", "//Bob//stash", "Core_version", "Metadata_metadata"]) | st.text(max_size=40)),
)
METHODS: Final[Mapping[str, Method]] = {method.name: method for method in all_methods()}


def parameters(method: Method, blocks: list[str]) -> SearchStrategy[object]:
    """Parameters as the method wants them, some of them wrong, by position or by name."""
    fitting: list[SearchStrategy[object]] = []
    for param in method.params:
        known = next((values for kind, values in OF_KIND if kind is param.kind), st.integers(0, 20))
        if param.kind is HASH:
            known = st.sampled_from(blocks) | HASHES
        fitting.append(st.one_of(known, known, known, ANYTHING) if param.required else known | st.none() | ANYTHING)
    by_position = st.tuples(*fitting).map(list)
    by_name = by_position.map(
        lambda values: {param.name: value for param, value in zip(method.params, values, strict=True)}
    )
    return by_position | by_name | st.lists(ANYTHING, max_size=5)


def throw(node: NodeProcess, method: str, data: st.DataObject) -> None:
    blocks = [to_hex(bytes(32)), *known_blocks(node)]
    lists = st.lists(parameters(METHODS[method], blocks), min_size=CALLS_AT_ONCE, max_size=CALLS_AT_ONCE)
    batch = [
        {"jsonrpc": "2.0", "id": at, "method": method, "params": value} for at, value in enumerate(data.draw(lists))
    ]
    for call, answer in zip(batch, exchange(node, batch), strict=True):
        assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), answer
        assert answer["id"] == call["id"]
        if "error" in answer:
            fault = answer["error"]
            assert set(fault) in ({"code", "message"}, {"code", "message", "data"})
            assert fault["code"] in set(CODES.values()) - set(DEFECTS), (call, fault)
            assert 0 < len(fault["message"]) < 300


_blocks: dict[str, list[str]] = {}


def known_blocks(node: NodeProcess) -> list[str]:
    """Return the first blocks of the node's chain."""
    if node.url not in _blocks:
        with node.client() as client:
            _blocks[node.url] = client.call("chain_getBlockHash", [0, 1, 5])
    return _blocks[node.url]


def exchange(node: NodeProcess, batch: list[dict[str, object]]) -> Any:
    """The answers to a batch, by a WebSocket: every method can be called there."""
    with connect(node.url, proxy=None, max_queue=None) as connection:
        connection.send(json.dumps(batch))
        return json.loads(connection.recv(PATIENCE))


def fuzz(node: NodeProcess, method: str, calls: int) -> None:
    """Throw so many calls of a method at a node."""

    @settings(max_examples=calls // CALLS_AT_ONCE, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def throw_any(data: st.DataObject) -> None:
        throw(node, method, data)

    throw_any()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_two_hundred_calls_of_a_method(node: NodeProcess, method: str) -> None:
    fuzz(node, method, 200)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_ten_thousand_calls_of_a_method(node: NodeProcess, method: str) -> None:
    fuzz(node, method, 10_000)
