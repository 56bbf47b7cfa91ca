"""MovieLens-100K through one of three nodes, while the two others make blocks with it and follow."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.networks import RING, LocalNetwork, Watchers, ring_spec, wait_for_peers
from tests.support.processes import NodeProcess, Nodes, run

pytestmark = [pytest.mark.long, pytest.mark.full, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
RATINGS, FILMS = 100_000, 1_682
SLOT = 2_000


def processor_seconds(node: NodeProcess) -> float:
    """What a node has computed so far: on a machine that others use too, this says more than the time of day."""
    fields = Path(f"/proc/{node.command.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_three_nodes_learn_the_same(nodes: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = ROOT / "scripts" / "fetch_movielens.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, timeout=600, stdout=subprocess.DEVNULL)
    network = LocalNetwork(nodes, ring_spec(tmp_path, SLOT, "movielens"), tmp_path / "network")
    started = []
    for name in RING:
        started.append(network.launch(name, boot=[network.place(other).address() for other in RING if other != name]))
    for node in started:
        node.wait_until_ready()
    for node in started:
        wait_for_peers(node, len(RING) - 1)
    words = ("import", tmp_path / "ratings.csv", "--titles", tmp_path / "titles.csv", "--json")
    before = [processor_seconds(node) for node in started]
    began = time.monotonic()
    code, out, err = run("mfchain", "--url", started[0].url, *words, patience=1_200.0)
    imported = time.monotonic() - began
    assert (code, err) == (0, ""), out
    told = json.loads(out)
    assert (told["ratings"], told["items"]) == (RATINGS, FILMS)
    with Watchers(*started) as everywhere:
        everywhere.wait_for_ratings(RATINGS)
        followed = time.monotonic() - began
        spent = [processor_seconds(node) - at_first for node, at_first in zip(started, before, strict=True)]
        model = everywhere.agree_on_model()
    assert (model["ratings"], model["items"]) == (RATINGS, FILMS)
    with capsys.disabled():
        print(
            f"\n{RATINGS:,} ratings in blocks after {told['seconds']:.1f} s ({told['ratingsPerSecond']:,.0f}/s, "
            f"{told['blocks']} blocks, {told['transactions']} transactions), the whole command {imported:.1f} s; "
            f"all three nodes had them {followed - imported:.1f} s later, with the digest {model['digest'][:10]}; "
            f"processor seconds of each until then: {', '.join(f'{seconds:.1f}' for seconds in spent)}"
        )
