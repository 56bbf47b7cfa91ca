"""Predictions from prepared rows: the same bits as those of `predict`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.fixed_point import INT32_MAX, INT32_MIN, RatingScale, square_index
from pallets.matrix_factorization.posterior import ItemPosteriors, UserPosteriors
from pallets.matrix_factorization.predict import on_scale, predict
from pallets.matrix_factorization.prepared import RowPredictor, item_rows, on_scale_one, user_rows

SCALES = (RatingScale(1, 5, 1), RatingScale(-1, 1, 2), RatingScale(1, 9, 1))


def draw_posteriors(seed: int, count: int, dimension: int, *, extreme: bool) -> tuple[UserPosteriors, ItemPosteriors]:
    """Draw posteriors as they are, or any 32-bit integers."""
    draw = np.random.default_rng(seed)
    width = dimension + 1
    packed = width * (width + 1) // 2
    low, high = (INT32_MIN, INT32_MAX) if extreme else (-(1 << 20), 1 << 20)

    def table(columns: int) -> np.ndarray:
        return draw.integers(low, high, (count, columns), dtype=np.int32, endpoint=True)

    parts = [table(width), table(packed), table(width), table(packed)]
    if not extreme:
        for covariance in (parts[1], parts[3]):
            covariance[:, square_index(width).diagonal()] |= 1 << 18
    precision = draw.integers(1, INT32_MAX, count, dtype=np.int32)
    return UserPosteriors(parts[0], parts[1], precision), ItemPosteriors(parts[2], parts[3])


@pytest.mark.parametrize("extreme", [False, True])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 20), dimension=st.integers(1, 16))
def test_the_bits_are_those_of_predict(seed: int, count: int, dimension: int, *, extreme: bool) -> None:
    users, items = draw_posteriors(seed, count, dimension, extreme=extreme)
    expected, predictor = predict(users, items), RowPredictor(dimension + 1)
    user_table, item_table = user_rows(users), item_rows(items)
    found = predictor.predict(user_table, item_table)
    assert found.mean.tolist() == expected.mean.tolist()
    assert found.variance.tolist() == expected.variance.tolist()
    singles = [predictor.predict_one(user, item) for user, item in zip(user_table, item_table, strict=True)]
    assert singles == list(zip(expected.mean.tolist(), expected.variance.tolist(), strict=True))
    one_user = UserPosteriors(users.mean[:1], users.covariance[:1], users.precision[:1])
    expected, found = predict(one_user, items), predictor.predict(user_table[0], item_table)
    assert found.mean.tolist() == expected.mean.tolist()
    assert found.variance.tolist() == expected.variance.tolist()
    for scale in SCALES:
        scaled = on_scale(expected, scale)
        columns = (scaled.mean, scaled.deviation, scaled.low, scaled.high)
        for line in range(count):
            one = on_scale_one(int(expected.mean[line]), int(expected.variance[line]), scale)
            assert one == tuple(float(column[line]) for column in columns)
