import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from p2p.gossip import FLUSH_AT, HARD_CAP, MAX_WAITING, Batcher, join, split
from p2p.network import TooLarge


@given(st.lists(st.binary(max_size=100)))
def test_a_batch_comes_apart_again(items: list[bytes]) -> None:
    assert split(join(items)) == items


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_a_value_error(batch: bytes) -> None:
    try:
        items = split(batch)
    except ValueError:
        return
    assert join(items) == batch


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (b"\x00\x00\x00\x05ab", "an item of a batch ends at 9, the batch at 6"),
        (b"\x00\x00", "an item of a batch ends at 4, the batch at 2"),
        (b"\xff\xff\xff\xffa", "an item of a batch ends at 4294967299, the batch at 5"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said(batch: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="an item of a batch ends") as caught:
        split(batch)
    assert str(caught.value) == message


def run(items: list[tuple[float, list[bytes]]], seconds: float) -> list[tuple[float, list[bytes]]]:
    """Feeds a batcher in virtual time; answers what it published when."""
    published: list[tuple[float, list[bytes]]] = []

    async def main() -> None:
        start = trio.current_time()
        batcher = Batcher(lambda batch: published.append((round(trio.current_time() - start, 3), split(batch))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(batcher.run)
            for at, group in items:
                await trio.sleep_until(start + at)
                for item in group:
                    assert batcher.add(item)
            await trio.sleep_until(start + seconds)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return published


def test_what_comes_within_50_ms_goes_together() -> None:
    assert run([(1.0, [b"a"]), (1.02, [b"b", b"c"]), (1.6, [b"d"])], 2.0) == [
        (1.05, [b"a", b"b", b"c"]),
        (1.65, [b"d"]),
    ]


def test_while_more_and_more_comes_it_goes_twice_a_second() -> None:
    items = [(1.0 + number / 100, [bytes((number,))]) for number in range(100)]
    published = run(items, 3.0)
    assert [at for at, _ in published] == [1.05, 1.55, 2.05]
    assert [item for _, batch in published for item in batch] == [item for _, group in items for item in group]


def test_a_full_message_waits_for_nothing() -> None:
    large = bytes(FLUSH_AT - 4)
    assert run([(1.0, [b"a"]), (1.06, [b"b"]), (1.15, [large])], 2.0) == [
        (1.05, [b"a"]),
        (1.15, [b"b"]),
        (1.2, [large]),
    ]


def test_a_flood_is_cut_into_messages_of_100_kilobytes_at_most_20_a_second() -> None:
    items = [number.to_bytes(4, "big") + bytes(996) for number in range(1000)]
    published = run([(0.0, items)], 3.0)
    assert [item for _, batch in published for item in batch] == items
    assert all(len(join(batch)) <= FLUSH_AT for _, batch in published)
    assert len(published) == 11
    # What is left at the end is no full message.
    assert [at for at, _ in published] == [*(round(0.05 * number, 3) for number in range(1, 11)), 1.0]


def test_a_large_item_goes_alone_and_a_larger_one_not_at_all() -> None:
    large = bytes(HARD_CAP - 4)
    assert [batch for _, batch in run([(0.0, [b"a", large, b"b"])], 1.0)] == [[b"a"], [large], [b"b"]]
    with pytest.raises(TooLarge) as caught:
        Batcher(lambda batch: None).add(large + b"x")
    assert str(caught.value) == "an item of 262141 bytes, 262140 are allowed"


def test_the_queue_is_bounded() -> None:
    batcher = Batcher(lambda batch: None)
    fits = MAX_WAITING // HARD_CAP
    assert [batcher.add(bytes(HARD_CAP - 4)) for _ in range(fits + 2)] == [True] * fits + [False, False]
    assert batcher.dropped == 2
