"""A quarter of the seeds: see `tests/simulation/plans.py`. A file each, so that they run beside one another."""

import pytest

from tests.simulation.plans import Play
from tests.simulation.world import seeds

pytestmark = pytest.mark.full


@pytest.mark.parametrize("seed", seeds(75, first=0))
def test_whatever_befalls_them_they_agree(seed: int) -> None:
    Play(seed).run()


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(425, first=300))
def test_whatever_else_befalls_them_they_agree(seed: int) -> None:
    Play(seed).run()
