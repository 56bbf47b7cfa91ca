"""What a node says of its votes, and says again: what its chain lacks, wherever else it may be."""

from dataclasses import dataclass, replace

from node.ring import slot_start
from node.voting import Step, sign_vote
from node.voting_task import Voting
from pallets.finality.votes import Vote
from runtime.primitives import Slot
from tests.support.ring_nodes import GENESIS_SLOT, RingNode
from tests.support.small_chain import PAIRS


@dataclass
class Alice:
    """A node with Alice's key, and its clock, in slots since block 0."""

    node: RingNode
    now: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin, or begin again with what is on disk."""
        self.node.open()
        self.voting = Voting(self.node.chain, PAIRS["Alice"], self.clock)
        assert self.voting._voter is not None
        self.voting._voter.listen_since(Slot(GENESIS_SLOT + self.now))

    def clock(self) -> int:
        return slot_start(Slot(GENESIS_SLOT + self.now), self.node.spec.slot_duration)

    def says(self, slot: int) -> tuple[Vote, ...]:
        """Return the votes that it tells of in a slot."""
        self.now = slot
        assert self.voting._voter is not None
        return self.voting._due(self.voting._voter)


def lost_branch() -> tuple[Alice, Vote]:
    """Alice votes, and the vote is in a block which another branch leaves out; none of these is made by Alice."""
    alice, other = Alice(RingNode()), RingNode()
    for slot in range(1, 13):
        other.take(alice.node.block(slot))
    (vote,) = alice.says(20)
    alice.node.voters = ("Alice",)
    alice.voting.hear_block(alice.node.block(13))
    assert alice.says(25) == (), "the chain has it"
    blocks = [other.block(slot) for slot in (15, 16, 18)]
    alice.node.take(*blocks)
    for block in blocks:
        alice.voting.hear_block(block)
    assert alice.node.head == other.head
    return alice, vote


def test_a_vote_that_only_a_lost_branch_has_is_said_again_until_the_chain_has_it() -> None:
    alice, vote = lost_branch()
    assert alice.says(30) == (vote,)
    assert alice.says(34) == (), "now and then"
    assert alice.says(35) == (vote,)
    alice.node.block(19)
    assert alice.says(40) == ()


def test_a_vote_of_a_stored_block_is_said_again_after_a_restart() -> None:
    alice, vote = lost_branch()
    alice.start()
    assert alice.says(30) == (vote,)


def test_who_waits_to_be_sure_of_its_key_says_nothing_again() -> None:
    alice, vote = lost_branch()
    later = replace(vote.target, epoch=vote.target.epoch + 1)
    alice.voting._hear_vote(sign_vote(Step(vote.source, later), PAIRS["Alice"], alice.node.chain.genesis))
    assert alice.says(30) == ()
