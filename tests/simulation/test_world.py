import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.simulation.disk import Disk
from tests.simulation.faults import Crash, Fault, Partition, Weather, random_faults
from tests.simulation.medium import Conditions
from tests.simulation.toy import KINDS, Rules, ToyNode, no_conflicts, same_items, toys
from tests.simulation.world import EPOCH, SimulationFailed, World, seeds

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


def toy_world(seed: int, rules: Rules | None = None, nodes: int = 4) -> World:
    return World(seed, toys(rules), nodes=nodes, kinds=KINDS, invariants=[no_conflicts], skew=0.2)


def play(seed: int, rules: Rules | None = None, nodes: int = 4) -> World:
    world = toy_world(seed, rules, nodes)
    world.run(SECONDS, random_faults(world.rng("faults"), nodes, SECONDS), at_end=[same_items])
    return world


@pytest.mark.parametrize("seed", seeds(10))
def test_nodes_agree_after_whatever_befalls_them(seed: int) -> None:
    play(seed, nodes=3 + seed % 5)


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (Rules(syncs_first=False), "has seen two items"),
        (Rules(asks=False), "items of node"),
    ],
)
def test_careless_nodes_are_found_out(rules: Rules, what: str) -> None:
    found = []
    for seed in range(10):
        try:
            play(seed, rules)
        except SimulationFailed as failure:
            found.append(str(failure))
    assert found
    assert all(what in text.partition("\n")[0] for text in found)
