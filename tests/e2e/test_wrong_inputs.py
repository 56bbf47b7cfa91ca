"""What a new user gets wrong, and every word that he is told about it."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.chain_spec import genesis, load_spec
from node.cli import execute
from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.transactions import (
    Signing,
    register_item,
    retract_rating,
    signing_now,
    submit_and_wait,
    submit_rating,
    submit_ratings,
)
from runtime.crypto import KeyPair, Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import Hash, to_hex
from tests.support.processes import PATIENCE, NodeProcess, Nodes, User, run

pytestmark = pytest.mark.full

NOBODY = "0x" + "00" * 32
NOWHERE = "0x" + "12" * 32
SCALE = "this chain, which takes -1 to 1, step 2"
ITEM = "must be an item: a whole number from 0 to 2^64 - 1, or the same as a decimal string"
ACCOUNT = "must be an SS58 address or 0x-hex"
ID = "which is a number from 0 to 2^63 - 1"
ONE_WORD = "a secret phrase has 12, 15, 18, 21 or 24 words, this one has 1"
UNKNOWN_ITEM = {"reason": "UnknownItem", "item": 99}
UNKNOWN_BLOCK = {"reason": "UnknownBlock", "block": NOWHERE}
NO_BLOCK = f"block {NOWHERE} is unknown"
UNFORMED = "Extrinsic has invalid format"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with Nodes(tmp_path_factory.mktemp("wrong") / "temporary") as running:
        yield running.start("--dev")


@pytest.fixture
def client(dev: NodeProcess) -> Iterator[RpcClient]:
    with dev.client() as connected:
        yield connected


# Requests


@pytest.mark.parametrize(
    ("body", "identifier", "code", "message"),
    [
        (b"", None, -32700, "Parse error"),
        (b'{"jsonrpc": "2.0", ', None, -32700, "Parse error"),
        (b"\xff", None, -32700, "Parse error"),
        (b"[]", None, -32600, "Invalid request: a batch must have at least one request"),
        (b"7", None, -32600, "Invalid request: a request is an object, not a number"),
        (b'{"id": 1, "method": "mf_model"}', 1, -32600, 'Invalid request: jsonrpc must be "2.0"'),
        (b'{"jsonrpc": "2.0", "id": 1}', 1, -32600, "Invalid request: method must be a string"),
        (
            b'{"jsonrpc": "2.0", "id": [], "method": "mf_model"}',
            None,
            -32600,
            "Invalid request: id must be a string, a number or null, not an array",
        ),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "mf_model", "params": 7}',
            1,
            -32602,
            "params must be an array or an object, not a number",
        ),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "mf_predict", "params": {"who": 1}}',
            1,
            -32602,
            "there is no parameter who: known are account, item, at",
        ),
    ],
)
def test_requests_that_are_none(dev: NodeProcess, body: bytes, identifier: int | None, code: int, message: str) -> None:
    refusal = {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": identifier}
    assert dev.request("POST", "/", body) == (200, refusal)


@pytest.mark.parametrize(
    ("method", "params", "code", "message", "data"),
    [
        ("mf_guess", [], -32601, "Method not found", None),
        (
            "chain_subscribeNewHeads",
            [],
            -32601,
            "subscriptions need a WebSocket connection",
            {"reason": "NeedsWebSocket"},
        ),
        ("mf_predict", [3, 4], -32602, f"parameter account {ACCOUNT}, not a number", None),
        (
            "mf_predict",
            ["5FA9", 4],
            -32602,
            f"parameter account {ACCOUNT}: address holds 3 bytes, an account's has 35",
            None,
        ),
        (
            "mf_predict",
            ["0x00", 4],
            -32602,
            f"parameter account {ACCOUNT}: account id: hex text must hold 32 bytes, this one holds 1",
            None,
        ),
        ("mf_predict", [NOBODY, -1], -32602, f"parameter item {ITEM}", None),
        ("mf_predict", [NOBODY, "4x"], -32602, f"parameter item {ITEM}", None),
        ("mf_predict", [NOBODY, 2.5], -32602, f"parameter item {ITEM}", None),
        ("mf_predict", [NOBODY], -32602, "parameter item is missing", None),
        ("mf_predict", [NOBODY, 4, None, 5], -32602, "at most 3 parameters are taken, not 4", None),
        (
            "mf_predict",
            [NOBODY, 4, "0x12"],
            -32602,
            "parameter at must be a hash in 0x-hex: hex text must hold 32 bytes, this one holds 1",
            None,
        ),
        ("mf_predict", [NOBODY, 4, NOWHERE], 8002, NO_BLOCK, UNKNOWN_BLOCK),
        ("mf_predict", [NOBODY, 99], 8001, "item 99 does not exist", UNKNOWN_ITEM),
        (
            "mf_predictBatch",
            [[[NOBODY, 4], [NOBODY, 99]]],
            8001,
            "item 99 does not exist",
            {**UNKNOWN_ITEM, "index": 1},
        ),
        ("mf_similarItems", [99, 5], 8001, "item 99 does not exist", UNKNOWN_ITEM),
        ("mf_item", [99], 8001, "item 99 does not exist", UNKNOWN_ITEM),
        ("mf_items", [0, 5_000], 8004, "too many items: at most 1000", {"reason": "TooMany", "limit": 1_000}),
        (
            "mf_recommend",
            [NOBODY, 5, {"order": "best"}],
            -32602,
            "parameter options has a wrong member order: it is mean, optimistic or pessimistic",
            None,
        ),
        ("state_getStorage", [NOBODY, NOWHERE], 8002, NO_BLOCK, UNKNOWN_BLOCK),
        (
            "state_call",
            ["Foo_bar", "0x"],
            -32601,
            "the runtime has no function Foo_bar",
            {"reason": "MethodNotFound", "function": "Foo_bar"},
        ),
        ("dev_rate", ["garbage", 3, 1], -32602, f"suri: {ONE_WORD}", None),
        (
            "author_submitExtrinsic",
            ["1054"],
            -32602,
            "parameter extrinsic must be 0x-hex: hex text must start with 0x",
            None,
        ),
        (
            "author_submitExtrinsic",
            ["0x"],
            1001,
            UNFORMED,
            "extrinsic length at offset 0 needs 1 byte, none is left",
        ),
        ("author_submitExtrinsic", ["0x00"], 1001, UNFORMED, "extrinsic is empty"),
        (
            "author_submitExtrinsic",
            ["0x1054000000"],
            1001,
            UNFORMED,
            "extrinsic version byte is 0x54, known are 0x04 and 0x84",
        ),
        (
            "author_submitExtrinsic",
            ["0x" + "ff" * 40],
            1001,
            UNFORMED,
            "extrinsic length at offset 0 needs 68 bytes, 40 are left",
        ),
    ],
)
def test_calls_that_ask_wrongly(
    dev: NodeProcess, method: str, params: list[object], code: int, message: str, data: object
) -> None:
    request = {"jsonrpc": "2.0", "id": "me", "method": method, "params": params}
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    answer = {"jsonrpc": "2.0", "error": error, "id": "me"}
    assert dev.request("POST", "/", json.dumps(request).encode()) == (200, answer)


# Transactions


@pytest.fixture
def signing(client: RpcClient) -> Signing:
    return signing_now(client)


def pair(name: str) -> KeyPair:
    return key_pair_from_uri(f"//{name}", Scheme.ED25519)


def refusal(client: RpcClient, extrinsic: bytes) -> tuple[int, str, object]:
    with pytest.raises(RpcError) as refused:
        client.call("author_submitExtrinsic", to_hex(extrinsic))
    return refused.value.code, refused.value.message, refused.value.data


def test_transactions_that_are_wrongly_signed(client: RpcClient, signing: Signing) -> None:
    raw = signing.sign(pair("Forger"), submit_rating(3, 1), 0)
    bad = (1010, "Invalid Transaction", "Transaction has a bad signature")
    for place in (5, 40, 100, len(raw) - 1):  # the account, the signature, the era and nonce, the call
        changed = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        assert refusal(client, changed) == bad, place
    elsewhere = replace(signing, genesis_hash=Hash(bytes(32)))
    assert refusal(client, elsewhere.sign(pair("Forger"), submit_rating(3, 1), 0)) == bad


def test_nonces_that_are_taken(client: RpcClient, signing: Signing) -> None:
    signer = pair("Hasty")
    raw = signing.sign(signer, submit_rating(3, 1), 0)
    submit_and_wait(client, raw, PATIENCE)
    outdated = (1010, "Invalid Transaction", "Transaction is outdated")
    assert refusal(client, raw) == outdated
    assert refusal(client, signing.sign(signer, submit_rating(4, 1), 0)) == outdated

    ahead = signing.sign(signer, submit_rating(4, 1), 2)
    digest = client.call("author_submitExtrinsic", to_hex(ahead))
    again = (1013, "Transaction Already Imported", f"[{digest}] Already Imported")
    assert refusal(client, ahead) == again
    submit_and_wait(client, signing.sign(signer, submit_rating(5, 1), 1), PATIENCE)


def test_calls_that_the_chain_does_not_have(client: RpcClient, signing: Signing) -> None:
    for call, why in (
        (b"\x63\x00", "there is no call 0 of pallet 99"),
        (b"\x08\x63", "there is no call 99 of pallet 8"),
        (b"\x08\x00\x01", "u64 at offset 2 needs 8 bytes, 1 are left"),
    ):
        raw = signing.sign(pair("Curious"), call, 0)
        assert refusal(client, raw) == (1001, UNFORMED, why)


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (
            submit_rating(3, 5),
            "RatingOutOfRange",
            "The rating is not one of this chain's scale (RatingMin, RatingMax, RatingStep).",
        ),
        (submit_rating(99, 1), "ItemDoesNotExist", "There is no item of this id."),
        (retract_rating(9), "NotRated", "The account has not rated this item."),
        (register_item("x" * 129), "TitleTooLong", "A title has 128 bytes at most."),
        (submit_ratings(b""), "EmptyBatch", "A batch has at least one rating."),
    ],
)
def test_calls_that_fail_in_a_block(client: RpcClient, call: bytes, error: str, why: str) -> None:
    signer = pair("Failing")
    nonce = client.call("system_accountNextIndex", to_hex(signer.public))
    raw = signing_now(client).sign(signer, call, nonce)
    before = client.call("mf_model")
    block = submit_and_wait(client, raw, PATIENCE)
    events = client.call("mf_transactionEvents", block, 1)
    last = events[-1]
    assert (last["pallet"], last["event"]) == ("System", "ExtrinsicFailed")
    assert last["fields"]["error"] == {"pallet": "MatrixFactorization", "name": error, "message": why}
    assert [one["event"] for one in events if one["pallet"] == "MatrixFactorization"] == []
    after = client.call("mf_model")
    assert (after["ratings"], after["digest"]) == (before["ratings"], before["digest"])


# Commands of the user


def check(user: User, words: tuple[object, ...], reason: str, message: str, data: object = None) -> None:
    """See that a command fails with these words, for programs and for people."""
    assert user.failure(*words) == {"reason": reason, "message": message, "data": data}
    assert user.complaint(*words) == f"mfchain: {message}"


@pytest.mark.parametrize(
    ("words", "error", "why"),
    [
        (
            ("rate", 3, 5),
            "RatingOutOfRange",
            "The rating is not one of this chain's scale (RatingMin, RatingMax, RatingStep). "
            "They go from -1 to 1 in steps of 2.",
        ),
        (("rate", 99, "like"), "ItemDoesNotExist", "There is no item of this id."),
        (("retract", 9), "NotRated", "The account has not rated this item."),
        (("register-item", "x" * 129), "TitleTooLong", "A title has 128 bytes at most."),
    ],
)
def test_commands_that_fail_in_a_block(dev: NodeProcess, words: tuple[object, ...], error: str, why: str) -> None:
    told = dev.user.failure(*words)
    assert (told["reason"], told["message"]) == (error, f"{error}: {why}")
    assert told["data"]["pallet"] == "MatrixFactorization"
    assert list(told["data"]) == ["pallet", "extrinsicHash", "block"]
    assert dev.user.complaint(*words) == f"mfchain: {error}: {why}"


@pytest.mark.parametrize(
    ("words", "reason", "message", "data"),
    [
        (("predict", 99), "UnknownItem", "item 99 does not exist", UNKNOWN_ITEM),
        (("predict", 3, 99), "UnknownItem", "item 99 does not exist", UNKNOWN_ITEM),
        (("similar", 99), "UnknownItem", "item 99 does not exist", UNKNOWN_ITEM),
        (
            ("rate", 3, "maybe"),
            "InvalidArgument",
            "maybe is no rating: give a number or one of like, dislike",
            None,
        ),
        (("rate", 3, 10**30), "InvalidArgument", f"{10**30} is out of every scale", None),
        (("rate", 3, "like", "--suri", "garbage"), "InvalidKey", ONE_WORD, None),
        (
            ("rate", 3, "like", "--suri", "//A//"),
            "InvalidKey",
            "the secret URI is not of the form phrase//hard/soft///password",
            None,
        ),
        (("rate", 3, "like", "--suri", ""), "InvalidKey", "the secret URI is empty", None),
        (
            ("rate", 3, "like", "--key-file", "/no/key"),
            "InvalidKey",
            "the key file /no/key cannot be read: No such file or directory",
            None,
        ),
        (
            ("me", "--account", "5FA9"),
            "InvalidArgument",
            "--account: address holds 3 bytes, an account's has 35",
            None,
        ),
        (
            ("export-model", "/no/model.npz"),
            "FileFailed",
            "/no/model.npz cannot be written: No such file or directory",
            None,
        ),
    ],
)
def test_commands_that_ask_wrongly(
    dev: NodeProcess, words: tuple[object, ...], reason: str, message: str, data: object
) -> None:
    check(dev.user, words, reason, message, data)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_no_node_answers(scheme: str) -> None:
    with socket.socket() as silent:  # bound, so that nobody else takes the port, but not listened to
        silent.bind(("127.0.0.1", 0))
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        for words in (("status",), ("rate", 3, "like"), ("watch",)):
            message = f"no node answers at {url}: start one with scripts/run"
            check(User(url), words, "ConnectionFailed", message)
        assert run("mfchain", "--url", url, "status") == (1, "", f"mfchain: {message}")


def test_what_answers_is_no_node(dev: NodeProcess) -> None:
    message = "gopher://x is not the URL of a node, which is like ws://127.0.0.1:9944"
    check(User("gopher://x"), ("status",), "InvalidArgument", message)
    message = "subscriptions need a WebSocket connection"
    check(User(f"http://127.0.0.1:{dev.port}"), ("watch",), "NeedsWebSocket", message, {"reason": "NeedsWebSocket"})


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("user,item,rating\n1,2,1\n1,2\n", 3, "expected {row}, got ['1', '2']"),
        ("1,2,1,4,5\n", 1, "expected {row}, got ['1', '2', '1', '4', '5']"),
        ("1,2,1\n1,2,like\n", 2, f"'like' is no rating of {SCALE}"),
        ("user,item,rating\n1,2,3\n", 2, f"'3' is no rating of {SCALE}"),
        ("1,2,1\n\n1,2,0.5\n", 3, f"'0.5' is no rating of {SCALE}"),
        ("1,2,nan\n", 1, f"'nan' is no rating of {SCALE}"),
        ("1,2,1\nx,2,1\n", 2, f"'x' is no user id, {ID}"),
        ("1,-2,1\n", 1, f"'-2' is no item id, {ID}"),
        (f"1,{10**19},1\n", 1, f"'{10**19}' is no item id, {ID}"),
    ],
)
def test_lines_that_are_no_ratings(dev: NodeProcess, tmp_path: Path, text: str, line: int, why: str) -> None:
    file = tmp_path / "ratings.csv"
    file.write_text(text)
    row = "user,item,rating or user,item,rating,timestamp"
    message = f"{file}, line {line}: {why.format(row=row)}"
    check(dev.user, ("import", file), "InvalidFile", message, {"line": line})
    assert [path.name for path in tmp_path.iterdir()] == ["ratings.csv"]


def test_files_that_hold_no_ratings(dev: NodeProcess, tmp_path: Path) -> None:
    empty, titles, good = tmp_path / "empty", tmp_path / "titles", tmp_path / "good"
    empty.write_text("user,item,rating\n")
    titles.write_text("item,title\n2,a,b\n")
    good.write_text("1,2,1\n")
    missing, user = tmp_path / "missing", dev.user
    check(user, ("import", empty), "InvalidFile", f"{empty} has no ratings")
    check(user, ("import", missing), "InvalidFile", f"{missing} cannot be read: No such file or directory")
    check(user, ("import", tmp_path), "InvalidFile", f"{tmp_path} cannot be read: Is a directory")
    message = f"{titles}, line 2: expected item,title, got ['2', 'a', 'b']"
    check(user, ("import", good, "--titles", titles), "InvalidFile", message, {"line": 2})
    check(user, ("import", good, "--suri-prefix", "garbage"), "InvalidKey", f"--suri-prefix: {ONE_WORD}")


# Commands of the operator


def failure(*words: object) -> tuple[int, str]:
    """How a node refuses to run: its exit code, and the one line that it says."""
    code, out, err = run("mfchain-node", *words)
    assert out == ""
    assert err.startswith("mfchain-node: ")
    return code, err.removeprefix("mfchain-node: ")


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The same in this process, for what is refused before a node is there."""
    code = execute([str(word) for word in words])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mfchain-node: ")
    return code, err.removeprefix("mfchain-node: ").rstrip("\n")


def test_a_port_in_use(dev: NodeProcess, tmp_path: Path) -> None:
    base_path = tmp_path / "base"
    told = failure("--dev", "--base-path", base_path, "--rpc-port", dev.port, "--no-prometheus")
    assert told == (4, f"port {dev.port} is in use; choose another with --rpc-port")
    assert not list(base_path.rglob("db"))


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    # Permissions would not stop root, who runs tests in containers.
    file = tmp_path / "file"
    file.write_text("")
    assert failure("--dev", "--base-path", file, "--rpc-port", 0, "--no-prometheus") == (
        3,
        f"the directory {file}/chains/dev cannot be made: Not a directory",
    )
    database = tmp_path / "base" / "chains" / "dev" / "db"
    database.parent.mkdir(parents=True)
    database.write_text("")
    assert failure("--dev", "--base-path", tmp_path / "base", "--rpc-port", 0, "--no-prometheus") == (
        3,
        f"the database directory {database} cannot be made: File exists",
    )


def test_a_database_in_use_or_of_another_chain(
    nodes: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base_path = tmp_path / "base"
    node = nodes.start("--dev", "--base-path", base_path)
    database = base_path / "chains" / "dev" / "db"
    in_use = (3, f"the database in {database} is in use by another process")
    assert failure("--dev", "--base-path", base_path, "--rpc-port", 0, "--no-prometheus") == in_use
    assert refused(capsys, "chain-info", "--dev", "--base-path", base_path) == in_use
    with node.client() as client:
        mine = client.call("chain_getBlockHash", 0)
    node.stop()

    spec: dict[str, Any] = load_spec("dev").to_json()
    spec["genesis"]["items"][0] = "Weep"
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    theirs = to_hex(genesis(load_spec(str(file))).header.hash())
    assert mine != theirs
    message = f"the database is of the chain with genesis block {mine}, not {theirs}"
    options = ("--chain", file, "--base-path", base_path)
    assert failure("--dev", *options, "--rpc-port", 0, "--no-prometheus") == (3, message)
    assert refused(capsys, "chain-info", *options) == (3, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--chain", "/"), "the chain spec / cannot be read: Is a directory"),
        (("frobnicate",), "No such command 'frobnicate'."),
        (("--dev", "--tmp", "--base-path", "/tmp"), "--tmp and --base-path exclude each other"),  # noqa: S108
        (("--dev", "--suri", "garbage"), f"--suri: {ONE_WORD}"),
        (("--chain", "dev", "--alice"), "a key is for a node that makes blocks: add --producer"),
        (
            ("--dev", "--bob", "--charlie"),
            "--bob and --charlie exclude each other: a node has one key",
        ),
        (
            ("--dev", "--state-pruning", "few"),
            "--state-pruning: must be archive or a number from 1 to 4294967295, not 'few'",
        ),
        (
            ("--dev", "--log", "loud"),
            "--log: 'loud' is neither a level (error, warn, info, debug) nor target=level",
        ),
        (
            ("--chain", "dev", "--block-time", 100),
            "--block-time is for a node that makes blocks: add --producer",
        ),
    ],
)
def test_options_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], words: tuple[object, ...], message: str
) -> None:
    assert refused(capsys, *words) == (2, message)


def test_a_chain_that_nobody_knows() -> None:
    told = "there is no chain nosuch: name one of dev, local, movielens, halfstars, or a file"
    assert failure("--chain", "nosuch") == (2, told)


def test_a_chain_spec_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.json"
    spec: dict[str, Any] = load_spec("dev").to_json()
    file.write_text(json.dumps(spec)[:-1])
    code, message = refused(capsys, "--chain", file)
    assert code == 2
    assert message.startswith(f"the chain spec {file}: not JSON: ")
    spec["genesis"]["items"][3] = "x" * 129
    file.write_text(json.dumps(spec))
    assert refused(capsys, "--chain", file) == (
        2,
        f"the chain spec {file}: genesis.items[3]: a title has 128 bytes at most",
    )
