"""What befalls the nodes of a simulation, and when: written down, or drawn from a seed."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tests.simulation.medium import Conditions

CALM: Final = 0.6
"""Random faults are over after this share of the time: what is left is for recovering."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A node dies in whatever it is doing, and starts again `down` seconds later."""

    node: int
    down: float
    silently: bool = False
    """Its peers hear nothing, as when a machine loses power; else they notice at once, as when a process dies."""
    in_write: int = 0
    """Dies in the so manieth write from now instead of at once."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Nothing gets from group to group; those not named are a group."""

    groups: tuple[tuple[int, ...], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Weather:
    """Worse (or better) links for a time."""

    conditions: Conditions
    seconds: float


@dataclass(frozen=True, slots=True)
class Skew:
    """A node's clock is wrong by so many seconds for a time."""

    node: int
    by: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rollback:
    """A node's disk is copied; `age` seconds later it dies, and starts from the copy `down` seconds after that."""

    node: int
    age: float
    down: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them, and when it begins, in seconds."""

    at: float
    what: Crash | Partition | Weather | Skew | Rollback


ALL_KINDS: Final = ("crash", "partition", "weather", "skew")


def random_faults(
    rng: random.Random,
    nodes: int,
    seconds: float,
    *,
    every: float = 20.0,
    longest: float = 20.0,
    largest_skew: float = 1.0,
    kinds: Collection[str] = ALL_KINDS,
    share: float = CALM,
) -> list[Fault]:
    """About one fault each `every` seconds, none longer than `longest`, all over after a `share` of the time."""
    faults = []
    end = seconds * share
    at = rng.uniform(0, every)
    while at < end:
        span = rng.uniform(0.5, min(longest, max(0.5, end - at)))
        what = _random_fault(rng, nodes, round(span, 3), largest_skew, tuple(kinds))
        faults.append(Fault(round(at, 3), what))
        at += rng.uniform(0, 2 * every)
    return faults


def _random_fault(
    rng: random.Random, nodes: int, span: float, largest_skew: float, kinds: tuple[str, ...]
) -> Crash | Partition | Weather | Skew:
    kind = rng.choice(kinds)
    if kind == "crash":
        in_write = rng.choice((0, 0, 1, 2, 5))
        return Crash(rng.randrange(nodes), span, silently=rng.random() < 0.5, in_write=in_write)
    if kind == "partition":
        order = rng.sample(range(nodes), nodes)
        return Partition((tuple(sorted(order[: rng.randint(1, max(1, nodes // 2))])),), span)
    if kind == "skew":
        return Skew(rng.randrange(nodes), round(rng.uniform(-largest_skew, largest_skew), 3), span)
    low = rng.choice((0.005, 0.1, 0.5))
    conditions = Conditions(
        latency=(low, low * rng.uniform(2, 5)),
        loss=rng.choice((0.0, 0.1, 0.5)),
        late=rng.choice((0.0, 0.1, 0.3)),
        lateness=rng.uniform(1, 10),
    )
    return Weather(conditions, span)
