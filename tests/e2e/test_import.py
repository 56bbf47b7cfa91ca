"""Thousands of ratings from a file: any batches, any order, any crash, one model."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rpc.client import RpcClient, Subscription
from rpc.transactions import batch_results, head_of
from runtime.crypto import Scheme
from runtime.extrinsic import Extrinsic
from runtime.keys import key_pair_from_uri
from runtime.primitives import AccountId, from_hex
from runtime.scale import I64, U64, Tuple, Vec
from tests.e2e.synthetic import COUNT, ITEMS, USERS, Ratings
from tests.support.processes import PATIENCE, Command, NodeProcess, Nodes, run

pytestmark = pytest.mark.full

CHAIN = ("--chain", Path(__file__).with_name("hurried.json"))
PRODUCER = (*CHAIN, "--producer", "--alice")
SLOWLY = ("--batch", 8, "--rate", 1_500)

_PAIRS = Vec(Tuple(U64, I64), 256)


def wait_for_rest(node: NodeProcess, ratings: int) -> dict[str, Any]:
    """Wait until the model has all the ratings and has learned from them; return what `mf_model` tells."""
    with node.client() as client, client.subscribe("mf_subscribeModel") as models:
        model = client.call("mf_model")
        while not (model["canonical"] and model["ratings"] == ratings):
            model = models.next()
        found: dict[str, Any] = model
        return found


def wait_for_ratings(models: Subscription, least: int) -> None:
    while models.next()["ratings"] < least:
        pass


def ratings_in_blocks(client: RpcClient) -> Counter[tuple[AccountId, int, int]]:
    """Every rating of every transaction of the chain, with the times it is there."""
    head = int(client.call("chain_getHeader")["number"], 16)
    hashes = client.call("chain_getBlockHash", list(range(1, head + 1)))
    found: Counter[tuple[AccountId, int, int]] = Counter()
    for start in range(0, head, 100):
        part = hashes[start : start + 100]
        for answer in batch_results(client, [("chain_getBlock", [one]) for one in part]):
            for raw in answer["block"]["extrinsics"]:
                extrinsic = Extrinsic.decode(from_hex(raw))
                if extrinsic.signature is not None:
                    account = extrinsic.signature.account
                    found.update((account, item, rating) for item, rating in _ratings_of(extrinsic.call))
    return found


def _ratings_of(call: bytes) -> tuple[tuple[int, int], ...]:
    if call.startswith(b"\x08\x00"):
        return (Tuple(U64, I64).decode(call[2:]),)
    return _PAIRS.decode(call[2:]) if call.startswith(b"\x08\x04") else ()


def expected_in_blocks(ratings: Ratings, file: Path, prefix: str = "//user") -> Counter[tuple[AccountId, int, int]]:
    """Each of the file's ratings once, in the chain's terms."""
    chain_item = json.loads((file.parent / f"{file.name}.items.json").read_bytes())
    accounts = {user: key_pair_from_uri(f"{prefix}//{user}", Scheme.ED25519).public for user, _, _ in ratings.rows}
    return Counter((accounts[user], chain_item[str(item)], stars) for user, item, stars in ratings.rows)


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A chain into which the ratings came without any trouble; its node has stopped."""

    model: dict[str, Any]
    base_path: Path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, ratings: Ratings) -> Undisturbed:
    directory = tmp_path_factory.mktemp("undisturbed")
    base_path = directory / "base"
    file, titles = ratings.write(directory)
    with Nodes(directory / "temporary") as running:
        node = running.start(*PRODUCER, "--base-path", base_path)
        told = node.user.json("import", file, "--titles", titles)
        assert {**told, "seconds": 0, "ratingsPerSecond": 0, "blocks": 0, "block": 0} == {
            "ratings": COUNT,
            "already": 0,
            "users": USERS,
            "items": ITEMS,
            "transactions": USERS,
            "seconds": 0,
            "ratingsPerSecond": 0,
            "blocks": 0,
            "block": 0,
        }
        model = wait_for_rest(node, COUNT)
        assert (model["users"], model["items"]) == (USERS, ITEMS)
        with node.client() as client:
            assert ratings_in_blocks(client) == expected_in_blocks(ratings, file)
        again = node.user.text("import", file, "--titles", titles)
        assert again.startswith(f"all {COUNT:,} ratings were imported before, block ")
    return Undisturbed(model, base_path)


@pytest.mark.parametrize(
    "options",
    [("--batch", 1), ("--strict-order", "--window", 256), ("--rate", 3_000, "--batch", 16)],
    ids=lambda options: " ".join(map(str, options)),
)
def test_how_ratings_were_sent_does_not_matter(
    nodes: Nodes, tmp_path: Path, ratings: Ratings, undisturbed: Undisturbed, options: tuple[object, ...]
) -> None:
    node = nodes.start(*PRODUCER, "--tmp")
    file, titles = ratings.write(tmp_path)
    words = ("mfchain", "--url", node.url, "import", file, "--titles", titles, *options, "--json")
    code, out, err = run(*words)
    assert (code, err) == (0, ""), out
    told = json.loads(out)
    assert (told["ratings"], told["already"]) == (COUNT, 0)
    if "--rate" in options:
        assert told["ratingsPerSecond"] <= 3_000 + 3_000 / told["seconds"]  # a burst of a second is allowed
    assert wait_for_rest(node, COUNT)["digest"] == undisturbed.model["digest"]
    with node.client() as client:
        assert ratings_in_blocks(client) == expected_in_blocks(ratings, file)


def test_a_killed_import_goes_on(nodes: Nodes, tmp_path: Path, ratings: Ratings, undisturbed: Undisturbed) -> None:
    node = nodes.start(*PRODUCER, "--tmp")
    file, titles = ratings.write(tmp_path)
    words = ("mfchain", "--url", node.url, "import", file, "--titles", titles)
    with node.client() as client, client.subscribe("mf_subscribeModel") as models:
        for least in (600, 1_500):
            with Command.start(*words, *SLOWLY) as importer:
                wait_for_ratings(models, least)
                importer.kill()
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, ""), out
    told = json.loads(out)
    assert told["ratings"] == COUNT
    assert 1_500 <= told["already"] < COUNT
    assert wait_for_rest(node, COUNT)["digest"] == undisturbed.model["digest"]
    with node.client() as client:
        assert ratings_in_blocks(client) == expected_in_blocks(ratings, file)


class Witness:
    """Remembers every block that a node has reported as its head."""

    def __init__(self) -> None:
        self.seen: dict[int, str] = {}

    def watch_until_killed(self, node: NodeProcess, least: int) -> None:
        """Kill the node in the middle of its work when the chain has this many ratings."""
        with node.client() as client:
            heads, models = client.subscribe("chain_subscribeNewHeads"), client.subscribe("mf_subscribeModel")
            wait_for_ratings(models, least)
            self._note(heads.next())
            node.kill()
            with suppress(ConnectionError):  # all that it could still tell
                for header in heads:
                    self._note(header)

    def watch_until_rest(self, node: NodeProcess) -> dict[str, Any]:
        with node.client() as client, client.subscribe("chain_subscribeNewHeads") as heads:
            model = wait_for_rest(node, COUNT)
            while int((header := heads.next())["number"], 16) < model["block"]["number"]:
                self._note(header)
            self._note(header)
            return model

    def check(self, node: NodeProcess) -> None:
        """See that every block that was reported is still where it was."""
        numbers = sorted(self.seen)
        with node.client() as client:
            assert client.call("chain_getBlockHash", numbers) == [self.seen[number] for number in numbers]

    def _note(self, header: dict[str, Any]) -> None:
        digest, number = head_of(header)
        assert self.seen.setdefault(number, digest) == digest


def test_a_killed_node_loses_no_block_and_the_import_goes_on(
    nodes: Nodes, tmp_path: Path, ratings: Ratings, undisturbed: Undisturbed
) -> None:
    node = nodes.start(*PRODUCER, "--base-path", tmp_path / "base")
    file, titles = ratings.write(tmp_path)
    witness = Witness()
    words = ("import", file, "--titles", titles, *SLOWLY, "--json")
    with Command.start("mfchain", "--url", node.url, *words) as importer:
        for least in (400, 1_200, 2_000):
            witness.watch_until_killed(node, least)
            node = nodes.restart(node)
            witness.check(node)
        code, out, err = importer.wait()
        assert (code, err) == (0, ""), out
    assert {**json.loads(out), **dict.fromkeys(("seconds", "ratingsPerSecond", "blocks", "block"))} == {
        "ratings": COUNT,
        "already": 0,
        "users": USERS,
        "items": ITEMS,
        "transactions": json.loads(out)["transactions"],
        "seconds": None,
        "ratingsPerSecond": None,
        "blocks": None,
        "block": None,
    }
    model = witness.watch_until_rest(node)
    witness.check(node)
    numbers = sorted(witness.seen)
    assert len(numbers) > 10
    assert model["digest"] == undisturbed.model["digest"]
    with node.client() as client:
        assert ratings_in_blocks(client) == expected_in_blocks(ratings, file)


# Blocks from one database into another.


def chain_info(base_path: Path) -> dict[str, Any]:
    code, out, err = run("mfchain-node", "chain-info", *CHAIN, "--base-path", base_path, "--json")
    assert (code, err) == (0, "")
    info: dict[str, Any] = json.loads(out)
    assert info.pop("database") == str(base_path / "chains" / "hurried" / "db")
    return info


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, undisturbed: Undisturbed) -> Path:
    file = tmp_path_factory.mktemp("exported") / "blocks"
    count = chain_info(undisturbed.base_path)["best"]["number"]
    code, out, err = run("mfchain-node", "export-blocks", file, *CHAIN, "--base-path", undisturbed.base_path)
    assert (code, out, err) == (0, "", f"exported {count} blocks")
    return file


def test_exported_blocks_make_the_same_chain(
    nodes: Nodes, tmp_path: Path, undisturbed: Undisturbed, exported: Path
) -> None:
    base_path = tmp_path / "base"
    info = chain_info(undisturbed.base_path)
    count = info["best"]["number"]
    command = ("mfchain-node", "import-blocks", exported, *CHAIN, "--base-path", base_path)
    assert run(*command) == (0, "", f"imported {count} blocks: the best block is {count}")
    assert run(*command) == (0, "", f"imported 0 blocks: the best block is {count}")
    assert chain_info(base_path) == info
    assert (info["ratings"], info["users"], info["items"]) == (COUNT, USERS, ITEMS)
    assert info["canonical"]

    follower = nodes.launch(*CHAIN, "--base-path", base_path)
    # It knows nobody, who could have more.
    assert follower.wait_until_it_is_not_ready().startswith("no peers: ")
    model = follower.user.json("status")["model"]
    assert model == {**undisturbed.model, "block": info["best"]}


def test_a_block_that_was_tampered_with_is_refused(tmp_path: Path, exported: Path) -> None:
    data = exported.read_bytes()
    size = 4 + int.from_bytes(data[:4], "little")
    # A block begins with its parent's hash, then its number, then the state root.
    place = 4 + 32 + 1
    first = data[:place] + bytes(32) + data[place + 32 : size]
    file = tmp_path / "blocks"
    file.write_bytes(first)
    command = ("mfchain-node", "import-blocks", file, *CHAIN, "--base-path", tmp_path / "base")
    assert run(*command) == (
        1,
        "",
        "mfchain-node: block 1 is not valid: BadSeal: the seal is not the author's signature",
    )
    file.write_bytes(data[: size - 1])
    assert run(*command) == (
        1,
        "",
        f"mfchain-node: {file}: the file is cut: the block at byte 0 has {size - 4} bytes, {size - 5} are there; "
        "0 blocks came before it",
    )
    file.write_bytes(data)
    code, _, _ = run(*command)
    assert code == 0


def test_an_import_ends_when_the_node_has_another_chain(nodes: Nodes, tmp_path: Path, ratings: Ratings) -> None:
    node = nodes.start(*PRODUCER, "--tmp")
    file, titles = ratings.write(tmp_path)
    words = ("import", file, "--titles", titles, *SLOWLY, "--json")
    with (
        node.client() as client,
        Command.start("mfchain", "--url", node.url, *words) as importer,
    ):
        wait_for_ratings(client.subscribe("mf_subscribeModel"), 300)
        node.stop()
        other = nodes.start("--dev", port=node.port)
        code, out, err = importer.wait(PATIENCE)
    assert (code, err) == (1, "")
    assert json.loads(out)["error"] == {
        "reason": "ChainChanged",
        "message": "the node has another chain now, or an earlier state of it: start the import again",
        "data": None,
    }
    other.stop()
