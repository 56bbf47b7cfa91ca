"""What the pallet does at genesis and at the end of every block."""

from collections.abc import Iterator

import numpy as np

from pallets.matrix_factorization.calls import add_item
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.epochs import end_block
from pallets.matrix_factorization.fixed_point import I32
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.genesis import PARAMETERS, parameters_of
from pallets.matrix_factorization.storage import (
    INT32,
    ITEM_COUNT,
    ITEM_POSTERIORS,
    MODEL,
    RATINGS,
    USER_POSTERIORS,
    Item,
    Model,
    Posterior,
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
    width = branch.config.model.width
    for account in branch.touched():
        entry = branch.user(account)
        if entry is None:
            USER_POSTERIORS.remove(context.state, account)
            zones = RATINGS.get(context.state, account).zones
            if all(zone.generation < model.active for zone in zones):
                RATINGS.remove(context.state, account)
            continue
        posterior = _posterior(entry.row[:width], entry.row[width:-1], int(entry.row[-1]), model, context.number)
        USER_POSTERIORS.put(context.state, account, posterior)


def _commit_items(context: Context, branch: ModelBranch, model: Model, config: Config) -> None:
    """Write the posteriors of the items whose ratings this block has changed, and of a few more in turn."""
    changed = branch.changed_items()
    in_turn = list(_in_turn(context.number, branch.items.size, config.item_commits_per_block))
    posteriors = branch.items.posteriors(np.array([*changed, *in_turn], np.int64))
    for line, item in enumerate([*changed, *in_turn]):
        mean, covariance = posteriors.mean[line], posteriors.covariance[line]
        posterior = _posterior(mean, covariance, 0, model, context.number)
        if line >= len(changed):
            known = ITEM_POSTERIORS.find(context.state, item)
            if known is not None and _same(known, posterior):
                continue
        ITEM_POSTERIORS.put(context.state, item, posterior)


def _in_turn(number: BlockNumber, items: int, count: int) -> Iterator[int]:
    """Name `count` items; over the blocks, while no new ones are registered, all of them in turn."""
    if items:
        start = number * count % items
        yield from ((start + offset) % items for offset in range(min(count, items)))


def _posterior(mean: I32, covariance: I32, precision: int, model: Model, number: BlockNumber) -> Posterior:
    return Posterior(mean.astype(INT32), covariance.astype(INT32), precision, model.active, number)


def _same(known: Posterior, new: Posterior) -> bool:
    """Tell whether two commitments say the same but for the block."""
    return (
        known.generation == new.generation
        and np.array_equal(known.mean, new.mean)
        and np.array_equal(known.covariance, new.covariance)
    )
