"""One node's side of the exchange with peers, over a network that answers as a test says, in virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
import trio.testing

from node.chain_writer import ChainWriter
from node.executor import InlineExecutor
from node.head_follower import HeadFollower
from node.pool import TransactionPool
from node.signatures import VerifiedSignatures
from node.sync.answers import Answers
from node.sync.blocks import BlockExchange
from node.sync.catch_up import CatchUp
from node.sync.messages import (
    BLOCKS,
    HEADERS,
    MAX_BLOCKS,
    BlocksRequest,
    Handshake,
    HeadersRequest,
    decode_blocks,
    encode_headers,
)
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, PeerId, Topic
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash
from tests.support.ring_nodes import GENESIS_SLOT, RingNode

Answer = Callable[[PeerId, int, bytes, float], Awaitable[bytes]]


@dataclass
class FakeNetwork:
    """What an exchange asks of a network."""

    answer: Answer
    asked: list[tuple[PeerId, int]] = field(default_factory=list)
    reports: list[tuple[PeerId, Misbehaviour]] = field(default_factory=list)
    published: list[tuple[Topic, bytes]] = field(default_factory=list)

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        self.asked.append((peer, kind))
        if kind == HEADERS.code:
            # Whoever answers, truly or not, with blocks gives their headers as well.
            request = HeadersRequest.decode(payload)
            request_for_blocks = BlocksRequest(request.locator, min(request.most, MAX_BLOCKS)).encode()
            blocks = decode_blocks(await self.answer(peer, BLOCKS.code, request_for_blocks, deadline))
            return encode_headers(block.header.encode() for block in blocks)
        return await self.answer(peer, kind, payload, deadline)

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self.reports.append((peer, misbehaviour))

    def publish(self, topic: Topic, payload: bytes) -> None:
        self.published.append((topic, payload))


class Exchange:
    """A node that exchanges blocks with peers which a test plays."""

    def __init__(self, node: RingNode, answer: Answer, slot: int = 1_000) -> None:
        """The clock stands at the beginning of a slot, relative to block 0's, and goes on with trio's."""
        self.node = node
        self.network = FakeNetwork(answer)
        self.peers = PeerStates()
        self.pool = TransactionPool()
        self.changes: list[bool] = []
        executor, signatures = InlineExecutor(), VerifiedSignatures()
        follower = HeadFollower(node.chain, self.pool, signatures, lambda _event: None)
        writer = ChainWriter(node.chain, executor, signatures, follower)
        duration = node.spec.slot_duration

        def clock() -> int:
            return (GENESIS_SLOT + slot) * duration + 5 + int(trio.current_time() * 1_000)

        network: object = self.network
        self.catch_up = CatchUp(node.chain, writer, network, self.peers, clock, self.changes.append)  # type: ignore[arg-type]
        self.blocks = BlockExchange(
            node.chain,
            self.pool,
            writer,
            network,
            self.peers,
            self.catch_up,
            clock,  # type: ignore[arg-type]
        )
        self.answers = Answers(node.chain, self.pool, executor, self.blocks.assembled)

    def meet(self, name: str, number: int = 0, block: Hash = ZERO_HASH) -> PeerId:
        """A peer says that this is its best block."""
        peer = PeerId(name)
        self.peers.add(peer, Handshake(BlockRef(BlockNumber(number), block), BlockRef(BlockNumber(0), block)))
        return peer


async def answers_of(node: RingNode, kind: int, payload: bytes) -> bytes:
    """What an honest peer with that chain answers."""
    answers = Answers(node.chain, TransactionPool(), InlineExecutor(), lambda _block: None)
    assert kind in (BLOCKS.code, 2)
    return await answers.to(kind, payload)


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait in virtual time until something holds; when that was."""
    deadline = trio.current_time() + seconds
    while not condition():
        assert trio.current_time() < deadline, f"not within {seconds} s"
        await trio.sleep(0.5)
    return trio.current_time()
