"""Real nodes on loopback: connecting, asking, gossiping, parting."""

import os
import signal
import time
from typing import Any

import pytest

from tests.p2p.children import DEADLINE, Child
from tests.p2p.conftest import Nodes

ECHO, MISSING, RAISE, SLEEP, LARGE = 1, 2, 3, 4, 5

pytestmark = pytest.mark.full


def test_two_nodes_meet_talk_and_part(nodes: Nodes) -> None:
    alice = nodes.start("alice", handshake="I am Alice")
    bob = nodes.start("bob", alice, handshake="I am Bob")
    assert alice.wait("peer") == {"event": "peer", "peer": bob.peer, "outbound": False, "handshake": "I am Bob"}
    assert bob.wait("peer") == {"event": "peer", "peer": alice.peer, "outbound": True, "handshake": "I am Alice"}

    # Requests in both directions over the one stream.
    assert alice.ask("request", "answer", peer=bob.peer, kind=ECHO, payload="0102") == {
        "event": "answer", "size": 2, "start": "0102",
    }  # fmt: skip
    assert bob.ask("request", "answer", peer=alice.peer, kind=LARGE, payload="0f4240")["size"] == 1_000_000
    assert bob.ask("request", "answer", peer=alice.peer, kind=ECHO, payload=b"refuse".hex()) == {
        "event": "answer", "error": "Refused", "message": "no such block",
    }  # fmt: skip
    assert bob.ask("request", "answer", peer=alice.peer, kind=LARGE, payload="ff" * 101) == {
        "event": "answer", "error": "TooLarge", "message": "a large request of 101 bytes, 100 are allowed",
    }  # fmt: skip

    alice.do("publish", topic="blocks", payload="ab" * 40)
    assert bob.wait("gossip") == {
        "event": "gossip", "topic": "blocks", "size": 40, "start": "ab" * 32, "peer": alice.peer,
    }  # fmt: skip

    # Parted without blame, Bob comes back.
    alice.do("disconnect", peer=bob.peer)
    alice.wait("gone", peer=bob.peer)
    bob.wait("gone", peer=alice.peer)
    alice.wait("peer", peer=bob.peer)
    bob.wait("peer", peer=alice.peer)

    bob.signal(signal.SIGKILL)
    alice.wait("gone", peer=bob.peer)
    assert alice.ask("request", "answer", peer=bob.peer, kind=ECHO) == {
        "event": "answer", "error": "PeerGone", "message": f"{bob.peer} is not connected",
    }  # fmt: skip
    assert alice.stop() == 0
    assert alice.errors == []


def test_nodes_of_another_chain_and_refused_ones_stay_away(nodes: Nodes) -> None:
    alice = nodes.start("alice")
    stranger = nodes.start("stranger", alice, genesis="bb" * 32)
    unwanted = nodes.start("unwanted", alice, handshake="refuse me")
    bob = nodes.start("bob", alice)
    alice.wait("peer", peer=bob.peer)
    bob.wait("peer", peer=alice.peer)
    assert alice.ask("status", "status")["peers"] == [bob.peer]
    assert stranger.ask("status", "status")["peers"] == []
    # It is told so, but what its own side took for a connection may have lasted a moment.
    assert unwanted.ask("request", "answer", peer=alice.peer, kind=ECHO)["error"] == "PeerGone"
    assert bob.ask("request", "answer", peer=alice.peer, kind=ECHO, payload="07")["start"] == "07"


def test_peers_tell_of_one_another_and_both_dial_at_once(nodes: Nodes) -> None:
    """Bob and Carol know Alice only; they hear of each other from her, and keep one connection."""
    alice = nodes.start("alice", timing={"exchange": 0.5})
    bob = nodes.start("bob", alice)
    carol = nodes.start("carol", alice)
    bob.wait("peer", peer=carol.peer)
    carol.wait("peer", peer=bob.peer)
    assert echo(bob, carol, "01") == "01"
    assert echo(carol, bob, "02") == "02"


def echo(asking: Child, asked: Child, payload: str) -> object:
    """What comes back; what is asked on the one of two connections that is closed is asked again on the other."""
    until = time.monotonic() + DEADLINE
    while (answer := asking.ask("request", "answer", peer=asked.peer, kind=ECHO, payload=payload)).get("error"):
        assert answer["error"] == "PeerGone", answer
        assert time.monotonic() < until, answer
    return answer["start"]


def test_a_port_that_is_taken_is_named_before_anything_starts(nodes: Nodes) -> None:
    alice = nodes.start("alice")
    address = alice.addresses[0].split("/p2p/")[0]
    second = nodes.begin("node.py", {"seed": "22" * 32, "listen": [address]})
    assert second.wait("in use") == {"event": "in use", "message": f"{address} is in use"}
    assert second.stop() == 4


def test_a_verdict_that_does_not_come_holds_up_nothing(nodes: Nodes) -> None:
    alice = nodes.start("alice", timing={"verdict": 1.0})
    bob = nodes.start("bob", alice)
    bob.wait("peer", peer=alice.peer)
    # What is published before each knows what the other listens to is lost.
    until = time.monotonic() + DEADLINE
    while alice.find(("hanging", {"peer": bob.peer}), within=0.5) is None:
        assert time.monotonic() < until
        bob.do("publish", topic="blocks", payload=b"hang".hex())
    bob.do("publish", topic="blocks", payload="01")
    assert alice.wait("gossip", start="01")["peer"] == bob.peer
    assert bob.ask("request", "answer", peer=alice.peer, kind=ECHO, payload="02")["start"] == "02"
    while not alice.ask("status", "status")["faults"].get("gossip verdict too late"):
        assert time.monotonic() < until + DEADLINE
    # Late is not false: nobody is blamed.
    assert "misbehaviour: bad message" not in alice.ask("status", "status")["faults"]


def test_places_are_limited(nodes: Nodes) -> None:
    alice = nodes.start("alice", limits={"in_peers": 1})
    bob = nodes.start("bob", alice)
    bob.wait("peer", peer=alice.peer)
    carol = nodes.start("carol", alice, timing={"dial_backoff_limit": 0.2})
    # When Bob has gone his place is free.
    assert carol.ask("status", "status")["peers"] == []
    bob.signal(signal.SIGKILL)
    carol.wait("peer", peer=alice.peer)


def test_mdns_finds_nodes_of_the_chain(nodes: Nodes) -> None:
    # A chain of this test's own: others may be running on this machine.
    options: dict[str, Any] = {"mdns": True, "listen": ["/ip4/0.0.0.0/tcp/0"], "genesis": os.urandom(32).hex()}
    alice = nodes.start("alice", **options)
    stranger = nodes.start("stranger", **{**options, "genesis": os.urandom(32).hex()})
    bob = nodes.start("bob", **options)
    alice.wait("peer", peer=bob.peer)
    bob.wait("peer", peer=alice.peer)
    assert stranger.ask("status", "status")["peers"] == []
