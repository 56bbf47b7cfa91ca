"""Blocks that were executed but are not on the best chain: each with its state over that of its parent."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from node.fork_choice import HeadFacts
from pallets.matrix_factorization.view import ModelView
from runtime.header import Header
from runtime.interface.state import StateReader
from runtime.overlay import Changes
from runtime.primitives import BlockNumber, BlockRef, Hash
from runtime.trie import Trie
from storage.chain_db import ChainDatabase, ExecutedBlock
from storage.layers import Layer, put_on, walk

MOST_KEPT: Final = 256
"""Side blocks kept in memory. One that is forgotten is executed again when something goes on from it."""
_ANCESTORS_KEPT: Final = 4
_DESCENDANTS_KEPT: Final = 4_096


class BranchState:
    """The state after a block, as its changes over its parent's; of a long branch in few layers."""

    def __init__(self, parent: StateReader, changes: Changes) -> None:
        """Take what `ExecutedBlock` has."""
        below = parent if isinstance(parent, BranchState) else None
        self._base: StateReader = parent if below is None else below._base
        self._layers: tuple[Layer, ...] = put_on(() if below is None else below._layers, dict(changes))

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a storage key, or None."""
        for layer in self._layers:
            if key in layer.values:
                return layer.values[key]
        return self._base.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys that start with `prefix` and come after `after`, ascending, with their values."""
        return walk(self._layers, self._base, prefix, after)


@dataclass(frozen=True, slots=True)
class Tip:
    """A block that another can go on from: what executing the other needs."""

    ref: BlockRef
    state: StateReader
    trie: Trie
    view: ModelView


@dataclass(frozen=True, slots=True)
class SideBlock:
    """An executed block beside the best chain."""

    executed: ExecutedBlock
    tip: Tip
    facts: HeadFacts
    failed: int

    @property
    def parent(self) -> Hash:
        """The hash of the block before it."""
        return self.executed.block.header.parent_hash


class StoredTree:
    """`node.fork_choice.Tree` of the blocks in a database, and of one that is about to be stored.

    What was found out of a block need not be walked again for its child, or a long branch would cost the square of its
    length. It never changes: only of a block that is gone nothing can be said any more, and nothing goes on from one.
    """

    def __init__(self, database: ChainDatabase) -> None:
        """Begin without knowing anything."""
        self._database = database
        self._arriving: Header | None = None
        self._known: OrderedDict[Hash, dict[Hash, bool]] = OrderedDict()

    def expect(self, arriving: Header) -> None:
        """Take the header of the block that is not stored yet."""
        self._arriving = arriving

    def _header(self, block: Hash) -> Header | None:
        if self._arriving is not None and self._arriving.hash() == block:
            return self._arriving
        return self._database.header(block)

    def descends(self, block: Hash, ancestor: BlockRef) -> bool:
        """Tell whether a block is another one, or goes on from it; False if blocks on the way are gone."""
        known = self._known.setdefault(ancestor.hash, {})
        self._known.move_to_end(ancestor.hash)
        if len(self._known) > _ANCESTORS_KEPT:
            self._known.popitem(last=False)
        if len(known) > _DESCENDANTS_KEPT:
            known.clear()
        known[block] = found = self._descends(block, ancestor, known)
        return found

    def _descends(self, block: Hash, ancestor: BlockRef, known: Mapping[Hash, bool]) -> bool:
        while block != ancestor.hash:
            if block in known:
                return known[block]
            header = self._header(block)
            if header is None or header.number <= ancestor.number:
                return False
            if self._database.hash_at(header.number) == block:
                return self._database.hash_at(ancestor.number) == ancestor.hash
            block = header.parent_hash
        return True

    def part(self, one: BlockRef, other: BlockRef) -> tuple[BlockRef, BlockRef]:
        """Return the first block of each chain that the other one does not have; neither is part of the other."""
        while one.number > other.number:
            one = self._before(one)
        while other.number > one.number:
            other = self._before(other)
        while (before := self._before(one)) != (other_before := self._before(other)):
            one, other = before, other_before
        return one, other

    def _before(self, block: BlockRef) -> BlockRef:
        header = self._header(block.hash)
        assert header is not None, "the parents of an executed block are stored"
        return BlockRef(BlockNumber(header.number - 1), header.parent_hash)


class Forks:
    """The side blocks by hash: what fork choice has to know, and those at hand. For the thread that imports.

    Fork choice has to know the ends of the branches only: whatever goes on from a block weighs more, and descends from
    whatever the block does.

    After a restart it begins empty, though blocks are on disk: the head was chosen with all of them in view, and they
    matter again when another block comes that goes on from one of them.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._blocks: OrderedDict[Hash, SideBlock] = OrderedDict()
        self._facts: dict[Hash, HeadFacts] = {}

    @property
    def facts(self) -> tuple[HeadFacts, ...]:
        """Return what is known of the ends of the branches, first those that came first."""
        return tuple(self._facts.values())

    def __len__(self) -> int:
        """Count the blocks at hand."""
        return len(self._blocks)

    def __contains__(self, block: Hash) -> bool:
        """Tell whether a block is at hand."""
        return block in self._blocks

    def find(self, block: Hash) -> SideBlock | None:
        """Return a side block."""
        return self._blocks.get(block)

    def add(self, side: SideBlock) -> None:
        """Keep a side block; the oldest one beyond the bound is forgotten."""
        self._blocks[side.tip.ref.hash] = side
        self._facts.pop(side.parent, None)
        self.note(side.facts)
        if len(self._blocks) > MOST_KEPT:
            self._blocks.popitem(last=False)

    def note(self, facts: HeadFacts) -> None:
        """Keep the end of a branch in view, for one the head that has left the best chain."""
        self._facts.setdefault(facts.ref.hash, facts)

    def remove(self, blocks: Iterable[Hash]) -> None:
        """Forget blocks that have become part of the best chain."""
        for block in blocks:
            self._blocks.pop(block, None)
            self._facts.pop(block, None)

    def prune(self, tree: StoredTree, final: BlockRef) -> None:
        """Forget the blocks that nothing can go on from any more: those that do not descend from the final one."""
        lives: dict[Hash, bool] = {}
        for block, side in self._blocks.items():
            # Of a long branch only the first one at hand has to be looked for; parents mostly come first.
            before = lives.get(side.parent)
            lives[block] = tree.descends(block, final) if before is None else before
        for block in self._facts:
            if block not in lives:
                lives[block] = tree.descends(block, final)
        self.remove([block for block, is_alive in lives.items() if not is_alive])
