"""scripts/bench.py: how suites are found, called and reported."""

import json
import re
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.common.calibration import CHECKS, Calibration
from benchmarks.common.suite import Results, Setting
from benchmarks.common.timing import Taken, segments, summary
from scripts import bench
from tests.support.processes import PATIENCE, STARTS_WITHIN, Lines

ROOT = Path(__file__).parents[2]


def test_a_suite_is_a_module_of_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "inference" in bench.suites()
    assert "common" not in bench.suites()
    with pytest.raises(SystemExit):
        bench.main(["--suite", "nothing", "--json", "out.json"])
    assert "argument --suite: invalid choice: 'nothing'" in capsys.readouterr().err


def test_a_report_holds_the_machine_its_measure_and_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--size", type=int, default=1)

    def run(setting: Setting, arguments: Namespace) -> Results:
        setting.say("measuring")
        return {"size": arguments.size, "share": setting.calibration.share(100.0)}

    suite = SimpleNamespace(__doc__="A suite.", add_arguments=add_arguments, run=run)
    monkeypatch.setattr(bench, "suites", lambda: ["small"])
    monkeypatch.setattr(bench.importlib, "import_module", {"benchmarks.small": suite}.__getitem__)
    out = tmp_path / "reports" / "out.json"
    assert bench.main(["--suite", "small", "--json", str(out), "--cache", str(tmp_path / "cache"), "--size", "3"]) == 0
    report = json.loads(out.read_text())
    assert list(report) == ["suite", "machine", "calibration", "calibrationAfter", "results"]
    assert report["suite"] == "small"
    assert report["calibration"]["signatureChecks"] == CHECKS == 2_000
    rate = report["calibration"]["checksPerCpuSecond"]
    assert report["results"] == {"size": 3, "share": pytest.approx(100 / rate)}
    told = capsys.readouterr().out.splitlines()
    assert told == [f"{rate:,.0f} signature checks a CPU second", "measuring", f"{out}: written"]


def test_segments_are_summed_up_by_their_median() -> None:
    assert len(segments(lambda: None, 3)) == 3
    taken = [Taken(cpu=3.0, wall=5.0), Taken(cpu=1.0, wall=9.0), Taken(cpu=2.0, wall=7.0)]
    expected = {"segments": 3, "cpuSeconds": 1.0, "cpuSecondsLeast": 0.5, "wallSeconds": 3.5}
    assert summary(taken, operations=2) == expected
    assert Calibration(cpu_seconds=0.01, wall_seconds=0.02).share(50.0) == 0.5


def processes_with(word: str) -> list[str]:
    """The commands that run and have a word in them."""
    listed = subprocess.run(["/bin/ps", "-A", "-ww", "-o", "command="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if word in line]


@pytest.mark.full
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_nodes_do_not_outlive_a_suite_that_is_told_to_end(ending: signal.Signals, tmp_path: Path) -> None:
    words = [sys.executable, ROOT / "scripts" / "bench.py", "--suite", "rpc", "--json", tmp_path / "out.json"]
    with subprocess.Popen(
        [*map(str, words), "--cache", str(tmp_path / "cache"), "--users", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = Lines(process.stdout), Lines(process.stderr)
        assert out.match(re.compile("300 ratings by 3 users are in blocks"), STARTS_WITHIN) is not None, err.text
        base = f"--base-path {tmp_path}"
        assert processes_with(base), "the suite has a node"
        process.send_signal(ending)
        assert process.wait(PATIENCE) == 128 + ending
        assert processes_with(base) == []
        assert [line for line in err.rest() if "Traceback" in line] == []
        out.rest()
