from hypothesis import given
from hypothesis import strategies as st

from pallets.matrix_factorization.accounts import AccountMap
from runtime.primitives import AccountId

# Few first bytes, so that accounts share their part of the map.
ACCOUNTS = st.builds(
    lambda first, last: AccountId(bytes((first, *bytes(30), last))), st.sampled_from((0, 1, 255)), st.integers(0, 5)
)
CHANGES = st.lists(st.dictionaries(ACCOUNTS, st.none() | st.integers(0, 9), max_size=5), max_size=8)


@given(CHANGES, ACCOUNTS)
def test_every_version_is_a_dict_that_later_ones_leave_alone(
    history: list[dict[AccountId, int | None]], asked: AccountId
) -> None:
    versions, expected = [AccountMap[int]()], [dict[AccountId, int]()]
    for changes in history:
        versions.append(versions[-1].updated(changes))
        merged = {**expected[-1], **changes}
        expected.append({account: value for account, value in merged.items() if value is not None})
    for version, entries in zip(versions, expected, strict=True):
        assert list(version.items()) == sorted(entries.items())
        assert len(version) == len(entries)
        assert version.get(asked) == entries.get(asked)


def test_a_new_map_is_empty_and_shares_nothing_with_another() -> None:
    account = AccountId(bytes(32))
    assert len(AccountMap[int]().updated({account: 1})) == 1
    assert AccountMap[int]().get(account) is None
    assert len(AccountMap[int]().updated({account: None})) == 0


@given(CHANGES, CHANGES)
def test_versions_differ_in_the_accounts_whose_objects_differ(
    history: list[dict[AccountId, int | None]], other: list[dict[AccountId, int | None]]
) -> None:
    def walk(start: AccountMap[list[int]], steps: list[dict[AccountId, int | None]]) -> AccountMap[list[int]]:
        for changes in steps:
            # Equal lists, but never the same one twice.
            start = start.updated({account: None if value is None else [value] for account, value in changes.items()})
        return start

    common = walk(AccountMap(), history[:3])
    ours, theirs = walk(common, history[3:]), walk(common, other)
    mine, others = dict(ours.items()), dict(theirs.items())
    expected = [key for key in sorted(mine.keys() | others.keys()) if mine.get(key) is not others.get(key)]
    assert ours.differing(theirs) == theirs.differing(ours) == expected
    assert ours.differing(ours) == []
