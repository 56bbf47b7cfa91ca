"""The suite sync, on little data: a node catches up with another one, and both figures are of the same blocks."""

import random
from argparse import ArgumentParser
from pathlib import Path

import pytest

from benchmarks import import_blocks, sync
from benchmarks.common.calibration import calibrate
from benchmarks.common.suite import Setting

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]


def test_a_node_catches_up_with_what_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)  # noqa: S311 - the same ratings each time
    pairs = [(user, item) for user in range(1, 31) for item in range(1, 61)]
    ratings = [(user, item, draw.randrange(1, 6)) for user, item in draw.sample(pairs, 600)]
    monkeypatch.setattr(import_blocks, "movielens", lambda _cache: ratings)
    monkeypatch.setattr(import_blocks, "BLOCK", 50)
    parser = ArgumentParser()
    sync.add_arguments(parser)
    found = sync.run(Setting(calibrate(), tmp_path), parser.parse_args([]))
    assert (found["ratings"], found["blocks"]) == (600, 12)
    for name in ("blocksPerSecond", "blocksPerSecondOfImport", "share", "cpuShare"):
        value = found[name]
        assert isinstance(value, float)
        assert value > 0
