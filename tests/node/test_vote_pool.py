"""Votes that a node keeps: one a voter and epoch, the first contradiction as evidence, and what blocks may include."""

from dataclasses import replace

import pytest

from node import vote_pool
from node.vote_pool import Added, VotePool, Wanted
from node.voting import is_counted, next_step, sign_vote
from pallets.finality.votes import CheckpointId, Vote
from runtime.primitives import Hash, Slot
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import QUICK, VotingChain, signed_vote

GENESIS = Hash(bytes(32))


def vote(source: int, target: int, variant: int = 0, name: str = "Alice") -> Vote:
    start = CheckpointId(source, Hash(bytes([source]) * 32))
    return signed_vote(name, start, CheckpointId(target, Hash(bytes([target, variant]) * 16)), GENESIS)


def test_one_vote_is_kept_a_voter_and_epoch() -> None:
    pool = VotePool()
    assert pool.add(vote(1, 2)) is Added.NEW
    assert pool.add(vote(1, 2)) is Added.KNOWN
    assert pool.add(vote(1, 2, name="Bob")) is Added.NEW
    assert pool.add(vote(2, 3)) is Added.NEW
    assert len(pool) == 3
    assert pool.find(2, PAIRS["Alice"].public) == vote(1, 2)
    assert pool.find(9, PAIRS["Alice"].public) is None


def test_the_first_contradiction_is_kept_as_evidence_and_no_other() -> None:
    pool = VotePool()
    pool.add(vote(1, 2))
    assert pool.add(vote(1, 2, variant=1)) is Added.EVIDENCE
    assert pool.add(vote(1, 2, variant=2)) is Added.KNOWN
    assert pool.evidence() == [(vote(1, 2), vote(1, 2, variant=1))]
    assert len(pool) == 1
    assert pool.add(vote(2, 3)) is Added.NEW, "its votes count until it is barred"
    pool.drop_evidence(PAIRS["Alice"].public)
    assert pool.evidence() == []
    assert pool.add(vote(1, 2, variant=2)) is Added.EVIDENCE


def test_a_vote_around_another_is_evidence_and_counts_all_the_same() -> None:
    pool = VotePool()
    pool.add(vote(2, 3))
    assert pool.add(vote(1, 4)) is Added.EVIDENCE
    assert pool.evidence() == [(vote(2, 3), vote(1, 4))]
    assert pool.find(4, PAIRS["Alice"].public) == vote(1, 4)


def test_the_pool_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_pool, "MOST_KEPT", 3)
    pool = VotePool()
    for epoch in range(1, 6):
        pool.add(vote(0, epoch))
    assert len(pool) == 3
    assert [epoch for epoch in range(1, 6) if pool.find(epoch, PAIRS["Alice"].public)] == [3, 4, 5]


def test_blocks_get_the_votes_that_they_may_include_in_order() -> None:
    chain = VotingChain()
    chain.run(21, voters=())
    chain.step(22, voters=("Alice",))
    pool = VotePool()
    good = [chain.vote(name, epoch) for epoch in (2, 1) for name in ("Charlie", "Bob")]
    stranger, wrong = chain.vote("Dave", 1), vote(0, 2, name="Alice")
    counted = chain.vote("Alice", 1)
    for one in (*good, stranger, wrong, counted):
        pool.add(one)
    assert pool.includable(chain.state, QUICK) == sorted(good, key=lambda one: one.order)
    chain.run(45)
    assert pool.includable(chain.state, QUICK) == []
    pool.prune(chain.state)
    assert len(pool) == 0


def test_no_more_votes_than_a_block_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_pool, "MAX_VOTES", 4)
    chain = VotingChain()
    chain.run(35, voters=())
    pool = VotePool()
    for epoch in (1, 2, 3):
        for name in ("Alice", "Bob", "Charlie"):
            pool.add(chain.vote(name, epoch))
    found = pool.includable(chain.state, QUICK)
    assert [one.target.epoch for one in found] == [1, 1, 1, 2], "the oldest first: they do not grow less by waiting"


def test_only_voters_are_listened_to_and_nobody_about_the_future() -> None:
    chain = VotingChain()
    chain.run(35)
    wanted, alice, eve = Wanted.by(chain.state), PAIRS["Alice"].public, PAIRS["Eve"].public
    assert wanted.is_of_use(alice, 3, 3)
    assert not wanted.is_of_use(alice, 4, 3)
    assert not wanted.is_of_use(alice, 2, 3), "it is final"
    assert not wanted.is_of_use(eve, 3, 3)


# What to vote for (D1)


def test_a_checkpoint_is_voted_for_once_it_has_a_child() -> None:
    chain = VotingChain()
    chain.run(19)
    alice = PAIRS["Alice"].public
    step = next_step(chain.state, chain.head, alice, Slot(19), QUICK)
    assert step is not None
    assert (step.source.epoch, step.target.epoch) == (0, 1)
    chain.step(20)
    checkpoint = chain.head
    assert next_step(chain.state, checkpoint, alice, Slot(21), QUICK) is None, "nobody has followed it yet"
    step = next_step(chain.state, checkpoint, alice, Slot(22), QUICK)
    assert step is not None
    assert (step.source.epoch, step.target) == (1, CheckpointId(2, checkpoint.hash))
    chain.step(21)
    assert next_step(chain.state, chain.head, alice, Slot(21), QUICK) == step
    signed = sign_vote(step, PAIRS["Alice"], chain.genesis)
    assert signed == chain.vote("Alice")


def test_who_is_no_voter_or_has_lapsed_does_not_vote() -> None:
    chain = VotingChain(members=("Alice", "Bob", "Charlie", "Dave"))
    chain.run(21)
    for child in (False, True):
        assert next_step(chain.state, chain.head, PAIRS["Eve"].public, Slot(99), QUICK) is None, child
        chain.step(chain.slot + 9 if not child else chain.slot + 1)
    rules = replace(QUICK, missed_turns=99)
    chain = VotingChain(members=("Alice", "Bob", "Charlie", "Dave"), rules=rules)
    dave = PAIRS["Dave"].public
    chain.run_epochs(QUICK.lapse_checkpoints - 1, names=("Alice", "Bob", "Charlie"), voters=())
    assert next_step(chain.state, chain.head, dave, Slot(99), QUICK) is not None
    chain.run_epochs(1, names=("Alice", "Bob"), voters=())
    assert next_step(chain.state, chain.head, dave, Slot(99), QUICK) is None


def test_a_young_chain_has_nothing_to_vote_for() -> None:
    chain = VotingChain()
    chain.run(5)
    assert next_step(chain.state, chain.head, PAIRS["Alice"].public, Slot(9), QUICK) is None


def test_a_vote_is_said_again_until_the_chain_has_it() -> None:
    chain = VotingChain()
    chain.run(21, voters=())
    given = chain.vote("Alice")
    assert not is_counted(chain.state, given, QUICK)
    chain.step(22, voters=("Alice",))
    assert is_counted(chain.state, given, QUICK)
