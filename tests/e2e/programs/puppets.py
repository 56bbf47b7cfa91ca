"""Peers that say what they are told to, true or not: real sessions and gossip, each under an identity of its own."""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from node.sync.messages import BLOCKS, HEADERS, KINDS, decode_blocks, encode_blocks, encode_headers
from p2p.config import NetworkConfig, Timing
from p2p.host import Libp2pNetwork
from p2p.network import NetworkError, PeerId, PeerInfo, Topic, Verdict


def say(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Puppet:
    """One identity."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.seed = command["seed"]
        self.greeting = bytes.fromhex(command["handshake"])
        self.answers: dict[str, str] = command["answers"]
        self.after = bytes.fromhex(command.get("after", ""))
        config = NetworkConfig(
            genesis=bytes.fromhex(command["genesis"]),
            node_key=bytes.fromhex(self.seed),
            listen_addresses=("/ip4/127.0.0.1/tcp/0",),
            bootnodes=(command["address"],),
            mdns=False,
            # It comes back only if it is told to.
            timing=Timing(dial_backoff=600.0, dial_backoff_limit=600.0, handler=600.0),
            out_peers=1,
            kinds=KINDS,
        )
        self.network = Libp2pNetwork(config)
        self.scope = trio.CancelScope()

    def say(self, event: str, **fields: Any) -> None:
        say(event, seed=self.seed, **fields)

    def handshake(self) -> bytes:
        return self.greeting

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        self.say("peer", peer=peer.peer_id, handshake=their_handshake.hex())

    def on_peer_gone(self, peer: PeerId) -> None:
        self.say("gone", peer=peer)

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        """Answer as told for this kind, or never; with blocks that follow `after` only if that is asked for."""
        self.say("request", kind=kind)
        if kind == HEADERS.code and (blocks := self.answers.get(str(BLOCKS.code))) is not None:
            # What it says of blocks it says of their headers.
            if self.after not in payload:
                return encode_headers([])
            return encode_headers(block.header.encode() for block in decode_blocks(bytes.fromhex(blocks)))
        answer = self.answers.get(str(kind))
        if answer is None:
            await trio.sleep_forever()
        if kind == BLOCKS.code and self.after not in payload:
            return encode_blocks([])
        return bytes.fromhex(answer)

    async def run(self) -> None:
        with self.scope:
            await self.network.run(self)

    async def publish(self, topic: Topic, payload: bytes) -> None:
        """Publish once somebody is there to hear it."""
        while not self._has_mesh(topic):  # noqa: ASYNC110 - libp2p tells nobody of its mesh
            await trio.sleep(0.05)
        self.network.publish(topic, payload)
        self.say("published")

    def _has_mesh(self, topic: Topic) -> bool:
        gossip = self.network._gossip
        return gossip is not None and bool(gossip.router.mesh.get(self.network._topic_names[topic]))

    async def ask(self, kind: int, payload: bytes) -> None:
        (peer,) = self.network.peers()
        try:
            answer = await self.network.request(peer.peer_id, kind, payload, deadline=10.0)
        except NetworkError as error:
            self.say("answer", error=type(error).__name__, message=str(error))
        else:
            self.say("answer", payload=answer.hex())


class Puppets:
    """All of them, and what they are told: a line of JSON each."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._puppets: dict[str, Puppet] = {}

    async def do_join(self, command: dict[str, Any]) -> None:
        puppet = self._puppets[command["seed"]] = Puppet(command)
        self._nursery.start_soon(puppet.run)

    async def do_leave(self, command: dict[str, Any]) -> None:
        self._puppets.pop(command["seed"]).scope.cancel()

    async def do_publish(self, command: dict[str, Any]) -> None:
        await self._puppets[command["seed"]].publish(Topic(command["topic"]), bytes.fromhex(command["payload"]))

    async def do_ask(self, command: dict[str, Any]) -> None:
        await self._puppets[command["seed"]].ask(command["kind"], bytes.fromhex(command["payload"]))


async def main() -> None:
    buffer = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin, trio.open_nursery() as nursery:
        puppets = Puppets(nursery)
        say("ready")
        async for data in stdin:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                do: Callable[[dict[str, Any]], Awaitable[None]] = getattr(puppets, f"do_{command['do']}")
                nursery.start_soon(do, command)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
