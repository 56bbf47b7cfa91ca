"""Fork choice over facts: from the highest justified checkpoint to the heaviest head, and the same one on a tie."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fork_choice import HeadFacts, choose
from pallets.finality.storage import WEIGHT
from pallets.finality.voters import current_voters
from runtime.header import Header
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash
from tests.support.small_chain import SmallChain
from tests.support.voting_chain import VotingChain


@dataclass
class Tree:
    """Blocks by name, each with its parent, its weight, and which checkpoint is justified in its state."""

    blocks: dict[str, HeadFacts] = field(default_factory=dict)
    parents: dict[Hash, Hash] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root = BlockRef(BlockNumber(0), Hash(b"root" * 8))
        self.blocks["root"] = HeadFacts(root, 0, 0, root)

    def add(self, name: str, parent: str, weight: int = 4, justified: str | None = None) -> None:
        before = self.blocks[parent]
        ref = BlockRef(BlockNumber(before.ref.number + 1), Hash(name.encode().ljust(32, b".")))
        self.parents[ref.hash] = before.ref.hash
        if justified is None:
            epoch, start = before.epoch, before.justified
        else:
            start = self.blocks[justified].ref
            epoch = start.number
        self.blocks[name] = HeadFacts(ref, before.weight + weight, epoch, start)

    def chain(self, names: str, parent: str, weight: int = 4) -> None:
        for name in names:
            self.add(name, parent, weight)
            parent = name

    def descends(self, block: Hash, ancestor: BlockRef) -> bool:
        while block != ancestor.hash:
            if block not in self.parents:
                return False
            block = self.parents[block]
        return True

    def part(self, one: BlockRef, other: BlockRef) -> tuple[BlockRef, BlockRef]:
        by_hash = {facts.ref.hash: facts.ref for facts in self.blocks.values()}
        ours, theirs = [one], [other]
        for path in (ours, theirs):
            while path[-1].hash in self.parents:
                path.append(by_hash[self.parents[path[-1].hash]])
        common = set(ours) & set(theirs)
        return (
            next(after for after, ref in pairwise(ours) if ref in common),
            next(after for after, ref in pairwise(theirs) if ref in common),
        )

    def choose(self, current: str, *others: str) -> str:
        chosen = choose(self.blocks[current], [self.blocks[name] for name in others], self)
        return next(name for name, facts in self.blocks.items() if facts == chosen)


def test_the_heavier_chain_wins_not_the_longer_one() -> None:
    tree = Tree()
    tree.chain("abc", "root", weight=4)
    tree.chain("vwxyz", "root", weight=2)
    assert tree.choose("z", "c") == "c"
    assert tree.choose("c", "z") == "c"


def test_on_a_tie_the_head_stays_and_then_the_first_counts() -> None:
    tree = Tree()
    tree.chain("ab", "root")
    tree.chain("xy", "root")
    tree.chain("pq", "root", weight=5)
    tree.chain("mn", "root", weight=5)
    assert tree.choose("b", "y") == "b"
    assert tree.choose("y", "b") == "y"
    assert tree.choose("b", "q", "n") == "q"
    assert tree.choose("b", "n", "q") == "n"


def test_chains_that_parted_long_ago_do_not_stay_even() -> None:
    tree = Tree()
    ours, theirs = "abcdefghijk", "nopqrstuvwx"
    tree.chain(ours, "root")
    tree.chain(theirs, "root")
    assert tree.choose("j", "w") == "j", "ten blocks are not long"
    assert tree.choose("w", "j") == "w"
    assert tree.choose("k", "x") == "k", "its first block has the lower hash"
    assert tree.choose("x", "k") == "k"
    tree.add("z", "x", weight=1)
    assert tree.choose("k", "z") == "z", "but the heavier wins"


def test_a_lighter_chain_with_a_higher_justified_checkpoint_wins() -> None:
    tree = Tree()
    tree.chain("abcdef", "root")
    tree.chain("xy", "root")
    tree.add("z", "y", justified="x")
    assert tree.choose("f", "z") == "z"
    assert tree.choose("f", "y") == "f", "nobody has shown that it is justified"


def test_the_checkpoint_counts_in_whichever_state_it_is_justified() -> None:
    """The heaviest head goes on from it without knowing that it is justified."""
    tree = Tree()
    tree.chain("ab", "root")
    tree.chain("cdefg", "b")
    tree.add("j", "b", justified="a")
    tree.chain("wxyz", "root", weight=100)
    assert tree.choose("g", "z", "j") == "g"
    assert tree.choose("z", "g", "j") == "g", "z is heavier, but does not descend from a"
    assert tree.choose("z", "j") == "j"


def test_of_two_justified_checkpoints_of_one_epoch_that_of_the_head_counts() -> None:
    tree = Tree()
    tree.chain("ab", "root")
    tree.chain("xy", "root", weight=9)
    tree.add("c", "b", justified="a")
    tree.add("z", "y", weight=9, justified="x")
    assert tree.choose("c", "z") == "c"
    assert tree.choose("z", "c") == "z"


@given(st.data(), st.integers(1, 12))
def test_the_chosen_head_is_that_of_a_search_over_all(data: st.DataObject, size: int) -> None:
    tree = Tree()
    names = ["root"]
    for index in range(size):
        parent = data.draw(st.sampled_from(names))
        above = [name for name in names if tree.descends(tree.blocks[parent].ref.hash, tree.blocks[name].ref)]
        above = [name for name in above if tree.blocks[name].ref.number >= tree.blocks[parent].epoch]
        justified = data.draw(st.none() | st.sampled_from(above))
        tree.add(f"b{index}", parent, data.draw(st.integers(1, 3)), justified)
        names.append(f"b{index}")
    current = data.draw(st.sampled_from(names))
    chosen = tree.blocks[tree.choose(current, *names)]
    highest = max(tree.blocks[name].epoch for name in names)
    starts = {tree.blocks[name].justified.hash for name in names if tree.blocks[name].epoch == highest}
    start = next(tree.blocks[name].justified for name in [current, *names] if tree.blocks[name].epoch == highest)
    assert start.hash in starts
    eligible = [facts for facts in tree.blocks.values() if tree.descends(facts.ref.hash, start)]
    assert chosen in eligible
    assert chosen.weight == max(facts.weight for facts in eligible)
    if tree.blocks[current] in eligible and tree.blocks[current].weight == chosen.weight:
        assert chosen == tree.blocks[current]


def test_the_facts_are_those_of_the_state() -> None:
    chain = VotingChain()
    chain.run(25)
    facts = HeadFacts.of(chain.blocks[-1].header, chain.state)
    assert facts.ref == chain.head
    assert facts.weight == WEIGHT.get(chain.state) == 25 * (1 + len(current_voters(chain.state).voters))
    assert (facts.epoch, facts.justified) == (2, BlockRef(BlockNumber(20), chain.hash_at(20)))


@pytest.mark.parametrize("number", [0, 7])
def test_without_a_ring_the_longer_chain_is_the_heavier(number: int) -> None:
    header = Header(ZERO_HASH, BlockNumber(number), ZERO_HASH, ZERO_HASH)
    facts = HeadFacts.of(header, SmallChain().state)
    assert (facts.weight, facts.epoch) == (number, 0)
