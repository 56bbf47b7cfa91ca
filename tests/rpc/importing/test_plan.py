"""How a file of ratings is cut into transactions."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rpc.importing.plan import Plan, call_of, make_plan, pack
from rpc.importing.ratings_file import RatingsFile
from rpc.transactions import submit_rating, submit_ratings


def plan_of(users: list[int], batch: int, window: int) -> Plan:
    return make_plan(np.array(users, dtype=np.int64), batch, window)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=120), st.integers(1, 9), st.integers(1, 50))
def test_a_plan_holds_each_rating_once_in_its_users_order(users: list[int], batch: int, window: int) -> None:
    plan = plan_of(users, batch, window)
    assert sorted(plan.order.tolist()) == list(range(len(users)))
    by_user: dict[int, list[int]] = defaultdict(list)
    position = 0
    for one in plan.transactions:
        assert one.start == position
        position = one.stop
        rows = plan.order[one.start : one.stop].tolist()
        assert 1 <= len(rows) == one.ratings <= batch
        assert {users[row] for row in rows} == {one.user}
        assert {row // window for row in rows} == {one.window}
        by_user[one.user] += rows
    assert position == len(users)
    assert all(rows == sorted(rows) for rows in by_user.values())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=120), st.integers(1, 9), st.integers(1, 50))
def test_a_plan_has_as_few_transactions_as_its_windows_allow(users: list[int], batch: int, window: int) -> None:
    plan = plan_of(users, batch, window)
    fewest = 0
    for start in range(0, len(users), window):
        part = users[start : start + window]
        fewest += sum(-(-part.count(user) // batch) for user in set(part))
    assert len(plan.transactions) == fewest
    firsts = [(one.window, int(plan.order[one.start])) for one in plan.transactions]
    assert firsts == sorted(firsts)


def test_single_ratings_keep_the_order_of_the_file() -> None:
    plan = plan_of([3, 0, 3, 3, 1, 0], batch=1, window=4)
    assert plan.order.tolist() == [0, 1, 2, 3, 4, 5]
    assert plan.of_users(4) == [[1, 5], [4], [], [0, 2, 3]]


def test_calls_carry_the_chains_items_in_order() -> None:
    column = np.array([0, 1, 0, 0], dtype=np.int64)
    file = RatingsFile(
        users=(10, 20),
        items=(7, 9),
        user_index=column,
        item_index=np.array([1, 0, 0, 1], dtype=np.int64),
        rating=np.array([5, -1, 3, 4], dtype=np.int64),
        digest="",
    )
    plan = make_plan(column, 256, 100)
    rows = pack(file, plan, [70, 2**64 - 1])
    calls = [call_of(one, rows) for one in plan.transactions]
    pairs = [(2**64 - 1, 5), (70, 3), (2**64 - 1, 4)]
    packed = b"".join(item.to_bytes(8, "little") + rating.to_bytes(8, "little", signed=True) for item, rating in pairs)
    assert calls == [submit_ratings(packed), submit_rating(70, -1)]
    assert calls[0][:3].hex() == "08040c"
