"""What the simulated network itself costs: nodes that accept everything and do nothing.

python -m tests.simulation.overhead
"""

import sys
import time

import trio

from p2p.network import Network, PeerId, PeerInfo, RequestKind, Topic, Verdict
from tests.simulation.world import World

KINDS = (RequestKind(1, "echo", 100, 100),)
SLOTS, MESSAGES = 60, 4
"""Two seconds each, and so many gossip messages in each; one request of each node too."""


class IdleNode:
    """Publishes in its turn, asks, answers."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index

    async def run(self, network: Network) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: network.run(self, task_status=task_status))
            slot = 0
            while True:
                await trio.sleep_until(slot * 2)
                if slot % 7 == self.index:
                    for _ in range(MESSAGES):
                        network.publish(Topic.BLOCKS, bytes(300))
                for peer in network.peers()[:1]:
                    await network.request(peer.peer_id, 1, b"", deadline=10)
                slot += 1

    def handshake(self) -> bytes:
        return b""

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        return

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.ACCEPT

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        return payload


def main() -> None:
    for nodes in (3, 5, 7):
        start = time.process_time()
        runs = 10
        messages = events = 0
        for seed in range(runs):
            world = World(seed, IdleNode, nodes=nodes, kinds=KINDS)
            world.run(2.0 * SLOTS)
            messages += world.medium.delivered
            events += world.events
        spent = time.process_time() - start
        sys.stdout.write(
            f"{nodes} nodes, {SLOTS} slots: {spent / runs:.3f} s of processor a run, {messages // runs} messages,"
            f" {messages / spent:.0f} messages/s, {events / spent:.0f} events/s\n"
        )


if __name__ == "__main__":
    main()
