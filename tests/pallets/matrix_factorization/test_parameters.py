import dataclasses

import pytest

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
        ({"dimension": 0}, "dimension must be between 1 and 64, not 0"),
        ({"dimension": 65}, "dimension must be between 1 and 64, not 65"),
        ({"sweeps": 0}, "sweeps must be between 1 and 1000, not 0"),
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
        ({"trust_kappa_ppm": 2**32}, "trust_kappa_ppm must be between 0 and 4294967295, not 4294967296"),
    ],
)
def test_constants_out_of_range_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ParameterError) as error:
        dataclasses.replace(ModelParameters(), **changes)
    assert str(error.value) == message
