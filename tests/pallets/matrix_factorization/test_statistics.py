from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization import statistics
from pallets.matrix_factorization.fixed_point import I64, INT32_MAX, INT32_MIN
from pallets.matrix_factorization.statistics import (
    MAX_ITEM_RATERS,
    MAX_USER_RATINGS,
    RatingSet,
    arrange,
    differing_items,
    exchange,
    item_changes,
    item_statistics_of,
    list_sums,
    pointers_of,
    user_statistics,
)

WIDTH, PACKED = 3, 6
ITEMS = 12

LIST = st.dictionaries(st.integers(0, ITEMS - 1), st.integers(-128, 128), max_size=ITEMS)
LISTS = st.lists(LIST, max_size=8)


def rating_set(lists: list[dict[int, int]]) -> RatingSet:
    return RatingSet(
        pointers_of(np.array([len(entries) for entries in lists], np.int64)),
        np.array([item for entries in lists for item in entries], np.int64),
        np.array([rating for entries in lists for rating in entries.values()], np.int64),
    )


def table(lines: int, columns: int, seed: int = 0) -> I64:
    return np.random.default_rng(seed).integers(INT32_MIN, INT32_MAX, (lines, columns), endpoint=True)


def naive_sums(lines: I64, ratings: RatingSet, weighted: int) -> tuple[list[list[int]], list[list[int]]]:
    """The same sums in Python's unbounded integers, one entry after the other."""
    plain, products = [], []
    for begin, end in zip(ratings.pointers[:-1].tolist(), ratings.pointers[1:].tolist(), strict=True):
        total, product = [0] * lines.shape[1], [0] * weighted
        for entry in range(begin, end):
            line, rating = lines[ratings.items[entry]].tolist(), int(ratings.ratings[entry])
            total = [a + b for a, b in zip(total, line, strict=True)]
            product = [a + rating * b for a, b in zip(product, line[:weighted], strict=True)]
        plain.append(total)
        products.append(product)
    return plain, products


def long_and_short_lists() -> RatingSet:
    """Two hundred lists of 0 to 400 entries, empty ones at both ends and between them."""
    random = np.random.default_rng(3)
    counts = np.concatenate(([0, 0], random.integers(0, 40, 190), [400, 0, 300, 1, 0, 250, 0, 0]))
    entries = int(counts.sum())
    return RatingSet(pointers_of(counts), random.integers(0, ITEMS, entries), random.integers(-128, 129, entries))


@given(LISTS)
def test_sums_are_those_of_unbounded_integers(lists: list[dict[int, int]]) -> None:
    ratings, lines = rating_set(lists), table(ITEMS, 5)
    plain, products = list_sums(lines, arrange(ratings.items, ratings.ratings, ratings.pointers), 2)
    assert (plain.tolist(), products.tolist()) == naive_sums(lines, ratings, 2)


@pytest.mark.parametrize(
    ("block", "narrow", "chunk"), [(1024, 64, 2000), (1, 1, 1), (7, 3, 13), (64, 1, 1000), (50, 64, 37)]
)
def test_sums_do_not_depend_on_how_the_work_is_cut(
    block: int, narrow: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings, lines = long_and_short_lists(), table(ITEMS, 5)
    expected = naive_sums(lines, ratings, 2)
    for name, value in (("_BLOCK", block), ("_NARROW", narrow), ("_CHUNK", chunk)):
        monkeypatch.setattr(statistics, name, value)
    plain, products = list_sums(lines, arrange(ratings.items, ratings.ratings, ratings.pointers), 2)
    assert (plain.tolist(), products.tolist()) == expected


def test_no_lists_and_only_empty_lists_sum_to_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    for pointers in (np.zeros(1, np.int64), np.zeros(4, np.int64)):
        plain, products = list_sums(table(ITEMS, 5), arrange(nothing, nothing, pointers), 2)
        assert plain.tolist() == [[0] * 5] * (pointers.size - 1)
        assert products.tolist() == [[0] * 2] * (pointers.size - 1)


def test_user_statistics_follow_their_definition() -> None:
    ratings, rows = long_and_short_lists(), table(ITEMS, PACKED + WIDTH + 1)
    result = user_statistics(rows, ratings.items, ratings.ratings, ratings.pointers, WIDTH)
    for user in range(ratings.pointers.size - 1):
        entries = slice(ratings.pointers[user], ratings.pointers[user + 1])
        lines, r = rows[ratings.items[entries]].astype(object), ratings.ratings[entries].astype(object)
        bias, moments, cross, square = lines[:, 0], lines[:, 1:7], lines[:, 7:9], lines[:, 9]
        regressor = np.column_stack((bias, cross))
        assert result[user, :PACKED].tolist() == [sum(column) for column in moments.T]
        assert result[user, PACKED:-1].tolist() == [
            sum(r * z - 128 * cz) for z, cz in zip(moments.T[:WIDTH], regressor.T, strict=True)
        ]
        # E[(r - c)^2] with r = units / 128, times 2^27.
        assert result[user, -1] == sum(r * r * 2**13 - 2 * r * bias + 128 * square)


@given(LISTS, LISTS)
@settings(max_examples=200)
def test_what_was_added_can_be_taken_back_without_a_trace(
    before: list[dict[int, int]], after: list[dict[int, int]]
) -> None:
    users = max(len(before), len(after))
    before += [{}] * (users - len(before))
    after += [{}] * (users - len(after))
    old, new = rating_set(before), rating_set(after)
    old_lines, new_lines = table(users, PACKED + WIDTH, 1), table(users, PACKED + WIDTH, 2)
    # Some users contribute as before, and only their lists differ.
    new_lines[::2] = old_lines[::2]
    totals = totals_of(old_lines, old)

    raters = np.bincount(old.items, minlength=ITEMS)
    items, sums, come = exchange(old_lines, new_lines, old, new, WIDTH)
    totals[items] += sums
    raters[items] += come
    assert (raters == np.bincount(new.items, minlength=ITEMS)).all()
    assert (totals == totals_of(new_lines, new)).all()
    assert (np.diff(items) > 0).all()

    items, sums, come = exchange(new_lines, old_lines, new, old, WIDTH)
    totals[items] += sums
    raters[items] += come
    assert (raters == np.bincount(old.items, minlength=ITEMS)).all()
    assert (totals == totals_of(old_lines, old)).all()


@given(LISTS, LISTS, st.randoms())
@settings(max_examples=200)
def test_an_item_differs_if_somebody_rates_it_otherwise_wherever_it_stands(
    before: list[dict[int, int]], after: list[dict[int, int]], random: Random
) -> None:
    users = max(len(before), len(after))
    before += [{}] * (users - len(before))
    # Most entries stay, some in another place, so that the two ways to be the same both occur.
    after = [{**then, **now} for then, now in zip(before, after + [{}] * (users - len(after)), strict=True)]
    for user in range(0, users, 2):
        entries = list(after[user].items())
        random.shuffle(entries)
        after[user] = dict(entries[:-1])
    items = differing_items(rating_set(before), rating_set(after))
    sides = [(set(then.items()), set(now.items())) for then, now in zip(before, after, strict=True)]
    assert items.tolist() == sorted({item for then, now in sides for item, _ in then ^ now})


def totals_of(lines: I64, ratings: RatingSet) -> I64:
    raters = np.repeat(np.arange(lines.shape[0]), np.diff(ratings.pointers))
    order = np.argsort(ratings.items, kind="stable")
    pointers = pointers_of(np.bincount(ratings.items, minlength=ITEMS))
    return item_statistics_of(lines, arrange(raters[order], ratings.ratings[order], pointers), WIDTH)


def test_changes_name_each_touched_item_once_in_ascending_order() -> None:
    lines = table(2, PACKED + WIDTH)
    raters, items, ratings = np.array([0, 1, 0]), np.array([9, 4, 4]), np.array([128, -128, 1])
    touched, sums = item_changes(lines, raters, items, ratings, WIDTH)
    assert touched.tolist() == [4, 9]
    linear = lines[:, :WIDTH] * np.array([[1], [-128]]) - 128 * lines[:, PACKED:]
    assert sums[0].tolist() == [*lines[:, :PACKED].sum(0).tolist(), *linear.sum(0).tolist()]
    nothing = np.zeros(0, np.int64)
    touched, sums = item_changes(lines, nothing, nothing, nothing, WIDTH)
    assert (touched.size, sums.shape) == (0, (0, PACKED + WIDTH))


@pytest.mark.parametrize("extreme", [INT32_MIN, INT32_MAX])
@pytest.mark.parametrize("rating", [-128, 128])
def test_a_user_at_the_cap_of_saturated_items_stays_within_64_bits(extreme: int, rating: int) -> None:
    rows = np.full((1, PACKED + WIDTH + 1), extreme)
    rows[0, 0] = rows[0, -2] = INT32_MIN if rating * extreme > 0 else INT32_MAX
    index, ratings = np.zeros(MAX_USER_RATINGS, np.int64), np.full(MAX_USER_RATINGS, rating)
    pointers = np.array([0, MAX_USER_RATINGS])
    result = user_statistics(rows, index, ratings, pointers, WIDTH)[0].tolist()
    bias, count = int(rows[0, 0]), MAX_USER_RATINGS
    assert result[0] == count * extreme
    assert result[PACKED] == count * (rating * extreme - 128 * bias)
    assert result[-1] == count * (128**2 * 2**13 - 2 * rating * bias + 128 * extreme)
    assert max(abs(value) for value in result) < 2**55


@pytest.mark.parametrize("rating", [-128, 128])
def test_an_item_at_the_cap_of_saturated_raters_stays_within_64_bits(rating: int) -> None:
    lines = np.full((1, PACKED + WIDTH), INT32_MIN)
    lines[0, PACKED:] = INT32_MIN if rating < 0 else INT32_MAX
    one = item_statistics_of(lines, arrange(np.zeros(1, np.int64), np.array([rating]), np.array([0, 1])), WIDTH)
    most = max(abs(value) for value in one[0].tolist())
    assert most >= 2**39 - 128
    assert most * MAX_ITEM_RATERS <= 2**62
    # The parts of which it is made are summed before they are put together.
    assert 128 * 2**31 * MAX_ITEM_RATERS <= 2**62
