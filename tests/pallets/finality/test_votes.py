"""Votes on their own: what is signed, and which two contradict each other."""

import pytest

from pallets.finality.storage import VoterSet
from pallets.finality.voters import agree, quorum
from pallets.finality.votes import VOTE, CheckpointId, Vote, contradict, is_signed, vote_message
from runtime.primitives import AccountId, Hash
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import signed_vote

GENESIS, OTHER_CHAIN = Hash(b"\x01" * 32), Hash(b"\x02" * 32)


def at(epoch: int, name: int = 0) -> CheckpointId:
    return CheckpointId(epoch, Hash(bytes([epoch, name]) * 16))


def vote(source: int, target: int, name: str = "Alice", variant: int = 0) -> Vote:
    return signed_vote(name, at(source), at(target, variant), GENESIS)


def test_the_message_names_domain_chain_voter_and_both_checkpoints() -> None:
    alice = PAIRS["Alice"].public
    far = CheckpointId(258, Hash(b"\x07" * 32))
    message = vote_message(GENESIS, alice, at(1), far)
    source = bytes.fromhex("0100000000000000") + at(1).hash
    target = bytes.fromhex("0201000000000000") + far.hash
    assert message == b"mfchain/vote/1" + GENESIS + alice + source + target


def test_a_vote_has_176_bytes() -> None:
    encoded = VOTE.encode(vote(1, 2))
    assert len(encoded) == 176
    assert VOTE.decode(encoded) == vote(1, 2)


def test_a_signature_is_for_one_voter_one_step_and_one_chain() -> None:
    good = vote(1, 2)
    assert is_signed(good, GENESIS)
    assert not is_signed(good, OTHER_CHAIN)
    others = (
        Vote(PAIRS["Bob"].public, good.source, good.target, good.signature),
        Vote(good.voter, at(0), good.target, good.signature),
        Vote(good.voter, good.source, at(2, 1), good.signature),
        Vote(good.voter, good.source, good.target, bytes(64)),
        Vote(AccountId(bytes(32)), good.source, good.target, good.signature),
    )
    assert not any(is_signed(other, GENESIS) for other in others)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (vote(1, 5), vote(1, 5), False),
        (vote(1, 5), vote(5, 6), False),
        (vote(1, 5), vote(1, 6), False),
        (vote(1, 5), vote(5, 9), False),
        (vote(1, 5), vote(1, 5, variant=1), True),
        (vote(1, 5), vote(2, 5), True),
        (vote(2, 5), vote(1, 6), True),
        (vote(1, 5, "Bob"), vote(1, 5, variant=1), False),
        (vote(2, 5, "Bob"), vote(1, 6), False),
    ],
    ids=[
        "same",
        "next",
        "same source",
        "next after a gap",
        "double",
        "double by source",
        "around",
        "two",
        "two around",
    ],
)
def test_votes_contradict_each_other_whichever_comes_first(first: Vote, second: Vote, expected: bool) -> None:
    assert contradict(first, second) is expected
    assert contradict(second, first) is expected


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (100, 67)])
def test_more_than_two_thirds_have_to_agree(voters: int, needed: int) -> None:
    assert quorum(voters) == needed
    members = tuple(AccountId(bytes([number]) * 32) for number in range(voters))
    for count, expected in ((needed - 1, False), (needed, True)):
        votes = ((1 << count) - 1).to_bytes((voters + 7) // 8, "little")
        assert agree(VoterSet(members), votes) is expected


def test_two_sets_have_to_agree_both() -> None:
    a, b, c, d = (AccountId(bytes([number]) * 32) for number in range(4))
    voters = VoterSet((a, b, c), (b, c, d), since=7)
    assert voters.members == (a, b, c, d)
    assert agree(voters, b"\x0f")
    assert not agree(voters, b"\x07"), "the next voters have only two of three"
    assert not agree(voters, b"\x0e"), "the voters have only two of three"
    assert agree(VoterSet((a, b, c)), b"\x07")
