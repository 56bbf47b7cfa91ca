"""What the pallet does at genesis and at the end of every block."""

from collections.abc import Iterator

import numpy as np

from pallets.matrix_factorization.calls import add_item
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.epochs import end_block
from pallets.matrix_factorization.frozen import from_rows, learn_frozen, row_table
from pallets.matrix_factorization.genesis import PARAMETERS, parameters_of
from pallets.matrix_factorization.storage import (
    ITEM_COUNT,
    ITEM_POSTERIORS,
    MODEL,
    RATINGS,
    USER_POSTERIORS,
    Item,
    Model,
    encode_posteriors,
    without_block,
)
from pallets.matrix_factorization.view import ModelBranch
from runtime.interface.context import Context
from runtime.interface.pallet import Hooks
from runtime.interface.storage import StateWriter
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber


class MatrixFactorizationHooks(Hooks):
    """Genesis, and learning at the end of a block."""

    def __init__(self, config: Config, items: tuple[str, ...]) -> None:
        """Take the titles of the items that exist from the start."""
        self._config = config
        self._items = items

    def genesis(self, state: StateWriter) -> None:
        """Commit to the constants, register the first items, start with the model of no ratings."""
        PARAMETERS.put(state, parameters_of(self._config))
        ITEM_COUNT.put(state, 0)
        for item, title in enumerate(self._items):
            add_item(state, item, Item(title, AccountId(ZERO_HASH)))
        MODEL.put(state, Model(digest=learn_frozen([], self._config).digest))

    def on_finalize(self, context: Context) -> None:
        """Follow the block's ratings, move the epochs on, commit to some posteriors."""
        branch = context.view
        assert isinstance(branch, ModelBranch)
        branch.sync(context.state)
        before = MODEL.get(context.state)
        model = end_block(context, branch, before, self._config)
        if model != before:
            MODEL.put(context.state, model)
        _commit_users(context, branch, model)
        _commit_items(context, branch, model, self._config)
        context.view = branch.finish(model)


def _commit_users(context: Context, branch: ModelBranch, model: Model) -> None:
    """Write the posteriors of the accounts whose ratings this block has changed."""
    state, entries = context.state, [(account, branch.user(account)) for account in branch.touched()]
    for account, entry in entries:
        if entry is None:
            USER_POSTERIORS.remove(state, account)
            zones = RATINGS.get(state, account).zones
            if all(zone.generation < model.active for zone in zones):
                RATINGS.remove(state, account)
    present = [(account, entry.row) for account, entry in entries if entry is not None]
    users = from_rows(row_table([row for _, row in present], branch.config.model), branch.config.model)
    encoded = encode_posteriors(users.mean, users.covariance, users.precision, model, context.number)
    for (account, _), posterior in zip(present, encoded, strict=True):
        state.put(USER_POSTERIORS.key(account), posterior)


def _commit_items(context: Context, branch: ModelBranch, model: Model, config: Config) -> None:
    """Write the posteriors of the items whose ratings this block has changed, and of a few more in turn."""
    state, changed = context.state, branch.changed_items()
    items = [*changed, *_in_turn(context.number, branch.items.size, config.item_commits_per_block)]
    posteriors = branch.items.posteriors(np.array(items, np.int64))
    nothing = np.zeros(len(items), np.int32)
    encoded = encode_posteriors(posteriors.mean, posteriors.covariance, nothing, model, context.number)
    for line, (item, posterior) in enumerate(zip(items, encoded, strict=True)):
        key = ITEM_POSTERIORS.key(item)
        if line >= len(changed):
            known = state.get(key)
            if known is not None and without_block(known) == without_block(posterior):
                continue
        state.put(key, posterior)


def _in_turn(number: BlockNumber, items: int, count: int) -> Iterator[int]:
    """Name `count` items; over the blocks, while no new ones are registered, all of them in turn."""
    if items:
        start = number * count % items
        yield from ((start + offset) % items for offset in range(min(count, items)))
