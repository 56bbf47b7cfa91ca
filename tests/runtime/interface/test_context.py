import pytest

from runtime.interface.context import Context
from runtime.interface.events import Event
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, BlockNumber
from runtime.scale import U8, U32, Field, Reader
from tests.support.memory_state import MemoryState

HAPPENED = Event("Test", 9, 4, "Happened", (Field("small", U8, "u8"), Field("large", U32, "u32")), "")


class NoView:
    def branch(self) -> "NoView":
        return self


@pytest.fixture
def context() -> Context:
    return Context(Overlay(MemoryState({b"k": b"0"})), BlockNumber(5), ZERO_HASH, NoView())


def test_events_stand_in_the_phase_in_which_they_were_deposited(context: Context) -> None:
    context.deposit(HAPPENED, 1, 2)
    context.enter_extrinsic(258, allowance=0)
    context.deposit(HAPPENED, 1, 2)
    context.enter_finalization()
    context.deposit(HAPPENED, 1, 2)
    event = "0904" + "01" + "02000000"
    assert [record.hex() for record in context.event_records] == [
        "02" + event + "00",
        "00" + "02010000" + event + "00",
        "01" + event + "00",
    ]


def test_an_event_reads_as_it_was_written() -> None:
    data = HAPPENED.encode(7, 1_000_000)
    assert data[:2] == bytes((9, 4))
    assert HAPPENED.read_fields(Reader(data[2:])) == {"small": 7, "large": 1_000_000}
    with pytest.raises(AssertionError, match=r"^Test\.Happened has 2 fields$"):
        HAPPENED.encode(7)


def test_a_rollback_undoes_state_events_and_counters(context: Context) -> None:
    context.deposit(HAPPENED, 0, 0)
    context.state.put(b"before", b"1")
    context.counters["seen"] = 1
    records = context.event_records
    checkpoint = context.checkpoint()
    context.state.put(b"k", b"1")
    context.state.delete(b"before")
    context.deposit(HAPPENED, 1, 1)
    context.counters["seen"] = 2
    context.counters["other"] = 1
    context.rollback(checkpoint)
    assert context.event_records == records
    assert context.counters == {"seen": 1}
    assert context.state.changes() == [(b"before", b"1")]


def test_a_commit_keeps_state_events_and_counters(context: Context) -> None:
    context.checkpoint()
    context.state.put(b"k", b"1")
    context.deposit(HAPPENED, 1, 1)
    context.counters["seen"] = 2
    context.commit()
    assert len(context.event_records) == 1
    assert context.counters == {"seen": 2}
    assert context.state.changes() == [(b"k", b"1")]
