"""When the collector looks for garbage in a node."""

import gc
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from node.memory import collect_on_growth, memory_in_use


class Circle:
    """Garbage that only the collector finds."""

    count = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Circle.count += 1


MEBIBYTE = 1 << 20


def run_beside_the_collector(
    watch: Callable[[], Awaitable[None]], memory: Callable[[], int], blocks: Callable[[], int] = lambda: 0
) -> None:
    """Watch a node's collector, in virtual time."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect_on_growth, memory, blocks)
            await trio.testing.wait_all_tasks_blocked()
            await watch()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("start", "grown"), [(0, 16 * MEBIBYTE), (400 * MEBIBYTE, 50 * MEBIBYTE)])
def test_the_whole_heap_is_looked_through_when_memory_has_grown(start: int, grown: int) -> None:
    before = gc.get_threshold()
    now = [start]

    async def watch() -> None:
        Circle.count = 0
        circles: list[Circle] | None = [Circle() for _ in range(10)]
        gc.collect()
        searches = gc.get_stats()[2]["collections"]
        circles = None
        many = [[number] for number in range(1_000_000)]
        now[0] = start + grown
        await trio.sleep(10)
        assert (gc.get_stats()[2]["collections"], Circle.count) == (searches, 0)
        now[0] += 1
        await trio.sleep(10)
        assert (gc.get_stats()[2]["collections"], Circle.count) == (searches + 1, 10)
        assert (len(many), circles) == (1_000_000, None)

    run_beside_the_collector(watch, lambda: now[0])
    assert gc.get_threshold() == before


def test_what_was_in_use_is_looked_through_again_when_memory_is_half_as_much_again() -> None:
    now = [100 * MEBIBYTE]

    async def watch() -> None:
        Circle.count = 0
        circles: list[Circle] | None = [Circle() for _ in range(10)]
        many = [[number] for number in range(100_000)]
        now[0] += 25 * MEBIBYTE
        await trio.sleep(2)
        # None of what was seen to be in use is among what the next look goes through.
        assert gc.get_freeze_count() > len(many)
        assert len(gc.get_objects()) < len(many)
        circles = None
        now[0] += 25 * MEBIBYTE
        await trio.sleep(2)
        assert (circles, Circle.count) == (None, 0)
        now[0] += 25 * MEBIBYTE
        await trio.sleep(2)
        assert Circle.count == 10

    try:
        run_beside_the_collector(watch, lambda: now[0])
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("start", "grown"), [(0, 200_000), (8_000_000, 1_000_000)])
def test_garbage_in_memory_that_was_freed_before_is_found_too(start: int, grown: int) -> None:
    blocks = [start]

    async def watch() -> None:
        Circle.count = 0
        circles: list[Circle] | None = [Circle() for _ in range(10)]
        gc.collect()
        circles = None
        blocks[0] = start + grown
        await trio.sleep(10)
        assert Circle.count == 0
        blocks[0] += 1
        await trio.sleep(10)
        assert (Circle.count, circles) == (10, None)

    run_beside_the_collector(watch, lambda: 100 * MEBIBYTE, lambda: blocks[0])


def test_memory_grows_with_what_is_held() -> None:
    before = memory_in_use()
    held = bytearray(before + 16 * MEBIBYTE)
    assert memory_in_use() > len(held) > before > MEBIBYTE


@pytest.mark.parametrize("generation", [0, 1])
def test_what_is_young_is_looked_through_all_the_time(generation: int) -> None:
    async def watch() -> None:
        before = gc.get_stats()[generation]["collections"]
        kept = [[number] for number in range(100_000)]
        assert gc.get_stats()[generation]["collections"] > before
        assert len(kept) == 100_000

    run_beside_the_collector(watch, memory_in_use)
