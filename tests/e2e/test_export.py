"""The exports of a running node, read by the scripts that docs/export.md shows."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from rpc.transactions import signing_now, submit_and_wait
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from tests.support.processes import Nodes, run
from tests.support.small_chain import retract_rating
from tests.support.small_chain import submit_rating as rated

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
ALICE, BOB = (ss58_encode(key_pair_from_uri(uri, Scheme.ED25519).public) for uri in ("//Alice", "//Bob"))


def documented(name: str, folder: Path, file: Path) -> str:
    """Run a script of the page on an exported file; return what it prints."""
    scripts = re.findall(r"```python\n(# python (\S+) .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (text for text, called in scripts if called.rstrip(":") == name)
    script = folder / name
    script.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, script, file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_documented_scripts_read_the_exports_of_a_node(nodes: Nodes, tmp_path: Path) -> None:
    node = nodes.start("--dev")

    def mfchain(*words: object) -> str:
        code, out, err = run("mfchain", "--url", node.url, *words)
        assert (code, err) == (0, ""), out
        return out

    with node.client() as client:
        for uri, calls in (
            ("//Alice", [rated(0, 1), rated(1, 1), rated(2, -1), rated(2, 1), retract_rating(1)]),
            ("//Bob", [rated(0, 1), rated(1, 1), rated(3, 1)]),
        ):
            pair, signing = key_pair_from_uri(uri, Scheme.ED25519), signing_now(client)
            for nonce, call in enumerate(calls):
                submit_and_wait(client, signing.sign(pair, call, nonce), timeout=60.0)

    model, ratings = tmp_path / "model.npz", tmp_path / "ratings.parquet"
    mfchain("export-model", model)
    with np.load(model) as arrays:
        digest, number = str(arrays["digest"]), int(arrays["block_number"])
        mean, covariance = arrays["mean"], arrays["covariance"]
        assert (mean.shape, covariance.shape) == ((16, 9), (16, 9, 9))
        assert np.array_equal(mean[:, 0], arrays["bias_mean"])
        assert np.array_equal(mean[:, 1:], arrays["features_mean"])
        assert np.allclose(np.sqrt(covariance[:, range(9), range(9)])[:, 1:], arrays["features_std"])
        assert np.array_equal(covariance, covariance.transpose(0, 2, 1))
        assert np.linalg.eigvalsh(covariance).min() > 0
    lines = documented("predict.py", tmp_path, model).splitlines()
    assert lines[0] == f"digest {digest}, block {number}"
    expected = [line.split("  ") for line in lines[1:]]
    assert "Veep" in {title for _, title in expected[:2]}
    assert len(expected) == 5
    assert [float(value) for value, _ in expected] == sorted((float(value) for value, _ in expected), reverse=True)

    told = mfchain("export-ratings", ratings)
    assert told == f"{ratings}: 8 rows of blocks 1 to {number}"
    table = parquet.read_table(ratings)
    assert table.schema.names == ["block", "extrinsic", "account", "item", "rating"]
    rows = [tuple(row.values())[2:] for row in table.to_pylist()]
    assert rows == [
        (ALICE, 0, 1),
        (ALICE, 1, 1),
        (ALICE, 2, -1),
        (ALICE, 2, 1),
        (ALICE, 1, None),
        (BOB, 0, 1),
        (BOB, 1, 1),
        (BOB, 3, 1),
    ]
    blocks = table.column("block").to_pylist()
    assert blocks == sorted(blocks)
    assert documented("now.py", tmp_path, ratings) == "5 ratings by 2 accounts\n"
    mfchain("export-ratings", ratings, "--from", blocks[1], "--to", blocks[2])
    assert parquet.read_table(ratings).num_rows == 2

    for words, message in (
        (("--from", 3, "--to", 2), "--to 2 comes before --from 3"),
        (("--to", 999), f"there is no block {number + 1}"),
    ):
        code, _, err = run("mfchain", "--url", node.url, "export-ratings", tmp_path / "no.parquet", *words)
        assert (code, err) == (1, f"mfchain: {message}")
    assert not list(tmp_path.glob("no.parquet*"))
