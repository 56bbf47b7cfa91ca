"""What the connected peers have said of their chains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.sync.messages import Handshake
from p2p.network import PeerId
from runtime.primitives import BlockRef

_USELESS: Final = 10.0
"""Seconds after a first failure; each further one doubles them."""
_MOST_USELESS: Final = 600.0


def pause_after(failures: int, first: float, most: float) -> float:
    """Return the seconds after which a peer is asked again that has failed before so many times already."""
    return min(most, first * 2.0 ** min(failures, 16))


@dataclass(slots=True)
class PeerState:
    """One peer: the highest block that it has shown and the latest one, and how catching up with it went.

    A peer that has switched to another branch may be at a lower block than before.

    `asked` counts up from attempt to attempt with any peer. It begins where the count is when a peer comes, so who has
    come last is asked last. Until `useless_until`, by trio's clock, there is no other attempt.
    """

    best: BlockRef
    latest: BlockRef
    finalized: BlockRef
    asked: int = 0
    failures: int = 0
    useless_until: float = float("-inf")

    def fail(self, now: float) -> None:
        """Note that an attempt has led nowhere."""
        self.useless_until = now + pause_after(self.failures, _USELESS, _MOST_USELESS)
        self.failures += 1


class PeerStates:
    """The states of the connected peers, in the order in which they came; any thread may look."""

    def __init__(self) -> None:
        """Start alone."""
        self._states: dict[PeerId, PeerState] = {}
        self.attempts = 0
        """How often anybody was caught up with."""

    def __len__(self) -> int:
        """Count them."""
        return len(self._states)

    def __iter__(self) -> Iterator[tuple[PeerId, PeerState]]:
        """Walk them."""
        return iter(tuple(self._states.items()))

    def add(self, peer: PeerId, handshake: Handshake) -> None:
        """A peer has introduced itself."""
        self._states[peer] = PeerState(handshake.best, handshake.best, handshake.finalized, self.attempts)

    def remove(self, peer: PeerId) -> None:
        """A peer has gone."""
        self._states.pop(peer, None)

    def find(self, peer: PeerId) -> PeerState | None:
        """Return what is known of a peer, if it is connected."""
        return self._states.get(peer)

    def is_asked(self, state: PeerState) -> None:
        """An attempt with a peer begins; whoever is here comes before it next time."""
        self.attempts += 1
        state.asked = self.attempts

    def has_block(self, peer: PeerId, block: BlockRef) -> None:
        """A peer has shown that it has a block, and that it was among its best ones a moment ago."""
        state = self._states.get(peer)
        if state is not None:
            state.latest = block
            if block.number > state.best.number:
                state.best = block

    @property
    def highest(self) -> int:
        """Return the height of the highest block that a peer has told of, 0 without peers."""
        return max((state.best.number for state in tuple(self._states.values())), default=0)
