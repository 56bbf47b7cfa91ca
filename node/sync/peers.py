"""What the connected peers have said of their chains."""

from collections.abc import Iterator
from dataclasses import dataclass

from node.sync.messages import Handshake
from p2p.network import PeerId
from runtime.primitives import BlockRef


@dataclass(slots=True)
class PeerState:
    """One peer: its best block as far as we know, and until when it is of no use for catching up (trio's clock)."""

    best: BlockRef
    finalized: BlockRef
    useless_until: float = float("-inf")


class PeerStates:
    """The states of the connected peers, in the order in which they came."""

    def __init__(self) -> None:
        """Start alone."""
        self._states: dict[PeerId, PeerState] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._states)

    def __iter__(self) -> Iterator[tuple[PeerId, PeerState]]:
        """Walk them."""
        return iter(tuple(self._states.items()))

    def add(self, peer: PeerId, handshake: Handshake) -> None:
        """A peer has introduced itself."""
        self._states[peer] = PeerState(handshake.best, handshake.finalized)

    def remove(self, peer: PeerId) -> None:
        """A peer has gone."""
        self._states.pop(peer, None)

    def find(self, peer: PeerId) -> PeerState | None:
        """Return what is known of a peer, if it is connected."""
        return self._states.get(peer)

    def has_block(self, peer: PeerId, block: BlockRef) -> None:
        """A peer has shown that it has a block, and that it was among its best ones a moment ago."""
        state = self._states.get(peer)
        if state is not None:
            state.best = block

    @property
    def highest(self) -> int:
        """Return the height of the highest block that a peer has told of, 0 without peers."""
        return max((state.best.number for state in self._states.values()), default=0)
