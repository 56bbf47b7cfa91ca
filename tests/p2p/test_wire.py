import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import wire

NUMBERS = st.integers(0, 2**63 - 1)
REASONS = st.text(max_size=wire.MAX_REASON)
TEXTS = st.text(max_size=100).filter(lambda text: len(text) <= 128)
FRAMES = st.one_of(
    st.builds(wire.Hello, NUMBERS, st.integers(0, 65535), st.binary(max_size=300)),
    st.builds(wire.Request, NUMBERS, st.integers(0, 255), st.binary(max_size=300)),
    st.builds(wire.Answer, NUMBERS, st.binary(max_size=300)),
    st.builds(wire.Refusal, NUMBERS, REASONS),
    st.builds(wire.Ping, NUMBERS),
    st.builds(wire.Pong, NUMBERS),
    st.builds(wire.Peers, st.lists(st.tuples(TEXTS, TEXTS), max_size=wire.MAX_PEERS).map(tuple)),
    st.builds(wire.Bye, REASONS),
)


@given(FRAMES)
def test_a_frame_survives_the_wire(frame: wire.Frame) -> None:
    data = wire.encode(frame)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert wire.decode(data[4:]) == frame


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_frame_error(body: bytes) -> None:
    try:
        frame = wire.decode(body)
    except wire.FrameError:
        return
    assert wire.decode(wire.encode(frame)[4:]) == frame


@given(st.recursive(st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(), st.lists, max_leaves=8))
def test_any_msgpack_is_a_frame_or_a_frame_error(value: object) -> None:
    try:
        wire.decode(msgpack.packb(value))
    except wire.FrameError:
        return


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "not an array that starts with a number"),
        (["x"], "not an array that starts with a number"),
        ([True, 1], "not an array that starts with a number"),
        ([9, 1], "no frame of type 9 has such fields"),
        ([0, 1, 70_000, b""], "no frame of type 0 has such fields"),
        ([1, -1, 1, b""], "no frame of type 1 has such fields"),
        ([1, 1, 256, b""], "no frame of type 1 has such fields"),
        ([2, 1, "text"], "no frame of type 2 has such fields"),
        ([4, 2**63], "no frame of type 4 has such fields"),
        ([6, [["only one"]]], "not a pair of a peer and its address"),
        ([6, [["x" * 129, "y"]]], "not a pair of a peer and its address"),
        ([6, [["x", "y"]] * 17], "no msgpack: ValueError"),
        ({1: 2}, "no msgpack: ValueError"),
    ],
)
def test_what_is_wrong_is_said(fields: object, message: str) -> None:
    with pytest.raises(wire.FrameError) as caught:
        wire.decode(msgpack.packb(fields))
    assert str(caught.value) == message


def test_a_long_reason_is_cut() -> None:
    assert wire.decode(wire.encode(wire.Refusal(1, "x" * 900))[4:]) == wire.Refusal(1, "x" * wire.MAX_REASON)
