import trio
import trio.testing

from p2p.faults import Faults
from p2p.network import PeerId, Verdict
from p2p.validation import Validation

ALICE, BOB, CAROL = PeerId("alice"), PeerId("bob"), PeerId("carol")


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
        with validation.in_flight(b"1", ALICE) as holders:
            assert b"1" in validation
            assert b"2" not in validation
            assert set(holders) == {ALICE}
            raise RuntimeError
    except RuntimeError:
        assert b"1" not in validation


def test_who_brings_a_message_while_its_verdict_is_awaited_is_known_to_have_it() -> None:
    validation = Validation(never, limit=1, deadline=5, faults=Faults())
    assert not validation.brought(b"1", BOB)
    with validation.in_flight(b"1", ALICE) as holders:
        assert validation.brought(b"1", BOB)
        assert not validation.brought(b"2", CAROL)
        assert set(holders) == {ALICE, BOB}
    assert not validation.brought(b"1", BOB)


async def never(topic: str, payload: bytes, peer: PeerId) -> Verdict:
    raise AssertionError
