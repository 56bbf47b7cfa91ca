"""Transactions that come from many threads into one loop."""

import threading
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from node.inbox import CAPACITY, Inbox, InboxFull, Submission
from runtime.primitives import Hash


def ignore(_outcome: Hash | Exception) -> None:
    """Nobody waits."""


def submission(number: int) -> Submission:
    return Submission(number.to_bytes(4, "little"), ignore)


def in_trio(main: Callable[[Inbox], Awaitable[None]]) -> None:
    async def run() -> None:
        with trio.fail_after(60):
            await main(Inbox(trio.lowlevel.current_trio_token()))

    trio.run(run)


def test_many_threads_hand_in_and_nothing_is_lost() -> None:
    threads, each = 8, 500

    def hand_in(inbox: Inbox, first: int) -> None:
        for number in range(first, first + each):
            inbox.put(submission(number))

    async def main(inbox: Inbox) -> None:
        workers = [threading.Thread(target=hand_in, args=(inbox, index * each)) for index in range(threads)]
        for worker in workers:
            worker.start()
        taken: list[int] = []
        while len(taken) < threads * each:
            batch = await inbox.take(37)
            assert 1 <= len(batch) <= 37
            taken += [int.from_bytes(found.raw, "little") for found in batch]
        for worker in workers:
            worker.join()
        assert sorted(taken) == list(range(threads * each))
        for index in range(threads):
            ours = [number for number in taken if number // each == index]
            assert ours == sorted(ours), "each thread's stay in their order"

    in_trio(main)


def test_what_is_more_than_the_bound_is_refused_until_something_is_taken() -> None:
    async def main(inbox: Inbox) -> None:
        for number in range(CAPACITY):
            inbox.put(submission(number))
        with pytest.raises(InboxFull):
            inbox.put(submission(CAPACITY))
        assert [len(await inbox.take(10)), len(await inbox.take(CAPACITY))] == [10, CAPACITY - 10]
        inbox.put(submission(7))
        assert (await inbox.take(5))[0].raw == submission(7).raw

    in_trio(main)


def test_who_takes_waits_for_the_next_one_time_after_time() -> None:
    async def main() -> None:
        inbox = Inbox(trio.lowlevel.current_trio_token())
        taken: list[tuple[float, list[bytes]]] = []

        async def take() -> None:
            while True:
                batch = await inbox.take(2)
                taken.append((trio.current_time() - start, [found.raw for found in batch]))

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            for second in (1, 2):
                await trio.sleep_until(start + second)
                for number in range(3):
                    await trio.to_thread.run_sync(inbox.put, submission(number))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert [raw for _, batch in taken for raw in batch] == 2 * [submission(number).raw for number in range(3)]
        assert taken[0][0] >= 1

    trio.run(main, clock=MockClock(autojump_threshold=0.01))


def test_one_wake_up_serves_many() -> None:
    class CountingToken:
        def __init__(self) -> None:
            self.token = trio.lowlevel.current_trio_token()
            self.calls = 0

        def run_sync_soon(self, function: Callable[[], object]) -> None:
            self.calls += 1
            self.token.run_sync_soon(function)

    async def main() -> None:
        token = CountingToken()
        inbox = Inbox(token)  # type: ignore[arg-type]
        for number in range(100):
            inbox.put(submission(number))
        assert token.calls == 1
        assert len(await inbox.take(1_000)) == 100
        with trio.move_on_after(0):
            await inbox.take(1)
        inbox.put(submission(0))
        inbox.put(submission(1))
        assert token.calls == 2
        assert len(await inbox.take(1_000)) == 2

    trio.run(main)


def test_questions_run_in_the_loops_thread() -> None:
    async def main(inbox: Inbox) -> None:
        asked, here = trio.Event(), threading.get_ident()
        threads = []

        def question() -> None:
            threads.append(threading.get_ident())
            asked.set()

        await trio.to_thread.run_sync(inbox.ask, question)
        await asked.wait()
        assert threads == [here]

    in_trio(main)
