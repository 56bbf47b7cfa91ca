"""One real node that everything here is thrown at; in the end its log must be quiet."""

from collections.abc import Iterator

import pytest

from rpc.client import RpcClient
from tests.support.processes import NodeProcess, Nodes


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A development node with a few ratings, which answers before and after."""
    with Nodes(tmp_path_factory.mktemp("fuzz") / "temporary") as running:
        node = running.start("--dev")
        for suri in ("//Alice", "//Bob"):
            for item in range(4):
                node.user.text("rate", item, "like", "--suri", suri)
        yield node
        assert node.user.json("items")


@pytest.fixture
def client(node: NodeProcess) -> Iterator[RpcClient]:
    with node.client() as connected:
        yield connected
