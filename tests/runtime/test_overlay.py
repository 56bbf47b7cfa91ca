"""The overlay against a dict, whatever is done to it in whatever order."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.overlay import Overlay
from runtime.scale import U32, Codec, FixedBytes
from tests.support.memory_state import MemoryState

# Keys of two letters and few lengths: prefixes of one another, often the same one twice.
KEYS = st.text("ab", max_size=3).map(str.encode)
VALUES = st.sampled_from((b"", b"1", b"2"))
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.sampled_from(("begin", "commit", "rollback"))),
)


class Raw(Codec[bytes]):
    """Bytes as they are."""

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return data


RAW = Raw()


def written(state: dict[bytes, bytes], prefix: bytes, after: bytes | None) -> list[tuple[bytes, bytes]]:
    return [
        (key, state[key]) for key in sorted(state) if key[: len(prefix)] == prefix and (after is None or key > after)
    ]


class Reference:
    """The same as an overlay: whole copies of dicts."""

    def __init__(self, base: dict[bytes, bytes]) -> None:
        self.base, self.now = base, dict(base)
        self.touched: set[bytes] = set()
        self.saved: tuple[dict[bytes, bytes], set[bytes]] | None = None

    def step(self, overlay: Overlay, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        if name in ("commit", "rollback") and self.saved is None:
            return
        if name == "begin":
            if self.saved is not None:
                return
            self.saved = dict(self.now), set(self.touched)
        elif name == "commit":
            self.saved = None
        elif name == "rollback":
            assert self.saved is not None
            (self.now, self.touched), self.saved = self.saved, None
        else:
            self.touched.add(arguments[0])
            self.now.pop(arguments[0], None)
            if name == "put":
                self.now[arguments[0]] = arguments[1]
        getattr(overlay, name)(*arguments)


@given(st.dictionaries(KEYS, VALUES), st.lists(STEP, max_size=30), KEYS, st.none() | KEYS)
@settings(max_examples=400)
def test_it_reads_as_a_dict_that_is_copied_at_every_layer(
    base: dict[bytes, bytes], steps: list[tuple[Any, ...]], prefix: bytes, after: bytes | None
) -> None:
    overlay, reference = Overlay(MemoryState(base)), Reference(base)
    for step in steps:
        reference.step(overlay, step)
        for key in (b"", b"a", b"ab", b"aba"):
            assert overlay.get(key) == reference.now.get(key)
            assert overlay.base_value(key) == base.get(key)
            assert overlay.is_touched(key) == (key in reference.touched)
        assert list(overlay.items(prefix, after)) == written(reference.now, prefix, after)
        now, touched = (reference.now, reference.touched) if reference.saved is None else reference.saved
        assert overlay.written_since(0, prefix, RAW)[0] == [
            (key, now.get(key)) for key in sorted(touched) if key.startswith(prefix)
        ]
    if reference.saved is not None:
        reference.step(overlay, ("commit",))
    changes = overlay.changes()
    assert changes == [
        (key, reference.now.get(key))
        for key in sorted(base.keys() | reference.now.keys())
        if base.get(key) != reference.now.get(key)
    ]
    assert MemoryState(base).changed(changes).entries == reference.now


def test_what_is_written_back_to_its_old_value_is_no_change() -> None:
    overlay = Overlay(MemoryState({b"kept": b"1", b"gone": b"1"}))
    overlay.put(b"kept", b"2")
    overlay.put(b"kept", b"1")
    overlay.put(b"new", b"1")
    overlay.delete(b"new")
    overlay.delete(b"never")
    overlay.delete(b"gone")
    assert overlay.changes() == [(b"gone", None)]
    assert [key for key, _ in overlay.written_since(0, b"", RAW)[0]] == [b"gone", b"kept", b"never", b"new"]


def test_who_follows_the_writes_sees_each_once_and_those_of_an_extrinsic_when_it_is_kept() -> None:
    overlay = Overlay(MemoryState({}))
    overlay.put(b"a", b"1")
    first, position = overlay.written_since(0, b"", RAW)
    overlay.begin()
    overlay.put(b"b", b"2")
    assert overlay.written_since(position, b"", RAW) == ([], position)
    overlay.rollback()
    overlay.begin()
    overlay.put(b"c", b"3")
    overlay.commit()
    overlay.put(b"a", b"4")
    then, last = overlay.written_since(position, b"", RAW)
    assert (first, then) == ([(b"a", b"1")], [(b"a", b"4"), (b"c", b"3")])
    assert overlay.written_since(last, b"", RAW) == ([], last)


def test_a_walk_sees_the_moment_at_which_it_began() -> None:
    overlay = Overlay(MemoryState({b"a": b"1", b"c": b"3"}))
    walk = overlay.items(b"")
    overlay.put(b"b", b"2")
    overlay.delete(b"c")
    assert list(walk) == [(b"a", b"1"), (b"c", b"3")]
    assert list(overlay.items(b"")) == [(b"a", b"1"), (b"b", b"2")]


def test_the_base_is_asked_once_for_a_key() -> None:
    asked: list[bytes] = []

    class Counting(MemoryState):
        def get(self, key: bytes) -> bytes | None:
            asked.append(key)
            return super().get(key)

    overlay = Overlay(Counting({b"a": b"1"}))
    for _ in range(3):
        assert (overlay.get(b"a"), overlay.get(b"b")) == (b"1", None)
    assert asked == [b"a", b"b"]


def test_layers_do_not_nest_deeper_and_must_be_closed() -> None:
    overlay = Overlay(MemoryState())
    overlay.begin()
    with pytest.raises(AssertionError, match=r"^layers do not nest deeper$"):
        overlay.begin()
    with pytest.raises(AssertionError, match=r"^an extrinsic is still being applied$"):
        overlay.changes()
    overlay.rollback()
    with pytest.raises(AssertionError):
        overlay.rollback()
    with pytest.raises(AssertionError):
        overlay.commit()


VALUE_STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, st.integers(0, 3)),
    st.tuples(st.just("put_value"), KEYS, st.integers(0, 3)),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("find"), KEYS, st.sampled_from((U32, FixedBytes(4)))),
    st.tuples(st.sampled_from(("begin", "commit", "rollback"))),
)


@given(st.dictionaries(KEYS, st.integers(0, 3)), st.lists(VALUE_STEP, max_size=30))
@settings(max_examples=300)
def test_values_are_what_their_bytes_say(base: dict[bytes, int], steps: list[tuple[Any, ...]]) -> None:
    encoded = {key: U32.encode(value) for key, value in base.items()}
    overlay, plain = Overlay(MemoryState(encoded)), Overlay(MemoryState(encoded))
    nested = False
    for name, *arguments in steps:
        if name in ("put", "put_value"):
            key, value = arguments
            plain.put(key, U32.encode(value))
            if name == "put":
                overlay.put(key, U32.encode(value))
            else:
                overlay.put_value(key, value, U32)
        elif name in ("get", "find"):
            key = arguments[0]
            data = plain.get(key)
            if name == "get":
                assert overlay.get(key) == data
            elif arguments[1] is U32:
                assert overlay.find(key, U32) == (None if data is None else U32.decode(data))
            else:
                # Read as another type, what is there is decoded anew.
                assert overlay.find(key, FixedBytes(4)) == data
        elif name == "delete" or (name == "begin") != nested:
            for each in (overlay, plain):
                getattr(each, name)(*arguments)
            nested = nested if name == "delete" else not nested
    if nested:
        overlay.commit()
        plain.commit()
    assert overlay.written_since(0, b"", U32) == plain.written_since(0, b"", U32)
    assert overlay.changes() == plain.changes()


def test_a_value_is_encoded_and_decoded_once_whatever_it_is_asked_for() -> None:
    counted = Counted()
    overlay = Overlay(MemoryState({b"old": b"7"}))
    for _ in range(3):
        assert overlay.find(b"old", counted) == 7
        overlay.put_value(b"new", 8, counted)
        assert overlay.find(b"new", counted) == 8
    assert (counted.decoded, counted.encoded) == (1, 0)
    assert overlay.changes() == overlay.changes() == [(b"new", b"8")]
    assert (counted.decoded, counted.encoded) == (1, 1)


class Counted(Codec[int]):
    """Decimal digits; counts its work."""

    def __init__(self) -> None:
        self.encoded = self.decoded = 0

    def encode(self, value: int) -> bytes:
        self.encoded += 1
        return str(value).encode()

    def decode(self, data: bytes) -> int:
        self.decoded += 1
        return int(data)
