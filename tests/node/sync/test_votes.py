"""Votes in gossip: what is passed on, what is dropped, and what is held against whoever sent it."""

from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from node.sync.votes import VoteExchange, decode_votes, encode_votes
from node.vote_pool import Wanted
from node.witness import Witness
from p2p.network import Misbehaviour, PeerId, Verdict
from pallets.finality.config import MAX_VOTES
from pallets.finality.storage import OPEN
from pallets.finality.votes import CheckpointId, Vote
from runtime.interface.state import StateReader
from runtime.primitives import Hash, Slot
from runtime.scale import ScaleError
from tests.node.sync.peers import FakeNetwork
from tests.support.ring_nodes import GENESIS_SLOT, RingNode
from tests.support.voting_chain import signed_vote

PEER = PeerId("peer")
FIRST_EPOCH = GENESIS_SLOT // 10


async def silent(_peer: PeerId, _kind: int, _payload: bytes, _deadline: float) -> bytes:
    raise AssertionError("nobody is asked")


class Gossip:
    """A node whose best block follows the first checkpoint, and what it makes of votes."""

    def __init__(self, epoch: int = FIRST_EPOCH + 1) -> None:
        self.node = RingNode()
        for slot in range(1, 13):
            self.node.block(slot)
        self.witness = Witness(self.node.chain.runtime, self.node.spec.rules)
        self.heard: list[Vote] = []
        self.network = FakeNetwork(silent)
        network: Any = self.network
        self.slot = Slot(epoch * 10)
        self.votes = VoteExchange(self.node.chain, self.witness, network, lambda: self.slot, self.heard.append)

    def vote(self, name: str, epoch: int = FIRST_EPOCH + 1, variant: int | None = None) -> Vote:
        checkpoint = OPEN.find(self.node.chain.snapshot.state, FIRST_EPOCH + 1)
        assert checkpoint is not None
        target = checkpoint.hash if variant is None else Hash(bytes([variant]) * 32)
        return signed_vote(name, checkpoint.source, CheckpointId(epoch, target), self.node.chain.genesis)

    def verdict(self, *votes: Vote, attempt: int = 0) -> Verdict:
        return self.verdict_of(encode_votes(votes, attempt))

    def verdict_of(self, payload: bytes) -> Verdict:
        return trio.run(self.votes.on_gossip, payload, PEER)


def test_a_vote_is_passed_on_once_and_again_when_it_is_said_again() -> None:
    gossip = Gossip()
    vote = gossip.vote("Alice")
    assert gossip.verdict(vote) is Verdict.ACCEPT
    assert gossip.heard == [vote]
    assert gossip.witness.knows(vote)
    assert gossip.verdict(vote, attempt=1) is Verdict.IGNORE, "by somebody else, as its voter waits"
    gossip.slot = Slot(gossip.slot + 5)
    assert gossip.verdict(vote, attempt=2) is Verdict.ACCEPT, "for those who have missed it"
    assert gossip.heard == [vote], "this node has not"


def test_a_vote_that_the_chain_has_is_not_passed_on_any_more() -> None:
    gossip = Gossip()
    vote = gossip.vote("Alice")
    gossip.verdict(vote)
    gossip.node.voters = ("Alice",)
    gossip.node.block(13)
    assert gossip.verdict(vote, attempt=1) is Verdict.IGNORE


def test_a_false_signature_is_held_against_the_peer() -> None:
    gossip = Gossip()
    forged = replace(gossip.vote("Alice"), voter=gossip.vote("Bob").voter)
    assert gossip.verdict(forged) is Verdict.REJECT
    other_chain = signed_vote("Bob", forged.source, forged.target, Hash(bytes(32)))
    assert gossip.verdict(other_chain) is Verdict.REJECT
    assert gossip.heard == []


def test_strangers_the_past_and_the_future_are_dropped() -> None:
    gossip = Gossip()
    assert gossip.verdict(gossip.vote("Eve")) is Verdict.IGNORE
    assert gossip.verdict(gossip.vote("Alice", FIRST_EPOCH)) is Verdict.IGNORE
    assert gossip.verdict(gossip.vote("Alice", FIRST_EPOCH + 3)) is Verdict.IGNORE
    assert gossip.heard == []
    assert gossip.verdict(gossip.vote("Alice", FIRST_EPOCH + 2)) is Verdict.ACCEPT, "a clock may be ahead of ours"


def test_the_first_contradiction_is_passed_on_as_evidence_and_no_other() -> None:
    gossip = Gossip()
    assert gossip.verdict(gossip.vote("Alice")) is Verdict.ACCEPT
    assert gossip.verdict(gossip.vote("Alice", variant=1)) is Verdict.ACCEPT
    assert gossip.verdict(gossip.vote("Alice", variant=2)) is Verdict.IGNORE


def test_a_message_with_something_new_in_it_is_passed_on() -> None:
    gossip = Gossip()
    old, new = gossip.vote("Bob"), gossip.vote("Bob", FIRST_EPOCH + 2)
    assert gossip.verdict(old) is Verdict.ACCEPT
    assert gossip.verdict(gossip.vote("Bob", FIRST_EPOCH), old, new) is Verdict.ACCEPT
    assert gossip.heard == [old, new]


def test_one_vote_is_passed_on_once_in_four_slots_whatever_it_comes_in() -> None:
    gossip = Gossip()
    alice, old = gossip.vote("Alice"), gossip.vote("Alice", FIRST_EPOCH)
    payloads = [encode_votes(votes, attempt) for attempt in range(256) for votes in ((alice,), (old, alice))]

    async def passed_on() -> int:
        return [await gossip.votes.on_gossip(payload, PEER) for payload in payloads].count(Verdict.ACCEPT)

    async def main() -> None:
        for _ in range(3):
            assert await passed_on() == 1
            gossip.slot = Slot(gossip.slot + 4)

    trio.run(main)


def test_so_many_messages_without_news_are_passed_on() -> None:
    """Everybody's votes, one by one: honest peers that pass them on must not look like a flood."""
    gossip = Gossip()
    votes = [gossip.vote("Alice", FIRST_EPOCH + 1, variant=None)]
    gossip.slot = Slot((FIRST_EPOCH + 700) * 10)
    votes += [gossip.vote("Alice", FIRST_EPOCH + number) for number in range(2, 602)]

    async def passed_on() -> int:
        return [await gossip.votes.on_gossip(encode_votes((vote,), 0), PEER) for vote in votes].count(Verdict.ACCEPT)

    async def main() -> None:
        assert await passed_on() == len(votes), "they are news"
        gossip.slot = Slot(gossip.slot + 5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("node.sync.votes.is_counted", lambda *_: False)
            assert await passed_on() == 500
            gossip.slot = Slot(gossip.slot + 5)
            await trio.sleep(2)
            assert await passed_on() == 200

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_votes_of_strangers_are_not_decoded_and_cost_their_bearer_something(monkeypatch: pytest.MonkeyPatch) -> None:
    gossip = Gossip()
    monkeypatch.setattr("node.sync.votes.VOTE", None)
    votes = tuple(gossip.vote("Eve", FIRST_EPOCH + number) for number in range(MAX_VOTES))

    async def main() -> None:
        for attempt in range(100):
            assert await gossip.votes.on_gossip(encode_votes(votes, attempt), PEER) is Verdict.IGNORE
        assert gossip.network.reports == [], "a node that is behind does not know all voters"
        for attempt in range(100, 256):
            await gossip.votes.on_gossip(encode_votes(votes, attempt), PEER)
        assert gossip.network.reports == [(PEER, Misbehaviour.USELESS)], "once a second"

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_who_may_vote_is_read_once_for_each_head(monkeypatch: pytest.MonkeyPatch) -> None:
    gossip, reads = Gossip(), []
    by = Wanted.by

    def counted(state: StateReader) -> Wanted:
        reads.append(state)
        return by(state)

    monkeypatch.setattr(Wanted, "by", counted)
    for attempt in range(20):
        gossip.verdict(gossip.vote("Eve"), attempt=attempt)
    assert len(reads) == 1
    gossip.node.block(13)
    gossip.verdict(gossip.vote("Eve"))
    assert len(reads) == 2


def test_votes_of_two_voters_or_out_of_order_are_held_against_the_peer() -> None:
    gossip = Gossip()
    alice, later = gossip.vote("Alice"), gossip.vote("Alice", FIRST_EPOCH + 2)
    for votes, message in (
        ((alice, gossip.vote("Bob", FIRST_EPOCH + 2)), "votes of two voters are in one message"),
        ((later, alice), "the votes do not ascend"),
        ((alice, alice), "the votes do not ascend"),
    ):
        with pytest.raises(ScaleError, match=f"^{message}$"):
            decode_votes(encode_votes(votes, 0))
        assert gossip.verdict(*votes) is Verdict.REJECT


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "the message is empty"),
        (b"\0\0", "there is not a single vote"),
        (b"\0", "Vec<\\[u8; 176\\]> at offset 0 needs 1 byte, none is left"),
        (bytes(22_532), "a message with votes has 22531 bytes at most, this one has 22532"),
    ],
)
def test_what_is_no_message(payload: bytes, message: str) -> None:
    with pytest.raises(ScaleError, match=f"^{message}$"):
        decode_votes(payload)
    assert Gossip().verdict_of(payload) is Verdict.REJECT


@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_refused(payload: bytes) -> None:
    try:
        votes = decode_votes(payload)
    except ScaleError:
        return
    assert encode_votes(votes, payload[0]) == payload


def test_the_longest_message_fits() -> None:
    gossip = Gossip()
    vote = gossip.vote("Alice")
    votes = tuple(gossip.vote("Alice", FIRST_EPOCH + number) for number in range(MAX_VOTES))
    assert decode_votes(encode_votes(votes, 300)) == votes
    assert len({encode_votes((vote,), attempt) for attempt in range(5)}) == 5, "gossip hands the same on once only"
