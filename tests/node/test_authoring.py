"""When blocks are made, in virtual time."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.authoring import LEARNING_PAUSE, Bell, seal_by_interval, seal_instantly
from node.spec_types import Sealing


class Producer:
    """Notes when it was asked for a block; every block takes one transaction and one step of learning."""

    def __init__(self, learning: int = 0, takes: float = 0.0) -> None:
        self.bell = Bell()
        self.ready = 0
        self.learning = learning
        self.takes = takes
        self.blocks: list[float] = []
        self.start = 0.0

    async def produce(self) -> None:
        self.blocks.append(round(trio.current_time() - self.start, 6))
        await trio.sleep(self.takes)
        if self.ready:
            self.ready -= 1
        elif self.learning:
            self.learning -= 1

    def submit(self, learning: int = 0) -> None:
        self.ready += 1
        self.learning += learning
        self.bell.ring()

    async def instantly(self) -> None:
        await seal_instantly(self.produce, self.bell, lambda: self.ready > 0, lambda: self.learning > 0)


def run(producer: Producer, seal: Callable[[], Awaitable[None]], events: list[tuple[float, int]], end: float) -> None:
    """Seal up to `end`; at each (time, learning) somebody submits a transaction."""

    async def main() -> None:
        producer.start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(seal)
            for time, learning in events:
                await trio.sleep_until(producer.start + time)
                await wait_all_tasks_blocked()
                producer.submit(learning)
            await trio.sleep_until(producer.start + end)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_transaction_is_sealed_at_once_and_nothing_else_is() -> None:
    producer = Producer()
    run(producer, producer.instantly, [(1.0, 0), (1.5, 0), (600.0, 0)], 3_600.0)
    assert producer.blocks == [1.0, 1.5, 600.0]


def test_what_arrives_while_a_block_is_made_is_sealed_next() -> None:
    producer = Producer(takes=0.3)
    run(producer, producer.instantly, [(1.0, 0), (1.1, 0), (1.2, 0)], 100.0)
    assert producer.blocks == [1.0, 1.3, 1.6]


def test_while_there_is_something_to_learn_empty_blocks_come_slowly() -> None:
    producer = Producer(learning=3)
    run(producer, producer.instantly, [], 100.0)
    assert producer.blocks == [round(count * LEARNING_PAUSE, 6) for count in (1, 2, 3)]


def test_the_bell_of_a_transaction_that_is_sealed_does_not_hurry_learning() -> None:
    producer = Producer()
    run(producer, producer.instantly, [(1.0, 2)], 100.0)
    assert producer.blocks == [1.0, 1.0 + LEARNING_PAUSE, 1.0 + 2 * LEARNING_PAUSE]


def test_a_transaction_is_sealed_at_once_between_empty_blocks() -> None:
    producer = Producer(learning=2)
    run(producer, producer.instantly, [(0.25, 0)], 100.0)
    assert producer.blocks == [0.2, 0.25, 0.45]


def test_a_ring_for_nothing_makes_no_block() -> None:
    producer = Producer()

    async def ring_twice() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(producer.instantly)
            for _ in range(2):
                await trio.sleep(1)
                producer.bell.ring()
            await trio.sleep(10)
            nursery.cancel_scope.cancel()

    trio.run(ring_twice, clock=MockClock(autojump_threshold=0))
    assert producer.blocks == []


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (0.0, [2.0, 4.0, 6.0, 8.0]),
        (1.5, [2.0, 4.0, 6.0, 8.0]),
        (3.0, [2.0, 5.0, 8.0]),
    ],
)
def test_the_interval_keeps_its_period_and_makes_up_for_nothing(takes: float, expected: list[float]) -> None:
    producer = Producer(takes=takes)
    run(producer, lambda: seal_by_interval(producer.produce, 2.0), [], 9.5)
    assert producer.blocks == expected


def test_after_one_slow_block_the_period_goes_on_from_it() -> None:
    producer = Producer()
    slow = [0.0, 2.5, 0.0, 0.0, 0.0]

    async def produce() -> None:
        producer.takes = slow[len(producer.blocks)]
        await producer.produce()

    run(producer, lambda: seal_by_interval(produce, 1.0), [], 6.9)
    assert producer.blocks == [1.0, 2.0, 4.5, 5.5, 6.5]


def test_a_bell_rung_twice_wakes_once() -> None:
    async def main() -> list[bool]:
        bell = Bell()
        bell.ring()
        bell.ring()
        woken = []
        for _ in range(2):
            with trio.move_on_after(1) as waiting:
                await bell.wait()
            woken.append(not waiting.cancelled_caught)
        return woken

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == [True, False]


def test_the_ways_of_sealing_have_the_names_of_the_chain_specification() -> None:
    assert [str(sealing) for sealing in Sealing] == ["instant", "interval", "ring"]
