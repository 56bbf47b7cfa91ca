from collections.abc import Callable
from dataclasses import replace

import pytest

from node.dry_run import dry_run
from runtime.extrinsic import Era, Extrinsic, sign_extrinsic
from runtime.primitives import ZERO_HASH, AccountId, Hash, Nonce
from storage.chain_db import StatePruned, UnknownBlock
from tests.support.node_chain import NodeChain, small_spec
from tests.support.small_chain import LIMITS, PAIRS, remark, submit_rating, submit_ratings


@pytest.fixture
def node() -> NodeChain:
    node = NodeChain(small_spec(limits=replace(LIMITS, extrinsic_length=1_000, weight=10**10)), pruning=2)
    node.block(("Alice", remark(b"")))
    return node


def tried(node: NodeChain, raw: bytes, at: int = 1) -> str:
    return dry_run(node.chain, raw, node.hash_at(at)).hex()


def with_signature(raw: bytes, **changes: object) -> bytes:
    extrinsic = Extrinsic.decode(raw)
    assert extrinsic.signature is not None
    return replace(extrinsic, signature=replace(extrinsic.signature, **changes)).encode()


def test_a_call_that_would_succeed_and_one_that_would_fail(node: NodeChain) -> None:
    assert tried(node, node.sign("Alice", submit_rating(0, 5))) == "0000"
    assert tried(node, node.sign("Alice", submit_rating(99, 5))) == "0001030800000000"
    assert tried(node, node.sign("Alice", submit_ratings([]))) == "0001030806000000"
    assert tried(node, node.sign("Alice", b"\x03\x00\x04")) == "000102"
    assert node.chain.snapshot.best.number == 1


INVALID: dict[str, tuple[Callable[[NodeChain], bytes], int]] = {
    "does not decode": (lambda node: b"\x00", 0),
    "future": (lambda node: node.sign("Alice", remark(b""), 1), 2),
    "stale": (lambda node: node.sign("Alice", remark(b""), -1), 3),
    "forged": (lambda node: with_signature(node.sign("Alice", remark(b"")), value=bytes(64)), 4),
    "ancient": (lambda node: with_signature(node.sign("Alice", remark(b"")), era=Era(64, 40)), 5),
    "too heavy for a new account": (
        lambda node: node.sign("Bob", submit_ratings([(item % 8, 5) for item in range(120)])),
        6,
    ),
    "too long": (lambda node: node.sign("Alice", remark(bytes(1_000))), 6),
    "no signer": (lambda node: with_signature(node.sign("Alice", remark(b"")), account=AccountId(ZERO_HASH)), 10),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_transaction_has_the_index_of_substrate(node: NodeChain, name: str) -> None:
    make, index = INVALID[name]
    assert tried(node, make(node)) == "0100" + bytes((index,)).hex()


@pytest.mark.parametrize("call", [remark(b""), b"\x03\x00\x04"])
def test_what_nobody_signed_has_no_validator(node: NodeChain, call: bytes) -> None:
    assert tried(node, Extrinsic(None, call).encode()) == "010101"


def test_an_earlier_block_is_tried_on_its_own_state(node: NodeChain) -> None:
    raw = sign_extrinsic(PAIRS["Alice"], remark(b""), Era(), Nonce(0), 100, 1, node.hash_at(0), node.hash_at(0))
    assert tried(node, raw, at=0) == "0000"
    assert tried(node, raw, at=1) == "010003"


def test_states_that_are_not_there_are_named_by_the_caller(node: NodeChain) -> None:
    for _ in range(3):
        node.block()
    with pytest.raises(StatePruned):
        dry_run(node.chain, node.sign("Alice", remark(b"")), node.hash_at(0))
    with pytest.raises(UnknownBlock):
        dry_run(node.chain, node.sign("Alice", remark(b"")), Hash(bytes(32)))
