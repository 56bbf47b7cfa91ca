"""One node for all clients, and what their scripts are given beside its address."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pallets.matrix_factorization.storage import ITEMS, RATINGS
from pallets.system.storage import ACCOUNT, CODE_KEY, EVENTS
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import to_hex
from tests.clients.samples import events
from tests.support.processes import NodeProcess, Nodes

_FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A development node with a rating in its first block, which some client needs before it sends anything."""
    with Nodes(tmp_path_factory.mktemp("clients")) as nodes:
        started = nodes.start("--dev")
        started.user.run("rate", 0, "like", "--suri", "//Alice")
        yield started


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[NodeProcess]:
    """One of three producers, who makes a block every third slot."""
    with Nodes(tmp_path / "ring") as nodes:
        yield nodes.start("--chain", "local", "--alice", "--producer", "--tmp", "--block-time", 250)


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for the clients' scripts: events to decode, keys to prove, seeds of keys that one cannot derive."""
    alice = key_pair_from_uri("//Alice", Scheme.ED25519)
    keys = (ACCOUNT.key(alice.public), EVENTS.key, CODE_KEY, ITEMS.key(3), RATINGS.key(alice.public))
    names = ("Alice", "queue", "subscription")
    pairs = {name: key_pair_from_uri(f"//substrate-interface//{name}", Scheme.ED25519) for name in names}
    content = {
        "events": events(),
        "keys": [to_hex(key) for key in keys],
        "absent": to_hex(ITEMS.key(99)),
        # libsodium's secret is the seed and the public key.
        "seeds": {name: to_hex(pair._secret[:32]) for name, pair in pairs.items()},
    }
    path = tmp_path_factory.mktemp("given") / "given.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The clients of npm."""
    modules = _FOLDER / "node_modules"
    assert modules.is_dir(), "the npm clients are not installed: run `npm ci` in tests/clients, or scripts/test"
    return modules
