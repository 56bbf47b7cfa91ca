"""Peers that lie, against nodes in virtual time: the honest ones go on, nobody is blamed for another's lies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgpack
import pytest
import trio

from node.ring import claim_digest, seal, slot_at, turn_of
from node.sync.messages import (
    BLOCKS,
    BODY,
    HEADERS,
    KINDS,
    Announcement,
    Handshake,
    MessageError,
    decode_blocks,
    encode_blocks,
    encode_headers,
)
from p2p.gossip import join
from p2p.network import Misbehaviour, Network, NetworkHandler, PeerId, PeerInfo, Refuse, Refused, Topic, Verdict
from pallets.producers.storage import RING
from runtime.header import Block, encode_body
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, blake2b_256
from runtime.trie import ordered_root
from tests.simulation.nodes import MEMBERS, SLOT, SimulatedNode, all_on_one_chain, ratings_now_and_then, spec_of
from tests.simulation.world import World

pytestmark = pytest.mark.full

HONEST = 3
SECONDS = 30.0
NOWHERE = Hash(b"\xee" * 32)


@dataclass
class Liar(NetworkHandler):
    """A peer whose answers are whatever a test wants; it has an honest node's chain to lie about."""

    world: World
    answer: Callable[["Liar", int, bytes], Awaitable[bytes]]
    best: BlockRef = field(default_factory=lambda: BlockRef(BlockNumber(0), NOWHERE))
    network: Network = field(init=False)
    asked: list[int] = field(default_factory=list)

    async def run(self, network: Network) -> None:
        self.network = network
        await network.run(self)

    def handshake(self) -> bytes:
        return Handshake(self.best, BlockRef(BlockNumber(0), NOWHERE)).encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        return

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        self.asked.append(kind)
        if kind != HEADERS.code:
            return await self.answer(self, kind, payload)
        # What it says of blocks it says of their headers.
        answer = await self.answer(self, BLOCKS.code, payload)
        try:
            return encode_headers(block.header.encode() for block in decode_blocks(answer))
        except MessageError:
            return answer


async def refuse(_liar: Liar, _kind: int, _payload: bytes) -> bytes:
    raise Refuse("no")


def world_with(answer: Callable[[Liar, int, bytes], Awaitable[bytes]] = refuse, *, best: int = 0) -> World:
    """Three honest producers and a liar, who says that its best block is that high."""
    spec = spec_of(HONEST)

    def make(world: World, index: int) -> SimulatedNode | Liar:
        if index < HONEST:
            return SimulatedNode(world, index, spec)
        return Liar(world, answer, BlockRef(BlockNumber(best), NOWHERE))

    return World(4, make, nodes=HONEST + 1, kinds=KINDS)


def liar_of(world: World) -> Liar:
    liar = world.node(HONEST)
    assert isinstance(liar, Liar)
    return liar


def honest(world: World, index: int = 0) -> SimulatedNode:
    node = world.node(index)
    assert isinstance(node, SimulatedNode)
    return node


def honest_go_on(world: World) -> None:
    """No slot was lost after the first ones, and all honest nodes agree."""
    heads = [honest(world, index).best for index in range(HONEST)]
    assert max(head.number for head in heads) - min(head.number for head in heads) <= 1
    assert min(head.number for head in heads) >= SECONDS * 1_000 / SLOT - 5
    lowest = BlockNumber(min(head.number for head in heads))
    assert len({honest(world, index).chain.database.hash_at(lowest) for index in range(HONEST)}) == 1


def play(world: World, story: Callable[[World, Liar], Awaitable[None]] | None = None) -> set[Misbehaviour]:
    """Run; return what the liar was blamed for, and see that nobody else was blamed for anything."""

    async def both(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ratings_now_and_then, world, SECONDS * 0.7, 2.0)
            if story is not None:
                await trio.sleep(9.5)
                await story(world, liar_of(world))

    world.run(SECONDS, story=both, at_end=[honest_go_on])
    blamed = [(event[3], Misbehaviour(str(event[4]))) for event in world.trace if event[1] == "report"]
    assert {who for who, _ in blamed} <= {HONEST}
    return {what for _, what in blamed}


def test_a_peer_that_says_it_is_ahead_and_gives_nothing() -> None:
    async def nothing(_liar: Liar, _kind: int, _payload: bytes) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    world = world_with(nothing, best=2**32 - 1)
    assert play(world) == {Misbehaviour.SLOW}


def test_a_peer_that_says_it_is_ahead_and_refuses() -> None:
    world = world_with(best=1_000_000)
    assert play(world) == set()


def test_a_peer_that_says_it_is_ahead_and_has_nothing_to_show() -> None:
    async def empty(_liar: Liar, kind: int, _payload: bytes) -> bytes:
        return encode_blocks([]) if kind == BLOCKS.code else b""

    world = world_with(empty, best=1_000_000)
    assert play(world) == set()


@pytest.mark.parametrize(
    "answer",
    [b"", b"\xc1", msgpack.packb([[b"x", b"y"]]), msgpack.packb(7)],
    ids=["nothing", "no msgpack", "no header", "no list"],
)
def test_answers_that_do_not_decode(answer: bytes) -> None:
    async def garbage(_liar: Liar, _kind: int, _payload: bytes) -> bytes:
        return answer

    world = world_with(garbage, best=1_000_000)
    assert Misbehaviour.BAD_RESPONSE in play(world)


def pairs(blocks: list[Block]) -> bytes:
    return encode_blocks([(block.header.encode(), encode_body(block.extrinsics)) for block in blocks])


def chain_of(world: World) -> list[Block]:
    """The blocks that the honest nodes have so far."""
    chain = honest(world).chain
    names = [chain.database.hash_at(BlockNumber(number)) for number in range(1, honest(world).best.number + 1)]
    blocks = [chain.database.block(name) for name in names if name is not None]
    return [block for block in blocks if block is not None]


def test_blocks_that_do_not_follow_one_another() -> None:
    async def shuffled(liar: Liar, kind: int, _payload: bytes) -> bytes:
        return pairs(chain_of(liar.world)[::-1]) if kind == BLOCKS.code else b""

    world = world_with(shuffled, best=1_000_000)
    assert Misbehaviour.BAD_RESPONSE in play(world)


def forged(block: Block, world: World) -> Block:
    """A sealed block with a state that no execution gives, by the member whose turn it was."""
    header = replace(block.header, state_root=ZERO_HASH, digest=block.header.digest[:-1])
    author = next(pair for pair in MEMBERS if pair.public == header.digest[1].payload)
    return Block(seal(header, honest(world).chain.genesis, author), block.extrinsics)


def test_a_chain_with_a_false_block() -> None:
    async def false(liar: Liar, kind: int, _payload: bytes) -> bytes:
        blocks = chain_of(liar.world)
        return pairs([forged(blocks[0], liar.world)]) if kind == BLOCKS.code and blocks else b""

    world = world_with(false, best=1_000_000)

    async def story(world: World, liar: Liar) -> None:
        assert chain_of(world)

    assert Misbehaviour.BAD_BLOCK in play(world, story)


def test_announcements_that_no_honest_peer_passes_on() -> None:
    async def story(world: World, liar: Liar) -> None:
        head = chain_of(world)[-1]
        chain = honest(world).chain
        state = chain.database.state_at(head.header.hash())
        slot = slot_at(world.now(), SLOT)
        turn = turn_of(RING.get(state), slot)
        wrong = next(pair for pair in MEMBERS[:HONEST] if pair.public != turn)
        extrinsics = head.extrinsics
        template = replace(
            head.header,
            parent_hash=head.header.hash(),
            number=BlockNumber(head.header.number + 1),
            digest=claim_digest(slot, wrong.public),
        )
        out_of_turn = seal(template, chain.genesis, wrong)
        broken_seal = replace(out_of_turn, state_root=ZERO_HASH)
        for payload in (
            b"garbage",
            Announcement(out_of_turn, extrinsics, ()).encode(),
            Announcement(broken_seal, extrinsics, ()).encode(),
        ):
            liar.network.publish(Topic.BLOCKS, payload)
            await trio.sleep(0.5)
        world.note(HONEST, "told")

    world = world_with()
    assert play(world, story) == {Misbehaviour.BAD_MESSAGE}


def test_an_announcement_whose_body_never_comes() -> None:
    """The head of one who has its turn, sealed as it should be, with a body that nobody has."""

    async def story(world: World, liar: Liar) -> None:
        chain = honest(world).chain
        while True:
            head = chain.snapshot.best
            state = chain.database.state_at(head.hash)
            slot = slot_at(world.now(), SLOT)
            author = next(pair for pair in MEMBERS if pair.public == turn_of(RING.get(state), slot))
            header = chain.database.header(head.hash)
            assert header is not None
            fields = replace(
                header,
                parent_hash=head.hash,
                number=BlockNumber(head.number + 1),
                extrinsics_root=ordered_root((b"\x04x",)),
                digest=claim_digest(slot, author.public),
            )
            if slot > slot_at(world.now() - 300, SLOT):
                sealed = seal(fields, chain.genesis, author)
                liar.network.publish(Topic.BLOCKS, Announcement(sealed, (), (blake2b_256(b"x"),)).encode())
                published.append(sealed.hash())
                return
            await trio.sleep(0.05)

    published: list[Hash] = []
    world = world_with()
    play(world, story)
    assert len(published) == 1


def test_transactions_that_are_good_nowhere() -> None:
    async def story(world: World, liar: Liar) -> None:
        node = honest(world)
        before = len(node.pool)
        for batch in (b"\0\0\0\x01", join([b"\x04\x04"]), join([bytes(200)] * 100)):
            liar.network.publish(Topic.TRANSACTIONS, batch)
            await trio.sleep(0.5)
        assert len(node.pool) <= before + 8

    world = world_with()
    assert play(world, story) == {Misbehaviour.BAD_MESSAGE}


def test_requests_that_make_no_sense_are_refused_and_cost_points() -> None:
    async def story(world: World, liar: Liar) -> None:
        peer = liar.network.peers()[0].peer_id
        for kind, payload, reason in (
            (BLOCKS.code, b"x", "a request for blocks has 2 fields"),
            (BODY.code, b"x", "1 bytes of hashes, which have 32 each"),
        ):
            with pytest.raises(Refused) as caught:
                await liar.network.request(peer, kind, payload, deadline=5)
            assert str(caught.value) == reason
        answer = await liar.network.request(
            peer, BLOCKS.code, msgpack.packb([honest(world).chain.genesis, 3]), deadline=5
        )
        assert [block.header.number for block in decode_blocks(answer)] == [1, 2, 3]

    world = world_with()
    assert Misbehaviour.BAD_MESSAGE in play(world, story)


def test_all_honest_nodes_agree_in_the_end_without_the_liar() -> None:
    world = world_with(best=99)

    async def story(world: World, liar: Liar) -> None:
        world.crash(HONEST)

    async def both(world: World) -> None:
        await trio.sleep(5)
        await story(world, liar_of(world))

    world.run(SECONDS, story=both, at_end=[all_on_one_chain])
