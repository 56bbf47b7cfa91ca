"""Constants of the pallet on one chain."""

from dataclasses import dataclass, field
from typing import Final

from runtime.primitives import AccountId

PALLET: Final = "Producers"
INDEX: Final = 5

# Only a bound of the codec: 65,536 places with slots of two seconds are a round of a day and a half.
MAX_RING: Final = 1 << 16
MAX_QUEUE: Final = 1 << 12


class RuleError(ValueError):
    """A constant is out of range, or contradicts another; the message begins with its name."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one comes to take part in making blocks and history final, and how one ceases to.

    An epoch is a stretch of `epoch_slots` slots; a checkpoint is the first block of an epoch, if it has any. Work is
    the number of hashes that it takes on average. Voters are the business of the pallet Finality, which reads the
    same constants.
    """

    epoch_slots: int = 10
    missed_turns: int = 3
    """Turns that a member may miss one after the other until it loses its place."""
    leak_checkpoints: int = 1_080
    """Checkpoints without a sign of a voter after which it is no voter any more."""
    lapse_checkpoints: int = 540
    """Checkpoints without a sign of a voter after which its signs do not count, and others are to vote without it."""
    probation_epochs: int = 180
    """Epochs from joining to becoming a voter."""
    bar_epochs: int = 1_080
    """Epochs for which who has contradicted itself is barred."""
    return_epochs: int = 256
    """Epochs between two returns without work of a voter who has lost its place."""
    join_work: int = 72_000_000
    join_age: int = 256
    """Blocks after which the work for joining is stale."""
    join_share: int = 64
    """Members of the ring for each that may join in an epoch, beside one."""
    join_queue: int = 256
    """Accounts that may wait to join."""

    def __post_init__(self) -> None:
        """Refuse what would contradict itself."""
        for name, (low, high) in RULE_LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise RuleError(f"{name} must be from {low} to {high}, not {value}")
        if self.lapse_checkpoints >= self.leak_checkpoints:
            raise RuleError("lapse_checkpoints must be less than the checkpoints of leaking")
        if self.bar_epochs < self.leak_checkpoints:
            raise RuleError("bar_epochs must not be less than the checkpoints of leaking")

    def max_joins(self, members: int) -> int:
        """Return how many may join a ring of so many members in one epoch."""
        return 1 + members // self.join_share


_MAX: Final = 2**31 - 1
RULE_LIMITS: Final = {
    "epoch_slots": (1, 1_000),
    "missed_turns": (1, _MAX),
    "leak_checkpoints": (1, _MAX),
    "lapse_checkpoints": (1, _MAX),
    "probation_epochs": (0, _MAX),
    "bar_epochs": (1, _MAX),
    "return_epochs": (1, _MAX),
    "join_work": (1, 2**62),
    # The state knows the hashes of the last 4,096 blocks.
    "join_age": (1, 4_000),
    "join_share": (1, _MAX),
    "join_queue": (1, MAX_QUEUE),
}
"""The least and the greatest value of each constant."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a chain decides once: milliseconds a slot, who takes turns first, and the rules of taking part.

    Without any member the chain is not sealed by a ring, and the pallets Producers and Finality do nothing.
    """

    slot_duration: int
    ring: tuple[AccountId, ...] = ()
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        """Refuse what no chain can run on."""
        assert self.slot_duration > 0, "a slot takes time"
        assert len(set(self.ring)) == len(self.ring) <= MAX_RING, "each member has one place"

    @property
    def is_active(self) -> bool:
        """Tell whether the rules of the ring hold on this chain."""
        return bool(self.ring)


NO_RING: Final = Config(slot_duration=2_000)
"""A chain that is not sealed by a ring; its slots are of no consequence."""
