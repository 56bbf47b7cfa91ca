"""The chain of one node: it builds and imports blocks, and publishes what readers may look at.

Building and importing run in one thread at a time. Every other thread reads the published `Snapshot`, which never
changes, and the database, whose readers see whole blocks only.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from node.chain_spec import ChainSpec, genesis
from pallets.matrix_factorization.frozen import Frozen
from pallets.matrix_factorization.view import DigestMismatch, ModelView, ReadModel, derive_view
from pallets.system.storage import NUMBER
from pallets.timestamp.pallet import NOW, TIME_KEY
from runtime.executive import (
    BlockOutcome,
    Runtime,
    SignatureCheck,
    TransactionValidator,
    ValidTransaction,
    check_signature,
)
from runtime.header import Block, DigestItem, DigestKind
from runtime.interface.errors import DispatchError, InvalidReason, InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, BlockRef, Hash
from storage.chain_db import ChainDatabase
from storage.errors import Reason, StorageError
from storage.kv import KeyValueStore

AUTHOR_ENGINE = b"pow_"
"""polkadot.js shows the account in a pre-runtime item of this engine as the block's author."""

_MODELS_KEPT = 4
_CANONICAL_KEPT = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What readers in any thread look at: the best block, and the model at it."""

    best: BlockRef
    finalized: BlockRef
    view: ModelView
    model: ReadModel


@dataclass(frozen=True, slots=True)
class NewHead:
    """A block became the head."""

    block: Block
    ref: BlockRef
    changed_keys: tuple[bytes, ...]
    failed: int
    model_changed: bool


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block that was built and became the head, and the transactions that turned out unfit for it."""

    head: NewHead
    refused: tuple[tuple[ValidTransaction, InvalidTransaction], ...]


class Chain:
    """The best chain, its state and its model."""

    def __init__(self, spec: ChainSpec, runtime: Runtime, database: ChainDatabase) -> None:
        """Derive the model from the head's state."""
        self.spec = spec
        self.runtime = runtime
        self.config = spec.matrix_factorization
        self.database = database
        head = database.head()
        self._models: OrderedDict[Hash, ReadModel] = OrderedDict()
        self._canonical: OrderedDict[Hash, Frozen] = OrderedDict()
        self._models_lock = threading.Lock()
        self._deriving = threading.Lock()
        self._learning = threading.Lock()
        self._publish(head, self._derive(database.state_at(head.hash)))

    @classmethod
    def open(cls, spec: ChainSpec, store: KeyValueStore, *, state_pruning: int | None) -> "Chain":
        """Open or create the database of a chain.

        Raises:
            StorageError: the database belongs to another chain, or is damaged.
        """
        header, state, runtime = genesis(spec)
        database = ChainDatabase.open(store, header, state, state_pruning=state_pruning)
        return cls(spec, runtime, database)

    @property
    def pending_epoch(self) -> Callable[[], None] | None:
        """Return the computation that the next activation needs, if it has not been done yet."""
        pending = self.snapshot.view.pending
        return None if pending is None or pending.is_computed else self._learn_pending

    @property
    def is_learning(self) -> bool:
        """Tell whether empty blocks would still bring the model closer to rest."""
        return not self.snapshot.view.record.is_canonical

    def _learn_pending(self) -> None:
        """Compute what the next activation needs; who comes while another thread is at it waits for that."""
        with self._learning:
            pending = self.snapshot.view.pending
            if pending is not None:
                pending.compute()

    def _learn_if_due(self) -> None:
        """Have ready what the block after the head activates."""
        record = self.snapshot.view.record
        if record.is_pending and self.snapshot.best.number + 1 >= record.due:
            self._learn_pending()

    def _derive(self, state: StateReader) -> ModelView:
        """Derive the model from a state.

        Raises:
            StorageError: what was learned is not what the chain has.
        """
        try:
            return derive_view(state, self.config, self._learned())
        except DigestMismatch as error:
            message = (
                f"the model derived from the state of block {NUMBER.get(state)} is not the chain's: {error}; "
                "this machine computes differently, or the database is damaged"
            )
            raise StorageError(Reason.CORRUPT, message) from None

    def validator(self, check: SignatureCheck = check_signature) -> TransactionValidator:
        """Return what judges transactions for the block after the head."""
        head = self.database.head()
        return TransactionValidator(self.runtime, self.database.state_at(head.hash), head, check)

    def build(
        self,
        transactions: Iterable[ValidTransaction],
        author: AccountId,
        milliseconds: int,
        check: SignatureCheck = check_signature,
    ) -> BuiltBlock:
        """Build a block on the head from as many transactions as fit, in their order, and make it the head."""
        self._learn_if_due()
        head = self.database.head()
        state = self.database.state_at(head.hash)
        digest = (DigestItem(DigestKind.PRE_RUNTIME, AUTHOR_ENGINE, author),)
        execution = self.runtime.open_block(state, head, self.snapshot.view, digest, check)
        earliest = NOW.get(state) + self.spec.minimum_period
        execution.apply_inherents({TIME_KEY: max(milliseconds, earliest)})
        refused: list[tuple[ValidTransaction, InvalidTransaction]] = []
        skipped: set[AccountId] = set()
        for transaction in transactions:
            if execution.is_full:
                break
            if transaction.account in skipped:
                continue
            try:
                execution.apply(transaction.prepared)
            except InvalidTransaction as error:
                skipped.add(transaction.account)
                if error.reason is not InvalidReason.EXHAUSTS_RESOURCES:
                    refused.append((transaction, error))
        return BuiltBlock(self._commit(execution.finalize(self.database.head_trie())), tuple(refused))

    def import_block(self, block: Block, check: SignatureCheck = check_signature) -> NewHead:
        """Execute somebody else's block on top of the head and make it the head.

        Raises:
            InvalidBlock: it breaks a rule; nothing has changed.
        """
        self._learn_if_due()
        head = self.database.head()
        state, trie = self.database.state_at(head.hash), self.database.head_trie()
        return self._commit(self.runtime.execute_block(block, state, trie, self.snapshot.view, head, check))

    def try_extrinsic(self, raw: bytes, block: Hash) -> DispatchError | None:
        """Apply an extrinsic on top of a block of the pruning window, in vain; return how its call failed, if it did.

        Raises:
            InvalidTransaction: it may not be in such a block.
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        state = self.database.state_at(block)
        prepared = self.runtime.prepare(raw)
        if prepared.signature is None:
            raise InvalidTransaction(InvalidReason.UNSIGNED)
        snapshot = self.snapshot
        view = snapshot.view if block == snapshot.best.hash else self._derive(state)
        ref = BlockRef(NUMBER.get(state), block)
        execution = self.runtime.open_block(state, ref, view)
        execution.apply_inherents({TIME_KEY: NOW.get(state) + self.spec.minimum_period})
        return execution.apply(prepared)

    def revert(self) -> Block:
        """Take the head back; its parent is the head again."""
        block = self.database.revert_head()
        head = self.database.head()
        self._publish(head, self._derive(self.database.state_at(head.hash)))
        return block

    def model_at(self, block: Hash) -> ReadModel:
        """Return the model at a block of the pruning window; an older one is derived from its state, which takes time.

        Raises:
            UnknownBlock, StatePruned: see `ChainDatabase.state_at`.
        """
        model = self._kept(block)
        if model is not None:
            return model
        # One at a time: readers who ask for old blocks must not take the whole machine.
        with self._deriving:
            model = self._kept(block)
            if model is None:
                model = self._derive(self.database.state_at(block)).read()
                self._keep(block, model)
        return model

    def _kept(self, block: Hash) -> ReadModel | None:
        """Return a remembered model, and note that it was asked for."""
        with self._models_lock:
            model = self._models.get(block)
            if model is not None:
                self._models.move_to_end(block)
            return model

    def _learned(self) -> dict[Hash, Frozen]:
        """Return the canonical models at hand, by digest."""
        with self._models_lock:
            return dict(self._canonical)

    def _commit(self, outcome: BlockOutcome) -> NewHead:
        """Write a block that ran, then publish it."""
        view = outcome.view
        assert isinstance(view, ModelView)
        before = self.snapshot.view.record
        self.database.commit(outcome.block, outcome.changes, outcome.trie, final=True)
        head = self.database.head()
        self._publish(head, view)
        changed = tuple(key for key, _ in outcome.changes)
        failed = sum(error is not None for error in outcome.errors)
        model_changed = view.record.last_change == head.number or view.record.active != before.active
        return NewHead(outcome.block, head, changed, failed, model_changed)

    def _publish(self, head: BlockRef, view: ModelView) -> None:
        """Let readers see a new head. Without a ring nobody contests a block: it is final at once."""
        model = view.read()
        self._keep(head.hash, model)
        self.snapshot = Snapshot(head, head, view, model)

    def _keep(self, block: Hash, model: ReadModel) -> None:
        """Remember a model for readers and what it was learned from, and forget what was asked for longest ago."""
        with self._models_lock:
            _remember(self._models, block, model, _MODELS_KEPT)
            _remember(self._canonical, model.frozen.digest, model.frozen, _CANONICAL_KEPT)


def _remember(kept: OrderedDict[Hash, T], key: Hash, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
