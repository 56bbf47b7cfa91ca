"""Chain constants of the model, held as integers so that a chain can commit to them."""

from __future__ import annotations

from dataclasses import dataclass

_MILLION = 1_000_000
_MAX_U32 = 2**32 - 1
MAX_DIMENSION = 16
_MAX_SWEEPS = 64
_MAX_PRECISION = 1_024 * _MILLION
# Q20 has 32 bits: nothing from 2^11 on, nothing below 2^-20.
_OVER = 2_048
_FINEST = 1 << 20


class ParameterError(ValueError):
    """A model constant is outside the range in which the arithmetic is safe."""


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ParameterError(f"{name} must be between {low} and {high}, not {value}")


@dataclass(frozen=True, slots=True)
class ModelParameters:
    """Constants of one chain's model.

    Unit: every field that ends in `_ppm` is a decimal in millionths (32 bits); its float is value / 10^6,
    rounded once. K = `dimension`; D = K + 1; P = D (D + 1) / 2. Raises: ParameterError when a constant is out
    of range.
    """

    dimension: int = 8
    sweeps: int = 24
    learning_minimum: int = 3
    """Ratings from which a user or item counts in the hyperparameters; below, it would mostly echo them."""
    user_bias_variance_ppm: int = 50_000
    user_factor_variance_ppm: int = 500_000
    item_bias_variance_ppm: int = 100_000
    item_factor_variance_ppm: int = 50_000
    amplitude_ppm: int = 20_000
    pseudo_observations_ppm: int = 20_000_000
    precision_shape_ppm: int = 5_000_000
    initial_precision_ppm: int = 4_000_000
    minimum_precision_ppm: int = 500_000
    maximum_precision_ppm: int = 16_000_000
    trust_kappa_ppm: int = 0

    def __post_init__(self) -> None:
        """Refuse constants for which a division or a bound of the arithmetic would fail."""
        _check("dimension", self.dimension, 1, MAX_DIMENSION)
        _check("sweeps", self.sweeps, 1, _MAX_SWEEPS)
        _check("learning_minimum", self.learning_minimum, 1, _MAX_U32)
        _check("amplitude_ppm", self.amplitude_ppm, 0, _MILLION)
        _check("pseudo_observations_ppm", self.pseudo_observations_ppm, 1, _MAX_U32)
        _check("minimum_precision_ppm", self.minimum_precision_ppm, 1_000, _MAX_PRECISION)
        _check("maximum_precision_ppm", self.maximum_precision_ppm, self.minimum_precision_ppm, _MAX_PRECISION)
        low, high = self.minimum_precision_ppm, self.maximum_precision_ppm
        _check("initial_precision_ppm", self.initial_precision_ppm, low, high)
        # b0 = shape / tau, for every tau that a chain may learn.
        _check("precision_shape_ppm", self.precision_shape_ppm, -(-high // _FINEST), min((_OVER - 1) * low, _MAX_U32))
        for name in ("user_bias", "user_factor", "item_bias", "item_factor"):
            # Below the pivot floor of 2^-10 a variance could not be inverted faithfully. What items see of a rater is
            # tau times its moments.
            most = (_OVER * _MILLION**2 - 1) // high if name.startswith("user") else 100 * _MILLION
            most = min(most, 100 * _MILLION)
            _check(f"{name}_variance_ppm", getattr(self, f"{name}_variance_ppm"), 1_000, most)
        _check("trust_kappa_ppm", self.trust_kappa_ppm, 0, _MAX_U32)

    @property
    def width(self) -> int:
        """D: a bias and K features."""
        return self.dimension + 1

    @property
    def packed(self) -> int:
        """P: entries of the upper triangle of a D x D matrix."""
        return self.width * (self.width + 1) // 2

    @property
    def solving(self) -> int:
        """Steps of solving one user or item: an inverse takes D pivots, each over P entries."""
        return self.width * self.packed

    @property
    def effort(self) -> int:
        """Steps of solving it in every sweep."""
        return self.solving * self.sweeps


def decimal(ppm: int) -> float:
    """Float of a constant in millionths."""
    return ppm / _MILLION
