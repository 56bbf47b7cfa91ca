"""What accounts can do: rate, take back, ask, and register items."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pallets.matrix_factorization import errors, events
from pallets.matrix_factorization.config import MAX_BATCH, MAX_TITLE_BYTES, PREDICTION_FRACTION_BITS, Config
from pallets.matrix_factorization.fixed_point import FRACTION_BITS, ONE
from pallets.matrix_factorization.ratings import RatingList, RatingListEditor
from pallets.matrix_factorization.storage import ITEM_COUNT, ITEMS, MODEL, RATINGS, Item, Model
from pallets.matrix_factorization.view import ModelBranch
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import DispatchFailed, InvalidReason, InvalidTransaction
from runtime.interface.origin import Origin, ensure_signed
from runtime.interface.storage import StateWriter
from runtime.interface.weights import MICROSECOND
from runtime.primitives import AccountId
from runtime.scale import I64, U64, Field, Text, Tuple, Vec

# Bounds of the codec; the pallet's own bounds are tighter and give errors that say so.
_LONGEST_TITLE = 1 << 10
_ITEMS_IN_BLOCK = "MatrixFactorization.items"

# Measured by `scripts/bench.py --suite inference --parts mixes`, which compares blocks of the dearest kinds with these.
_RATING_WEIGHT = 90 * MICROSECOND
_FURTHER_RATING_WEIGHT = 40 * MICROSECOND
_FIRST_RATING_WEIGHT = 100 * MICROSECOND
_PREDICTION_WEIGHT = 400 * MICROSECOND
_FOLLOWING_WEIGHT = 1_000 * MICROSECOND
_REGISTRATION_WEIGHT = 60 * MICROSECOND

# What a rating in a list costs: learning from it at the end of the block, copying it for a change, and looking for an
# item. An old value that is remembered for an epoch is compared with the present ones, copied and looked through.
_LEARNING_WEIGHT = 2_500_000
_COMPARING_WEIGHT = 500_000
_COPYING_WEIGHT = 5_000
_SEARCHING_WEIGHT = 2_000

# What all pages of items cost, an item in them, where the model is followed within a block.
_PAGING_WEIGHT = 2_000


def submit_rating(config: Config, context: Context, origin: Origin, item: int, rating: int) -> None:
    """Rate one item, or change its rating."""
    account = ensure_signed(origin)
    _check_ratings(config, context, ((item, rating),))
    _rate(config, context, account, ((item, rating),))


def submit_ratings(config: Config, context: Context, origin: Origin, ratings: Sequence[tuple[int, int]]) -> None:
    """Rate several items; all or none."""
    account = ensure_signed(origin)
    if not ratings:
        raise DispatchFailed(errors.EMPTY_BATCH)
    _check_ratings(config, context, ratings)
    _rate(config, context, account, ratings)


def retract_rating(config: Config, context: Context, origin: Origin, item: int) -> None:
    """Take a rating back; after the next epoch the model is as if it had never been."""
    account = ensure_signed(origin)
    state = context.state
    _check_item(state, item)
    model = MODEL.get(state)
    ratings = RATINGS.get(state, account)
    _charge_for_list(config, context, account, ratings, 1)
    editor = RatingListEditor(ratings, model.generation, model.active, room=0)
    if editor.get(item) is None:
        raise DispatchFailed(errors.NOT_RATED)
    editor.retract(item)
    RATINGS.put(state, account, editor.finish())
    users = model.users - (len(editor) == 0)
    changed = replace(model, ratings=model.ratings - 1, drift=model.drift + editor.drift, users=users)
    MODEL.put(state, replace(changed, last_change=context.number))
    context.deposit(events.RATING_RETRACTED, account, item)


def get_prediction(config: Config, context: Context, origin: Origin, item: int) -> None:
    """Let the chain say what it expects the sender to give an item, for everybody to read."""
    account = ensure_signed(origin)
    _check_item(context.state, item)
    branch = context.view
    assert isinstance(branch, ModelBranch)
    # Others' changes so far are learned from now instead of at the end of the block; own ratings once more. Charged
    # before that: had a prediction without room been followed, the next one in the block would cost less.
    own = RATINGS.get(context.state, account).entries.size
    unsynced = branch.unsynced(context.state)
    following = config.scaled(_FOLLOWING_WEIGHT) + branch.items.size * _PAGING_WEIGHT
    context.charge(config.scaled((unsynced + own) * _LEARNING_WEIGHT) + (following if unsynced else 0))
    branch.sync(context.state)
    clipped = min(max(branch.predict(account, item), -ONE), ONE)
    context.deposit(events.PREDICTION_OBTAINED, account, item, clipped << (PREDICTION_FRACTION_BITS - FRACTION_BITS))


def register_item(config: Config, context: Context, origin: Origin, title: str) -> None:
    """Make something new that can be rated; it gets the next id."""
    account = ensure_signed(origin)
    state = context.state
    if len(title.encode()) > MAX_TITLE_BYTES:
        raise DispatchFailed(errors.TITLE_TOO_LONG)
    item = ITEM_COUNT.get(state)
    if item >= config.max_items:
        raise DispatchFailed(errors.TOO_MANY_ITEMS)
    registered = context.counters.get(_ITEMS_IN_BLOCK, 0)
    if registered >= config.max_items_per_block:
        # Not a failure of the call: the transaction waits for a block with room.
        raise InvalidTransaction(InvalidReason.EXHAUSTS_RESOURCES)
    context.counters[_ITEMS_IN_BLOCK] = registered + 1
    add_item(state, item, Item(title, account))
    context.deposit(events.ITEM_REGISTERED, account, item, title)


def add_item(state: StateWriter, item: int, entry: Item) -> None:
    """Write the entry of the next item."""
    ITEMS.put(state, item, entry)
    ITEM_COUNT.put(state, item + 1)


def _charge_for_list(
    config: Config, context: Context, account: AccountId, ratings: RatingList, items: int, new: int = 0
) -> None:
    """Count the cost of touching so many items of a list, of which `new` may be added to it.

    The first touch in a block pays for learning: once for each epoch that is followed, and twice where all items of the
    list are solved anew because that epoch knows too little of it.
    """
    length, old = ratings.entries.size + new, ratings.old_values
    context.charge((length + old) * (_COPYING_WEIGHT + items * _SEARCHING_WEIGHT))
    if context.state.is_touched(RATINGS.key(account)):
        return
    model = MODEL.get(context.state)
    followed = [model.active]
    if model.is_pending and context.number >= model.due:
        followed.append(model.generation)
    times = sum(1 + ratings.may_differ_in_half(generation, items) for generation in followed)
    context.charge(times * (config.scaled(length * _LEARNING_WEIGHT) + old * _COMPARING_WEIGHT))


def heaviest_call(config: Config, most: int) -> int:
    """Return a bound on what a call weighs: a batch in a list of `most` that no epoch knows, where one begins.

    A list remembers old values for two epochs at most.
    """
    batch = config.scaled(_RATING_WEIGHT + _FURTHER_RATING_WEIGHT * (MAX_BATCH - 1))
    learning = 4 * (config.scaled(most * _LEARNING_WEIGHT) + 2 * most * _COMPARING_WEIGHT)
    return batch + learning + 3 * most * (_COPYING_WEIGHT + MAX_BATCH * _SEARCHING_WEIGHT)


def _check_item(state: StateWriter, item: int) -> None:
    if item >= ITEM_COUNT.get(state):
        raise DispatchFailed(errors.ITEM_DOES_NOT_EXIST)


def _check_ratings(config: Config, context: Context, ratings: Sequence[tuple[int, int]]) -> None:
    count = ITEM_COUNT.get(context.state)
    for item, rating in ratings:
        if item >= count:
            raise DispatchFailed(errors.ITEM_DOES_NOT_EXIST)
        if not config.scale.accepts(rating):
            raise DispatchFailed(errors.RATING_OUT_OF_RANGE)


def _rate(config: Config, context: Context, account: AccountId, ratings: Sequence[tuple[int, int]]) -> None:
    """Write checked ratings and their events."""
    state = context.state
    model = MODEL.get(state)
    before = RATINGS.get(state, account)
    _charge_for_list(config, context, account, before, len(ratings), new=len(ratings))
    if before.entries.size == 0:
        context.charge(config.scaled(_FIRST_RATING_WEIGHT))
    editor = RatingListEditor(before, model.generation, model.active, room=len(ratings))
    changed = False
    for item, rating in ratings:
        known = editor.get(item)
        # The one check that needs the list; what has been deposited before it is rolled back.
        if known is None and len(editor) >= config.max_ratings_per_user:
            raise DispatchFailed(errors.TOO_MANY_RATINGS)
        if known != rating:
            editor.rate(item, rating)
            changed = True
        context.deposit(events.RATING_SUBMITTED, account, item, rating)
    if not changed:
        return
    RATINGS.put(state, account, editor.finish())
    MODEL.put(
        state,
        Model(
            generation=model.generation,
            active=model.active,
            due=model.due,
            frozen_at=model.frozen_at,
            frozen_ratings=model.frozen_ratings,
            ratings=model.ratings + len(editor) - before.entries.size,
            drift=model.drift + editor.drift,
            users=model.users + (before.entries.size == 0),
            last_change=context.number,
            digest=model.digest,
        ),
    )


_ITEM = Field("item", U64, "u64")
_RATING = Field("rating", I64, "i64")


def build_calls(config: Config) -> tuple[Call, ...]:
    """Declare the calls; their indices never change."""
    rating, further = config.scaled(_RATING_WEIGHT), config.scaled(_FURTHER_RATING_WEIGHT)
    return (
        Call(
            0,
            "submit_rating",
            (_ITEM, _RATING),
            partial(submit_rating, config),
            lambda _item, _rating: rating,
            "Rate an item, on the scale of the chain; a second rating of the same item replaces the first.",
        ),
        Call(
            1,
            "get_prediction",
            (_ITEM,),
            partial(get_prediction, config),
            lambda _item: config.scaled(_PREDICTION_WEIGHT),
            "Ask the chain for the rating it expects you to give; the answer is the event PredictionObtained.",
        ),
        Call(
            2,
            "retract_rating",
            (_ITEM,),
            partial(retract_rating, config),
            lambda _item: rating,
            "Take a rating back.",
        ),
        Call(
            3,
            "register_item",
            (Field("title", Text(_LONGEST_TITLE), "Text"),),
            partial(register_item, config),
            lambda _title: _REGISTRATION_WEIGHT,
            "Register something that can be rated: a title or URI of 128 bytes at most.",
        ),
        Call(
            4,
            "submit_ratings",
            (Field("ratings", Vec(Tuple(U64, I64), MAX_BATCH), "Vec<(u64, i64)>"),),
            partial(submit_ratings, config),
            lambda ratings: rating + further * max(len(ratings) - 1, 0),
            "Rate up to 256 items at once; all or none.",
        ),
    )
