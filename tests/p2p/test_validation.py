import trio
import trio.testing

from p2p.faults import Faults
from p2p.network import PeerId, Verdict
from p2p.validation import Validation

ALICE, BOB = PeerId("alice"), PeerId("bob")


def test_a_verdict_in_time_counts_and_a_late_one_is_none() -> None:
    async def deliver(topic: str, payload: bytes, peer: PeerId) -> Verdict:
        await trio.sleep(len(payload))
        return Verdict.REJECT

    async def main() -> None:
        faults = Faults()
        validation = Validation(deliver, limit=1, deadline=5, faults=faults)
        assert await validation.verdict("blocks", bytes(4), ALICE) is Verdict.REJECT
        assert dict(faults.counts) == {}
        start = trio.current_time()
        assert await validation.verdict("blocks", bytes(100), ALICE) is Verdict.IGNORE
        assert trio.current_time() - start == 5
        assert dict(faults.counts) == {"gossip verdict too late": 1}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_peer_with_all_places_taken_waits_and_others_do_not() -> None:
    async def main() -> None:
        validation = Validation(never, limit=2, deadline=5, faults=Faults())
        leave = [await validation.take_place(ALICE) for _ in range(2)]
        with trio.move_on_after(10) as scope:
            await validation.take_place(ALICE)
        assert scope.cancelled_caught
        leave_bob = await validation.take_place(BOB)
        async with trio.open_nursery() as nursery:

            async def one_more() -> None:
                leave.append(await validation.take_place(ALICE))

            nursery.start_soon(one_more)
            await trio.testing.wait_all_tasks_blocked()
            leave.pop(0)()
        assert (validation.under_way(ALICE), validation.under_way(BOB)) == (2, 1)
        for give_back in [*leave, leave_bob]:
            give_back()
        assert (validation.under_way(ALICE), validation.under_way(BOB)) == (0, 0)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_message_is_in_flight_until_its_verdict_whatever_it_is() -> None:
    validation = Validation(never, limit=1, deadline=5, faults=Faults())
    try:
        with validation.in_flight(b"1"):
            assert b"1" in validation
            assert b"2" not in validation
            raise RuntimeError
    except RuntimeError:
        assert b"1" not in validation


async def never(topic: str, payload: bytes, peer: PeerId) -> Verdict:
    raise AssertionError
