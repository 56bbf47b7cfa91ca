import threading
from collections.abc import Callable

import pytest
import trio

from node.executor import Executor, InlineExecutor, ThreadExecutor


def add(first: int, second: int) -> int:
    return first + second


def fail() -> None:
    raise ValueError("as it should")


@pytest.mark.parametrize("make", [ThreadExecutor, InlineExecutor])
def test_results_and_errors_come_back(make: Callable[[], Executor]) -> None:
    async def main() -> None:
        executor = make()
        assert await executor.on_chain(add, 1, 2) == 3
        assert await executor.aside(add, 3, 4) == 7
        with pytest.raises(ValueError, match=r"^as it should$"):
            await executor.on_chain(fail)
        with pytest.raises(ValueError, match=r"^as it should$"):
            await executor.aside(fail)

    trio.run(main)


def test_inline_work_stays_in_the_thread_of_the_loop() -> None:
    async def main() -> None:
        executor = InlineExecutor()
        here = threading.get_ident()
        assert await executor.on_chain(threading.get_ident) == here
        assert await executor.aside(threading.get_ident) == here

    trio.run(main)


def test_the_chain_does_one_thing_at_a_time_in_the_order_of_the_calls() -> None:
    log: list[str] = []
    inside = threading.Lock()

    def work(name: str) -> None:
        assert inside.acquire(blocking=False), "two at once"
        log.append(name)
        inside.release()

    async def main() -> None:
        executor = ThreadExecutor()
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(executor.on_chain, work, str(number))
                    await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    assert log == [str(number) for number in range(20)]


def test_inline_work_for_the_chain_is_done_in_the_order_of_the_calls() -> None:
    async def main() -> list[int]:
        executor = InlineExecutor()
        log: list[int] = []
        calls = iter(range(20))

        async def call() -> None:
            number = next(calls)
            await executor.on_chain(log.append, number)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
        return log

    # trio shuffles the tasks that can run: by chance alone this would come out right now and then.
    for _ in range(10):
        assert trio.run(main) == list(range(20))


def test_work_aside_runs_while_the_chain_is_busy() -> None:
    async def main() -> None:
        executor = ThreadExecutor(aside=2)
        release = threading.Event()
        both = threading.Barrier(2, timeout=60)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.on_chain, release.wait, 60)
                nursery.start_soon(executor.aside, both.wait)
                await executor.aside(both.wait)
                release.set()

    trio.run(main)


def test_time_passes_for_threads_and_stands_still_in_line() -> None:
    for executor, moves in ((ThreadExecutor(), True), (InlineExecutor(), False)):
        before = executor.clock()
        while moves and executor.clock() == before:
            pass
        assert (executor.clock() > before) == moves
