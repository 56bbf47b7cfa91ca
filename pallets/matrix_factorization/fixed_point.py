"""Integers that stand for reals: Q20 moments, rating units, packed matrices, the hash that starts items.

All that is summed over users or items is an integer: integer addition is associative and can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

F64: TypeAlias = npt.NDArray[np.float64]
I64: TypeAlias = npt.NDArray[np.int64]
I32: TypeAlias = npt.NDArray[np.int32]
Rating = TypeVar("Rating", int, npt.NDArray[np.int64])

FRACTION_BITS = 20
ONE = 1 << FRACTION_BITS
INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)

UNIT_BITS = 7
UNITS = 1 << UNIT_BITS
"""Rating units from the middle of a scale to either end."""

_SCALE = float(ONE)
_INVERSE_SCALE = 1.0 / _SCALE


def to_fixed(values: F64) -> I32:
    """Round half to even to Q20, and clip to 32 bits; NaN becomes the minimum. Any shape."""
    scaled = np.rint(values * _SCALE)
    # fmax and fmin prefer a number: converting NaN would give each kind of processor its own integer.
    return np.fmin(np.fmax(scaled, float(INT32_MIN)), float(INT32_MAX)).astype(np.int32)


def from_fixed(values: I32 | I64) -> F64:
    """Float of Q20 integers: exact up to 2^53, else rounded once, half to even. Any shape."""
    return values.astype(np.float64) * _INVERSE_SCALE


@lru_cache(maxsize=64)
def triangle(width: int) -> tuple[I64, I64]:
    """Row and column of each packed entry: the upper triangle, row by row (the first row comes first)."""
    rows, columns = np.triu_indices(width)
    for index in (rows, columns):
        index.flags.writeable = False
    return rows, columns


@lru_cache(maxsize=64)
def square_index(width: int) -> I64:
    """Shape (D, D): where entry (i, j) of a symmetric matrix lies in its packed form."""
    rows, columns = triangle(width)
    index = np.empty((width, width), np.int64)
    index[rows, columns] = index[columns, rows] = np.arange(rows.size)
    index.flags.writeable = False
    return index


def splitmix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One output of the splitmix64 generator for each state. Source: Steele, Lea, Flood, OOPSLA 2014."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def hash_uniform(items: I64, dimension: int) -> F64:
    """Numbers in [-1, 1) that depend on (item id, feature) alone; their signs break the model's symmetry.

    Shapes: items (I,), ids of 32 bits; result (I, K), K <= 64. The state hashed is 64 id + feature; the upper
    53 bits of the hash become a multiple of 2^-52, exactly.
    """
    states = (items.astype(np.uint64)[:, None] << np.uint64(6)) | np.arange(dimension, dtype=np.uint64)
    return (splitmix64(states) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


class RatingScaleError(ValueError):
    """A rating scale whose steps are not whole units of 1/128."""


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The ratings that a chain accepts, and their place on [-1, 1] in units of 1/128.

    Raises: RatingScaleError if a step is not a whole number of units, or the bounds make no scale.
    """

    minimum: int
    maximum: int
    step: int

    def __post_init__(self) -> None:
        """Refuse what cannot be represented exactly."""
        if not INT32_MIN <= self.minimum < self.maximum <= INT32_MAX:
            raise RatingScaleError(f"rating scale {self.minimum} to {self.maximum} must ascend within 32 bits")
        span = self.maximum - self.minimum
        if self.step <= 0 or span % self.step:
            raise RatingScaleError(f"rating step {self.step} must be positive and divide {span}")
        if (2 * UNITS * self.step) % span:
            raise RatingScaleError(
                f"rating scale {self.minimum} to {self.maximum} step {self.step}: a step is "
                f"{2 * UNITS * self.step}/{span} units of 1/{UNITS}, which is not whole"
            )

    def accepts(self, rating: int) -> bool:
        """Whether the rating is one of the scale's values."""
        return self.minimum <= rating <= self.maximum and (rating - self.minimum) % self.step == 0

    def to_units(self, rating: Rating) -> Rating:
        """Units of 1/128 of accepted ratings, one or an array: -128 at the minimum, 128 at the maximum."""
        return UNITS * (2 * rating - self.minimum - self.maximum) // (self.maximum - self.minimum)

    def from_units(self, units: int) -> int:
        """The rating of units that `to_units` gave."""
        return (units * (self.maximum - self.minimum) // UNITS + self.minimum + self.maximum) // 2
