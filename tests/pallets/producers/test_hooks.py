"""The rules of the ring in whole blocks: built, executed, refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.producers.claim import claim_digest
from pallets.producers.config import NO_RING, Config
from pallets.producers.hooks import ProducersHooks
from pallets.producers.storage import BLOCK_SLOT, MISSED, RING
from pallets.system.storage import BLOCK_HASH
from pallets.timestamp.pallet import NOW
from runtime.extrinsic import Extrinsic
from runtime.header import Block, DigestItem, DigestKind
from runtime.interface.context import Context
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, Slot
from runtime.scale import encode_compact
from runtime.trie import ordered_root
from tests.support.memory_state import MemoryState
from tests.support.ring_chain import DURATION, MEMBERS, RingChain, missed
from tests.support.small_chain import PAIRS, SmallChain, submit_rating
from tests.support.toy_pallet import NoView

ALICE, BOB, CHARLIE = MEMBERS


@pytest.fixture
def chain() -> RingChain:
    return RingChain()


def fault(chain: RingChain, block: Block) -> tuple[BlockFault, str]:
    """Why nobody executes this block on the head; it leaves nothing behind."""
    before = dict(chain.state.entries)
    with pytest.raises(InvalidBlock) as caught:
        chain.execute(block)
    assert chain.state.entries == before
    return caught.value.fault, caught.value.detail


def with_claim(block: Block, slot: int, author: AccountId) -> Block:
    digest = (*claim_digest(Slot(slot), author), *block.header.digest[2:])
    return replace(block, header=replace(block.header, digest=digest))


def with_time(block: Block, milliseconds: int) -> Block:
    inherent = Extrinsic(None, bytes((3, 0)) + encode_compact(milliseconds)).encode()
    body = (inherent, *block.extrinsics[1:])
    return Block(replace(block.header, extrinsics_root=ordered_root(body)), body)


# Genesis


def test_the_chain_begins_with_the_ring_and_the_slot_of_its_first_block() -> None:
    state = Overlay(MemoryState())
    ProducersHooks(Config(2_000, MEMBERS), genesis_time=1_735_689_601_999).genesis(state)
    assert RING.get(state) == MEMBERS
    assert BLOCK_SLOT.get(state) == 867_844_800
    assert list(MISSED.items(state)) == []


def test_the_first_block_may_come_years_after_the_genesis() -> None:
    state = Overlay(MemoryState())
    hooks = ProducersHooks(Config(1, MEMBERS), genesis_time=0)
    hooks.genesis(state)
    context = Context(state, BlockNumber(1), ZERO_HASH, NoView())
    context.digest.extend(claim_digest(Slot(3 * 10**15), ALICE))
    hooks.on_initialize(context)
    assert BLOCK_SLOT.get(state) == 3 * 10**15
    assert missed(state) == {}, "nobody has missed anything before there was a chain"


# A chain that is not sealed by a ring


def test_without_a_ring_there_are_no_rules_and_nothing_in_the_state() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(0, 1)))
    keys = (RING.key, BLOCK_SLOT.key, MISSED.prefix)
    assert [key for key in chain.state.entries if key.startswith(keys)] == []
    hooks = ProducersHooks(NO_RING, genesis_time=10**12)
    state = Overlay(MemoryState())
    hooks.genesis(state)
    context = Context(state, BlockNumber(1), ZERO_HASH, NoView())
    hooks.on_initialize(context)
    hooks.on_finalize(context)
    assert state.changes() == []


# B1: whose turn it is


def test_members_make_blocks_in_turn(chain: RingChain) -> None:
    for slot in range(1, 8):
        block = chain.extend(slot, chain.sign("Dave", submit_rating(slot, 1)))
        assert chain.head.number == slot
        assert chain.head.hash == block.header.hash()
        assert block.header.digest[1].payload == MEMBERS[slot % 3]
        assert BLOCK_SLOT.get(chain.state) == slot
    assert missed(chain.state) == {}
    assert RING.get(chain.state) == MEMBERS


def test_the_runtime_does_not_look_at_seals(chain: RingChain) -> None:
    chain.extend(1)
    block = chain.build_in(5).block
    seal = DigestItem(DigestKind.SEAL, b"rrbn", bytes(64))
    for digest in (block.header.digest, (*block.header.digest, seal)):
        other = replace(block, header=replace(block.header, digest=digest))
        assert chain.execute(other).block == other


@pytest.mark.parametrize("slot", [0, 1, 4])
def test_a_slot_that_does_not_come_after_the_parents(chain: RingChain, slot: int) -> None:
    chain.extend(4)
    block = chain.build_in(5).block
    message = f"slot {slot} does not come after the parent's slot 4"
    assert fault(chain, with_claim(block, slot, MEMBERS[slot % 3])) == (BlockFault.WRONG_SLOT, message)


@pytest.mark.parametrize("name", ["Alice", "Bob", "Dave"])
def test_an_author_whose_turn_it_is_not(chain: RingChain, name: str) -> None:
    chain.extend(4)
    author = PAIRS[name].public
    message = f"slot 5 is the turn of 0x{CHARLIE.hex()}, not of 0x{author.hex()}"
    assert fault(chain, with_claim(chain.build_in(5).block, 5, author)) == (BlockFault.WRONG_AUTHOR, message)


def test_an_author_cannot_even_begin_such_a_block(chain: RingChain) -> None:
    with pytest.raises(
        InvalidBlock, match=f"^WrongAuthor: slot 2 is the turn of 0x{CHARLIE.hex()}, not of 0x{BOB.hex()}$"
    ):
        chain.build_in(2, author=BOB)


def test_a_block_without_a_claim_or_with_two(chain: RingChain) -> None:
    block = chain.build_in(1).block
    message = "the pre-runtime items of the digest must be one rrbn, then one pow_, then at most one work"
    for digest in ((), block.header.digest[1:], block.header.digest[:1], block.header.digest * 2):
        wrong = replace(block, header=replace(block.header, digest=digest))
        assert fault(chain, wrong) == (BlockFault.BAD_CLAIM, message)


def test_items_that_execution_does_not_give_are_refused_beside_a_claim(chain: RingChain) -> None:
    block = chain.build_in(1).block
    other = DigestItem(DigestKind.CONSENSUS, b"rrbn", b"more")
    wrong = replace(block, header=replace(block.header, digest=(*block.header.digest, other)))
    assert fault(chain, wrong) == (BlockFault.BAD_DIGEST, "the digest is not what execution gives")


@pytest.mark.parametrize("time", [2_000, 2_001, 2_999])
def test_the_time_may_be_any_in_the_slot(chain: RingChain, time: int) -> None:
    chain.adopt(chain.build_in(1, time=1_999))
    chain.adopt(chain.build_in(2, time=time))
    assert NOW.get(chain.state) == time
    chain.adopt(chain.build_in(3, time=3_000))


@pytest.mark.parametrize("time", [2_500, 5_999, 7_000])
def test_a_time_outside_of_the_slot(chain: RingChain, time: int) -> None:
    chain.extend(2)
    message = f"the time {time} is not in slot 6, from 6000 to 6999"
    assert fault(chain, with_time(chain.build_in(6).block, time)) == (BlockFault.BAD_TIMESTAMP, message)


def test_a_slot_that_no_time_can_be_in(chain: RingChain) -> None:
    last = 2**64 - 1
    block = with_claim(chain.build_in(3).block, last, MEMBERS[last % 3])
    first = last * DURATION
    message = f"the time 3000 is not in slot {last}, from {first} to {first + DURATION - 1}"
    assert fault(chain, block) == (BlockFault.BAD_TIMESTAMP, message)


# B2: missed turns


def test_a_gap_counts_once_for_each_member_whose_slot_was_skipped(chain: RingChain) -> None:
    chain.extend(3)
    assert missed(chain.state) == {}, "the gap behind block 0 is nobody's fault"
    chain.extend(6)
    assert missed(chain.state) == {"Bob": 1, "Charlie": 1}
    chain.extend(8)
    assert missed(chain.state) == {"Bob": 2}, "Charlie was there, Bob was not"
    chain.extend(9)
    assert missed(chain.state) == {"Bob": 2}
    chain.extend(19)
    assert missed(chain.state) == {"Alice": 1, "Charlie": 1}, "three rounds are one missed turn, and Bob is back"


def test_a_single_member_misses_nothing() -> None:
    chain = RingChain(producers=Config(DURATION, (ALICE,)))
    for slot in (1, 2, 50, 51):
        chain.extend(slot)
    assert missed(chain.state) == {}


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 12), min_size=1, max_size=30),
)
def test_missed_turns_are_those_that_a_loop_over_all_slots_counts(size: int, distances: list[int]) -> None:
    names = tuple(PAIRS)[:size]
    ring = tuple(PAIRS[name].public for name in names)
    hooks = ProducersHooks(Config(DURATION, ring), genesis_time=0)
    state = Overlay(MemoryState())
    hooks.genesis(state)
    counts = dict.fromkeys(names, 0)
    BLOCK_HASH.put(state, BlockNumber(0), ZERO_HASH)
    parent = 0
    for number, distance in enumerate(distances, start=2):
        slot = parent + distance
        for name in {names[between % size] for between in range(parent + 1, slot)}:
            counts[name] += 1
        counts[names[slot % size]] = 0
        context = Context(state, BlockNumber(number), ZERO_HASH, NoView())
        context.digest.extend(claim_digest(Slot(slot), ring[slot % size]))
        hooks.on_initialize(context)
        NOW.put(state, slot * DURATION)
        hooks.on_finalize(context)
        assert missed(state) == {name: count for name, count in counts.items() if count}
        parent = slot


def test_who_has_missed_none_has_no_entry_in_the_state(chain: RingChain) -> None:
    chain.extend(3)
    chain.extend(4)
    chain.extend(5)
    assert [key for key in chain.state.entries if key.startswith(MISSED.prefix)] == []
