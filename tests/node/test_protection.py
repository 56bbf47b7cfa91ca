"""What a key may sign, whatever has happened to its node: crashes, backups, a lost record, a twin."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.protection import Protection, Refused, SigningRecord, Situation
from node.signing_records import DatabaseRecords
from pallets.finality.votes import CheckpointId, Vote, contradict
from runtime.primitives import AccountId, Hash, Slot
from storage.memory import MemoryStore
from tests.support.ring_nodes import RingNode
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import signed_vote

ALICE = PAIRS["Alice"].public
EPOCH, SLOT = 100, Slot(1_000)
MIDDLE = Situation(epoch=EPOCH, justified=90, is_beginning=False, is_alone=False)
LATER = replace(MIDDLE, epoch=EPOCH + 2)


@dataclass
class Memory:
    """A record in memory, and what was on disk at each moment."""

    saved: list[SigningRecord] = field(default_factory=list)

    def load(self) -> SigningRecord | None:
        return self.saved[-1] if self.saved else None

    def save(self, record: SigningRecord) -> None:
        self.saved.append(record)


def known(slot: int = 900, source: int = 80, target: int = 90) -> Memory:
    return Memory([SigningRecord(Slot(slot), source, target)])


def begin(memory: Memory, slot: Slot = SLOT, epoch: int = EPOCH) -> Protection:
    """A process that hears others from its beginning on."""
    protection = Protection(memory, slot, epoch)
    protection.listen_since(epoch)
    return protection


def vote(source: int, target: int, variant: int = 0, name: str = "Alice") -> Vote:
    start = CheckpointId(source, Hash(bytes([source]) * 32))
    return signed_vote(name, start, CheckpointId(target, Hash(bytes([target, variant]) * 16)), Hash(bytes(32)))


def refusal(protection: Protection, source: int, target: int, now: Situation = LATER) -> str:
    before = protection.record
    with pytest.raises(Refused) as caught:
        protection.vote(source, target, now)
    assert protection.record == before
    return str(caught.value)


# D1


def test_a_vote_is_on_disk_before_it_may_be_given() -> None:
    memory = known()
    protection = begin(memory)
    protection.vote(90, 101, LATER)
    assert memory.saved[-1] == SigningRecord(Slot(900), 90, 101)


def test_targets_ascend_and_sources_do_not_go_back() -> None:
    protection = begin(known())
    assert refusal(protection, 80, 90) == "epoch 90 is not later than epoch 90, for which a vote was given"
    assert refusal(protection, 79, 101) == "the source, epoch 79, is earlier than that of the last vote, 80"
    protection.vote(80, 101, LATER)
    assert refusal(protection, 80, 101) == "epoch 101 is not later than epoch 101, for which a vote was given"
    protection.vote(101, 102, LATER)
    assert refusal(protection, 100, 103) == "the source, epoch 100, is earlier than that of the last vote, 101"


def test_a_vote_that_was_lost_with_the_process_is_not_given_again() -> None:
    memory = known()
    begin(memory).vote(90, 101, LATER)
    again = begin(memory)
    assert refusal(again, 90, 101) == "epoch 101 is not later than epoch 101, for which a vote was given"


# D2


def test_a_slot_is_on_disk_before_its_block_is_sealed_and_is_sealed_once() -> None:
    memory = known()
    protection = begin(memory)
    protection.seal(Slot(1_001), MIDDLE)
    assert memory.saved[-1] == SigningRecord(Slot(1_001), 80, 90)
    for again in (protection, begin(memory)):
        for slot in (1_001, 1_000):
            with pytest.raises(Refused) as caught:
                again.seal(Slot(slot), MIDDLE)
            assert str(caught.value) == f"slot {slot} does not come after slot 1001, for which a block was sealed"
    protection.seal(Slot(1_002), MIDDLE)


# D3


def test_a_node_listens_before_it_votes_but_makes_blocks() -> None:
    protection = begin(known())
    for epoch in (100, 101):
        message = "listening for votes of this key until epoch 102"
        assert refusal(protection, 90, 101, replace(MIDDLE, epoch=epoch)) == message
    protection.seal(SLOT, MIDDLE)
    protection.vote(90, 101, LATER)


def test_time_in_which_nobody_is_heard_is_no_listening() -> None:
    protection = Protection(known(), SLOT, EPOCH)
    message = "waiting until this node is level with its peers, to listen for votes of this key"
    much_later = replace(LATER, epoch=EPOCH + 50)
    assert refusal(protection, 90, 149, much_later) == message
    protection.listen_since(EPOCH + 50)
    assert refusal(protection, 90, 149, much_later) == "listening for votes of this key until epoch 152"
    protection.listen_since(None)
    assert refusal(protection, 90, 149, replace(LATER, epoch=EPOCH + 52)) == message
    protection.listen_since(EPOCH + 60)
    protection.vote(90, 149, replace(LATER, epoch=EPOCH + 62))


WAITING = "waiting until a checkpoint later than epoch 100 is justified without this key"


def test_without_a_record_a_key_waits_until_others_have_gone_on() -> None:
    memory = Memory()
    protection = begin(memory)
    assert memory.saved == [SigningRecord(SLOT, 0, EPOCH, wait_beyond=EPOCH, is_new=True)]
    late = replace(LATER, epoch=200, justified=100)
    assert refusal(protection, 100, 200, late) == WAITING
    with pytest.raises(Refused, match=f"^{WAITING}$"):
        protection.seal(Slot(5_000), late)
    again = begin(memory, Slot(5_001), 300)
    assert refusal(again, 100, 310, replace(late, epoch=310)) == WAITING, "a restart is no way out"
    again.vote(101, 310, replace(late, epoch=310, justified=101))
    assert memory.saved[-1] == SigningRecord(SLOT, 101, 310)


def test_the_first_voters_of_a_chain_have_nothing_to_forget() -> None:
    memory = Memory()
    protection = begin(memory)
    beginning = Situation(epoch=102, justified=7, is_beginning=True, is_alone=False)
    protection.seal(Slot(1_010), beginning)
    protection.vote(7, 101, beginning)
    protection.vote(101, 103, replace(beginning, epoch=103, justified=101, is_beginning=False))
    assert memory.saved[-1] == SigningRecord(Slot(1_010), 101, 103)


def test_at_the_beginning_of_a_chain_too_no_epoch_before_the_record_is_voted_for() -> None:
    protection = begin(Memory())
    beginning = Situation(epoch=102, justified=7, is_beginning=True, is_alone=False)
    message = "epoch 100 is not later than epoch 100, for which a vote was given"
    assert refusal(protection, 7, 100, beginning) == message


def test_a_lone_voter_does_not_wait_for_others() -> None:
    protection = Protection(Memory(), SLOT, EPOCH)
    alone = replace(LATER, is_alone=True)
    assert refusal(protection, 90, 101, alone) == WAITING
    protection.vote(90, 103, replace(alone, epoch=103))


def test_a_restored_backup_hears_of_its_later_votes_and_waits() -> None:
    protection = begin(known())
    assert protection.hear_vote(vote(90, 99), MIDDLE)
    assert protection.record == SigningRecord(Slot(900), 90, 99, wait_beyond=100)
    assert refusal(protection, 95, 101, replace(LATER, justified=100)) == WAITING
    protection.vote(101, 103, replace(LATER, epoch=103, justified=101))


def test_old_votes_of_ones_own_are_no_news() -> None:
    protection = begin(known())
    for old in (vote(70, 71), vote(80, 90), vote(80, 90, variant=1)):
        assert not protection.hear_vote(old, MIDDLE)
    protection.vote(90, 101, LATER)
    protection.note_given(vote(90, 101))
    assert not protection.hear_vote(vote(90, 101), LATER)
    assert protection.record.wait_beyond is None


def test_a_twin_is_noticed_by_another_vote_of_the_same_epoch() -> None:
    protection = begin(known())
    protection.vote(90, 101, LATER)
    protection.note_given(vote(90, 101))
    assert protection.hear_vote(vote(90, 101, variant=1), LATER)
    assert refusal(protection, 101, 103).endswith("later than epoch 102 is justified without this key")


def test_as_long_as_a_twin_votes_its_time_never_comes() -> None:
    protection = begin(known())
    for epoch in range(100, 150):
        now = Situation(epoch + 1, justified=epoch - 1, is_beginning=False, is_alone=False)
        assert protection.hear_vote(vote(epoch - 1, epoch), now)
        refusal(protection, epoch, epoch + 1, now)
    protection.vote(151, 152, Situation(152, justified=151, is_beginning=False, is_alone=False))


def test_a_twin_at_the_beginning_of_a_chain_is_no_beginning() -> None:
    protection = begin(Memory())
    beginning = Situation(epoch=102, justified=7, is_beginning=True, is_alone=False)
    assert protection.hear_vote(vote(7, 102), beginning)
    assert refusal(protection, 7, 103, beginning) == WAITING.replace("100", "102")


def test_a_block_that_this_node_has_not_sealed_is_a_twins() -> None:
    protection = begin(known())
    for old in (899, 900, 950, 1_000):
        assert not protection.hear_block(Slot(old), MIDDLE), "made before this process began"
    protection.seal(Slot(1_005), MIDDLE)
    assert not protection.hear_block(Slot(1_005), MIDDLE)
    assert protection.hear_block(Slot(1_008), MIDDLE)
    with pytest.raises(Refused, match=f"^{WAITING}$"):
        protection.seal(Slot(1_011), MIDDLE)


# Whatever happens


class Story(RuleBasedStateMachine):
    """One key through crashes before and after writing: nothing that was sent contradicts anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = known(slot=0, source=0, target=0)
        self.sent: list[Vote] = []
        self.sealed: list[int] = []
        self.restart()

    @rule()
    def restart(self) -> None:
        self.protection = begin(self.memory, Slot(0), 0)

    @rule(source=st.integers(0, 9), distance=st.integers(1, 4), variant=st.integers(0, 1), is_lost=st.booleans())
    def give_a_vote(self, source: int, distance: int, variant: int, is_lost: bool) -> None:
        now = Situation(20, source, is_beginning=False, is_alone=False)
        try:
            self.protection.vote(source, source + distance, now)
        except Refused:
            return
        if not is_lost:
            self.sent.append(vote(source, source + distance, variant))

    @rule(slot=st.integers(1, 30), is_lost=st.booleans())
    def seal_a_block(self, slot: int, is_lost: bool) -> None:
        try:
            self.protection.seal(Slot(slot), MIDDLE)
        except Refused:
            return
        if not is_lost:
            self.sealed.append(slot)

    @invariant()
    def nothing_contradicts_anything(self) -> None:
        assert len(set(self.sealed)) == len(self.sealed)
        assert not any(contradict(one, other) for one in self.sent for other in self.sent)


TestStory = Story.TestCase


# On disk


NUMBER = st.integers(0, 2**64 - 1)


@given(st.builds(SigningRecord, NUMBER, NUMBER, NUMBER, st.none() | NUMBER, st.booleans()))
@settings(max_examples=10)
def test_a_record_is_read_as_it_was_written(record: SigningRecord) -> None:
    node = RingNode()
    records = DatabaseRecords(node.chain.database, ALICE)
    assert records.load() is None
    records.save(record)
    assert records.load() == record
    assert DatabaseRecords(node.chain.database, AccountId(bytes(32))).load() is None


def test_a_record_outlives_the_process() -> None:
    store = MemoryStore()
    node = RingNode(store=store)
    Protection(DatabaseRecords(node.chain.database, ALICE), SLOT, EPOCH)
    node.open()
    assert DatabaseRecords(node.chain.database, ALICE).load() == SigningRecord(SLOT, 0, EPOCH, EPOCH, is_new=True)
