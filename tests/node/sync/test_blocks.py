"""Announcements: who may make one, what is completed from where, and what is passed on."""

from dataclasses import replace

import pytest
import trio

from node.ring import claim_digest, seal, unsealed
from node.sync.messages import Announcement, BodyRequest, MessageError
from p2p.network import Misbehaviour, PeerId, Refused, TimedOut, Topic, Verdict
from runtime.crypto import Scheme
from runtime.extrinsic import extrinsic_hash
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.keys import key_pair_from_uri
from runtime.primitives import ZERO_HASH, BlockNumber, Slot
from runtime.scale import encode_compact
from runtime.trie import ordered_root
from tests.node.sync.peers import Answer, Exchange, answers_of, in_virtual_time
from tests.support.ring_nodes import BY_ACCOUNT, GENESIS_SLOT, RingNode
from tests.support.small_chain import submit_rating, submit_ratings

PEER = PeerId("peer")
FOREIGN = encode_compact(4) + b"what"


async def nothing(_peer: PeerId, _kind: int, _payload: bytes, _deadline: float) -> bytes:
    raise Refused("no")


def verdicts(exchange: Exchange, *announcements: Announcement, wait: float = 0.0) -> list[Verdict]:
    """What becomes of announcements one after the other."""
    found: list[Verdict] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.blocks.run)
            for announcement in announcements:
                found.append(await exchange.blocks.on_gossip(announcement.encode(), PEER))
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(wait)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    return found


def whole(block: Block) -> Announcement:
    return Announcement(block.header, block.extrinsics, ())


def made(slot: int = 1, known: int = 0) -> tuple[RingNode, Block]:
    """A node, and the next block of its chain, made by another."""
    us, they = RingNode(), RingNode()
    for number in range(1, known + 1):
        us.take(they.block(number))
    return us, they.block(known + slot, ("Alice", submit_rating(1, 5)))


def sealed(us: RingNode, block: Block, **changes: object) -> Block:
    """The block with other fields, sealed by whoever it names."""
    header = replace(unsealed(block.header), **changes)  # type: ignore[arg-type]
    author = next(pair for key, pair in BY_ACCOUNT.items() if key == header.digest[-1].payload)
    return Block(seal(header, us.chain.genesis, author), block.extrinsics)


def test_a_block_is_passed_on_and_executed() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    exchange.meet("peer")
    assert verdicts(exchange, whole(block), whole(block)) == [Verdict.ACCEPT, Verdict.IGNORE]
    assert us.head == block.header.hash()
    state = exchange.peers.find(PEER)
    assert state is not None
    assert state.best.number == 1


def test_blocks_that_come_right_after_one_another() -> None:
    us, they = RingNode(), RingNode()
    blocks = [they.block(slot) for slot in (1, 2)]
    found: list[Verdict] = []
    exchange = Exchange(us, nothing)

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def tell(block: Block) -> None:
                found.append(await exchange.blocks.on_gossip(whole(block).encode(), PEER))

            for block in blocks:
                nursery.start_soon(tell, block)
                # The next one comes before this one is executed.
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(exchange.blocks.run)
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    assert found == [Verdict.ACCEPT] * 2
    assert us.head == they.head


def test_one_can_wait_for_what_is_being_executed() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    exchange.meet("peer")

    async def main() -> None:
        with trio.fail_after(1):
            await exchange.blocks.executed()
        assert await exchange.blocks.on_gossip(whole(block).encode(), PEER) is Verdict.ACCEPT
        async with trio.open_nursery() as nursery:
            waited = trio.Event()

            async def wait() -> None:
                await exchange.blocks.executed()
                assert us.chain.snapshot.best.hash == block.header.hash()
                waited.set()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert not waited.is_set()
            nursery.start_soon(exchange.blocks.run)
            with trio.fail_after(1):
                await waited.wait()
            nursery.cancel_scope.cancel()

    in_virtual_time(main)


def test_strangers_get_nothing_passed_on() -> None:
    us, block = made(known=12)
    stranger = key_pair_from_uri("//Stranger", Scheme.ED25519)
    one, two = us.chain.database.hash_at(BlockNumber(1)), us.chain.database.hash_at(BlockNumber(11))
    claim = claim_digest(Slot(GENESIS_SLOT + 50), stranger.public)
    body = (FOREIGN,)
    told = []
    for parent, number in ((one, 4_000_000_000), (two, 12), (us.head, 13), (ZERO_HASH, 13)):
        fields = replace(
            block.header,
            parent_hash=parent,
            number=BlockNumber(number),
            extrinsics_root=ordered_root(body),
            digest=claim,
        )
        told.append(Announcement(seal(fields, us.chain.genesis, stranger), body, ()))
    exchange = Exchange(us, nothing)
    exchange.meet("peer")
    # Too deep to judge; not its turn, twice; no parent.
    assert verdicts(exchange, *told) == [Verdict.IGNORE, Verdict.REJECT, Verdict.REJECT, Verdict.IGNORE]
    assert exchange.peers.highest == 0
    assert exchange.blocks.assembled(told[0].header.hash()) is None


def test_a_height_that_does_not_follow_is_believed_by_nobody() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    exchange.meet("peer")
    ghost = sealed(us, block, number=BlockNumber(2**32 - 1))
    assert verdicts(exchange, whole(ghost)) == [Verdict.REJECT]
    assert exchange.peers.highest == 0


def test_what_was_found_invalid_is_rejected_from_then_on() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    false = sealed(us, block, state_root=ZERO_HASH)
    assert verdicts(exchange, whole(false), whole(false)) == [Verdict.ACCEPT, Verdict.REJECT]
    assert exchange.blocks.assembled(false.header.hash()) is None


def test_two_blocks_of_a_turn_are_looked_at_and_no_more() -> None:
    us, block = made()
    digest = block.header.digest[:2]
    others = [
        sealed(us, block, digest=(DigestItem(DigestKind.OTHER, payload=bytes([number])), *digest))
        for number in range(4)
    ]
    exchange = Exchange(us, nothing)
    assert verdicts(exchange, *map(whole, others)) == [Verdict.ACCEPT] * 2 + [Verdict.IGNORE] * 2


def test_of_many_headers_of_a_turn_two_are_remembered_and_the_others_not_checked() -> None:
    us, block = made()
    digest = block.header.digest[:2]
    headers = [
        sealed(us, block, digest=(DigestItem(DigestKind.OTHER, payload=bytes([number])), *digest)).header
        for number in range(50)
    ]
    exchange = Exchange(us, nothing)
    checked = []
    check = us.chain.check_header

    def counted(header: Header) -> None:
        checked.append(header)
        check(header)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(us.chain, "check_header", counted)
        announcements = [Announcement(header, (), ()) for header in headers]
        assert verdicts(exchange, *announcements) == [Verdict.IGNORE] * 50
    assert checked == headers[:2]
    assert [len(blocks) for blocks in exchange.blocks._turns.values()] == [2]
    assert exchange.network.reports == [], "who passes them on may have seen two others first"
    whole_block = Block(headers[1], block.extrinsics)
    assert verdicts(exchange, whole(whole_block)) == [Verdict.ACCEPT], "the others have not pushed it out"


def test_announcements_without_a_body_do_not_use_up_the_turn() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    empty = Announcement(block.header, (), ())
    assert verdicts(exchange, empty, empty, empty, whole(block)) == [Verdict.IGNORE] * 3 + [Verdict.ACCEPT]
    assert us.head == block.header.hash()


def test_what_the_pool_lacks_is_asked_for_and_a_stalling_peer_is_passed_over() -> None:
    us, they = RingNode(), RingNode()
    block = they.block(1, ("Alice", submit_ratings([(item, 3) for item in range(8)])), ("Bob", submit_rating(1, 1)))
    hashes = tuple(extrinsic_hash(raw) for raw in block.extrinsics[1:])

    async def answer(peer: PeerId, kind: int, payload: bytes, deadline: float) -> bytes:
        if peer == PeerId("stalling"):
            await trio.sleep(deadline)
            raise TimedOut("slow")
        return await answers_of(they, kind, payload)

    exchange = Exchange(us, answer)
    found: list[Verdict] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.blocks.run)

            async def tell(peer: str) -> None:
                announcement = Announcement(block.header, block.extrinsics[:1], hashes)
                found.append(await exchange.blocks.on_gossip(announcement.encode(), PeerId(peer)))

            nursery.start_soon(tell, "stalling")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(tell, "helpful")
            await trio.sleep(3.0)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    # The second one waits for nothing; the first one's message is good once the second has given the body.
    assert found == [Verdict.IGNORE, Verdict.ACCEPT]
    assert us.head == they.head


def wrong_body(_block: Block) -> Answer:
    async def answer(_peer: PeerId, _kind: int, _payload: bytes, _deadline: float) -> bytes:
        return encode_compact(1) + FOREIGN

    return answer


def test_a_body_that_was_not_asked_for_or_is_not_the_headers() -> None:
    us, block = made()
    exchange = Exchange(us, wrong_body(block))
    hashes = tuple(extrinsic_hash(raw) for raw in block.extrinsics[1:])
    by_hash = Announcement(block.header, block.extrinsics[:1], hashes)
    assert verdicts(exchange, by_hash, Announcement(block.header, (), ())) == [Verdict.IGNORE, Verdict.REJECT]
    assert exchange.network.reports == [(PEER, Misbehaviour.BAD_RESPONSE)]
    assert not us.chain.knows(block.header.hash())


def test_a_block_that_is_early_waits_for_its_slot_and_one_far_ahead_goes(caplog: pytest.LogCaptureFixture) -> None:
    us, block = made(slot=3)
    exchange = Exchange(us, nothing, slot=1)
    assert verdicts(exchange, whole(block), wait=5.0) == [Verdict.IGNORE]
    assert us.head == block.header.hash()
    us, block = made(slot=9)
    exchange = Exchange(us, nothing, slot=1)
    assert verdicts(exchange, whole(block), wait=30.0) == [Verdict.IGNORE]
    assert us.chain.snapshot.best.number == 0
    assert "block 1 is far ahead of this machine's clock: is the clock right?" in caplog.text


def test_our_blocks_are_announced_and_their_bodies_can_be_had() -> None:
    us, block = made()
    exchange = Exchange(us, nothing)
    exchange.blocks.announce(block)
    assert exchange.network.published == [(Topic.BLOCKS, whole(block).encode())]
    names = [extrinsic_hash(raw) for raw in block.extrinsics]

    async def main() -> None:
        answer = await exchange.answers.to(2, BodyRequest(block.header.hash(), (names[1],)).encode())
        assert answer == encode_compact(1) + block.extrinsics[1]
        with pytest.raises(MessageError, match=r"^a request that names an extrinsic twice$"):
            await exchange.answers.to(2, BodyRequest(block.header.hash(), (names[1],) * 65_536).encode())

    in_virtual_time(main)
