"""Nodes as child processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.p2p.children import Child

Start = Callable[..., Child]


class Nodes:
    """Starts nodes with a seed each; all of them are ended with the test."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, name: str, *bootnodes: Child, **options: Any) -> Child:
        options.setdefault("seed", name.encode().hex().ljust(64, "0"))
        options.setdefault("bootnodes", [node.addresses[0] for node in bootnodes])
        child = self.begin("node.py", options)
        ready = child.wait("ready")
        child.peer, child.addresses = ready["peer"], ready["addresses"]
        return child

    def begin(self, program: str, options: dict[str, Any] | None = None) -> Child:
        child = Child(program, options)
        self._children.append(child)
        return child

    def end(self) -> None:
        for child in self._children:
            child.end()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    started = Nodes()
    yield started
    started.end()


@pytest.fixture
def records(tmp_path: Path) -> str:
    return str(tmp_path / "node" / "peers.json")
