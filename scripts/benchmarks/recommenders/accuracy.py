"""Accuracy at rest: this model and its peers on the same splits."""

from math import erf, sqrt

import numpy as np

from benchmarks.common.suite import Setting
from benchmarks.common.timing import Stopwatch
from benchmarks.recommenders import ours
from benchmarks.recommenders.data import I64, Split, split
from benchmarks.recommenders.peers import PeerFailed, Peers
from benchmarks.recommenders.scores import F64, calibration, errors

_BANDS = 20


def measure(setting: Setting, ratings: I64, names: tuple[str, ...], programs: tuple[str, ...]) -> dict[str, object]:
    """Score every learner on every split."""
    peers = Peers(setting.cache / "peers", setting.say)
    found: dict[str, object] = {}
    for name in names:
        part = split(ratings, name)
        scores: dict[str, object] = {"mfchain": _ours(setting, part, int(ratings[:, 1].max()) + 1)}
        for program in programs:
            try:
                scores[program] = _peer(setting, peers, program, part)
            except PeerFailed as error:
                scores[program] = {"failed": str(error)}
            setting.say(f"split {name}, {program}: {scores[program]}")
        found[name] = scores
    return found


def _ours(setting: Setting, part: Split, items: int) -> dict[str, object]:
    with Stopwatch() as watch:
        chain = ours.learned(part.train, items)
    mean, deviation = ours.predicted(chain.model, part.test)
    truth = part.test[:, 2].astype(np.float64)
    scores = {
        **errors(mean, truth),
        **calibration(mean, deviation, truth),
        **_rate(setting, len(part.train), watch.taken.cpu),
        "digest": chain.model.record.digest.hex(),
        "bands": _bands(mean, deviation, truth),
    }
    setting.say(f"split {part.name}, mfchain: RMSE {scores['rmse']:.4f}, coverage {scores['coverage90']:.3f}")
    return scores


def _peer(setting: Setting, peers: Peers, program: str, part: Split) -> dict[str, object]:
    result = peers.run(program, part)
    truth = part.test[:, 2].astype(np.float64)
    scores: dict[str, object] = {"version": peers.versions(program), **_rate(setting, len(part.train), result.cpu)}
    if result.mean is None:
        scores["note"] = "ranks items; its scores are no ratings"
    else:
        scores |= errors(result.mean, truth)
    if result.mean is not None and result.deviation is not None:
        scores |= calibration(result.mean, result.deviation, truth)
    return scores


def _rate(setting: Setting, ratings: int, cpu: float) -> dict[str, float]:
    """Ratings learned a CPU second, alone and as a share of the signatures that could be checked in it."""
    return {
        "cpuSeconds": cpu,
        "ratingsPerCpuSecond": ratings / cpu,
        "shareOfSignatureRate": setting.calibration.share(ratings / cpu),
    }


def _bands(mean: F64, deviation: F64, truth: F64) -> list[float]:
    """The share of ratings below each quantile 1/20, 2/20, ... of its own prediction: the diagonal, if honest."""
    # Ratings are whole stars: one stands for all that is nearest to it, and at the ends for all beyond.
    low = np.where(truth > 1.0, _below((truth - 0.5 - mean) / deviation), 0.0)
    high = np.where(truth < 5.0, _below((truth + 0.5 - mean) / deviation), 1.0)
    quantiles = np.arange(1, _BANDS) / _BANDS
    return [float(np.mean(np.clip((level - low) / (high - low), 0.0, 1.0))) for level in quantiles]


def _below(values: F64) -> F64:
    """The standard normal distribution function."""
    return np.array([0.5 + 0.5 * erf(value / sqrt(2.0)) for value in values.tolist()])
