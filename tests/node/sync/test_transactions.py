"""Transactions in gossip: what goes on as it is, what goes out in a batch of our own, what is held against a peer."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from node.authoring import Bell
from node.executor import InlineExecutor
from node.intake import Intake
from node.pool import TransactionPool
from node.signatures import VerifiedSignatures
from node.sync.peers import PeerStates
from node.sync.transactions import TransactionExchange
from p2p.gossip import join
from p2p.network import Verdict
from runtime.executive import check_signature
from runtime.extrinsic import Extrinsic
from runtime.primitives import AccountId
from tests.node.sync.peers import FakeNetwork
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, submit_rating


async def silent(_peer: str, _kind: int, _payload: bytes, _deadline: float) -> bytes:
    raise AssertionError("nobody is asked")


class Gossip:
    """A node with a pool, what it makes of batches, and what it passes on by itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.pool = NodeChain(), TransactionPool()
        signatures = VerifiedSignatures(check=check_signature)
        intake = Intake(self.node.chain, self.pool, InlineExecutor(), signatures, Bell())
        network: Any = FakeNetwork(silent)
        self.exchange = TransactionExchange(self.node.chain, self.pool, intake, network, PeerStates(), lambda: False)
        self.relayed: list[bytes] = []
        monkeypatch.setattr(self.exchange, "relay", self.relayed.append)

    def verdict(self, *transactions: bytes) -> Verdict:
        self.relayed.clear()
        return trio.run(partial(self.exchange.on_gossip, join(transactions)))

    def signed(self, name: str, item: int = 0, ahead: int = 0) -> bytes:
        return self.node.sign(name, submit_rating(item, 5), ahead)


def forged(raw: bytes, account: AccountId) -> bytes:
    """The same in the name of somebody who has not signed it."""
    extrinsic = Extrinsic.decode(raw)
    signature = extrinsic.signature
    assert signature is not None
    return Extrinsic(replace(signature, account=account), extrinsic.call).encode()


@pytest.fixture
def gossip(monkeypatch: pytest.MonkeyPatch) -> Gossip:
    return Gossip(monkeypatch)


def test_what_is_all_good_goes_on_as_it_is(gossip: Gossip) -> None:
    first, second = gossip.signed("Alice"), gossip.signed("Bob")
    assert gossip.verdict(first) is Verdict.ACCEPT
    assert gossip.verdict(first, second) is Verdict.ACCEPT, "the pool has the first, so it is good"
    assert gossip.relayed == []


def test_nothing_new_stops_here(gossip: Gossip) -> None:
    first = gossip.signed("Alice")
    gossip.verdict(first)
    assert gossip.verdict(first) is Verdict.IGNORE
    assert gossip.relayed == []


def test_a_forged_signature_is_held_against_the_peer(gossip: Gossip) -> None:
    assert gossip.verdict(gossip.signed("Alice"), forged(gossip.signed("Bob"), PAIRS["Charlie"].public)) is (
        Verdict.REJECT
    )


def test_what_is_refused_unproven_does_not_go_on_with_the_rest(gossip: Gossip) -> None:
    """Others, whose pools differ, would find the forged one out and blame us for it."""
    good, bad = gossip.signed("Bob"), forged(gossip.signed("Bob", 1), PAIRS["Alice"].public)
    gossip.verdict(gossip.signed("Alice"))
    assert gossip.verdict(good, bad) is Verdict.IGNORE, "there is one of Alice with this nonce already"
    assert gossip.relayed == [good]
