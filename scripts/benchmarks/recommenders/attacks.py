"""What made-up accounts can do to an item, and the three ratings beside the exact posterior."""

from dataclasses import replace
from itertools import permutations

import numpy as np

from benchmarks.common.local_chain import LocalChain, account_of, rate
from benchmarks.common.suite import Setting
from benchmarks.recommenders import ours
from benchmarks.recommenders.data import I64
from benchmarks.recommenders.gibbs import Rating, sample
from node.chain_spec import ChainSpec, load_spec
from node.spec_types import Sealing
from pallets.matrix_factorization.fixed_point import from_fixed
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.predict import INTERVAL_90, predict

_TARGET_MEAN = 2.91
_CAMOUFLAGE = 19
_KAPPA_PPM = 10_000_000


def spam(setting: Setting, ratings: I64) -> list[dict[str, object]]:
    """An item of middling esteem gets five stars from made-up accounts; what it is then expected to get on average."""
    items = int(ratings[:, 1].max()) + 1
    users = np.unique(ratings[:, 0])
    crowds = {
        "nobody": (0, 0),
        "100 accounts with one rating": (100, 0),
        "1,000 accounts with one rating": (1_000, 0),
        "100 accounts with 19 ratings to hide behind": (100, _CAMOUFLAGE),
        "1,000 accounts with 19 ratings to hide behind": (1_000, _CAMOUFLAGE),
    }
    lines: list[dict[str, object]] = []
    target = None
    for kappa in (0, _KAPPA_PPM):
        for name, (count, hidden) in crowds.items():
            spec = _trusting(ours.spec(items), kappa)
            if target is None:
                target = _middling(ratings, ours.learned(ratings, items), users)
            chain = LocalChain(spec)
            for part in np.array_split(np.concatenate((ratings[:, :3], _crowd(ratings, target, count, hidden))), 4):
                chain.block(ours.calls_of(part))
            chain.rest()
            mean = float(np.mean(_means(chain, users, target)))
            lines.append({"trustKappa": kappa // 10**6, "attack": name, "meanStars": mean})
            setting.say(f"spam: {lines[-1]}")
    return lines


def _trusting(spec: ChainSpec, kappa_ppm: int) -> ChainSpec:
    config = spec.matrix_factorization
    return replace(spec, matrix_factorization=replace(config, model=replace(config.model, trust_kappa_ppm=kappa_ppm)))


def _means(chain: LocalChain, users: I64, item: int) -> np.ndarray:
    pairs = np.column_stack((users, np.full(users.size, item)))
    return np.clip(ours.predicted(chain.model, pairs)[0], 1.0, 5.0)


def _middling(ratings: I64, chain: LocalChain, users: I64) -> int:
    """Return the item with 40 to 60 raters whose mean prediction is nearest to 2.91 stars."""
    raters = np.bincount(ratings[:, 1])
    candidates = np.flatnonzero((raters >= 40) & (raters <= 60)).tolist()
    return int(min(candidates, key=lambda item: abs(float(np.mean(_means(chain, users, item))) - _TARGET_MEAN)))


def _crowd(ratings: I64, target: int, count: int, hidden: int) -> I64:
    """Ratings by made-up accounts: five stars for the target, and what everybody gives for popular items."""
    random = np.random.default_rng(7)
    popular = np.argsort(-np.bincount(ratings[:, 1]))[:200]
    usual = {item: int(np.rint(np.mean(ratings[ratings[:, 1] == item, 2]))) for item in popular.tolist()}
    lines = []
    for number in range(count):
        user = 1_000_000 + number
        lines.append((user, target, 5))
        chosen = random.permutation(popular)[:hidden].tolist()
        lines += [(user, item, usual[item]) for item in chosen if item != target]
    return np.array(lines, np.int64).reshape(-1, 3)


def three_ratings(setting: Setting, draws: int = 20_000) -> dict[str, object]:
    """A likes 0, B likes 0 and 1: what A would give 1, in all orders, and by the exact posterior."""
    shipped = load_spec("dev")
    spec = replace(shipped, sealing=Sealing.INSTANT)
    given = (("A", 0), ("B", 0), ("B", 1))
    told = set()
    for order in permutations(given):
        chain = LocalChain(spec)
        for name, item in order:
            chain.block([(account_of(name), rate([(item, 1)]))])
        model = chain.model
        found = predict(model.posteriors([account_of("A")]), model.items.posteriors(np.array([1])))
        told.add((int(found.mean[0]), int(found.variance[0]), model.digest().hex()))
    ((_, _, digest),) = told
    mean, deviation = float(from_fixed(found.mean)[0]), float(np.sqrt(from_fixed(found.variance))[0])
    ratings = [Rating(0, 0, 1.0), Rating(1, 0, 1.0), Rating(1, 1, 1.0)]
    exact = sample(ratings, [(0, 1)], ModelParameters(), draws=draws, burn_in=1_000, seed=1)
    low, high = np.array([mean - INTERVAL_90 * deviation]), np.array([mean + INTERVAL_90 * deviation])
    result = {
        "orders": 6,
        "digests": 1,
        "digest": digest,
        "mean": mean,
        "deviation": deviation,
        "exactMean": float(exact.mean[0]),
        "exactDeviation": float(exact.deviation[0]),
        "exactDraws": draws,
        "interval90HoldsExactly": float(exact.share_within(low, high)[0]),
    }
    setting.say(f"three ratings: {result}")
    return result
