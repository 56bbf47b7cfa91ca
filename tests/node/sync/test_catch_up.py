"""Catching up among peers that lie, stall and dribble: the honest one is heard in the end, and soon."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio

from node.sync.messages import BlocksRequest, encode_blocks
from p2p.network import Misbehaviour, PeerGone, PeerId, TimedOut
from runtime.header import encode_body
from runtime.primitives import BlockNumber
from tests.node.sync.peers import Exchange, answers_of, in_virtual_time, until
from tests.support.ring_nodes import RingNode
from tests.support.small_chain import submit_rating

EVIL, HONEST = PeerId("evil"), PeerId("honest")


def ahead(blocks: int, known: int = 0) -> tuple[RingNode, RingNode]:
    """A node that has the first blocks of another's chain."""
    us, they = RingNode(), RingNode()
    for slot in range(1, blocks + 1):
        block = they.block(slot, ("Alice", submit_rating(slot % 8, 1 + slot % 5)))
        if slot <= known:
            us.take(block)
    return us, they


def until_level(exchange: Exchange, they: RingNode, seconds: float, *peers: str) -> float:
    """Run until we have the other's head; how long it took in virtual time."""
    took = []

    async def main() -> None:
        for name in peers:
            is_honest = name == "honest"
            exchange.meet(name, they.chain.snapshot.best.number if is_honest else 2**32 - 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.catch_up.run)
            took.append(await until(lambda: exchange.node.head == they.head, seconds))
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    return took[0]


def test_one_peer_is_ahead() -> None:
    us, they = ahead(40)

    async def honest(_peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        return await answers_of(they, kind, payload)

    exchange = Exchange(us, honest)
    assert until_level(exchange, they, 10.0, "honest") < 10.0
    assert us.model.digest() == they.model.digest()
    assert exchange.network.reports == []
    # It was noticed that we were behind, and that we are no more.
    assert exchange.changes[0] is True


def test_who_is_behind_knows_it_until_a_peer_turns_out_to_have_nothing() -> None:
    us, they = ahead(40)

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        return encode_blocks([]) if peer == EVIL else await answers_of(they, kind, payload)

    exchange = Exchange(us, answer)

    async def main() -> None:
        assert not exchange.catch_up.is_behind
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.catch_up.run)
            for peer, best in (("honest", they.chain.snapshot.best.number), ("evil", 2**32 - 1)):
                exchange.meet(peer, best)
                assert exchange.catch_up.is_behind
                await until(lambda: not exchange.catch_up.is_behind, 10.0)
            assert exchange.node.head == they.head
            nursery.cancel_scope.cancel()

    in_virtual_time(main)


def test_a_node_with_a_slow_clock_follows_late_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    us, they = ahead(40)

    async def answer(_peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        return await answers_of(they, kind, payload)

    # The slots last 2 s: the last of 40 blocks is 60 s ahead.
    exchange = Exchange(us, answer, slot=10)
    assert 50.0 < until_level(exchange, they, 120.0, "honest") < 120.0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["block 40 is far ahead of this machine's clock: is the clock right?"]
    assert exchange.network.reports == []


def dribbling(they: RingNode) -> Callable[[PeerId, int, bytes, float], Awaitable[bytes]]:
    """One block that everybody knows every 14.9 s, from the one that says it is ahead."""

    async def answer(peer: PeerId, kind: int, payload: bytes, deadline: float) -> bytes:
        if peer == HONEST:
            return await answers_of(they, kind, payload)
        await trio.sleep(14.9)
        if deadline < 14.9:
            raise TimedOut("too slow")
        request, database = BlocksRequest.decode(payload), they.chain.database
        header = database.header(request.locator[0])
        number = header.number if len(request.locator) == 1 and header is not None else 0
        name = database.hash_at(BlockNumber(number + 1))
        block = None if name is None else database.block(name)
        return encode_blocks([] if block is None else [(block.header.encode(), encode_body(block.extrinsics))])

    return answer


def test_a_peer_that_dribbles_what_is_known_does_not_hold_us() -> None:
    us, they = ahead(35, known=30)
    exchange = Exchange(us, dribbling(they))
    assert until_level(exchange, they, 60.0, "evil", "honest") <= 30.0


def test_peers_that_answer_late_and_empty_are_asked_once_each_before_the_honest_one() -> None:
    us, they = ahead(20)

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        if peer == HONEST:
            return await answers_of(they, kind, payload)
        await trio.sleep(14.9)
        return encode_blocks([])

    exchange = Exchange(us, answer)
    assert until_level(exchange, they, 90.0, "a", "b", "c", "honest") <= 60.0


def test_who_comes_again_under_new_names_is_asked_last() -> None:
    us, they = ahead(60)

    async def answer(peer: PeerId, kind: int, payload: bytes, deadline: float) -> bytes:
        if peer.startswith("honest"):
            return await answers_of(they, kind, payload)
        await trio.sleep(deadline)
        raise TimedOut("silent")

    exchange = Exchange(us, answer)

    async def attack() -> None:
        """Be somebody else, before all others in any order of names, whenever one was asked."""
        for number in range(100):
            names = [exchange.meet(f"a{number:03}{one}", 2**32 - 1) for one in range(3)]
            await trio.sleep(14)
            for name in names:
                exchange.peers.remove(name)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            await trio.sleep(1)
            exchange.meet("honest1", 60, they.head)
            exchange.meet("honest2", 60, they.head)
            nursery.start_soon(exchange.catch_up.run)
            await until(lambda: us.head == they.head, 120.0)
            await until(lambda: exchange.catch_up.has_settled, 120.0)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)


def dribbling_news(they: RingNode) -> Callable[[PeerId, int, bytes, float], Awaitable[bytes]]:
    """One new block every 14 s, from the one that says it is ahead."""

    async def answer(peer: PeerId, kind: int, payload: bytes, deadline: float) -> bytes:
        if peer != EVIL:
            return await answers_of(they, kind, payload)
        await trio.sleep(14.0 if deadline > 10 else 0)
        locator = BlocksRequest.decode(payload).locator
        return await answers_of(they, kind, BlocksRequest(locator, 1).encode())

    return answer


def test_a_peer_that_dribbles_what_is_new_is_left_for_one_that_does_not() -> None:
    us, they = ahead(120)
    exchange = Exchange(us, dribbling_news(they))
    assert until_level(exchange, they, 60.0, "evil", "honest") <= 45.0
    assert exchange.network.reports == [], "slow is not false"
    state = exchange.peers.find(EVIL)
    assert state is not None
    assert state.failures == 1


def test_a_slow_peer_is_kept_while_nobody_else_is_ahead() -> None:
    us, they = ahead(6)
    exchange = Exchange(us, dribbling_news(they))
    assert until_level(exchange, they, 120.0, "evil") <= 90.0
    state = exchange.peers.find(EVIL)
    assert state is not None
    assert state.failures == 0


@pytest.mark.parametrize("error", [TimedOut("slow"), PeerGone("gone")])
def test_a_peer_that_fails_is_asked_more_rarely_each_time(error: Exception) -> None:
    us = RingNode()

    async def fail(_peer: PeerId, _kind: int, _payload: bytes, _deadline: float) -> bytes:
        raise error

    exchange = Exchange(us, fail)
    times: list[float] = []

    async def main() -> None:
        exchange.meet("evil", 99)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.catch_up.run)
            while trio.current_time() < 600:
                state = exchange.peers.find(EVIL)
                assert state is not None
                if not times or state.failures > len(times):
                    times.append(trio.current_time())
                await trio.sleep(0.5)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert gaps == sorted(gaps)
    assert len(times) < 10
    assert exchange.changes == []


def test_a_body_that_is_not_the_headers_is_the_peers_fault_and_the_block_stays_good() -> None:
    us, they = ahead(5)

    async def answer(peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        if peer == HONEST:
            return await answers_of(they, kind, payload)
        name = they.chain.database.hash_at(BlockNumber(1))
        assert name is not None
        block = they.chain.database.block(name)
        assert block is not None
        return encode_blocks([(block.header.encode(), encode_body(block.extrinsics[:1]))])

    exchange = Exchange(us, answer)
    until_level(exchange, they, 60.0, "evil", "honest")
    assert set(exchange.network.reports) == {(EVIL, Misbehaviour.BAD_RESPONSE)}


def test_a_lost_announcement_is_made_up_for_by_asking() -> None:
    us, they = ahead(3, known=3)
    they.block(4)

    async def honest(_peer: PeerId, kind: int, payload: bytes, _deadline: float) -> bytes:
        return await answers_of(they, kind, payload)

    exchange = Exchange(us, honest)

    async def main() -> None:
        exchange.meet("honest", 3, us.head)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.catch_up.run)
            await until(lambda: us.head == they.head, 12.0)
            nursery.cancel_scope.cancel()

    in_virtual_time(main)
    # One block is no catching up that anybody has to be told of.
    assert exchange.changes == []
