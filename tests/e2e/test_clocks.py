"""One of four nodes has a wrong clock: the other three make history final, and nobody holds another one for final."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from node.ring import read_claim
from runtime.crypto import Scheme
from runtime.header import Header
from runtime.keys import key_pair_from_uri
from tests.support.networks import LocalNetwork, Watchers, check_final_history, ring_spec, ring_status, wait_for_peers
from tests.support.processes import PATIENCE, NodeProcess, Nodes

pytestmark = [pytest.mark.full, pytest.mark.timeout(480)]

MEMBERS: Final = ("alice", "bob", "charlie", "dave")
SLOT: Final = 1_000
EPOCH_SLOTS: Final = 4
LONG: Final = 180.0
HURRIED: Final = Path(__file__).with_name("hurried.json")
WRONG_CLOCK: Final = Path(__file__).parent / "programs" / "wrong_clock.py"
TOLD: Final = re.compile(
    r" WARN  node\.sync\.\w+: block \d+ is far ahead of this machine's clock: is the clock right\?$"
)
DAVE: Final = key_pair_from_uri("//Dave", Scheme.ED25519).public


@dataclass(slots=True)
class Four:
    """Three nodes whose clocks are right, and how to start the fourth."""

    network: LocalNetwork
    honest: list[NodeProcess]

    def dave(self, slots: float) -> NodeProcess:
        """Start the fourth with a clock that is so many slots ahead."""
        boot = [self.network.place(name).address() for name in MEMBERS[:3]]
        program = (sys.executable, WRONG_CLOCK, round(slots * SLOT))
        node = self.network.launch("dave", boot=boot, program=program)
        node.expected = TOLD
        node.wait_until_ready()
        wait_for_peers(node, 3)
        return node


def wait_until_final(nodes: list[NodeProcess], number: int) -> None:
    """Wait until a block is final at all of some nodes."""
    deadline = time.monotonic() + LONG
    while any(ring_status(node)["finalized"]["number"] < number for node in nodes):
        assert time.monotonic() < deadline, [ring_status(node) for node in nodes]
        nodes[0].command.err.tick()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    directory = tmp_path_factory.mktemp("clocks")
    with Nodes(directory / "temporary") as nodes:
        spec = ring_spec(directory, SLOT, HURRIED, MEMBERS, epoch_slots=EPOCH_SLOTS)
        network = LocalNetwork(nodes, spec, directory, MEMBERS)
        boot = [network.place(name).address() for name in MEMBERS[:3]]
        honest = [network.launch(name, boot=boot) for name in MEMBERS[:3]]
        for node in honest:
            node.expected = TOLD
            node.wait_until_ready()
            wait_for_peers(node, 2)
        yield Four(network, honest)
    check_final_history(nodes.started)


def is_by_dave(header: Any) -> bool:
    return read_claim(Header.from_json(header)).author == DAVE


def wait_for_a_block_of_dave(four: Four) -> None:
    """Wait until the others have one on top of which another one of theirs is."""
    with four.honest[0].client() as client, client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
        while not is_by_dave(client.call("chain_getHeader", heads.next()["parentHash"])):
            pass


def blocks_of_dave(four: Four, first: int, last: int) -> int:
    """Count Dave's blocks on the chain that the others agree on."""
    with Watchers(*four.honest) as three:
        blocks = three.agree("chain_getBlockHash", list(range(first, last + 1)))
        headers = [three.clients[0].call("chain_getHeader", block) for block in blocks]
    return sum(map(is_by_dave, headers))


@pytest.mark.long
@pytest.mark.parametrize("slots", [0.5, 2.0])
def test_a_clock_that_is_wrong_by_a_slot_or_two_does_no_harm(four: Four, slots: float) -> None:
    dave = four.dave(slots)
    everybody = [*four.honest, dave]
    with Watchers(*everybody) as everywhere:
        start, _ = everywhere.common_head()
        everywhere.wait_for_height(start + 2 * EPOCH_SLOTS)
    wait_until_final(everybody, start + EPOCH_SLOTS)
    if slots < 1:
        # Two slots early, its blocks would leave out those of the slots before, and be left out themselves.
        wait_for_a_block_of_dave(four)
    dave.stop()


@pytest.mark.parametrize("epochs", [3, pytest.param(-3, marks=pytest.mark.long)])
def test_a_clock_that_is_wrong_by_epochs_harms_that_node_alone(four: Four, epochs: int) -> None:
    dave = four.dave(epochs * EPOCH_SLOTS)
    with Watchers(*four.honest) as three:
        start, _ = three.common_head()
        # Whoever sees blocks of times to come says so: the others of Dave's, or Dave, who follows late, of theirs.
        told = four.honest[0] if epochs > 0 else dave
        assert told.command.err.match(TOLD) is not None
        three.wait_for_height(start + 2 * EPOCH_SLOTS)
        reached, _ = three.common_head()
    wait_until_final(four.honest, start + EPOCH_SLOTS)
    assert blocks_of_dave(four, start + 2, reached) == 0
    dave.stop()
    # With the right time it is one of them again.
    dave = four.dave(0)
    with Watchers(*four.honest, dave) as everywhere:
        everywhere.wait_until_heads_agree(everywhere.latest_slot(), SLOT)
        start, _ = everywhere.common_head()
        everywhere.wait_for_height(start + 2 * EPOCH_SLOTS)
    wait_until_final([*four.honest, dave], start + EPOCH_SLOTS)
    dave.stop()
