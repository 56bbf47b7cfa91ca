"""A trusted block: no other one in its place, and when a node should have been told of one."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from node.age import half_leak, is_far_ahead, is_stale
from node.chain import Chain, TooOld
from node.chain_spec import genesis
from node.config import Options, configure
from node.errors import ExitCode, NodeError
from node.executor import InlineExecutor
from node.inbox import Inbox
from node.node import Node
from node.pool import TransactionPool
from node.ring import slot_start
from node.service import run_node
from node.signing_records import DatabaseRecords
from runtime.header import Block
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, Slot, to_hex
from storage.leveldb import LevelDbStore
from storage.memory import MemoryStore
from storage.snapshot import Snapshot, is_snapshot
from tests.node.sync.peers import in_virtual_time
from tests.support.node_chain import NodeChain
from tests.support.ring_nodes import GENESIS_SLOT, MEMBERS, RingNode, ring_spec
from tests.support.small_chain import PAIRS


def trusting(node: RingNode, trusted: BlockRef | None) -> Chain:
    return Chain.open(node.spec, MemoryStore(), state_pruning=64, trusted=trusted)


def test_no_other_block_is_taken_in_its_place() -> None:
    they, others = RingNode(), RingNode()
    blocks = [they.block(slot) for slot in (1, 2, 3)]
    false = [others.block(slot) for slot in (1, 3)]
    chain = trusting(they, BlockRef(BlockNumber(2), blocks[1].header.hash()))
    chain.import_block(blocks[0])
    for attempt in (lambda: chain.check_header(false[1].header), lambda: chain.import_block(false[1])):
        with pytest.raises(InvalidBlock) as caught:
            attempt()
        assert caught.value.fault is BlockFault.NOT_TRUSTED
        assert str(caught.value) == "NotTrusted: block 2 is not the trusted one"
    assert chain.is_known_bad(false[1].header.hash())
    chain.import_block(blocks[1])
    chain.import_block(blocks[2])
    assert chain.snapshot.best == they.chain.snapshot.best


def blocks_of(node: RingNode) -> list[Block]:
    database = node.chain.database
    names = [database.hash_at(BlockNumber(number)) for number in range(1, node.chain.snapshot.best.number + 1)]
    blocks = [database.block(name) for name in names if name is not None]
    return [block for block in blocks if block is not None]


def grown(last: int, first: int = 1, voters: tuple[str, ...] = ()) -> RingNode:
    node = RingNode(voters=voters)
    for slot in range(first, last + 1):
        node.block(slot)
    return node


def ref(block: Block) -> BlockRef:
    return BlockRef(block.header.number, block.header.hash())


def test_nothing_is_final_before_it_and_it_is_by_itself() -> None:
    they = grown(50, voters=MEMBERS)
    blocks, final = blocks_of(they), they.chain.snapshot.finalized.number
    assert 10 < final < 40
    chain = trusting(they, ref(blocks[final + 4]))
    for block in blocks[: final + 4]:
        assert chain.import_block(block).head is not None
    assert chain.snapshot.finalized.number == 0
    head = chain.import_block(blocks[final + 4]).head
    assert head is not None
    assert head.finalized == chain.snapshot.finalized == ref(blocks[final + 4])
    for block in blocks[final + 5 :]:
        chain.import_block(block)
    assert chain.snapshot.best == they.chain.snapshot.best
    # Once it is there, votes count as ever.
    early = trusting(they, ref(blocks[2]))
    for block in blocks:
        early.import_block(block)
    assert early.snapshot.finalized == they.chain.snapshot.finalized


def test_a_chain_that_ends_below_it_is_left_however_heavy_and_final_that_is() -> None:
    right, other = grown(30), grown(50, first=2, voters=MEMBERS)
    assert other.chain.snapshot.finalized.number > 10
    blocks = blocks_of(right)
    chain = trusting(right, ref(blocks[24]))
    others = blocks_of(other)
    # Its own block with the number of the trusted one is not taken, so that is where it ends.
    for block in others[:24]:
        assert chain.import_block(block).head is not None
    with pytest.raises(InvalidBlock, match=r"^NotTrusted: block 25 is not the trusted one$"):
        chain.import_block(others[24])
    assert chain.snapshot.finalized.number == 0
    for block in blocks[:24]:
        assert chain.import_block(block).head is None
    head = chain.import_block(blocks[24]).head
    assert head is not None
    assert head.ref == head.finalized == chain.trusted
    assert len(head.retracted) == len(head.entered) - 1 == 24
    for block in blocks[25:]:
        chain.import_block(block)
    assert chain.snapshot.best == right.chain.snapshot.best
    with pytest.raises(TooOld):
        chain.import_block(others[0])


def test_one_that_is_in_the_database_already_is_final_from_then_on() -> None:
    node = grown(12)
    trusted = ref(blocks_of(node)[7])
    assert node.chain.snapshot.finalized.number == 0
    chain = Chain.open(node.spec, node.store, state_pruning=64, trusted=trusted)
    assert chain.snapshot.finalized == chain.database.finalized() == trusted


@pytest.mark.parametrize("is_told", [False, True])
def test_a_producer_takes_no_part_in_a_chain_without_it(is_told: bool) -> None:
    """Its votes on a chain that somebody has made up would keep it from voting on the right one."""
    spec = ring_spec(("Alice",))
    trusted = BlockRef(BlockNumber(9), Hash(b"\x09" * 32)) if is_told else None
    chain = Chain.open(spec, MemoryStore(), state_pruning=64, trusted=trusted)
    other = RingNode(spec)
    for slot in range(1, 9):
        chain.import_block(other.block(slot))

    def clock() -> int:
        return slot_start(Slot(GENESIS_SLOT + 9), spec.slot_duration) + int(trio.current_time() * 1_000)

    async def main() -> None:
        inbox = Inbox(trio.lowlevel.current_trio_token())
        node = Node(
            chain=chain,
            pool=TransactionPool(),
            inbox=inbox,
            executor=InlineExecutor(),
            notify=lambda _event: None,
            producer=PAIRS["Alice"],
            block_time=2.0,
            clock=clock,
            network=None,
        )
        with trio.move_on_after(100.0):
            await node.run()

    in_virtual_time(main)
    record = DatabaseRecords(chain.database, PAIRS["Alice"].public).load()
    assert record is not None
    has_voted = record.target > (GENESIS_SLOT + 9) // spec.rules.epoch_slots
    assert (chain.snapshot.best.number > 8, has_voted) == (not is_told, not is_told)


def test_half_the_leak_is_how_old_the_last_final_block_may_be() -> None:
    node = RingNode(voters=MEMBERS)
    for slot in range(1, 26):
        node.block(slot)
    final = node.chain.snapshot.finalized.number
    assert final > 0
    limit = GENESIS_SLOT + final + half_leak(node.spec)
    duration = node.spec.slot_duration
    assert not is_stale(node.chain, slot_start(Slot(limit), duration))
    assert is_stale(node.chain, slot_start(Slot(limit + 1), duration))
    # Of nothing but block 0 nobody can tell by the clock.
    assert not is_stale(RingNode().chain, slot_start(Slot(limit * 9), duration))


def test_how_far_a_chain_may_be_ahead() -> None:
    node = RingNode()
    limit = half_leak(node.spec)
    assert limit == 150
    assert not is_far_ahead(node.chain, limit)
    assert is_far_ahead(node.chain, limit + 1)
    assert not is_far_ahead(trusting(node, BlockRef(BlockNumber(5), ZERO_HASH)), limit + 1)
    alone = NodeChain()
    assert not is_far_ahead(alone.chain, 10**6)
    assert not is_stale(alone.chain, 10**15)


def test_a_database_with_another_block_in_its_place_is_refused(tmp_path: Path) -> None:
    node = RingNode()
    block = node.block(1)
    options = Options(rpc_port=0, port=0, no_mdns=True, trusted="1:0x" + "77" * 32)
    config = configure(options, node.spec, tmp_path, lambda _path: PAIRS["Alice"])
    store = LevelDbStore(config.database_path)
    Chain.open(node.spec, store, state_pruning=config.state_pruning).import_block(block)
    store.close()
    with pytest.raises(NodeError) as caught:
        run_node(config)
    assert caught.value.exit_code is ExitCode.DATABASE_REFUSED
    found = to_hex(block.header.hash())
    assert str(caught.value) == f"block 1 of the database is {found}, not the trusted 0x{'77' * 32}"


def test_what_a_fast_sync_has_begun_is_given_up_by_a_full_one(tmp_path: Path) -> None:
    node = RingNode()
    options = Options(rpc_port=0, port=0, no_mdns=True, trusted="1:0x" + "77" * 32)
    config = configure(options, node.spec, tmp_path, lambda _path: PAIRS["Alice"])
    store = LevelDbStore(config.database_path)
    snapshot = Snapshot.open(store, genesis(node.spec).header)
    snapshot.append([node.block(1).header])
    store.close()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - only to be in the way
        taken.listen()
        # The database is opened before the network finds its port taken.
        network = replace(config.network, port=taken.getsockname()[1])
        with pytest.raises(NodeError) as caught:
            run_node(replace(config, network=network))
    assert caught.value.exit_code is ExitCode.PORT_IN_USE
    store = LevelDbStore(config.database_path)
    try:
        assert not is_snapshot(store)
        assert Chain.open(node.spec, store, state_pruning=config.state_pruning).snapshot.best.number == 0
    finally:
        store.close()
