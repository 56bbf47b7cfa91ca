"""The chain of one node: it builds and imports blocks, and publishes what readers may look at.

Building and importing run in one thread at a time. Every other thread reads the published `Snapshot`, which never
changes, and the database, whose readers see whole blocks only.

A block that does not make the best chain better is executed all the same and kept as a side block. When a branch of
them becomes better than the best chain, the database switches to it in one write, and the model with it.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final

from node.building import BlockBuilder
from node.chain_news import BuiltBlock, EnteredBlock, Imported, NewHead, Snapshot, TooOld, UnknownParent
from node.chain_spec import ChainSpec, genesis
from node.consensus import Consensus, Template, consensus_of
from node.fork_choice import HeadFacts, choose
from node.forks import BranchState, Forks, SideBlock, StoredTree, Tip
from node.models import Models
from pallets.finality.storage import FINALIZED
from pallets.matrix_factorization.view import ModelView, ReadModel
from pallets.system.storage import NUMBER
from runtime.executive import (
    BlockOutcome,
    Runtime,
    SignatureCheck,
    TransactionValidator,
    ValidTransaction,
    check_signature,
)
from runtime.header import Block, Header
from runtime.interface.errors import BlockFault, DispatchError, InvalidBlock, InvalidReason, InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import BlockNumber, BlockRef, Hash
from storage.chain_db import ChainDatabase, ExecutedBlock, StatePruned, UnknownBlock
from storage.kv import KeyValueStore

__all__ = [
    "BuiltBlock",
    "Chain",
    "EnteredBlock",
    "Imported",
    "NewHead",
    "Snapshot",
    "TooOld",
    "UnknownParent",
]

_BAD_KEPT: Final = 1_024
_RECENT: Final = 8
"""Blocks behind the head on which a new one may be announced; deeper branches are fetched, if they are better."""
_AT_HAND: Final = 2
"""Blocks at the head that are kept as they were executed: if two authors take turns at once, they come and go."""


class Chain:
    """The best chain, its state and its model, and the branches beside it."""

    def __init__(
        self, spec: ChainSpec, runtime: Runtime, database: ChainDatabase, trusted: BlockRef | None = None
    ) -> None:
        """Derive the model from the head's state.

        No other block is taken in the place of the trusted one, and before that is on the best chain none is final.
        """
        self.spec = spec
        self.trusted = trusted
        self.runtime = runtime
        self.config = spec.matrix_factorization
        self.database = database
        genesis_hash = database.hash_at(BlockNumber(0))
        assert genesis_hash is not None, "a chain has a first block"
        self.genesis = genesis_hash
        self.consensus: Consensus = consensus_of(spec, genesis_hash)
        self._models = Models(self.config)
        self._forks = Forks()
        self._tree = StoredTree(database)
        self._adopted: deque[SideBlock] = deque(maxlen=0 if self.consensus.is_final_at_once else _AT_HAND)
        # Not the exceptions themselves, whose tracebacks would keep whole blocks alive.
        self._bad: OrderedDict[Hash, tuple[BlockFault, str]] = OrderedDict()
        self._learning = threading.Lock()
        head, state = database.head_state()
        self._publish(self._models.at(head.hash, state))
        self._settle_trusted()

    @classmethod
    def open(
        cls,
        spec: ChainSpec,
        store: KeyValueStore,
        *,
        state_pruning: int | None,
        blocks_pruning: int | None = None,
        trusted: BlockRef | None = None,
    ) -> "Chain":
        """Open or create the database of a chain.

        Raises:
            StorageError: the database belongs to another chain, or is damaged.
        """
        header, state, runtime = genesis(spec)
        database = ChainDatabase.open(
            store,
            header,
            state,
            state_pruning=state_pruning,
            blocks_pruning=blocks_pruning,
            keep_unfinalized=not consensus_of(spec, header.hash()).is_final_at_once,
        )
        return cls(spec, runtime, database, trusted)

    # Looking at it, in any thread.

    def knows(self, block: Hash) -> bool:
        """Tell whether a block is stored, on the best chain or beside it."""
        return self.database.has(block)

    @property
    def has_trusted(self) -> bool:
        """Tell whether the trusted block, if there is one, is on the best chain: before, it may be anybody's."""
        return self.trusted is None or self._is_best(self.trusted.number, self.trusted.hash)

    def is_known_bad(self, block: Hash) -> bool:
        """Tell whether a block was found invalid, if that is remembered."""
        return block in self._bad

    def check_header(self, header: Header) -> None:
        """Check a header before its body is here, as far as that goes: number, seal, slot and turn.

        Raises:
            UnknownParent: its parent is not here, or not executed.
            TooOld: its parent lies too far behind the head.
            InvalidBlock: it breaks a rule.
        """
        side = self._forks.find(header.parent_hash)
        if side is not None:
            number, state = side.tip.ref.number, side.tip.state
        else:
            snapshot = self.snapshot
            parent = self.database.header(header.parent_hash)
            if parent is None:
                raise UnknownParent(header)
            number = parent.number
            if header.parent_hash == snapshot.best.hash:
                state = snapshot.state
            else:
                limit = BlockNumber(max(0, snapshot.best.number - _RECENT))
                if number < limit:
                    raise TooOld(header, limit)
                try:
                    state = self.database.state_at(header.parent_hash)
                except (UnknownBlock, StatePruned):
                    raise UnknownParent(header) from None
        _check_number(header, number)
        self._check_trusted(header)
        self.consensus.check(header, state)

    def validator(self, check: SignatureCheck = check_signature) -> TransactionValidator:
        """Return what judges transactions for the block after the head."""
        snapshot = self.snapshot
        return TransactionValidator(self.runtime, snapshot.state, snapshot.best, check)

    def state_at(self, block: Hash) -> StateReader:
        """The state after a block of the best chain.

        Raises:
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        snapshot = self.snapshot
        return snapshot.state if block == snapshot.best.hash else self.database.state_at(block)

    def model_at(self, block: Hash) -> ReadModel:
        """Return the model at a block of the pruning window; an older one is derived from its state, which takes time.

        Raises:
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        snapshot = self.snapshot
        if block == snapshot.best.hash:
            return snapshot.model
        return self._models.at_leisure(block, self.database.state_at(block)).read()

    def try_extrinsic(self, raw: bytes, block: Hash) -> DispatchError | None:
        """Apply an extrinsic on top of a block of the pruning window, in vain; return how its call failed, if it did.

        Raises:
            InvalidTransaction: it may not be in such a block.
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        state = self.state_at(block)
        prepared = self.runtime.prepare(raw)
        if prepared.signature is None:
            raise InvalidTransaction(InvalidReason.UNSIGNED)
        view, ref = self._models.at_leisure(block, state), BlockRef(NUMBER.get(state), block)
        builder = BlockBuilder(self.spec, self.runtime, state, ref, view, self.consensus.rehearsal(state))
        return builder.execution.apply(prepared)

    # Learning ahead.

    @property
    def pending_epoch(self) -> Callable[[], None] | None:
        """Return the computation that the next activation needs, if it has not been done yet up to the head."""
        return None if self.snapshot.view.is_prepared else self._learn_pending

    @property
    def is_learning(self) -> bool:
        """Tell whether empty blocks would still bring the model closer to rest."""
        return not self.snapshot.view.record.is_canonical

    def _learn_pending(self) -> None:
        """Compute what the next activation needs; who comes while another thread is at it waits for that."""
        with self._learning:
            self.snapshot.view.prepare()

    def _learn_if_due(self) -> None:
        """Have ready what the block after the head activates."""
        record = self.snapshot.view.record
        if record.is_pending and self.snapshot.best.number + 1 >= record.due:
            self._learn_pending()

    # Growing, in one thread.

    def build(
        self,
        transactions: Iterable[ValidTransaction],
        template: Template,
        check: SignatureCheck = check_signature,
        clock: Callable[[], float] = monotonic,
    ) -> BuiltBlock:
        """Build a block on the head from as many transactions as fit, in their order, and make it the head.

        `clock` gives seconds; see `BlockBuilder`.

        Raises:
            InvalidBlock: the template does not fit the head; nothing has changed.
        """
        self._learn_if_due()
        snapshot = self.snapshot
        state, view = snapshot.state, snapshot.view
        builder = BlockBuilder(self.spec, self.runtime, state, snapshot.best, view, template, check, clock)
        refused = builder.fill(transactions)
        outcome = builder.execution.finalize(self.database.head_trie())
        block = Block(template.seal(outcome.block.header), outcome.block.extrinsics)
        return BuiltBlock(self._adopt([self._side_block(block, outcome, state)]), refused)

    def import_block(
        self, block: Block, check: SignatureCheck = check_signature, *, is_whole: bool = False
    ) -> Imported:
        """Execute somebody else's block and, if that makes a better chain than the best one, switch to it.

        With `is_whole` its body was found to be the header's before.

        Raises:
            UnknownParent: its parent is not here.
            TooOld: it forks off where nothing can be taken back.
            InvalidBlock: it breaks a rule; nothing has changed.
        """
        header = block.header
        ref = BlockRef(header.number, header.hash())
        if self._is_best(ref.number, ref.hash) or ref.hash in self._forks:
            return Imported(ref, is_new=False)
        if header.number == 0:
            raise InvalidBlock(BlockFault.WRONG_NUMBER, "block 0 is where the chain begins")
        if (known := self._bad.get(ref.hash)) is not None:
            raise InvalidBlock(*known)
        try:
            self._check_trusted(header)
            self.consensus.check_seal(header)
            side = self._execute(block, self._tip(header, check), check, is_whole=is_whole)
        except InvalidBlock as fault:
            self._remember_bad(ref.hash, fault)
            raise
        best, chosen = self.snapshot.best, self._choose(side)
        if chosen == ref and side.parent == best.hash:
            return Imported(ref, is_new=True, head=self._adopt([side]))
        self._forks.add(side)
        if chosen != ref:
            self.database.store_side_block(block)
        if chosen == best:
            return Imported(ref, is_new=True)
        return Imported(ref, is_new=True, head=self._adopt(self._branch(chosen.hash, check)))

    def execute_again(self, block: Block) -> int:
        """Execute a stored block whose parent is on the best chain; return how many of its calls failed.

        Nothing becomes of it.

        Raises:
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`; of its parent.
            InvalidBlock: it breaks a rule.
        """
        header = block.header
        self.consensus.check_seal(header)
        parent = BlockRef(BlockNumber(header.number - 1), header.parent_hash)
        return self._execute(block, self._best_tip(parent), check_signature).failed

    def _choose(self, arriving: SideBlock) -> BlockRef:
        """Return the head to follow, now that a block has been executed that is not stored yet."""
        tree = self._tree
        tree.expect(arriving.executed.block.header)
        heads = (self._facts, *self._forks.facts, arriving.facts)
        trusted = self.trusted
        if trusted is not None and not self.has_trusted:
            # Whatever the others weigh, or have made final among themselves.
            heads = tuple(head for head in heads if tree.descends(head.ref.hash, trusted)) or heads
        return choose(heads[0], heads[1:], tree).ref

    def _newly_final(self, tip: Tip) -> BlockRef | None:
        """Return the block that is final by the state of a new head, or trusted, if that is a later one than now.

        On the way to the trusted block nothing is: this may be the chain of somebody else, whoever votes on it.
        """
        trusted = self.trusted
        if trusted is not None and not self.has_trusted and not self._tree.descends(tip.ref.hash, trusted):
            return None
        found = FINALIZED.find(tip.state)
        final = BlockRef(BlockNumber(0), self.genesis) if found is None else BlockRef(found.number, found.hash)
        if trusted is not None and final.number < trusted.number:
            final = trusted
        return final if final.number > self.database.finalized().number else None

    def _settle_trusted(self) -> None:
        """Note that the trusted block is final, if it came before anybody said that it can be trusted."""
        trusted = self.trusted
        if trusted is not None and self.has_trusted and self.database.finalized().number < trusted.number:
            self.database.set_finalized(trusted.hash)
            self._publish(self.snapshot.view)

    def _check_trusted(self, header: Header) -> None:
        """Check that a block does not stand in the place of the trusted one; raises InvalidBlock."""
        trusted = self.trusted
        if trusted is not None and header.number == trusted.number and header.hash() != trusted.hash:
            raise InvalidBlock(BlockFault.NOT_TRUSTED, f"block {header.number} is not the trusted one")

    def _remember_bad(self, block: Hash, fault: InvalidBlock) -> None:
        """Remember why a block is invalid; a body that is not the header's says nothing of the block."""
        if fault.fault is not BlockFault.EXTRINSICS_ROOT:
            self._bad[block] = fault.fault, fault.detail
            if len(self._bad) > _BAD_KEPT:
                self._bad.popitem(last=False)

    def revert(self) -> Block:
        """Take the head back; its parent is the head again."""
        block = self.database.revert_head()
        head, state = self.database.head_state()
        self._publish(self._models.at(head.hash, state))
        return block

    def _tip(self, header: Header, check: SignatureCheck) -> Tip:
        """Return the parent of a block; parents that are only stored are executed again.

        Raises:
            UnknownParent: it is not here.
            TooOld: its branch leaves the best chain where nothing can be taken back.
            InvalidBlock: the number of the block does not follow its parent's, or it is somebody else's turn.
        """
        side = self._forks.find(header.parent_hash)
        if side is not None:
            return side.tip
        path: list[Hash] = []
        current = header
        while not self._is_best(BlockNumber(current.number - 1), current.parent_hash):
            parent = self.database.header(current.parent_hash)
            if parent is None:
                raise UnknownParent(current)
            _check_number(current, parent.number)
            path.append(current.parent_hash)
            current = parent
        fork = BlockRef(BlockNumber(current.number - 1), current.parent_hash)
        limit = BlockNumber(max(self.database.finalized().number, self.database.floor()))
        if fork.number < limit:
            raise TooOld(header, limit)
        if not path and fork != self.snapshot.best:
            # Before the trie and the model of that block are made, which may take seconds: anybody can seal a header.
            _check_number(header, fork.number)
            self.consensus.check(header, self.database.state_at(fork.hash))
        tip = self._best_tip(fork)
        for name in reversed(path):
            side = self._forks.find(name)
            if side is None:
                block = self.database.block(name)
                assert block is not None, "a stored header has a body"
                side = self._execute(block, tip, check)
                self._forks.add(side)
            tip = side.tip
        return tip

    def _best_tip(self, block: BlockRef) -> Tip:
        """Return a block of the best chain to go on from."""
        snapshot = self.snapshot
        if block == snapshot.best:
            return Tip(block, snapshot.state, self.database.head_trie(), snapshot.view)
        state = self.database.state_at(block.hash)
        return Tip(block, state, self.database.trie_at(block.hash), self._models.at(block.hash, state))

    def _execute(self, block: Block, parent: Tip, check: SignatureCheck, *, is_whole: bool = False) -> SideBlock:
        """Run a block on top of its parent.

        Raises:
            InvalidBlock: it breaks a rule.
        """
        _check_number(block.header, parent.ref.number)
        self.consensus.check(block.header, parent.state)
        if parent.ref == self.snapshot.best:
            self._learn_if_due()
        outcome = self.runtime.execute_block(
            block, parent.state, parent.trie, parent.view, parent.ref, check, is_whole=is_whole
        )
        return self._side_block(block, outcome, parent.state)

    def _side_block(self, block: Block, outcome: BlockOutcome, parent: StateReader) -> SideBlock:
        view = outcome.view
        assert isinstance(view, ModelView)
        executed = ExecutedBlock(block, outcome.changes, outcome.trie)
        tip = Tip(executed.ref, BranchState(parent, outcome.changes), outcome.trie, view)
        facts = HeadFacts.of(block.header, tip.state)
        return SideBlock(executed, tip, facts, sum(error is not None for error in outcome.errors))

    def _branch(self, tip: Hash, check: SignatureCheck) -> list[SideBlock]:
        """Return the blocks from the best chain, without it, up to a side block, oldest first."""
        path: list[Block] = []
        while not path or not self._is_best(BlockNumber(path[-1].header.number - 1), tip):
            known = self._forks.find(tip)
            block = self.database.block(tip) if known is None else known.executed.block
            assert block is not None, "the parents of an executed block are stored"
            path.append(block)
            tip = block.header.parent_hash
        branch: list[SideBlock] = []
        for block in reversed(path):
            side = self._forks.find(block.header.hash())
            if side is None:
                # Forgotten, or on the best chain long ago: what it changes has to be found out again.
                parent = branch[-1].tip if branch else self._tip(block.header, check)
                side = self._execute(block, parent, check)
            branch.append(side)
        return branch

    def _is_best(self, number: BlockNumber, block: Hash) -> bool:
        """Tell whether a block is on the best chain."""
        return self.database.hash_at(number) == block

    def _adopt(self, branch: Sequence[SideBlock]) -> NewHead:
        """Make a branch the best chain, then publish it."""
        before = self.snapshot
        undone: set[bytes] = set()
        fork = branch[0].executed.block.header.number - 1
        for number in range(before.best.number, fork, -1):
            left = self.database.hash_at(BlockNumber(number))
            assert left is not None
            undone.update(self.database.changed_keys(left))
        tip = branch[-1].tip
        finalized = tip.ref if self.consensus.is_final_at_once else self._newly_final(tip)
        retracted = self.database.adopt([side.executed for side in branch], finalized=finalized)
        self._forks.remove(side.tip.ref.hash for side in branch)
        if retracted:
            self._leave(retracted)
        if finalized is not None:
            self._forks.prune(self._tree, finalized)
        self._adopted.extend(branch)
        for side in branch[:-1]:
            self._models.keep(side.tip.ref, side.tip.view)
        self._publish(tip.view)
        if retracted or len(branch) > 1:
            for side in branch:
                undone.update(key for key, _ in side.executed.changes)
            changed, model_changed = tuple(sorted(undone)), True
        else:
            record = tip.view.record
            changed = tuple(key for key, _ in branch[0].executed.changes)
            model_changed = record.last_change == tip.ref.number or record.active != before.view.record.active
        entered = tuple(EnteredBlock(side.executed.block, side.tip.ref, side.failed) for side in branch)
        return NewHead(tuple(retracted), entered, changed, model_changed, finalized)

    def _leave(self, retracted: Sequence[Block]) -> None:
        """Keep what has left the best chain, if it is still at hand: mostly a block goes on from it soon."""
        left = {block.header.hash() for block in retracted}
        for side in self._adopted:
            if side.tip.ref.hash in left:
                self._forks.add(side)
        self._forks.note(self._facts)

    def _publish(self, view: ModelView) -> None:
        """Let readers see the database's head, whose model this is."""
        head, state = self.database.head_state()
        header = self.database.header(head.hash)
        assert header is not None, "the head is stored"
        self._facts = HeadFacts.of(header, state)
        self._models.keep(head, view)
        self.snapshot = Snapshot(head, state, self.database.finalized(), view, view.read())


def _check_number(header: Header, parent: BlockNumber) -> None:
    """Check that a block's number follows its parent's.

    Raises:
        InvalidBlock: WRONG_NUMBER.
    """
    if header.number != parent + 1:
        raise InvalidBlock(BlockFault.WRONG_NUMBER, f"block {header.number} follows block {parent}")
