"""Finding peers: whom a node dials, and what connected peers tell one another of others."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2p import wire
from p2p.addresses import Address, AddressError, check_peer_id, parse_address
from p2p.faults import Faults
from p2p.network import Misbehaviour, PeerId
from p2p.peers import PeerBook

if TYPE_CHECKING:
    from p2p.guards.isolation import Report
    from p2p.links import Link, Links

_TICK: Final = 0.25


class Dialling(Protocol):
    """What the dial loop asks of the network."""

    def busy(self) -> Collection[PeerId]:
        """Peers that are connected or being dialled, and this node itself."""

    def outbound(self) -> int:
        """Connections that this node dialled or is dialling."""

    async def dial(self, peer: PeerId) -> None:
        """Dials and serves the connection until it ends; never raises an Exception."""


async def dial_forever(network: Dialling, book: PeerBook, out_peers: int) -> None:
    """Keeps up to `out_peers` outbound connections; several dials run at once, each peer has a back-off of its own."""
    async with trio.open_nursery() as nursery:
        while True:
            room = out_peers - network.outbound()
            if room > 0:
                busy = network.busy()
                chosen = [peer for peer in book.candidates() if peer not in busy][:room]
                for peer in chosen:
                    nursery.start_soon(network.dial, peer)
            await trio.sleep(_TICK)


class PeerFinder:
    """Dials the peers of the book, and exchanges addresses with those that are connected."""

    def __init__(
        self,
        local: PeerId,
        book: PeerBook,
        links: "Links",
        sessions: "Mapping[PeerId, Link]",
        *,
        faults: Faults,
        report: "Report",
    ) -> None:
        """`sessions` are those of the connected peers, as they are at any time."""
        self._local = local
        self._book = book
        self._links = links
        self._sessions = sessions
        self._faults = faults
        self._report = report
        self._dialling: set[PeerId] = set()

    # What the dial loop asks

    def busy(self) -> Collection[PeerId]:
        """Peers that need no dial."""
        return {*self._sessions, *self._dialling, self._local}

    def outbound(self) -> int:
        """Outbound connections, those being made included."""
        connected = {peer for peer, link in self._sessions.items() if link.outbound}
        return len(connected | self._dialling)

    async def dial(self, peer: PeerId) -> None:
        """Dials a peer at each of its addresses until one works, and serves the connection."""
        if peer in self._dialling:
            return
        self._dialling.add(peer)
        try:
            for text in self._book.addresses(peer):
                started = trio.current_time()
                if await self._links.dial(peer, parse_address(text)):
                    self._book.parted(peer, trio.current_time() - started)
                    return
                if peer in self._sessions:
                    return
            self._book.failed(peer)
        except AddressError as error:
            self._faults.caught("stored address", error, peer)
            self._book.failed(peer)
        finally:
            self._dialling.discard(peer)

    # Hearsay

    def found(self, peer: PeerId, address: Address) -> None:
        """Learns where a peer may be."""
        if peer != self._local and address.port:
            self._book.learn(peer, str(address))

    def known_to(self, link: "Link") -> wire.Peers:
        """What a peer is told of the others."""
        known = []
        for peer in self._sessions:
            addresses = [parse_address(text) for text in self._book.addresses(peer)[:1]]
            # An address of this machine is of use to nobody on another one.
            known += [
                (peer, str(one))
                for one in addresses
                if peer != link.peer and one.is_loopback <= link.tcp.remote.is_loopback
            ]
        return wire.Peers(tuple(known[: wire.MAX_PEERS]))

    def hear(self, link: "Link", frame: wire.Peers) -> None:
        """Learns what a peer tells of others."""
        if link.hearsay.charge(0) > 0:
            self._faults.noted("hearsay ignored")
            return
        for peer_text, address_text in frame.known:
            try:
                peer, address = check_peer_id(peer_text), parse_address(address_text)
            except AddressError as error:
                self._report(link.peer, Misbehaviour.BAD_MESSAGE, str(error))
                return
            if address.is_loopback <= link.tcp.remote.is_loopback and not address.is_wildcard:
                self.found(peer, address.without_peer())

    async def exchange_forever(self, pause: float) -> None:
        """Tells all connected peers of one another, now and then."""
        while True:
            await trio.sleep(pause)
            for link in tuple(self._sessions.values()):
                if link.session is not None:
                    link.session.send(self.known_to(link))
