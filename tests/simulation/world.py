"""A world of nodes in virtual time: it starts them, strikes them down, and looks after every event whether all is well.

    def make_node(world: World, index: int) -> Node:          # anything with `async def run(self, network)`
        return ToyNode(world.disk(index).open(), world.clock(index))

    @pytest.mark.parametrize("seed", seeds(100))
    def test_all_agree(seed: int) -> None:
        world = World(seed, make_node, nodes=4, invariants=[no_two_disagree])
        world.run(60, random_faults(world.rng("faults"), 4, 60), at_end=[all_have_the_same])

A failing seed says how to run it alone: `MFCHAIN_SEEDS=17 python -m pytest "tests/..."`. More than the usual seeds:
`MFCHAIN_SEEDS=100:1100`.
"""

import os
import random
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Final, Protocol

import trio

from p2p.config import NetworkConfig
from p2p.network import Network, RequestKind
from tests.simulation import scheduler
from tests.simulation.disk import Disk
from tests.simulation.faults import Crash, Fault, Partition, Rollback, Skew, Weather
from tests.simulation.medium import Conditions, Host, Medium
from tests.simulation.network import SimulatedNetwork

EPOCH: Final = 1_700_000_000_000
"""Unix milliseconds at second 0."""
_TO_SHOW: Final = 40
_LAST_WORDS: Final = 60.0
"""Seconds that a node has to end when it is told to."""
_JUST_BEFORE: Final = 1e-3
"""Of a millisecond: a sleep until a slot begins must not end a rounding error before it."""


class Node(Protocol):
    """What a world runs."""

    async def run(self, network: Network) -> None:
        """Runs until cancelled, and runs the network."""


MakeNode = Callable[["World", int], Node]
Invariant = Callable[["World"], None]


class SimulationFailed(AssertionError):
    """An invariant does not hold, or a node failed; the message says when, after what, and how to see it again."""


def seeds(count: int, first: int = 0) -> Sequence[int]:
    """The seeds of a test: so many from the first one on, or those that MFCHAIN_SEEDS says: `17` or `100:1100`."""
    wanted = os.environ.get("MFCHAIN_SEEDS")
    if not wanted:
        return range(first, first + count)
    begin, colon, end = wanted.partition(":")
    return range(int(begin), int(end) if colon else int(begin) + 1)


class _Life:
    """A node from its start to its end."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network: Final = network
        self.scope: Final = trio.CancelScope()
        self.ended: Final = trio.Event()
        self.node: Node | None = None
        self.was_ended = False


class World:
    """Nodes, what lies between them, and what befalls them; all of it follows from the seed."""

    def __init__(
        self,
        seed: int,
        make_node: MakeNode,
        *,
        nodes: int,
        conditions: Conditions | None = None,
        kinds: Sequence[RequestKind] = (),
        config: NetworkConfig | None = None,
        invariants: Sequence[Invariant] = (),
        skew: float = 0.0,
        may_raise: bool = False,
    ) -> None:
        """Make the places; nothing runs yet.

        `config` has the limits of every node's network (else those of `kinds` and the defaults); clocks are off by up
        to `skew` seconds; an exception of a handler fails the simulation unless they `may_raise`.
        """
        self.seed: Final = seed
        self.trace: list[tuple[object, ...]] = []
        self.events = 0
        self._make_node = make_node
        self._invariants = list(invariants)
        self._may_raise = may_raise
        self._failure: BaseException | None = None
        self._failed_at = 0
        self._faults: Sequence[Fault] = ()
        self._nursery: trio.Nursery | None = None
        self._finished: Final = trio.Event()
        self._calm = conditions or Conditions()
        self._virtual = scheduler.Clock()
        self.medium: Final = Medium(
            self.rng("medium"),
            self._virtual,
            conditions=self._calm,
            kinds=kinds,
            config=config,
            start=EPOCH / 1000,
            on_event=self._on_event,
        )
        self._hosts: list[Host] = []
        self._disks: list[Disk] = []
        self._skews: list[int] = []
        self._lives: list[_Life | None] = []
        self._vanished: set[int] = set()
        self._skew_rng, self._skew = self.rng("skew"), skew
        for _ in range(nodes):
            self.add_place()

    # What nodes and tests use

    def rng(self, purpose: str) -> random.Random:
        """A source of randomness for a purpose, the same for the same seed."""
        return scheduler.rng_of(self.seed, purpose)

    def now(self) -> int:
        """The time in unix milliseconds."""
        return EPOCH + self._milliseconds()

    def clock(self, index: int) -> Callable[[], int]:
        """A node's clock, in unix milliseconds, wrong by its skew of the moment."""
        return lambda: self.now() + self._skews[index]

    def disk(self, index: int) -> Disk:
        """A node's disk, the same in all its lives."""
        return self._disks[index]

    def node(self, index: int) -> Node | None:
        """A node, if it lives."""
        life = self._lives[index]
        return life.node if life is not None else None

    def nodes(self) -> list[tuple[int, Node]]:
        """The nodes that live, with their places."""
        return [(index, life.node) for index, life in enumerate(self._lives) if life is not None and life.node]

    def network(self, index: int) -> SimulatedNetwork | None:
        """A living node's network."""
        life = self._lives[index]
        return life.network if life is not None else None

    def note(self, index: int, *what: object) -> None:
        """Puts something that a node did into the trace, and has the invariants looked at."""
        self._on_event("note", index, *what)

    def digest(self) -> str:
        """One number for all that has happened."""
        return blake2b(repr(self.trace).encode(), digest_size=16).hexdigest()

    # What befalls them

    def add_place(self) -> int:
        """A place for one more node, which somebody has to start; answers its index."""
        index = len(self._hosts)
        self._hosts.append(self.medium.add_host())
        self._disks.append(Disk(self.rng(f"disk {index}")))
        self._skews.append(round(self._skew_rng.uniform(-self._skew, self._skew) * 1000))
        self._lives.append(None)
        return index

    async def start(self, index: int) -> None:
        """Starts a node that does not live, as soon as its last life is over."""
        assert self._nursery is not None
        self._vanished.discard(index)
        while (old := self._lives[index]) is not None:
            if not old.was_ended:
                return
            await old.ended.wait()
        life = self._lives[index] = _Life(self.medium.attach(self._hosts[index]))
        self._on_event("start", index)
        self._nursery.start_soon(self._live, index, life)

    def crash(self, index: int, *, silently: bool = False) -> None:
        """Ends a node in whatever it does: nothing it still does has any effect."""
        if (life := self._lives[index]) is not None and not life.was_ended:
            life.was_ended = True
            self._disks[index].crash()
            life.network.leave(silently=silently)
            life.scope.cancel()
            self._on_event("crash", index)

    def vanish(self, index: int) -> None:
        """Ends a node like that, for as long as nothing but `start` is called for it."""
        self._vanished.add(index)
        self.crash(index)

    async def roll_back(self, index: int) -> None:
        """Ends a node like that, and puts the last copy of its disk in the place of what it has written since."""
        if (life := self._lives[index]) is not None:
            self.crash(index)
            await life.ended.wait()
        self._disks[index].restore()
        self._on_event("rollback", index)

    async def stop(self, index: int) -> None:
        """Ends a node in order."""
        if (life := self._lives[index]) is not None and not life.was_ended:
            life.was_ended = True
            life.scope.cancel()
            with trio.fail_after(_LAST_WORDS):
                await life.ended.wait()
            self._on_event("stop", index)

    def partition(self, groups: Sequence[Sequence[int]]) -> None:
        """Lets nothing through between groups; no groups: everything again."""
        self.medium.partition(groups)
        self._on_event("partition", str(groups))

    def heal(self) -> None:
        """Lets everything through."""
        self.partition(())

    def set_conditions(self, conditions: Conditions) -> None:
        """Changes how good the links are."""
        self.medium.conditions = conditions
        self._on_event("weather", str(conditions))

    def set_skew(self, index: int, seconds: float) -> None:
        """Sets a node's clock wrong."""
        self._skews[index] = round(seconds * 1000)
        self._on_event("skew", index, self._skews[index])

    # The run

    def run(
        self,
        seconds: float,
        faults: Sequence[Fault] = (),
        *,
        at_end: Sequence[Invariant] = (),
        story: Callable[["World"], Awaitable[None]] | None = None,
    ) -> None:
        """Starts all nodes and runs them so long in virtual time, while faults happen and a story is played.

        A story that has seen enough ends the run by `finish`.

        Raises: SimulationFailed.
        """
        self._faults = faults

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for index in range(len(self._hosts)):
                    await self.start(index)
                for fault in faults:
                    nursery.start_soon(self._strike, fault)
                if story is not None:
                    nursery.start_soon(self._play, story)
                with trio.move_on_after(seconds):
                    await self._finished.wait()
                self._check(at_end)
                for life in self._lives:
                    if life is not None:
                        life.was_ended = True
                nursery.cancel_scope.cancel()

        try:
            scheduler.run(self.seed, self._virtual, main)
        except Exception as error:
            self._fail(error)
        if self._failure is not None:
            raise SimulationFailed(self._report(self._failure)) from self._failure

    async def _live(self, index: int, life: _Life) -> None:
        problem: Exception | None = None
        try:
            with life.scope:
                life.node = self._make_node(self, index)
                await life.node.run(life.network)
                problem = RuntimeError("it returned")
        except Exception as error:
            problem = error
        finally:
            self._lives[index] = None
            self._disks[index].give_back()
            life.ended.set()
        if not life.was_ended:
            assert problem is not None
            self._fail(RuntimeError(f"node {index} ended by itself: {_text(problem)}"), problem)

    async def _play(self, story: Callable[["World"], Awaitable[None]]) -> None:
        try:
            await story(self)
        except Exception as error:
            self._fail(error)

    async def _strike(self, fault: Fault) -> None:
        await trio.sleep_until(fault.at)
        match fault.what:
            case Crash(node, down, silently, in_write):
                if in_write:
                    self._disks[node].crash_at(in_write, lambda: self.crash(node, silently=silently))
                else:
                    self.crash(node, silently=silently)
                await trio.sleep(down)
                # One that should have died in a write and has not written so often dies now.
                self.crash(node, silently=silently)
                await self._restart(node)
            case Partition(groups, span):
                self.partition(groups)
                await trio.sleep(span)
                self.heal()
            case Weather(conditions, span):
                self.set_conditions(conditions)
                await trio.sleep(span)
                self.set_conditions(self._calm)
            case Skew(node, by, span):
                usual = self._skews[node] / 1000
                self.set_skew(node, by)
                await trio.sleep(span)
                self.set_skew(node, usual)
            case Rollback(node, age, down):
                self._disks[node].back_up()
                await trio.sleep(age)
                await self.roll_back(node)
                await trio.sleep(down)
                await self._restart(node)

    async def _restart(self, index: int) -> None:
        if index not in self._vanished:
            await self.start(index)

    def finish(self) -> None:
        """Ends the run now, as if its time had passed."""
        self._finished.set()

    # Looking

    def _milliseconds(self) -> int:
        return int(self._virtual.current_time() * 1000 + _JUST_BEFORE)

    def _on_event(self, *event: object) -> None:
        if self._failure is not None:
            return
        self.events += 1
        self.trace.append((self._milliseconds(), *event))
        if event[0] == "caught" and not self._may_raise:
            network = self.network(int(str(event[1])))
            self._fail(
                RuntimeError(f"node {event[1]}: {event[2]}: {event[3]}"), network.errors[-1] if network else None
            )
        self._check(self._invariants)

    def _check(self, invariants: Sequence[Invariant]) -> None:
        # Caught here, since whoever did what has just happened may survive any exception.
        if self._failure is not None:
            return
        for invariant in invariants:
            try:
                invariant(self)
            except Exception as error:
                self._fail(error)

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if self._failure is None:
            self._failure, self._failed_at = error, self._milliseconds()
            error.__cause__ = error.__cause__ or cause
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()

    def _report(self, error: BaseException) -> str:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" (")[0]
        return "\n".join(
            [
                f"seed {self.seed} fails at {self._failed_at} ms: {_text(error)}",
                f'again: MFCHAIN_SEEDS={self.seed} python -m pytest "{test}"',
                "faults:",
                *(f"  {fault}" for fault in self._faults),
                "the last events (ms, what, which node, ...):",
                *(f"  {event}" for event in self.trace[-_TO_SHOW:]),
            ]
        )


def _text(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
