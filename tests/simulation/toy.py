"""The smallest node that has something to lose: each second it makes an item, and it collects everybody's items.

An item is stored and synced before anybody hears of it; so an author never gives a number to two items. Those of others
need no sync, since they can be asked for again.
"""

from collections import Counter
from dataclasses import dataclass

import trio

from p2p.network import Network, NetworkError, PeerId, PeerInfo, Refuse, RequestKind, Topic, Verdict
from storage.kv import KeyValueStore
from tests.simulation.world import MakeNode, World

MISSING = 1
KINDS = (RequestKind(MISSING, "missing", 1024, 1_000_000),)
_KEY = 5
_ITEM = _KEY + 8


@dataclass(frozen=True, slots=True)
class Rules:
    """How careful a toy node is."""

    syncs_first: bool = True
    asks: bool = True


class ToyNode:
    """Makes items, passes items on, asks for what it missed."""

    def __init__(self, world: World, index: int, rules: Rules) -> None:
        self.world, self.index, self.rules = world, index, rules
        self.store: KeyValueStore = world.disk(index).open()
        self.items = dict(self.store.items(b""))
        self.counts = Counter(key[0] for key in self.items)
        self.conflicts: list[bytes] = []
        self.rng = world.rng(f"toy {index} {world.disk(index).writes}")
        self.network: Network | None = None
        self.nursery: trio.Nursery | None = None

    async def run(self, network: Network) -> None:
        self.network = network
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            await nursery.start(lambda task_status: network.run(self, task_status=task_status))
            nursery.start_soon(self._ask_forever)
            while True:
                await trio.sleep(1 - self.world.clock(self.index)() % 1000 / 1000)
                self._make()

    def _make(self) -> None:
        assert self.network is not None
        key = bytes([self.index]) + (self.counts[self.index] + 1).to_bytes(4, "big")
        content = self.rng.randbytes(8)
        self._keep(key, content, sync=self.rules.syncs_first)
        self.network.publish(Topic.BLOCKS, key + content)

    def _keep(self, key: bytes, content: bytes, *, sync: bool) -> None:
        self.store.write([(key, content)], sync=sync)
        self.items[key] = content
        self.counts[key[0]] += 1

    def _take(self, item: bytes) -> Verdict:
        key, content = item[:_KEY], item[_KEY:]
        known = self.items.get(key)
        if known is None:
            self._keep(key, content, sync=False)
            self.world.note(self.index, "has", len(self.items))
            return Verdict.ACCEPT
        if known != content:
            self.conflicts.append(key)
        return Verdict.IGNORE

    async def _ask_forever(self) -> None:
        while self.rules.asks:
            await trio.sleep(2)
            assert self.network is not None
            if peers := self.network.peers():
                await self._ask(self.rng.choice(peers).peer_id)

    async def _ask(self, peer: PeerId) -> None:
        assert self.network is not None
        have = bytes(self.counts[author] & 0xFF for author in range(16))
        try:
            answer = await self.network.request(peer, MISSING, have, deadline=5)
        except NetworkError:
            return
        for at in range(0, len(answer), _ITEM):
            self._take(answer[at : at + _ITEM])

    # NetworkHandler

    def handshake(self) -> bytes:
        return b"toy"

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        if their_handshake != b"toy":
            raise Refuse("no toy")

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        if len(payload) != _ITEM:
            return Verdict.REJECT
        await trio.sleep(0.001)
        return self._take(payload)

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        # An author whose count is the same there has nothing to add.
        return b"".join(
            key + content
            for key, content in sorted(self.items.items())
            if self.counts[key[0]] & 0xFF != payload[key[0]]
        )


def toys(rules: Rules | None = None) -> MakeNode:
    """A factory of toy nodes with those rules."""
    return lambda world, index: ToyNode(world, index, rules or Rules())


def no_conflicts(world: World) -> None:
    """No author has given one number to two items."""
    for index, node in world.nodes():
        assert isinstance(node, ToyNode)
        assert not node.conflicts, f"node {index} has seen two items {node.conflicts[0].hex()}"


def same_items(world: World) -> None:
    """All have the same items, but for those of the last seconds."""
    nodes = [node for _, node in world.nodes() if isinstance(node, ToyNode)]
    for author in range(len(nodes)):
        counts = [node.counts[author] for node in nodes]
        assert max(counts) - min(counts) <= 1, f"items of node {author} at each node: {counts}"
        assert min(counts) > 0
