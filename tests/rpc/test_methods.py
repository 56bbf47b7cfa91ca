"""What each method gives, by the samples of another implementation and over a small chain; and what garbage gives."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from rpc.errors import invalid_transaction
from rpc.methods import all_methods
from rpc.service import Health, NodeInfo, Peer, ReadProof, SyncState
from runtime.apis import FEE_INFO, FeeInfo
from runtime.header import Block, Header
from runtime.interface.dispatch import Weight
from runtime.interface.errors import InvalidReason
from runtime.interface.weights import DispatchClass
from runtime.keys import parse_account, ss58_encode
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce, blake2b_256, from_hex, to_hex
from runtime.trie import verify_proof
from tests.rpc.conftest import Start
from tests.rpc.fake_node import BAD_EXTRINSIC, EXTRINSIC, ITEMS, VERSION, DictState, FakeNode
from tests.rpc.served import PATIENCE, Served, serving

SAMPLES = json.loads((Path(__file__).parents[1] / "vectors" / "rpc_samples.json").read_text())
# The sampled node lists other methods.
NOT_SERVED = ("rpc_methods",)
ALICE = AccountId(b"\x80" + bytes(31))
UNKNOWN = to_hex(b"\xee" * 32)


def sampled(method: str, at: int = 0) -> Any:
    return [sample["response"].get("result") for sample in SAMPLES if sample["method"] == method][at]


def params_of(method: str, at: int = 0) -> Any:
    return [sample["params"] for sample in SAMPLES if sample["method"] == method][at]


class SampledNode(FakeNode):
    """The node that the samples were taken from, as far as they show it."""

    def __init__(self) -> None:
        super().__init__()
        header = Header.from_json(sampled("chain_getHeader"))
        body = sampled("chain_getBlock")["block"]["extrinsics"]
        self.at = header.hash()
        self.blocks = {self.at: Block(header, tuple(from_hex(extrinsic) for extrinsic in body))}
        proof = sampled("state_getReadProof")["proof"]
        keys = [from_hex(key) for key in sampled("state_getKeysPaged")]
        self.key = from_hex(params_of("state_getStorage")[0])
        self.account = from_hex(sampled("state_getStorage"))
        self.states = {self.at: {self.key: self.account, keys[1]: b"\x00", b"\xff": b"\x00"}}
        self.proof = [from_hex(node) for node in proof]

    def node_info(self) -> NodeInfo:
        return NodeInfo(
            name=sampled("system_name"),
            version=sampled("system_version"),
            chain=sampled("system_chain"),
            chain_type=sampled("system_chainType"),
            properties=sampled("system_properties"),
            roles=tuple(sampled("system_nodeRoles")),
            peer_id=sampled("system_localPeerId"),
            listen_addresses=(),
        )

    def health(self) -> Health:
        return Health(0, is_syncing=False, should_have_peers=False)

    def sync_state(self) -> SyncState:
        return SyncState(BlockNumber(0), BlockNumber(411), BlockNumber(411))

    def best(self) -> BlockRef:
        return BlockRef(BlockNumber(411), Hash(from_hex(sampled("chain_getBlockHash"))))

    def finalized(self) -> BlockRef:
        return BlockRef(BlockNumber(410), self.at)

    def hash_at(self, number: BlockNumber) -> Hash | None:
        hashes = dict(enumerate(sampled("chain_getBlockHash", 2)[:2]))
        return Hash(from_hex(hashes[number])) if number in hashes else None

    def state_at(self, at: Hash | None) -> DictState:
        return DictState(self.states[self.at])

    def read_proof(self, keys: object, at: Hash | None) -> ReadProof:
        return ReadProof(self.at, self.proof)

    def runtime_version(self, at: Hash | None) -> Any:
        return sampled("state_getRuntimeVersion")

    def runtime_call(self, name: str, data: bytes, at: Hash | None) -> bytes:
        return {
            "TransactionPaymentApi_query_info": FEE_INFO.encode(FeeInfo(Weight(10_000, 0), DispatchClass.NORMAL, 0)),
            "AccountNonceApi_account_nonce": b"\x17\0\0\0",
            "Metadata_metadata_versions": bytes.fromhex("0c0e0000000f00000010000000"),
        }[name]

    def next_nonce(self, account: AccountId) -> Nonce:
        assert account == parse_account(params_of("system_accountNextIndex")[0])
        return Nonce(23)

    async def submit(self, extrinsic: bytes) -> Hash:
        raise invalid_transaction(InvalidReason.BAD_PROOF)


@pytest.fixture(scope="module")
def sampled_node() -> Any:
    with serving(SampledNode()) as running:
        yield running


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample["method"] not in NOT_SERVED],
    ids=lambda sample: sample["method"],
)
def test_samples(sampled_node: Served, sample: dict[str, Any]) -> None:
    assert sampled_node.ask(sample["method"], *sample["params"]) == sample["response"]


def test_sampled_methods_are_listed(served: Served) -> None:
    listed = served.result("rpc_methods")["methods"]
    assert set(sampled("rpc_methods")["methods"]) - set(listed) == set()
    assert listed == sorted(listed)


def test_every_method_is_documented_and_its_parameters_have_schemas() -> None:
    for method in all_methods():
        assert (method.handler.__doc__ or "").strip(), method.name
        for param in method.params:
            assert param.kind.schema, (method.name, param.name)
        required = [param.required for param in method.params]
        assert required == sorted(required, reverse=True), "optional parameters come last"


@dataclass(frozen=True, slots=True)
class Chain:
    """A served chain of three blocks beside which another branch ends."""

    served: Served
    node: FakeNode
    hashes: list[str]
    side: str


@pytest.fixture(scope="module")
def chain() -> Any:
    node = FakeNode()
    node.grow({b"\x01": b"uno", b"\x03": b"three"})
    side = node.grow({b"\x01": b"side"}, node.chain[0], is_best=False)
    node.grow({b"\x02": None})
    node.finalize(1)
    with serving(node) as running:
        yield Chain(running, node, [to_hex(block) for block in node.chain], to_hex(side.hash()))


def test_block_hashes(chain: Chain) -> None:
    ask = chain.served.result
    assert ask("chain_getBlockHash") == ask("chain_getHead") == chain.hashes[2]
    assert ask("chain_getBlockHash", None) == chain.hashes[2]
    assert ask("chain_getBlockHash", 1) == ask("chain_getBlockHash", "0x1") == chain.hashes[1]
    assert ask("chain_getBlockHash", [2, "0x00", 7, 2**40]) == [chain.hashes[2], chain.hashes[0], None, None]
    assert ask("chain_getBlockHash", []) == []
    assert ask("chain_getFinalizedHead") == ask("chain_getFinalisedHead") == chain.hashes[1]


def test_headers_and_blocks(chain: Chain) -> None:
    ask = chain.served.result
    for block in (*chain.hashes, chain.side):
        found = chain.node.blocks[Hash(from_hex(block))]
        assert ask("chain_getHeader", block) == found.header.to_json()
        assert ask("chain_getBlock", block) == {
            "block": {"header": found.header.to_json(), "extrinsics": [to_hex(found.extrinsics[0])]},
            "justifications": None,
        }
    assert ask("chain_getHeader") == ask("chain_getHeader", chain.hashes[2])
    assert ask("chain_getBlock") == ask("chain_getBlock", chain.hashes[2])


def test_unknown_block_is_null_for_the_chain_and_an_error_for_the_state(chain: Chain) -> None:
    assert chain.served.result("chain_getHeader", UNKNOWN) is None
    assert chain.served.result("chain_getBlock", UNKNOWN) is None
    for method, *params in (
        ("state_getStorage", "0x01"),
        ("state_getStorageHash", "0x01"),
        ("state_getStorageSize", "0x01"),
        ("state_getKeysPaged", "0x", 1, None),
        ("state_getPairs", "0x"),
        ("state_queryStorageAt", ["0x01"]),
        ("state_queryStorage", ["0x01"]),
        ("state_getReadProof", ["0x01"]),
        ("state_getRuntimeVersion",),
        ("state_call", "Core_version", "0x"),
        ("mf_predict", to_hex(ALICE), 1),
        ("mf_predictBatch", []),
        ("mf_recommend", to_hex(ALICE), 1, {}),
        ("mf_similarItems", 1, 1),
        ("mf_item", 1),
        ("mf_items", 0, 1),
        ("mf_user", to_hex(ALICE)),
        ("mf_model",),
    ):
        assert chain.served.error(method, *params, UNKNOWN) == {
            "code": 8002,
            "message": f"block {UNKNOWN} is unknown",
            "data": {"reason": "UnknownBlock", "block": UNKNOWN},
        }, method


def test_state_that_is_not_kept_any_more(start: Start) -> None:
    node = FakeNode()
    block = node.grow({}).hash()
    del node.states[block]
    assert start(node).error("state_getStorage", "0x01") == {
        "code": 8003,
        "message": f"the state of block {to_hex(block)} is not kept any more",
        "data": {"reason": "StatePruned", "block": to_hex(block)},
    }


def test_storage_at_each_block(chain: Chain) -> None:
    ask = chain.served.result
    values = [ask("state_getStorage", "0x01", block) for block in (*chain.hashes, chain.side)]
    assert values == [to_hex(value) for value in (b"one", b"uno", b"uno", b"side")]
    assert ask("state_getStorage", "0x01") == ask("state_getStorageAt", "0x01", chain.hashes[2]) == to_hex(b"uno")
    assert ask("state_getStorage", "0xABcd") is None
    assert ask("state_getStorageHash", "0x01") == to_hex(blake2b_256(b"uno"))
    assert ask("state_getStorageSize", "0x01") == 3
    assert ask("state_getStorageHash", "0xff") is ask("state_getStorageSize", "0xff") is None


def test_keys_page_by_page(chain: Chain) -> None:
    ask = chain.served.result
    assert ask("state_getKeysPaged", "0x", 1_000) == ["0x01", "0x0102", "0x03"]
    assert ask("state_getKeysPaged", "0x", 2) == ["0x01", "0x0102"]
    assert ask("state_getKeysPaged", "0x", 2, "0x0102") == ["0x03"]
    assert ask("state_getKeysPaged", "0x01", 2, "0x01", chain.hashes[0]) == ["0x0102"]
    assert ask("state_getKeysPaged", "0x", 0) == []
    assert ask("state_getKeys", "0x01") == ["0x01", "0x0102"]
    assert ask("state_getPairs", "0x03") == [["0x03", to_hex(b"three")]]
    assert chain.served.error("state_getKeysPaged", "0x", 1_001) == {
        "code": 8004,
        "message": "too many keys: at most 1000",
        "data": {"reason": "TooMany", "limit": 1_000},
    }


def test_unpaged_keys_are_bounded(start: Start) -> None:
    node = FakeNode()
    node.grow({b"\x09" + bytes((high, low)): b"v" for high in range(40) for low in range(251)})
    served = start(node)
    assert len(served.result("state_getKeys", "0x0900")) == 251
    for method in ("state_getKeys", "state_getPairs"):
        assert served.error(method, "0x09")["message"] == "too many keys with this prefix: at most 10000"


def test_storage_query_over_blocks(chain: Chain) -> None:
    first, second, third = chain.hashes
    one, uno, three = to_hex(b"one"), to_hex(b"uno"), to_hex(b"three")
    keys = ["0x01", "0x03"]
    whole = [
        {"block": first, "changes": [["0x01", one], ["0x03", None]]},
        {"block": second, "changes": [["0x01", uno], ["0x03", three]]},
    ]
    assert chain.served.result("state_queryStorage", keys, first) == whole
    assert chain.served.result("state_queryStorage", keys, first, third) == whole
    assert chain.served.result("state_queryStorage", keys, first, first) == whole[:1]
    assert chain.served.result("state_queryStorage", ["0x02"], second) == [
        {"block": second, "changes": [["0x02", to_hex(chain.node.states[chain.node.chain[1]][b"\x02"])]]},
        {"block": third, "changes": [["0x02", None]]},
    ]
    assert chain.served.result("state_queryStorageAt", keys, second) == whole[1:]
    assert chain.served.result("state_queryStorageAt", keys) == [{**whole[1], "block": third}]


def test_storage_query_backwards_or_across_branches(chain: Chain) -> None:
    for first, last in ((chain.hashes[2], chain.hashes[0]), (chain.hashes[1], chain.side)):
        assert chain.served.error("state_queryStorage", ["0x01"], first, last) == {
            "code": -32602,
            "message": "parameter toBlock must be a descendant of fromBlock",
        }


def test_storage_query_over_too_many_blocks(start: Start) -> None:
    node = FakeNode()
    for number in range(1_000):
        node.grow({b"\x01": bytes((number & 1,))})
    served = start(node)
    genesis, first = to_hex(node.chain[0]), to_hex(node.chain[1])
    assert len(served.result("state_queryStorage", ["0x01"], first)) == 1_000
    assert served.error("state_queryStorage", ["0x01"], genesis) == {
        "code": 8004,
        "message": "too many blocks to query: at most 1000",
        "data": {"reason": "TooMany", "limit": 1_000},
    }


def test_read_proof_proves_presence_and_absence(chain: Chain) -> None:
    for block in chain.hashes:
        found = chain.served.result("state_getReadProof", ["0x01", "0x02", "0xff"], block)
        assert found["at"] == block
        header = chain.node.blocks[Hash(from_hex(block))].header
        keys = [b"\x01", b"\x02", b"\xff"]
        proven = verify_proof(header.state_root, [from_hex(node) for node in found["proof"]], keys)
        state = chain.node.states[header.hash()]
        assert proven == {key: state.get(key) for key in keys}


def test_runtime_calls_and_versions(chain: Chain) -> None:
    ask = chain.served.result
    assert ask("state_call", "Core_version", "0x0102") == "0x1c0102"
    version = {**VERSION, "specVersion": 100}
    assert ask("state_getRuntimeVersion") == ask("chain_getRuntimeVersion", chain.hashes[0]) == version
    assert chain.served.error("state_call", "No_such", "0x") == {
        "code": -32601,
        "message": "the runtime has no function No_such",
        "data": {"reason": "MethodNotFound", "function": "No_such"},
    }


def test_the_node_itself(start: Start) -> None:
    node = FakeNode()
    node.peer_list = [Peer("12D3KooWOther", "FULL", node.best())]
    ask = start(node).result
    assert ask("system_chain") == "Test"
    assert ask("system_name") == "mfchain-node"
    assert ask("system_version") == "0.1.0"
    assert ask("system_chainType") == "Development"
    assert ask("system_properties") == {"ss58Format": 42, "tokenDecimals": 12, "tokenSymbol": "MF"}
    assert ask("system_nodeRoles") == ["Authority"]
    assert ask("system_localPeerId") == "12D3KooWTest"
    assert ask("system_localListenAddresses") == ["/ip4/127.0.0.1/tcp/30333/p2p/12D3KooWTest"]
    assert ask("system_health") == {"peers": 1, "isSyncing": False, "shouldHavePeers": False}
    assert ask("system_syncState") == {"startingBlock": 0, "currentBlock": 0, "highestBlock": 0}
    assert ask("system_peers") == [
        {"peerId": "12D3KooWOther", "roles": "FULL", "bestHash": to_hex(node.chain[0]), "bestNumber": 0}
    ]
    assert ask("system_dryRun", "0x00") == ask("system_dryRunAt", "0x00", to_hex(node.chain[0])) == "0x0000"


def test_transactions(start: Start) -> None:
    served = start()
    address, text = ss58_encode(ALICE), to_hex(EXTRINSIC)
    assert served.result("system_accountNextIndex", address) == 128
    assert served.result("author_submitExtrinsic", text) == to_hex(blake2b_256(EXTRINSIC))
    assert served.result("author_pendingExtrinsics") == [text]
    assert served.result("account_nextIndex", to_hex(ALICE)) == 129
    assert served.error("author_submitExtrinsic", text) == {
        "code": 1013,
        "message": "Transaction Already Imported",
        "data": f"[{to_hex(blake2b_256(EXTRINSIC))}] Already Imported",
    }
    assert served.error("author_submitExtrinsic", to_hex(BAD_EXTRINSIC)) == {
        "code": 1010,
        "message": "Invalid Transaction",
        "data": "Transaction has a bad signature",
    }
    assert served.result("dev_rate", "//Alice", "3", -1) == to_hex(blake2b_256(b"//Alice 3 -1"))
    assert served.error("dev_rate", "//Alice", ITEMS, 1)["message"] == "item 16 does not exist"


def test_predictions(chain: Chain) -> None:
    ask, address, at = chain.served.result, ss58_encode(ALICE), chain.hashes[1]
    one = ask("mf_predict", address, 1)
    assert one["mean"] == 0.5
    assert one["block"] == {"hash": chain.hashes[2], "number": 2}
    assert ask("mf_predict", to_hex(ALICE), "1") == one
    assert ask("mf_predict", address, 1, at)["block"] == {"hash": at, "number": 1}
    other = to_hex(bytes(32))
    assert ask("mf_predictBatch", [[address, 1], [other, "15"]], at) == {
        "mean": [0.5, 0.0],
        "std": [0.755, 0.755],
        "block": {"hash": at, "number": 1},
    }
    many = ask("mf_predictBatch", [[other, 0], [address, 1]] * 5_000)
    assert many["mean"] == [0.0, 0.5] * 5_000


def test_unknown_items(chain: Chain) -> None:
    address = ss58_encode(ALICE)
    for method, *params in (
        ("mf_predict", address, 16),
        ("mf_similarItems", 16, 5),
        ("mf_item", 16),
        ("mf_item", "16"),
    ):
        assert chain.served.error(method, *params) == {
            "code": 8001,
            "message": "item 16 does not exist",
            "data": {"reason": "UnknownItem", "item": 16},
        }
    largest = 2**64 - 1
    assert chain.served.error("mf_item", largest)["data"] == {"reason": "UnknownItem", "item": str(largest)}
    for count in (1, 500):
        pairs = [[address, 1]] * count + [[address, 99], [address, 98]]
        assert chain.served.error("mf_predictBatch", pairs) == {
            "code": 8001,
            "message": "item 99 does not exist",
            "data": {"reason": "UnknownItem", "item": 99, "index": count},
        }


def test_recommendations(chain: Chain) -> None:
    ask, address = chain.served.result, ss58_encode(ALICE)
    assert [entry["options"] for entry in ask("mf_recommend", address, 2)] == [[False, 0, "mean"]] * 2
    assert ask("mf_recommend", address, 1, None, chain.hashes[0])[0]["block"]["number"] == 0
    options = {"includeRated": True, "minRatings": 3, "order": "pessimistic"}
    assert ask("mf_recommend", address, 1, options)[0]["options"] == [True, 3, "pessimistic"]
    assert ask("mf_recommend", address, 0) == []
    assert len(ask("mf_recommend", address, 1_000)) == ITEMS
    assert chain.served.error("mf_recommend", address, 1_001) == {
        "code": 8004,
        "message": "too many items: at most 1000",
        "data": {"reason": "TooMany", "limit": 1_000},
    }


def test_items_users_and_the_model(chain: Chain) -> None:
    ask = chain.served.result
    assert ask("mf_item", 3, chain.hashes[0])["block"] == {"hash": chain.hashes[0], "number": 0}
    page = ask("mf_items", 14, 10)
    assert page["total"] == ITEMS
    assert [entry["item"] for entry in page["items"]] == [14, 15]
    assert ask("mf_items", "99", 10)["items"] == []
    assert [entry["item"] for entry in ask("mf_similarItems", 3, 2)] == [0, 1]
    assert ask("mf_user", to_hex(ALICE))["account"] == ss58_encode(ALICE)
    assert ask("mf_model")["block"]["number"] == 2
    assert ask("mf_model", chain.side)["block"] == {"hash": chain.side, "number": 1}


def test_events_of_a_transaction(chain: Chain) -> None:
    events = [{"pallet": "System", "event": "ExtrinsicSuccess", "fields": {}}]
    extrinsic = blake2b_256(chain.node.blocks[chain.node.chain[1]].extrinsics[0])
    for place in (0, to_hex(extrinsic)):
        assert chain.served.result("mf_transactionEvents", chain.hashes[1], place) == events
    assert chain.served.error("mf_transactionEvents", chain.hashes[1], 1) == {
        "code": -32602,
        "message": "parameter extrinsic: the block has no such extrinsic",
    }


PLAUSIBLE = st.sampled_from(
    ["0x", "0x01", UNKNOWN, to_hex(ALICE), ss58_encode(ALICE), "Core_version", 0, 1, 1_000, "1", [], ["0x01"], {}]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | PLAUSIBLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# What else a method may say, by its nature: an unknown function, a transaction that is known already.
OWN_CODES = {
    "state_call": (-32601,),
    "payment_queryInfo": (-32601,),
    "author_submitExtrinsic": (1013,),
    "author_submitAndWatchExtrinsic": (1013,),
    "chainHead_v1_follow": (-32800,),
    "chainHead_v1_unpin": (-32804,),
}
NAMES = {method.name: [param.name for param in method.params] for method in all_methods()}


PARAMS = (
    st.lists(PLAUSIBLE | ANYTHING, max_size=5)
    | st.dictionaries(st.sampled_from(sorted({name for names in NAMES.values() for name in names})), ANYTHING)
    | ANYTHING
)


@settings(max_examples=10)
@given(st.lists(PARAMS, min_size=20, max_size=20))
def test_any_parameters_give_a_result_or_a_proper_error(chain: Chain, values: list[object]) -> None:
    """Two hundred random parameters, each to every method."""
    for method in NAMES:
        batch = [{"jsonrpc": "2.0", "id": at, "method": method, "params": value} for at, value in enumerate(values)]
        answers = exchange(chain.served, method, batch)
        assert [entry["id"] for entry in answers] == list(range(20))
        for value, entry in zip(values, answers, strict=True):
            assert set(entry) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
            if "error" in entry:
                fault = entry["error"]
                codes = (-32602, 8001, 8002, 8004, *OWN_CODES.get(method, ()))
                assert fault["code"] in codes, (method, value, fault)
                assert isinstance(fault["message"], str)
                assert len(fault["message"]) < 300


def exchange(served: Served, method: str, batch: object) -> Any:
    """The answer to a batch: by HTTP, or by a WebSocket for what needs one."""
    if not any(word in method for word in ("ubscribe", "atch", "chainHead", "transaction_v1")):
        reply = served.post(batch)
        assert reply.status == 200
        return reply.json
    # Without a bound on its queue: unread notifications would hold up the closing handshake.
    with connect(served.url, proxy=None, max_queue=None) as connection:
        connection.send(json.dumps(batch))
        # Notifications follow the answer, never precede it.
        return json.loads(connection.recv(PATIENCE))


@pytest.mark.parametrize(
    ("prepared", "pairs", "thread"),
    [(False, 32, "rpc"), (False, 33, "rpc-slow"), (True, 1_000, "rpc"), (True, 1_001, "rpc-slow")],
)
def test_long_batches_and_those_that_need_work_first_do_not_run_in_the_loop(
    start: Start, prepared: bool, pairs: int, thread: str
) -> None:
    node = FakeNode()
    node.prepared = prepared
    served = start(node)
    served.result("mf_predictBatch", [[to_hex(ALICE), 0]] * pairs)
    assert node.batch_threads == [thread]
    served.result("mf_predictBatch", [[to_hex(ALICE), 0]], to_hex(node.best().hash))
    assert node.batch_threads[1:] == ["rpc-slow"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("state_getStorage", ["0x01"]),
        ("state_getStorageHash", ["0x01"]),
        ("state_getStorageSize", ["0x01"]),
        ("state_getKeysPaged", ["0x01", 2, None]),
        ("state_queryStorageAt", [["0x01"]]),
    ],
)
def test_old_states_are_read_in_a_worker_thread(start: Start, method: str, params: list[object]) -> None:
    """What an old state was takes a look at all that has changed since, for which others need not wait."""
    node = FakeNode()
    node.grow({b"\x03": b"three"})
    served = start(node)
    old, head = (to_hex(block) for block in node.chain)
    assert served.result(method, *params, head) == served.result(method, *params)
    assert node.state_threads == ["rpc", "rpc"]
    served.result(method, *params, old)
    assert node.state_threads[2:] == ["rpc-slow"]


def test_keys_of_any_prefix(served: Served) -> None:
    assert served.result("state_getKeysPaged", None, 2) == served.result("state_getKeysPaged", "0x", 2)
