"""Histories: what the order of the ratings changes, and how predictions improve while they come in."""

from collections.abc import Callable

import numpy as np

from benchmarks.common.local_chain import LocalChain
from benchmarks.common.suite import Setting
from benchmarks.recommenders import ours, sequential
from benchmarks.recommenders.data import I64, Split, by_time, split
from benchmarks.recommenders.peers import PeerFailed, Peers, prequential_of_river
from benchmarks.recommenders.scores import F64, errors
from pallets.matrix_factorization.fixed_point import from_fixed

_FROZEN = 73_000
"""Of 90,000 ratings, those that the epoch in force has learned from: the next one would begin with 92,000."""
_SPLIT, _OTHER_SPLITS = "0", ("1", "2")


def orders(part: Split) -> dict[str, I64]:
    """The same ratings in six orders."""
    train = part.train
    random = np.random.default_rng(0)
    return {
        "random": train,
        "random again": train[random.permutation(len(train))],
        "by time": by_time(train),
        "by user": train[np.lexsort((train[:, 1], train[:, 0]))],
        "by item": train[np.lexsort((train[:, 0], train[:, 1]))],
        "by rating": train[np.argsort(train[:, 2], kind="stable")],
    }


def order_sensitivity(setting: Setting, ratings: I64) -> dict[str, object]:
    """One test set after the same ratings in six orders: here and at rest, and with one update a rating."""
    part = split(ratings, _SPLIT)
    truth = part.test[:, 2].astype(np.float64)
    items = int(ratings[:, 1].max()) + 1
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name, train in orders(part).items():
        chain = _late(train, items)
        scores: dict[str, dict[str, object]] = {"late": {**errors(ours.predicted(chain.model, part.test)[0], truth)}}
        chain.rest()
        rest = errors(ours.predicted(chain.model, part.test)[0], truth)
        scores["atRest"] = {**rest, "digest": chain.model.record.digest.hex()}
        online = sequential.learn(train, items)
        scores["oneUpdateARating"] = {**errors(online.predicted(part.test), truth)}
        found[name] = scores
        setting.say(f"order {name}: {scores}")
    spread = {kind: _spread([scores[kind]["rmse"] for scores in found.values()]) for kind in scores}
    spread |= {f"late, split {name}": _late_spread(ratings, items, name) for name in _OTHER_SPLITS}
    setting.say(f"standard deviations over the orders: {spread}")
    return {"orders": found, "spread": spread}


def _late(train: I64, items: int) -> LocalChain:
    """Return a chain late in an epoch."""
    chain = ours.learned(train[:_FROZEN], items)
    for block in ours.blocks_of(train[_FROZEN:]):
        chain.block(ours.calls_of(block))
    assert chain.view.record.frozen_ratings == _FROZEN, "still the same epoch"
    return chain


def _spread(errors_of_orders: list[object]) -> float:
    return float(np.std(np.array(errors_of_orders, np.float64)))


def _late_spread(ratings: I64, items: int, name: str) -> float:
    part = split(ratings, name)
    truth = part.test[:, 2].astype(np.float64)
    chains = [_late(train, items) for train in orders(part).values()]
    return _spread([errors(ours.predicted(chain.model, part.test)[0], truth)["rmse"] for chain in chains])


def prequential(setting: Setting, ratings: I64) -> dict[str, object]:
    """Predict each block of 1,000, then learn it; in the order of time and at random."""
    shuffled = ratings[np.random.default_rng(0).permutation(len(ratings))]
    peers = Peers(setting.cache / "peers", setting.say)
    found: dict[str, object] = {}
    for name, ordered in (("time", by_time(ratings)), ("random", shuffled)):
        truth = ordered[:, 2].astype(np.float64)
        learners: dict[str, Callable[[], F64]] = {
            "mfchain": lambda ordered=ordered: _prequential(ordered),  # type: ignore[misc]
            "river": lambda ordered=ordered: prequential_of_river(peers, ordered),  # type: ignore[misc]
        }
        scores: dict[str, object] = {}
        for learner, learn in learners.items():
            try:
                mean = learn()
            except PeerFailed as error:
                scores[learner] = {"failed": str(error)}
                continue
            curve = [errors(mean[:end], truth[:end])["rmse"] for end in range(2_000, len(mean) + 1, 2_000)]
            scores[learner] = {**errors(mean, truth), "curve": curve}
            setting.say(f"prequential by {name}, {learner}: {errors(mean, truth)}")
        found[name] = scores
    return found


def _prequential(ordered: I64) -> F64:
    chain = LocalChain(ours.spec(int(ordered[:, 1].max()) + 1))
    means = []
    for block in ours.blocks_of(ordered):
        means.append(ours.predicted(chain.model, block)[0])
        chain.block(ours.calls_of(block))
    return np.concatenate(means)


def one_item(setting: Setting, ratings: I64) -> dict[str, object]:
    """What is known of one item's bias, block by block, while ratings come in the order of time."""
    ordered = by_time(ratings)
    item = int(np.bincount(ordered[:, 1]).argmax())
    chain = LocalChain(ours.spec(int(ratings[:, 1].max()) + 1))
    lines = []
    for number, block in enumerate(ours.blocks_of(ordered)):
        chain.block(ours.calls_of(block))
        posterior = chain.model.items.posteriors(np.array([item]))
        raters = int(chain.model.items.raters_of(np.array([item]))[0])
        mean, deviation = from_fixed(posterior.mean)[0, 0], np.sqrt(from_fixed(posterior.covariance)[0, 0])
        lines.append([number + 1, raters, float(2 * mean), float(2 * deviation)])
    setting.say(f"item {item}: {lines[-1]}")
    return {"item": item, "columns": ["block", "raters", "bias in stars", "standard deviation"], "lines": lines}
