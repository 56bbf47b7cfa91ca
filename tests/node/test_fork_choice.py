"""Fork choice over header facts: the longer chain, and no change of mind on a tie."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fork_choice import HeadFacts, is_better
from runtime.header import Header
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash


def head(number: int, name: int = 0) -> HeadFacts:
    return HeadFacts(Hash(bytes([name]) * 32), BlockNumber(number))


heads = st.builds(head, st.integers(0, 5), st.integers(0, 3))


def test_the_facts_are_those_of_a_header() -> None:
    header = Header(ZERO_HASH, BlockNumber(7), ZERO_HASH, ZERO_HASH)
    facts = HeadFacts.of(header)
    assert facts == HeadFacts(header.hash(), BlockNumber(7))
    assert facts.ref == BlockRef(BlockNumber(7), header.hash())
    assert facts.weight == 7


@pytest.mark.parametrize(
    ("candidate", "current", "expected"), [(8, 7, True), (7, 7, False), (6, 7, False), (0, 0, False)]
)
def test_the_longer_chain_is_better_and_an_equal_one_is_not(candidate: int, current: int, expected: bool) -> None:
    assert is_better(head(candidate, 1), head(current, 2)) is expected
    assert is_better(head(candidate, 2), head(current, 1)) is expected, "hashes decide nothing"


@given(heads, heads, heads)
def test_it_is_a_strict_weak_order(a: HeadFacts, b: HeadFacts, c: HeadFacts) -> None:
    assert not is_better(a, a)
    assert not (is_better(a, b) and is_better(b, a))
    if is_better(a, b) and is_better(b, c):
        assert is_better(a, c)
    if not is_better(a, b) and not is_better(b, a) and is_better(a, c):
        assert is_better(b, c), "what ties is equally good against every other"


@given(st.lists(heads, min_size=1))
def test_a_node_ends_with_the_first_head_of_the_greatest_weight(seen: list[HeadFacts]) -> None:
    chosen = reduce(lambda current, candidate: candidate if is_better(candidate, current) else current, seen)
    most = max(facts.weight for facts in seen)
    assert chosen is next(facts for facts in seen if facts.weight == most)
