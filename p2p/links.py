"""Connections from the socket to the session: accepted or dialled, encrypted, multiplexed, and closed for certain."""

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import libp2p
import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream, ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from p2p import tcp
from p2p.addresses import Address
from p2p.admission import Admission
from p2p.budget import Budget, Budgets
from p2p.config import NetworkConfig, Rate
from p2p.faults import Faults
from p2p.guards.connections import GuardedSwarm, guard_streams
from p2p.guards.isolation import Report
from p2p.muxer import GuardedMuxer, GuardedYamux
from p2p.network import PeerId
from p2p.requests import Session

logger = logging.getLogger(__name__)


def is_not_of_libp2p(record: logging.LogRecord) -> bool:
    """Tell whether a record comes from elsewhere than libp2p, whose module of connections logs as the root logger."""
    return not record.pathname.startswith(_LIBP2P)


_LIBP2P: Final = str(Path(libp2p.__file__).parent)

if "LIBP2P_DEBUG" not in os.environ:
    # It logs a warning for whatever a peer does wrong, so a peer could fill a disk; what matters is counted here.
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(is_not_of_libp2p)

_CLOSE_SECONDS: Final = 1.0
_HEARSAY: Final = Rate(messages=0.2, size=1e9, burst=50)


@dataclass(eq=False, slots=True)
class Link:
    """One connection to one peer."""

    peer: PeerId
    tcp: tcp.TcpStream
    muxed: IMuxedConn
    outbound: bool
    dialled: Address | None = None
    session: Session | None = None
    has_session: trio.Event = field(default_factory=trio.Event)
    admitted_at: float | None = None
    """When the handshake was done, by trio's clock."""
    hearsay: Budget = field(default_factory=lambda: Budget(_HEARSAY, trio.current_time))
    """How often it may tell of other peers."""


class _Host(BasicHost):
    """libp2p's host without the protocols of its own, which nobody here needs."""

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        return


class Links:
    """All connections, by libp2p; `Libp2pNetwork` says who may connect and what a session does."""

    def __init__(
        self,
        config: NetworkConfig,
        protocol: str,
        *,
        faults: Faults,
        report: Report,
        may_connect: Callable[[PeerId, bool], str | None],
        open_session: Callable[[Link, INetStream], Session],
        session_over: Callable[[Link, str], Awaitable[None]],
    ) -> None:
        self._config = config
        self._protocol = TProtocol(protocol)
        self._faults = faults
        self._report = report
        self._may_connect = may_connect
        self._open_session = open_session
        self._session_over = session_over
        self._streams: dict[tuple[str, int], tcp.TcpStream] = {}
        self._links: dict[IMuxedConn, Link] = {}
        self._budgets = Budgets(config.frame_rate, trio.current_time)
        self.admission: Final = Admission(config.max_pending, config.max_connections_per_ip)
        self.swarm, self.host = self._make_host()
        self.host.set_stream_handler(self._protocol, self._on_stream)

    def _make_host(self) -> tuple[GuardedSwarm, BasicHost]:
        config = self._config
        key = create_new_key_pair(config.node_key)
        peerstore = PeerStore()
        peer_id = ID.from_pubkey(key.public_key)
        peerstore.add_key_pair(peer_id, key)
        noise = Noise(key, noise_privkey=create_new_x25519_key_pair().private_key)
        upgrader = TransportUpgrader({NOISE: noise}, {}, int(config.timing.upgrade))
        upgrader.muxer_multistream = GuardedMuxer(self._make_muxed, int(config.timing.upgrade))
        # Limits of ours hold long before libp2p's would; its own dialling and pruning are off.
        room = 2 * (config.in_peers + config.out_peers) + config.max_pending
        swarm = GuardedSwarm(
            peer_id,
            peerstore,
            upgrader,
            transports=[],
            retry_config=RetryConfig(max_retries=0),
            connection_config=ConnectionConfig(
                max_connections=room,
                min_connections=0,
                low_watermark=0,
                high_watermark=room,
                max_connections_per_peer=4,
                inbound_upgrade_timeout=config.timing.upgrade,
                outbound_upgrade_timeout=config.timing.upgrade,
                inbound_stream_protocol_negotiation_timeout=config.timing.upgrade,
                outbound_stream_protocol_negotiation_timeout=config.timing.upgrade,
            ),
            faults=self._faults,
        )
        host = _Host(swarm, announce_addrs=[], disable_identify_address_discovery=True)
        for protocol in list(host.multiselect.handlers):
            if protocol is not None:
                host.remove_stream_handler(protocol)
        swarm.set_stream_handler(
            guard_streams(host._swarm_stream_handler, config.max_streams, self._faults, self._report)
        )
        return swarm, host

    def _make_muxed(self, conn: ISecureConn, peer_id: ID) -> GuardedYamux:
        """The peer has proven who it is: the first moment to turn it away."""
        peer = PeerId(str(peer_id))
        refusal = self._may_connect(peer, conn.is_initiator)
        stream = self._streams.get(conn.get_remote_address() or ("", 0))
        if refusal is not None or stream is None:
            self._faults.noted(f"connection refused: {refusal}")
            raise MultiselectError(refusal or "the connection is gone")
        muxed = GuardedYamux(
            conn,
            peer_id,
            budget=self._budgets.of(peer),
            write_timeout=self._config.timing.write,
            report=self._report,
        )
        self._links[muxed] = Link(peer, stream, muxed, conn.is_initiator)
        return muxed

    # Looking

    def all(self) -> Sequence[Link]:
        """The connections."""
        return tuple(self._links.values())

    def drop(self, peer: PeerId, reason: str) -> None:
        """Ends all connections to a peer."""
        for link in self.all():
            if link.peer == peer:
                if link.session is not None:
                    link.session.end(reason)
                else:
                    link.tcp.abort()

    # Inbound

    async def serve(self, stream: tcp.TcpStream) -> None:
        """One accepted connection, until it ends."""
        key = (stream.remote.host, stream.remote.port)
        self._streams[key] = stream
        muxed: IMuxedConn | None = None
        try:
            raw = RawConnection(stream, False)
            muxed = await self.swarm.upgrade_inbound_raw_conn(raw, Multiaddr(str(stream.remote)))
            self.admission.established(stream)
            link = self._links[muxed]
            with trio.move_on_after(self._config.timing.handshake):
                await _any_of(link.has_session, stream.ended)
            if link.session is None:
                self._faults.noted("no handshake")
                return
            await stream.ended.wait()
        except Exception as error:
            self._faults.noted("inbound upgrade failed")
            logger.debug("connection from %s failed: %s", stream.remote, error)
        finally:
            self._streams.pop(key, None)
            await self._close(stream, muxed)

    async def _on_stream(self, stream: INetStream) -> None:
        """The stream that a peer which dialled us opens."""
        link = self._links.get(stream.muxed_conn)
        if link is None or link.outbound or link.session is not None:
            raise ValueError("a request stream where none is due")
        await self._run_session(link, stream)

    async def _run_session(self, link: Link, stream: INetStream) -> None:
        link.session = self._open_session(link, stream)
        link.has_session.set()
        reason = await link.session.run()
        await self._session_over(link, reason)
        link.tcp.ended.set()

    # Outbound

    async def dial(self, peer: PeerId, address: Address) -> bool:
        """Dials one address and serves the connection until it ends; answers whether the handshake succeeded."""
        stream: tcp.TcpStream | None = None
        connection: INetConn | None = None
        link: Link | None = None
        try:
            with trio.fail_after(self._config.timing.dial):
                stream = await tcp.dial(address)
                self._streams[(stream.remote.host, stream.remote.port)] = stream
                connection = await self.swarm.upgrade_outbound_raw_conn(
                    RawConnection(stream, True), ID.from_string(peer)
                )
                link = self._links[connection.muxed_conn]
                link.dialled = address
                request_stream = await self._open_stream(connection)
            await self._run_session(link, request_stream)
        except Exception as error:
            self._faults.noted("dial failed")
            logger.debug("dialling %s at %s failed: %s", peer, address, error)
        finally:
            if stream is not None:
                self._streams.pop((stream.remote.host, stream.remote.port), None)
                await self._close(stream, connection.muxed_conn if connection is not None else None)
        return link is not None and link.admitted_at is not None

    async def _open_stream(self, connection: INetConn) -> INetStream:
        stream: INetStream = await connection.new_stream()
        chosen = await self.host.multiselect_client.select_one_of(
            [self._protocol], MultiselectCommunicator(stream), int(self._config.timing.upgrade)
        )
        stream.set_protocol(chosen)
        return stream

    # The end

    async def _close(self, stream: tcp.TcpStream, muxed: IMuxedConn | None) -> None:
        """Closes a connection in order if that works within a second, and the socket in any case."""
        if muxed is None:
            muxed = next((link.muxed for link in self.all() if link.tcp is stream), None)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            try:
                for connection in self.swarm.get_connections(muxed.peer_id) if muxed is not None else ():
                    if isinstance(connection, SwarmConn) and connection.muxed_conn is muxed:
                        await connection.close()
            except Exception as error:
                self._faults.caught("close", error, stream.remote)
        stream.abort()
        if muxed is not None:
            self._links.pop(muxed, None)


async def _any_of(*events: trio.Event) -> None:
    """Waits for the first of them."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
