"""The pallet's runtime API: what the model knows, for whoever speaks SCALE."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.recommend import best_items
from pallets.matrix_factorization.view import ReadModel
from runtime.interface.apis import ApiContext, ApiMethod, RuntimeApi
from runtime.primitives import AccountId, Hash
from runtime.scale import ACCOUNT_ID, BOOL, H256, I64, U32, U64, Codec, Field, Option, Struct, Vec

MAX_RECOMMENDED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """The distribution of a rating on [-1, 1], noise included; fixed point with PosteriorFractionalBits."""

    item: int
    mean: int
    variance: int


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """Sizes and state of the model; `digest` is there when the model is the one learned from exactly these ratings."""

    ratings: int
    users: int
    items: int
    epoch: int
    ratings_since_epoch: int
    canonical: bool
    digest: Hash | None


PREDICTION: Codec[Prediction] = Struct(
    Prediction,
    (Field("item", U64, "u64"), Field("mean", I64, "i64"), Field("variance", I64, "i64")),
    path=("pallet_matrix_factorization", "Prediction"),
)
MODEL_SUMMARY: Codec[ModelSummary] = Struct(
    ModelSummary,
    (
        Field("ratings", U64, "u64"),
        Field("users", U32, "u32"),
        Field("items", U32, "u32"),
        Field("epoch", U32, "u32"),
        Field("ratings_since_epoch", U64, "u64"),
        Field("canonical", BOOL, "bool"),
        Field("digest", Option(H256), "Option<Hash>"),
    ),
    path=("pallet_matrix_factorization", "ModelSummary"),
)


def _model(context: ApiContext) -> ReadModel:
    model = context.view()
    assert isinstance(model, ReadModel), "the node derives the model for readers"
    return model


def _predictions(model: ReadModel, account: AccountId, items: Any) -> list[Prediction]:
    predicted = predict(model.posteriors([account]), model.items.posteriors(items))
    values = zip(items.tolist(), predicted.mean.tolist(), predicted.variance.tolist(), strict=True)
    return [Prediction(item, mean, variance) for item, mean, variance in values]


def _predict(context: ApiContext, account: AccountId, item: int) -> Prediction | None:
    model = _model(context)
    return _predictions(model, account, np.array([item]))[0] if item < model.items.size else None


def _recommend(context: ApiContext, account: AccountId, count: int) -> list[Prediction]:
    model = _model(context)
    return _predictions(model, account, best_items(model, account, min(count, MAX_RECOMMENDED)))


def _summary(context: ApiContext) -> ModelSummary:
    model = _model(context)
    record = model.record
    return ModelSummary(
        record.ratings,
        record.users,
        model.items.size,
        record.active,
        record.drift,
        record.is_canonical,
        record.digest if record.is_canonical else None,
    )


_ACCOUNT: Final = Field("account", ACCOUNT_ID)

MATRIX_FACTORIZATION_API: Final = RuntimeApi(
    "MatrixFactorizationApi",
    1,
    (
        ApiMethod(
            "predict",
            (_ACCOUNT, Field("item", U64)),
            Option(PREDICTION),
            _predict,
            "The rating that an account is expected to give an item; nothing for an item that there is not.",
        ),
        ApiMethod(
            "recommend",
            (_ACCOUNT, Field("count", U32)),
            Vec(PREDICTION, MAX_RECOMMENDED),
            _recommend,
            "The items an account has not rated and would like best, best first; 1000 at most.",
        ),
        ApiMethod("model", (), MODEL_SUMMARY, _summary, "Sizes and state of the model."),
    ),
    "What the model knows.",
)
