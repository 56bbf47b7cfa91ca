"""Peers without a chain, which come, say hello and go, one after the other: what a node takes for many short visits."""

import secrets
from collections.abc import Sequence
from multiprocessing.synchronize import Event
from random import Random
from typing import Any, Final

import trio

from node.sync.messages import KINDS, Handshake
from p2p.config import NetworkConfig
from p2p.host import Libp2pNetwork
from p2p.network import PeerId, PeerInfo, Refuse, Topic, Verdict
from runtime.primitives import BlockNumber, BlockRef, Hash

_PATIENCE: Final = 10.0
_STAY: Final = 0.5
_REGULARS: Final = 20
"""Identities that come back; every other visitor has never been seen before."""


class _Visitor:
    """Has nothing and wants nothing."""

    def __init__(self, genesis: Hash) -> None:
        self.greeted = trio.Event()
        self._genesis = BlockRef(BlockNumber(0), genesis)

    def handshake(self) -> bytes:
        return Handshake(self._genesis, self._genesis).encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        self.greeted.set()

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        raise Refuse("a visitor has nothing")


async def _visit(genesis: Hash, seed: bytes, boot: Sequence[str]) -> bool:
    """Come and go; tell whether anybody was at home."""
    config = NetworkConfig(
        genesis=genesis,
        node_key=seed,
        listen_addresses=("/ip4/127.0.0.1/tcp/0",),
        bootnodes=tuple(boot),
        mdns=False,
        kinds=KINDS,
    )
    visitor = _Visitor(genesis)
    with trio.move_on_after(_PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(Libp2pNetwork(config).run, visitor)
            await visitor.greeted.wait()
            await trio.sleep(_STAY)
            nursery.cancel_scope.cancel()
    return visitor.greeted.is_set()


def visit_again_and_again(genesis: bytes, boot: Sequence[str], pause: float, ended: Event, counts: Any) -> None:
    """Let one visitor after the other come until the end; `counts` gets how many came, and how many found nobody."""
    draw = Random(5)  # noqa: S311 - no secret
    while not ended.wait(pause):
        regular = draw.randrange(2 * _REGULARS)
        seed = regular.to_bytes(32) if regular < _REGULARS else secrets.token_bytes(32)
        was_greeted = trio.run(_visit, Hash(genesis), seed, boot)
        counts[0] += 1
        counts[1] += not was_greeted
