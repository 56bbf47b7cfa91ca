"""Three nodes as processes: one model, whoever is asked, whoever dies, whatever the network does."""

import json
import time
from pathlib import Path

import pytest

from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from tests.e2e.synthetic import Ratings
from tests.e2e.test_import import expected_in_blocks, ratings_in_blocks
from tests.support.networks import (
    RING,
    LocalNetwork,
    Watchers,
    check_readable,
    has_block,
    ring_spec,
    slot_of,
    wait_for_peers,
)
from tests.support.processes import Command, NodeProcess, Nodes
from tests.support.proxy import Proxy, Way

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

SLOT = 500
HURRIED = Path(__file__).with_name("hurried.json")
ACCOUNTS = {name: ss58_encode(key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519).public) for name in RING}
SOME = 900
"""Ratings that are imported while nodes die."""


@pytest.fixture
def network(nodes: Nodes, tmp_path: Path) -> LocalNetwork:
    return LocalNetwork(nodes, ring_spec(tmp_path, SLOT), tmp_path / "network")


def slot_now() -> int:
    return time.time_ns() // 1_000_000 // SLOT


def rate_within_two_slots(at: NodeProcess, suri: str, item: int, everywhere: Watchers) -> bool:
    """Rate at one node; tell whether within two slots a block has it, in which all nodes have the same model."""
    before = slot_now()
    told = at.user.json("rate", item, "like", "--suri", suri)["block"]
    number, block = told["number"], told["hash"]
    if not everywhere.wait_for_block(number, block):
        return False  # two authors have made a block at the same time, and the other one's is the better
    model = everywhere.agree("mf_model", block)
    assert model["ratings"] > 0
    for name in RING:
        everywhere.agree("mf_predict", ACCOUNTS[name], item, block)
    return slot_of(everywhere.clients[0], block) - before <= 2


def restart(network: LocalNetwork, node: NodeProcess) -> NodeProcess:
    again = network.nodes.restart(node)
    wait_for_peers(again, 2)
    return again


def test_a_rating_anywhere_is_known_everywhere_within_two_slots(network: LocalNetwork) -> None:
    started = network.start(*RING)
    with Watchers(*started) as everywhere:
        for number, node in enumerate(started):
            # A machine that stalls for a moment misses a slot: one rating of several has to be in time.
            tries = range(number, 15, 3)
            suri = f"//{RING[number].capitalize()}"
            assert any(rate_within_two_slots(node, suri, item, everywhere) for item in tries)
        everywhere.agree_on_model()
    for node in started:
        node.stop()
        check_readable(node)


def test_nodes_die_in_turn_under_load(nodes: Nodes, tmp_path: Path, ratings: Ratings) -> None:
    some = Ratings(ratings.rows[:SOME])
    network = LocalNetwork(nodes, ring_spec(tmp_path, SLOT, HURRIED), tmp_path / "network")
    started = network.start(*RING)
    file, titles = some.write(tmp_path)
    words = ("mfchain", "--url", started[0].url, "import", file, "--titles", titles, "--batch", 4, "--rate", 40)
    seen: dict[int, str] = {}
    with Command.start(*words, "--json") as importer:
        for number in (1, 2, 0):
            with Watchers(*started) as everywhere:
                everywhere.wait_for_ratings(len(seen) * 50)
                height, block = everywhere.common_head()
                seen[height] = block
            started[number].kill()
            with Watchers(*(node for node in started if node.is_running)) as others:
                head = others.clients[0].call("mf_model")["block"]["number"]
                assert all(has_block(client, head + 2, "") is False for client in others.clients)
            started[number] = restart(network, started[number])
        code, out, err = importer.wait()
    assert (code, err) == (0, ""), out
    assert json.loads(out)["ratings"] == SOME
    with Watchers(*started) as everywhere:
        everywhere.wait_for_ratings(SOME)
        assert everywhere.agree_on_model()["ratings"] == SOME
        # What all had before one of them died, all still have, and each rating once.
        assert everywhere.agree("chain_getBlockHash", sorted(seen)) == [seen[number] for number in sorted(seen)]
        for client in everywhere.clients:
            assert ratings_in_blocks(client) == expected_in_blocks(some, file)
    for node in started:
        node.stop()
        check_readable(node)


def test_a_fourth_node_comes_late(network: LocalNetwork, tmp_path: Path) -> None:
    started = network.start(*RING)
    for item in range(3):
        started[item].user.json("rate", item, "like", "--suri", "//Alice")
    late = network.launch("dave", boot=[network.place("alice").address()])
    late.wait_until_ready()
    with Watchers(*started, late) as everywhere:
        everywhere.wait_for_ratings(3)
        assert everywhere.agree_on_model()["ratings"] == 3
        # It has heard of the others from the one that it was told of.
        wait_for_peers(late, 3)
        told = late.user.json("rate", 3, "like", "--suri", "//Dave")["block"]
        everywhere.wait_for_ratings(4)
        model = everywhere.agree_on_model()
        assert model["ratings"] == 4
        assert model["block"]["number"] >= told["number"]
    late.stop()
    check_readable(late)


@pytest.mark.parametrize("way", [Way.SILENT, Way.REFUSED], ids=lambda way: way.value)
def test_a_partition_heals(network: LocalNetwork, way: Way) -> None:
    """One node is on its own, and goes on, as do the two others; afterwards all have what either side has taken."""
    alone = network.place("alice")
    with Proxy(alone.port) as proxy:
        # It dials nobody, and the others know no other way to it.
        first = network.launch("alice", "--out-peers", 0)
        boot = [alone.address(proxy.port), network.place("bob").address()]
        second, third = network.launch("bob", boot=boot[:1]), network.launch("charlie", boot=boot)
        started = (first, second, third)
        for node in started:
            node.wait_until_ready()
        for node in started:
            wait_for_peers(node, 2)
        with Watchers(*started) as everywhere, Watchers(second, third) as two:
            first.user.json("rate", 0, "like", "--suri", "//Alice")
            everywhere.wait_for_ratings(1)
            proxy.set(way)
            # Both sides go on, each with a rating that the other cannot know.
            first.user.json("rate", 1, "like", "--suri", "//Alice")
            second.user.json("rate", 2, "like", "--suri", "//Bob")
            two.wait_for_ratings(2)
            third.user.json("rate", 3, "like", "--suri", "//Charlie")
            two.wait_for_ratings(3)
            number, block = two.common_head()
            assert not has_block(everywhere.clients[0], number, block)
            assert everywhere.ask("mf_model")[0]["ratings"] == 2
            proxy.set(Way.OPEN)
            everywhere.wait_for_ratings(4)
            assert everywhere.agree_on_model()["ratings"] == 4
    assert " another branch is better: " in first.log
    for node in started:
        node.stop()
        check_readable(node)
