"""Nodes as processes, and ratings to feed them with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.synthetic import Ratings, make_ratings
from tests.support.processes import Nodes


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Start nodes; they are stopped at the end of the test, and their logs must be quiet."""
    with Nodes(tmp_path / "temporary") as running:
        yield running


@pytest.fixture(scope="session")
def ratings() -> Ratings:
    return make_ratings()
