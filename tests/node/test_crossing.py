"""Calls into the loop of another thread."""

import asyncio
import threading

import pytest

from node.crossing import Crossing


def test_many_calls_wake_the_loop_once_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        crossing, called, wakes = Crossing(loop), [], []
        wake = loop.call_soon_threadsafe

        def counted(function: object, *arguments: object) -> object:
            wakes.append(function)
            return wake(function, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)

        def from_afar() -> None:
            for number in range(1_000):
                crossing.call(called.append, number)
            crossing.call(done.set)

        # The loop is held up until all calls are there.
        thread = threading.Thread(target=from_afar)
        thread.start()
        thread.join()
        await asyncio.wait_for(done.wait(), 10)
        assert (called, len(wakes)) == (list(range(1_000)), 1)
        crossing.call(done.set)
        assert len(wakes) == 2

    asyncio.run(main())


def test_after_the_end_of_the_loop_nothing_happens() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    called: list[int] = []
    Crossing(loop).call(called.append, 1)
    assert called == []
