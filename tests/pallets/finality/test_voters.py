"""Who votes: absence, lapse and leak, probation, and the handover in which both sets have to agree."""

from dataclasses import replace

import pytest

from pallets.finality.calls import votes_call
from pallets.finality.digest import CHANGES, Changes, sets_digest
from pallets.finality.storage import LAST_SEEN, OPEN, VOTER_SETS
from pallets.finality.voters import absent, current_voters, wanted
from pallets.producers.storage import MEMBERS, RING, Applicant
from runtime.header import Block, DigestKind
from runtime.interface.errors import InvalidBlock, InvalidTransaction
from tests.support.events import all_events
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import QUICK, VotingChain, accounts, bare, named

FOUR = ("Alice", "Bob", "Charlie", "Dave")
PATIENT = replace(QUICK, missed_turns=99)
"""Nobody loses its place by missed turns."""


def absences(chain: VotingChain) -> dict[str, int]:
    voters = named(current_voters(chain.state).members)
    return {name: absent(chain.state, PAIRS[name].public) for name in sorted(voters)}


def events(chain: VotingChain) -> list[str]:
    return [name for _, pallet, name, _ in all_events(chain) if pallet == "Finality"]


# E1: absence


def test_absence_is_counted_in_checkpoints_not_in_time() -> None:
    chain = VotingChain(members=FOUR, rules=PATIENT)
    chain.run_epochs(1)
    chain.run_epochs(3, names=("Alice", "Bob", "Charlie"))
    assert absences(chain) == {"Alice": 0, "Bob": 0, "Charlie": 0, "Dave": 2}
    chain.step(chain.next_slot(("Alice",), after=chain.slot + 10_000))
    assert absences(chain) == {"Alice": 0, "Bob": 0, "Charlie": 0, "Dave": 3}, "an outage of all is one checkpoint"
    chain.step(chain.next_slot(("Alice",), after=chain.slot + 10_000))
    assert absences(chain) == {"Alice": 0, "Bob": 1, "Charlie": 1, "Dave": 4}


def test_who_makes_a_block_or_votes_is_there() -> None:
    chain = VotingChain(members=FOUR, rules=PATIENT)
    chain.run_epochs(4, names=("Alice", "Bob"), voters=("Charlie",))
    assert absences(chain) == {"Alice": 0, "Bob": 0, "Charlie": 0, "Dave": 4}
    chain.step(chain.next_slot(("Dave",)))
    chain.run_epochs(1, names=("Alice", "Bob"), voters=())
    assert absences(chain)["Dave"] == 0


def test_a_lapsed_voter_cannot_vote_and_is_not_seen_any_more() -> None:
    two = FOUR[:2]
    chain = VotingChain(members=FOUR, rules=PATIENT)
    chain.run_epochs(4, names=two)
    assert absences(chain)["Dave"] == 4
    on_time = chain.vote("Dave")
    chain.run_epochs(1, names=two)
    assert absences(chain)["Dave"] == QUICK.lapse_checkpoints
    late = chain.vote("Dave")
    execution = chain.begin_and_end(chain.next_slot(two), voters=("Dave",))
    assert len(execution.block.extrinsics) == 1
    assert on_time.target != late.target
    chain.step(chain.next_slot(("Dave",)))
    chain.run_epochs(1, names=two)
    assert absences(chain)["Dave"] == QUICK.lapse_checkpoints + 1, "it has made a block, but it only rises"


def test_a_lapsed_vote_is_refused() -> None:
    chain = VotingChain(members=FOUR, rules=PATIENT)
    chain.run_epochs(5, names=FOUR[:3])
    raw = bare(votes_call([chain.vote("Dave")]))
    slot = chain.next_slot(FOUR[:3])
    with pytest.raises(InvalidTransaction, match=r"^Finality\.cast_votes failed: Lapsed$"):
        chain.begin_and_end(slot, raw)


def test_a_lapsed_voter_counts_in_the_denominator() -> None:
    """The next set is without it, but as long as this one is not, finality waits for the leak."""
    chain = VotingChain(rules=PATIENT)
    chain.run_epochs(7, names=("Alice", "Bob"))
    assert absences(chain)["Charlie"] == 7
    assert chain.finalized == 0
    assert chain.voters == (["Alice", "Bob", "Charlie"], ["Alice", "Bob"])


# E2: the leak


def test_the_leak_removes_a_voter_from_both_sets_and_the_ring() -> None:
    chain = VotingChain(rules=PATIENT)
    chain.run_epochs(7, names=("Alice", "Bob"))
    assert absences(chain)["Charlie"] == 7
    assert chain.finalized == 0
    chain.run_epochs(1, names=("Alice", "Bob"))
    assert chain.voters == (["Alice", "Bob"], ["Alice", "Bob"])
    assert chain.ring == ["Alice", "Bob"]
    assert not LAST_SEEN.contains(chain.state, PAIRS["Charlie"].public)
    chain.run_epochs(2, names=("Alice", "Bob"))
    assert chain.finalized == 9, "two of two agree from the checkpoint on in which the third was removed"
    assert chain.voters == (["Alice", "Bob"], [])


def test_the_leak_is_told() -> None:
    chain = VotingChain(rules=PATIENT)
    names = ("Alice", "Bob")
    while chain.slot // 10 < QUICK.leak_checkpoints:
        chain.step(chain.next_slot(names), voters=names)
    assert [fields for _, _, name, fields in all_events(chain) if name == "VoterRemoved"] == [
        {"account": PAIRS["Charlie"].public}
    ]


def test_checkpoints_before_the_leak_keep_their_voters() -> None:
    chain = VotingChain(rules=PATIENT)
    chain.run_epochs(8, names=("Alice", "Bob"))
    before, after = OPEN.find(chain.state, 7), OPEN.find(chain.state, 8)
    assert before is not None
    assert after is not None
    old, new = VOTER_SETS.find(chain.state, before.voters), VOTER_SETS.find(chain.state, after.voters)
    assert old is not None
    assert new is not None
    assert (len(old.voters), len(new.voters)) == (3, 2)
    assert not before.is_justified, "two of three are not enough, then and now"


def test_where_all_voters_have_leaked_those_in_the_ring_go_on() -> None:
    """Otherwise nobody could ever agree to anything again."""
    chain = VotingChain(members=("Alice", "Bob"))
    nonce_slot = chain.slot + 1
    chain.step(nonce_slot)
    slot = chain.slot + 50
    chain.step(slot, author="Dave", nonce=chain.open_nonce("Dave", slot))
    chain.run_epochs(QUICK.leak_checkpoints, names=("Dave",))
    assert chain.ring == ["Dave"]
    assert chain.voters == (["Dave"], [])
    chain.run_epochs(2)
    assert chain.finalized > 0


def test_a_next_voter_who_leaks_does_not_hold_up_the_handover() -> None:
    chain = VotingChain(rules=replace(QUICK, missed_turns=99, probation_epochs=1))
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"))
    three = ("Alice", "Bob", "Charlie")
    chain.run_epochs(1, names=three)
    chain.run_epochs(1, names=(*three, "Eve"), voters=three)
    chain.run_epochs(1, names=three, voters=("Alice", "Bob"))
    assert chain.voters == (list(three), ["Alice", "Bob", "Charlie", "Eve"])
    # Charlie votes no more, but makes blocks; Eve does neither.
    chain.run_epochs(7, names=three, voters=("Alice", "Bob"))
    assert chain.voters[1] == ["Alice", "Bob", "Charlie", "Eve"]
    chain.run_epochs(2, names=three, voters=("Alice", "Bob"))
    assert chain.voters == (list(three), list(three))
    chain.run_epochs(3, names=three)
    assert chain.voters == (list(three), [])


# V1: who is wanted


def test_a_newcomer_is_wanted_after_its_probation_and_a_block() -> None:
    chain = VotingChain()
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"))
    three = ("Alice", "Bob", "Charlie")
    chain.run_epochs(1, names=three)
    joined = chain.slot // 10
    assert chain.ring == [*three, "Eve"]
    assert MEMBERS.find(chain.state, PAIRS["Eve"].public) is not None
    chain.run_epochs(3, names=three)
    assert "Eve" not in named(wanted(chain.state, QUICK)), "it has made no block"
    chain = VotingChain()
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"))
    while chain.voters[1] == []:
        chain.run_epochs(1)
    assert chain.slot // 10 == joined + QUICK.probation_epochs
    assert chain.voters == (list(three), [*three, "Eve"])


def test_voters_who_have_lost_their_place_are_wanted_while_they_vote() -> None:
    chain = VotingChain(members=FOUR, rules=replace(QUICK, return_epochs=99))
    chain.run_epochs(2, names=FOUR[:3], voters=FOUR)
    assert "Dave" not in chain.ring
    chain.run_epochs(1, names=FOUR[:3], voters=FOUR)
    assert "Dave" in chain.ring, "it has returned once"
    chain.run_epochs(6, names=FOUR[:3], voters=FOUR)
    assert "Dave" not in chain.ring
    assert chain.voters == (list(FOUR), [])
    assert chain.finalized == chain.slot // 10 - 1
    chain.run_epochs(2, names=FOUR[:3])
    assert absences(chain)["Dave"] == 1
    chain.run_epochs(QUICK.lapse_checkpoints - 2, names=FOUR[:3])
    assert absences(chain)["Dave"] == QUICK.lapse_checkpoints - 1
    assert chain.voters == (list(FOUR), []), "whoever is away may come back"
    chain.run_epochs(1, names=FOUR[:3])
    assert chain.voters == (list(FOUR), list(FOUR[:3])), "it has lapsed"
    chain.run_epochs(2, names=FOUR[:3])
    assert chain.voters == (list(FOUR[:3]), [])


def test_a_handover_goes_on_with_those_who_are_away() -> None:
    """Charlie is away for a while, Dave makes blocks and never votes, Eve comes: once Charlie is back, all goes on."""
    chain = VotingChain(members=FOUR, rules=replace(QUICK, leak_checkpoints=30, bar_epochs=30, lapse_checkpoints=20))
    makes, votes = ("Alice", "Bob", "Dave", "Eve"), ("Alice", "Bob", "Eve")
    chain.run_epochs(3, voters=FOUR[:3])
    chain.step(chain.next_slot(FOUR), chain.join("Eve"), voters=votes)
    chain.run_epochs(8, names=makes, voters=votes)
    assert absences(chain)["Charlie"] >= 7
    assert chain.voters == (list(FOUR), [*FOUR, "Eve"])
    gone = chain.finalized
    chain.run_epochs(3, names=makes, voters=("Charlie", *votes))
    assert chain.finalized > gone
    assert chain.voters == ([*FOUR, "Eve"], [])


def test_who_has_lapsed_is_not_wanted_though_it_has_a_place() -> None:
    chain = VotingChain(members=FOUR, rules=PATIENT)
    chain.run_epochs(QUICK.lapse_checkpoints, names=FOUR[:3])
    assert chain.ring == list(FOUR)
    assert chain.voters == (list(FOUR), list(FOUR[:3]))


def test_who_has_lapsed_may_join_anew() -> None:
    """Once others vote without it, nothing is left of its absence."""
    three = FOUR[:3]
    chain = VotingChain(members=FOUR)
    chain.run_epochs(QUICK.lapse_checkpoints + 2, names=three)
    assert chain.voters == (list(three), [])
    chain.step(chain.next_slot(three), chain.join("Dave"), voters=three)
    chain.run_epochs(1, names=three)
    assert chain.ring == list(FOUR)
    chain.run_epochs(QUICK.probation_epochs + 2)
    assert chain.voters == (list(FOUR), [])
    assert absences(chain)["Dave"] == 0


def test_who_does_not_vote_yet_cannot_lapse() -> None:
    """In a large ring the turns of a newcomer lie further apart than that, and it cannot vote."""
    chain = VotingChain(rules=PATIENT)
    three = ("Alice", "Bob", "Charlie")
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"), voters=three)
    chain.run_epochs(QUICK.leak_checkpoints + 1, names=three)
    assert chain.ring == [*three, "Eve"]
    chain.run_epochs(3)
    assert chain.voters == ([*three, "Eve"], [])


def test_who_leaves_is_not_wanted() -> None:
    chain = VotingChain(members=FOUR)
    chain.run_epochs(2)
    chain.step(chain.next_slot(FOUR), chain.leave("Dave"), voters=FOUR)
    chain.run_epochs(1, names=FOUR[:3], voters=FOUR)
    assert chain.ring == list(FOUR[:3])
    assert chain.voters == (list(FOUR), list(FOUR[:3]))


def test_if_nobody_is_wanted_the_voters_stay() -> None:
    chain = VotingChain(members=("Alice",))
    chain.run_epochs(1)
    chain.step(chain.next_slot(("Alice",)), chain.leave("Alice"))
    chain.run_epochs(3)
    assert (chain.ring, chain.voters) == (["Alice"], (["Alice"], []))
    assert chain.finalized == chain.slot // 10 - 1


# V2, V3: the handover


def leaving(chain: VotingChain) -> None:
    """Dave asks to leave, and a handover begins."""
    chain.run_epochs(2)
    chain.step(chain.next_slot(FOUR), chain.leave("Dave"), voters=FOUR)


def test_a_handover_needs_both_sets() -> None:
    chain = VotingChain(members=("Alice", "Bob", "Charlie"))
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"))
    while chain.voters[1] == []:
        chain.run_epochs(1, voters=("Alice", "Bob", "Eve"))
    since = chain.slot // 10
    chain.run_epochs(3, voters=("Alice", "Bob", "Eve"))
    assert chain.justified < since, "three of the next four, but only two of the three voters"
    chain.run_epochs(1, voters=("Alice", "Bob", "Charlie"))
    assert chain.justified > since, "three of three, and three of the next four"
    assert chain.voters == (["Alice", "Bob", "Charlie", "Eve"], [])


def test_the_next_set_alone_decides_nothing() -> None:
    chain = VotingChain(members=FOUR)
    leaving(chain)
    chain.run_epochs(3, names=FOUR[:3], voters=("Alice", "Bob"))
    assert chain.voters == (list(FOUR), list(FOUR[:3]))
    before = chain.justified
    chain.run_epochs(1, names=FOUR[:3], voters=("Alice", "Bob", "Dave"))
    assert chain.justified == before, "three of four voters, but two of the next three"
    chain.run_epochs(1, names=FOUR[:3], voters=("Alice", "Bob", "Charlie"))
    assert chain.voters == (list(FOUR[:3]), [])


def test_the_next_set_is_fixed_until_it_has_taken_over() -> None:
    chain = VotingChain(members=FOUR)
    leaving(chain)
    chain.run_epochs(1, names=FOUR[:3], voters=())
    first = current_voters(chain.state)
    chain.step(chain.next_slot(FOUR[:3]), chain.leave("Charlie"), voters=())
    chain.run_epochs(1, names=FOUR[:3], voters=())
    assert current_voters(chain.state) == first
    chain.run_epochs(2, names=FOUR[:2], voters=FOUR)
    chain.run_epochs(3, names=FOUR[:2], voters=FOUR)
    assert chain.voters == (["Alice", "Bob"], []), "one after the other"


def test_the_handover_is_done_when_a_checkpoint_since_its_beginning_is_final() -> None:
    chain = VotingChain(members=FOUR)
    leaving(chain)
    three = FOUR[:3]
    chain.run_epochs(1, names=three, voters=FOUR)
    since = current_voters(chain.state).since
    assert since == chain.slot // 10
    assert (chain.justified, chain.finalized) == (since, since - 1)
    story = []
    while chain.voters[1]:
        chain.step(chain.next_slot(three), voters=FOUR)
        story += events(chain)
    assert story == ["CheckpointJustified", "CheckpointFinalized", "HandoverCompleted"]
    assert (chain.justified, chain.finalized) == (since + 1, since)
    assert chain.voters == (list(three), [])


def test_partitions_with_newcomers_on_both_sides_finalize_one_history_at_most() -> None:
    """Each side sees the others vanish and newcomers arrive; only the leak, hours later, would let both go on."""
    rules = replace(QUICK, leak_checkpoints=40, bar_epochs=40, lapse_checkpoints=30)
    finals = []
    for stay, newcomer in ((("Alice", "Bob"), "Eve"), (("Charlie", "Dave"), "Eve")):
        chain = VotingChain(members=FOUR, rules=rules)
        chain.run_epochs(3)
        before = chain.finalized
        chain.step(chain.next_slot(stay), chain.join(newcomer))
        chain.run_epochs(30, names=(*stay, newcomer))
        assert chain.ring == [*stay, newcomer]
        assert chain.voters == (list(FOUR), [*FOUR, newcomer])
        finals.append(chain.finalized - before)
    assert finals == [0, 0]


# E4: what headers say


def changes(block: Block) -> Changes | None:
    items = [item for item in block.header.digest if item.kind is DigestKind.CONSENSUS]
    assert [item.engine for item in items] in ([], [b"rrbn"])
    return CHANGES.decode(items[0].payload) if items else None


def test_headers_suffice_to_follow_ring_and_voters() -> None:
    chain = VotingChain(members=FOUR)
    ranked = {account: place.to_bytes(8, "big") for place, account in enumerate(accounts(*FOUR))}
    ring, voters, following = set(accounts(*FOUR)), set(accounts(*FOUR)), set()
    told = 0
    script = {
        12: lambda: chain.join("Eve"),
        33: lambda: chain.leave("Dave"),
    }
    while chain.slot < 120:
        extra = script.pop(chain.slot)() if chain.slot in script else None
        before = chain.slot // 10
        outcome = chain.step(chain.slot + 1, *([extra] if extra else []), voters=(*FOUR, "Eve"))
        said = changes(outcome.block)
        assert said is not None or chain.slot // 10 == before, "each checkpoint has the item"
        if said is not None:
            told += 1
            ring = (ring - {*said.ring_left}) | {applicant.account for applicant in said.ring_came}
            ranked |= {applicant.account: applicant.rank for applicant in said.ring_came}
            voters = (voters - {*said.voters_left}) | {*said.voters_came}
            following = (following - {*said.following_left}) | {*said.following_came}
            sets = current_voters(chain.state)
            assert said.sets == sets_digest(RING.get(chain.state), sets)
            assert said.since == sets.since
        assert tuple(sorted(ring, key=lambda account: (ranked[account], account))) == RING.get(chain.state)
        sets = current_voters(chain.state)
        assert (tuple(sorted(voters)), tuple(sorted(following))) == (sets.voters, sets.following)
    assert told > 12, "handovers end in the middle of epochs"
    assert chain.voters == (["Alice", "Bob", "Charlie", "Eve"], [])


def test_a_header_cannot_say_anything_else() -> None:
    chain = VotingChain()
    chain.step(9)
    block = chain.sealed(chain.build_in(10).block)
    said = changes(block)
    assert said is not None
    assert said.ring_came == ()
    lie = replace(said, ring_came=(Applicant(PAIRS["Eve"].public, bytes(8)),))
    item = replace(block.header.digest[2], payload=CHANGES.encode(lie))
    digest = (*block.header.digest[:2], item, *block.header.digest[3:])
    other = replace(block, header=replace(block.header, digest=digest))
    with pytest.raises(InvalidBlock, match=r"^BadDigest: the digest is not what execution gives$"):
        chain.execute(other)
