"""When the collector looks for garbage in a node."""

import gc

import pytest
import trio
import trio.testing

from node.memory import collect_now_and_then

HOUR = 3_600


class Circle:
    """Garbage that only the collector finds."""

    count = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Circle.count += 1


def test_the_whole_heap_is_looked_through_once_an_hour_and_not_when_it_grows() -> None:
    before = gc.get_threshold()

    async def main() -> None:
        with trio.move_on_after(1.5 * HOUR):
            await collect_now_and_then()
        assert gc.get_threshold() == before

    async def watch() -> None:
        Circle.count = 0
        circles: list[Circle] | None = [Circle() for _ in range(10)]
        gc.collect()
        full = gc.get_stats()[2]["collections"]
        circles = None
        grown = [[number] for number in range(1_000_000)]
        assert (gc.get_stats()[2]["collections"], Circle.count) == (full, 0)
        await trio.sleep(1.2 * HOUR)
        assert Circle.count == 10
        assert (len(grown), circles) == (1_000_000, None)

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main)
            await trio.testing.wait_all_tasks_blocked()
            await watch()

    trio.run(both, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("generation", [0, 1])
def test_what_is_young_is_looked_through_all_the_time(generation: int) -> None:
    async def main() -> None:
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(collect_now_and_then)
                await trio.testing.wait_all_tasks_blocked()
                before = gc.get_stats()[generation]["collections"]
                kept = [[number] for number in range(100_000)]
                assert gc.get_stats()[generation]["collections"] > before
                assert len(kept) == 100_000
                nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
