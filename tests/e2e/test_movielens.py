"""MovieLens-100K through a node as it comes: how fast the ratings get in, and how well what follows is predicted."""

import csv
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from rpc.client import RpcClient
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import to_hex
from tests.support.processes import NodeProcess, Nodes, run

pytestmark = [pytest.mark.long, pytest.mark.full, pytest.mark.timeout(1_200)]

ROOT = Path(__file__).parents[2]
FILMS: Final = 1_682
TRAINED, TESTED = 90_000, 10_000
LARGEST_ERROR: Final = 1.0164
"""RMSE on the last tenth by time, seven in ten of them by users who had rated nothing before."""


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of train.csv, the first 90% by time, test.csv, the rest, and titles.csv."""
    folder = tmp_path_factory.mktemp("movielens")
    script = ROOT / "scripts" / "fetch_movielens.py"
    subprocess.run([sys.executable, script, "--out", folder, "--split", "0.9"], check=True, timeout=600)
    return folder


def error_of(client: RpcClient, test: Path, items: dict[str, int]) -> float:
    """RMSE over every rating of a file."""
    with test.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == TESTED
    accounts = {
        user: to_hex(key_pair_from_uri(f"//user//{user}", Scheme.ED25519).public)
        for user in {row["user"] for row in rows}
    }
    pairs = [[accounts[row["user"]], items[row["item"]]] for row in rows]
    told = client.call("mf_predictBatch", pairs)
    errors = [mean - float(row["rating"]) for mean, row in zip(told["mean"], rows, strict=True)]
    return math.sqrt(math.fsum(error * error for error in errors) / len(errors))


def wait_for_rest(client: RpcClient) -> dict[str, Any]:
    with client.subscribe("mf_subscribeModel", timeout=300.0) as models:
        model = client.call("mf_model")
        while not model["canonical"]:
            model = models.next()
    found: dict[str, Any] = model
    return found


def import_and_measure(node: NodeProcess, folder: Path, report: list[str], *options: str) -> tuple[float, float, str]:
    """Import the training part; return the error right after it and at rest, and the digest at rest."""
    file = folder / "train.csv"
    began = time.monotonic()
    words = ("import", file, "--titles", folder / "titles.csv", *options, "--json")
    code, out, err = run("mfchain", "--url", node.url, *words, patience=900.0)
    assert (code, err) == (0, ""), out
    told = json.loads(out)
    assert (told["ratings"], told["already"]) == (TRAINED, 0)
    items = json.loads((folder / "train.csv.items.json").read_bytes())
    assert len(items) == FILMS
    with node.client() as client:
        imported = time.monotonic() - began
        now = client.call("mf_model")
        after = error_of(client, folder / "test.csv", items)
        model = wait_for_rest(client)
        rested = time.monotonic() - began
        rest = error_of(client, folder / "test.csv", items)
    assert model["ratings"] == TRAINED
    report.append(
        f"{' '.join(options) or 'as it comes'}: {told['transactions']} transactions, ratings in blocks after "
        f"{told['seconds']:.1f} s ({told['ratingsPerSecond']:,.0f}/s, {told['blocks']} blocks), "
        f"whole command {imported:.1f} s, at rest after {rested:.1f} s; RMSE {after:.4f} right after the import "
        f"(canonical: {now['canonical']}), {rest:.4f} at rest"
    )
    return after, rest, model["digest"]


def test_what_follows_is_predicted(nodes: Nodes, movielens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report: list[str] = []
    measured = []
    for options in ((), ("--strict-order",)):
        node = nodes.start("--chain", "movielens", "--tmp", "--producer", "--alice")
        measured.append(import_and_measure(node, movielens, report, *options))
        node.stop()
    with capsys.disabled():
        print("", *report, sep="\n")
    for after, rest, _ in measured:
        assert after <= LARGEST_ERROR
        assert rest <= LARGEST_ERROR
    assert measured[0][1:] == measured[1][1:]
