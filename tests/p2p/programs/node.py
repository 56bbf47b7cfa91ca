"""A node that is nothing but its network: takes commands as JSON lines on stdin, says what happens on stdout.

A program of its own since libp2p leaves sockets to the garbage collector, which a test run takes for a defect.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from p2p.config import NetworkConfig, Rate, Timing
from p2p.gossip import Batcher, split
from p2p.host import Libp2pNetwork
from p2p.network import (
    AddressInUse,
    Misbehaviour,
    NetworkError,
    PeerId,
    PeerInfo,
    Refuse,
    RequestKind,
    Topic,
    Verdict,
)
from p2p.peers import JsonRecords

ECHO, MISSING, RAISE, SLEEP, LARGE = 1, 2, 3, 4, 5
KINDS = (
    RequestKind(ECHO, "echo", 4096, 4096),
    RequestKind(MISSING, "missing", 1_000_000, 4_000_000),
    RequestKind(RAISE, "raise", 100, 100),
    RequestKind(SLEEP, "sleep", 100, 100),
    RequestKind(LARGE, "large", 100, 1_000_000),
)


def say(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Node:
    """Answers requests, remembers transactions, and misbehaves on demand."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        timing = replace(Timing(dial_backoff=0.2, dial_backoff_limit=2.0), **options.get("timing", {}))
        config = NetworkConfig(
            genesis=bytes.fromhex(options.get("genesis", "aa" * 32)),
            node_key=bytes.fromhex(options["seed"]),
            listen_addresses=tuple(options.get("listen", ["/ip4/127.0.0.1/tcp/0"])),
            bootnodes=tuple(options.get("bootnodes", [])),
            mdns=options.get("mdns", False),
            kinds=KINDS,
            timing=timing,
            **{name: Rate(*rate) for name, rate in options.get("rates", {}).items()},
            **options.get("limits", {}),
        )
        records = JsonRecords(Path(options["records"])) if "records" in options else None
        self.network = Libp2pNetwork(config, records=records)
        self.transactions: set[bytes] = set()
        self.batcher = Batcher(lambda batch: self.network.publish(Topic.TRANSACTIONS, batch))

    # NetworkHandler

    def handshake(self) -> bytes:
        return self.options.get("handshake", "hello").encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        if their_handshake == b"refuse me":
            raise Refuse("not you")
        if their_handshake == b"raise":
            raise RuntimeError("a defect in on_peer")
        say("peer", peer=peer.peer_id, outbound=peer.outbound, handshake=their_handshake.decode("latin-1"))

    def on_peer_gone(self, peer: PeerId) -> None:
        say("gone", peer=peer)

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        if topic is Topic.TRANSACTIONS:
            self.transactions.update(split(payload))
            return Verdict.ACCEPT
        if payload == b"raise":
            raise RuntimeError("a defect in on_gossip")
        if payload == b"hang":
            say("hanging", peer=from_peer)
            await trio.sleep_forever()
        say("gossip", topic=topic, size=len(payload), start=payload[:32].hex(), peer=from_peer)
        return {b"false": Verdict.REJECT, b"stale": Verdict.IGNORE}.get(payload[:5], Verdict.ACCEPT)

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        if kind == ECHO:
            if payload == b"refuse":
                raise Refuse("no such block")
            return payload
        if kind == MISSING:
            has = {payload[at : at + 8] for at in range(0, len(payload), 8)}
            return b"".join(
                len(one).to_bytes(4, "big") + one for one in sorted(self.transactions) if one[:8] not in has
            )
        if kind == RAISE:
            raise RuntimeError("a defect in on_request")
        if kind == SLEEP:
            await trio.sleep_forever()
        return bytes(int.from_bytes(payload, "big"))

    # Commands

    async def do_status(self, command: dict[str, Any]) -> None:
        say("status", peers=[peer.peer_id for peer in self.network.peers()], faults=dict(self.network.fault_counts))

    async def do_publish(self, command: dict[str, Any]) -> None:
        self.network.publish(Topic(command["topic"]), bytes.fromhex(command["payload"]) * command.get("times", 1))

    async def do_request(self, command: dict[str, Any]) -> None:
        payload = bytes.fromhex(command.get("payload", ""))
        try:
            answer = await self.network.request(
                PeerId(command["peer"]), command["kind"], payload, deadline=command.get("deadline", 10)
            )
        except NetworkError as error:
            say("answer", error=type(error).__name__, message=str(error))
        else:
            say("answer", size=len(answer), start=answer[:32].hex())

    async def do_report(self, command: dict[str, Any]) -> None:
        self.network.report(PeerId(command["peer"]), Misbehaviour(command["misbehaviour"]), "by command")

    async def do_disconnect(self, command: dict[str, Any]) -> None:
        self.network.disconnect(PeerId(command["peer"]))

    async def do_load(self, command: dict[str, Any]) -> None:
        """Makes transactions at a steady rate; `start` keeps those of different nodes apart."""
        start = trio.current_time()
        for number in range(command["count"]):
            transaction = (command["start"] + number).to_bytes(8, "big") + bytes(192)
            self.transactions.add(transaction)
            self.batcher.add(transaction)
            if number % 20 == 19:
                await trio.sleep_until(start + number / command["rate"])
        say("loaded")

    async def do_reconcile(self, command: dict[str, Any]) -> None:
        """Asks every peer for what is missing here, as a node does when a peer connects."""
        before = len(self.transactions)
        for peer in self.network.peers():
            have = b"".join(one[:8] for one in self.transactions)
            answer = await self.network.request(peer.peer_id, MISSING, have, deadline=30)
            self.transactions.update(split(answer))
        say("reconciled", before=before, count=len(self.transactions))

    async def commands(self, scope: trio.CancelScope) -> None:
        buffer = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin, trio.open_nursery() as nursery:
            async for data in stdin:
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    command = json.loads(line)
                    do: Callable[[dict[str, Any]], Awaitable[None]] = getattr(self, f"do_{command['do']}")
                    nursery.start_soon(do, command)
        scope.cancel()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._network)
            say("ready", peer=self.network.local_peer_id, addresses=list(self.network.listen_addresses()))
            nursery.start_soon(self.batcher.run)
            nursery.start_soon(self.commands, nursery.cancel_scope)
        say("stopped", faults=dict(self.network.fault_counts))

    async def _network(self, task_status: Any) -> None:
        await self.network.run(self, task_status=task_status)


def main() -> None:
    node = Node(json.loads(sys.argv[1]))
    try:
        node.network.bind()
    except AddressInUse as error:
        say("in use", message=error.strerror)
        sys.exit(4)
    trio.run(node.run)


if __name__ == "__main__":
    main()
