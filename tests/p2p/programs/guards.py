"""Puts each guard of `p2p.guards` and plain libp2p through the same trouble; prints what became of both.

A guard that plain libp2p does not need any more shows here too.
"""

import contextlib
import json
import os
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio
import trio.testing
from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.io.trio import TrioTCPStream
from libp2p.network.config import ConnectionConfig
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import encode_uvarint, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from p2p.budget import Budget, Budgets
from p2p.config import NetworkConfig, Rate
from p2p.faults import Faults
from p2p.guards.connections import GuardedSwarm, guard_streams
from p2p.guards.gossip import GuardedGossipSub, GuardedPubsub
from p2p.host import Libp2pNetwork
from p2p.muxer import BufferedReader, GuardedYamux
from p2p.network import Misbehaviour, PeerId, Topic, Verdict
from p2p.network import PeerInfo as OurPeerInfo
from p2p.tcp import TcpStream
from tests.p2p.programs.attacker import Attacker, connect_once

TOPIC = "/test/blocks/1"
PLENTY = Rate(1e9, 1e12)
FEW = Rate(0.001, 1e12, burst=4_000)
OTHER = create_new_key_pair(b"o" * 32)
OTHER_ID = ID.from_pubkey(OTHER.public_key)
THIRD_ID = ID.from_pubkey(create_new_key_pair(b"t" * 32).public_key)
FOURTH_ID = ID.from_pubkey(create_new_key_pair(b"f" * 32).public_key)
MESH = {"protocols": [PROTOCOL_ID_V11], "degree": 6, "degree_low": 4, "degree_high": 12}
PLAIN_MESH = {**MESH, "spam_protection_enabled": False, "adaptive_gossip_enabled": False}

Check = Callable[[bool], Awaitable[Any]]
CHECKS: dict[str, tuple[Check, bool]] = {}


def check(virtual: bool = False) -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        CHECKS[function.__name__] = (function, virtual)
        return function

    return register


class Reports:
    def __init__(self) -> None:
        self.all: list[Misbehaviour] = []

    def __call__(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self.all.append(misbehaviour)


class FakeStream:
    """A stream of a peer with prepared bytes to read."""

    metric_send_channel = None

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.reads = 0
        self.written: list[bytes] = []
        self.was_reset = False
        self.muxed_conn = type("Conn", (), {"peer_id": OTHER_ID, "is_closed": False})()

    async def read(self, n: int | None = None) -> bytes:
        self.reads += 1
        if not self.pieces:
            raise StreamEOF
        piece = self.pieces[0][:n]
        self.pieces[0] = self.pieces[0][len(piece) :]
        if not self.pieces[0]:
            del self.pieces[0]
        return piece

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    async def reset(self) -> None:
        self.was_reset = True


class Gossip:
    """A pubsub service that runs without a network."""

    def __init__(self, guarded: bool, deliver: Callable[[bytes], Awaitable[Verdict]] | None = None) -> None:
        self.reports = Reports()
        host = new_host(create_new_key_pair(b"h" * 32))
        self.delivered: list[bytes] = []
        config = NetworkConfig(bytes(32), bytes(32))

        async def on_message(topic: str, data: bytes, peer: PeerId) -> Verdict:
            self.delivered.append(data)
            return Verdict.ACCEPT if deliver is None else await deliver(data)

        async def validate(peer: ID, message: rpc_pb2.Message) -> bool:
            return await on_message(TOPIC, message.data, PeerId(str(peer))) is Verdict.ACCEPT

        self.mesh: GossipSub
        self.pubsub: Pubsub
        if guarded:
            faults = Faults()
            mesh = GuardedGossipSub(**PLAIN_MESH, faults=faults, answers=Budgets(FEW, trio.current_time))
            self.mesh = mesh
            self.pubsub = GuardedPubsub(
                host,
                mesh,
                config,
                [TOPIC],
                faults=faults,
                report=self.reports,
                budgets=Budgets(PLENTY, trio.current_time),
                admitted=lambda peer: True,
                deliver=on_message,
            )
        else:
            self.mesh = GossipSub(**PLAIN_MESH)
            self.pubsub = Pubsub(host, self.mesh, allowed_topics={TOPIC})
            self.pubsub.set_topic_validator(TOPIC, validate, True)

    @asynccontextmanager
    async def running(self) -> Any:
        async with background_trio_service(self.pubsub), background_trio_service(self.mesh):
            await self.pubsub.subscribe(TOPIC)
            yield self
        self.pubsub.seen_messages.stop()


def signed(data: bytes, number: int = 1) -> rpc_pb2.Message:
    message = rpc_pb2.Message(data=data, topicIDs=[TOPIC], from_id=OTHER_ID.to_bytes(), seqno=number.to_bytes(8, "big"))
    message.signature = OTHER.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    return message


def rpc_bytes(rpc: rpc_pb2.RPC) -> bytes:
    body = rpc.SerializeToString()
    return encode_uvarint(len(body)) + body


@check()
async def exception_in_a_stream_handler(guarded: bool) -> Any:
    """Does the listening host outlive a handler that raises?"""
    protocol = TProtocol("/fails/1")
    server, client = new_host(create_new_key_pair(b"s" * 32)), new_host(OTHER)

    async def fails(stream: Any) -> None:
        raise RuntimeError("a defect")

    server.set_stream_handler(protocol, fails)
    if guarded:
        network: Any = server.get_network()
        network.set_stream_handler(guard_streams(network.common_stream_handler, 8, Faults(), Reports()))
    async with server.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]), client.run([]):
        await client.connect(PeerInfo(server.get_id(), list(server.get_transport_addrs())))
        for _ in range(2):
            with contextlib.suppress(Exception), trio.move_on_after(2):
                stream = await client.new_stream(server.get_id(), [protocol])
                await stream.read(1)
        return "alive" if server.get_network().get_manager().is_running else "ended"


@check()
async def exception_in_a_task(guarded: bool) -> Any:
    """Does the swarm outlive a task of its own that raises?"""

    async def fails() -> None:
        raise RuntimeError("a defect")

    host = new_host(OTHER)
    plain: Any = host.get_network()
    swarm: Any = plain
    if guarded:
        swarm = GuardedSwarm(plain.self_id, plain.peerstore, plain.upgrader, [], faults=Faults())
    async with background_trio_service(swarm):
        swarm.manager.run_task(fails)
        await trio.testing.wait_all_tasks_blocked()
        return "alive" if swarm.get_manager().is_running else "ended"


@check()
async def undecodable_rpc(guarded: bool) -> Any:
    """Does reading gossip that is no protobuf end in an exception?"""
    async with Gossip(guarded).running() as gossip:
        stream = FakeStream(encode_uvarint(20) + b"\xff" * 20)
        await gossip.pubsub.continuously_read_stream(stream)
        return [stream.was_reset, gossip.reports.all]


@check()
async def undecodable_key(guarded: bool) -> Any:
    """Does a message whose key cannot be decoded end in an exception?"""
    async with Gossip(guarded).running() as gossip:
        message = rpc_pb2.Message(
            data=b"x", topicIDs=[TOPIC], from_id=b"\x12\x20" + bytes(32), seqno=b"1", key=b"\xff", signature=b"s"
        )
        await gossip.pubsub.push_msg(OTHER_ID, message)
        return gossip.reports.all


@check()
async def raising_validator(guarded: bool) -> Any:
    """Does a validator that raises end in an exception?"""

    def fails(*message: object) -> bool:
        raise RuntimeError("a defect")

    async def fails_later(data: bytes) -> Verdict:
        raise RuntimeError("a defect")

    async with Gossip(guarded, fails_later).running() as gossip:
        if not guarded:
            gossip.pubsub.set_topic_validator(TOPIC, fails, False)
        await gossip.pubsub.push_msg(OTHER_ID, signed(b"x"))
        return "alive"


class _Handler:
    def __init__(self) -> None:
        self.met = trio.Event()

    def handshake(self) -> bytes:
        return b""

    async def on_peer(self, peer: OurPeerInfo, their_handshake: bytes) -> None:
        self.met.set()

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.ACCEPT

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        return b""


@check()
async def inbound_places(guarded: bool) -> Any:
    """How many of eight connections, one after the other, find one of four places?"""
    async with AsyncExitStack() as stack:
        if guarded:
            network = Libp2pNetwork(
                NetworkConfig(bytes(32), bytes(32), listen_addresses=("/ip4/127.0.0.1/tcp/0",), mdns=False, in_peers=4)
            )
            nursery = await stack.enter_async_context(trio.open_nursery())
            await nursery.start(lambda task_status: network.run(_Handler(), task_status=task_status))
            stack.callback(nursery.cancel_scope.cancel)
            address = network.listen_addresses()[0]
        else:
            config = ConnectionConfig(max_connections=4, min_connections=0, low_watermark=0, high_watermark=4)
            host: IHost = new_host(create_new_key_pair(b"s" * 32), connection_config=config)
            await stack.enter_async_context(host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]))
            address = str(host.get_addrs()[0])
        served = 0
        for number in range(8):
            attacker = Attacker(f"{number + 1:064x}", address)
            try:
                with trio.fail_after(3):
                    await connect_once(attacker)
                served += 1
            except Exception:  # noqa: S112 - how many are served is the question
                continue
        return served - (network.fault_counts.get("connection refused: full", 0) if guarded else 0)


@check()
async def reads_of_gossip(guarded: bool) -> Any:
    """How many reads do a hundred small frames take? (The plain reader: one by one.)"""
    frames = (encode_uvarint(200) + bytes(200)) * 100
    stream: Any = FakeStream(frames)
    if guarded:
        reader = BufferedReader(stream)
        for _ in range(100):
            assert await reader.frame(1000) == bytes(200)
    else:
        for _ in range(100):
            assert await read_varint_prefixed_bytes_limited(stream, 1000) == bytes(200)
    return stream.reads


@check()
async def dial_after_a_failed_one(guarded: bool) -> Any:
    """Is a peer that was not there dialled again within seconds?"""
    server = Libp2pNetwork(NetworkConfig(bytes(32), bytes(32), listen_addresses=("/ip4/127.0.0.1/tcp/0",), mdns=False))
    server.bind()
    address = server.listen_addresses()[0]
    port = address.split("/")[4]
    for bound in server._sockets:
        bound.close()
    server = Libp2pNetwork(
        NetworkConfig(bytes(32), bytes(32), listen_addresses=(f"/ip4/127.0.0.1/tcp/{port}",), mdns=False)
    )
    handler = _Handler()
    async with trio.open_nursery() as nursery:

        async def start(network: Libp2pNetwork) -> None:
            await nursery.start(lambda task_status: network.run(handler, task_status=task_status))

        if guarded:
            client = Libp2pNetwork(
                NetworkConfig(
                    bytes(32),
                    b"c" * 32,
                    listen_addresses=("/ip4/127.0.0.1/tcp/0",),
                    mdns=False,
                    bootnodes=(address,),
                )
            )
            await start(client)
            while not client.fault_counts.get("dial failed"):  # noqa: ASYNC110 - a counter, no event
                await trio.sleep(0.05)
            await start(server)
            with trio.fail_after(10):
                await handler.met.wait()
        else:
            host = new_host(OTHER)
            async with host.run([]):
                where, _, peer = address.partition("/p2p/")
                info = PeerInfo(ID.from_string(peer), [Multiaddr(where)])
                try:
                    await host.connect(info)
                except Exception:
                    await start(server)
                await host.connect(info)
        nursery.cancel_scope.cancel()
    return "connected"


class Wire:
    """A secured connection of prepared bytes; writes go as far as they are let."""

    is_initiator = True

    def __init__(self, data: bytes = b"", stalled: bool = False) -> None:
        self.data = data
        self.at = 0
        self.stalled = stalled
        self.written = b""
        self.closed = trio.Event()

    async def read(self, n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        piece = self.data[self.at : self.at + (n or 1 << 16)]
        self.at += len(piece)
        return piece

    async def write(self, data: bytes) -> None:
        if self.stalled:
            await self.closed.wait()
        half = len(data) // 2
        self.written += data[:half]
        await trio.sleep(1)
        self.written += data[half:]

    async def close(self) -> None:
        self.closed.set()


def muxer(guarded: bool, wire: Wire, reports: Reports) -> Yamux:
    connection: Any = wire
    if guarded:
        budget = Budget(PLENTY, trio.current_time)
        return GuardedYamux(connection, OTHER_ID, budget=budget, write_timeout=10, report=reports)
    return Yamux(connection, OTHER_ID)


@check(virtual=True)
async def write_to_a_stalled_peer(guarded: bool) -> Any:
    """Does a write to a peer that does not read end by itself?"""
    wire = Wire(stalled=True)
    yamux = muxer(guarded, wire, Reports())
    with trio.move_on_after(100) as scope:
        try:
            await yamux._write_frame(bytes(12))
        except Exception as error:
            return [type(error).__name__, wire.closed.is_set()]
    return "hangs" if scope.cancelled_caught else "written"


@check(virtual=True)
async def write_cut_in_the_middle(guarded: bool) -> Any:
    """How many bytes of a frame are sent when its writer is cancelled in the middle?"""
    wire = Wire()
    yamux = muxer(guarded, wire, Reports())
    with trio.move_on_after(0.5):
        await yamux._write_frame(bytes(100))
    return len(wire.written)


@check()
async def window_ignored(guarded: bool) -> Any:
    """How many megabytes does a peer get buffered on a stream that nobody reads?"""
    data = struct.pack("!BBHII", 0, 1, 1, 1, 0)
    body = struct.pack("!BBHII", 0, 0, 0, 1, 1 << 20) + bytes(1 << 20)
    reports = Reports()
    wire = Wire(data + body * 40)
    yamux = muxer(guarded, wire, reports)

    async def swallow(data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    wire.write = swallow  # type: ignore[method-assign]
    # The end of the prepared bytes is the end of the connection, which empties the buffers: look before.
    most = 0
    read = wire.read

    async def watched(n: int | None = None) -> bytes:
        nonlocal most
        most = max(most, sum(map(len, yamux.stream_buffers.values())))
        return await read(n)

    wire.read = watched  # type: ignore[method-assign]
    with trio.move_on_after(20):
        await yamux.handle_incoming()
    return [most >> 20, reports.all]


@check()
async def same_message_twice_at_once(guarded: bool) -> Any:
    """How often is a message validated that two peers pass on at the same time?"""

    async def slow(data: bytes) -> Verdict:
        await trio.sleep(0.05)
        return Verdict.ACCEPT

    async with Gossip(guarded, slow).running() as gossip:
        message = signed(b"x")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(gossip.pubsub.push_msg, OTHER_ID, message)
        return len(gossip.delivered)


@check()
async def verdicts_that_do_not_come(guarded: bool) -> Any:
    """Of a hundred messages of one peer: how many are waited for? Is the message of another one looked at meanwhile?"""

    async def hang(data: bytes) -> Verdict:
        return await trio.sleep_forever() if data == b"hang" else Verdict.ACCEPT

    async with Gossip(guarded, hang).running() as gossip, trio.open_nursery() as nursery:
        many = [rpc_bytes(rpc_pb2.RPC(publish=[signed(b"hang", number)])) for number in range(100)]
        nursery.start_soon(gossip.pubsub.continuously_read_stream, FakeStream(*many))
        await trio.testing.wait_all_tasks_blocked()
        waiting = len(gossip.delivered)
        other = FakeStream(rpc_bytes(rpc_pb2.RPC(publish=[signed(b"honest", 100)])))
        other.muxed_conn = type("Conn", (), {"peer_id": THIRD_ID, "is_closed": False})()
        await gossip.pubsub.continuously_read_stream(other)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        return [waiting, b"honest" in gossip.delivered]


@check()
async def control_beside_a_verdict(guarded: bool) -> Any:
    """Is what a peer says about the mesh heard while its message is being looked at?"""

    async def hang(data: bytes) -> Verdict:
        return await trio.sleep_forever()

    async with Gossip(guarded, hang).running() as gossip:
        subscription = rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)])
        peers: dict[ID, Any] = gossip.pubsub.peers
        peers[OTHER_ID] = FakeStream()
        await gossip.pubsub.continuously_read_stream(
            FakeStream(rpc_bytes(rpc_pb2.RPC(publish=[signed(b"x")])), rpc_bytes(subscription))
        )
        await trio.testing.wait_all_tasks_blocked()
        return [len(gossip.delivered), OTHER_ID in gossip.pubsub.peer_topics.get(TOPIC, ())]


@check()
async def forged_copy_first(guarded: bool) -> Any:
    """What is delivered of a forged copy and then the message it copies?"""
    async with Gossip(guarded).running() as gossip:
        forged = signed(b"real")
        forged.data = b"forged"
        await gossip.pubsub.push_msg(THIRD_ID, forged)
        await gossip.pubsub.push_msg(THIRD_ID, signed(b"real"))
        return [data.decode() for data in gossip.delivered]


@check()
async def second_writer_on_a_stream(guarded: bool) -> Any:
    """How many frames are written past the one writer when a peer subscribes?"""
    async with Gossip(guarded).running() as gossip:
        await gossip.pubsub.push_msg(OTHER_ID, signed(b"x"))
        stream: Any = FakeStream()
        gossip.pubsub.peers[OTHER_ID] = stream
        gossip.mesh._pending_messages[OTHER_ID].append((1e12, rpc_pb2.RPC(publish=[signed(b"y")])))
        subscription = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)
        gossip.pubsub.handle_subscription(OTHER_ID, subscription)
        await trio.testing.wait_all_tasks_blocked()
        return len(stream.written)


@check()
async def message_to_who_has_brought_it(guarded: bool) -> Any:
    """To how many of two peers is a message sent that both have brought, one of them while its verdict was awaited?"""

    async def slow(data: bytes) -> Verdict:
        await trio.sleep(0.05)
        return Verdict.ACCEPT

    sent: list[ID] = []
    async with Gossip(guarded, slow).running() as gossip:
        mesh: Any = gossip.mesh
        mesh.send_rpc = lambda peer_id, rpc, priority=False: sent.append(peer_id)
        for peer_id in (THIRD_ID, FOURTH_ID):
            subscription = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)
            gossip.pubsub.peers[peer_id] = FakeStream()  # type: ignore[assignment]
            gossip.pubsub.handle_subscription(peer_id, subscription)
            mesh.mesh[TOPIC].add(peer_id)
        sent.clear()
        message = rpc_pb2.RPC(publish=[signed(b"x")])
        async with trio.open_nursery() as nursery:
            for peer_id in (THIRD_ID, FOURTH_ID):
                stream: Any = FakeStream(rpc_bytes(message))
                stream.muxed_conn = type("Conn", (), {"peer_id": peer_id, "is_closed": False})()
                nursery.start_soon(gossip.pubsub.continuously_read_stream, stream)
        await trio.sleep(0.2)
        return len(sent)


@check()
async def messages_asked_for(guarded: bool) -> Any:
    """How many messages is a peer sent that asks a thousand times for one, and how many of eight that it asks for?"""
    sent: list[int] = []
    async with Gossip(guarded).running() as gossip:
        mesh: Any = gossip.mesh
        mesh.send_rpc = lambda peer_id, rpc, priority=False: sent.append(len(rpc.publish))
        messages = [signed(bytes([number]), number) for number in range(8)]
        for message in messages:
            mesh.mcache.put(message)
        ids = [(message.from_id + message.seqno).hex().encode() for message in messages]
        for wanted in (ids[:1] * 1_000, ids):
            control = rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=wanted)])
            await gossip.pubsub.continuously_read_stream(FakeStream(rpc_bytes(rpc_pb2.RPC(control=control))))
        return sent


@check()
async def topics_made_up_by_a_peer(guarded: bool) -> Any:
    """How many topics does a peer get remembered with one message?"""
    async with Gossip(guarded).running() as gossip:
        prunes = [rpc_pb2.ControlPrune(topicID=f"/{number}") for number in range(500)]
        rpc = rpc_pb2.RPC(control=rpc_pb2.ControlMessage(prune=prunes))
        await gossip.pubsub.continuously_read_stream(FakeStream(rpc_bytes(rpc)))
        return len(gossip.mesh.back_off)


@check()
async def memory_of_messages(guarded: bool) -> Any:
    """What stays behind of ten messages, beside the cache of the last seconds?"""
    async with Gossip(guarded).running() as gossip:
        for number in range(10):
            await gossip.pubsub.push_msg(OTHER_ID, signed(b"x", number))
        deliveries = sum(map(len, gossip.mesh.recent_message_deliveries.values()))
        return [deliveries, len(gossip.mesh.equivocation_detection)]


@check(virtual=True)
async def stream_that_does_not_open_at_once(guarded: bool) -> Any:
    """Has a connected peer a gossip stream after all, when the first one fails on a connection that goes?"""
    async with Gossip(guarded).running() as gossip:
        opened: list[FakeStream] = []

        async def new_stream(peer: ID, protocols: object) -> FakeStream:
            opened.append(FakeStream())
            if len(opened) == 1:
                raise StreamFailure("the connection was replaced by another one")
            opened[-1].get_protocol = lambda: PROTOCOL_ID_V11
            return opened[-1]

        pubsub: Any = gossip.pubsub
        pubsub.host.new_stream = new_stream
        pubsub._peer_is_connected = lambda peer: True
        await pubsub._handle_new_peer_with_retry(OTHER_ID)
        return OTHER_ID in pubsub.peers


@check()
async def subscriptions_of_a_peer_whose_stream_is_open(guarded: bool) -> Any:
    """Are they known when our own stream to it is lost, and when its stream is lost too?"""

    class Open(FakeStream):
        async def read(self, n: int | None = None) -> bytes:
            if not self.pieces:
                await ended.wait()
            return await super().read(n)

    ended, known = trio.Event(), []
    hello = rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)])
    async with Gossip(guarded).running() as gossip, trio.open_nursery() as nursery:
        pubsub: Any = gossip.pubsub
        pubsub.peers[OTHER_ID] = FakeStream()
        nursery.start_soon(pubsub.continuously_read_stream, Open(rpc_bytes(hello)))
        await trio.testing.wait_all_tasks_blocked()
        assert OTHER_ID in pubsub.peer_topics[TOPIC]
        pubsub._handle_dead_peer(OTHER_ID)
        known.append(OTHER_ID in pubsub.peer_topics.get(TOPIC, ()))
        ended.set()
        await trio.testing.wait_all_tasks_blocked()
        known.append(OTHER_ID in pubsub.peer_topics.get(TOPIC, ()))
    return known


@check()
async def allocation_for_a_length(guarded: bool) -> Any:
    """How many bytes are set aside for a read of a length that a stranger has announced?"""
    wanted: list[int | None] = []

    class Socket:
        def getpeername(self) -> tuple[str, int]:
            return ("127.0.0.1", 1)

    class Source:
        socket = Socket()

        async def receive_some(self, size: int | None) -> bytes:
            wanted.append(size)
            return b""

    source: Any = Source()
    await (TcpStream(source) if guarded else TrioTCPStream(source)).read(1 << 40)
    return wanted[0]


def run_one(function: Check, guarded: bool, virtual: bool) -> Any:
    async def limited() -> Any:
        with trio.fail_after(1000 if virtual else 30):
            return await function(guarded)

    try:
        if virtual:
            return trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0))
        return trio.run(limited)
    except BaseException as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if guarded:
            traceback.print_exception(error)
        return f"ended by {type(error).__name__}"


def main() -> None:
    assert issubclass(GuardedSwarm, Swarm)
    names = json.loads(sys.argv[1]).get("only") or list(CHECKS)
    for name in names:
        function, virtual = CHECKS[name]
        result = {"guarded": run_one(function, True, virtual), "plain": run_one(function, False, virtual)}
        sys.stdout.write(json.dumps({"event": "result", "name": name, **result}) + "\n")
        sys.stdout.flush()
    os._exit(0)  # what plain libp2p has left running ends here


if __name__ == "__main__":
    main()
