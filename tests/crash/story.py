"""What happens to a node in a hundred blocks: blocks come in, branches win and lose, blocks become final."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from node.chain import Chain, UnknownParent
from runtime.header import Block
from runtime.primitives import BlockNumber, BlockRef, Hash
from storage.kv import KeyValueStore
from tests.support.ring_nodes import RingNode, ring_spec
from tests.support.small_chain import register_item, retract_rating, submit_rating

BLOCKS = 100
PRUNING = 16
FORK_EVERY = 8
FINAL_EVERY = 5
FINALITY_LAG = 3
SIGNERS = ("Alice", "Bob", "Charlie", "Dave")


@dataclass(frozen=True, slots=True)
class Event:
    """A block comes in, or one that is here becomes final; afterwards the undisturbed chain is so."""

    block: Block | None
    final: Hash | None
    head: BlockRef
    finalized: BlockRef
    digest: Hash


def open_chain(store: KeyValueStore) -> Chain:
    """Open the chain, as a node does when it starts."""
    return Chain.open(ring_spec(), store, state_pruning=PRUNING)


def apply(chain: Chain, event: Event, blocks: dict[Hash, Block]) -> None:
    """Let an event happen. What was lost with a side block is asked for again, as a node asks its peers."""
    if event.final is not None:
        if chain.database.finalized().number < event.finalized.number:
            chain.database.set_finalized(event.final)
        return
    assert event.block is not None
    missing = [event.block]
    while missing:
        try:
            chain.import_block(missing[-1])
        except UnknownParent:
            missing.append(blocks[missing[-1].header.parent_hash])
        else:
            missing.pop()


def _calls(number: int) -> list[tuple[str, bytes]]:
    """What is in a block: ratings, some of them again, some taken back, now and then a new item, often nothing."""
    if number % 7 == 3:
        return []
    who = SIGNERS[number % len(SIGNERS)]
    calls = [(who, submit_rating(number * 3 % 8, 1 + number % 5)), (who, submit_rating(number % 8, 1 + number % 3))]
    if number % 9 == 8:
        calls.append((who, retract_rating(number % 8)))
    if number % 25 == 24:
        calls.append((SIGNERS[0], register_item(f"item of block {number}")))
    return calls


def _blocks() -> Iterator[tuple[Block, bool]]:
    """Make the blocks in the order in which they come in; True for those that the undisturbed chain keeps."""
    ours, theirs = RingNode(), RingNode()
    slot = 0
    for number in range(1, BLOCKS + 1):
        slot += 1 + number % 2
        if number % FORK_EVERY == 6:
            # Our block first; then two of theirs, which win.
            left = ours.block(slot, *_calls(number))
            first, second = theirs.block(slot + 1, *_calls(number + 1)), theirs.block(slot + 2, *_calls(number + 2))
            slot += 2
            ours.take(first, second)
            yield left, False
            yield first, True
            yield second, True
            continue
        block = ours.block(slot, *_calls(number))
        theirs.take(block)
        yield block, True


@cache
def story() -> tuple[list[Event], dict[Hash, Block]]:
    """All events, as they went for a node that nothing happened to, and all blocks by hash."""
    twin, events, blocks = RingNode(pruning=PRUNING), [], {}

    def note(block: Block | None, final: Hash | None) -> None:
        snapshot, database = twin.chain.snapshot, twin.chain.database
        events.append(Event(block, final, database.head(), database.finalized(), snapshot.model.digest()))

    for count, (block, _) in enumerate(_blocks(), 1):
        blocks[block.header.hash()] = block
        twin.take(block)
        note(block, None)
        height = BlockNumber(twin.chain.database.head().number - FINALITY_LAG)
        if count % FINAL_EVERY == 0 and height > twin.chain.database.finalized().number:
            final = twin.chain.database.hash_at(height)
            assert final is not None
            twin.chain.database.set_finalized(final)
            note(None, final)
    return events, blocks
