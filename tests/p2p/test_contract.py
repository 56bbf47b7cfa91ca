"""The real network and the simulated one keep the same contract."""

from collections.abc import Iterator

import pytest

from tests.p2p import contract
from tests.p2p.children import Child
from tests.simulation import scheduler
from tests.simulation.medium import Medium
from tests.simulation.network import SimulatedNetwork


class VirtualTime:
    """Networks of hosts of one medium."""

    def __init__(self, seed: int) -> None:
        self.clock = scheduler.Clock()
        self._medium = Medium(scheduler.rng_of(seed, "medium"), self.clock, config=contract.CONFIG)

    def network(self, name: str) -> SimulatedNetwork:
        return self._medium.attach(self._medium.add_host())


@pytest.mark.parametrize("story", contract.STORIES)
@pytest.mark.parametrize("seed", range(3))
def test_the_simulated_network_keeps_the_contract(story: str, seed: int) -> None:
    stage = VirtualTime(seed)
    scheduler.run(seed, stage.clock, lambda: contract.tell(contract.STORIES[story], stage))


@pytest.fixture(scope="module")
def told() -> Iterator[Child]:
    """All of them in one process: they share the import of libp2p."""
    child = Child("contract.py", {"stories": list(contract.STORIES)})
    yield child
    child.end()


@pytest.mark.full
@pytest.mark.parametrize("story", contract.STORIES)
def test_the_real_network_keeps_the_contract(told: Child, story: str) -> None:
    assert told.wait("told", story=story)["result"] == "as agreed"
