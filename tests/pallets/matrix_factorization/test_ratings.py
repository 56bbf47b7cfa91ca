"""Lists of ratings remember what they were at the last freezes, whatever happened since."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.ratings import (
    ENTRY,
    NO_RATINGS,
    RATING_LIST,
    Entries,
    RatingList,
    RatingListEditor,
    Zone,
)

Change = tuple[int, int | None]


def as_dict(entries: Entries) -> dict[int, int]:
    assert len(set(entries["item"].tolist())) == entries.size, "an item stands twice"
    return dict(entries.tolist())


def edit(ratings: RatingList, changes: Sequence[Change], latest: int, active: int) -> tuple[RatingList, int]:
    editor = RatingListEditor(ratings, latest, active, room=len(changes))
    for item, rating in changes:
        if rating is not None:
            editor.rate(item, rating)
        elif editor.get(item) is not None:
            editor.retract(item)
    return editor.finish(), editor.drift


def difference(now: dict[int, int], then: dict[int, int]) -> int:
    return sum(now.get(item) != then.get(item) for item in now.keys() | then.keys())


# A history is a list of blocks. Each edits the list, and may end with a freeze or with putting the last one in force.
CHANGES = st.lists(st.tuples(st.integers(0, 7), st.none() | st.sampled_from((-1, 1, 2))), max_size=6)
HISTORY = st.lists(st.tuples(CHANGES, st.sampled_from(("nothing", "freeze", "activate"))), max_size=12)


@given(HISTORY)
@settings(max_examples=300)
def test_the_sets_at_both_freezes_can_be_recovered_after_any_history(
    history: list[tuple[list[Change], str]],
) -> None:
    ratings, now = NO_RATINGS, {}
    latest = active = 0
    frozen: dict[int, dict[int, int]] = {0: {}}
    drift = 0
    for changes, end in history:
        ratings, moved = edit(ratings, changes, latest, active)
        drift += moved
        for item, rating in changes:
            if rating is None:
                now.pop(item, None)
            else:
                now[item] = rating
        assert as_dict(ratings.entries) == now
        assert drift == difference(now, frozen[latest])
        for generation in {active, latest}:
            assert as_dict(ratings.at_freeze(generation)) == frozen[generation]
            expected = difference(now, frozen[generation]), len(frozen[generation])
            assert ratings.difference(generation) == expected
        assert len(ratings.zones) <= 2
        if end == "freeze" and latest == active:
            latest, drift = latest + 1, 0
            frozen[latest] = dict(now)
        elif end == "activate":
            active = latest
        data = RATING_LIST.encode(ratings)
        assert RATING_LIST.encode(RATING_LIST.decode(data)) == data


def test_an_unchanged_rating_leaves_no_trace() -> None:
    ratings, _ = edit(NO_RATINGS, [(3, 1)], latest=1, active=1)
    again, drift = edit(ratings, [(3, 1)], latest=2, active=2)
    assert again.zones[-1].generation == 1
    assert drift == 0


def test_zones_older_than_the_active_model_are_dropped_with_the_next_change() -> None:
    ratings = NO_RATINGS
    for generation in range(1, 6):
        ratings, _ = edit(ratings, [(generation, 1)], latest=generation, active=generation)
        assert [zone.generation for zone in ratings.zones] == [generation]


def test_a_retraction_fills_its_hole_zone_by_zone() -> None:
    ratings, _ = edit(NO_RATINGS, [(1, 1), (2, 1)], latest=0, active=0)
    ratings, _ = edit(ratings, [(3, 1), (4, 1)], latest=1, active=1)
    ratings, _ = edit(ratings, [(5, 1), (6, 1)], latest=2, active=1)
    ratings, _ = edit(ratings, [(1, None)], latest=2, active=1)
    assert ratings.entries["item"].tolist() == [2, 4, 3, 6, 5]
    assert sorted(ratings.at_freeze(1)["item"].tolist()) == [1, 2]
    assert sorted(ratings.at_freeze(2)["item"].tolist()) == [1, 2, 3, 4]


def test_the_scale_form_is_that_of_the_declared_types() -> None:
    ratings, _ = edit(NO_RATINGS, [(7, -1)], latest=1, active=0)
    ratings, _ = edit(ratings, [(7, 1)], latest=2, active=1)
    data = RATING_LIST.encode(ratings)
    assert data.hex() == (
        "04"
        "07000000"
        "0100"  # one entry: item 7, rating 1
        "08"  # two zones
        "01000000"
        "00000000"
        "00"  # generation 1: nothing yet
        "02000000"
        "01000000"
        "04"
        "07000000"
        "ffff"  # generation 2: one entry, whose value was -1
    )
    assert np.array_equal(RATING_LIST.decode(data).entries, np.array([(7, 1)], ENTRY))


def test_old_values_are_joined_once_however_many_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = 0
    concatenate = np.concatenate

    def counted(parts: Any) -> Any:
        nonlocal joined
        joined += 1
        return concatenate(parts)

    monkeypatch.setattr(np, "concatenate", counted)
    known = np.array([(item, 1) for item in range(200)], ENTRY)
    nothing = np.empty(0, ENTRY)
    editor = RatingListEditor(RatingList(known, (Zone(1, 200, nothing),)), latest=2, active=1, room=0)
    for item in range(100):
        editor.rate(item, 2)
        editor.rate(item, 3)
    ratings = editor.finish()
    assert joined == 2
    for generation in (1, 2):
        assert sorted(ratings.at_freeze(generation).tolist()) == known.tolist()
    assert [zone.old.tolist() for zone in ratings.zones] == [known[:100].tolist()] * 2
    assert ratings.old_values == 200
    assert editor.drift == 100


@pytest.mark.parametrize(
    ("mark", "old", "far"), [(10, 0, False), (8, 0, False), (6, 0, True), (10, 4, False), (10, 5, True)]
)
def test_a_list_may_differ_in_half_if_as_many_changes_are_remembered(mark: int, old: int, *, far: bool) -> None:
    entries = np.array([(item, 1) for item in range(10)], ENTRY)
    remembered = np.array([(item, 2) for item in range(old)], ENTRY)
    ratings = RatingList(entries, (Zone(1, mark, remembered),))
    assert ratings.may_differ_in_half(1) == far
    changed, before = ratings.difference(1)
    assert far >= (2 * changed >= before)
    assert ratings.may_differ_in_half(1, 10)
    assert [ratings.may_differ_in_half(2, changes) for changes in (0, 4, 5)] == [False, False, True]
