"""What somebody sees who has just started `mfchain-node --dev`."""

import json
import math
import re
import signal
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from tests.support.processes import Command, NodeProcess, Nodes, run

pytestmark = pytest.mark.full

HASH = re.compile(r"0x[0-9a-f]{64}")
ALICE, BOB = (ss58_encode(key_pair_from_uri(uri, Scheme.ED25519).public) for uri in ("//Alice", "//Bob"))
TITLES = (
    "Veep",
    "Archer",
    "13 Reasons Why",
    "Space Force",
    "Game of Thrones",
    "Community",
    "Dark",
    "Snowpiercer",
    "Vikings",
    "Supernatural",
    "The Office",
    "Ozark",
    "Rick and Morty",
    "The 100",
    "Money Heist",
    "Avatar: The Last Airbender",
)
BLOCK = {"hash": "hash", "number": "int"}
SPREAD = {"mean": "float", "std": "float"}
FEATURES = {"mean": ["float"] * 8, "std": ["float"] * 8}
PREDICTION = {
    "item": "int",
    "title": "str",
    "mean": "float",
    "std": "float",
    "interval90": ["float", "float"],
    "rated": "NoneType",
    "userRatings": "int",
    "itemRatings": "int",
    "canonical": "bool",
    "raw": {"mean": "integer", "variance": "integer", "fractionalBits": "int"},
    "block": BLOCK,
}
MODEL = {
    "ratings": "int",
    "users": "int",
    "items": "int",
    "dimension": "int",
    "scale": {"min": "int", "max": "int", "step": "int", "labels": {"-1": "str", "1": "str"}},
    "canonical": "bool",
    "epoch": "int",
    "ratingsSinceEpoch": "int",
    "pendingEpoch": "NoneType",
    "digest": "hash",
    "hyperparameters": {
        "userMean": ["float"] * 9,
        "userCovariance": [["float"] * 9] * 9,
        "itemBias": "float",
        "itemCovariance": [["float"] * 9] * 9,
        "precisionRate": "float",
    },
    "block": BLOCK,
}


def form(value: object) -> object:
    """The types in a JSON value; hashes and decimal numbers in strings are told from other strings."""
    match value:
        case dict():
            return {name: form(member) for name, member in value.items()}
        case list():
            return [form(member) for member in value]
        case str() if HASH.fullmatch(value):
            return "hash"
        case str() if re.fullmatch(r"-?\d+", value):
            return "integer"
        case _:
            return type(value).__name__


def check_prediction(one: dict[str, Any]) -> None:
    """See that the rounded and the exact part of a prediction on the scale -1 to 1 tell the same."""
    assert form({**one, "rated": None}) == PREDICTION
    assert one["rated"] in (None, -1, 1)
    low, high = one["interval90"]
    assert -1 <= low <= one["mean"] <= high <= 1
    mean, variance = (int(one["raw"][name]) / 2**20 for name in ("mean", "variance"))
    assert one["raw"]["fractionalBits"] == 20
    assert one["mean"] == min(max(mean, -1), 1)
    assert one["std"] == pytest.approx(math.sqrt(variance), abs=1e-12)
    assert low == pytest.approx(max(mean - 1.6448536 * one["std"], -1), abs=1e-6)
    assert high == pytest.approx(min(mean + 1.6448536 * one["std"], 1), abs=1e-6)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with Nodes(tmp_path_factory.mktemp("tour") / "temporary") as running:
        yield running.start("--dev")


def test_first_steps(nodes: Nodes) -> None:
    node = nodes.start("--dev")
    assert len(nodes.temporary()) == 1

    def mfchain(*words: str) -> list[str]:
        code, out, err = run("mfchain", "--url", node.url, *words)
        assert (code, err) == (0, ""), out
        return out.splitlines()

    told = mfchain("rate", "3", "like", "--suri", "//Alice")
    assert re.fullmatch(r"rated item 3 with 1: block 1 \(0x[0-9a-f]{8}…\)", told[0])
    assert told[1:] == [f"  MatrixFactorization.RatingSubmitted account={ALICE} item=3 rating=1"]

    columns, _, line, block = mfchain("predict", "4", "--suri", "//Bob")
    assert columns.split() == ["item", "title", "mean", "std", "90%", "interval", "rated", "ratings"]
    assert re.fullmatch(r" +4   Game of Thrones +0   0\.\d+ +-1 to 1 +- +0", line)
    assert re.fullmatch(r"at block 1 \(0x[0-9a-f]{8}…\)", block)

    status = dict(line.split(maxsplit=1) for line in mfchain("status"))
    assert status["chain"] == "mfchain Development (Development)"
    assert status["node"] == f"Alice 0.1.0 at {node.url}"
    assert status["ratings"] == "1 by 1 users of 16 items"
    assert status["scale"] == "-1 to 1, step 2"
    assert status["best"] == status["finalized"] == block.removeprefix("at ")

    node.stop()
    assert nodes.temporary() == []


def test_what_people_read(dev: NodeProcess) -> None:
    user = dev.user
    user.text("rate", "3", "like")
    recommended = user.text("recommend", "--count", "4").splitlines()
    assert len(recommended) == 2 + 4
    assert "Space Force" not in "\n".join(recommended)
    assert len(user.text("recommend", "--include-rated", "--count", "100").splitlines()) == 2 + 16
    assert user.text("items").splitlines()[-1] == "16 of 16 items"
    assert [line.split()[0] for line in user.text("similar", 3, "--count", 5).splitlines()[:1]] == ["item"]
    me = user.text("me").splitlines()
    assert me[:2] == [f"account  {ALICE}", "ratings  1"]
    assert me[-1].split() == ["3", "Space", "Force", "1"]
    told = user.text("retract", 3).splitlines()
    assert re.fullmatch(r"took back the rating of item 3: block \d+ \(0x[0-9a-f]{8}…\)", told[0])
    assert told[1:] == [f"  MatrixFactorization.RatingRetracted account={ALICE} item=3"]
    assert user.text("me").splitlines()[1] == "ratings  0"


def test_reads_for_programs(nodes: Nodes) -> None:
    user = nodes.start("--dev").user
    for item, rating, suri in ((3, "like", "//Alice"), (5, "dislike", "//Alice"), (3, "like", "//Bob")):
        user.json("rate", item, rating, "--suri", suri)

    known = user.json("predict", 3)
    assert (known["rated"], known["userRatings"], known["itemRatings"]) == (1, 2, 2)
    unknown = user.json("predict", 4, "--account", BOB)
    assert (unknown["item"], unknown["title"], unknown["rated"]) == (4, "Game of Thrones", None)
    stranger = user.json("predict", 3, "--suri", "//Nobody")
    assert (stranger["userRatings"], stranger["itemRatings"]) == (0, 2)
    several = user.json("predict", 3, 4)
    assert several[0] == known
    for one in (known, unknown, stranger, *several, *user.json("recommend", "--count", 16)):
        check_prediction(one)

    recommended = user.json("recommend", "--count", 16)
    assert [one["item"] for one in recommended if one["rated"] is not None] == []
    assert sorted(one["item"] for one in recommended) == [n for n in range(16) if n not in (3, 5)]
    means = [int(one["raw"]["mean"]) for one in recommended]
    assert means == sorted(means, reverse=True)

    page = user.json("items")
    assert form(page) == {
        "total": "int",
        "items": [{"item": "int", "title": "str", "ratings": "int", "bias": SPREAD}] * 16,
    }
    assert [(one["item"], one["title"]) for one in page["items"]] == list(enumerate(TITLES))
    assert [one["ratings"] for one in page["items"]] == [{3: 2, 5: 1}.get(n, 0) for n in range(16)]

    similar = user.json("similar", 3, "--count", 5)
    # Of what nobody has rated nothing is known.
    assert form(similar) == [{"item": "int", "title": "str", "similarity": "float"}]
    assert similar[0]["item"] == 5
    assert -1 <= similar[0]["similarity"] <= 1

    me = user.json("me")
    assert form(me) == {
        "account": "str",
        "ratings": [{"item": "int", "title": "str", "rating": "int"}] * 2,
        "bias": SPREAD,
        "features": FEATURES,
        "noise": "float",
        "block": BLOCK,
    }
    assert (me["account"], [(one["item"], one["rating"]) for one in me["ratings"]]) == (ALICE, [(3, 1), (5, -1)])

    status = user.json("status")
    assert form(status) == {
        "chain": "str",
        "chainType": "str",
        "node": {"name": "str", "version": "str"},
        "health": {"peers": "int", "isSyncing": "bool", "shouldHavePeers": "bool"},
        "best": BLOCK,
        "finalized": BLOCK,
        "model": MODEL,
    }
    model = status["model"]
    assert (model["ratings"], model["users"], model["items"]) == (3, 2, 16)
    assert model["scale"] == {"min": -1, "max": 1, "step": 2, "labels": {"-1": "dislike", "1": "like"}}
    assert status["best"] == status["finalized"] == model["block"] == known["block"]


def test_writes_for_programs(nodes: Nodes) -> None:
    node = nodes.start("--dev")
    user = node.user
    success = {
        "info": {
            "weight": {"ref_time": "int", "proof_size": "int"},
            "class": "str",
            "pays_fee": "str",
        }
    }
    account = {"account": ALICE}
    steps: tuple[tuple[tuple[object, ...], str, dict[str, object]], ...] = (
        (("rate", 7, "dislike"), "RatingSubmitted", {**account, "item": 7, "rating": -1}),
        (("rate", 7, -1), "RatingSubmitted", {**account, "item": 7, "rating": -1}),
        (("rate", 7, "like"), "RatingSubmitted", {**account, "item": 7, "rating": 1}),
        (("retract", 7), "RatingRetracted", {**account, "item": 7}),
        (("register-item", "Twin Peaks"), "ItemRegistered", {**account, "item": 16, "title": "Twin Peaks"}),
        (("rate", 16, 1), "RatingSubmitted", {**account, "item": 16, "rating": 1}),
    )
    with node.client() as client:
        for number, (words, event, fields) in enumerate(steps, 1):
            told = user.json(*words)
            assert list(told) == ["extrinsicHash", "block", "events"]
            assert told["block"] == {"hash": client.call("chain_getBlockHash", number), "number": number}
            assert told["events"][0] == {"pallet": "MatrixFactorization", "event": event, "fields": fields}
            new = [] if number > 1 else [{"pallet": "System", "event": "NewAccount", "fields": account}]
            assert told["events"][1:-1] == new
            last = told["events"][-1]
            assert (last["pallet"], last["event"], form(last["fields"])) == ("System", "ExtrinsicSuccess", success)
        with client.subscribe("chain_subscribeNewHeads") as heads:
            heads.next()
            sent = user.json("rate", 1, "like", "--no-wait")
            assert form(sent) == {"extrinsicHash": "hash"}
            assert heads.next()["number"] == hex(len(steps) + 1)
        ids = [one["item"] for one in user.json("me")["ratings"]]
        assert ids == [1, 16]


def test_watch_prints_a_line_for_each_block(nodes: Nodes) -> None:
    node = nodes.start("--dev")
    with (
        Command.start("mfchain", "--url", node.url, "watch") as people,
        Command.start("mfchain", "--url", node.url, "watch", "--json", "--blocks", 4) as program,
    ):
        genesis = people.out.first(1)[0]
        assert re.fullmatch(r"#0 0x[0-9a-f]{16}…", genesis)
        program.out.first(1)
        blocks = [node.user.json("rate", item, "like")["block"] for item in (1, 2, 3)]
        lines = people.out.first(4)[1:]
        code, out, err = program.wait()
        people.signal(signal.SIGINT)
        assert people.wait() == (0, "\n".join([genesis, *lines]), "")
    assert (code, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["block"] for one in told[1:]] == blocks
    for count, (line, one, block) in enumerate(zip(lines, told[1:], blocks, strict=True), 1):
        size = f"{count} ratings" + (" (+1)" if count > 1 else "")
        assert line.startswith(f"#{count} {block['hash'][:18]}…  {size}, 1 users, 16 items, ")
        assert one["model"]["ratings"] == count
        assert one["model"]["block"] == block


def test_export_model_writes_what_the_chain_has_learned(dev: NodeProcess, tmp_path: Path) -> None:
    user, path = dev.user, tmp_path / "model.npz"
    for item, suri in ((8, "//Alice"), (8, "//Bob"), (9, "//Bob")):
        user.json("rate", item, "like", "--suri", suri)
    model = user.json("status")["model"]
    told = user.json("export-model", path)
    assert told == {"file": str(path), "items": 16, "digest": model["digest"], "block": model["block"]}
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert str(arrays["digest"]) == model["digest"]
    assert (str(arrays["block_hash"]), int(arrays["block_number"])) == tuple(model["block"].values())
    assert arrays["titles"].tolist() == list(TITLES)
    assert arrays["items"].tolist() == list(range(16))
    assert arrays["features_mean"].shape == arrays["features_std"].shape == (16, 8)
    page = user.json("items")["items"]
    assert arrays["ratings"].tolist() == [one["ratings"] for one in page]
    assert arrays["bias_mean"].tolist() == [one["bias"]["mean"] for one in page]
    assert arrays["bias_std"].tolist() == [one["bias"]["std"] for one in page]
    assert arrays["hyper_userMean"].tolist() == model["hyperparameters"]["userMean"]
    plain = user.text("export-model", path)
    short = f"block {model['block']['number']} ({model['block']['hash'][:10]}…)"
    assert plain == f"{path}: 16 items, digest {model['digest']}, {short}\n"


def test_three_ratings_in_any_order_are_one_model(nodes: Nodes) -> None:
    likes = (("//Alice", 0), ("//Bob", 0), ("//Bob", 1))
    digests, means = set(), set()
    for order in permutations(likes):
        node = nodes.start("--dev")
        for suri, item in order:
            node.user.json("rate", item, "like", "--suri", suri)
        prediction = node.user.json("predict", 1, "--suri", "//Alice")
        check_prediction(prediction)
        assert prediction["mean"] > 0.25
        assert (prediction["canonical"], prediction["rated"]) == (True, None)
        means.add((prediction["raw"]["mean"], prediction["raw"]["variance"]))
        model = node.user.json("status")["model"]
        assert (model["ratings"], model["users"], model["canonical"]) == (3, 2, True)
        digests.add(model["digest"])
        node.stop()
    assert len(means) == 1, means
    assert len(digests) == 1, digests
