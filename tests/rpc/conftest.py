"""A server over a made-up node on a real socket, for the tests of the RPC package."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rpc.limits import RpcLimits
from tests.rpc.fake_node import FakeNode
from tests.rpc.served import Served, serving

Start = Callable[..., Served]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, each with limits of its own, and stops them at the end of the test."""
    with ExitStack() as stack:

        def begin(node: FakeNode | None = None, limits: RpcLimits | None = None) -> Served:
            return stack.enter_context(serving(node, limits))

        yield begin


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One server with default limits for all tests of a module, which must leave the node as it was."""
    with serving() as running:
        yield running
