import pytest

from node.model_queries import ModelQueries
from node.runtime_calls import RuntimeCalls
from pallets.matrix_factorization.apis import MODEL_SUMMARY, PREDICTION, ModelSummary
from rpc.errors import RpcError
from rpc.service import RecommendOptions
from runtime.apis import FEE_INFO
from runtime.executive import BASE_EXTRINSIC_WEIGHT
from runtime.extrinsic import Extrinsic
from runtime.interface.validity import SOURCE, VALIDITY_RESULT, TransactionValidity
from runtime.metadata import METADATA_VERSIONS
from runtime.scale import ACCOUNT_ID, U32, U64, Err, Option, Vec, encode_compact
from runtime.version import VERSION_RECORD
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, remark, submit_rating


@pytest.fixture
def node() -> NodeChain:
    node = NodeChain()
    node.block(("Alice", remark(b"")), ("Alice", remark(b"")))
    return node


def ask(node: NodeChain, name: str, data: bytes = b"", at: int = 1) -> str:
    return RuntimeCalls(node.chain).call(name, data, node.hash_at(at)).hex()


def asked(node: NodeChain, name: str, *arguments: bytes, at: int = 1) -> bytes:
    return bytes.fromhex(ask(node, name, b"".join(arguments), at))


def test_core_version(node: NodeChain) -> None:
    version = node.chain.runtime.version
    assert ask(node, "Core_version") == VERSION_RECORD.encode(version.record()).hex()
    assert [name for name, _ in version.apis] == [
        "Core",
        "Metadata",
        "AccountNonceApi",
        "TaggedTransactionQueue",
        "TransactionPaymentApi",
        "MatrixFactorizationApi",
    ]


def test_the_metadata_comes_in_the_versions_that_are_named(node: NodeChain) -> None:
    calls = RuntimeCalls(node.chain)
    versions = Vec(U32, 9).decode(asked(node, "Metadata_metadata_versions"))
    assert versions == METADATA_VERSIONS == (14, 15)
    for version in versions:
        metadata = calls.metadata(version)
        assert metadata[:5] == b"meta" + bytes((version,))
        wrapped = b"\x01" + encode_compact(len(metadata)) + metadata
        assert asked(node, "Metadata_metadata_at_version", U32.encode(version)) == wrapped
    assert asked(node, "Metadata_metadata") == wrapped_oldest(calls)
    for version in (0, 13, 16, 2**32 - 1):
        assert ask(node, "Metadata_metadata_at_version", U32.encode(version)) == "00"


def wrapped_oldest(calls: RuntimeCalls) -> bytes:
    oldest = calls.metadata(14)
    return encode_compact(len(oldest)) + oldest


def validity(node: NodeChain, raw: bytes, at: int = 1) -> TransactionValidity | Err[str]:
    data = SOURCE.encode("External") + raw + node.hash_at(at)
    return VALIDITY_RESULT.decode(asked(node, "TaggedTransactionQueue_validate_transaction", data, at=at))


def test_transactions_are_judged_on_the_state_of_the_block_that_is_asked(node: NodeChain) -> None:
    alice = PAIRS["Alice"].public
    tags = [alice + U32.encode(nonce) for nonce in range(4)]
    third = node.sign("Alice", remark(b""))
    assert validity(node, third) == TransactionValidity(0, (), (tags[2],), 2**64 - 1 - 2, propagate=True)
    assert validity(node, third, at=0) == TransactionValidity(0, (tags[1],), (tags[2],), 2**64 - 2, propagate=True)
    assert validity(node, node.sign("Alice", remark(b""), -1)) == Err("Stale")
    assert validity(node, third[:-1] + b"\x04") == Err("Call")
    assert validity(node, third[:50] + bytes((third[50] ^ 1,)) + third[51:]) == Err("BadProof")
    assert validity(node, Extrinsic(None, remark(b"")).encode()) == Err("NoUnsignedValidator")


def test_an_extrinsic_costs_weight_and_no_fee(node: NodeChain) -> None:
    raw = node.sign("Alice", remark(b"abc"))
    info = FEE_INFO.decode(asked(node, "TransactionPaymentApi_query_info", raw, U32.encode(len(raw))))
    assert (info.weight.ref_time, info.weight.proof_size) == (BASE_EXTRINSIC_WEIGHT + 5_024_000, 0)
    assert (info.class_.name, info.partial_fee) == ("NORMAL", 0)
    assert refused(node, "TransactionPaymentApi_query_info", b"\x00" + U32.encode(1)) == {
        "code": -32602,
        "message": "data: extrinsic is empty",
    }


def test_the_model_answers_as_the_json_calls_do(node: NodeChain) -> None:
    alice = ACCOUNT_ID.encode(PAIRS["Alice"].public)
    node.block(("Alice", submit_rating(0, 5)), ("Bob", submit_rating(0, 5)), ("Bob", submit_rating(1, 1)))
    prediction = Option(PREDICTION)
    found = prediction.decode(asked(node, "MatrixFactorizationApi_predict", alice, U64.encode(1), at=2))
    assert found is not None
    shown = ModelQueries(node.chain).predict(PAIRS["Alice"].public, 1, None)["raw"]
    assert shown == {"mean": str(found.mean), "variance": str(found.variance), "fractionalBits": 20}
    assert ask(node, "MatrixFactorizationApi_predict", alice + U64.encode(8), at=2) == "00"
    best = Vec(PREDICTION, 99).decode(asked(node, "MatrixFactorizationApi_recommend", alice, U32.encode(3), at=2))
    recommended = ModelQueries(node.chain).recommend(PAIRS["Alice"].public, 3, RecommendOptions(), None)
    assert [entry.item for entry in best] == [entry["item"] for entry in recommended]
    assert len(Vec(PREDICTION, 99).decode(asked(node, "MatrixFactorizationApi_recommend", alice, b"\xff" * 4))) == 8
    summary = MODEL_SUMMARY.decode(asked(node, "MatrixFactorizationApi_model", at=2))
    record = node.chain.snapshot.model.record
    assert summary == ModelSummary(3, 2, 8, record.active, record.drift, record.is_canonical, record.digest)
    assert MODEL_SUMMARY.decode(asked(node, "MatrixFactorizationApi_model", at=1)).ratings == 0


def test_nonces_are_those_of_the_block(node: NodeChain) -> None:
    alice, bob = PAIRS["Alice"].public, PAIRS["Bob"].public
    assert ask(node, "AccountNonceApi_account_nonce", alice) == "02000000"
    assert ask(node, "AccountNonceApi_account_nonce", bob) == "00000000"
    assert ask(node, "AccountNonceApi_account_nonce", alice, at=0) == "00000000"


def refused(node: NodeChain, name: str, data: bytes) -> dict[str, object]:
    with pytest.raises(RpcError) as caught:
        ask(node, name, data)
    return caught.value.to_json()


def test_bad_arguments_are_refused_and_say_why(node: NodeChain) -> None:
    for name, data in (
        ("Core_version", b"\x00"),
        ("AccountNonceApi_account_nonce", b""),
        ("AccountNonceApi_account_nonce", bytes(31)),
        ("AccountNonceApi_account_nonce", bytes(33)),
    ):
        error = refused(node, name, data)
        assert error["code"] == -32602
        assert str(error["message"]).startswith("data: ")
        assert "data" not in error
    assert (
        refused(node, "Core_version", b"\x00")["message"]
        == "data: the arguments end at offset 0, 1 bytes are left over"
    )


def test_an_unknown_function_is_named(node: NodeChain) -> None:
    assert refused(node, "Core_initialize", b"") == {
        "code": -32601,
        "message": "the runtime has no function Core_initialize",
        "data": {"reason": "MethodNotFound", "function": "Core_initialize"},
    }
    assert len(str(refused(node, "x" * 10_000, b"")["message"])) < 200
