"""What the calls of a ring are charged: by what they have to read, search and count."""

from dataclasses import replace

import pytest

from pallets.finality import checkpoints
from pallets.finality.calls import contradiction_call, votes_call
from pallets.finality.votes import CheckpointId
from pallets.producers.calls import equivocation_call
from pallets.producers.claim import claim_digest
from pallets.producers.storage import RING
from pallets.producers.turns import slot_start, turn_of
from runtime.executive import BlockExecution
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.weights import MICROSECOND
from runtime.primitives import Hash, Slot
from tests.support.events import all_events
from tests.support.ring_chain import DURATION
from tests.support.small_chain import LIMITS, remark
from tests.support.voting_chain import VotingChain, bare, signed_vote

BASE = 70
TIME = BASE + 10


def charged(chain: VotingChain) -> list[float]:
    """Return the weights of the head's extrinsics behind the time, in microseconds."""
    ended = [fields["dispatch_info"] for _, _, name, fields in all_events(chain) if name == "ExtrinsicSuccess"]
    return [info.weight.ref_time / MICROSECOND for info in ended][1:]


def begun(chain: VotingChain, slot: int) -> BlockExecution:
    """Begin the block of a slot, by whose turn it is."""
    digest = claim_digest(Slot(slot), turn_of(RING.get(chain.state), Slot(slot)))
    execution = chain.runtime.open_block(chain.state, chain.head, chain.view, digest)
    execution.apply_inherents({"milliseconds": slot_start(Slot(slot), DURATION)})
    return execution


def test_votes_are_charged_for_each_and_for_the_voters_of_each_checkpoint() -> None:
    chain = VotingChain()
    chain.run(11, voters=())
    chain.run(21, voters=())
    chain.step(22, voters=("Alice",))
    one_voter_two_checkpoints = BASE + 50 + 2 * 90 + 2 * 3 * 0.05
    assert charged(chain) == pytest.approx([one_voter_two_checkpoints])
    chain.step(23, voters=chain.members)
    assert charged(chain) == pytest.approx([BASE + 50 + 4 * 90 + 2 * 3 * 0.05])


def test_votes_that_make_something_final_are_charged_for_each_checkpoint_that_is_open_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = BASE + 50 + 3 * 90 + 3 * 0.05

    def after_a_stall() -> list[float]:
        """Three checkpoints without votes, votes for the fourth and the fifth: all up to the fourth are passed."""
        chain = VotingChain()

        def cast(epoch: int) -> None:
            votes = sorted((chain.vote(name, epoch) for name in chain.members), key=lambda vote: vote.order)
            chain.step(chain.slot + 1, bare(votes_call(votes)))

        chain.run(42, voters=())
        cast(4)
        assert charged(chain) == pytest.approx([usual]), "nothing is final by that"
        chain.run(52, voters=())
        cast(5)
        assert (chain.justified, chain.finalized) == (5, 4)
        return charged(chain)

    assert after_a_stall() == pytest.approx([usual + 4 * 20])
    monkeypatch.setattr(checkpoints, "MOST_CHARGED_REMOVALS", 3)
    assert after_a_stall() == pytest.approx([usual + 3 * 20]), "a stall can end however long it was"


def test_votes_in_a_handover_are_charged_for_both_sets() -> None:
    chain = VotingChain()
    chain.run(12)
    chain.step(13, chain.leave("Charlie"))
    chain.run_epochs(1, voters=())
    assert chain.voters == (["Alice", "Bob", "Charlie"], ["Alice", "Bob"])
    chain.step(chain.next_slot(chain.ring), voters=chain.members)
    assert charged(chain) == pytest.approx([BASE + 50 + 3 * 90 + (3 + 2) * 0.3 + 20])


def test_joining_and_leaving_are_charged_for_those_who_wait() -> None:
    chain = VotingChain()
    chain.run(12, voters=())
    chain.step(13, chain.join("Dave"))
    assert charged(chain) == pytest.approx([BASE + 100])
    chain.step(14, chain.join("Eve"))
    assert charged(chain) == pytest.approx([BASE + 100 + 0.4])
    chain.step(15, chain.leave("Dave"), chain.leave("Alice"))
    assert charged(chain) == pytest.approx([BASE + 50 + 2 * 0.4, BASE + 50 + 0.4])


def test_reports_are_charged_for_their_length_and_for_those_who_wait() -> None:
    chain = VotingChain()
    chain.run(12, voters=())
    chain.step(13, chain.join("Dave"))
    other = chain.sign("Dave", remark(b"other"))
    first, second = (chain.sealed(chain.build_in(14, *raws).block).header for raws in ((), (other,)))
    length = len(first.encode()) + len(second.encode())
    at, elsewhere = (CheckpointId(1, Hash(bytes([number]) * 32)) for number in (1, 2))
    votes = [signed_vote("Alice", CheckpointId(0, chain.genesis), target, chain.genesis) for target in (at, elsewhere)]
    chain.step(15, bare(equivocation_call(first, second)), bare(contradiction_call(votes[0], votes[1])))
    assert charged(chain) == pytest.approx([BASE + 350 + length * 0.007 + 0.4, BASE + 300 + 0.4])


def test_votes_that_weigh_more_than_a_block_leave_it_as_if_they_had_not_been_tried() -> None:
    """The voters of a checkpoint count beside what transactions weigh, but they have a bound as well."""
    needed = 3 * 50_000
    chain = VotingChain(limits=replace(LIMITS, weight=needed - 1))
    chain.run(11, voters=())
    call = chain.runtime.prepare(bare(votes_call([chain.vote("Alice")])))
    execution = begun(chain, 12)
    with pytest.raises(InvalidTransaction) as caught:
        execution.apply(call)
    assert caught.value.reason is InvalidReason.EXHAUSTS_RESOURCES
    assert execution.mandatory_weight == TIME * MICROSECOND
    assert execution.finalize(chain.trie).block == chain.begin_and_end(12).block

    chain = VotingChain(limits=replace(LIMITS, weight=needed))
    chain.run(11, voters=())
    execution = begun(chain, 12)
    assert execution.apply(chain.runtime.prepare(bare(votes_call([chain.vote("Alice")])))) is None
    assert execution.mandatory_weight == (TIME + BASE + 50 + 90) * MICROSECOND + needed
    assert execution.weight == 0, "transactions have no less room for that"
