from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import Reason, StorageError
from storage.kv import KeyValueStore, Write, key_range

KEYS = st.lists(st.sampled_from([0x00, 0x01, 0x61, 0xFE, 0xFF]), max_size=3).map(bytes)
VALUES = st.binary(max_size=3)


def fill(store: KeyValueStore, *keys: bytes) -> None:
    store.write([(key, b"v" + key) for key in keys], sync=False)


def keys_of(store: KeyValueStore, prefix: bytes = b"", after: bytes | None = None) -> list[bytes]:
    return [key for key, _ in store.items(prefix, after)]


def test_get_what_was_written(store: KeyValueStore) -> None:
    store.write([(b"a", b"1"), (b"b", b"")], sync=True)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (b"1", b"", None)


def test_delete(store: KeyValueStore) -> None:
    fill(store, b"a", b"b")
    store.write([(b"a", None), (b"never there", None)], sync=False)
    assert list(store.items(b"")) == [(b"b", b"vb")]


def test_the_last_entry_of_a_key_counts(store: KeyValueStore) -> None:
    store.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")], sync=False)
    assert list(store.items(b"")) == [(b"b", b"2")]


def test_items_are_in_the_order_of_their_bytes(store: KeyValueStore) -> None:
    fill(store, b"b", b"a\xff", b"", b"a", b"\xff", b"a\x00")
    assert keys_of(store) == [b"", b"a", b"a\x00", b"a\xff", b"b", b"\xff"]


@pytest.mark.parametrize(
    ("prefix", "after", "expected"),
    [
        (b"a", None, [b"a", b"a1", b"a\xff", b"a\xff\xff"]),
        (b"a", b"", [b"a", b"a1", b"a\xff", b"a\xff\xff"]),
        (b"a", b"a", [b"a1", b"a\xff", b"a\xff\xff"]),
        (b"a", b"a0", [b"a1", b"a\xff", b"a\xff\xff"]),
        (b"a", b"a\xff\xff", []),
        (b"a", b"b", []),
        (b"a", b"c", []),
        (b"a\xff", None, [b"a\xff", b"a\xff\xff"]),
        (b"\xff", None, [b"\xff", b"\xff\xff1"]),
        (b"\xff\xff", b"\xff", [b"\xff\xff1"]),
        (b"x", None, []),
    ],
)
def test_items_by_prefix_and_place(
    store: KeyValueStore, prefix: bytes, after: bytes | None, expected: list[bytes]
) -> None:
    fill(store, b"", b"A", b"a", b"a1", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff1")
    assert keys_of(store, prefix, after) == expected


@given(prefix=KEYS, after=st.none() | KEYS, key=KEYS)
def test_key_range(prefix: bytes, after: bytes | None, key: bytes) -> None:
    start, included, end = key_range(prefix, after)
    inside = (key >= start if included else key > start) and (end is None or key < end)
    assert inside == (key.startswith(prefix) and (after is None or key > after))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=6), max_size=4),
    prefix=KEYS,
    after=st.none() | KEYS,
)
def test_any_history_gives_what_a_dictionary_gives(
    store: KeyValueStore, batches: list[list[Write]], prefix: bytes, after: bytes | None
) -> None:
    store.write([(key, None) for key in keys_of(store)], sync=False)
    model: dict[bytes, bytes] = {}
    views = []
    for batch in batches:
        store.write(batch, sync=False)
        model = {key: value for key, value in {**model, **dict(batch)}.items() if value is not None}
        views.append((store.snapshot(), model))
    for view, pairs in [*views, (store, model)]:
        chosen = [key for key in sorted(pairs) if key.startswith(prefix) and (after is None or key > after)]
        assert list(view.items(prefix, after)) == [(key, pairs[key]) for key in chosen]
        assert {key: view.get(key) for key in pairs} == pairs


def test_a_walk_sees_the_store_as_it_was(store: KeyValueStore) -> None:
    fill(store, b"a", b"b", b"c")
    walk = store.snapshot().items(b"")
    first = list(islice(walk, 1))
    store.write([(b"b", None), (b"c", b"new"), (b"d", b"")], sync=False)
    assert [*first, *walk] == [(b"a", b"va"), (b"b", b"vb"), (b"c", b"vc")]


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get(b"a"),
        lambda store: list(store.items(b"")),
        lambda store: store.write([(b"a", b"")], sync=True),
        lambda store: store.snapshot(),
    ],
    ids=["get", "items", "write", "snapshot"],
)
def test_a_closed_store_says_so(store: KeyValueStore, use: Callable[[KeyValueStore], object]) -> None:
    store.close()
    with pytest.raises(StorageError, match=r"^the database in \S+ is closed$") as caught:
        use(store)
    assert caught.value.reason is Reason.CLOSED


def test_closing_twice_is_no_error(store: KeyValueStore) -> None:
    store.close()
    store.close()
