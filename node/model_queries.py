"""Questions about the model, answered in the JSON of the mf_* calls.

Means and deviations of predictions are on the chain's rating scale; biases, features, noise and everything under `raw`
are on the model's own scale, on which ratings span [-1, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.chain import Chain
from node.chain_spec import ChainSpec
from pallets.matrix_factorization.fixed_point import (
    F64,
    FRACTION_BITS,
    I32,
    I64,
    ONE,
    from_fixed,
    square_index,
)
from pallets.matrix_factorization.posterior import UserPosteriors
from pallets.matrix_factorization.predict import Predictions, ScaledPredictions, on_scale, predict
from pallets.matrix_factorization.storage import ITEMS
from pallets.matrix_factorization.view import ReadModel
from pallets.system.storage import NUMBER
from rpc.errors import state_pruned, unknown_block, unknown_item
from rpc.service import JsonObject, RecommendOptions, RecommendOrder
from runtime.interface.state import StateReader
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, BlockRef, Hash, to_hex
from storage.chain_db import StatePruned, UnknownBlock


@dataclass(frozen=True, slots=True)
class _Moment:
    """A block with its model and its state, which stay as they are while the chain moves on."""

    ref: BlockRef
    model: ReadModel
    state: StateReader

    def title(self, item: int) -> str:
        """Return an item's title, empty if there is no such item."""
        entry = ITEMS.find(self.state, item)
        return "" if entry is None else entry.title


class ModelQueries:
    """Reads of the model at any block of the pruning window, from any thread."""

    def __init__(self, chain: Chain) -> None:
        """Take the chain whose snapshots are read."""
        self._chain = chain
        self._digests: dict[Hash, Hash] = {}

    def predict(self, account: AccountId, item: int, at: Hash | None) -> JsonObject:
        """One rating's predicted mean and spread."""
        moment = self._moment(at)
        model = moment.model
        _check_item(model, item)
        return self._predictions(moment, account, np.array([item]))[0]

    def predict_batch(self, accounts: Sequence[AccountId], items: Sequence[int], at: Hash | None) -> JsonObject:
        """Means and spreads of many pairs."""
        moment = self._moment(at)
        model = moment.model
        for index, item in enumerate(items):
            _check_item(model, item, index)
        unique = sorted(set(accounts))
        position = {account: index for index, account in enumerate(unique)}
        users = model.posteriors(unique)
        lines = np.array([position[account] for account in accounts], np.int64)
        paired = UserPosteriors(users.mean[lines], users.covariance[lines], users.precision[lines])
        predictions = predict(paired, model.items.posteriors(np.array(items, np.int64)))
        scaled = on_scale(predictions, model.config.scale)
        return {"mean": scaled.mean.tolist(), "std": scaled.deviation.tolist(), "block": _block(moment.ref)}

    def recommend(
        self, account: AccountId, count: int, options: RecommendOptions, at: Hash | None
    ) -> Sequence[JsonObject]:
        """The items with the best predictions, best first, ties by ascending item."""
        moment = self._moment(at)
        model = moment.model
        eligible = model.items.raters >= options.min_ratings
        if not options.include_rated and (entry := model.users.get(account)) is not None:
            eligible[entry.ratings.entries["item"]] = False
        items = np.flatnonzero(eligible)
        predictions = predict(model.posteriors([account]), model.items.posteriors(items))
        score = from_fixed(predictions.mean)
        if options.order is not RecommendOrder.MEAN:
            sign = 1.0 if options.order is RecommendOrder.OPTIMISTIC else -1.0
            score = score + sign * np.sqrt(from_fixed(predictions.variance))
        best = items[np.lexsort((items, -score))[:count]]
        return self._predictions(moment, account, best)

    def similar_items(self, item: int, count: int, at: Hash | None) -> Sequence[JsonObject]:
        """The items whose features point most nearly the same way (cosine of the posterior means)."""
        moment = self._moment(at)
        model = moment.model
        _check_item(model, item)
        features = from_fixed(model.items.mean[:, 1:])
        lengths = np.sqrt(np.sum(features * features, axis=1))
        products = np.sum(features * features[item], axis=1)
        cosine = products / np.maximum(lengths * lengths[item], np.finfo(np.float64).tiny)
        others = np.delete(np.arange(model.items.size), item)
        nearest = others[np.lexsort((others, -cosine[others]))[:count]]
        return [
            {"item": int(other), "title": moment.title(int(other)), "similarity": float(cosine[other])}
            for other in nearest
        ]

    def item(self, item: int, at: Hash | None) -> JsonObject:
        """What the model knows of an item."""
        moment = self._moment(at)
        model = moment.model
        _check_item(model, item)
        entry = ITEMS.find(moment.state, item)
        assert entry is not None, "every id below the count is registered"
        bias, features = _moments(model.items.mean[item], model.items.covariance[item])
        return {
            "item": item,
            "title": entry.title,
            "registrar": ss58_encode(entry.registrar) if any(entry.registrar) else None,
            "ratings": int(model.items.raters[item]),
            "bias": bias,
            "features": features,
            "block": _block(moment.ref),
        }

    def items(self, start: int, count: int, at: Hash | None) -> JsonObject:
        """The items from id `start` on."""
        moment = self._moment(at)
        model = moment.model
        page = []
        for item in range(start, min(start + count, model.items.size)):
            bias, _ = _moments(model.items.mean[item], model.items.covariance[item])
            page.append(
                {"item": item, "title": moment.title(item), "ratings": int(model.items.raters[item]), "bias": bias}
            )
        return {"total": model.items.size, "items": page}

    def user(self, account: AccountId, at: Hash | None) -> JsonObject:
        """What the model knows of an account."""
        moment = self._moment(at)
        model = moment.model
        entry = model.users.get(account)
        entries = [] if entry is None else sorted(entry.ratings.entries.tolist())
        users = model.posteriors([account])
        bias, features = _moments(users.mean[0], users.covariance[0])
        return {
            "account": ss58_encode(account),
            "ratings": [{"item": item, "title": moment.title(item), "rating": rating} for item, rating in entries],
            "bias": bias,
            "features": features,
            "noise": float(1.0 / np.sqrt(from_fixed(users.precision)[0])),
            "block": _block(moment.ref),
        }

    def model(self, at: Hash | None) -> JsonObject:
        """The model as a whole, with its digest."""
        moment = self._moment(at)
        model = moment.model
        summary = model_summary(self._chain.spec, moment.ref, model)
        if summary["digest"] is not None:
            return summary
        return {**summary, "digest": to_hex(self._digest(moment.ref.hash, model))}

    def _digest(self, block: Hash, model: ReadModel) -> Hash:
        """The model's digest, computed once a block."""
        digest = self._digests.get(block)
        if digest is None:
            digest = model.digest()
            self._digests = {**dict(list(self._digests.items())[-7:]), block: digest}
        return digest

    def _predictions(self, moment: _Moment, account: AccountId, items: I64) -> list[JsonObject]:
        """Predictions of one account for some items, in full."""
        model = moment.model
        predictions = predict(model.posteriors([account]), model.items.posteriors(items))
        scaled = on_scale(predictions, model.config.scale)
        entry = model.users.get(account)
        rated = {} if entry is None else dict(entry.ratings.entries.tolist())
        common = {"canonical": model.record.is_canonical, "block": _block(moment.ref)}
        return [
            {
                "item": item,
                "title": moment.title(item),
                **_distribution(scaled, line),
                "rated": rated.get(item),
                "userRatings": len(rated),
                "itemRatings": int(model.items.raters[item]),
                **common,
                "raw": _raw(predictions, line),
            }
            for line, item in enumerate(items.tolist())
        ]

    def _moment(self, at: Hash | None) -> _Moment:
        """Find a block's model and state; a model may be remembered for longer than its state is kept."""
        snapshot = self._chain.snapshot
        block = snapshot.best.hash if at is None else at
        try:
            state = self._chain.database.state_at(block)
            if block == snapshot.best.hash:
                return _Moment(snapshot.best, snapshot.model, state)
            return _Moment(BlockRef(NUMBER.get(state), block), self._chain.model_at(block), state)
        except UnknownBlock:
            raise unknown_block(block) from None
        except StatePruned:
            raise state_pruned(block) from None


def model_summary(spec: ChainSpec, ref: BlockRef, model: ReadModel) -> JsonObject:
    """What `mf_model` tells; the digest only where the chain itself has computed it, at rest."""
    record, scale, learned = model.record, model.config.scale, model.frozen.prior.hyperparameters
    return {
        "ratings": record.ratings,
        "users": record.users,
        "items": model.items.size,
        "dimension": model.config.model.dimension,
        "scale": {
            "min": scale.minimum,
            "max": scale.maximum,
            "step": scale.step,
            "labels": dict(spec.rating_labels),
        },
        "canonical": record.is_canonical,
        "epoch": record.active,
        "ratingsSinceEpoch": record.drift,
        "digest": to_hex(record.digest) if record.is_canonical else None,
        "hyperparameters": {
            "userMean": from_fixed(learned.user_mean).tolist(),
            "userCovariance": _square(learned.user_covariance),
            "itemBias": learned.item_bias / ONE,
            "itemCovariance": _square(learned.item_covariance),
            "precisionRate": learned.precision_rate / ONE,
        },
        "block": _block(ref),
    }


def _check_item(model: ReadModel, item: int, index: int | None = None) -> None:
    if not 0 <= item < model.items.size:
        raise unknown_item(item, index)


def _block(ref: BlockRef) -> JsonObject:
    return {"hash": to_hex(ref.hash), "number": ref.number}


def _distribution(scaled: ScaledPredictions, line: int) -> dict[str, object]:
    return {
        "mean": float(scaled.mean[line]),
        "std": float(scaled.deviation[line]),
        "interval90": [float(scaled.low[line]), float(scaled.high[line])],
    }


def _raw(predictions: Predictions, line: int) -> JsonObject:
    return {
        "mean": str(int(predictions.mean[line])),
        "variance": str(int(predictions.variance[line])),
        "fractionalBits": FRACTION_BITS,
    }


def _moments(mean: I32, covariance: I32) -> tuple[JsonObject, JsonObject]:
    """Bias and features of one posterior: means and standard deviations."""
    centre = from_fixed(mean)
    spread: F64 = np.sqrt(from_fixed(covariance[square_index(mean.size).diagonal()]))
    bias = {"mean": float(centre[0]), "std": float(spread[0])}
    return bias, {"mean": centre[1:].tolist(), "std": spread[1:].tolist()}


def _square(covariance: I32) -> list[list[float]]:
    """A packed covariance as rows of a square matrix."""
    size = int(np.sqrt(2 * covariance.size))
    rows: list[list[float]] = from_fixed(covariance)[square_index(size)].tolist()
    return rows
