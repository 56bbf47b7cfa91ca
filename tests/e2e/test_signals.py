"""How a node ends when it is told to: soon, cleanly, and without a word too many."""

import signal
import threading
from pathlib import Path

import pytest

from rpc.client import RpcClient
from tests.e2e.synthetic import Ratings
from tests.support.processes import Command, NodeProcess, Nodes

pytestmark = pytest.mark.full

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


@BOTH
def test_an_idle_node_stops(nodes: Nodes, number: signal.Signals) -> None:
    node = nodes.start("--dev")
    node.stop(number)
    assert node.log.splitlines()[-1].endswith(f" INFO  node.signals: stopping on {number.name}")
    assert nodes.temporary() == []


@BOTH
def test_a_busy_node_stops(nodes: Nodes, tmp_path: Path, ratings: Ratings, number: signal.Signals) -> None:
    base_path = tmp_path / "base"
    options = ("--chain", "movielens", "--producer", "--alice", "--block-time", 100, "--base-path", base_path)
    node = nodes.start(*options)
    file, titles = ratings.write(tmp_path)
    words = ("import", file, "--titles", titles, "--batch", 1)
    with (
        Command.start("mfchain", "--url", node.url, "watch") as watcher,
        Command.start("mfchain", "--url", node.url, *words) as importer,
        node.client() as client,
    ):
        watcher.out.first(1)
        models = client.subscribe("mf_subscribeModel")
        while models.next()["ratings"] < 200:
            pass
        reader = threading.Thread(target=read_until_the_end, args=(node,))
        reader.start()
        node.stop(number)
        reader.join()
        code, _, err = watcher.wait()
        assert (code, err) == (1, f"mfchain: the node at {node.url} closed the connection: 1012")
        assert importer.process.poll() is None, "an import waits for its node"
        importer.kill()
        with pytest.raises(ConnectionError):
            client.call("chain_getHeader")

    again = nodes.restart(node)
    assert again.user.json("status")["model"]["ratings"] >= 200


def read_until_the_end(node: NodeProcess) -> None:
    """Ask as fast as a client can."""
    try:
        with RpcClient(node.url) as client:
            while True:
                client.call("mf_items", 0, 100)
    except ConnectionError:
        return


def test_a_node_that_does_not_produce_stops(nodes: Nodes) -> None:
    node = nodes.start("--chain", "dev", "--tmp")
    node.stop()
    assert nodes.temporary() == []


@BOTH
def test_a_node_stops_while_it_starts(nodes: Nodes, number: signal.Signals) -> None:
    node = nodes.launch("--dev", "--log", "debug")
    node.command.err.first(1)
    node.stop(number)
    assert nodes.temporary() == []


def test_a_second_signal_changes_nothing(nodes: Nodes) -> None:
    node = nodes.start("--dev")
    node.command.signal(signal.SIGINT)
    node.stop(signal.SIGTERM)
