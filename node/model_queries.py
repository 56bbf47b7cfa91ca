"""Questions about the model, answered in the JSON of the mf_* calls.

Means and deviations of predictions are on the chain's rating scale; biases, features, noise and everything under `raw`
are on the model's own scale, on which ratings span [-1, 1].
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np

from node.chain import Chain
from node.chain_spec import ChainSpec
from node.reading import PreparedModel, Reading
from pallets.matrix_factorization.fixed_point import F64, FRACTION_BITS, I32, ONE, from_fixed, square_index
from pallets.matrix_factorization.predict import on_scale
from pallets.matrix_factorization.prepared import on_scale_one
from pallets.matrix_factorization.recommend import best_of, unrated
from pallets.matrix_factorization.storage import ITEMS
from pallets.matrix_factorization.view import ReadModel
from pallets.system.storage import NUMBER
from rpc.errors import state_pruned, unknown_block, unknown_item
from rpc.service import JsonObject, RecommendOptions, RecommendOrder
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, BlockRef, Hash, to_hex
from storage.chain_db import StatePruned, UnknownBlock

_READINGS_KEPT: Final = 3


class ModelQueries:
    """Reads of the model at any block of the pruning window, from any thread."""

    def __init__(self, chain: Chain) -> None:
        """Take the chain whose snapshots are read."""
        self._chain = chain
        self._digests: dict[Hash, Hash] = {}
        self._readings: OrderedDict[Hash, Reading] = OrderedDict()
        self._lock = threading.Lock()
        self._head: Reading | None = None
        self._prepared: PreparedModel | None = None

    def predict(self, account: AccountId, item: int, at: Hash | None) -> JsonObject:
        """One rating's predicted mean and spread."""
        reading = self._reading(at)
        _check_item(reading.model, item)
        return _whole(reading, account, [item], [reading.prepared.predict_one(account, item)])[0]

    def predict_batch(self, accounts: Sequence[AccountId], items: Sequence[int], at: Hash | None) -> JsonObject:
        """Means and spreads of many pairs."""
        reading = self._reading(at)
        model = reading.model
        if items and not 0 <= min(items) <= max(items) < model.items.size:
            for index, item in enumerate(items):
                _check_item(model, item, index)
        predictions = reading.prepared.predict_pairs(accounts, np.array(items, np.int64))
        scaled = on_scale(predictions, model.config.scale)
        return {"mean": scaled.mean.tolist(), "std": scaled.deviation.tolist(), "block": reading.block}

    def is_prepared(self, accounts: Sequence[AccountId]) -> bool:
        """Tell whether predictions for these accounts at the head are quick: nothing has to be solved for them."""
        return self._reading(None).prepared.has_users(accounts)

    def recommend(
        self, account: AccountId, count: int, options: RecommendOptions, at: Hash | None
    ) -> Sequence[JsonObject]:
        """The items with the best predictions, best first, ties by ascending item."""
        reading = self._reading(at)
        model = reading.model
        eligible = reading.prepared.item_raters >= options.min_ratings
        if not options.include_rated:
            eligible &= unrated(model, account)
        items = np.flatnonzero(eligible)
        predictions = reading.prepared.predict_all(account)
        score = from_fixed(predictions.mean[items])
        if options.order is not RecommendOrder.MEAN:
            sign = 1.0 if options.order is RecommendOrder.OPTIMISTIC else -1.0
            score = score + sign * np.sqrt(from_fixed(predictions.variance[items]))
        best = best_of(items, score, count)
        moments = zip(predictions.mean[best].tolist(), predictions.variance[best].tolist(), strict=True)
        return _whole(reading, account, best.tolist(), list(moments))

    def similar_items(self, item: int, count: int, at: Hash | None) -> Sequence[JsonObject]:
        """The rated items whose features point most nearly the same way (cosine of the posterior means).

        Of an item without raters the model knows only the hash of its id, which is like nothing.
        """
        reading = self._reading(at)
        _check_item(reading.model, item)
        rated = reading.prepared.item_raters > 0
        if not rated[item]:
            return []
        features, lengths = reading.prepared.item_features
        products = np.sum(features * features[item], axis=1)
        cosine = products / np.maximum(lengths * lengths[item], np.finfo(np.float64).tiny)
        rated[item] = False
        others = np.flatnonzero(rated)
        nearest = best_of(others, cosine[others], count)
        return [
            {"item": int(other), "title": reading.title(int(other)), "similarity": float(cosine[other])}
            for other in nearest
        ]

    def item(self, item: int, at: Hash | None) -> JsonObject:
        """What the model knows of an item."""
        reading = self._reading(at)
        model = reading.model
        _check_item(model, item)
        entry = ITEMS.find(reading.state, item)
        assert entry is not None, "every id below the count is registered"
        one = np.array([item])
        posterior = model.items.posteriors(one)
        bias, features = _moments(posterior.mean[0], posterior.covariance[0])
        return {
            "item": item,
            "title": entry.title,
            "registrar": ss58_encode(entry.registrar) if any(entry.registrar) else None,
            "ratings": int(model.items.raters_of(one)[0]),
            "bias": bias,
            "features": features,
            "raw": {
                "mean": posterior.mean[0].tolist(),
                "covariance": posterior.covariance[0].tolist(),
                "fractionalBits": FRACTION_BITS,
            },
            "block": reading.block,
        }

    def items(self, start: int, count: int, at: Hash | None) -> JsonObject:
        """The items from id `start` on."""
        reading = self._reading(at)
        model = reading.model
        # Arrays hold no ids from 2^63 on, of which there are none.
        first = min(start, model.items.size)
        ids = np.arange(first, min(first + count, model.items.size))
        posteriors, raters = model.items.posteriors(ids), model.items.raters_of(ids).tolist()
        page = []
        for line, item in enumerate(ids.tolist()):
            bias, _ = _moments(posteriors.mean[line], posteriors.covariance[line])
            page.append({"item": item, "title": reading.title(item), "ratings": raters[line], "bias": bias})
        return {"total": model.items.size, "items": page}

    def user(self, account: AccountId, at: Hash | None) -> JsonObject:
        """What the model knows of an account."""
        reading = self._reading(at)
        model = reading.model
        entry = model.users.get(account)
        entries = [] if entry is None else sorted(entry.ratings.entries.tolist())
        users = model.posteriors([account])
        bias, features = _moments(users.mean[0], users.covariance[0])
        return {
            "account": ss58_encode(account),
            "ratings": [{"item": item, "title": reading.title(item), "rating": rating} for item, rating in entries],
            "bias": bias,
            "features": features,
            "noise": float(1.0 / np.sqrt(from_fixed(users.precision)[0])),
            "block": reading.block,
        }

    def model(self, at: Hash | None) -> JsonObject:
        """The model as a whole, with its digest."""
        reading = self._reading(at)
        model = reading.model
        summary = model_summary(self._chain.spec, reading.ref, model)
        if summary["digest"] is not None:
            return summary
        return {**summary, "digest": to_hex(self._digest(reading.ref.hash, model))}

    def _digest(self, block: Hash, model: ReadModel) -> Hash:
        """The model's digest, computed once a block."""
        digest = self._digests.get(block)
        if digest is None:
            digest = model.digest()
            self._digests = {**dict(list(self._digests.items())[-7:]), block: digest}
        return digest

    def _reading(self, at: Hash | None) -> Reading:
        """Find a block's model and state; a model may be remembered for longer than its state is kept."""
        head = self._head
        if head is None or head.ref != self._chain.snapshot.best:
            self.let_go()
            head = self._head = self._read_head()
        if at is None or at == head.ref.hash:
            return head
        try:
            state = self._chain.state_at(at)
            with self._lock:
                reading = self._readings.get(at)
            if reading is None:
                model = self._chain.model_at(at)
                reading = Reading(BlockRef(NUMBER.get(state), at), model, state, self._prepared_for(model))
        except UnknownBlock:
            raise unknown_block(at) from None
        except StatePruned:
            raise state_pruned(at) from None
        with self._lock:
            self._readings[at] = reading
            self._readings.move_to_end(at)
            if len(self._readings) > _READINGS_KEPT:
                self._readings.popitem(last=False)
        return reading

    def let_go(self) -> None:
        """Keep no reading: the head has moved, and the database could not give back the space of what they see."""
        self._head = None
        with self._lock:
            self._readings.clear()

    def _prepared_for(self, model: ReadModel) -> PreparedModel:
        """Return what is prepared for the head already, if it is the same for this model."""
        prepared = self._prepared
        if prepared is not None and prepared.is_of(model):
            return prepared
        return PreparedModel(model, () if prepared is None else prepared.asked)

    def _read_head(self) -> Reading:
        """Begin to read the best block. A pruned or retracted head is no head any more: the next one is read then."""
        while True:
            snapshot = self._chain.snapshot
            try:
                state = snapshot.state
                self._prepared = self._prepared_for(snapshot.model)
                return Reading(snapshot.best, snapshot.model, state, self._prepared)
            except (UnknownBlock, StatePruned):
                if self._chain.snapshot is snapshot:
                    raise


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
        "pendingEpoch": {"epoch": record.generation, "due": record.due} if record.is_pending else None,
        "digest": to_hex(record.digest) if record.is_canonical else None,
        "hyperparameters": {
            "userMean": from_fixed(learned.user_mean).tolist(),
            "userCovariance": _square(learned.user_covariance),
            "itemBias": learned.item_bias / ONE,
            "itemCovariance": _square(learned.item_covariance),
            "precisionRate": learned.precision_rate / ONE,
        },
        "block": {"hash": to_hex(ref.hash), "number": ref.number},
    }


def _check_item(model: ReadModel, item: int, index: int | None = None) -> None:
    if not 0 <= item < model.items.size:
        raise unknown_item(item, index)


def _whole(
    reading: Reading, account: AccountId, items: Sequence[int], predictions: Sequence[tuple[int, int]]
) -> list[JsonObject]:
    """Predictions of one account for some items, in full; their means and variances are given."""
    prepared, rated = reading.prepared, reading.prepared.rated_by(account)
    canonical, scale = reading.model.record.is_canonical, reading.model.config.scale
    answers: list[JsonObject] = []
    for item, (mean, variance) in zip(items, predictions, strict=True):
        centre, deviation, low, high = on_scale_one(mean, variance, scale)
        answers.append(
            {
                "item": item,
                "title": reading.title(item),
                "mean": centre,
                "std": deviation,
                "interval90": [low, high],
                "rated": rated.of(item),
                "userRatings": rated.items.size,
                "itemRatings": prepared.raters_of(item),
                "canonical": canonical,
                "block": reading.block,
                "raw": {"mean": str(mean), "variance": str(variance), "fractionalBits": FRACTION_BITS},
            }
        )
    return answers


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
