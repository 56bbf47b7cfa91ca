"""What Prometheus reads from a real node, and where."""

import http.client
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.config import DEFAULT_METRICS_PORT
from tests.support.processes import PATIENCE, STARTS_WITHIN, Command, NodeProcess, Nodes

pytestmark = pytest.mark.full

_ADDRESS = re.compile(r"metrics at http://127\.0\.0\.1:(\d+)/metrics")


def metrics_port(command: Command) -> int:
    found = command.err.match(_ADDRESS, STARTS_WITHIN)
    assert found is not None
    return int(found[1])


def read(port: int) -> dict[str, float]:
    """The figures by name; of those with a status, the best."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        samples = [
            sample
            for family in text_string_to_metric_families(answer.read().decode())
            for sample in family.samples
            if sample.labels.get("status", "best") == "best"
        ]
    finally:
        connection.close()
    return {sample.name: sample.value for sample in samples}


def test_a_rating_shows(nodes: Nodes) -> None:
    node = nodes.start("--dev", "--prometheus-port", 0)
    port = metrics_port(node.command)
    before = read(port)
    assert (before["substrate_block_height"], before["mfchain_model_ratings"]) == (0, 0)
    node.user.json("rate", 1, "like", "--suri", "//Alice")
    after = read(port)
    assert after["substrate_block_height"] >= 1
    assert (after["mfchain_model_ratings"], after["mfchain_model_users"]) == (1, 1)
    assert node.request("GET", "/metrics")[0] == 404


def test_the_usual_port_gives_way(tmp_path: Path) -> None:
    with socket.socket() as other:
        with suppress(OSError):
            other.bind(("127.0.0.1", DEFAULT_METRICS_PORT))
            other.listen()
        words = ("--dev", "--base-path", tmp_path, "--rpc-port", 0)
        with Command.start("mfchain-node", *words) as command:
            node = NodeProcess((), command)
            node.wait_until_ready()
            assert read(metrics_port(command))["mfchain_model_items"] == 16
            told = f"port {DEFAULT_METRICS_PORT} is in use: metrics are served at another, see --prometheus-port"
            assert told in node.log
            command.signal(signal.SIGINT)
            assert command.wait()[0] == 0
