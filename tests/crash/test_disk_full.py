"""A node whose disk is full: it stops and says why, and goes on when there is room. The limit is the system's own."""

import shlex
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.failure import CommandError
from rpc.transactions import signing_now, submit_and_wait, submit_rating
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import to_hex
from tests.support.processes import PATIENCE, STOPS_WITHIN, Command, NodeProcess, Nodes, loud_lines

pytestmark = pytest.mark.full

ROOM: Final = 100
"""Blocks of 512 bytes that the longest file may have: LevelDB's log is as long after some blocks of ratings."""

MOST: Final = 500


def start_with_little_room(*arguments: object) -> NodeProcess:
    """Start a node none of whose files may grow beyond the limit."""
    program = Path(sysconfig.get_path("scripts")) / "mfchain-node"
    words = [str(word) for word in (program, *arguments, "--rpc-port", 0, "--no-prometheus")]
    node = NodeProcess(tuple(words), Command.start("/bin/sh", "-c", f"ulimit -f {ROOM}; exec {shlex.join(words)}"))
    node.wait_until_ready()
    return node


def rate_until_it_is_gone(client: RpcClient) -> tuple[str, int]:
    """Return the last block that was acknowledged, and how many were."""
    pair = key_pair_from_uri("//Bob", Scheme.ED25519)
    acknowledged, count = "", 0
    while count < MOST:
        try:
            raw = signing_now(client).sign(pair, submit_rating(count % 16, 1 if count % 3 else -1), count)
            acknowledged = submit_and_wait(client, raw, PATIENCE)
        except (OSError, RpcError, CommandError):
            break
        count += 1
    return acknowledged, count


def test_it_stops_with_the_reason_and_starts_again_when_there_is_room(nodes: Nodes, tmp_path: Path) -> None:
    where = ("--dev", "--base-path", tmp_path / "base")
    node = start_with_little_room(*where)
    with node.command, node.client() as client:
        acknowledged, count = rate_until_it_is_gone(client)
        code, out, err = node.command.wait(STOPS_WITHIN)
    assert (code, out) == (1, "")
    assert 0 < count < MOST
    [reason] = loud_lines(err.splitlines())
    directory = tmp_path / "base" / "chains" / "dev" / "db"
    assert reason.startswith(f"mfchain-node: the database failed: the database in {directory} cannot be written: ")
    assert reason.endswith("File too large")

    again = nodes.start(*where)
    with again.client() as client:
        head = client.call("chain_getHeader")
        kept = int(client.call("chain_getHeader", acknowledged)["number"], 16)
        assert client.call("chain_getBlockHash", kept) == acknowledged
        # The block whose write failed was acknowledged to nobody; it may be there or not.
        assert int(head["number"], 16) - kept in (0, 1)
        assert client.call("mf_model")["ratings"] > 0
        bob = key_pair_from_uri("//Bob", Scheme.ED25519)
        nonce = int(client.call("system_accountNextIndex", to_hex(bob.public)))
        assert nonce in (count, count + 1)
        assert submit_and_wait(client, signing_now(client).sign(bob, submit_rating(3, 1), nonce), PATIENCE)
