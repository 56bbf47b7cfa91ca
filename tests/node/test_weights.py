"""The benchmark of calls: every call is measured, beside what the runtime charges for it."""

import orjson
import pytest

from node.chain_spec import constants
from node.weights import REFERENCE_CHECK, Cost, cases, measure, measuring_spec
from pallets.construct import construct_runtime
from pallets.finality.config import INDEX as FINALITY
from pallets.producers.config import INDEX as PRODUCERS
from storage.memory import MemoryStore
from tests.support.node_command import command_line

CASES = cases(0.01)


def test_there_is_a_case_for_every_call_of_a_transaction() -> None:
    runtime = construct_runtime(constants(measuring_spec()))
    measured = {case.call(0, 0)[:2] for case in CASES}
    # Producers' calls are rare, and votes and reports are no transactions.
    rare = {bytes(index) for index in runtime.calls if index[0] in (PRODUCERS, FINALITY)}
    assert measured == {bytes(index) for index in runtime.calls if bytes(index) not in runtime.inherents} - rare


@pytest.mark.full
def test_every_case_succeeds_and_is_charged() -> None:
    small = [case for case in CASES if case.ratings <= 100]
    costs = list(measure(MemoryStore, small))
    assert [cost.name for cost in costs] == [case.name for case in small]
    for cost in costs:
        assert cost.charged > REFERENCE_CHECK
        assert cost.check > 0
    by_name = {cost.name: cost.charged for cost in costs}
    assert by_name["submit_rating, new in a list of 100"] > by_name["submit_rating, new in a list of 0"]


def test_a_slower_machine_is_put_in_proportion() -> None:
    cost = Cost("call", charged=100e-6, measured=160e-6, check=2 * REFERENCE_CHECK)
    assert cost.on_reference == pytest.approx(80e-6)
    assert cost.ratio == pytest.approx(0.8)


@pytest.mark.full
def test_the_command_prints_a_table_or_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.commands.benchmark.cases", lambda scale: cases(scale)[:1])
    cli = command_line(capsys)
    ended = cli("benchmark", "--scale", "0.01")
    assert (ended.code, ended.err) == (0, "")
    head, row, note = ended.out.splitlines()
    assert head.startswith("microseconds of CPU a transaction  ")
    assert head.split()[5:] == ["charged", "here", "check", "reference", "share"]
    assert row.startswith("remark, nothing  ")
    assert note == "check: a signature check meanwhile; reference: a machine on which that takes 44"
    [told] = orjson.loads(cli("benchmark", "--scale", "0.01", "--json").out)
    assert set(told) == {
        "call",
        "chargedSeconds",
        "measuredSeconds",
        "signatureCheckSeconds",
        "referenceSeconds",
        "share",
    }
    assert (told["call"], told["chargedSeconds"]) == ("remark, nothing", 75e-6)
