"""Three nodes as processes: one model, whoever is asked, whoever dies, whatever the network does.

They are one network, whose first node the others reach through a proxy only, so that it can be cut off. Starting a
node takes longer than most of what is looked at here, so the tests share them; each goes on from what the one before
has left.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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

SLOT: Final = 500
HURRIED: Final = Path(__file__).with_name("hurried.json")
ACCOUNTS: Final = {
    name: ss58_encode(key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519).public) for name in RING
}
ITEMS: Final = 30
SOME: Final = 600
"""Ratings that are imported while nodes die."""


@dataclass(slots=True)
class Three:
    """The producers, in the order of the ring, and the way to the first."""

    network: LocalNetwork
    proxy: Proxy
    nodes: list[NodeProcess]
    next_item: int = 0

    def suri(self, number: int) -> str:
        return f"//{RING[number].capitalize()}"

    def rate(self, number: int) -> tuple[int, str]:
        """Rate at a node; return the block with the rating."""
        item, self.next_item = self.next_item, self.next_item + 1
        told = self.nodes[number].user.json("rate", item, 5, "--suri", self.suri(number))["block"]
        return told["number"], told["hash"]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    directory = tmp_path_factory.mktemp("three")
    with Nodes(directory / "temporary") as nodes:
        network = LocalNetwork(nodes, ring_spec(directory, SLOT, HURRIED), directory)
        first, second = network.place("alice"), network.place("bob")
        with Proxy(first.port) as proxy:
            boot = [first.address(proxy.port), second.address()]
            producers = [
                # It dials nobody, and the others know no other way to it.
                network.launch("alice", "--out-peers", 0),
                network.launch("bob", boot=boot[:1]),
                network.launch("charlie", boot=boot),
            ]
            for node in producers:
                node.wait_until_ready()
            for node in producers:
                wait_for_peers(node, 2)
            titles = directory / "titles.csv"
            titles.write_text("".join(f"{item},Film {item}\n" for item in range(ITEMS)))
            ratings = directory / "ratings.csv"
            ratings.write_text("".join(f"0,{item},3\n" for item in range(ITEMS)))
            producers[0].user.json("import", ratings, "--titles", titles)
            yield Three(network, proxy, producers)
    for node in nodes.started:
        check_readable(node)


def rate_within_two_slots(three: Three, number: int, everywhere: Watchers) -> bool:
    """Rate at one node; tell whether within two slots a block has it, in which all nodes have the same model."""
    before = time.time_ns() // 1_000_000 // SLOT
    height, block = three.rate(number)
    if not everywhere.wait_for_block(height, block):
        return False  # two authors have made a block at the same time, and the other one's is the better
    everywhere.agree("mf_model", block)
    for account in ACCOUNTS.values():
        everywhere.agree("mf_predictBatch", [[account, item] for item in range(ITEMS)], block)
    return slot_of(everywhere.clients[0], block) - before <= 2


def test_a_rating_anywhere_is_known_everywhere_within_two_slots(three: Three) -> None:
    with Watchers(*three.nodes) as everywhere:
        for number in range(len(RING)):
            # A machine that stalls for a moment misses a slot: one rating of a few has to be in time.
            assert any(rate_within_two_slots(three, number, everywhere) for _ in range(4))


def test_each_tells_who_and_where_it_is_and_with_whom(three: Three) -> None:
    places = [three.network.place(name) for name in RING]
    with Watchers(*three.nodes) as everywhere:
        assert everywhere.ask("system_localPeerId") == [place.peer for place in places]
        assert everywhere.ask("system_localListenAddresses") == [[place.address()] for place in places]
        health = {"peers": 2, "isSyncing": False, "shouldHavePeers": True}
        assert everywhere.agree("system_health") == health
        for place, client, told in zip(places, everywhere.clients, everywhere.ask("system_peers"), strict=True):
            assert {peer["peerId"] for peer in told} == {other.peer for other in places} - {place.peer}
            assert {peer["roles"] for peer in told} == {"FULL"}
            # What a peer has told of is on the chain, or was for a moment.
            assert all(client.call("chain_getHeader", peer["bestHash"]) for peer in told)
        for state in everywhere.ask("system_syncState"):
            assert state["startingBlock"] == 0
            assert 0 < state["currentBlock"] <= state["highestBlock"]
    for node in three.nodes:
        assert node.request("GET", "/ready") == (200, {"ready": True})


@pytest.mark.parametrize("way", [Way.SILENT, Way.REFUSED], ids=lambda way: way.value)
def test_a_partition_heals(three: Three, way: Way) -> None:
    """One node is on its own, and goes on, as do the two others; afterwards all have what either side has taken."""
    first, *rest = three.nodes
    with Watchers(*three.nodes) as everywhere, Watchers(*rest) as two:
        known = everywhere.agree_on_model()["ratings"]
        three.proxy.set(way)
        # Each side takes ratings of which the other cannot know.
        three.rate(0)
        three.rate(1)
        three.rate(2)
        two.wait_for_ratings(known + 2)
        height, block = two.common_head()
        assert not has_block(everywhere.clients[0], height, block)
        assert everywhere.ask("mf_model")[0]["ratings"] == known + 1
        healed = everywhere.latest_slot()
        three.proxy.set(Way.OPEN)
        everywhere.wait_until_heads_agree(healed, SLOT)
        assert everywhere.agree_on_ratings(known + 3)["ratings"] == known + 3
    assert " another branch is better: " in first.log


def test_a_fourth_node_comes_late(three: Three) -> None:
    network = three.network
    late = network.launch("dave", boot=[network.place("bob").address()])
    # While it has less than the others it says that it serves no truth, and why.
    why = re.compile(r"catching up: block \d+ of \d+|no peers: others may have blocks that this node does not know of")
    assert why.fullmatch(late.wait_until_it_is_not_ready()) is not None
    late.wait_until_ready()
    # It hears of the others from the one that it was told of.
    wait_for_peers(late, 3)
    with Watchers(*three.nodes, late) as everywhere:
        known = everywhere.agree_on_model()["ratings"]
        late.user.json("rate", 0, 4, "--suri", "//Dave")
        everywhere.wait_for_ratings(known + 1)
        assert everywhere.agree_on_model()["ratings"] == known + 1
    late.stop()


def test_nodes_die_in_turn_under_load(three: Three, tmp_path: Path, ratings: Ratings) -> None:
    some = Ratings(ratings.rows[:SOME])
    file, titles = some.write(tmp_path)
    words = ("--titles", titles, "--suri-prefix", "//viewer", "--batch", 4, "--rate", 30, "--json")
    seen: dict[int, str] = {}
    with Watchers(*three.nodes) as everywhere:
        known = everywhere.agree_on_model()["ratings"]
    with Command.start("mfchain", "--url", three.nodes[0].url, "import", file, *words) as importer:
        for number in (1, 2, 0):
            with Watchers(*three.nodes) as everywhere:
                everywhere.wait_for_ratings(known + 40 * (len(seen) + 1))
                height, block = everywhere.common_head()
                seen[height] = block
            three.nodes[number].kill()
            with Watchers(*(node for node in three.nodes if node.is_running)) as others:
                others.wait_for_height(height + 3)
            three.nodes[number] = three.network.nodes.restart(three.nodes[number])
            wait_for_peers(three.nodes[number], 2)
        code, out, err = importer.wait()
    assert (code, err) == (0, ""), out
    assert json.loads(out)["ratings"] == SOME
    expected = expected_in_blocks(some, file, "//viewer")
    with Watchers(*three.nodes) as everywhere:
        everywhere.wait_for_ratings(known + SOME)
        assert everywhere.agree_on_model()["ratings"] == known + SOME
        # What all had before one of them died, all still have, and each rating once.
        assert everywhere.agree("chain_getBlockHash", sorted(seen)) == [seen[number] for number in sorted(seen)]
        for client in everywhere.clients:
            found = ratings_in_blocks(client)
            assert {rating: found[rating] for rating in expected} == expected
