import json

import pytest

from node.block_events import block_events, extrinsic_events
from runtime.interface.errors import BAD_ORIGIN
from runtime.interface.weights import MICROSECOND
from runtime.keys import ss58_encode
from runtime.primitives import blake2b_256, to_hex
from runtime.scale import Compact
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, get_prediction, register_item, remark, submit_rating, submit_ratings

ALICE = ss58_encode(PAIRS["Alice"].public)


@pytest.fixture
def node() -> NodeChain:
    return NodeChain()


def events(node: NodeChain, extrinsic: int) -> list[object]:
    state = node.chain.database.state_at(node.chain.snapshot.best.hash)
    return json.loads(json.dumps(extrinsic_events(node.chain.runtime, state, extrinsic), allow_nan=False))


def ended(name: str, weight: float, **error: object) -> dict[str, object]:
    """How an extrinsic ended; `weight` in microseconds."""
    info = {
        "weight": {"ref_time": round((70 + weight) * MICROSECOND), "proof_size": 0},
        "class": "Normal",
        "pays_fee": "No",
    }
    return {"pallet": "System", "event": name, "fields": {**error, "info": info}}


def test_the_events_of_an_extrinsic_are_told_by_name(node: NodeChain) -> None:
    node.block(
        ("Alice", submit_rating(3, 5)),
        ("Alice", register_item("Zweiter ✓")),
        ("Alice", remark(b"note")),
    )
    assert events(node, 1) == [
        {
            "pallet": "MatrixFactorization",
            "event": "RatingSubmitted",
            "fields": {"account": ALICE, "item": 3, "rating": 5},
        },
        {"pallet": "System", "event": "NewAccount", "fields": {"account": ALICE}},
        ended("ExtrinsicSuccess", 90 + 100 + 2 * 2.5 + 0.005 + 0.002),
    ]
    assert events(node, 2)[0] == {
        "pallet": "MatrixFactorization",
        "event": "ItemRegistered",
        "fields": {"account": ALICE, "item": 8, "title": "Zweiter ✓"},
    }
    assert events(node, 3)[0] == {
        "pallet": "System",
        "event": "Remarked",
        "fields": {"sender": ALICE, "hash": to_hex(blake2b_256(b"note"))},
    }
    assert events(node, 4) == []


def test_a_prediction_is_told_in_fixed_point(node: NodeChain) -> None:
    node.block(("Alice", get_prediction(0)))
    fields = events(node, 1)[0]["fields"]  # type: ignore[index]
    assert fields["account"] == ALICE
    assert isinstance(fields["prediction"], int)
    assert -(2**24) <= fields["prediction"] <= 2**24


def test_a_failed_call_says_which_error_and_what_it_means(node: NodeChain) -> None:
    node.block(("Alice", submit_rating(99, 5)), ("Alice", b"\x03\x00" + Compact(64).encode(1)))
    assert events(node, 1)[-1] == ended(
        "ExtrinsicFailed",
        90,
        error={
            "pallet": "MatrixFactorization",
            "name": "ItemDoesNotExist",
            "message": "There is no item of this id.",
        },
    )
    failed = ended("ExtrinsicFailed", 10, error={"pallet": None, "name": "BadOrigin", "message": BAD_ORIGIN.docs})
    failed["fields"]["info"]["class"] = "Mandatory"  # type: ignore[index]
    assert events(node, 2) == [failed]


def test_the_events_of_the_block_itself_belong_to_no_extrinsic(node: NodeChain) -> None:
    node.block(("Alice", submit_ratings([(item, 5) for item in range(6)])))
    state = node.chain.database.state_at(node.hash_at(1))
    told = [(index, event["event"]) for index, event in block_events(node.chain.runtime, state)]
    assert told == [
        (0, "ExtrinsicSuccess"),
        *[(1, "RatingSubmitted")] * 6,
        (1, "NewAccount"),
        (1, "ExtrinsicSuccess"),
        (None, "EpochStarted"),
    ]
    node.block()
    node.block()
    state = node.chain.database.state_at(node.hash_at(3))
    digest = to_hex(node.chain.snapshot.model.record.digest)
    assert list(block_events(node.chain.runtime, state))[-1] == (
        None,
        {"pallet": "MatrixFactorization", "event": "EpochCompleted", "fields": {"digest": digest}},
    )


def test_block_0_has_no_events(node: NodeChain) -> None:
    state = node.chain.database.state_at(node.hash_at(0))
    assert list(block_events(node.chain.runtime, state)) == []
