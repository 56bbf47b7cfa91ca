"""How long a fast sync stays with a peer that gives little."""

import pytest

from node.sync.pace import Pace, SourcePeer, is_too_slow


def test_a_window_is_measured_when_it_is_over() -> None:
    pace = Pace(100.0)
    assert pace.measured(110.0, 60) is None
    assert pace.measured(129.9, 60) is None
    assert pace.measured(140.0, 80) == 5.0
    assert pace.measured(150.0, 80) is None
    assert pace.measured(170.0, 40) == 4.0


@pytest.mark.parametrize(
    ("per_window", "others", "is_left"),
    [
        (255, [], False),  # there is nobody else
        (255, [None], True),
        (255, [1 / 30], True),
        (256, [None], True),  # who knows what the other gives
        (16_383, [None], True),
        (16_384, [None], False),
        (256, [1_023 / 30, 1_024 / 30], False),
        (256, [1_025 / 30], True),
        (100_000, [None, 400_001 / 30], True),
    ],
)
def test_who_is_left(per_window: int, others: list[float | None], is_left: bool) -> None:
    assert is_too_slow(per_window / 30, others) is is_left


def test_who_gives_just_enough_is_left_for_who_gives_more() -> None:
    """Three made-up peers give 256 keys in half a minute each, an honest one a thousand a second."""
    gives = {"a": 256, "b": 256, "c": 256, "honest": 30_000}
    peers = {name: SourcePeer() for name in gives}
    now, keys, asked = 0.0, 0, []
    while keys < 1_000_000:
        name = min((name for name, peer in peers.items() if peer.not_before <= now), key=lambda one: peers[one].rank)
        asked.append(name)
        pace, now = Pace(now), now + 30.0
        keys += gives[name]
        measured = pace.measured(now, gives[name])
        assert measured is not None
        peers[name].failures, peers[name].pace = 0, measured
        others = [peer.pace for other, peer in peers.items() if other != name and peer.not_before <= now]
        if is_too_slow(measured, others):
            peers[name].fail(now)
    assert asked[:3] == ["a", "b", "c"]
    assert set(asked[3:]) == {"honest"}
    assert now < 1_200
