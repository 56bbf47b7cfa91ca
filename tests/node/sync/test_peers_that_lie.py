"""What a node makes of announcements that nobody may make, and of peers that claim what they have not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import trio
from trio.testing import MockClock

from node.chain_writer import ChainWriter
from node.executor import InlineExecutor
from node.head_follower import HeadFollower
from node.pool import TransactionPool
from node.ring import claim_digest, read_claim, seal, slot_start, unsealed
from node.signatures import VerifiedSignatures
from node.sync.blocks import BlockExchange
from node.sync.catch_up import CatchUp
from node.sync.messages import BLOCKS, Announcement, BlocksRequest, Handshake, encode_blocks
from node.sync.peers import PeerStates
from p2p.network import Misbehaviour, Network, PeerGone, PeerId, Refused, TimedOut, Topic, Verdict
from runtime.header import Block, encode_body
from runtime.interface.errors import InvalidBlock
from runtime.primitives import BlockNumber, BlockRef, Hash, Slot
from tests.support.ring_nodes import GENESIS_SLOT, RingNode
from tests.support.small_chain import PAIRS, submit_rating

HONEST, LIAR = PeerId("honest"), PeerId("liar")
NOWHERE = BlockRef(BlockNumber(1_000_000), Hash(b"\x77" * 32))

Answer = Callable[[bytes, float], Awaitable[bytes]]


@dataclass
class Wire(Network):
    """Peers that answer requests for blocks, and what they are blamed for."""

    answers: dict[PeerId, Answer] = field(default_factory=dict)
    asked: list[PeerId] = field(default_factory=list)
    blamed: list[tuple[PeerId, Misbehaviour]] = field(default_factory=list)

    def publish(self, topic: Topic, payload: bytes) -> None:
        return

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self.blamed.append((peer, misbehaviour))

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        self.asked.append(peer)
        if kind != BLOCKS.code or peer not in self.answers:
            raise PeerGone("nobody")
        return await self.answers[peer](payload, deadline)


@dataclass
class Node:
    """The parts of a node that follow others."""

    ring: RingNode = field(default_factory=RingNode)
    wire: Wire = field(default_factory=Wire)
    peers: PeerStates = field(default_factory=PeerStates)
    catch_up: CatchUp = field(init=False)
    blocks: BlockExchange = field(init=False)
    was_active: list[tuple[bool, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        chain, pool, signatures = self.ring.chain, TransactionPool(), VerifiedSignatures()
        follower = HeadFollower(chain, pool, signatures, lambda event: None)
        writer = ChainWriter(chain, InlineExecutor(), signatures, follower)

        def clock() -> int:
            return slot_start(Slot(GENESIS_SLOT + 1_000), self.ring.spec.slot_duration)

        def on_change(is_active: bool) -> None:
            self.was_active.append((is_active, trio.current_time()))

        self.catch_up = CatchUp(chain, writer, self.wire, self.peers, clock, on_change)
        self.blocks = BlockExchange(chain, pool, writer, self.wire, self.peers, self.catch_up, clock)

    def judge(self, *blocks: Block) -> list[Verdict]:
        """The verdicts on blocks that are announced one after the other and not executed yet."""

        async def main() -> list[Verdict]:
            payloads = [Announcement(block.header, block.extrinsics, ()).encode() for block in blocks]
            return [await self.blocks.on_gossip(payload, HONEST) for payload in payloads]

        return trio.run(main, clock=MockClock(autojump_threshold=0))


def by_a_stranger(block: Block) -> Block:
    """The block as somebody outside the ring would seal it."""
    slot = read_claim(block.header).slot
    header = replace(unsealed(block.header), digest=claim_digest(slot, PAIRS["Eve"].public))
    return Block(seal(header, RingNode().chain.genesis, PAIRS["Eve"]), block.extrinsics)


def test_a_stranger_may_go_on_from_no_block() -> None:
    maker, node = RingNode(), Node()
    block = maker.block(1)
    assert node.judge(by_a_stranger(block), block) == [Verdict.REJECT, Verdict.ACCEPT]


def test_a_stranger_may_not_go_on_from_a_side_block() -> None:
    other, maker, node = RingNode(), RingNode(), Node()
    node.ring.take(other.block(1), other.block(3), maker.block(2))
    block = maker.block(4)
    assert node.ring.head == other.head
    assert node.judge(by_a_stranger(block), block) == [Verdict.REJECT, Verdict.ACCEPT]


def test_what_goes_on_from_a_block_without_its_state_is_not_passed_on() -> None:
    maker, old, node = RingNode(), RingNode(), Node(RingNode(pruning=2))
    first = maker.block(1)
    old.take(first)
    node.ring.take(first, *(maker.block(slot) for slot in range(2, 9)))
    block = old.block(9)
    assert node.ring.chain.state_after(first.header.hash()) is None
    assert node.judge(by_a_stranger(block), block) == [Verdict.IGNORE, Verdict.IGNORE]


def test_a_parent_that_waits_to_be_executed_is_good_for_members_only() -> None:
    maker, node = RingNode(), Node()
    parent, child = maker.block(1), maker.block(2)
    assert node.judge(parent, by_a_stranger(child), child) == [Verdict.ACCEPT, Verdict.IGNORE, Verdict.ACCEPT]


def test_what_was_found_invalid_is_rejected_from_then_on() -> None:
    maker, node = RingNode(), Node()
    block = maker.block(1)
    header = replace(unsealed(block.header), state_root=Hash(bytes(32)))
    false = Block(seal(header, maker.chain.genesis, PAIRS["Charlie"]), block.extrinsics)
    assert node.judge(false) == [Verdict.ACCEPT]
    with pytest.raises(InvalidBlock):
        node.ring.take(false)
    assert node.judge(false) == [Verdict.REJECT]


# Catching up


def chain_of(length: int) -> list[Block]:
    maker = RingNode()
    return [maker.block(1, ("Alice", submit_rating(0, 3))), *(maker.block(slot) for slot in range(2, length + 1))]


def serve(blocks: list[Block]) -> Answer:
    async def answer(payload: bytes, deadline: float) -> bytes:
        names = [block.header.hash() for block in blocks]
        known = [names.index(place) + 1 for place in BlocksRequest.decode(payload).locator if place in names]
        rest = blocks[max(known, default=0) :]
        return encode_blocks((block.header.encode(), encode_body(block.extrinsics)) for block in rest)

    return answer


async def never(payload: bytes, deadline: float) -> bytes:
    await trio.sleep(deadline)
    raise TimedOut("nothing")


async def refuse(payload: bytes, deadline: float) -> bytes:
    raise Refused("no")


def follow(node: Node, seconds: float, claims: dict[PeerId, BlockRef]) -> None:
    """Let a node catch up with peers for so long, in virtual time."""
    genesis = BlockRef(BlockNumber(0), node.ring.chain.genesis)

    async def main() -> None:
        for peer, best in claims.items():
            node.peers.add(peer, Handshake(best, genesis))
        node.catch_up.look()
        with trio.move_on_after(seconds):
            await node.catch_up.run()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_no_silent_peer_keeps_a_node_from_making_blocks() -> None:
    """After the honest peer the liars are asked: the node has caught up as far as anybody can tell."""
    blocks, node = chain_of(8), Node()
    head = BlockRef(BlockNumber(8), blocks[-1].header.hash())
    liars = {PeerId(f"liar {number}"): never for number in range(4)}
    node.wire.answers = {HONEST: serve(blocks), **liars}
    follow(node, 200.0, {**dict.fromkeys(liars, NOWHERE), HONEST: head})
    assert node.ring.head == head.hash
    (began, _), (ended, when) = node.was_active
    assert (began, ended) == (True, False)
    # Each liar costs its deadline once; then the honest one comes first.
    assert when <= 4 * 15.0
    assert len(node.wire.asked) > len(liars) + 2


def test_a_peer_that_has_failed_is_asked_after_the_others() -> None:
    blocks, node = chain_of(8), Node()
    node.wire.answers = {LIAR: never, HONEST: serve(blocks[:4])}
    follow(node, 60.0, {LIAR: NOWHERE})
    assert set(node.wire.asked) == {LIAR}
    node.wire.asked.clear()
    node.peers.find(LIAR).useless_until = float("-inf")  # type: ignore[union-attr]
    follow_on = BlockRef(BlockNumber(4), blocks[3].header.hash())
    genesis = BlockRef(BlockNumber(0), node.ring.chain.genesis)

    async def main() -> None:
        node.peers.add(HONEST, Handshake(follow_on, genesis))
        node.catch_up.look()
        with trio.move_on_after(1.0):
            await node.catch_up.run()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert node.wire.asked[0] == HONEST
    assert node.ring.head == follow_on.hash


@pytest.mark.parametrize(
    ("answer", "blame"),
    [
        (serve([]), Misbehaviour.USELESS),
        (refuse, Misbehaviour.USELESS),
        (serve(chain_of(3)[1:]), Misbehaviour.BAD_RESPONSE),
    ],
    ids=["nothing", "a refusal", "blocks that follow nothing"],
)
def test_a_peer_that_does_not_have_what_it_claims(answer: Answer, blame: Misbehaviour) -> None:
    node = Node()
    node.wire.answers = {LIAR: answer}
    follow(node, 1.0, {LIAR: NOWHERE})
    assert node.wire.blamed == [(LIAR, blame)]
    assert node.was_active == []
