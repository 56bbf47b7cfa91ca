"""Catching up with several peers at once: the work is shared, and a peer that is of no use costs little."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from node.ring import seal
from node.sync.messages import BLOCKS, BlocksRequest, decode_blocks, encode_blocks
from p2p.network import Misbehaviour, PeerGone, PeerId, Refuse, Refused
from runtime.header import Block, encode_body
from runtime.primitives import ZERO_HASH, BlockNumber
from tests.node.sync.peers import Exchange, answers_of, in_virtual_time, until
from tests.support.ring_nodes import BY_ACCOUNT, RingNode

BLOCKS_AHEAD = 90
RANGE = 4
Answer = Callable[[PeerId, int, bytes, float], Awaitable[bytes]]


@pytest.fixture(scope="module")
def they() -> RingNode:
    node = RingNode()
    for slot in range(1, BLOCKS_AHEAD + 1):
        node.block(slot)
    return node


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few blocks make many ranges."""
    for name, value in (("catch_up.MAX_BLOCKS", 8), ("catch_up.MAX_HEADERS", 32), ("catch_up.RANGE", RANGE)):
        monkeypatch.setattr(f"node.sync.{name}", value)
    monkeypatch.setattr("node.sync.ranges.RANGE", RANGE)


def pairs(blocks: list[Block]) -> bytes:
    return encode_blocks((block.header.encode(), encode_body(block.extrinsics)) for block in blocks)


def until_level(exchange: Exchange, they: RingNode, seconds: float, *peers: str) -> None:
    async def main() -> None:
        best = they.chain.snapshot.best
        for name in peers:
            exchange.meet(name, best.number, best.hash)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.catch_up.run)
            await until(lambda: exchange.node.head == they.head, seconds)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    assert exchange.node.model.digest() == they.model.digest()


def sharing(they: RingNode, lie: Callable[[bytes, bytes], Awaitable[bytes]], liar: str = "evil") -> Answer:
    """All answer truly, each answer after a second, but one peer that lies when it is asked for a range."""

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        await trio.sleep(1.0)
        request = BlocksRequest.decode(payload)
        truth = await answers_of(they, kind, payload)
        is_range = len(request.locator) == 1 and request.most <= RANGE
        return await lie(payload, truth) if peer == liar and is_range else truth

    return answer


async def honest(_payload: bytes, truth: bytes) -> bytes:
    return truth


def test_three_peers_share_the_work(they: RingNode) -> None:
    """Three answers are under way at a time, and never two of one peer."""
    asked: list[PeerId] = []
    most = 0
    truly = sharing(they, honest)

    async def answer(peer: PeerId, kind: int, payload: bytes, deadline: float) -> bytes:
        nonlocal most
        if BlocksRequest.decode(payload).most > RANGE:
            return await truly(peer, kind, payload, deadline)
        assert peer not in asked
        asked.append(peer)
        most = max(most, len(asked))
        try:
            return await truly(peer, kind, payload, deadline)
        finally:
            asked.remove(peer)

    exchange = Exchange(RingNode(), answer)
    until_level(exchange, they, 60.0, "a", "b", "c")
    ranges = Counter(peer for peer, kind in exchange.network.asked if kind == BLOCKS.code)
    assert set(ranges) == {"a", "b", "c"}
    assert min(ranges.values()) >= 4
    assert most == 3
    assert exchange.network.reports == []


async def silent(_payload: bytes, _truth: bytes) -> bytes:
    await trio.sleep(7.5)
    raise PeerGone("gone")


async def refusing(_payload: bytes, _truth: bytes) -> bytes:
    raise Refused("the body is not kept here")


async def empty(_payload: bytes, _truth: bytes) -> bytes:
    return encode_blocks([])


async def garbage(_payload: bytes, _truth: bytes) -> bytes:
    return b"\xc1"


async def too_many(_payload: bytes, truth: bytes) -> bytes:
    blocks = decode_blocks(truth)
    return pairs([*blocks, *blocks])


async def something_else(_payload: bytes, truth: bytes) -> bytes:
    return pairs(decode_blocks(truth)[1:])


async def other_bodies(_payload: bytes, truth: bytes) -> bytes:
    return pairs([Block(block.header, (*block.extrinsics, b"\x04\x04")) for block in decode_blocks(truth)])


async def a_few(_payload: bytes, truth: bytes) -> bytes:
    return pairs(decode_blocks(truth)[:3])


@pytest.mark.parametrize(
    ("lie", "blame"),
    [
        (silent, None),
        (refusing, None),
        (empty, None),
        (a_few, None),
        (garbage, Misbehaviour.BAD_RESPONSE),
        (too_many, Misbehaviour.BAD_RESPONSE),
        (something_else, Misbehaviour.BAD_RESPONSE),
        (other_bodies, Misbehaviour.BAD_RESPONSE),
    ],
)
def test_a_peer_that_is_of_no_use(
    they: RingNode, lie: Callable[[bytes, bytes], Awaitable[bytes]], blame: Misbehaviour | None
) -> None:
    exchange = Exchange(RingNode(), sharing(they, lie))
    until_level(exchange, they, 90.0, "a", "evil", "b")
    assert set(exchange.network.reports) == (set() if blame is None else {(PeerId("evil"), blame)})


def test_the_leader_vanishes_while_others_have_what_it_named(they: RingNode) -> None:
    gone = False

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        nonlocal gone
        request = BlocksRequest.decode(payload)
        gone = gone or (peer == "a" and len(request.locator) == 1 and request.most <= RANGE)
        if gone and peer == "a":
            raise PeerGone("gone")
        return await answers_of(they, kind, payload)

    exchange = Exchange(RingNode(), answer)
    until_level(exchange, they, 90.0, "a", "b", "c")
    assert gone
    assert exchange.network.reports == []


def test_who_names_a_false_block_is_to_blame_whoever_gives_it(they: RingNode) -> None:
    """A block that does not execute: its header came from the leader, its body from anybody."""
    database = they.chain.database

    def forged(block: Block) -> Block:
        header = replace(block.header, state_root=ZERO_HASH, digest=block.header.digest[:-1])
        return Block(seal(header, they.chain.genesis, BY_ACCOUNT[header.digest[1].payload]), block.extrinsics)

    name = database.hash_at(BlockNumber(70))
    assert name is not None
    block = database.block(name)
    assert block is not None
    false = forged(block)

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        """`evil` leads with 70 as a false block and nothing behind; `dupe` gives it as well."""
        try:
            blocks = decode_blocks(await answers_of(they, kind, payload))
        except Refuse as refusal:
            raise Refused(str(refusal)) from None
        if peer == "b":
            return pairs(blocks)
        blocks = [one for one in blocks if one.header.number < 70] + [
            false for one in blocks if one.header.number == 70
        ]
        return pairs(blocks)

    exchange = Exchange(RingNode(), answer)
    until_level(exchange, they, 200.0, "a", "dupe", "b")
    blamed = {peer for peer, _ in exchange.network.reports}
    assert "b" not in blamed
    assert {misbehaviour for _, misbehaviour in exchange.network.reports} == {Misbehaviour.BAD_BLOCK}
