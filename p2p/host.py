"""The network of a node: libp2p over TCP with noise and yamux, gossip, requests, discovery, scores and bans."""

import errno
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio
from libp2p.abc import INetStream
from libp2p.pubsub.gossipsub import PROTOCOL_ID, PROTOCOL_ID_V11
from libp2p.tools.anyio_service import background_trio_service

from p2p import tcp, wire
from p2p.addresses import Address, AddressError, parse_address, peer_id_from_seed, tcp_address
from p2p.budget import Budgets
from p2p.config import NetworkConfig
from p2p.discovery import PeerFinder, dial_forever
from p2p.faults import Faults
from p2p.guards.gossip import GuardedGossipSub, GuardedPubsub
from p2p.links import Link, Links
from p2p.mdns import LocalDiscovery
from p2p.network import (
    Misbehaviour,
    Network,
    NetworkHandler,
    PeerGone,
    PeerId,
    PeerInfo,
    Refuse,
    TooLarge,
    Topic,
    Verdict,
)
from p2p.peers import Consequence, PeerBook, RecordStore
from p2p.requests import Session, SessionHandler

if TYPE_CHECKING:
    from trio_typing import TaskStatus

logger = logging.getLogger(__name__)

PROTOCOL_VERSION: Final = 1
_PUBLISH_QUEUE: Final = 64
_MAX_LINKS_A_PEER: Final = 4
"""For a moment there may be several: both dial at once, or an old one is about to be noticed as dead."""
_YIELD_AFTER: Final = 4
"""Publishing is processor work: others get a turn after so many messages."""


class Libp2pNetwork(Network):
    """`p2p.network.Network` over real sockets."""

    def __init__(
        self, config: NetworkConfig, *, records: RecordStore | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """`records` keeps scores, bans and addresses over restarts. Raises: AddressError."""
        self._config = config
        self._records = records
        self._local = peer_id_from_seed(config.node_key)
        self._book = PeerBook(config.timing, clock)
        if records is not None:
            self._book.restore(records.load())
        for text in config.bootnodes:
            address = parse_address(text)
            if address.peer_id is None:
                raise AddressError(f"{text!r}: a bootnode's address ends with /p2p/<its peer id>")
            if address.peer_id != self._local:
                self._book.learn(address.peer_id, str(address.without_peer()), permanent=True)
        self._wanted = _listen_on(config)
        self._sockets: list[socket.socket] = []
        self._listening: list[Address] = []
        self._faults = Faults()
        self._save_now = trio.Event()
        self._request_budgets = Budgets(config.request_rate, trio.current_time)
        self._answer_budgets = Budgets(config.answer_rate, trio.current_time)
        self._sessions: dict[PeerId, Link] = {}
        self._infos: dict[PeerId, PeerInfo] = {}
        self._locks: dict[PeerId, trio.Lock] = {}
        self._topics = {f"/mfchain/{config.genesis.hex()}/{topic}/1": topic for topic in Topic}
        self._topic_names = {topic: name for name, topic in self._topics.items()}
        self._publish_in: trio.MemorySendChannel[tuple[str, bytes]] | None = None
        self._handler: NetworkHandler | None = None
        self._links: Links | None = None
        self._finder: PeerFinder | None = None
        self._gossip: GuardedPubsub | None = None

    # What the node asks

    @property
    def local_peer_id(self) -> PeerId:
        """Our own id."""
        return self._local

    @property
    def fault_counts(self) -> Mapping[str, int]:
        """What went wrong and was survived, by kind; for metrics."""
        return self._faults.counts

    def listen_addresses(self) -> Sequence[str]:
        """Multiaddrs that others can dial."""
        return [f"{address}/p2p/{self._local}" for address in self._listening]

    def peers(self) -> Sequence[PeerInfo]:
        """The connected peers."""
        return tuple(self._infos.values())

    def is_banned(self, peer: PeerId) -> bool:
        """Whether the peer is turned away."""
        return self._book.is_banned(peer)

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Queues a gossip message."""
        if len(payload) > self._config.max_gossip:
            raise TooLarge(f"a gossip message of {len(payload)} bytes, {self._config.max_gossip} are allowed")
        if self._publish_in is None:
            return
        try:
            self._publish_in.send_nowait((self._topic_names[topic], payload))
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._faults.noted("gossip dropped")

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        """Asks a peer."""
        link = self._sessions.get(peer)
        if link is None or link.session is None:
            raise PeerGone(f"{peer} is not connected")
        return await link.session.request(kind, payload, deadline)

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        """Scores a peer down, and draws the consequence."""
        if peer == self._local:
            return
        self._faults.noted(f"misbehaviour: {misbehaviour}")
        consequence = self._book.penalize(peer, misbehaviour)
        logger.debug("%s: %s (%s), score %.0f", peer, misbehaviour, detail, self._book.score(peer))
        if consequence is Consequence.NONE or self._links is None:
            return
        if consequence is Consequence.BAN:
            logger.warning("%s is banned: %s (%s)", peer, misbehaviour, detail)
            self._save_now.set()
        self._links.drop(peer, "banned" if consequence is Consequence.BAN else str(misbehaviour))

    def disconnect(self, peer: PeerId) -> None:
        """Ends the connection without blame."""
        if self._links is not None:
            self._links.drop(peer, "disconnected")

    # Running

    def bind(self) -> None:
        """Takes the ports; `run` does it too if nobody has.

        Raises: AddressInUse, OSError.
        """
        if self._sockets:
            return
        try:
            self._sockets = tcp.bind(self._wanted)
        except OSError as error:
            # The default asks for IPv6 as well; a machine that cannot have it goes without.
            if self._config.listen_addresses or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            self._sockets = tcp.bind(self._wanted[:1])
        bound = [tcp_address(*taken.getsockname()[:2]) for taken in self._sockets]
        self._listening = [address for one in bound for address in tcp.expand(one)]

    async def run(self, handler: NetworkHandler, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled."""
        self.bind()
        self._handler = handler
        genesis = self._config.genesis.hex()
        links = self._links = Links(
            self._config,
            f"/mfchain/{genesis}/sync/{PROTOCOL_VERSION}",
            faults=self._faults,
            report=self.report,
            may_connect=self._may_connect,
            open_session=self._open_session,
            session_over=self._session_over,
        )
        finder = self._finder = PeerFinder(
            self._local, self._book, links, self._sessions, faults=self._faults, report=self.report
        )
        mesh, gossip = self._make_gossip(links)
        self._gossip = gossip
        publish_in, to_publish = trio.open_memory_channel[tuple[str, bytes]](_PUBLISH_QUEUE)
        try:
            async with (
                background_trio_service(links.swarm),
                background_trio_service(gossip),
                background_trio_service(mesh),
                trio.open_nursery() as nursery,
            ):
                await gossip.wait_until_ready()
                for name in self._topics:
                    await gossip.subscribe(name)
                for bound in self._sockets:
                    nursery.start_soon(tcp.accept_forever, bound, links.admission, links.serve)
                nursery.start_soon(dial_forever, finder, self._book, self._config.out_peers)
                nursery.start_soon(self._publish_forever, to_publish)
                nursery.start_soon(finder.exchange_forever, self._config.timing.exchange)
                nursery.start_soon(self._save_forever)
                if self._config.mdns:
                    nursery.start_soon(self._discover_locally, finder)
                self._publish_in = publish_in
                task_status.started()
        finally:
            self._publish_in = None
            publish_in.close()
            for bound in self._sockets:
                bound.close()
            for link in links.all():
                link.tcp.abort()
            gossip.seen_messages.stop()
            self._sockets, self._listening, self._links = [], [], None
            self._store(self._book.dump())

    def _make_gossip(self, links: Links) -> tuple[GuardedGossipSub, GuardedPubsub]:
        mesh = GuardedGossipSub(
            protocols=[PROTOCOL_ID_V11, PROTOCOL_ID],
            degree=6,
            degree_low=4,
            degree_high=12,
            heartbeat_interval=1,
            spam_protection_enabled=False,
            adaptive_gossip_enabled=False,
            eclipse_protection_enabled=False,
            prune_back_off=10,
            unsubscribe_back_off=2,
            faults=self._faults,
            answers=Budgets(self._config.answer_rate, trio.current_time),
        )
        gossip = GuardedPubsub(
            links.host,
            mesh,
            self._config,
            tuple(self._topics),
            faults=self._faults,
            report=self.report,
            budgets=Budgets(self._config.gossip_rate, trio.current_time),
            admitted=self._sessions.__contains__,
            deliver=self._deliver,
        )
        return mesh, gossip

    async def _publish_forever(self, to_publish: trio.MemoryReceiveChannel[tuple[str, bytes]]) -> None:
        assert self._gossip is not None
        published = 0
        async for name, payload in to_publish:
            try:
                await self._gossip.publish(name, payload)
            except Exception as error:
                self._faults.caught("publish", error)
            published += 1
            if published % _YIELD_AFTER == 0:
                await trio.lowlevel.checkpoint()

    async def _deliver(self, name: str, payload: bytes, peer: PeerId) -> Verdict:
        assert self._handler is not None
        try:
            return await self._handler.on_gossip(self._topics[name], payload, peer)
        except Exception as error:
            # Ours, or theirs? A handler that raises says neither, so nobody is blamed and nothing passed on.
            self._faults.caught(f"{self._topics[name]} gossip handler", error, peer)
            return Verdict.IGNORE

    # Sessions

    def _may_connect(self, peer: PeerId, outbound: bool) -> str | None:
        """Why a peer may not connect, or None."""
        assert self._links is not None
        if peer == self._local:
            return "this node itself"
        if self._book.is_banned(peer):
            return "banned"
        alive = [link for link in self._links.all() if not link.tcp.ended.is_set()]
        inbound = sum(1 for link in alive if not link.outbound and link.peer != peer)
        if not outbound and inbound >= self._config.in_peers:
            return "full"
        if sum(1 for link in alive if link.peer == peer) >= _MAX_LINKS_A_PEER:
            return "too many connections of one peer"
        return None

    def _open_session(self, link: Link, stream: INetStream) -> Session:
        async def on_hello(session: Session, hello: wire.Hello) -> None:
            lock = self._locks.setdefault(link.peer, trio.Lock())
            try:
                async with lock:
                    await self._admit(link, session, hello)
            finally:
                if not lock.locked():
                    self._locks.pop(link.peer, None)

        finder = self._finder
        assert finder is not None, "links open sessions while the network runs"
        handler = SessionHandler(
            hello=self._hello,
            on_hello=on_hello,
            on_request=self._on_request,
            on_peers=lambda session, frame: finder.hear(link, frame),
            report=self.report,
        )
        budgets = self._request_budgets.of(link.peer), self._answer_budgets.of(link.peer)
        return Session(link.peer, stream, self._config, handler, self._faults, *budgets)

    def _hello(self) -> wire.Hello:
        assert self._handler is not None
        port = self._listening[0].port if self._listening else 0
        return wire.Hello(PROTOCOL_VERSION, port, self._handler.handshake())

    async def _admit(self, link: Link, session: Session, hello: wire.Hello) -> None:
        assert self._handler is not None
        assert self._finder is not None
        if hello.version != PROTOCOL_VERSION:
            raise Refuse(f"protocol version {hello.version}, {PROTOCOL_VERSION} is spoken here")
        old = self._sessions.get(link.peer)
        if old is not None:
            # Both dialled: both keep the connection of the smaller id. The same direction again: the old one is dead.
            ours_wins = self._local < link.peer
            if link.outbound is not old.outbound and link.outbound is not ours_wins:
                raise Refuse("already connected")
            self._retire(old, "replaced by a newer connection")
        info = PeerInfo(link.peer, str(link.tcp.remote), hello.payload, link.outbound)
        try:
            await self._handler.on_peer(info, hello.payload)
        except Refuse:
            raise
        except Exception as error:
            self._faults.caught("on_peer handler", error, link.peer)
            raise Refuse("internal error") from error
        link.admitted_at = trio.current_time()
        self._sessions[link.peer] = link
        self._infos[link.peer] = info
        if link.dialled is not None:
            self._book.met(link.peer, str(link.dialled))
        elif hello.listen_port:
            self._book.learn(link.peer, str(tcp_address(link.tcp.remote.host, hello.listen_port)))
        session.send(self._finder.known_to(link))

    def _retire(self, link: Link, reason: str) -> None:
        """Takes a connected peer out, and tells the node."""
        if self._sessions.get(link.peer) is not link:
            return
        assert self._handler is not None
        del self._sessions[link.peer]
        del self._infos[link.peer]
        if link.session is not None:
            link.session.end(reason)
        try:
            self._handler.on_peer_gone(link.peer)
        except Exception as error:
            self._faults.caught("on_peer_gone handler", error, link.peer)

    async def _session_over(self, link: Link, reason: str) -> None:
        logger.debug("%s is gone: %s", link.peer, reason)
        self._retire(link, reason)
        if self._gossip is not None:
            self._gossip.stream_lost(link.muxed)

    async def _on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        assert self._handler is not None
        return await self._handler.on_request(peer, kind, payload)

    async def _discover_locally(self, finder: PeerFinder) -> None:
        try:
            local = LocalDiscovery(self._config.genesis, self._local, self._listening)
            await local.run(finder.found)
        except Exception as error:
            self._faults.caught("mDNS", error)

    # Persistence

    async def _save_forever(self) -> None:
        while self._records is not None:
            with trio.move_on_after(self._config.timing.save):
                await self._save_now.wait()
            self._save_now = trio.Event()
            if self._book.dirty:
                self._book.dirty = False
                # Off this thread: it waits for the disk.
                await trio.to_thread.run_sync(self._store, self._book.dump())

    def _store(self, records: dict[str, object]) -> None:
        if self._records is None:
            return
        try:
            self._records.store(records)
        except OSError as error:
            self._faults.caught("saving records of peers", error)


def _listen_on(config: NetworkConfig) -> list[Address]:
    if config.listen_addresses:
        addresses = [parse_address(text) for text in config.listen_addresses]
        for address in addresses:
            if address.kind not in ("ip4", "ip6") or address.peer_id is not None:
                raise AddressError(f"'{address}' is no address to listen on, such as /ip4/0.0.0.0/tcp/30333")
        return addresses
    default = [Address("ip4", "0.0.0.0", config.port)]  # noqa: S104 - a node is there to be reached
    if config.port and tcp.has_ipv6():
        default.append(Address("ip6", "::", config.port))
    return default
