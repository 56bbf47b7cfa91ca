"""A ring of real processes: history becomes final, a newcomer joins by its work, and the founder leaves."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from tests.support.networks import ring_status
from tests.support.processes import NodeProcess, Nodes

pytestmark = pytest.mark.full

SLOT_MS: Final = 300
EPOCH_SLOTS: Final = 4
PATIENCE: Final = 60.0
LONG: Final = 180.0
"""Who vanishes is waited for until the leak."""
LATE: Final = re.compile(r" WARN  node\.sync\.handler: a peer's chain goes on for longer than half the leak ")
"""On a busy machine a node takes so long to start that the others have gone on for half of these short leaks."""
_REACHED: Final = re.compile(r"peers reach this node at .*?(/ip4/127\.0\.0\.1/\S+)")

ALICE, BOB, CHARLIE, DAVE = (
    ss58_encode(key_pair_from_uri(uri, Scheme.ED25519).public) for uri in ("//Alice", "//Bob", "//Charlie", "//Dave")
)


def spec_file(directory: Path, *founders: str, slot: int = SLOT_MS, leak: int = 60) -> Path:
    """A chain with short rules, which begins anew."""
    spec = json.loads((Path(__file__).parent / "hurried.json").read_text())
    spec |= {"id": "hurried-ring", "slotDurationMs": slot}
    spec["genesis"]["ring"] = founders
    spec["consensus"] = {
        "epochSlots": EPOCH_SLOTS,
        "leakCheckpoints": leak,
        "lapseCheckpoints": leak // 2,
        "probationEpochs": 1,
        "barEpochs": 60,
        "joinWork": 100_000,
        "joinShare": 1,
    }
    path = directory / "ring.json"
    path.write_text(json.dumps(spec))
    return path


def until(node: NodeProcess, holds: Callable[[dict[str, Any]], bool], patience: float = PATIENCE) -> dict[str, Any]:
    """Wait until something holds of a node's ring."""
    deadline = time.monotonic() + patience
    while not holds(found := ring_status(node)):
        assert time.monotonic() < deadline, f"{found}\n{node.log}"
        node.command.err.tick()
    return found


def test_a_newcomer_joins_and_the_founder_leaves(nodes: Nodes, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, ALICE)
    own = ("--chain", spec, "--producer", "--no-mdns", "--port", 0)
    alice = nodes.start(*own, "--alice", "--base-path", tmp_path / "alice")
    found = _REACHED.search(alice.log)
    assert found is not None, alice.log
    bob = nodes.start(*own, "--suri", "//Bob", "--base-path", tmp_path / "bob", "--bootnodes", found[1])
    bob.expected = LATE

    # One voter makes history final alone, after it has listened for two epochs.
    begun = until(bob, lambda now: now["finalized"] is not None and now["finalized"]["number"] > 0)
    assert (begun["ring"], begun["voters"], begun["nextVoters"], begun["queue"]) == ([ALICE], [ALICE], [], [])
    assert begun["turn"] == ALICE
    assert begun["join"] == {"work": 100_000, "age": 256}
    behind = begun["block"]["number"] - begun["finalized"]["number"]
    assert behind <= 3 * EPOCH_SLOTS, "final within three epochs"

    told = bob.user.text("join", "--suri", "//Bob")
    assert told.startswith("waits to join the ring: block ")
    assert f"Producers.JoinQueued account={BOB}" in told
    assert "already" in bob.user.complaint("join", "--suri", "//Bob")
    both = until(alice, lambda now: set(now["voters"]) == {ALICE, BOB})
    assert both["ring"] == [ALICE, BOB], "founders come first"
    final = both["finalized"]["number"]
    until(alice, lambda now: now["finalized"]["number"] > final)

    told = alice.user.text("leave", "--suri", "//Alice")
    assert told.startswith("leaves the ring with the next epoch: block ")
    alone = until(bob, lambda now: (now["ring"], now["voters"], now["nextVoters"]) == ([BOB], [BOB], []))
    alice.stop()
    until(bob, lambda now: now["finalized"]["number"] > alone["block"]["number"])
    assert bob.user.complaint("leave", "--suri", "//Alice").startswith("mfchain: AlreadyLeaving: ")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_founders_go_and_newcomers_carry_on(nodes: Nodes, tmp_path: Path) -> None:
    """One founder leaves as it should; the other one vanishes, and is waited for until the leak."""
    spec = spec_file(tmp_path, ALICE, BOB, slot=1_000, leak=24)
    own = ("--chain", spec, "--producer", "--no-mdns", "--port", 0)
    alice = nodes.start(*own, "--alice", "--base-path", tmp_path / "alice")
    found = _REACHED.search(alice.log)
    assert found is not None, alice.log
    bob, charlie, dave = (
        nodes.start(*own, "--suri", f"//{name}", "--base-path", tmp_path / name, "--bootnodes", found[1])
        for name in ("Bob", "Charlie", "Dave")
    )
    for node in (bob, charlie, dave):
        node.expected = LATE
    for node, name in ((charlie, "Charlie"), (dave, "Dave")):
        node.user.text("join", "--suri", f"//{name}")
    until(alice, lambda now: set(now["voters"]) == set(now["ring"]) == {ALICE, BOB, CHARLIE, DAVE}, LONG)
    bob.kill()
    alice.user.text("leave", "--suri", "//Alice")
    newcomers = {CHARLIE, DAVE}
    gone = until(
        charlie, lambda now: set(now["ring"]) == set(now["voters"]) == newcomers and not now["nextVoters"], LONG
    )
    alice.stop()
    for node in (charlie, dave):
        after = until(node, lambda now: now["finalized"]["number"] > gone["block"]["number"])
        assert set(after["voters"]) == newcomers
    with charlie.client() as one, dave.client() as other:
        number = gone["block"]["number"]
        assert one.call("chain_getBlockHash", number) == other.call("chain_getBlockHash", number)
