"""The suites import_blocks and trie, on little data: that they run, and that what they import is what was made."""

import random
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import import_blocks, trie
from benchmarks.common.calibration import calibrate
from benchmarks.common.suite import Setting

pytestmark = pytest.mark.full


def measured(suite: ModuleType, tmp_path: Path, *words: str) -> Any:
    parser = ArgumentParser()
    suite.add_arguments(parser)
    arguments: Namespace = parser.parse_args(words)
    return suite.run(Setting(calibrate(), tmp_path), arguments)


def test_every_order_of_ratings_is_imported_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)  # noqa: S311 - the same ratings each time
    pairs = [(user, item) for user in range(1, 31) for item in range(1, 61)]
    ratings = [(user, item, draw.randrange(1, 6)) for user, item in draw.sample(pairs, 600)]
    monkeypatch.setattr(import_blocks, "movielens", lambda _cache: ratings)
    monkeypatch.setattr(import_blocks, "BLOCK", 50)
    results = measured(import_blocks, tmp_path)
    assert list(results) == ["time", "random", "batches"]
    for result in results.values():
        assert result["ratings"] == 600
        assert len(result["segments"]) == import_blocks.SEGMENTS
        assert result["shareOfSignatureRate"] > 0
        assert len(result["digest"]) == 64
    assert results["time"]["blocks"] == results["random"]["blocks"] == 12
    assert results["batches"]["blocks"] < 12


def test_tries_of_every_size_are_measured(tmp_path: Path) -> None:
    results = measured(trie, tmp_path, "--keys", "200", "1000")
    assert list(results) == ["extrinsicsRoot", "200", "1000"]
    for size in ("200", "1000"):
        assert list(results[size]) == ["rebuild", "replace", "insert", "prove", "verify", "proofBytes"]
        assert all(results[size][what]["cpuSeconds"] > 0 for what in ("rebuild", "replace", "insert", "prove"))
