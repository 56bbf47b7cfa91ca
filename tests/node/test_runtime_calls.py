import pytest

from node.runtime_calls import encode_version, runtime_call
from rpc.errors import RpcError
from runtime.version import RuntimeVersion
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, remark


@pytest.fixture
def node() -> NodeChain:
    node = NodeChain()
    node.block(("Alice", remark(b"")), ("Alice", remark(b"")))
    return node


def ask(node: NodeChain, name: str, data: bytes = b"", at: int = 1) -> str:
    return runtime_call(node.chain.runtime, node.chain.database.state_at(node.hash_at(at)), name, data).hex()


def test_a_version_has_the_layout_of_substrate() -> None:
    version = RuntimeVersion("ab", "c", 1, 2, 3, 4, (("Core", 5),), state_version=9, system_version=1)
    assert encode_version(version).hex() == ("086162046301000000020000000300000004df6acb689907609b050000000400000001")


def test_core_version(node: NodeChain) -> None:
    assert ask(node, "Core_version") == encode_version(node.chain.runtime.version).hex()


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
    assert refused(node, "Core_version", b"\x00")["message"] == "data: () ends at offset 0, 1 bytes are left over"


def test_an_unknown_function_is_named(node: NodeChain) -> None:
    assert refused(node, "Core_initialize", b"") == {
        "code": -32601,
        "message": "the runtime has no function Core_initialize",
        "data": {"reason": "MethodNotFound", "function": "Core_initialize"},
    }
    assert len(str(refused(node, "x" * 10_000, b"")["message"])) < 200
