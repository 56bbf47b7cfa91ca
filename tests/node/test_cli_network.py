"""The options of mfchain-node about its place in the network: its key, its ports, its database."""

import re
import socket
import stat
from pathlib import Path

import pytest

from node.chain import Chain
from node.chain_spec import load_spec
from node.config import database_path
from node.errors import NodeError
from node.node_key import FILE_NAME, load_node_key
from p2p.addresses import peer_id_from_seed
from storage.leveldb import LevelDbStore
from tests.support.node_command import Cli, command_line, failed

SEED = bytes(range(32))
LOCAL = ("--chain", "local", "--no-mdns", "--rpc-port", 0, "--no-prometheus")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return command_line(capsys)


# The node key


def test_a_generated_key_and_the_peer_id_of_it(cli: Cli) -> None:
    ended = cli("generate-node-key")
    assert ended.code == 0
    assert re.fullmatch(r"[0-9a-f]{64}\n", ended.out)
    assert ended.err == peer_id_from_seed(bytes.fromhex(ended.out)) + "\n"
    assert cli("generate-node-key").out != ended.out


def test_a_key_in_a_file_is_for_the_owner_only(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "node"
    ended = cli("generate-node-key", "--file", file)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == peer_id_from_seed(load_node_key(str(file), tmp_path)) + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # Nobody loses an identity by a slip.
    before = file.read_text()
    assert cli("generate-node-key", "--file", file) == failed(1, f"the node key {file} cannot be written: File exists")
    assert file.read_text() == before


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_a_key_in_hexadecimal(tmp_path: Path, prefix: str) -> None:
    assert load_node_key(prefix + SEED.hex(), tmp_path) == SEED
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_a_key_makes_one_and_keeps_it(tmp_path: Path) -> None:
    seed = load_node_key(None, tmp_path / "network")
    assert load_node_key(None, tmp_path / "network") == seed
    assert load_node_key(str(tmp_path / "network" / FILE_NAME), tmp_path) == seed


@pytest.mark.parametrize("text", ["", "12", SEED.hex() + "00", "z" * 64, "\x00\xff" * 40])
def test_a_file_that_holds_no_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(NodeError, match=f"the node key {file} does not hold 64 hexadecimal digits"):
        load_node_key(str(file), tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(NodeError, match=f"the node key {file} cannot be read: No such file or directory"):
        load_node_key(str(file), tmp_path)


@pytest.mark.full
def test_a_node_with_a_wrong_key_does_not_start(cli: Cli, tmp_path: Path) -> None:
    ended = cli(*LOCAL, "--base-path", tmp_path, "--port", 0, "--node-key", "no-such-file")
    assert (ended.code, ended.err.splitlines()[-1]) == (
        1,
        "mfchain-node: the node key no-such-file cannot be read: No such file or directory",
    )


# Ports and database


@pytest.mark.full
@pytest.mark.parametrize("option", ["--port", "--listen-addr"])
def test_a_port_for_peers_that_is_in_use(cli: Cli, tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0" if option == "--port" else "127.0.0.1", 0))  # noqa: S104 - as a node does
        taken.listen()
        port = taken.getsockname()[1]
        host = taken.getsockname()[0]
        value = port if option == "--port" else f"/ip4/127.0.0.1/tcp/{port}"
        ended = cli(*LOCAL, "--base-path", tmp_path, option, value)
    message = f"/ip4/{host}/tcp/{port} is in use; choose another with --port or --listen-addr"
    assert (ended.code, ended.err.splitlines()[-1]) == (4, f"mfchain-node: {message}")


@pytest.mark.full
def test_an_address_that_is_not_of_this_machine(cli: Cli, tmp_path: Path) -> None:
    # Of a block that is reserved for documentation.
    ended = cli(*LOCAL, "--base-path", tmp_path, "--listen-addr", "/ip4/192.0.2.1/tcp/0")
    message = "the network cannot listen: cannot listen on /ip4/192.0.2.1/tcp/0: Cannot assign requested address"
    assert (ended.code, ended.err.splitlines()[-1]) == (1, f"mfchain-node: {message}")


@pytest.mark.full
def test_a_second_node_on_the_same_database(cli: Cli, tmp_path: Path) -> None:
    spec = load_spec("local")
    path = database_path(tmp_path, spec)
    store = LevelDbStore(path)
    Chain.open(spec, store, state_pruning=256)
    try:
        ended = cli(*LOCAL, "--base-path", tmp_path, "--port", 0)
    finally:
        store.close()
    message = f"the database in {path} is in use by another process"
    assert (ended.code, ended.err.splitlines()[-1]) == (3, f"mfchain-node: {message}")
