"""Joining, leaving, losing a place and coming back, in whole blocks; and every way in which one does not get in."""

from dataclasses import replace

import pytest

from pallets.finality.storage import WEIGHT
from pallets.producers.config import Rules
from pallets.producers.membership import is_barred
from pallets.producers.storage import BARRED, MEMBERS, MISSED, QUEUE
from runtime.interface.errors import BlockFault, InvalidBlock, InvalidReason, InvalidTransaction
from runtime.primitives import AccountId, Hash, Slot, blake2b_256
from runtime.scale import U32, U64
from runtime.work import is_enough, join_prefix, open_prefix, rank, threshold, work_digest
from tests.support.events import all_events
from tests.support.small_chain import PAIRS, SmallChain, remark
from tests.support.voting_chain import QUICK, VotingChain, find_work, named

THREE = ("Alice", "Bob", "Charlie")


def events(chain: VotingChain) -> list[tuple[str, str]]:
    return [
        (name, named([fields["account"]])[0]) for _, pallet, name, fields in all_events(chain) if pallet == "Producers"
    ]


@pytest.fixture
def chain() -> VotingChain:
    chain = VotingChain()
    chain.run(12)
    return chain


def queued(chain: VotingChain) -> list[str]:
    return named(applicant.account for applicant in QUEUE.get(chain.state))


def to_checkpoint(chain: VotingChain, names: tuple[str, ...] | None = None) -> None:
    """Go on to the first block of the next epoch, not further."""
    epoch = chain.slot // 10
    while chain.slot // 10 == epoch:
        present = tuple(chain.ring if names is None else names)
        chain.step(chain.next_slot(present), voters=present)


# Work


def test_work_is_a_hash_below_a_threshold() -> None:
    genesis, block, account = Hash(b"\x01" * 32), Hash(b"\x02" * 32), AccountId(b"\x03" * 32)
    prefix = join_prefix(genesis, block, account)
    assert prefix == b"mfchain/join/1" + genesis + block + account
    assert open_prefix(genesis, block, Slot(258), account) == (
        b"mfchain/open/1" + genesis + block + bytes((2, 1, 0, 0, 0, 0, 0, 0)) + account
    )
    digest = work_digest(prefix, 258)
    assert digest == blake2b_256(prefix + bytes((2, 1, 0, 0, 0, 0, 0, 0)))
    assert rank(digest) == digest[24:]
    assert threshold(1) == 1 << 256
    assert threshold(3) == (1 << 256) // 3
    assert is_enough(Hash(b"\xff" * 32), 1)
    assert is_enough(Hash(b"\x7f" + b"\xff" * 31), 2)
    assert not is_enough(Hash(b"\x80" + bytes(31)), 2)


def test_so_much_work_is_found_once_in_so_many_hashes() -> None:
    found = sum(is_enough(work_digest(b"x", nonce), 16) for nonce in range(3_200))
    assert 150 < found < 250


# M1: joining


def test_who_joins_waits_for_the_next_epoch_and_is_in_the_ring_by_its_rank(chain: VotingChain) -> None:
    chain.step(13, chain.join("Eve"), voters=THREE)
    assert (queued(chain), chain.ring) == (["Eve"], list(THREE))
    assert events(chain) == [("JoinQueued", "Eve")]
    to_checkpoint(chain)
    assert events(chain) == [("Joined", "Eve")]
    assert queued(chain) == []
    assert chain.ring == [*THREE, "Eve"], "founders have the lowest ranks"
    member = MEMBERS.find(chain.state, PAIRS["Eve"].public)
    assert member is not None
    assert (member.probation_ends, member.has_authored, member.changed) == (4, False, chain.head.number)
    chain.step(chain.next_slot(("Eve",)))
    member = MEMBERS.find(chain.state, PAIRS["Eve"].public)
    assert member is not None
    assert member.has_authored


def test_the_new_ring_holds_for_the_children_of_the_checkpoint(chain: VotingChain) -> None:
    chain.step(13, chain.join("Eve"))
    chain.run(19)
    chain.step(20)
    assert chain.head.number == 20, "slot 20 went by the ring of three"
    assert chain.next_slot(("Eve",)) == 23


def test_newcomers_are_sorted_by_the_end_of_their_work(chain: VotingChain) -> None:
    rules = replace(QUICK, join_share=1)
    chain = VotingChain(rules=rules)
    chain.run(12)
    chain.step(13, chain.join("Eve"), chain.join("Dave"))
    to_checkpoint(chain)
    ranks = {}
    for name in ("Dave", "Eve"):
        member = MEMBERS.find(chain.state, PAIRS[name].public)
        assert member is not None
        ranks[name] = member.rank
    assert chain.ring == [*THREE, *sorted(ranks, key=lambda name: ranks[name])]


def test_so_many_join_in_an_epoch_as_the_ring_allows(chain: VotingChain) -> None:
    assert [Rules().max_joins(members) for members in (1, 63, 64, 127, 128, 640)] == [1, 1, 2, 2, 3, 11]
    chain.step(13, chain.join("Eve"), chain.join("Dave"))
    to_checkpoint(chain)
    assert (chain.ring, queued(chain)) == ([*THREE, "Eve"], ["Dave"]), "first come, first served"
    to_checkpoint(chain)
    assert (sorted(chain.ring), queued(chain)) == (sorted([*THREE, "Eve", "Dave"]), [])


def test_who_is_in_or_waits_cannot_join(chain: VotingChain) -> None:
    assert chain.refusal(chain.join("Alice")).reason is InvalidReason.ALREADY_JOINED
    chain.step(13, chain.join("Eve"))
    refusal = chain.refusal(chain.join("Eve"))
    assert refusal.reason is InvalidReason.ALREADY_JOINED
    assert refusal.text == "The account is in the ring already, or waits to join it"


def join_with(chain: VotingChain, name: str, number: int, nonce: int) -> bytes:
    return chain.sign(name, bytes((5, 0)) + U32.encode(number) + U64.encode(nonce))


def test_work_that_is_not_enough(chain: VotingChain) -> None:
    prefix = join_prefix(chain.genesis, chain.hash_at(5), PAIRS["Eve"].public)
    good = find_work(prefix, QUICK.join_work)
    bad = next(nonce for nonce in range(99) if not is_enough(work_digest(prefix, nonce), QUICK.join_work))
    refusal = chain.refusal(join_with(chain, "Eve", 5, bad))
    assert (refusal.reason, refusal.text) == (InvalidReason.BAD_WORK, "The work is not enough to join")
    chain.step(13, join_with(chain, "Eve", 5, good))
    assert queued(chain) == ["Eve"]


@pytest.mark.parametrize("part", ["genesis", "block", "account"])
def test_work_for_something_else(chain: VotingChain, part: str) -> None:
    parts = {"genesis": chain.genesis, "block": chain.hash_at(5), "account": PAIRS["Eve"].public}
    ours = join_prefix(*parts.values())  # type: ignore[arg-type]
    other = join_prefix(*(parts | {part: bytes(32)}).values())  # type: ignore[arg-type]
    nonce = next(
        nonce
        for nonce in range(10_000)
        if is_enough(work_digest(other, nonce), QUICK.join_work)
        and not is_enough(work_digest(ours, nonce), QUICK.join_work)
    )
    assert chain.refusal(join_with(chain, "Eve", 5, nonce)).reason is InvalidReason.BAD_WORK


def test_work_for_a_block_that_is_not_there_yet(chain: VotingChain) -> None:
    for number in (chain.head.number + 1, 4_000_000_000):
        refusal = chain.refusal(join_with(chain, "Eve", number, 0))
        assert refusal.reason is InvalidReason.STALE_WORK
        assert refusal.text == "The work is for a block that is too old, or older than the account's last change"


def test_work_grows_stale() -> None:
    chain = VotingChain(rules=replace(QUICK, join_age=5))
    chain.run(12)
    assert chain.head.number == 12
    assert chain.refusal(chain.sign("Eve", chain.join_call("Eve", recent=7))).reason is InvalidReason.STALE_WORK
    chain.step(13, chain.sign("Eve", chain.join_call("Eve", recent=8)))
    assert queued(chain) == ["Eve"]


def test_work_counts_once_and_not_from_before_the_last_change(chain: VotingChain) -> None:
    call = chain.join_call("Eve", recent=11)
    chain.step(13, chain.sign("Eve", call))
    to_checkpoint(chain)
    joined = chain.head.number
    chain.step(chain.next_slot(chain.ring), chain.leave("Eve"))
    left = chain.head.number
    to_checkpoint(chain)
    assert chain.ring == list(THREE)
    dropped = chain.head.number
    chain.run(chain.slot + 3)
    for number in (11, joined, left, dropped):
        assert (
            chain.refusal(chain.sign("Eve", chain.join_call("Eve", recent=number))).reason is InvalidReason.STALE_WORK
        )
    chain.step(chain.slot + 1, chain.sign("Eve", chain.join_call("Eve", recent=dropped + 1)))
    assert queued(chain) == ["Eve"]


def test_the_queue_is_bounded() -> None:
    chain = VotingChain(rules=replace(QUICK, join_queue=1))
    chain.run(12)
    chain.step(13, chain.join("Eve"))
    refusal = chain.refusal(chain.join("Dave"))
    assert (refusal.reason, refusal.text) == (InvalidReason.QUEUE_FULL, "Too many accounts wait to join")
    to_checkpoint(chain)
    chain.step(chain.next_slot(chain.ring), chain.join("Dave"))
    assert queued(chain) == ["Dave"]


def test_there_is_no_ring_to_join_on_other_chains() -> None:
    chain = SmallChain()
    raw = chain.sign("Eve", bytes((5, 0)) + U32.encode(0) + U64.encode(0))
    with pytest.raises(InvalidTransaction, match=r"^This chain is not sealed by a ring: there is none to join$"):
        chain.build(raw)


# M2: leaving


def test_a_member_leaves_with_the_next_epoch(chain: VotingChain) -> None:
    chain.step(13, chain.leave("Charlie"), voters=THREE)
    assert events(chain) == [("Leaving", "Charlie")]
    assert chain.ring == list(THREE)
    to_checkpoint(chain)
    assert ("Left", "Charlie") in events(chain)
    assert chain.ring == ["Alice", "Bob"]
    assert chain.voters == (sorted(THREE), ["Alice", "Bob"]), "it votes until the others have taken over"


def test_who_waits_leaves_at_once(chain: VotingChain) -> None:
    chain.step(13, chain.join("Eve"))
    chain.step(14, chain.leave("Eve"))
    assert (queued(chain), events(chain)) == ([], [("Left", "Eve")])


def test_who_is_not_there_or_is_about_to_go_cannot_leave(chain: VotingChain) -> None:
    outcome = chain.step(13, chain.leave("Eve"), chain.leave("Alice"))
    assert [None if error is None else error.name for error in outcome.errors] == [None, "NotJoined", None]
    outcome = chain.step(14, chain.leave("Alice"))
    assert [None if error is None else error.name for error in outcome.errors] == [None, "AlreadyLeaving"]


def test_the_last_member_cannot_leave_before_somebody_else_comes() -> None:
    chain = VotingChain(members=("Alice",))
    chain.run(12)
    chain.step(13, chain.leave("Alice"))
    to_checkpoint(chain)
    assert chain.ring == ["Alice"]
    chain.step(chain.slot + 1, chain.join("Eve"))
    to_checkpoint(chain)
    assert chain.ring == ["Eve"]


def test_members_come_back_with_new_work_after_leaving(chain: VotingChain) -> None:
    chain.step(13, chain.leave("Charlie"), voters=THREE)
    chain.run(42, names=("Alice", "Bob"), voters=THREE)
    assert chain.voters == (["Alice", "Bob"], [])
    chain.step(43, chain.join("Charlie"), voters=("Alice", "Bob"))
    to_checkpoint(chain)
    assert "Charlie" in chain.ring
    chain.run_epochs(4)
    assert chain.voters == (sorted(THREE), [])


# E3: losing a place, and coming back


def test_three_missed_turns_cost_the_place(chain: VotingChain) -> None:
    chain.run(19)
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 0
    chain.run(29, names=("Alice", "Bob"))
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 3
    assert chain.ring == list(THREE), "it is taken away when an epoch begins"
    chain.step(30)
    assert chain.ring == ["Alice", "Bob"]
    assert ("Dropped", "Charlie") in events(chain)
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 0


def test_two_missed_turns_do_not(chain: VotingChain) -> None:
    chain.run(23)
    chain.run(28, names=("Alice", "Bob"))
    chain.step(30)
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 2
    assert chain.ring == list(THREE)


def test_the_author_of_a_checkpoint_has_missed_nothing_any_more(chain: VotingChain) -> None:
    chain.run(12, names=THREE)
    chain.run(19, names=("Alice", "Bob"))
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 2
    chain.step(20)
    assert MISSED.get(chain.state, PAIRS["Charlie"].public) == 0


def test_voters_come_back_without_work_once_in_a_while() -> None:
    chain = VotingChain()
    story = []
    while chain.slot < 120:
        chain.step(chain.next_slot(("Alice", "Bob")), voters=THREE)
        story += [(name, chain.slot // 10) for name, who in events(chain) if who == "Charlie"]
    assert [name for name, _ in story] == ["Dropped", "Returned"] * (len(story) // 2) + ["Dropped"] * (len(story) % 2)
    returned = [epoch for name, epoch in story if name == "Returned"]
    assert returned == [2, 6, 10], "at once, and then every four epochs"


def test_who_does_not_vote_does_not_come_back() -> None:
    chain = VotingChain()
    chain.run(99, names=("Alice", "Bob"), voters=("Alice", "Bob"))
    assert chain.ring == ["Alice", "Bob"]


def test_who_has_left_does_not_come_back(chain: VotingChain) -> None:
    chain.step(13, chain.leave("Charlie"), voters=THREE)
    chain.run(60, names=("Alice", "Bob"), voters=THREE)
    assert chain.ring == ["Alice", "Bob"]


def test_the_ring_never_empties(chain: VotingChain) -> None:
    """The last two are gone; whoever makes the next block keeps the place."""
    chain.step(13, chain.leave("Alice"), voters=THREE)
    chain.step(14, chain.leave("Bob"), voters=THREE)
    chain.step(15, chain.leave("Charlie"), voters=THREE)
    to_checkpoint(chain)
    assert chain.ring == list(THREE), "nobody would be left"


def test_records_of_those_who_are_gone_are_kept_only_as_long_as_they_matter() -> None:
    chain = VotingChain(rules=replace(QUICK, join_age=12))
    chain.run(12)
    chain.step(13, chain.join("Eve"))
    to_checkpoint(chain)
    chain.step(chain.next_slot(chain.ring), chain.leave("Eve"))
    to_checkpoint(chain)
    assert MEMBERS.contains(chain.state, PAIRS["Eve"].public)
    to_checkpoint(chain)
    to_checkpoint(chain)
    assert not MEMBERS.contains(chain.state, PAIRS["Eve"].public)


# B3: open slots


def fault(chain: VotingChain, slot: int, author: str, nonce: int) -> tuple[BlockFault, str]:
    with pytest.raises(InvalidBlock) as caught:
        chain.step(slot, author=author, nonce=nonce)
    return caught.value.fault, caught.value.detail


def test_slots_are_open_when_nearly_all_must_be_gone(chain: VotingChain) -> None:
    first = chain.slot + 3 * 3 + 10 + 1
    nonce = chain.open_nonce("Eve", first - 1)
    message = f"slot {first - 1} is not open, slot {first} is the first that is"
    assert fault(chain, first - 1, "Eve", nonce) == (BlockFault.WRONG_SLOT, message)
    chain.step(first, author="Eve", nonce=chain.open_nonce("Eve", first))
    assert named([AccountId(chain.blocks[-1].header.digest[1].payload)]) == ["Eve"]


def test_who_comes_by_an_open_slot_is_in_the_ring_at_once(chain: VotingChain) -> None:
    slot = 45
    nonce = chain.open_nonce("Eve", slot)
    digest = work_digest(open_prefix(chain.genesis, chain.head.hash, Slot(slot), PAIRS["Eve"].public), nonce)
    chain.step(slot, author="Eve", nonce=nonce)
    member = MEMBERS.find(chain.state, PAIRS["Eve"].public)
    assert member is not None
    assert (member.rank, member.has_authored, member.probation_ends) == (digest[24:], True, 6)
    assert chain.ring == [*THREE, "Eve"]
    assert {name: MISSED.get(chain.state, PAIRS[name].public) for name in chain.ring} == {
        "Alice": 1,
        "Bob": 1,
        "Charlie": 1,
        "Eve": 0,
    }
    chain.step(chain.next_slot(("Eve",)))


def test_a_chain_that_all_have_left_goes_on(chain: VotingChain) -> None:
    slot = 45
    chain.step(slot, author="Eve", nonce=chain.open_nonce("Eve", slot))
    chain.run_epochs(3, names=("Eve",))
    assert chain.ring == ["Eve"]


def test_who_waits_to_join_may_take_an_open_slot(chain: VotingChain) -> None:
    chain.step(13, chain.join("Eve"))
    chain.step(48, author="Eve", nonce=chain.open_nonce("Eve", 48))
    assert (chain.ring, queued(chain)) == ([*THREE, "Eve"], [])


def test_a_member_may_take_an_open_slot_out_of_turn(chain: VotingChain) -> None:
    assert 49 % 3 != 0
    chain.step(49, author="Alice", nonce=chain.open_nonce("Alice", 49))
    assert chain.ring == list(THREE)


def test_work_for_an_open_slot_that_is_not_enough(chain: VotingChain) -> None:
    prefix = open_prefix(chain.genesis, chain.head.hash, Slot(45), PAIRS["Eve"].public)
    bad = next(nonce for nonce in range(99) if not is_enough(work_digest(prefix, nonce), QUICK.join_work))
    assert fault(chain, 45, "Eve", bad) == (BlockFault.BAD_WORK, "the work for the open slot 45 is not enough")


def test_an_open_block_weighs_one(chain: VotingChain) -> None:
    before = WEIGHT.get(chain.state)
    chain.step(45, author="Eve", nonce=chain.open_nonce("Eve", 45))
    assert WEIGHT.get(chain.state) == before + 1


def test_barred_accounts_take_no_open_slot(chain: VotingChain) -> None:
    chain.state.entries[BARRED.key(PAIRS["Eve"].public)] = U64.encode(5)
    nonce = chain.open_nonce("Eve", 49)
    assert fault(chain, 49, "Eve", nonce) == (BlockFault.WRONG_AUTHOR, f"0x{PAIRS['Eve'].public.hex()} is barred")
    chain.trie = chain.trie.apply([(BARRED.key(PAIRS["Eve"].public), U64.encode(5))])
    chain.step(50, author="Eve", nonce=chain.open_nonce("Eve", 50))
    assert not is_barred(chain.state, PAIRS["Eve"].public, 5)


def test_the_first_block_may_be_in_an_open_slot() -> None:
    chain = VotingChain()
    chain.step(10**9, author="Eve", nonce=chain.open_nonce("Eve", 10**9))
    assert chain.ring == [*THREE, "Eve"]


def test_a_remark_is_no_sign_of_a_member() -> None:
    chain = VotingChain()
    chain.run(9)
    while chain.slot < 39:
        names = ("Alice", "Bob")
        chain.step(chain.next_slot(names), chain.sign("Charlie", remark(b"here")), voters=names)
    chain.step(chain.next_slot(("Alice", "Bob")))
    assert chain.ring == ["Alice", "Bob"]
