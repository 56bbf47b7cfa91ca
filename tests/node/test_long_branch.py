"""A partition that lasted for long: more than a thousand blocks beside the best chain, before they become it."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.forks import BranchState
from runtime.interface.state import StateReader
from runtime.overlay import Changes
from storage.memory import MemoryStore
from storage.state_db import HeadState
from tests.support.ring_nodes import MEMBERS, RingNode
from tests.support.small_chain import submit_rating

LENGTH = 1_050
KEYS = st.binary(max_size=3)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=2), max_size=6)


@pytest.mark.full
@pytest.mark.timeout(400)
def test_a_thousand_side_blocks_become_the_best_chain() -> None:
    """They weigh more from the first one on, but are voted for at the end only: what is justified comes first."""
    us, they = RingNode(), RingNode()
    they.take(*(us.block(slot) for slot in range(1, 6)))
    us.voters = MEMBERS
    ours = [us.block(slot, *([("Alice", submit_rating(slot % 8, 3))] if slot < 9 else [])) for slot in range(6, 14)]
    justified = us.chain.snapshot.best
    theirs = [they.block(slot) for slot in range(6, 6 + LENGTH)]
    for block in theirs:
        assert us.chain.import_block(block).head is None
    assert us.chain.snapshot.best == justified
    # Fork choice looks at one block of the branch, and memory holds the last ones.
    assert len(us.chain._forks.facts) == 1
    assert len(us.chain._forks) == 256
    for slot, voter in enumerate(MEMBERS, 6 + LENGTH):
        they.voters = (voter,)
        theirs.append(they.block(slot, ("Bob", submit_rating(slot % 8, 5))))
    us.take(*theirs[LENGTH:-1])
    head = us.chain.import_block(theirs[-1]).head
    assert head is not None
    assert head.retracted == tuple(reversed(ours))
    assert [entered.block for entered in head.entered] == theirs
    assert us.head == they.head
    assert us.model.digest() == they.model.digest()
    state, expected = us.chain.snapshot.state, they.chain.snapshot.state
    assert list(state.items(b"")) == list(expected.items(b""))
    us.open()
    assert us.head == they.head


def counted(parent: StateReader, changes: Changes) -> tuple[BranchState, int]:
    state = BranchState(parent, changes)
    return state, len(state._layers)


def test_a_state_on_a_long_branch_has_few_layers() -> None:
    """Deeper than Python calls may be nested; each block changes a key of its own and one that all change."""
    state: StateReader = HeadState(MemoryStore())
    depth = 4 * sys.getrecursionlimit()
    most = 0
    for number in range(depth):
        state, layers = counted(state, [(b"all", b"%d" % number), (b"k%06d" % number, b"")])
        most = max(most, layers)
    assert most <= depth.bit_length() + 1
    assert state.get(b"all") == b"%d" % (depth - 1)
    assert state.get(b"k000000") == b""
    assert [key for key, _ in state.items(b"")] == [b"all", *(b"k%06d" % number for number in range(depth))]


class Plain:
    """A state that is a dictionary."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        for key, value in sorted(self.values.items()):
            if key.startswith(prefix) and (after is None or key > after):
                yield key, value


@given(
    base=st.dictionaries(KEYS, st.binary(max_size=2)),
    blocks=st.lists(CHANGES, max_size=12),
    prefix=st.binary(max_size=2),
    after=st.none() | KEYS,
)
@settings(max_examples=100)
def test_layers_read_as_one_state(
    base: dict[bytes, bytes], blocks: list[dict[bytes, bytes | None]], prefix: bytes, after: bytes | None
) -> None:
    state: StateReader = Plain(base)
    plain = Plain(dict(base))
    states = []
    for changes in blocks:
        state = BranchState(state, sorted(changes.items()))
        values: dict[bytes, bytes | None] = {**plain.values, **changes}
        plain = Plain({key: value for key, value in values.items() if value is not None})
        states.append((state, plain))
    # Those below are what they were, too: several blocks can go on from one.
    for state, plain in states:
        assert list(state.items(prefix, after)) == list(plain.items(prefix, after))
        assert all(state.get(key) == plain.get(key) for changes in blocks for key in changes)
        assert all(state.get(key) == plain.get(key) for key in base)
