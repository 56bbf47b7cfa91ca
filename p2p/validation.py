"""Verdicts on gossip that take their time: each message once, so many of a peer at once, each within a deadline."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from p2p.faults import Faults
from p2p.network import PeerId, Verdict

Deliver = Callable[[str, bytes, PeerId], Awaitable[Verdict]]
"""Hands a message on a topic, from the peer that passed it on, to the node. Raises nothing."""


class Validation:
    """The messages of which the node's verdict is awaited."""

    def __init__(self, deliver: Deliver, limit: int, deadline: float, faults: Faults) -> None:
        """Await at most `limit` verdicts a peer, each for `deadline` seconds."""
        self._deliver = deliver
        self._limit: Final = limit
        self._deadline: Final = deadline
        self._faults = faults
        self._in_flight: dict[bytes, set[PeerId]] = {}
        self._places: dict[PeerId, trio.CapacityLimiter] = {}

    def __contains__(self, message_id: bytes) -> bool:
        return message_id in self._in_flight

    def brought(self, message_id: bytes, peer: PeerId) -> bool:
        """A peer has brought a message: whether its verdict is awaited. If so, the peer need not be sent it."""
        holders = self._in_flight.get(message_id)
        if holders is None:
            return False
        holders.add(peer)
        return True

    def under_way(self, peer: PeerId) -> int:
        """How many messages of a peer have a place."""
        places = self._places.get(peer)
        return places.borrowed_tokens if places is not None else 0

    async def take_place(self, peer: PeerId) -> Callable[[], None]:
        """Waits until the peer has a place for one more message; answers how to give it back."""
        owner = object()
        places = self._places.setdefault(peer, trio.CapacityLimiter(self._limit))
        await places.acquire_on_behalf_of(owner)

        def leave() -> None:
            places.release_on_behalf_of(owner)
            # Nothing of a peer without messages stays behind.
            if (
                not places.borrowed_tokens
                and not places.statistics().tasks_waiting
                and self._places.get(peer) is places
            ):
                del self._places[peer]

        return leave

    @contextmanager
    def in_flight(self, message_id: bytes, peer: PeerId) -> Iterator[Collection[PeerId]]:
        """While the verdict is awaited, others who bring the message are not listened to; gives all who have."""
        holders = self._in_flight[message_id] = {peer}
        try:
            yield holders
        finally:
            del self._in_flight[message_id]

    async def verdict(self, topic: str, payload: bytes, peer: PeerId) -> Verdict:
        """The node's verdict; `IGNORE` if it does not come in time."""
        verdict = Verdict.IGNORE
        with trio.move_on_after(self._deadline) as scope:
            verdict = await self._deliver(topic, payload, peer)
        if scope.cancelled_caught:
            self._faults.noted("gossip verdict too late")
        return verdict
