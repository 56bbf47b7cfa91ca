import random
from typing import Any

import pytest
import trio

from tests.simulation import scheduler


def order(seed: int) -> list[int]:
    """In which order ten tasks get their turns, ten times."""
    turns: list[int] = []

    async def take_turns(number: int) -> None:
        for _ in range(10):
            turns.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(take_turns, number)

    scheduler.run(seed, scheduler.Clock(), main)
    return turns


def test_tasks_take_turns_in_the_same_order_for_the_same_seed() -> None:
    assert order(1) == order(1)
    assert order(1) != order(2)


def test_trio_is_left_as_it_was() -> None:
    run: Any = scheduler._run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()

    async def fail() -> None:
        raise ValueError("as it should")

    with pytest.raises(ValueError, match="as it should"):
        scheduler.run(1, scheduler.Clock(), fail)
    assert (run._ALLOW_DETERMINISTIC_SCHEDULING, run._r.getstate()) == before


def test_time_jumps_to_what_comes_next_of_deadlines_and_calls() -> None:
    clock = scheduler.Clock()
    log: list[tuple[float, str]] = []

    def call(name: str) -> None:
        log.append((clock.current_time(), name))
        if name == "first":
            clock.at(clock.current_time(), call, "at once")
            clock.at(5.00001, call, "rounded up")

    async def main() -> None:
        clock.at(3, call, "third")
        clock.at(1, call, "first")
        clock.at(1, call, "second")
        clock.at(1e6, call, "never")
        for at in (2, 4, 6):
            await trio.sleep_until(at)
            log.append((trio.current_time(), "task"))

    scheduler.run(1, clock, main)
    assert log == [
        (1, "first"), (1, "second"), (1, "at once"), (2, "task"), (3, "third"), (4, "task"), (5.001, "rounded up"),
        (6, "task"),
    ]  # fmt: skip


def test_a_call_wakes_tasks_and_starts_them() -> None:
    clock = scheduler.Clock()
    log: list[tuple[float, str]] = []

    async def started() -> None:
        log.append((trio.current_time(), "started"))

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            clock.at(7, event.set)
            clock.at(8, nursery.start_soon, started)
            await event.wait()
            log.append((trio.current_time(), "woken"))
            await trio.sleep(2)

    scheduler.run(1, clock, main)
    assert log == [(7, "woken"), (8, "started")]


def test_each_purpose_has_its_own_randomness() -> None:
    draws = {(seed, purpose): scheduler.rng_of(seed, purpose).random() for seed in (1, 2) for purpose in ("a", "b")}
    assert len(set(draws.values())) == 4
    assert scheduler.rng_of(1, "a").random() == draws[1, "a"]
    random.seed(0)
    assert scheduler.rng_of(1, "a").random() == draws[1, "a"]
