"""What a seed has happen: who takes part, who lies, who comes and goes, and what befalls everybody.

At every moment: no two nodes hold different blocks for final, nobody goes back, no honest key contradicts itself, equal
heads have equal states. Within two epochs of the last fault all heads agree, within six a block is final that was made
since, and then a run is over: nothing that was final for anybody may be missing, and states and models are whole.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import trio

from node.sync.messages import KINDS
from pallets.finality.storage import JUSTIFIED
from pallets.finality.voters import current_voters
from pallets.producers.config import Rules
from tests.simulation.faults import Fault, Partition, Rollback, random_faults
from tests.simulation.invariants import (
    History,
    Signatures,
    States,
    heads_agree,
)
from tests.simulation.members import LIARS, Member
from tests.simulation.nodes import all_on_one_chain, honest, ratings_now_and_then, spec_of
from tests.simulation.scheduler import rng_of
from tests.simulation.world import Invariant, World

RULES: Final = Rules(
    epoch_slots=3,
    leak_checkpoints=14,
    lapse_checkpoints=10,
    probation_epochs=1,
    bar_epochs=14,
    return_epochs=3,
    join_work=64,
    join_share=2,
)
EPOCH_SECONDS: Final = RULES.epoch_slots * 2.0
RECOVERY: Final = 6
"""Epochs from the end of all faults until something is final that was made since."""


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something, in seconds from the start: `join`, `leave`, `appear`, or `vanish` for good."""

    at: float
    node: int
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides beside what the network does."""

    kind: str
    founders: int
    newcomers: int = 0
    liars: tuple[str, ...] = ()
    """What the last founders are; evil twins need a node more."""
    has_twin: bool = False
    """Whether one node more runs with the last founder's key, honestly."""
    acts: tuple[Act, ...] = ()
    faults: tuple[Fault, ...] = ()
    trouble: float = 30.0
    """Seconds until all faults are over."""
    is_rated: bool = False

    @property
    def nodes(self) -> int:
        return self.founders + self.newcomers + self.has_twin + self.liars.count("evil twins")


# Seeds take these in turn: mostly small rings, which are quick.


def _faults(rng: random.Random) -> Plan:
    return Plan("faults", rng.choice((2, 3, 3, 4, 4, 5)), is_rated=rng.random() < 0.5)


_LIES: Final = ("double author", "mute", "silent", "withholder", "evil twins")


def _liar(rng: random.Random) -> Plan:
    kinds = _LIES
    if rng.random() < 0.1:
        return Plan("liars", 7, liars=(rng.choice(kinds[:-1]), rng.choice(kinds)), trouble=30.0)
    return Plan("liar", 4, liars=(rng.choice(kinds),))


def _rollback(rng: random.Random) -> Plan:
    at, age, down = rng.uniform(2, 14), rng.uniform(2, 12), rng.uniform(0.5, 4)
    return Plan("rollback", 4, faults=(Fault(round(at, 3), Rollback(3, round(age, 3), round(down, 3))),))


def _twin(rng: random.Random) -> Plan:
    """Not while nothing is justified, when a key without a record is taken for a new one: see `Play._appear`."""
    return Plan("twin", 4, has_twin=True, acts=(Act(max(16.0, rng.uniform(0, 26)), 4, "appear"),))


def _churn(rng: random.Random) -> Plan:
    founders, newcomers = rng.choice(((2, 2), (3, 2), (1, 3), (4, 1)))
    places = range(founders, founders + newcomers)
    joins = [Act(rng.uniform(4, 20), node, "join") for node in places]
    leaves = [Act(rng.uniform(14, 30), node, "leave") for node in range(founders + newcomers - 1) if rng.random() < 0.4]
    return Plan("churn", founders, newcomers, acts=(*joins, *leaves))


def _exodus(rng: random.Random) -> Plan:
    founders, newcomers = rng.choice(((1, 2), (2, 2), (2, 1)))
    joins = [Act(rng.uniform(4, 8), node, "join") for node in range(founders, founders + newcomers)]
    leaves = [Act(rng.uniform(46, 54), node, "leave") for node in range(founders)]
    vanishing = [Act(leave.at + 5 * EPOCH_SECONDS, leave.node, "vanish") for leave in leaves]
    return Plan("exodus", founders, newcomers, acts=(*joins, *leaves, *vanishing), trouble=54 + 5 * EPOCH_SECONDS)


def _gone(rng: random.Random) -> Plan:
    """One of four is gone for good: the others go on, and once the leak has passed they do not wait for it."""
    at = rng.uniform(4, 30)
    return Plan("gone", 4, acts=(Act(at, 3, "vanish"),), trouble=at + (RULES.leak_checkpoints + 2) * EPOCH_SECONDS)


def _open(rng: random.Random) -> Plan:
    """All producers are gone, for good or long enough for somebody else to go on."""
    founders, newcomers = rng.choice((1, 2)), rng.choice((1, 2))
    at = rng.uniform(10, 24)
    acts = [Act(at + rng.uniform(0, 4), node, "vanish") for node in range(founders)]
    opens = at + (3 * founders + 10 + 4) * 2.0
    if rng.random() < 0.5:
        acts += [Act(opens + rng.uniform(0, 10), node, "appear") for node in range(founders)]
        return Plan("open", founders, newcomers, acts=tuple(acts), trouble=opens + 20)
    trouble = opens + (RULES.leak_checkpoints + 3) * EPOCH_SECONDS
    return Plan("open", founders, newcomers, acts=tuple(acts), trouble=trouble)


_TURNS: Final[tuple[Callable[[random.Random], Plan], ...]] = (
    _faults, _liar, _rollback, _churn, _faults, _liar, _twin, _churn, _faults, _liar,
    _rollback, _exodus, _faults, _liar, _twin, _churn, _faults, _liar, _gone, _open,
)  # fmt: skip


def plan_of(seed: int) -> Plan:
    """Draw what a seed has happen."""
    rng = rng_of(seed, "plan")
    plan = _TURNS[seed % len(_TURNS)](rng)
    calm = plan.kind in ("exodus", "gone", "open")
    spared = {fault.what.node for fault in plan.faults if isinstance(fault.what, Rollback)}
    kinds = ("partition", "weather", "skew") if spared else ("crash", "partition", "weather", "skew")
    faults = random_faults(
        rng, plan.nodes, plan.trouble, every=12.0 if calm else 6.0, longest=14.0, kinds=kinds, share=1.0
    )
    if calm:
        # Whoever has to be there for others to be replaced stays within reach.
        faults = [fault for fault in faults if fault.at < 30.0 or rng.random() < 0.2]
    if plan.kind == "twin":
        # While the first machine alone is cut off, neither hears of the other, and both make blocks when it is back.
        faults = [fault for fault in faults if not _cuts_off(fault, plan.founders - 1)]
    if plan.kind == "open":
        # Those who vanish take with them what only they know: whoever goes on has to have heard of it before.
        faults = [fault for fault in faults if fault.at > max(act.at for act in plan.acts if act.what == "vanish")]
    return replace(plan, faults=(*plan.faults, *faults))


def _cuts_off(fault: Fault, node: int) -> bool:
    """Tell whether a fault takes a node away from all others."""
    return isinstance(fault.what, Partition) and fault.what.groups == ((node,),)


@dataclass
class Play:
    """A plan in a world, with the invariants that hold in it."""

    seed: int
    rules: Rules = RULES
    plan: Plan = field(init=False)
    history: History = field(default_factory=History)
    signatures: Signatures = field(default_factory=Signatures)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.plan = plan_of(self.seed)
        spec = replace(spec_of(self.plan.founders), rules=self.rules)
        self._makers = list(self._members())
        self.world = World(
            self.seed,
            lambda world, index: self._makers[index](world, index, spec),
            nodes=self.plan.nodes,
            kinds=KINDS,
            invariants=[self.history.check, self.signatures.check, States().check],
            skew=0.2,
        )

    def _members(self) -> "list[Callable[..., Member]]":
        plan, keeps_rules = self.plan, partial(Member, signatures=self.signatures)
        founders = plan.founders - len(plan.liars)
        makers: list[Callable[..., Member]] = [keeps_rules] * founders + [LIARS[kind] for kind in plan.liars]
        makers += [keeps_rules] * plan.newcomers
        if plan.has_twin:
            makers.append(partial(keeps_rules, number=plan.founders - 1))
        for place, kind in enumerate(plan.liars, founders):
            if kind == "evil twins":
                makers.append(partial(LIARS[kind], number=place))
        return makers

    def run(self) -> None:
        """Raises SimulationFailed."""
        under_way = 3 if self.plan.liars else 2
        at_end: list[Invariant] = [partial(all_on_one_chain, under_way=under_way), self.history.is_kept]
        self.world.run(self.plan.trouble + 1_000, self.plan.faults, story=self._story, at_end=at_end)

    @property
    def _patience(self) -> int:
        """Epochs until finality has gone on; one who waits to hear of its own key may be needed, until it is left."""
        waits = self.plan.kind in ("rollback", "twin")
        return RECOVERY + (RULES.leak_checkpoints if waits else 0)

    async def _story(self, world: World) -> None:
        async with trio.open_nursery() as nursery:
            for act in self.plan.acts:
                if act.what == "appear" and self.plan.has_twin:
                    world.vanish(act.node)
                nursery.start_soon(self._do, world, act)
            if self.plan.is_rated:
                nursery.start_soon(ratings_now_and_then, world, self.plan.trouble, 4.0)
            await trio.sleep(self.plan.trouble)
            self._healed_at = max(node.best.number for node in honest(world))
            await self._until(world, heads_agree, 2)
            await self._until(world, self._has_gone_on, self._patience)
            world.finish()

    async def _until(self, world: World, holds: Invariant, epochs: int) -> None:
        """Wait for a moment at which something holds; raises AssertionError if there is none for so many epochs."""
        deadline = trio.current_time() + epochs * EPOCH_SECONDS
        while trio.current_time() < deadline:
            with suppress(AssertionError):
                holds(world)
                return
            await trio.sleep(1.0)
        holds(world)

    def _has_gone_on(self, world: World) -> None:
        """A block is final for everybody that was made after the last fault."""
        for node in honest(world):
            final = node.chain.snapshot.finalized.number
            assert final > self._healed_at, f"node {node.index}: block {final} is final, {self._healed_at} were there"

    async def _do(self, world: World, act: Act) -> None:
        await trio.sleep(act.at)
        match act.what:
            case "appear":
                await self._appear(world, act.node)
            case "vanish":
                if not self._is_needed(world, act.node):
                    world.vanish(act.node)
            case "join":
                # Anything may come between.
                for _ in range(3):
                    node = world.node(act.node)
                    if isinstance(node, Member) and hasattr(node, "node") and not node.is_in_ring:
                        node.join()
                    await trio.sleep(1.5 * EPOCH_SECONDS)
            case "leave":
                node = world.node(act.node)
                if isinstance(node, Member) and hasattr(node, "node") and node.is_in_ring:
                    node.leave_ring()

    async def _appear(self, world: World, index: int) -> None:
        """Start a node; a twin once something is justified for everybody, if that is soon enough."""
        while self.plan.has_twin and not _is_under_way(world):
            await trio.sleep(1.0)
            if trio.current_time() > self.plan.trouble:
                return
        await world.start(index)

    def _is_needed(self, world: World, index: int) -> bool:
        """Tell whether somebody who has left should stay on for its vote."""
        node = world.node(index)
        if self.plan.kind != "exodus" or not isinstance(node, Member):
            return False
        state = node.chain.snapshot.state
        return node.is_in_ring or node.key().public in current_voters(state).members


def _is_under_way(world: World) -> bool:
    """Tell whether a checkpoint other than block 0 is justified for everybody."""
    justified = [JUSTIFIED.find(node.chain.snapshot.state) for node in honest(world)]
    return bool(justified) and all(checkpoint is not None and checkpoint.number > 0 for checkpoint in justified)
