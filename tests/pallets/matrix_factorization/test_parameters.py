import dataclasses

import numpy as np
import pytest

from pallets.matrix_factorization.fixed_point import INT32_MAX, to_fixed
from pallets.matrix_factorization.parameters import ModelParameters, ParameterError, decimal


def test_the_defaults_are_those_of_the_documented_model() -> None:
    parameters = ModelParameters()
    assert (parameters.dimension, parameters.width, parameters.packed) == (8, 9, 45)
    assert parameters.sweeps == 24
    assert decimal(parameters.user_bias_variance_ppm) == 0.05
    assert decimal(parameters.user_factor_variance_ppm) == 0.5
    assert decimal(parameters.item_bias_variance_ppm) == 0.1
    assert decimal(parameters.item_factor_variance_ppm) == 0.05
    assert decimal(parameters.amplitude_ppm) == 0.02
    assert decimal(parameters.pseudo_observations_ppm) == 20.0
    assert decimal(parameters.precision_shape_ppm) == 5.0
    assert decimal(parameters.initial_precision_ppm) == 4.0
    assert decimal(parameters.minimum_precision_ppm) == 0.5
    assert decimal(parameters.maximum_precision_ppm) == 16.0
    assert decimal(parameters.trust_kappa_ppm) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimension": 0}, "dimension must be between 1 and 16, not 0"),
        ({"dimension": 17}, "dimension must be between 1 and 16, not 17"),
        ({"sweeps": 0}, "sweeps must be between 1 and 64, not 0"),
        ({"sweeps": 65}, "sweeps must be between 1 and 64, not 65"),
        ({"learning_minimum": 0}, "learning_minimum must be between 1 and 4294967295, not 0"),
        (
            {"item_bias_variance_ppm": 999},
            "item_bias_variance_ppm must be between 1000 and 100000000, not 999",
        ),
        ({"amplitude_ppm": -1}, "amplitude_ppm must be between 0 and 1000000, not -1"),
        (
            {"minimum_precision_ppm": 17_000_000},
            "maximum_precision_ppm must be between 17000000 and 1024000000, not 16000000",
        ),
        (
            {"initial_precision_ppm": 17_000_000},
            "initial_precision_ppm must be between 500000 and 16000000, not 17000000",
        ),
        ({"precision_shape_ppm": 15}, "precision_shape_ppm must be between 16 and 1023500000, not 15"),
        (
            {"precision_shape_ppm": 1_023_500_001},
            "precision_shape_ppm must be between 16 and 1023500000, not 1023500001",
        ),
        (
            {"minimum_precision_ppm": 1_000},
            "precision_shape_ppm must be between 16 and 2047000, not 5000000",
        ),
        (
            {"maximum_precision_ppm": 1_024_000_000, "user_factor_variance_ppm": 2_000_000},
            "user_factor_variance_ppm must be between 1000 and 1999999, not 2000000",
        ),
        (
            {"user_bias_variance_ppm": 100_000_001},
            "user_bias_variance_ppm must be between 1000 and 100000000, not 100000001",
        ),
        ({"trust_kappa_ppm": 2**32}, "trust_kappa_ppm must be between 0 and 4294967295, not 4294967296"),
    ],
)
def test_constants_out_of_range_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ParameterError) as error:
        dataclasses.replace(ModelParameters(), **changes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"precision_shape_ppm": 16},
        {"precision_shape_ppm": 1_023_500_000},
        {"maximum_precision_ppm": 1_024_000_000, "precision_shape_ppm": 977, "user_factor_variance_ppm": 1_999_999},
        {"user_bias_variance_ppm": 100_000_000, "item_bias_variance_ppm": 100_000_000},
        {"minimum_precision_ppm": 1_000, "precision_shape_ppm": 2_047_000},
    ],
)
def test_at_the_ends_of_the_ranges_nothing_is_clipped(changes: dict[str, int]) -> None:
    parameters = dataclasses.replace(ModelParameters(), **changes)
    shape = parameters.precision_shape_ppm
    for tau in (parameters.minimum_precision_ppm, parameters.maximum_precision_ppm):
        assert 1 <= to_fixed(np.array([shape / tau]))[0] < INT32_MAX
        for name in ("user_bias_variance_ppm", "user_factor_variance_ppm"):
            product = decimal(tau) * decimal(getattr(parameters, name))
            assert to_fixed(np.array([product]))[0] < INT32_MAX
