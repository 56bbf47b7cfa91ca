"""Rings of real nodes in virtual time, whatever befalls them: faults, liars, comings and goings, all drawn from a seed.

At every moment: no two nodes hold different blocks for final, nobody goes back, no honest key contradicts itself, equal
heads have equal states. Two epochs after the last fault all heads agree; six epochs after it finality has gone on, and
nothing that was final for anybody is lost.
"""

import pytest

from tests.simulation.plans import Play
from tests.simulation.world import seeds

pytestmark = pytest.mark.full


@pytest.mark.parametrize("seed", seeds(300))
def test_whatever_befalls_them_they_agree(seed: int) -> None:
    Play(seed).run()


@pytest.mark.long
@pytest.mark.parametrize("seed", seeds(1_700, first=300))
def test_whatever_else_befalls_them(seed: int) -> None:
    Play(seed).run()
