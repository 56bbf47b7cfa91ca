"""What a peer may ask for: as much as its share of a processor allows, whatever it asks."""

from typing import Any

import pytest
import trio
import trio.testing

from node.executor import InlineExecutor
from node.pool import TransactionPool
from node.sync.handler import PeerHandler
from node.sync.messages import BODY, VOTES, BodyRequest, VotesRequest
from p2p.network import PeerId, Refuse
from runtime.primitives import BlockNumber, Hash
from tests.node.sync.peers import FakeNetwork
from tests.support.ring_nodes import RingNode

GREEDY, MODEST = PeerId("greedy"), PeerId("modest")
SECONDS = 0.1
"""What an answer takes."""


class SlowExecutor(InlineExecutor):
    """Every answer takes a tenth of a second of processor."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0

    def cpu_time(self) -> float:
        self._time += SECONDS
        return self._time


async def silent(_peer: PeerId, _kind: int, _payload: bytes, _deadline: float) -> bytes:
    raise AssertionError("nobody is asked")


def handler_of(node: RingNode) -> PeerHandler:
    nothing: Any = None
    network: Any = FakeNetwork(silent)
    return PeerHandler(
        node.chain,
        TransactionPool(),
        nothing,
        nothing,
        SlowExecutor(),
        network,
        lambda: 0,
        nothing,
        nothing,
        nothing,
        takes_blocks=True,
    )


def seconds_of(main: Any) -> float:
    """Run in virtual time; how long it took."""
    took = []

    async def timed() -> None:
        began = trio.current_time()
        await main()
        took.append(trio.current_time() - began)

    trio.run(timed, clock=trio.testing.MockClock(autojump_threshold=0))
    return took[0]


@pytest.fixture
def node() -> RingNode:
    node = RingNode()
    node.block(1)
    return node


def test_who_asks_for_much_work_gets_a_quarter_of_a_processor_and_others_are_not_held_up(node: RingNode) -> None:
    handler = handler_of(node)
    small = VotesRequest(BlockNumber(1), BlockNumber(1)).encode()

    async def main() -> None:
        for _ in range(60):
            await handler.on_request(GREEDY, VOTES.code, small)
        before = trio.current_time()
        await handler.on_request(MODEST, VOTES.code, small)
        assert trio.current_time() == before

    # Six seconds of work, of which one may come at once and the last is charged later.
    assert seconds_of(main) == pytest.approx((60 - 1) * SECONDS / 0.25 - 4.0)


def test_answers_that_there_are_not_are_charged_too(node: RingNode) -> None:
    handler = handler_of(node)
    request = BodyRequest(node.head, (Hash(bytes(32)),)).encode()

    async def main() -> None:
        for _ in range(60):
            with pytest.raises(Refuse, match=r"has no such extrinsic$"):
                await handler.on_request(GREEDY, BODY.code, request)

    assert seconds_of(main) > 18.0


def test_who_asks_for_far_too_much_is_refused_before_any_work(node: RingNode) -> None:
    handler = handler_of(node)
    small = VotesRequest(BlockNumber(1), BlockNumber(1)).encode()
    refusals = []

    async def ask() -> None:
        try:
            await handler.on_request(GREEDY, VOTES.code, small)
        except Refuse as error:
            refusals.append(str(error))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(ask)
        for _ in range(5):
            await ask()

    seconds_of(main)
    assert refusals == ["busy with what was asked before"] * 5
