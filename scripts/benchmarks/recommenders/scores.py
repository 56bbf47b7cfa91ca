"""How good predictions are, in stars."""

from math import pi

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
_HALF_WIDTH = 1.6448536
"""Half the width of the central 90% of a normal distribution."""


def errors(mean: F64, truth: F64) -> dict[str, float]:
    """RMSE and MAE of means, clipped to the scale."""
    off = np.clip(mean, 1.0, 5.0) - truth
    return {"rmse": float(np.sqrt(np.mean(off * off))), "mae": float(np.mean(np.abs(off)))}


def calibration(mean: F64, deviation: F64, truth: F64) -> dict[str, float]:
    """Mean negative log likelihood, and the share of ratings within the central 90% intervals, means not clipped."""
    variance = deviation * deviation
    surprise = 0.5 * np.log(2 * pi * variance) + (truth - mean) ** 2 / (2 * variance)
    within = np.abs(truth - mean) <= _HALF_WIDTH * deviation
    return {"nll": float(np.mean(surprise)), "coverage90": float(np.mean(within))}
