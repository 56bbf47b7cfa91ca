"""One question for many who ask, between two real event loops."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from node.shared_question import SharedQuestion


def between(scenario: Callable[[trio.lowlevel.TrioToken], Awaitable[Any]]) -> Any:
    """Run a scenario in an asyncio loop beside a trio loop in another thread."""
    tokens: list[trio.lowlevel.TrioToken] = []
    begun = threading.Event()
    events: list[trio.Event] = []

    async def main() -> None:
        events.append(trio.Event())
        tokens.append(trio.lowlevel.current_trio_token())
        begun.set()
        await events[0].wait()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert begun.wait(30)

    async def run() -> Any:
        async with asyncio.timeout(30):
            return await scenario(tokens[0])

    try:
        return asyncio.run(run())
    finally:
        tokens[0].run_sync_soon(events[0].set)
        thread.join(30)


def test_whoever_asks_while_it_is_asked_shares_the_next_answer() -> None:
    gate, began = threading.Event(), threading.Semaphore(0)
    answers = iter(range(1_000))

    def question() -> int:
        began.release()
        gate.wait(30)
        return next(answers)

    async def scenario(token: trio.lowlevel.TrioToken) -> None:
        shared = SharedQuestion(token.run_sync_soon, question)
        first = shared.ask()
        assert await asyncio.to_thread(began.acquire, timeout=30)
        # What the first is told may be older than these have a right to: they are told something newer, all the same.
        later = [shared.ask() for _ in range(500)]
        gate.set()
        assert await first == 0
        assert await asyncio.gather(*later) == [1] * 500
        assert await shared.ask() == 2

    between(scenario)


def test_who_has_given_up_harms_no_other() -> None:
    async def scenario(token: trio.lowlevel.TrioToken) -> None:
        shared = SharedQuestion(token.run_sync_soon, lambda: 7)
        first, second = asyncio.ensure_future(shared.ask()), asyncio.ensure_future(shared.ask())
        first.cancel()
        assert await second == 7
        assert await shared.ask() == 7

    between(scenario)


def test_a_loop_that_has_ended_lets_go() -> None:
    async def stopped() -> bool:
        async def main() -> trio.lowlevel.TrioToken:
            return trio.lowlevel.current_trio_token()

        token = await asyncio.to_thread(trio.run, main)
        shared = SharedQuestion(token.run_sync_soon, lambda: 7)
        try:
            async with asyncio.timeout(30):
                await shared.ask()
        except asyncio.CancelledError:
            return True
        return False

    assert asyncio.run(stopped())
