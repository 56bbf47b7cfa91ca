"""Five nodes as processes: what is final stays final, whoever dies and however the network is cut, and it goes on.

Two of them hang on the other three by one connection, which goes through a proxy and can be cut. The tests share the
nodes; each goes on from what the one before has left.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.synthetic import Ratings
from tests.e2e.test_import import expected_in_blocks, ratings_in_blocks
from tests.support.networks import LocalNetwork, Watchers, check_final_history, ring_spec, ring_status, wait_for_peers
from tests.support.processes import Command, NodeProcess, Nodes
from tests.support.proxy import Proxy, Way

pytestmark = [pytest.mark.full, pytest.mark.timeout(480)]

MEMBERS: Final = ("alice", "bob", "charlie", "dave", "eve")
SLOT: Final = 1_000
EPOCH_SLOTS: Final = 4
HURRIED: Final = Path(__file__).with_name("hurried.json")
LONG: Final = 180.0
"""Until all five have been heard: a busy machine delays votes too."""
SOME: Final = 500
"""Ratings that are imported while nodes die."""


@dataclass(slots=True)
class Five:
    """The producers, in the order of the ring, and the way between the first three and the last two."""

    network: LocalNetwork
    proxy: Proxy
    nodes: list[NodeProcess]
    final: dict[int, str] = field(default_factory=dict)

    def note_final(self) -> int:
        """Remember what anybody holds for final; return the lowest of these heights."""
        heights = []
        for node in self.nodes:
            finalized = ring_status(node)["finalized"]
            self.final[finalized["number"]] = finalized["hash"]
            heights.append(finalized["number"])
        return min(heights)

    def wait_until_final(self, number: int) -> None:
        """Wait until a block is final at all nodes."""
        deadline = time.monotonic() + LONG
        while self.note_final() < number:
            assert time.monotonic() < deadline, f"block {number} does not become final: {self.final}"
            self.nodes[0].command.err.tick()

    def check_final(self) -> None:
        """See that all have what anybody ever held for final."""
        numbers = sorted(self.final)
        with Watchers(*self.nodes) as everywhere:
            everywhere.wait_for_height(numbers[-1])
            assert everywhere.agree("chain_getBlockHash", numbers) == [self.final[number] for number in numbers]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Five]:
    directory = tmp_path_factory.mktemp("five")
    with Nodes(directory / "temporary") as nodes:
        spec = ring_spec(directory, SLOT, HURRIED, MEMBERS, epoch_slots=EPOCH_SLOTS)
        network = LocalNetwork(nodes, spec, directory, MEMBERS)
        alice, dave = network.place("alice"), network.place("dave")
        with Proxy(alice.port) as proxy:
            # Nobody but Alice and Dave can be dialled, and who has dialled one of them looks for nobody else.
            apart, hub = ("--in-peers", 0, "--out-peers", 1), ("--out-peers", 0)
            producers = [
                network.launch("alice", *hub),
                network.launch("bob", *apart, boot=[alice.address()]),
                network.launch("charlie", *apart, boot=[alice.address()]),
                network.launch("dave", "--out-peers", 1, boot=[alice.address(proxy.port)]),
                network.launch("eve", *apart, boot=[dave.address()]),
            ]
            for node in producers:
                node.wait_until_ready()
            for node, peers in zip(producers, (3, 1, 1, 2, 1), strict=True):
                wait_for_peers(node, peers)
            titles = directory / "titles.csv"
            titles.write_text("".join(f"{item},Film {item}\n" for item in range(8)))
            ratings = directory / "ratings.csv"
            ratings.write_text("".join(f"0,{item},3\n" for item in range(8)))
            producers[0].user.json("import", ratings, "--titles", titles)
            yield Five(network, proxy, producers)
    check_final_history(nodes.started)


def test_what_is_rated_becomes_final_everywhere(five: Five) -> None:
    block = five.nodes[4].user.json("rate", 0, 5, "--suri", "//Eve")["block"]
    five.wait_until_final(block["number"])
    five.check_final()


@pytest.mark.parametrize("way", [pytest.param(Way.REFUSED, marks=pytest.mark.long), Way.SILENT], ids=str)
def test_three_and_two_make_nothing_final_alone_and_agree_when_they_meet_again(five: Five, way: Way) -> None:
    with Watchers(*five.nodes) as everywhere, Watchers(*five.nodes[:3]) as three, Watchers(*five.nodes[3:]) as two:
        known = everywhere.agree_on_model()["ratings"]
        five.proxy.set(way)
        for node, item in ((0, 1), (4, 2)):
            five.nodes[node].user.json("rate", item, 4, "--suri", f"//{MEMBERS[node].capitalize()}//{way.value}")
        three.wait_for_ratings(known + 1)
        two.wait_for_ratings(known + 1)
        # Votes that were under way when the network broke are counted by now.
        for side in (three, two):
            side.wait_for_height(side.common_head()[0] + EPOCH_SLOTS)
        at = five.note_final()
        for side in (three, two):
            side.wait_for_height(side.common_head()[0] + EPOCH_SLOTS)
        assert five.note_final() == at, "neither side has four of five"
        assert all(client.call("mf_model")["ratings"] == known + 1 for client in everywhere.clients)
        healed = everywhere.latest_slot()
        five.proxy.set(Way.OPEN)
        everywhere.wait_until_heads_agree(healed, SLOT)
        everywhere.wait_for_ratings(known + 2)
        height = everywhere.agree_on_model()["block"]["number"]
        five.wait_until_final(height)
    five.check_final()


@pytest.mark.long
def test_each_dies_in_turn_under_load(five: Five, tmp_path: Path, ratings: Ratings) -> None:
    some = Ratings(ratings.rows[:SOME])
    file, titles = some.write(tmp_path)
    words = ("--titles", titles, "--suri-prefix", "//viewer", "--batch", 4, "--rate", 30, "--json")
    with Watchers(*five.nodes) as everywhere:
        known = everywhere.agree_on_model()["ratings"]
    # The importer goes on with the node that it knows when that is back.
    with Command.start("mfchain", "--url", five.nodes[0].url, "import", file, *words) as importer:
        for count, number in enumerate((1, 4, 3, 2, 0), 1):
            with Watchers(*five.nodes) as everywhere:
                everywhere.wait_for_ratings(known + 30 * count)
                height, _ = everywhere.common_head()
            five.note_final()
            five.nodes[number].kill()
            with Watchers(*(node for node in five.nodes if node.is_running)) as others:
                others.wait_for_height(height + 3)
            five.nodes[number] = five.network.nodes.restart(five.nodes[number])
            with Watchers(*five.nodes) as everywhere:
                everywhere.wait_until_heads_agree(everywhere.latest_slot(), SLOT)
        code, out, err = importer.wait()
    assert (code, err) == (0, ""), out
    assert json.loads(out)["ratings"] == SOME
    expected = expected_in_blocks(some, file, "//viewer")
    with Watchers(*five.nodes) as everywhere:
        model = everywhere.agree_on_ratings(known + SOME)
        assert model["ratings"] == known + SOME
        for client in everywhere.clients:
            found = ratings_in_blocks(client)
            assert {rating: found[rating] for rating in expected} == expected
    # All five listen after their start before they vote; then all of it becomes final.
    five.wait_until_final(model["block"]["number"])
    five.check_final()
