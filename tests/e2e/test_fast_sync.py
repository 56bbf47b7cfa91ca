"""A late joiner as a process: it fetches a state or executes everything, is killed meanwhile, and then takes part."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from node.ring import read_claim
from rpc.client import RpcClient
from rpc.errors import RpcError
from runtime.crypto import Scheme
from runtime.header import Header
from runtime.keys import key_pair_from_uri
from scripts.ports import free_port
from tests.support.networks import RING, LocalNetwork, Watchers, ring_spec, wait_for_peers
from tests.support.processes import PATIENCE, STARTS_WITHIN, NodeProcess, Nodes, run

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]

SLOT: Final = 500
ITEMS: Final = 12
MEMBERS: Final = (*RING, "dave")
HURRIED: Final = Path(__file__).with_name("hurried.json")


@dataclass(slots=True)
class Grown:
    """Three of four producers, who have made history final without the fourth."""

    network: LocalNetwork
    nodes: list[NodeProcess]
    boot: list[str]
    trusted: str
    final: int


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    directory = tmp_path_factory.mktemp("grown")
    with Nodes(directory / "temporary") as nodes:
        network = LocalNetwork(nodes, ring_spec(directory, SLOT, HURRIED, MEMBERS), directory)
        boot = [network.place(name).address() for name in RING]
        producers = [network.launch(name, boot=boot[:at]) for at, name in enumerate(RING)]
        for node in producers:
            node.wait_until_ready()
        for node in producers:
            wait_for_peers(node, 2)
        titles = directory / "titles.csv"
        titles.write_text("".join(f"{item},Film {item}\n" for item in range(ITEMS)))
        ratings = directory / "ratings.csv"
        ratings.write_text(
            "".join(f"{user},{(user * 7 + n) % ITEMS},{1 + (user + n) % 5}\n" for user in range(30) for n in range(3))
        )
        producers[0].user.json("import", ratings, "--titles", titles)
        with producers[0].client() as client:
            final = wait_for_final(client, int(client.call("chain_getHeader")["number"], 16))
            trusted = f"3:{client.call('chain_getBlockHash', 3)}"
        yield Grown(network, producers, boot, trusted, final)


def wait_for_final(client: RpcClient, number: int, patience: float = PATIENCE) -> int:
    """Wait until a block of this number or a later one is final."""
    with client.subscribe("chain_subscribeFinalizedHeads", timeout=patience) as heads:
        final = int(client.call("chain_getHeader", client.call("chain_getFinalizedHead"))["number"], 16)
        while final < number:
            final = int(heads.next()["number"], 16)
    return final


def author_of(header: dict[str, Any]) -> bytes:
    return read_claim(Header.from_json(header)).author


def test_killed_while_it_fetches(grown: Grown) -> None:
    """Kill it in the middle, and again right after the end; each time it goes on."""
    options = ("--sync", "fast", "--trusted", grown.trusted)
    for line in (r"fetching the state", r"fetched the state|JSON-RPC at"):
        node = grown.network.launch("erin", *options, boot=grown.boot)
        assert node.command.err.match(re.compile(line)) is not None, node.log
        node.kill()
    node = grown.network.launch("erin", *options, boot=grown.boot)
    node.wait_until_ready()
    with Watchers(*grown.nodes, node) as everywhere:
        assert everywhere.agree_on_model()["ratings"] == 90
    node.stop()


def test_who_has_nobody_to_ask_says_that_it_is_not_ready(grown: Grown) -> None:
    words = ("--chain", grown.network.spec, *grown.network.place("george").options, "--sync", "fast")
    port = free_port()
    node = grown.network.nodes.launch(*words, "--trusted", grown.trusted, port=port)
    node.port = port
    assert node.command.err.match(re.compile("fast sync waits for a peer")) is not None, node.log
    assert node.request("GET", "/health") == (200, {"status": "alive"})
    assert node.request("GET", "/ready") == (503, {"ready": False, "reason": "a state is being fetched"})
    node.stop()


def test_who_executes_everything_has_the_same_and_is_shown_no_other_history(grown: Grown) -> None:
    node = grown.network.launch("frank", "--trusted", grown.trusted, boot=grown.boot)
    node.wait_until_ready()
    with Watchers(*grown.nodes, node) as everywhere:
        assert everywhere.agree_on_model()["ratings"] == 90
        assert node.user.json("status")["finalized"]["number"] >= grown.final
    node.stop()
    # With its database it refuses another trusted block than the one that is there.
    words = ("--chain", grown.network.spec, *grown.network.place("frank").options, "--trusted", "3:0x" + 64 * "7")
    code, _, told = run("mfchain-node", *words, "--rpc-port", 0, "--no-prometheus", patience=STARTS_WITHIN)
    assert code == 3
    assert re.search(r"block 3 of the database is 0x\w{64}, not the trusted 0x7{64}", told)


def test_who_fetches_a_state_takes_part_like_everybody(grown: Grown) -> None:
    options = ("--sync", "fast", "--trusted", grown.trusted)
    dave = grown.network.launch("dave", "--dave", "--producer", *options, boot=grown.boot)
    fetched = dave.command.err.match(re.compile(r"fetched the state of block (\d+) 0x"))
    assert fetched is not None, dave.log
    snapshot = int(fetched[1])
    assert snapshot >= grown.final
    dave.wait_until_ready()
    account = key_pair_from_uri("//Dave", Scheme.ED25519).public
    with Watchers(*grown.nodes, dave) as everywhere:
        client = everywhere.clients[-1]
        model = everywhere.agree_on_model()
        assert model["ratings"] == 90
        # It makes blocks, which the others have as well.
        with client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
            while author_of(head := heads.next()) != account:
                pass
        assert everywhere.wait_for_block(int(head["number"], 16), to_hash(head))
        # What was before is known by its header only, and said to be.
        early = client.call("chain_getBlockHash", 2)
        assert early == everywhere.clients[0].call("chain_getBlockHash", 2)
        assert client.call("chain_getHeader", early)["number"] == "0x2"
        assert client.call("chain_getBlock", early) is None
        with pytest.raises(RpcError) as refused:
            client.call("mf_model", early)
        assert refused.value.to_json()["data"] == {"reason": "StatePruned", "block": early}
        # Three votes of four are needed; without one of the others its own is one of them.
        grown.nodes[2].stop()
        wait_for_final(everywhere.clients[0], int(head["number"], 16) + 10, 2 * PATIENCE)
        wait_for_final(client, int(head["number"], 16) + 10)
    dave.stop()
    # Nobody takes the rest for a whole history.
    place = grown.network.place("dave").directory
    words = ("export-blocks", grown.network.directory / "blocks", "--chain", grown.network.spec, "--base-path", place)
    said = "block 1 is not kept: the history of this database begins with block "
    code, _, told = run("mfchain-node", *words, patience=STARTS_WITHIN)
    assert code == 1
    assert said in told


def to_hash(header: dict[str, Any]) -> str:
    return "0x" + Header.from_json(header).hash().hex()
