"""The process of a node: what it says of its servers, and what it does when one of them ends."""

import http.client
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import node.metrics
import node.service
from node.chain_spec import load_spec
from node.config import Options, configure
from node.errors import ExitCode, NodeError
from node.listeners import bound_listeners, port_of
from node.metrics import metrics_served
from rpc.app import RpcServer, bind, serve
from tests.support.small_chain import PAIRS

PATIENCE = 60.0
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - that is what is tested


class Figures:
    """Nothing to tell."""

    def collect(self) -> tuple[()]:
        return ()


def status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "others"), [("127.0.0.1", ""), (ALL_ADDRESSES, ", and at the other addresses of this machine")]
)
def test_the_log_says_who_reaches_the_metrics(host: str, others: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "node.metrics")
    with bind(host, 0) as listener, metrics_served(listener, Figures(), pytest.fail):
        port = port_of(listener)
        assert caplog.messages == [f"metrics at http://127.0.0.1:{port}/metrics{others}"]
        assert status(port) == 200


def test_sockets_are_bound_as_asked_and_closed_in_the_end(tmp_path: Path) -> None:
    def options(**chosen: Any) -> Options:
        return Options(rpc_port=0, port=0, no_mdns=True, **chosen)

    for chosen, rpc, metrics in (
        ({"no_prometheus": True}, "127.0.0.1", None),
        ({"prometheus_port": 0, "prometheus_external": True}, "127.0.0.1", ALL_ADDRESSES),
        ({"prometheus_port": 0, "rpc_external": True}, ALL_ADDRESSES, "127.0.0.1"),
    ):
        config = configure(options(**chosen), load_spec("dev"), tmp_path, lambda _path: PAIRS["Alice"])
        with bound_listeners(config) as listeners:
            bound = [None if one is None else one.getsockname()[0] for one in (listeners.rpc, listeners.metrics)]
            assert bound == [rpc, metrics]
        assert listeners.rpc.fileno() == -1
        assert listeners.metrics is None or listeners.metrics.fileno() == -1


@pytest.mark.parametrize(("module", "name"), [(node.service, "RPC"), (node.metrics, "metrics")])
def test_a_node_ends_with_any_of_its_servers(
    module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RpcServer] = []
    serving = threading.Event()

    def noted(*arguments: Any, **options: Any) -> RpcServer:
        started.append(serve(*arguments, **options))
        serving.set()
        return started[-1]

    def end() -> None:
        assert serving.wait(PATIENCE)
        # As if it had come to its end for a reason of its own.
        started[0]._server.should_exit = True

    monkeypatch.setattr(module, "serve", noted)
    options = Options(rpc_port=0, port=0, no_mdns=True, prometheus_port=0)
    config = configure(options, load_spec("dev"), tmp_path, lambda _path: PAIRS["Alice"])
    other = threading.Thread(target=end)
    other.start()
    with pytest.raises(NodeError) as caught:
        node.service.run_node(config)
    other.join()
    assert caught.value.exit_code is ExitCode.FAILED
    assert str(caught.value) == f"the {name} server failed: the server ended by itself"
