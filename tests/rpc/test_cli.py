"""The user's command against a chain on a real socket: what it sends, prints, and how it fails."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from node.config import VERSION
from rpc.cli import app
from rpc.errors import RpcError
from runtime.crypto import Scheme
from runtime.extrinsic import Extrinsic, extrinsic_hash
from runtime.keys import key_pair_from_uri, ss58_encode
from runtime.primitives import to_hex
from runtime.work import is_enough, join_prefix, work_digest
from tests.rpc.fake_chain import LIKES, FakeChain

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
TITLES = ("Veep", "Archer", "13 Reasons Why", "Space Force")


@pytest.fixture
def chain() -> Iterator[FakeChain]:
    with FakeChain(titles=TITLES, scale=LIKES).running() as made:
        yield made


def run(chain: FakeChain, *words: object) -> Result:
    return CliRunner().invoke(app, ["--url", chain.url, *map(str, words)])


def run_json(chain: FakeChain, *words: object) -> Any:
    result = run(chain, *words, "--json")
    assert (result.stderr, result.exit_code) == ("", 0)
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def failure(chain: FakeChain, *words: object) -> Any:
    """The same failure twice: as JSON and as a line."""
    told = run(chain, *words, "--json")
    assert (told.stderr, told.exit_code) == ("", 1)
    error = json.loads(told.stdout)["error"]
    assert list(error) == ["reason", "message", "data"]
    plain = run(chain, *words)
    assert (plain.stdout, plain.stderr, plain.exit_code) == ("", f"mfchain: {error['message']}\n", 1)
    return error


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.stdout, result.stderr, result.exit_code) == (f"mfchain {VERSION}\n", "", 0)


def signed_by(chain: FakeChain) -> tuple[bytes, Scheme, bytes]:
    """Signer, scheme and call of the last transaction."""
    extrinsic = Extrinsic.decode(chain.submitted[-1])
    assert extrinsic.signature is not None
    return extrinsic.signature.account, extrinsic.signature.scheme, extrinsic.call


ALICE = key_pair_from_uri("//Alice", Scheme.ED25519)
ALICE_ADDRESS = ss58_encode(ALICE.public)


# Writes


def test_rate_waits_for_the_block_and_tells_what_happened(chain: FakeChain) -> None:
    told = run_json(chain, "rate", 3, "like", "--suri", "//Alice")
    raw = chain.submitted[-1]
    assert told == {
        "extrinsicHash": to_hex(extrinsic_hash(raw)),
        "block": {"hash": to_hex(chain.head.hash()), "number": 1},
        "events": [
            {
                "pallet": "MatrixFactorization",
                "event": "RatingSubmitted",
                "fields": {"account": ALICE_ADDRESS, "item": 3, "rating": 1},
            },
            {"pallet": "System", "event": "ExtrinsicSuccess", "fields": {}},
        ],
    }
    extrinsic = Extrinsic.decode(raw)
    assert extrinsic.signature is not None
    assert (extrinsic.signature.era.period, extrinsic.signature.era.phase) == (64, 0)
    assert extrinsic.call.hex() == "0800" + "0300000000000000" + "0100000000000000"


def test_rate_prints_a_line_and_its_events(chain: FakeChain) -> None:
    result = run(chain, "rate", 3, "like")
    block = to_hex(chain.head.hash())[:10]
    assert result.stdout == (
        f"rated item 3 with 1: block 1 ({block}…)\n"
        f"  MatrixFactorization.RatingSubmitted account={ALICE_ADDRESS} item=3 rating=1\n"
    )


@pytest.mark.parametrize(
    ("words", "rating"),
    [
        (("3", "-1"), -1),
        (("3", "--", "-1"), -1),
        (("--timeout", "9", "3", "-1"), -1),
        (("3", "-1", "--timeout=9"), -1),
        (("3", "dislike"), -1),
        (("3", "like"), 1),
        (("3", "like it"), 1),
        (("3", "no"), -1),
        (("3", "+1"), 1),
    ],
)
def test_a_rating_is_a_number_or_a_word_of_the_scale(chain: FakeChain, words: tuple[str, ...], rating: int) -> None:
    assert run(chain, "rate", *words).exit_code == 0
    assert chain.state.ratings == {ALICE.public: {3: rating}}


@pytest.mark.parametrize(
    "words",
    [
        ("--suri", "//Bob", "--scheme", "sr25519", "rate", "1", "-1"),
        ("rate", "--suri", "//Bob", "1", "-1", "--scheme", "sr25519"),
        ("rate", "1", "-1", "--suri=//Bob", "--scheme=sr25519"),
    ],
)
def test_options_of_the_whole_stand_before_or_after_the_subcommand(chain: FakeChain, words: tuple[str, ...]) -> None:
    assert run(chain, *words).exit_code == 0
    bob = key_pair_from_uri("//Bob", Scheme.SR25519)
    assert signed_by(chain)[:2] == (bob.public, Scheme.SR25519)


def test_a_title_may_look_like_an_option_behind_two_dashes(chain: FakeChain) -> None:
    result = run(chain, "register-item", "--", "--json")
    assert result.stdout.splitlines()[1] == (
        f"  MatrixFactorization.ItemRegistered account={ALICE_ADDRESS} item=4 title=--json"
    )
    assert chain.state.items[4] == ("--json", ALICE.public)


def test_retract(chain: FakeChain) -> None:
    run(chain, "rate", 2, "like")
    told = run_json(chain, "retract", 2)
    assert told["events"][0]["event"] == "RatingRetracted"
    assert chain.state.ratings[ALICE.public] == {}
    assert signed_by(chain)[2].hex() == "0802" + "0200000000000000"


def test_register_item_takes_any_text(chain: FakeChain) -> None:
    title = "Cérémonie, La — " + "x" * 90
    run_json(chain, "register-item", title)
    assert chain.state.items[4][0] == title


def test_an_item_without_a_title_is_refused(chain: FakeChain) -> None:
    result = run(chain, "register-item", " ")
    assert (result.exit_code, result.stderr) == (1, "mfchain: an item needs a title\n")
    assert len(chain.state.items) == 4


def test_no_wait_sends_only(chain: FakeChain) -> None:
    chain.instant = False
    told = run_json(chain, "rate", 0, 1, "--no-wait")
    plain = run(chain, "rate", 1, 1, "--no-wait")
    with chain.lock:
        queued = chain.pool[ALICE.public]
    assert sorted(queued) == [0, 1]
    chain.make_block()
    hashes = [digest for _, digest in chain.events]
    assert told == {"extrinsicHash": hashes[0]}
    assert plain.stdout == f"sent {hashes[1]}\n"


def test_the_key_file_signs(chain: FakeChain, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("\n0x" + "07" * 32 + "//mine\n\n")
    assert run(chain, "rate", 1, 1, "--key-file", path).exit_code == 0
    assert signed_by(chain)[0] == key_pair_from_uri("0x" + "07" * 32 + "//mine", Scheme.ED25519).public


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
        (b"//Alice\n//Bob\n", "does not hold one line, a secret URI"),
        (b"", "does not hold one line, a secret URI"),
        (b"//" + b"A" * 5000, "does not hold one line, a secret URI"),
    ],
)
def test_an_unusable_key_file_is_refused(chain: FakeChain, tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    assert failure(chain, "rate", 1, 1, "--key-file", path) == {
        "reason": "InvalidKey",
        "message": f"the key file {path} {reason}",
        "data": None,
    }


def test_two_signers_are_one_too_many(chain: FakeChain, tmp_path: Path) -> None:
    error = failure(chain, "me", "--suri", "//Alice", "--key-file", tmp_path / "key")
    assert error["reason"] == "InvalidArgument"
    assert error["message"] == "--suri and --key-file exclude each other"


def test_a_wrong_secret_is_refused_without_showing_it(chain: FakeChain) -> None:
    error = failure(chain, "rate", 1, 1, "--suri", "secret words that are no phrase")
    assert error["reason"] == "InvalidKey"
    assert "secret words" not in error["message"]


def test_nobody_is_alice_on_a_chain_that_matters() -> None:
    with FakeChain(titles=TITLES, chain_type="Live").running() as chain:
        assert failure(chain, "rate", 1, 1) == {
            "reason": "NoSigner",
            "message": "this chain is of type Live: say who signs with --suri or --key-file",
            "data": None,
        }
        assert run(chain, "predict", 1, "--account", ALICE_ADDRESS).exit_code == 0


def test_a_failed_call_fails_the_command(chain: FakeChain) -> None:
    error = failure(chain, "rate", 9, 1)
    assert error["reason"] == "ItemDoesNotExist"
    assert error["message"] == "ItemDoesNotExist: It went wrong."
    first = to_hex(chain.headers[1].hash())
    digest = next(digest for block, digest in chain.events if block == first)
    assert error["data"] == {
        "pallet": "MatrixFactorization",
        "extrinsicHash": digest,
        "block": {"hash": first, "number": 1},
    }


def test_a_refused_transaction_is_told_with_substrates_words(chain: FakeChain) -> None:
    def refuse(method: str, _: list[Any]) -> None:
        if method == "author_submitAndWatchExtrinsic":
            raise RpcError(1010, "Invalid Transaction", "Transaction has a bad signature")

    chain.before = refuse
    assert failure(chain, "rate", 1, 1) == {
        "reason": "InvalidTransaction",
        "message": "Invalid Transaction: Transaction has a bad signature",
        "data": "Transaction has a bad signature",
    }


def test_waiting_for_a_block_has_an_end(chain: FakeChain) -> None:
    chain.instant = False
    error = failure(chain, "rate", 1, 1, "--timeout", "0.05")
    assert error["reason"] == "TimedOut"
    assert error["message"] == ("the transaction was in no block after 0.05 seconds; it may still come into one")


@pytest.mark.parametrize("status", ["dropped", "invalid", {"usurped": "0x00"}])
def test_a_transaction_that_leaves_the_pool_is_told(chain: FakeChain, status: Any) -> None:
    chain.instant = False
    chain.first_status = status
    name = status if isinstance(status, str) else "usurped"
    assert failure(chain, "rate", 1, 1) == {
        "reason": "TransactionDropped",
        "message": f"the transaction left the node's pool without being in a block: {name}",
        "data": {"status": name},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rate", "3", "great"), "great is no rating: give a number or one of like, dislike, like it, no"),
        (("rate", "3", "9" * 30), "9" * 30 + " is out of every scale"),
        (("me", "--account", "nobody"), "--account: address holds 5 bytes, an account's has 35"),
    ],
)
def test_unusable_arguments_are_told(chain: FakeChain, words: tuple[str, ...], message: str) -> None:
    error = failure(chain, *words)
    assert (error["reason"], error["message"]) == ("InvalidArgument", message)


@pytest.mark.parametrize(
    "words",
    [("rate", "3"), ("rate", "-3", "1"), ("rate", "x", "1"), ("rate", "3", "1", "--bogus"), ("bogus",)],
)
def test_wrong_usage_is_exit_code_2(chain: FakeChain, words: tuple[str, ...]) -> None:
    assert run(chain, *words).exit_code == 2
    assert chain.calls == []


@pytest.mark.parametrize("text", ["Veep", "-1", "1.0", "٣", "18446744073709551616", "0" * 5_000])
def test_what_is_no_items_number_is_told(chain: FakeChain, text: str) -> None:
    for words in (("rate", "--", text, "1"), ("predict", "--", "1", text)):
        result = run(chain, *words)
        assert (result.exit_code, chain.calls) == (2, [])
        assert f"{text!r} is no item's number: `mfchain items` lists them" in result.stderr


def test_no_node(chain: FakeChain) -> None:
    chain.stop()
    assert failure(chain, "status") == {
        "reason": "ConnectionFailed",
        "message": f"no node answers at {chain.url}: start one with scripts/run",
        "data": None,
    }
    chain.start()


# The ring

RING_STATUS = {"ring": [ALICE_ADDRESS], "join": {"work": 64, "age": 256}}


def test_join_finds_the_work_and_sends_it(chain: FakeChain) -> None:
    chain.overrides["ring_status"] = lambda: RING_STATUS
    for _ in range(20):
        chain.make_block()
    told = run_json(chain, "join", "--suri", "//Alice", "--no-wait")
    assert told == {"extrinsicHash": to_hex(extrinsic_hash(chain.submitted[-1]))}
    call = Extrinsic.decode(chain.submitted[-1]).call
    assert call[:2] == b"\x05\x00"
    number, nonce = int.from_bytes(call[2:6], "little"), int.from_bytes(call[6:14], "little")
    assert number == 4, "a block that is likely to stay"
    prefix = join_prefix(chain.genesis, chain.headers[number].hash(), ALICE.public)
    assert is_enough(work_digest(prefix, nonce), 64)
    assert not any(is_enough(work_digest(prefix, other), 64) for other in range(nonce))


def test_join_needs_a_ring_and_an_ed25519_key(chain: FakeChain) -> None:
    chain.overrides["ring_status"] = lambda: RING_STATUS | {"join": None}
    message = "this chain is not sealed by a ring: there is none to join"
    assert failure(chain, "join") == {"reason": "InvalidArgument", "message": message, "data": None}
    assert failure(chain, "join", "--scheme", "sr25519")["message"] == "producers sign with ed25519"


def test_leave_is_a_transaction(chain: FakeChain) -> None:
    assert run(chain, "leave", "--no-wait").stdout.startswith("sent 0x")
    assert signed_by(chain) == (ALICE.public, Scheme.ED25519, b"\x05\x01")


# Reads


def test_reads_print_exactly_the_result(chain: FakeChain) -> None:
    chain.state.ratings[ALICE.public] = {2: 1}
    alice = to_hex(ALICE.public)
    options = {"includeRated": False, "minRatings": 0, "order": "mean"}
    assert run_json(chain, "items", "--start", 1, "--count", 2) == chain.do_mf_items(1, 2)
    assert run_json(chain, "predict", 1) == chain.do_mf_predict(alice, 1)
    assert run_json(chain, "predict", 1, 0) == [chain.do_mf_predict(alice, item) for item in (1, 0)]
    assert run_json(chain, "recommend", "--count", 2) == chain.do_mf_recommend(alice, 2, options)
    assert run_json(chain, "similar", 1) == chain.do_mf_similar_items(1, 10)
    assert run_json(chain, "me") == chain.do_mf_user(alice)
    bob = key_pair_from_uri("//Bob", Scheme.ED25519)
    for name in (ss58_encode(bob.public), to_hex(bob.public)):
        assert run_json(chain, "me", "--account", name) == chain.do_mf_user(name)
    assert run_json(chain, "me", "--suri", "//Bob") == chain.do_mf_user(to_hex(bob.public))


def test_recommend_passes_its_options(chain: FakeChain) -> None:
    asked: list[Any] = []
    chain.overrides["mf_recommend"] = lambda *params: asked.append(params) or []
    result = run(chain, "recommend", "--order", "pessimistic", "--include-rated", "--min-ratings", 3, "--count", 4)
    assert asked == [(to_hex(ALICE.public), 4, {"includeRated": True, "minRatings": 3, "order": "pessimistic"})]
    assert result.stdout.endswith("nothing to recommend: every item is rated already, or there is none\n")


def test_status(chain: FakeChain) -> None:
    told = run_json(chain, "status")
    assert told == {
        "chain": "Test chain",
        "chainType": "Development",
        "node": {"name": "fake-node", "version": "1.2.3"},
        "health": {"peers": 2, "isSyncing": False, "shouldHavePeers": True},
        "best": chain.block(),
        "finalized": chain.block(chain.headers[0]),
        "model": chain.model(),
    }
    block = f"block 0 ({to_hex(chain.genesis)[:10]}…)"
    assert run(chain, "status").stdout.split("\n") == [
        "chain      Test chain (Development)",
        f"node       fake-node 1.2.3 at {chain.url}",
        "peers      2",
        f"best       {block}",
        f"finalized  {block}",
        "ratings    0 by 0 users of 4 items",
        "scale      -1 to 1, step 2",
        "model      2 dimensions, canonical",
        "digest     0x" + "ab" * 32,
        "",
    ]


def table(result: Result) -> list[list[str]]:
    """The cells of the table that was printed."""
    rows = [line for line in result.stdout.splitlines() if line.strip(" ─")]
    return [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]


def test_tables_are_readable(chain: FakeChain) -> None:
    assert table(run(chain, "items", "--count", 2)) == [
        ["item", "title", "ratings", "bias"],
        ["0", "Veep", "3", "0.25 ± 0.125"],
        ["1", "Archer", "3", "0.25 ± 0.125"],
        ["2 of 4 items"],
    ]
    assert table(run(chain, "predict", 1)) == [
        ["item", "title", "mean", "std", "90% interval", "rated", "ratings"],
        ["1", "Archer", "0.3025", "0.755", "-0.94 to 1", "-", "1"],
        [f"at block 0 ({to_hex(chain.genesis)[:10]}…)"],
    ]
    assert table(run(chain, "similar", 1, "--count", 1)) == [
        ["item", "title", "similarity"],
        ["0", "Veep", "0.5"],
    ]
    run(chain, "rate", 2, "like")
    assert table(run(chain, "me")) == [
        ["account", ALICE_ADDRESS],
        ["ratings", "1"],
        ["bias", "0.125 ± 0.5"],
        ["noise", "0.75"],
        ["at", f"block 1 ({to_hex(chain.head.hash())[:10]}…)"],
        ["item", "title", "rating"],
        ["2", "13 Reasons Why", "1"],
    ]


def test_a_title_cannot_steer_the_terminal(chain: FakeChain) -> None:
    chain.state.items[0] = ("\x1b[2J[bold]evil[/bold]\r\n", bytes(32))
    result = run(chain, "items", "--count", 1)
    assert "\x1b" not in result.stdout
    assert table(result)[1][1] == "\ufffd[2J[bold]evil[/bold]\ufffd\ufffd"


@pytest.mark.parametrize("words", [("predict", "9"), ("predict", "1", "9"), ("similar", "9")])
def test_an_unknown_item_is_told(chain: FakeChain, words: tuple[str, ...]) -> None:
    assert failure(chain, *words) == {
        "reason": "UnknownItem",
        "message": "item 9 does not exist",
        "data": {"reason": "UnknownItem", "item": 9},
    }


@pytest.mark.parametrize(
    ("words", "method"),
    [
        (("items",), "mf_items"),
        (("predict", "1"), "mf_predict"),
        (("recommend",), "mf_recommend"),
        (("similar", "1"), "mf_similarItems"),
        (("me",), "mf_user"),
    ],
)
@pytest.mark.parametrize("nonsense", [None, 7, "text", {"items": [1]}, [{"title": None}]])
def test_nonsense_from_a_node_is_told_as_such(
    chain: FakeChain, words: tuple[str, ...], method: str, nonsense: Any
) -> None:
    chain.overrides[method] = lambda *_: nonsense
    result = run(chain, *words)
    assert result.exit_code == 1
    assert result.stderr == f"mfchain: the node's answer to {method} is not of the expected form\n"


# export-model and watch


def test_the_model_is_exported_as_numpy_arrays(chain: FakeChain, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    told = run_json(chain, "export-model", path)
    digest = "0x" + "ab" * 32
    assert told == {"file": str(path), "items": 4, "digest": digest, "block": chain.block()}
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert json.loads(str(arrays.pop("model"))) == chain.model()
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "items": [0, 1, 2, 3],
        "titles": list(TITLES),
        "ratings": [3] * 4,
        "bias_mean": [0.25] * 4,
        "bias_std": [0.125] * 4,
        "features_mean": [[item + 0.5, -1.0] for item in range(4)],
        "features_std": [[0.5, 1.0]] * 4,
        "mean": [[0.25, item + 0.5, -1.0] for item in range(4)],
        "covariance": [
            [[2**-6, 2**-20, 2**-19], [2**-20, 0.25, 3 * 2**-20], [2**-19, 3 * 2**-20, 1.0]],
        ]
        * 4,
        "hyper_mean": [0.5, 0.25],
        "hyper_precision": 2.0,
        "block_hash": to_hex(chain.genesis),
        "block_number": 0,
        "digest": digest,
    }
    plain = run(chain, "export-model", path)
    assert plain.stdout == (f"{path}: 4 items, digest {digest}, block 0 ({to_hex(chain.genesis)[:10]}…)\n")
    assert [one.name for one in tmp_path.iterdir()] == ["model.npz"]


def test_an_export_pages_through_many_items(tmp_path: Path) -> None:
    titles = tuple(f"title {item}" for item in range(1203))
    with FakeChain(titles=titles).running() as chain:
        run_json(chain, "export-model", tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as archive:
        assert archive["titles"].tolist() == list(titles)


def test_an_empty_model_is_exported(tmp_path: Path) -> None:
    with FakeChain().running() as chain:
        assert run_json(chain, "export-model", tmp_path / "model.npz")["items"] == 0
    with np.load(tmp_path / "model.npz") as archive:
        assert archive["features_mean"].shape == (0, 2)
        assert archive["covariance"].shape == (0, 3, 3)


def test_an_export_that_cannot_be_written_is_told(chain: FakeChain, tmp_path: Path) -> None:
    error = failure(chain, "export-model", tmp_path / "absent" / "model.npz")
    assert error["reason"] == "FileFailed"
    assert error["message"] == f"{tmp_path}/absent/model.npz cannot be written: No such file or directory"


def test_watch_prints_a_line_a_block(chain: FakeChain) -> None:
    def rate_two() -> None:
        for item in (1, 2):
            chain.include_rating(ALICE.public, item, 1)

    chain.when_watched = rate_two
    told = run(chain, "watch", "--blocks", 3, "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["block"] for line in lines] == [chain.block(header) for header in chain.headers]
    assert [line["model"] and line["model"]["ratings"] for line in lines] == [None, 1, 2]

    plain = run(chain, "watch", "--blocks", 3)
    texts = [f"#{number} {to_hex(chain.headers[number].hash())[:18]}…" for number in (2, 3, 4)]
    size = "2 ratings, 1 users, 4 items, 2 since the epoch"
    assert plain.stdout.splitlines() == [texts[0], f"{texts[1]}  {size}", f"{texts[2]}  {size}"]


def test_watch_tells_that_the_node_is_gone(chain: FakeChain) -> None:
    chain.when_watched = lambda: [one.close_socket() for one in list(chain.connections)]
    result = run(chain, "watch")
    assert result.stderr.startswith(f"mfchain: the node at {chain.url} closed the connection")
    assert result.exit_code == 1


def process(chain: FakeChain, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rpc.cli", "--url", chain.url, *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True)


def test_watching_ends_with_control_c(chain: FakeChain) -> None:
    with process(chain, "watch") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == f"#0 {to_hex(chain.genesis)[:18]}…\n"
        watching.send_signal(signal.SIGINT)
        assert watching.communicate(timeout=30) == ("", "")
    assert watching.returncode == 0


def test_a_reader_that_has_enough_is_no_failure_to_tell(chain: FakeChain) -> None:
    asked = threading.Event()
    chain.before = lambda method, _: None if method != "mf_items" else (asked.wait(30), None)[1]
    with process(chain, "items") as listing:
        assert listing.stdout is not None
        listing.stdout.close()
        asked.set()
        assert listing.stderr is not None
        assert listing.stderr.read() == ""
