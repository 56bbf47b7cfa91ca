"""Nodes as processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Nodes


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Start nodes; they are stopped at the end of the test, and their logs must be quiet."""
    with Nodes(tmp_path / "temporary") as running:
        yield running
