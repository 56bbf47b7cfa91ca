"""When the ratings are frozen, and when what was learned from them comes into force: the end of every block."""

from dataclasses import replace

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.events import EPOCH_COMPLETED, EPOCH_STARTED
from pallets.matrix_factorization.storage import Model
from pallets.matrix_factorization.view import ModelBranch
from runtime.interface.context import Context
from runtime.primitives import BlockNumber


def end_block(context: Context, branch: ModelBranch, model: Model, config: Config) -> Model:
    """Apply the first rule that holds; return the state of learning after the block.

    1. Little to learn: if a rating changed or a freeze is pending, freeze and activate at once.
    2. The pending model is due: activate it.
    3. Nothing is pending and enough has changed, or nothing changes any more: freeze.
    """
    work = config.work(model.ratings, model.users, branch.items.rated_count)
    if work <= config.inline_rebuild_limit:
        if model.last_change != context.number and not model.is_pending:
            return model
        model = _freeze(context, branch, model, context.number)
        return _activate(context, branch, model)
    if model.is_pending:
        return _activate(context, branch, model) if context.number >= model.due else model
    quiet = context.number - model.last_change >= config.quiet_period(work)
    if model.drift > 0 and (4 * model.drift >= model.frozen_ratings or quiet):
        due = BlockNumber(context.number + config.activation_delay(work))
        model = _freeze(context, branch, model, due)
        context.deposit(EPOCH_STARTED, model.generation, due)
    return model


def _freeze(context: Context, branch: ModelBranch, model: Model, due: BlockNumber) -> Model:
    """Keep the set of ratings of now as the next generation."""
    generation = model.generation + 1
    branch.freeze(generation)
    return replace(
        model, generation=generation, frozen_at=context.number, due=due, frozen_ratings=model.ratings, drift=0
    )


def _activate(context: Context, branch: ModelBranch, model: Model) -> Model:
    """Put the model of the latest freeze in force."""
    model = replace(model, active=model.generation, due=BlockNumber(0))
    digest = branch.activate()
    context.deposit(EPOCH_COMPLETED, digest)
    return replace(model, digest=digest)
