"""Checkpoints and votes in whole blocks: what counts, what is justified, what is final, and what is refused."""

from dataclasses import replace

import pytest

from pallets.finality.calls import votes_call
from pallets.finality.config import MAX_VOTES
from pallets.finality.storage import FINALIZED, IS_CHECKPOINT, JUSTIFIED, LATEST, OPEN, VOTER_SETS, WEIGHT
from pallets.finality.votes import Checkpoint, CheckpointId, Vote
from pallets.producers.storage import RING
from runtime.interface.errors import BlockFault, InvalidBlock, InvalidReason, InvalidTransaction
from runtime.primitives import BlockNumber, Hash
from runtime.trie import ordered_root
from tests.support.events import all_events
from tests.support.small_chain import PAIRS, SmallChain
from tests.support.voting_chain import QUICK, VotingChain, bare, signed_vote


def events(chain: VotingChain) -> list[str]:
    return [name for _, pallet, name, _ in all_events(chain) if pallet == "Finality"]


def refused(chain: VotingChain, *votes: Vote) -> str:
    """Why no block may include votes: its author leaves them out, and nobody executes it."""
    raw = bare(votes_call(votes))
    slot = chain.slot + 1
    execution = chain.begin_and_end(slot)
    body = (execution.block.extrinsics[0], raw)
    block = replace(
        execution.block,
        header=replace(execution.block.header, extrinsics_root=ordered_root(body)),
        extrinsics=body,
    )
    with pytest.raises(InvalidBlock) as invalid:
        chain.execute(block)
    with pytest.raises(InvalidTransaction) as caught:
        chain.begin_and_end(slot, raw)
    assert caught.value.reason is InvalidReason.BAD_CALL
    assert invalid.value.fault is BlockFault.BAD_EXTRINSIC
    assert invalid.value.detail == f"extrinsic 1: {caught.value.text}"
    return caught.value.text


# Checkpoints


def test_a_checkpoint_is_the_first_block_of_an_epoch() -> None:
    chain = VotingChain()
    checkpoints = []
    for slot in (3, 9, 10, 11, 19, 25, 29, 51, 52, 60):
        chain.step(slot)
        if IS_CHECKPOINT.get(chain.state):
            checkpoints.append(slot)
    assert checkpoints == [10, 25, 51, 60], "epoch 0 is that of block 0, epochs 3 and 4 are empty"


def test_block_0_is_justified_and_final_from_the_first_block_on() -> None:
    chain = VotingChain()
    assert (JUSTIFIED.find(chain.state), FINALIZED.find(chain.state)) == (None, None)
    chain.step(1)
    root = Checkpoint(0, BlockNumber(0), chain.genesis)
    assert JUSTIFIED.find(chain.state) == FINALIZED.find(chain.state) == root


def test_a_checkpoint_is_open_from_its_child_on() -> None:
    chain = VotingChain()
    chain.step(9)
    chain.step(10)
    assert OPEN.find(chain.state, 1) is None, "nobody knows its hash yet"
    hash_ = chain.head.hash
    chain.step(11)
    checkpoint = OPEN.find(chain.state, 1)
    assert checkpoint is not None
    assert (checkpoint.number, checkpoint.hash, checkpoint.votes) == (2, hash_, b"\0")
    assert checkpoint.source == CheckpointId(0, chain.genesis)
    assert LATEST.get(chain.state) == 1


def test_a_checkpoint_whose_child_is_one_too_is_open_as_well() -> None:
    chain = VotingChain()
    for slot in (9, 10, 20, 21):
        chain.step(slot)
    first, second = OPEN.find(chain.state, 1), OPEN.find(chain.state, 2)
    assert first is not None
    assert second is not None
    assert (first.number, second.number, second.previous) == (2, 3, 1)


# W3: justified, final


def test_a_quorum_justifies_and_the_next_one_makes_it_final() -> None:
    chain = VotingChain()
    chain.step(9)
    chain.step(10)
    first = chain.head
    chain.step(11, voters=("Alice", "Bob"))
    assert (chain.justified, chain.finalized) == (0, 0), "two of three are not more than two thirds"
    chain.step(12, voters=("Charlie",))
    assert (chain.justified, chain.finalized) == (1, 0)
    assert JUSTIFIED.find(chain.state) == Checkpoint(1, first.number, first.hash)
    assert events(chain) == ["CheckpointJustified"]
    chain.step(20)
    chain.step(21, voters=chain.members)
    assert (chain.justified, chain.finalized) == (2, 1)
    assert FINALIZED.find(chain.state) == Checkpoint(1, first.number, first.hash)
    assert events(chain) == ["CheckpointJustified", "CheckpointFinalized"]
    assert [epoch for epoch, _ in OPEN.items(chain.state)] == [2], "what is final is open no more"


def test_a_source_of_an_earlier_epoch_is_not_made_final() -> None:
    chain = VotingChain()
    chain.run(19)
    assert chain.justified == 1
    chain.run(31, voters=())
    chain.step(32, voters=())
    votes = [chain.vote(name, 3) for name in ("Alice", "Bob", "Charlie")]
    chain.step(33, bare(votes_call(sorted(votes, key=lambda vote: vote.order))))
    assert (chain.justified, chain.finalized) == (3, 0), "the step from 1 to 3 makes nothing final"
    chain.run(42)
    assert (chain.justified, chain.finalized) == (4, 3)


def test_an_empty_epoch_puts_finality_off() -> None:
    chain = VotingChain()
    chain.run(19)
    chain.step(31)
    chain.run(39)
    assert (chain.justified, chain.finalized) == (3, 0)
    chain.run(49)
    assert (chain.justified, chain.finalized) == (4, 3)


def test_an_older_checkpoint_justified_late_does_not_lower_the_highest() -> None:
    chain = VotingChain(members=("Alice", "Bob", "Charlie", "Dave"))
    chain.run(12, voters=("Alice", "Bob"))
    chain.run(22, voters=())
    last = [chain.vote(name, 2) for name in ("Alice", "Bob", "Charlie")]
    chain.step(23, bare(votes_call(sorted(last, key=lambda vote: vote.order))))
    assert (chain.justified, chain.finalized) == (2, 0)
    chain.step(24, bare(votes_call([chain.vote("Charlie", 1)])))
    assert events(chain) == ["CheckpointJustified"]
    assert (chain.justified, chain.finalized) == (2, 0), "the votes for 2 start from 0"


def test_one_voter_finalizes_alone() -> None:
    chain = VotingChain(members=("Alice",))
    chain.run(45)
    assert (chain.justified, chain.finalized) == (4, 3)


@pytest.mark.parametrize(("present", "expected"), [(4, 8), (3, 8), (2, 0)])
def test_four_voters_tolerate_one(present: int, expected: int) -> None:
    members = ("Alice", "Bob", "Charlie", "Dave")
    chain = VotingChain(members=members, rules=replace(QUICK, leak_checkpoints=99, bar_epochs=99))
    chain.run(99, voters=members[:present])
    assert chain.finalized == expected


def test_votes_come_late_and_count_nevertheless() -> None:
    chain = VotingChain()
    chain.run(99, voters=("Alice", "Bob"))
    assert chain.justified == 0
    chain.step(100, voters=("Charlie",))
    assert chain.justified == 9
    assert chain.finalized == 0, "all votes start from block 0"
    chain.run(123)
    assert chain.finalized == 11
    assert [epoch for epoch, _ in OPEN.items(chain.state)] == [12]


def test_what_is_kept_does_not_grow_with_the_chain() -> None:
    chain = VotingChain()
    chain.run(60)
    before = len(chain.state.entries)
    chain.run(160)
    # One hash of a block each, and an account or two.
    assert len(chain.state.entries) - before <= 101
    assert len(list(VOTER_SETS.items(chain.state))) == 1


# W2: which votes a block may include


@pytest.fixture
def chain() -> VotingChain:
    """Epoch 1 is justified, the checkpoint of epoch 2 has a child and no votes."""
    chain = VotingChain()
    chain.run(19)
    chain.step(20)
    chain.step(21)
    assert (chain.justified, chain.finalized) == (1, 0)
    return chain


def test_a_vote_for_what_is_no_checkpoint_of_this_chain(chain: VotingChain) -> None:
    good = chain.vote("Alice")
    for target in (
        CheckpointId(2, chain.head.hash),
        CheckpointId(3, good.target.hash),
        CheckpointId(0, chain.genesis),
    ):
        vote = signed_vote("Alice", good.source, target, chain.genesis)
        assert refused(chain, vote) == "Finality.cast_votes failed: UnknownTarget"


def test_a_vote_for_what_is_final_already(chain: VotingChain) -> None:
    late = chain.vote("Alice", 1)
    chain.run(29)
    assert chain.finalized == 1
    assert refused(chain, late) == "Finality.cast_votes failed: UnknownTarget"


def test_a_vote_from_another_source_than_the_highest_justified(chain: VotingChain) -> None:
    target = chain.vote("Alice").target
    for source in (CheckpointId(0, chain.genesis), CheckpointId(1, Hash(bytes(32))), target):
        vote = signed_vote("Alice", source, target, chain.genesis)
        assert refused(chain, vote) == "Finality.cast_votes failed: WrongSource"


def test_a_vote_of_somebody_else(chain: VotingChain) -> None:
    assert refused(chain, chain.vote("Dave")) == "Finality.cast_votes failed: NoVoter"


def test_a_vote_counts_once(chain: VotingChain) -> None:
    alice, bob = chain.vote("Alice"), chain.vote("Bob")
    chain.step(22, bare(votes_call([alice])))
    assert refused(chain, alice) == "Finality.cast_votes failed: AlreadyCounted"
    descending = sorted((bob, chain.vote("Charlie")), key=lambda vote: vote.order, reverse=True)
    for votes in ((bob, bob), descending):
        assert refused(chain, *votes) == "Finality.cast_votes failed: VotesOutOfOrder"


def test_a_vote_that_the_voter_has_not_signed(chain: VotingChain) -> None:
    vote = replace(chain.vote("Alice"), voter=PAIRS["Bob"].public)
    assert refused(chain, vote) == "Finality.cast_votes failed: BadSignature"
    other_chain = signed_vote("Alice", vote.source, vote.target, Hash(bytes(32)))
    assert refused(chain, other_chain) == "Finality.cast_votes failed: BadSignature"


def test_no_votes_are_no_extrinsic(chain: VotingChain) -> None:
    assert refused(chain) == "Finality.cast_votes failed: NoVotes"


def test_votes_of_one_block_are_bounded() -> None:
    vote = signed_vote("Alice", CheckpointId(0, Hash(bytes(32))), CheckpointId(1, Hash(bytes(32))), Hash(bytes(32)))
    votes_call([vote] * MAX_VOTES)
    with pytest.raises(ValueError, match=r"^Vec<Vote> has length 129, at most 128 is allowed$"):
        votes_call([vote] * (MAX_VOTES + 1))
    raw = bytes((6, 0)) + bytes((129 << 2 & 255 | 1, 129 >> 6)) + votes_call([vote])[3:] * 129
    with pytest.raises(InvalidTransaction, match=r"Vec<Vote> at offset 2 has length 129, at most 128 is allowed$"):
        VotingChain().runtime.prepare(bare(raw))


def test_nobody_signs_for_the_call(chain: VotingChain) -> None:
    raw = chain.sign("Alice", votes_call([chain.vote("Alice")]))
    outcome = chain.step(22, raw)
    assert [error.name for error in outcome.errors if error is not None] == ["BadOrigin"]
    assert chain.justified == 1


def test_one_bad_vote_spoils_all(chain: VotingChain) -> None:
    votes = sorted((chain.vote("Alice"), chain.vote("Bob"), chain.vote("Dave")), key=lambda vote: vote.order)
    assert refused(chain, *votes) == "Finality.cast_votes failed: NoVoter"


# Weights (F2)


def test_a_block_weighs_one_and_the_voters_in_its_parents_ring() -> None:
    chain = VotingChain()
    weights = []
    for slot in range(1, 5):
        chain.step(slot)
        weights.append(WEIGHT.get(chain.state))
    assert weights == [4, 8, 12, 16]


def test_a_lone_attackers_chain_is_lighter_than_that_of_the_others() -> None:
    members = ("Alice", "Bob", "Charlie", "Dave", "Eve")
    honest = VotingChain(members=members)
    honest.run(200, names=members[:4])
    attacker = VotingChain(members=members)
    attacker.run(200, names=("Eve",))
    assert attacker.ring == ["Eve"]
    assert honest.ring == list(members[:4])
    length = attacker.head.number / honest.head.number
    weight = WEIGHT.get(attacker.state) / WEIGHT.get(honest.state)
    assert length > 0.9, "by length it would be about as good"
    assert weight < 0.5


def test_lapsed_voters_add_no_weight() -> None:
    chain = VotingChain(members=("Alice", "Bob"), rules=replace(QUICK, missed_turns=99))
    chain.run_epochs(4, names=("Alice",))
    before = WEIGHT.get(chain.state)
    chain.step(chain.next_slot(("Alice",)))
    assert WEIGHT.get(chain.state) - before == 3
    chain.run_epochs(2, names=("Alice",))
    before = WEIGHT.get(chain.state)
    chain.step(chain.next_slot(("Alice",)))
    assert WEIGHT.get(chain.state) - before == 2, "Bob has lapsed, but is in the ring"
    assert chain.ring == ["Alice", "Bob"]


# Chains without a ring


def test_without_a_ring_there_are_no_checkpoints_and_nothing_in_the_state() -> None:
    chain = SmallChain()
    chain.block()
    assert [key for key in chain.state.entries if key.startswith((OPEN.prefix[:16], RING.key[:16]))] == []
    vote = signed_vote("Alice", CheckpointId(0, chain.genesis), CheckpointId(1, chain.genesis), chain.genesis)
    with pytest.raises(InvalidTransaction) as caught:
        chain.build(bare(votes_call([vote])))
    assert caught.value.reason is InvalidReason.UNSIGNED
