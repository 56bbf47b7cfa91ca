"""A peer that breaks the rules, made of plain libp2p: one attack a command, each under the identity it is given."""

import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgpack
import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.upgrader import TransportUpgrader
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr

OPTIONS: dict[str, Any] = {
    "genesis": "aa" * 32,
    "handshake": b"mallory".hex(),
    "probe": 1,
    "largest": 1_000_000,
    **json.loads(sys.argv[1]),
}
"""Whom it attacks: a chain, what its peers say first, a request that is answered whatever it says, the largest one."""
GENESIS = OPTIONS["genesis"]
HANDSHAKE = bytes.fromhex(OPTIONS["handshake"])
SYNC = TProtocol(f"/mfchain/{GENESIS}/sync/1")
GOSSIP = TProtocol("/meshsub/1.1.0")
TOPIC = f"/mfchain/{GENESIS}/blocks/1"


def frame(*fields: object) -> bytes:
    body = msgpack.packb(fields)
    return len(body).to_bytes(4, "big") + body


def gossip_frame(body: bytes) -> bytes:
    return encode_uvarint(len(body)) + body


class Attacker:
    """One identity, and the victim's address."""

    def __init__(self, seed: str, address: str) -> None:
        self.key = create_new_key_pair(bytes.fromhex(seed))
        where, _, peer = address.partition("/p2p/")
        _, _, self.ip, _, port = where.split("/")
        self.port = int(port)
        self.info = PeerInfo(ID.from_string(peer), [Multiaddr(where)])

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[IHost]:
        host = new_host(
            self.key,
            muxer_opt={TProtocol(YAMUX): Yamux},
            sec_opt={NOISE: Noise(self.key, noise_privkey=create_new_x25519_key_pair().private_key)},
            disable_identify_address_discovery=True,
        )
        async with host.run([]):
            await host.connect(self.info)
            yield host
            with suppress(Exception), trio.move_on_after(0.5):  # the victim may have cut the connection off
                await host.disconnect(self.info.peer_id)

    @asynccontextmanager
    async def greeted(self) -> AsyncIterator[tuple[IHost, INetStream]]:
        """A session in which the victim has said hello, and this side has not."""
        async with self.connected() as host:
            stream = await host.new_stream(self.info.peer_id, [SYNC])
            await read_frame(stream)
            yield host, stream

    @asynccontextmanager
    async def in_session(self) -> AsyncIterator[tuple[IHost, INetStream]]:
        async with self.greeted() as (host, stream):
            await stream.write(frame(0, 1, 0, HANDSHAKE))
            yield host, stream

    async def gossip(self, message: bytes) -> bool:
        """Sends it on a gossip stream within a session; answers whether the victim cut the stream off."""
        async with self.in_session() as (host, session):
            # The victim admits this side once it has read our Hello; a request's answer shows that it has.
            await session.write(frame(1, 0, OPTIONS["probe"], b""))
            await read_until(session, 2)
            stream = await host.new_stream(self.info.peer_id, [GOSSIP])
            return await is_cut_after(stream, message, 0.5)

    # Attacks before anybody knows who it is

    async def raw(self, *pieces: bytes) -> bool:
        stream = await trio.open_tcp_stream(self.ip, self.port)
        async with stream:
            try:
                for piece in pieces:
                    await stream.send_all(piece)
                with trio.fail_after(10):
                    while await stream.receive_some():
                        pass
            except trio.BrokenResourceError:
                return True
        return True

    async def garbage_on_tcp(self) -> bool:
        return await self.raw(os.urandom(1 << 16))

    async def huge_length_on_tcp(self) -> bool:
        return await self.raw(encode_uvarint(1 << 62), bytes(100))

    async def garbage_for_noise(self) -> bool:
        return await self.raw(b"\x13/multistream/1.0.0\n", b"\x07/noise\n", os.urandom(2000))

    async def many_connections(self) -> int:
        """Connects 300 times, one after the other."""
        for _ in range(300):
            await connect_once(self)
        return 300

    # Attacks by a peer

    async def many_streams(self) -> bool:
        """Opens streams and says nothing on them."""
        try:
            async with self.connected() as host:
                streams = [await host.get_network().new_stream(self.info.peer_id) for _ in range(40)]
                return await is_cut(streams[-1], 5.0)
        except Exception:  # cut off before all of them were open
            return True

    async def no_handshake(self) -> bool:
        async with self.greeted() as (_, stream):
            return await is_cut(stream, 10.0)

    async def garbage_handshake(self) -> bool:
        async with self.greeted() as (_, stream):
            return await is_cut_after(stream, os.urandom(3000), 5.0)

    async def handshake_that_raises(self) -> bool:
        async with self.greeted() as (_, stream):
            return await is_cut_after(stream, frame(0, 1, 0, b"raise"), 5.0)

    async def huge_length_in_session(self) -> bool:
        return await self.session_bytes(b"\xff\xff\xff\xff" + bytes(1000))

    async def frame_over_the_limit(self) -> bool:
        return await self.session_bytes((OPTIONS["largest"] + 65).to_bytes(4, "big") + bytes(2000))

    async def garbage_in_session(self) -> bool:
        return await self.session_bytes((40).to_bytes(4, "big") + b"\xc1" * 40)

    async def second_hello(self) -> bool:
        return await self.session_bytes(frame(0, 1, 0, b"again"))

    async def session_bytes(self, data: bytes) -> bool:
        async with self.in_session() as (_, stream):
            return await is_cut_after(stream, data, 5.0)

    async def refused_requests(self) -> list[str]:
        """Too large, of no known kind, one that raises, one that takes for ever: each is answered, none is fatal."""
        async with self.in_session() as (_, stream):
            await stream.write(
                frame(1, 0, 1, bytes(5000)) + frame(1, 1, 77, b"") + frame(1, 2, 3, b"") + frame(1, 3, 4, b"")
            )
            refusals = [await read_until(stream, 3) for _ in range(4)]
        return [reason for _, _, reason in sorted(refusals)]

    async def too_many_requests(self) -> list[str]:
        async with self.in_session() as (_, stream):
            await stream.write(b"".join(frame(1, number, 4, b"") for number in range(17)))
            _, number, reason = await read_until(stream, 3)
            return [str(number), reason]

    async def undecodable_rpc(self) -> bool:
        return await self.gossip(gossip_frame(b"\xff" * 100))

    async def huge_length_in_gossip(self) -> bool:
        return await self.gossip(encode_uvarint(1 << 34) + bytes(100))

    async def undecodable_key(self) -> bool:
        message = rpc_pb2.Message(
            data=b"x",
            topicIDs=[TOPIC],
            from_id=b"\x12\x20" + os.urandom(32),
            seqno=b"1",
            key=b"\xff\xff",
            signature=b"s",
        )
        return await self.gossip(gossip_frame(rpc_pb2.RPC(publish=[message]).SerializeToString()))

    async def gossip_that_raises(self) -> bool:
        return await self.gossip(self.signed(b"raise", 1))

    async def false_gossip(self) -> bool:
        return await self.gossip(self.signed(b"false", 1))

    async def flood(self) -> bool:
        """Far more messages than the budget allows, over some seconds."""
        try:
            async with self.in_session() as (host, session):
                await session.write(frame(1, 0, OPTIONS["probe"], b""))
                await read_until(session, 2)
                stream = await host.new_stream(self.info.peer_id, [GOSSIP])
                many = b"".join(self.signed(b"stale", number) for number in range(100))
                for _ in range(200):
                    await stream.write(many)
                return await is_cut(stream, 10.0)
        except Exception:  # cut off in the middle of it
            return True

    async def flood_of_topics(self) -> bool:
        control = rpc_pb2.ControlMessage(
            graft=[rpc_pb2.ControlGraft(topicID=f"/{number}") for number in range(2000)],
            prune=[rpc_pb2.ControlPrune(topicID=f"/{number}", backoff=1 << 40) for number in range(2000)],
        )
        return await self.gossip(gossip_frame(rpc_pb2.RPC(control=control).SerializeToString()))

    async def connect(self) -> bool:
        """No attack: whether it is let in."""
        try:
            with trio.fail_after(5):
                async with self.in_session():
                    return True
        except Exception:
            return False

    def signed(self, data: bytes, number: int) -> bytes:
        message = rpc_pb2.Message(
            data=data,
            topicIDs=[TOPIC],
            from_id=ID.from_pubkey(self.key.public_key).to_bytes(),
            seqno=number.to_bytes(8, "big"),
        )
        signature = self.key.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
        message.signature = signature
        return gossip_frame(rpc_pb2.RPC(publish=[message]).SerializeToString())


async def connect_once(attacker: Attacker) -> None:
    """TCP, noise and yamux, then gone without a word; returns when the other side has noticed."""
    noise = Noise(attacker.key, noise_privkey=create_new_x25519_key_pair().private_key)
    upgrader = TransportUpgrader({NOISE: noise}, {TProtocol(YAMUX): Yamux})
    tcp = TrioTCPStream(await trio.open_tcp_stream(attacker.ip, attacker.port))
    secured = await upgrader.upgrade_security(RawConnection(tcp, True), True, attacker.info.peer_id)
    await upgrader.upgrade_connection(secured, attacker.info.peer_id)
    await tcp.stream.send_eof()
    while await tcp.stream.receive_some():
        pass
    await tcp.close()


async def read_exactly(stream: INetStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def read_frame(stream: INetStream) -> list[Any]:
    with trio.fail_after(10):
        length = int.from_bytes(await read_exactly(stream, 4), "big")
        return list(msgpack.unpackb(await read_exactly(stream, length)))


async def read_until(stream: INetStream, kind: int) -> list[Any]:
    while True:
        fields = await read_frame(stream)
        if fields[0] == kind:
            return fields


async def is_cut_after(stream: INetStream, data: bytes, seconds: float) -> bool:
    """Whether the other side ends the stream in time once it is sent what breaks the rules: some of it, or all."""
    try:
        await stream.write(data)
    except Exception:
        return True
    return await is_cut(stream, seconds)


async def is_cut(stream: INetStream, seconds: float) -> bool:
    """Whether the other side ends the stream in time."""
    with trio.move_on_after(seconds):
        try:
            while await stream.read(1000):
                pass
        except Exception:
            return True
        return True
    return False


def say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Held:
    """What stays open until it is let go."""

    scope = trio.CancelScope()


async def hold_session(attacker: Attacker, held: Held) -> None:
    """A peer that shakes hands, reads, and never answers."""
    async with attacker.in_session() as (_, stream):
        say(event="holding")
        with held.scope:
            await is_cut(stream, 60)


async def hold_idle(attacker: Attacker, held: Held) -> None:
    """Two hundred TCP connections that say nothing."""
    streams = [await trio.open_tcp_stream(attacker.ip, attacker.port) for _ in range(200)]
    say(event="holding")
    with held.scope:
        await trio.sleep_forever()
    for stream in streams:
        await stream.aclose()


HOLDS: dict[str, Callable[[Attacker, Held], Awaitable[None]]] = {"session": hold_session, "idle": hold_idle}


async def main() -> None:
    say(event="ready")
    held = Held()
    buffer = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin, trio.open_nursery() as nursery:
        async for data in stdin:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                if command["do"] == "let go":
                    held.scope.cancel()
                    continue
                attacker = Attacker(command["seed"], command["address"])
                if command["do"] == "hold":
                    held.scope = trio.CancelScope()
                    nursery.start_soon(HOLDS[command["what"]], attacker, held)
                    continue
                try:
                    result = await getattr(attacker, command["name"])()
                except Exception as error:
                    result = "".join(traceback.format_exception(error))
                say(event="done", name=command["name"], result=result)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
