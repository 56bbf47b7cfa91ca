"""Constants of the pallet on one chain."""

from dataclasses import dataclass
from typing import Final

from runtime.primitives import AccountId

PALLET: Final = "Producers"
INDEX: Final = 5

# Only a bound of the codec: 65,536 places with slots of two seconds are a round of a day and a half.
MAX_RING: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Config:
    """What a chain decides once: milliseconds a slot, and who takes turns first.

    Without any member the chain is not sealed by a ring, and the pallet does nothing.
    """

    slot_duration: int
    ring: tuple[AccountId, ...] = ()

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
