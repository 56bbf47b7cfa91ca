"""What a call or hook sees of the block in which it runs."""

from typing import Protocol

from runtime.header import DigestItem
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.events import FINALIZATION_PHASE, INITIALIZATION_PHASE, NO_TOPICS, Event, apply_phase
from runtime.overlay import Overlay
from runtime.primitives import BlockNumber, Hash


class DerivedView(Protocol):
    """Working memory that a pallet derives from the state of one block, held by the node beside the state.

    It is a function of that state and of nothing else, so it can be dropped and derived again at any time.
    """

    def branch(self) -> "DerivedView":
        """Return a copy-on-write view for a block on top of this one."""
        ...


class Context:
    """The block under execution: its state, its place in the chain, its events so far."""

    def __init__(self, overlay: Overlay, number: BlockNumber, parent_hash: Hash, view: DerivedView) -> None:
        """Start at the initialization phase."""
        self.state = overlay
        self.number = number
        self.parent_hash = parent_hash
        self.view = view
        self.counters: dict[str, int] = {}
        self.digest: list[DigestItem] = []
        self.charged = 0
        self._allowance = 0
        self._phase = INITIALIZATION_PHASE
        self._records: list[bytes] = []

    def enter_extrinsic(self, index: int, allowance: int) -> None:
        """Events from here on belong to extrinsic `index`, which may charge so much weight beyond its call's own."""
        self._phase = apply_phase(index)
        self.charged = 0
        self._allowance = allowance

    def charge(self, weight: int) -> None:
        """Count weight that a call cannot know from its arguments.

        Raises:
            InvalidTransaction: EXHAUSTS_RESOURCES, if the block has no room for it: the extrinsic waits for another.
        """
        self.charged += weight
        if self.charged > self._allowance:
            raise InvalidTransaction(InvalidReason.EXHAUSTS_RESOURCES)

    def enter_finalization(self) -> None:
        """Events from here on belong to the end of the block."""
        self._phase = FINALIZATION_PHASE

    def deposit(self, event: Event, *values: object) -> None:
        """Record an event."""
        self.deposit_encoded(event.encode(*values))

    def deposit_encoded(self, event: bytes) -> None:
        """Record an event that is encoded already, as `Event.encode` does it."""
        self._records.append(self._phase + event + NO_TOPICS)

    def checkpoint(self) -> tuple[int, dict[str, int]]:
        """Open a layer that `rollback` undoes: state, events and counters."""
        self.state.begin()
        return len(self._records), dict(self.counters)

    def rollback(self, checkpoint: tuple[int, dict[str, int]]) -> None:
        """Undo everything since `checkpoint`."""
        self.state.rollback()
        events, self.counters = checkpoint
        del self._records[events:]

    def commit(self) -> None:
        """Keep everything since the last checkpoint."""
        self.state.commit()

    @property
    def event_records(self) -> tuple[bytes, ...]:
        """Return the encoded event records so far, oldest first."""
        return tuple(self._records)
