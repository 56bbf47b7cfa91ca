"""A thousand transactions a second through gossip, and what was lost on the way fetched afterwards."""

import pytest

from tests.p2p.children import Child
from tests.p2p.conftest import Nodes

pytestmark = pytest.mark.full

RATE = 1_000
SECONDS = 3


def met(nodes: list[Child]) -> None:
    """Waits until the network hangs together: everyone has met the first, or been met by it."""
    for node in nodes[1:]:
        node.wait("peer", peer=nodes[0].peer)
        nodes[0].wait("peer", peer=node.peer)


@pytest.mark.parametrize("count", [2, 5])
def test_a_thousand_transactions_a_second_reach_everyone(nodes: Nodes, count: int) -> None:
    first = nodes.start("node0", timing={"exchange": 1.0})
    everyone = [first, *(nodes.start(f"node{number}", first) for number in range(1, count))]
    met(everyone)
    # Every node makes its share.
    share = RATE * SECONDS // count
    for number, node in enumerate(everyone):
        node.do("load", start=number << 32, count=share, rate=RATE / count)
    for node in everyone:
        node.wait("loaded")
    total = share * count
    # Gossip loses some; asking twice covers what a peer had not yet got when it was asked first.
    gossiped = []
    for node in (*everyone, *everyone):
        reconciled = node.ask("reconcile", "reconciled")
        gossiped.append(reconciled["before"])
    for node in everyone:
        assert node.ask("reconcile", "reconciled")["count"] == total
        assert node.ask("status", "status")["faults"].get("misbehaviour: flood", 0) == 0
    # Nearly all of them came by gossip; reconciling alone would pass the test of nothing lost.
    assert min(gossiped[:count]) > total * 0.5
