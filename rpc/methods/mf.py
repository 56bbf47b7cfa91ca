"""mf_*: what the model knows and predicts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from rpc.dispatch import Call, Method
from rpc.parameters import (
    ACCOUNT,
    EXTRINSIC_PLACE,
    HASH,
    ITEM,
    MAX_PAGE,
    PAIRS,
    RECOMMEND_OPTIONS,
    SUBSCRIPTION,
    Pairs,
    Param,
    count,
    optional,
)
from rpc.service import JsonObject, RecommendOptions
from rpc.subscriptions import Topic
from runtime.primitives import AccountId, Hash

T = TypeVar("T")
JsonList: TypeAlias = Sequence[JsonObject]

# More pairs than these take long enough for others to notice: of accounts that have to be worked out first, of any.
_FEW_PAIRS: Final = 32
_MANY_PAIRS: Final = 1_000


def _read(
    call: Call, at: Hash | None, question: Callable[..., T], *arguments: object, slow: bool = True
) -> T | Awaitable[T]:
    """Ask about the model at a block: in this thread if it is quick, in another if not."""
    if at is not None:
        return call.of_old_model(question, *arguments, at)
    if slow:
        return call.slowly(question, *arguments, at)
    return question(*arguments, at)


def predict(call: Call, account: AccountId, item: int, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """An account's rating of an item as the model expects it, and how sure it is."""
    return _read(call, at, call.service.predict, account, item, slow=False)


def predict_batch(call: Call, pairs: Pairs, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """Predictions for many [account, item]; one unknown item fails them all."""
    few = _FEW_PAIRS if at is not None or not call.service.is_prepared(pairs.accounts) else _MANY_PAIRS
    slow = len(pairs.items) > few
    return _read(call, at, call.service.predict_batch, pairs.accounts, pairs.items, slow=slow)


def recommend(
    call: Call, account: AccountId, most: int, options: RecommendOptions, at: Hash | None
) -> JsonList | Awaitable[JsonList]:
    """The items an account would like best."""
    return _read(call, at, call.service.recommend, account, most, options)


def similar_items(call: Call, item: int, most: int, at: Hash | None) -> JsonList | Awaitable[JsonList]:
    """The items that are liked as this one is."""
    return _read(call, at, call.service.similar_items, item, most)


def item(call: Call, identifier: int, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """What the model knows of an item."""
    return _read(call, at, call.service.item, identifier, slow=False)


def items(call: Call, start: int, most: int, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """A page of items by ascending id."""
    return _read(call, at, call.service.items, start, most)


def user(call: Call, account: AccountId, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """What the model knows of an account."""
    return _read(call, at, call.service.user, account)


def model(call: Call, at: Hash | None) -> JsonObject | Awaitable[JsonObject]:
    """The model as a whole: sizes, scale, hyperparameters, and a digest that equal models share."""
    return _read(call, at, call.service.model)


def transaction_events(call: Call, block: Hash, extrinsic: int | Hash) -> Sequence[JsonObject]:
    """The events of one extrinsic, decoded."""
    return call.service.transaction_events(block, extrinsic)


def subscribe_model(call: Call) -> str:
    """What mf_model gives, for each best block that changes it."""
    return call.subscribe(Topic.MODEL)


def unsubscribe_model(call: Call, subscription: str) -> bool:
    """End a subscription to the model."""
    return call.unsubscribe(subscription, Topic.MODEL)


_AT: Final = optional("at", HASH)
_ACCOUNT: Final = Param("account", ACCOUNT)
_ITEM: Final = Param("item", ITEM)
_COUNT: Final = Param("count", count(MAX_PAGE, "items"))

METHODS: Final = (
    Method("mf_predict", predict, (_ACCOUNT, _ITEM, _AT)),
    Method("mf_predictBatch", predict_batch, (Param("pairs", PAIRS), _AT)),
    Method(
        "mf_recommend",
        recommend,
        (_ACCOUNT, _COUNT, optional("options", RECOMMEND_OPTIONS, RecommendOptions()), _AT),
    ),
    Method("mf_similarItems", similar_items, (_ITEM, _COUNT, _AT)),
    Method("mf_item", item, (Param("id", ITEM), _AT)),
    Method("mf_items", items, (Param("start", ITEM), _COUNT, _AT)),
    Method("mf_user", user, (_ACCOUNT, _AT)),
    Method("mf_model", model, (_AT,)),
    Method(
        "mf_transactionEvents",
        transaction_events,
        (Param("blockHash", HASH), Param("extrinsic", EXTRINSIC_PLACE)),
        slow=True,
    ),
    Method("mf_subscribeModel", subscribe_model),
    Method("mf_unsubscribeModel", unsubscribe_model, (Param("subscription", SUBSCRIPTION),)),
)
