"""A hundred blocks, and at every single write the process dies, the power goes, or the disk refuses."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from node.chain import Chain
from storage.errors import StorageError
from storage.kv import KeyValueStore
from storage.leveldb import LevelDbStore
from storage.memory import MemoryStore
from tests.crash.faulty import NO_SPACE, Fault, FaultyStore, Killed, copied
from tests.crash.story import BLOCKS, Event, apply, open_chain, story

pytestmark = pytest.mark.full


def check(chain: Chain, event: Event) -> None:
    """The chain is that of the undisturbed twin after an event: head, state (by its root) and model."""
    database = chain.database
    assert database.head() == event.head
    header = database.header(event.head.hash)
    assert header is not None
    assert database.block(event.head.hash) is not None
    assert database.head_trie().root() == header.state_root
    assert chain.snapshot.best == event.head
    assert database.finalized() == event.finalized
    assert chain.snapshot.model.digest() == event.digest


def happen(chain: Chain, event: Event, fault: Fault) -> None:
    """Let an event happen during which the fault strikes."""
    blocks = story()[1]
    if fault is Fault.FAILED:
        with pytest.raises(StorageError) as refused:
            apply(chain, event, blocks)
        assert str(refused.value) == NO_SPACE
    else:
        with pytest.raises(Killed):
            apply(chain, event, blocks)


def test_the_story_has_what_can_go_wrong() -> None:
    events, blocks = story()
    heads = [event.head for event in events]
    assert heads[-1].number >= BLOCKS
    # Blocks beside the best chain, which change no head, and branches that replace part of it.
    imports = [(before, now) for before, now in pairwise(events) if now.block is not None]
    beside = [now for before, now in imports if now.head == before.head]
    replacing = [
        now
        for before, now in imports
        if now.head.number == before.head.number + 1
        and now.block is not None
        and now.block.header.parent_hash != before.head.hash
    ]
    assert len(beside) >= 10
    assert len(replacing) >= 10
    assert sum(event.final is not None for event in events) >= 10
    assert len({event.digest for event in events}) > 60
    assert len(blocks) > BLOCKS


@pytest.mark.parametrize("fault", list(Fault))
def test_at_every_write(fault: Fault) -> None:
    events, blocks = story()
    store = FaultyStore(MemoryStore(), MemoryStore())
    chain = open_chain(store)
    lost = 0
    for before, event in zip([None, *events], events, strict=False):
        # What the disturbed node has, before this event.
        live = copied(store.survivor(Fault.DROPPED), MemoryStore)
        disk = copied(store.survivor(Fault.TORN), MemoryStore)
        done = store.writes
        apply(chain, event, blocks)
        check(chain, event)
        # So the first write of each event is all of them.
        assert store.writes == done + 1

        disturbed = FaultyStore(live, disk)
        node = open_chain(disturbed)
        disturbed.fail_at(disturbed.writes + 1, fault)
        happen(node, event, fault)
        if before is not None and fault is Fault.FAILED:
            # Who reads meanwhile sees what was there.
            check(node, before)
        again = open_chain(disturbed.survivor(fault))
        if fault is Fault.DONE:
            check(again, event)
        elif before is not None:
            # A block, or its being final, was acknowledged: it is still so. That a block is there beside the best
            # chain is promised to nobody.
            check(again, before)
        lost += sum(again.database.header(name) is None for name in blocks_before(event))
        apply(again, event, blocks)
        check(again, event)
    assert (lost > 0) == (fault is Fault.TORN)


@pytest.mark.parametrize("fault", list(Fault))
def test_at_the_write_that_makes_the_database(fault: Fault) -> None:
    store = FaultyStore(MemoryStore(), MemoryStore())
    store.fail_at(1, fault)
    with pytest.raises(StorageError if fault is Fault.FAILED else Killed):
        open_chain(store)
    chain = open_chain(store.survivor(fault))
    assert chain.database.head().number == 0
    assert chain.database.head().hash == chain.genesis


def blocks_before(event: Event) -> list[bytes]:
    """The blocks that came in before an event and were not forgotten since, as only the last few can be lost."""
    events = story()[0]
    at = events.index(event)
    recent = [one.block for one in events[max(0, at - 2) : at] if one.block is not None]
    return [block.header.hash() for block in recent if block.header.number > event.finalized.number]


STORES: dict[str, Callable[[Path], KeyValueStore]] = {"leveldb": LevelDbStore, "memory": lambda _: MemoryStore()}


@pytest.mark.parametrize("kind", STORES)
def test_a_node_that_dies_again_and_again_ends_like_one_that_does_not(kind: str, tmp_path: Path) -> None:
    events, blocks = story()
    count = 0

    def fresh() -> KeyValueStore:
        nonlocal count
        count += 1
        return STORES[kind](tmp_path / str(count))

    store = FaultyStore(fresh(), fresh())
    chain = open_chain(store)
    for at, event in enumerate(events):
        if at % 4 == 3:
            fault = list(Fault)[at // 4 % len(Fault)]
            store.fail_at(store.writes + 1, fault)
            happen(chain, event, fault)
            survivor = store.survivor(fault)
            after = FaultyStore(copied(survivor, fresh), copied(survivor, fresh))
            store.close()
            store = after
            chain = open_chain(store)
        apply(chain, event, blocks)
        check(chain, event)
    store.close()
