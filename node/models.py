"""The models of recent blocks: for readers, for blocks that go on from one, and for deriving others from."""

import threading
from collections import OrderedDict
from typing import Final, TypeVar

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import Frozen
from pallets.matrix_factorization.pending import PendingEpoch
from pallets.matrix_factorization.storage import MODEL
from pallets.matrix_factorization.view import DigestMismatch, ModelView, derive_view
from pallets.system.storage import BLOCK_HASH, NUMBER
from runtime.interface.state import StateReader
from runtime.primitives import BlockRef, Hash
from storage.errors import Reason, StorageError

_VIEWS_KEPT: Final = 8
_CANONICAL_KEPT: Final = 8
_PENDING_KEPT: Final = 4

T = TypeVar("T")


class Models:
    """Views by block, those asked for last; any other is derived from its state. Safe to use from several threads.

    What is learned is learned once: models in force are found by their digest, epochs that are still pending by the
    hash of the block that froze their ratings, on whichever branch it is.
    """

    def __init__(self, config: Config) -> None:
        """Start with none."""
        self._config = config
        self._views: OrderedDict[Hash, ModelView] = OrderedDict()
        self._canonical: OrderedDict[Hash, Frozen] = OrderedDict()
        self._pending: OrderedDict[Hash, PendingEpoch] = OrderedDict()
        self._access = threading.Lock()
        self._deriving = threading.Lock()

    def keep(self, ref: BlockRef, view: ModelView) -> None:
        """Remember a view and what it was learned from, and forget what was asked for longest ago."""
        with self._access:
            _remember(self._views, ref.hash, view, _VIEWS_KEPT)
            _remember(self._canonical, view.frozen.digest, view.frozen, _CANONICAL_KEPT)
            if view.pending is not None and view.record.frozen_at == ref.number:
                _remember(self._pending, ref.hash, view.pending, _PENDING_KEPT)

    def at(self, block: Hash, state: StateReader) -> ModelView:
        """Return the view of a block; if it is not kept it is derived from its state, which takes time.

        Raises:
            StorageError: what was learned is not what the chain has.
        """
        view = self._kept(block)
        if view is None:
            view = self._derive(block, state)
            self.keep(BlockRef(NUMBER.get(state), block), view)
        return view

    def at_leisure(self, block: Hash, state: StateReader) -> ModelView:
        """The same for readers, one at a time: those who ask for old blocks must not take the whole machine."""
        view = self._kept(block)
        if view is not None:
            return view
        with self._deriving:
            return self.at(block, state)

    def _derive(self, block: Hash, state: StateReader) -> ModelView:
        """Derive the model of a block from its state.

        Raises:
            StorageError: what was learned is not what the chain has.
        """
        number = MODEL.get(state).frozen_at
        frozen_in = block if number == NUMBER.get(state) else BLOCK_HASH.find(state, number)
        with self._access:
            learned = dict(self._canonical)
            pending = None if frozen_in is None else self._pending.get(frozen_in)
        try:
            view = derive_view(state, self._config, learned, pending)
        except DigestMismatch as error:
            message = (
                f"the model derived from the state of block {NUMBER.get(state)} is not the chain's: {error}; "
                "this machine computes differently, or the database is damaged"
            )
            raise StorageError(Reason.CORRUPT, message) from None
        if view.pending is not None and frozen_in is not None:
            with self._access:
                _remember(self._pending, frozen_in, view.pending, _PENDING_KEPT)
        return view

    def _kept(self, block: Hash) -> ModelView | None:
        with self._access:
            view = self._views.get(block)
            if view is not None:
                self._views.move_to_end(block)
            return view


def _remember(kept: OrderedDict[Hash, T], key: Hash, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
