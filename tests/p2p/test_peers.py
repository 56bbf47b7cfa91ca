import json
import random
from pathlib import Path

import pytest

from p2p.config import Timing
from p2p.network import Misbehaviour, PeerId
from p2p.peers import MAX_ADDRESSES, MAX_PEERS, Consequence, JsonRecords, PeerBook

ALICE, BOB = PeerId("alice"), PeerId("bob")
HERE, THERE = "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/2"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> PeerBook:
    return PeerBook(Timing(), clock, random.Random(1))  # noqa: S311 - dials, no secrets


def test_misbehaviour_adds_up_to_a_disconnect_and_a_ban(book: PeerBook, clock: Clock) -> None:
    assert [book.penalize(ALICE, Misbehaviour.FLOOD) for _ in range(4)] == [
        Consequence.NONE,
        Consequence.DISCONNECT,
        Consequence.NONE,
        Consequence.BAN,
    ]
    assert book.is_banned(ALICE)
    assert not book.is_banned(BOB)
    clock.now += Timing().ban - 1
    assert book.is_banned(ALICE)
    clock.now += 2
    assert not book.is_banned(ALICE)
    # The next ban is twice as long, and no ban is longer than a day.
    for expected in (2, 4, 8, 16, 24, 24):
        while book.penalize(ALICE, Misbehaviour.BAD_BLOCK) is not Consequence.BAN:
            pass
        clock.now += expected * 3600 - 1
        assert book.is_banned(ALICE)
        clock.now += 2
        assert not book.is_banned(ALICE)


def test_a_slow_peer_is_disconnected_and_never_banned(book: PeerBook) -> None:
    consequences = [book.penalize(ALICE, Misbehaviour.SLOW) for _ in range(100)]
    assert consequences.count(Consequence.DISCONNECT) == 1
    assert Consequence.BAN not in consequences
    assert book.score(ALICE) == -50
    # What is worse adds to it.
    assert book.penalize(ALICE, Misbehaviour.BAD_BLOCK) is Consequence.BAN


def test_a_clock_that_is_set_back_puts_no_dial_off(book: PeerBook, clock: Clock) -> None:
    book.learn(ALICE, HERE)
    book.failed(ALICE)
    assert book.candidates() == []
    clock.now -= 86_400
    assert book.candidates() == [ALICE]


def test_a_score_recovers_by_half_each_ten_minutes(book: PeerBook, clock: Clock) -> None:
    book.penalize(ALICE, Misbehaviour.BAD_MESSAGE)
    assert book.score(ALICE) == -20
    clock.now += 600
    assert book.score(ALICE) == pytest.approx(-10)
    # A small slip now and then never adds up.
    for _ in range(100):
        clock.now += 600
        assert book.penalize(ALICE, Misbehaviour.BAD_MESSAGE) is Consequence.NONE
    assert book.score(ALICE) > -41


def test_dials_wait_longer_from_failure_to_failure(book: PeerBook, clock: Clock) -> None:
    book.learn(ALICE, HERE, permanent=True)
    waits = []
    for _ in range(10):
        start = clock.now
        book.failed(ALICE)
        while not book.candidates():
            clock.now += 0.05
        waits.append(clock.now - start)
    for number, wait in enumerate(waits):
        middle = min(16.0, 2.0**number)
        assert 0.75 * middle <= wait <= 1.25 * middle + 0.1


def test_a_connection_that_lasted_makes_up_for_failures(book: PeerBook, clock: Clock) -> None:
    book.learn(ALICE, HERE, permanent=True)
    for _ in range(5):
        book.failed(ALICE)
    clock.now += 200
    book.met(ALICE, HERE)
    book.parted(ALICE, lasted=2.0)
    clock.now += 10
    assert book.candidates() == []
    clock.now += 200
    book.parted(ALICE, lasted=60.0)
    clock.now += 1.3
    assert book.candidates() == [ALICE]


def test_bootnodes_come_first_then_those_that_failed_least(book: PeerBook, clock: Clock) -> None:
    for peer in ("c", "b", "a"):
        book.learn(PeerId(peer), HERE)
    book.learn(BOB, THERE, permanent=True)
    book.failed(BOB)
    book.failed(PeerId("b"))
    clock.now += 10
    assert book.candidates()[0] == BOB
    assert book.candidates()[-1] == "b"
    assert set(book.candidates()) == {BOB, "a", "b", "c"}
    for _ in range(4):
        book.penalize(BOB, Misbehaviour.FLOOD)
    assert BOB not in book.candidates()


def test_an_address_that_worked_stays_in_front(book: PeerBook) -> None:
    book.learn(ALICE, HERE)
    book.met(ALICE, HERE)
    for number in range(10):
        book.learn(ALICE, f"/ip4/10.0.1.{number}/tcp/1")
    assert book.addresses(ALICE)[:2] == (HERE, "/ip4/10.0.1.9/tcp/1")
    assert len(book.addresses(ALICE)) == MAX_ADDRESSES
    book.met(ALICE, "/ip4/10.0.1.9/tcp/1")
    assert book.addresses(ALICE)[:2] == ("/ip4/10.0.1.9/tcp/1", HERE)


def test_an_address_that_never_worked_is_forgotten(book: PeerBook) -> None:
    book.learn(ALICE, HERE)
    book.learn(BOB, THERE, permanent=True)
    for _ in range(8):
        book.failed(ALICE)
        book.failed(BOB)
    assert book.addresses(ALICE) == ()
    assert book.addresses(BOB) == (THERE,)


def test_hearsay_does_not_push_out_whom_we_met_or_banned(book: PeerBook) -> None:
    book.learn(ALICE, HERE, permanent=True)
    book.met(BOB, THERE)
    mallory = PeerId("mallory")
    while book.penalize(mallory, Misbehaviour.BAD_BLOCK) is not Consequence.BAN:
        pass
    for number in range(2 * MAX_PEERS):
        book.learn(PeerId(f"heard of {number}"), HERE)
    assert book.addresses(ALICE) == (HERE,)
    assert book.addresses(BOB) == (THERE,)
    assert book.is_banned(mallory)
    assert len(book.candidates()) <= MAX_PEERS


def test_records_outlast_a_restart(book: PeerBook, clock: Clock, tmp_path: Path) -> None:
    records = JsonRecords(tmp_path / "network" / "peers.json")
    assert records.load() == {}
    book.met(ALICE, HERE)
    book.learn(ALICE, THERE)
    book.penalize(ALICE, Misbehaviour.BAD_MESSAGE)
    while book.penalize(BOB, Misbehaviour.BAD_BLOCK) is not Consequence.BAN:
        pass
    records.store(book.dump())

    again = PeerBook(Timing(), clock)
    again.restore(records.load())
    assert again.addresses(ALICE) == (HERE, THERE)
    assert again.score(ALICE) == -20
    assert again.is_banned(BOB)
    assert again.dump() == book.dump()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "peers": {}}',
        '{"version": 1, "peers": []}',
        '{"version": 1, "peers": {"alice": 1}}',
        '{"version": 1, "peers": {"alice": {"score": "x", "bans": 1e99, "bannedUntil": null, "addresses": [1, null]}}}',
    ],
)
def test_damaged_records_are_no_obstacle(book: PeerBook, tmp_path: Path, text: str) -> None:
    path = tmp_path / "peers.json"
    path.write_text(text)
    book.restore(JsonRecords(path).load())
    assert book.score(ALICE) == 0
    assert not book.is_banned(ALICE)
    assert book.addresses(ALICE) == ()
    json.dumps(book.dump())
