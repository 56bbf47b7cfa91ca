"""A server over a made-up node on a real socket, for the tests of the RPC package."""

from collections.abc import Callable, Iterator

import pytest

from rpc.app import RpcServer
from rpc.limits import RpcLimits
from tests.rpc.fake_node import FakeNode
from tests.rpc.served import PATIENCE, Served, begin, serving

Start = Callable[..., Served]


@pytest.fixture(scope="session")
def stopping_servers() -> Iterator[list[RpcServer]]:
    """Servers that were asked to stop: each takes a moment, which the next tests need not wait for."""
    servers: list[RpcServer] = []
    yield servers
    assert [server.stop(PATIENCE) for server in servers] == [True] * len(servers)


@pytest.fixture
def start(stopping_servers: list[RpcServer]) -> Iterator[Start]:
    """Starts servers, each with limits of its own, that stop after the test."""
    started: list[RpcServer] = []

    def start(node: FakeNode | None = None, limits: RpcLimits | None = None) -> Served:
        served = begin(node, limits)
        started.append(served.server)
        return served

    yield start
    for server in started:
        server.ask_to_stop()
    stopping_servers += started


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One server with default limits for all tests of a module, which must leave the node as it was."""
    with serving() as running:
        yield running
