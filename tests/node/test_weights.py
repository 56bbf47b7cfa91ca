"""The benchmark of calls: every call is measured, beside what the runtime charges for it."""

import orjson
import pytest

from node.chain_spec import constants
from node.ring_weights import Part, RingCase, measure_ring, ring_cases
from node.weights import PICOSECONDS, REFERENCE_CHECK, Cost, cases, measure, measuring_spec
from pallets.construct import construct_runtime
from runtime.executive import BASE_EXTRINSIC_WEIGHT
from storage.memory import MemoryStore
from tests.support.node_command import command_line

CASES = cases(0.01)
RING_CASES = ring_cases(0.01)
BLOCK_AND_LEAVE = [case for case in RING_CASES if case.name in ("leave a ring of 128", "block, ring of 128")]


def test_there_is_a_case_for_every_call_of_every_pallet() -> None:
    runtime = construct_runtime(constants(measuring_spec()))
    measured = {case.call(0, 0)[:2] for case in CASES} | {case.index for case in RING_CASES if case.index}
    assert measured == {bytes(index) for index in runtime.calls}


@pytest.mark.full
def test_every_case_succeeds_and_is_charged() -> None:
    small = [case for case in CASES if case.ratings <= 100]
    costs = list(measure(MemoryStore, small))
    assert [cost.name for cost in costs] == [case.name for case in small]
    assert all(cost.check > 0 for cost in costs)
    by_name = {cost.name: cost.charged for cost in costs}
    base = BASE_EXTRINSIC_WEIGHT / PICOSECONDS
    # In the middle of the rounds the list has four ratings, which an epoch knows, and gets a fifth.
    assert by_name["submit_rating, new in a list of 0"] == pytest.approx(base + (90 + 5 * 2.507) * 1e-6)
    assert by_name["remark, nothing"] == pytest.approx(75e-6)
    assert by_name["submit_rating, new in a list of 100"] > base + (90 + 101 * 2.5) * 1e-6


@pytest.mark.full
def test_every_case_of_a_ring_succeeds_and_is_charged_but_for_whole_blocks() -> None:
    small = [case for case in RING_CASES if case.members < 1_000]
    costs = list(measure_ring(MemoryStore, small, rounds=1))
    assert [cost.name for cost in costs] == [case.name for case in small]
    for cost, case in zip(costs, small, strict=True):
        assert (cost.charged is None) == (cost.ratio is None) == (case.part is Part.WHOLE)
        assert cost.charged is None or cost.charged > BASE_EXTRINSIC_WEIGHT / PICOSECONDS
        assert cost.check > 0
    charged = {cost.name: cost.charged or 0 for cost in costs}
    # The base of an extrinsic, and what one of these charges.
    assert charged["Timestamp.set"] == pytest.approx(80e-6)
    assert charged["leave a ring of 128"] == pytest.approx(120e-6)
    assert charged["join, 200 waiting"] == pytest.approx((170 + 0.4 * 200.5) * 1e-6), "one joins behind the other"
    assert charged["report_equivocation, 16 KiB each"] > charged["report_equivocation"] + 200e-6
    assert charged["cast_votes, 1"] == pytest.approx((70 + 50 + 90 + 128 * 0.05) * 1e-6)
    assert charged["cast_votes, 128 checkpoints in a handover"] > charged["cast_votes, 128 checkpoints"]


def test_a_case_of_a_ring_has_the_call_that_it_says() -> None:
    [leaving] = [case for case in RING_CASES if case.name == "leave a ring of 128"]
    wrong = RingCase("leave", leaving.make, b"\x05\x00")
    with pytest.raises(AssertionError, match=r"^the case says what it is"):
        list(measure_ring(MemoryStore, [wrong], rounds=1))


def test_a_slower_machine_is_put_in_proportion() -> None:
    cost = Cost("call", charged=100e-6, measured=160e-6, check=2 * REFERENCE_CHECK)
    assert cost.on_reference == pytest.approx(80e-6)
    assert cost.ratio == pytest.approx(0.8)


@pytest.mark.full
def test_the_command_prints_a_table_or_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.commands.benchmark.cases", lambda scale: cases(scale)[:1])
    monkeypatch.setattr("node.commands.benchmark.ring_cases", lambda scale: BLOCK_AND_LEAVE)
    cli = command_line(capsys)
    ended = cli("benchmark", "--scale", "0.01")
    assert (ended.code, ended.err) == (0, "")
    head, row, left, block, note = ended.out.splitlines()
    assert head.startswith("microseconds of CPU, each  ")
    assert head.split()[4:] == ["charged", "here", "check", "reference", "share"]
    assert row.startswith("remark, nothing  ")
    assert left.split()[:6] == ["leave", "a", "ring", "of", "128", "120"]
    # Nobody is charged for hooks, so there is no share.
    assert block.split()[:5] == ["block,", "ring", "of", "128", "-"]
    assert block.endswith(" -")
    assert note == "check: a signature check meanwhile; reference: a machine on which that takes 44"
    told, _, whole = orjson.loads(cli("benchmark", "--scale", "0.01", "--json").out)
    assert set(told) == {
        "call",
        "chargedSeconds",
        "measuredSeconds",
        "signatureCheckSeconds",
        "referenceSeconds",
        "share",
    }
    assert (told["call"], told["chargedSeconds"]) == ("remark, nothing", 75e-6)
    assert (whole["chargedSeconds"], whole["share"]) == (None, None)
