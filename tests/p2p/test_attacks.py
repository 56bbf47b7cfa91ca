"""What hostile peers try, and that an honest one is served after each attempt."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.p2p.children import DEADLINE, Child
from tests.p2p.conftest import Nodes

ECHO, SLEEP = 1, 4

pytestmark = pytest.mark.full


class Stage:
    """A victim, an honest peer of it, and an attacker with a fresh identity for each attack."""

    def __init__(self, nodes: Nodes) -> None:
        self.victim = nodes.start(
            "victim",
            timing={"upgrade": 1.5, "handshake": 2.0, "handler": 1.0, "keepalive": 1.0, "write": 3.0},
            limits={"max_pending": 20},
        )
        self.honest = nodes.start("honest", self.victim)
        self.attacker = nodes.begin("attacker.py")
        self.attacker.wait("ready")
        self.honest.wait("peer", peer=self.victim.peer)
        self._seeds = itertools.count(1)
        self.seed = ""

    def attack(self, name: str) -> object:
        self.seed = f"{next(self._seeds):064x}"
        self.attacker.do("attack", name=name, seed=self.seed, address=self.victim.addresses[0])
        return self.attacker.wait("done", name=name)["result"]

    def check_honest(self) -> None:
        """The honest peer is connected, asks and is answered, and its gossip arrives."""
        token = f"{next(self._seeds):016x}"
        answer = self.honest.ask("request", "answer", peer=self.victim.peer, kind=ECHO, payload=token)
        assert answer == {"event": "answer", "size": 8, "start": token}
        self.honest.do("publish", topic="votes", payload=token)
        assert self.victim.wait("gossip", start=token)["peer"] == self.honest.peer

    def wait_for_fault(self, fault: str, before: dict[str, int]) -> None:
        """Asks until the victim has counted one more of them."""
        until = time.monotonic() + DEADLINE
        while self.faults().get(fault, 0) <= before.get(fault, 0):
            assert time.monotonic() < until, f"no more of {fault!r}: {self.faults()}"

    def faults(self) -> dict[str, int]:
        found = self.victim.ask("status", "status")["faults"]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    nodes = Nodes()
    try:
        yield Stage(nodes)
    finally:
        nodes.end()


@pytest.mark.parametrize(
    ("attack", "fault"),
    [
        ("garbage_on_tcp", "inbound upgrade failed"),
        ("huge_length_on_tcp", "inbound upgrade failed"),
        ("garbage_for_noise", "inbound upgrade failed"),
        ("no_handshake", None),
        ("many_streams", "misbehaviour: flood"),
        ("garbage_handshake", "misbehaviour: protocol violation"),
        ("handshake_that_raises", "on_peer handler"),
        ("huge_length_in_session", "misbehaviour: protocol violation"),
        ("frame_over_the_limit", "misbehaviour: protocol violation"),
        ("garbage_in_session", "misbehaviour: protocol violation"),
        ("second_hello", "misbehaviour: protocol violation"),
        ("undecodable_rpc", "undecodable gossip"),
        ("huge_length_in_gossip", "undecodable gossip"),
    ],
)
def test_what_breaks_the_rules_is_cut_off(stage: Stage, attack: str, fault: str | None) -> None:
    before = stage.faults()
    assert stage.attack(attack) is True
    if fault is not None:
        stage.wait_for_fault(fault, before)
    stage.check_honest()


@pytest.mark.parametrize(
    ("attack", "fault"),
    [
        ("undecodable_key", "misbehaviour: bad message"),
        ("gossip_that_raises", "blocks gossip handler"),
        ("false_gossip", "misbehaviour: bad message"),
        ("flood_of_topics", None),
    ],
)
def test_a_bad_message_costs_nobody_else_anything(stage: Stage, attack: str, fault: str | None) -> None:
    before = stage.faults()
    assert stage.attack(attack) is False
    if fault is not None:
        stage.wait_for_fault(fault, before)
    stage.check_honest()


def test_requests_that_cannot_be_answered_are_refused(stage: Stage) -> None:
    assert stage.attack("refused_requests") == ["more than 4096 bytes", "unknown kind 77", "internal error", "too slow"]
    assert stage.faults()["raise request"] >= 1
    stage.check_honest()


def test_a_peer_has_so_many_requests_at_once(stage: Stage) -> None:
    assert stage.attack("too_many_requests") == ["16", "busy"]
    stage.check_honest()


def test_three_hundred_connections_one_after_another(stage: Stage) -> None:
    assert stage.attack("many_connections") == 300
    # Each of them found a place that the one before had left.
    assert "connection refused: full" not in stage.faults()
    assert stage.attack("connect") is True
    stage.check_honest()


def test_silent_connections_keep_nobody_out(stage: Stage) -> None:
    stage.attacker.do("hold", what="idle", seed="ee" * 32, address=stage.victim.addresses[0])
    stage.attacker.wait("holding")
    assert stage.attack("connect") is True
    stage.attacker.do("let go")
    stage.check_honest()


def test_a_request_that_is_never_answered_times_out(stage: Stage) -> None:
    seed = "dd" * 32
    stage.victim.drain().clear()
    stage.attacker.do("hold", what="session", seed=seed, address=stage.victim.addresses[0])
    stage.attacker.wait("holding")
    peer = stage.victim.wait("peer", handshake="mallory")["peer"]
    answer = stage.victim.ask("request", "answer", peer=peer, kind=ECHO, deadline=0.5)
    assert answer == {
        "event": "answer", "error": "TimedOut", "message": f"{peer} did not answer echo within 0.5 s",
    }  # fmt: skip
    assert stage.faults()["misbehaviour: slow"] >= 1
    # It does not answer pings either: after three of them it is gone.
    stage.victim.wait("gone", peer=peer)
    stage.attacker.do("let go")
    stage.check_honest()


def test_a_stalled_peer_is_noticed_and_comes_back(stage: Stage, nodes: Nodes) -> None:
    sleepy = nodes.start("sleepy", stage.victim)
    stage.victim.wait("peer", peer=sleepy.peer)
    sleepy.signal(signal.SIGSTOP)
    stage.victim.wait("gone", peer=sleepy.peer)
    stage.check_honest()
    sleepy.signal(signal.SIGCONT)
    stage.victim.wait("peer", peer=sleepy.peer)


def test_a_flood_leads_to_a_ban_that_outlasts_a_restart(nodes: Nodes, records: str) -> None:
    options = {"records": records, "rates": {"gossip_rate": [50, 1_000_000, 1]}}
    victim = nodes.start("victim", **options)
    honest = nodes.start("honest", victim)
    honest.wait("peer", peer=victim.peer)
    attacker = nodes.begin("attacker.py")

    def attack(name: str, of: Child) -> object:
        attacker.do("attack", name=name, seed="cc" * 32, address=of.addresses[0])
        return attacker.wait("done", name=name)["result"]

    # The first time it is disconnected; its score and its budget are as they were when it comes back.
    assert attack("flood", victim) is True
    status = victim.ask("status", "status")
    assert status["peers"] == [honest.peer]
    assert 2 <= status["faults"]["misbehaviour: flood"] <= 3
    assert attack("connect", victim) is True
    assert attack("flood", victim) is True
    assert victim.ask("status", "status")["faults"]["misbehaviour: flood"] >= 4
    assert attack("connect", victim) is False
    answer = honest.ask("request", "answer", peer=victim.peer, kind=ECHO, payload="01")
    assert answer["start"] == "01"

    # A ban is saved at once: it outlasts a kill too.
    until = time.monotonic() + DEADLINE
    while '"bans": 1' not in Path(records).read_text():
        assert time.monotonic() < until
        victim.ask("status", "status")
    victim.signal(signal.SIGKILL)
    victim = nodes.start("victim", **options)
    assert attack("connect", victim) is False
    assert victim.ask("status", "status")["faults"]["connection refused: banned"] >= 1
