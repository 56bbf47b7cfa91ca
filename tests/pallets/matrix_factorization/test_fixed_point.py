from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.matrix_factorization.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    ONE,
    RatingScale,
    RatingScaleError,
    from_fixed,
    hash_uniform,
    splitmix64,
    square_index,
    to_fixed,
    triangle,
)


def test_rounding_is_half_to_even_and_clips() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.75]) / ONE
    assert to_fixed(values).tolist() == [0, 2, 2, 0, -2, 1]
    extremes = np.array([1e300, -1e300, np.inf, -np.inf, np.nan, 2048.0, -2048.0])
    expected = [INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MIN, INT32_MAX, INT32_MIN]
    assert to_fixed(extremes).tolist() == expected


@given(st.integers(INT32_MIN, INT32_MAX))
def test_integers_survive_the_way_through_floats(value: int) -> None:
    assert to_fixed(from_fixed(np.array([value], np.int32))).tolist() == [value]


def test_the_packed_triangle_begins_with_the_first_row() -> None:
    rows, columns = triangle(3)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (2, 2),
    ]
    assert square_index(3).tolist() == [[0, 1, 2], [1, 3, 4], [2, 4, 5]]


def test_splitmix64_gives_the_published_sequence() -> None:
    # The first outputs of the reference generator from seed 1234567: its state advances by the golden gamma.
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + k * gamma) % 2**64 for k in range(5)], np.uint64)
    assert splitmix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.integers(0, 2**32 - 1), st.integers(0, 63))
def test_the_hash_is_exact_and_depends_on_item_and_feature_only(item: int, feature: int) -> None:
    state = np.array([64 * item + feature], np.uint64)
    expected = Fraction(int(splitmix64(state)[0]) >> 11, 2**52) - 1
    assert -1 <= expected < 1
    alone = hash_uniform(np.array([item]), 64)[0, feature]
    among_others = hash_uniform(np.array([7, item, 9]), feature + 1)[1, feature]
    assert Fraction(float(alone)) == Fraction(float(among_others)) == expected


def test_hashes_of_neighbours_are_spread_evenly() -> None:
    values = hash_uniform(np.arange(2000), 8)
    assert abs(values.mean()) < 0.02
    assert abs((values**2).mean() - 1 / 3) < 0.01
    assert np.unique(values).size == values.size
    assert np.abs(np.corrcoef(values.T) - np.eye(8)).max() < 0.1


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        (RatingScale(1, 5, 1), {1: -128, 2: -64, 3: 0, 4: 64, 5: 128}),
        (RatingScale(-1, 1, 2), {-1: -128, 1: 128}),
        (RatingScale(1, 9, 1), {1: -128, 2: -96, 5: 0, 9: 128}),
        (RatingScale(0, 256, 1), {0: -128, 1: -127, 128: 0, 256: 128}),
    ],
)
def test_ratings_map_to_whole_units_and_back(scale: RatingScale, units: dict[int, int]) -> None:
    for rating, unit in units.items():
        assert scale.accepts(rating)
        assert scale.to_units(rating) == unit
        assert scale.from_units(unit) == rating


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 2**32), st.integers(1, 300))
def test_every_scale_maps_exactly_or_is_refused(minimum: int, step: int, steps: int) -> None:
    maximum = minimum + step * steps
    exact = maximum <= INT32_MAX and 256 % steps == 0
    if not exact:
        with pytest.raises(RatingScaleError):
            RatingScale(minimum, maximum, step)
        return
    scale = RatingScale(minimum, maximum, step)
    for k in range(steps + 1):
        rating = minimum + k * step
        assert scale.accepts(rating)
        exact_units = Fraction(128 * (2 * rating - minimum - maximum), maximum - minimum)
        assert scale.to_units(rating) == exact_units
        assert scale.from_units(scale.to_units(rating)) == rating


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 1, 1), "rating scale 5 to 1 must ascend within 32 bits"),
        ((0, 2**31, 1), "rating scale 0 to 2147483648 must ascend within 32 bits"),
        ((1, 5, 0), "rating step 0 must be positive and divide 4"),
        ((1, 5, 3), "rating step 3 must be positive and divide 4"),
        (
            (1, 10, 1),
            "rating scale 1 to 10 step 1: a step is 256/9 units of 1/128, which is not whole",
        ),
        (
            (0, 512, 1),
            "rating scale 0 to 512 step 1: a step is 256/512 units of 1/128, which is not whole",
        ),
    ],
)
def test_scales_without_whole_units_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(RatingScaleError) as error:
        RatingScale(*arguments)
    assert str(error.value) == message


def test_only_values_of_the_scale_are_accepted() -> None:
    scale = RatingScale(-1, 1, 2)
    assert [rating for rating in range(-3, 4) if scale.accepts(rating)] == [-1, 1]
