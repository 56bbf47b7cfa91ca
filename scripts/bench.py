"""Measures the project: `.venv/bin/python scripts/bench.py --suite NAME --json OUT [options of the suite]`.

Every run first measures the machine by checking 2,000 signatures. OUT gets one JSON object: the suite, the machine,
that measure, and the suite's results. `--suite NAME --help` lists the options of a suite.
"""

import argparse
import importlib
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import benchmarks
from benchmarks.common.calibration import calibrate
from benchmarks.common.machine import describe
from benchmarks.common.suite import Setting, Suite

_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)


def suites() -> list[str]:
    """Return the names of all suites: the modules beside the folder `common`."""
    return sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.ispkg)


def default_cache() -> Path:
    """Return where suites keep what is worth keeping between runs: data, environments of others' programs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mfchain-bench"


def parse(arguments: Sequence[str]) -> tuple[Suite, argparse.Namespace]:
    """Read the command line: the suite first, then with its own options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--suite", required=True, choices=suites(), help="what to measure")
    common.add_argument("--json", required=True, type=Path, metavar="OUT", help="file for the results")
    common.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR", help="kept between runs")
    wants_help = {"-h", "--help"} & set(arguments)
    named = [name for name in suites() if name in arguments]
    if wants_help and not named:
        argparse.ArgumentParser(description=__doc__, parents=[common]).parse_args(arguments)
    name = named[0] if wants_help else str(common.parse_known_args(arguments)[0].suite)
    suite = cast(Suite, importlib.import_module(f"benchmarks.{name}"))
    parser = argparse.ArgumentParser(description=suite.__doc__, parents=[common])
    suite.add_arguments(parser)
    return suite, parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run one suite."""
    suite, options = parse(arguments)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.cache.mkdir(parents=True, exist_ok=True)
    machine, calibration = describe(), calibrate()
    print(f"{calibration.checks_per_cpu_second:,.0f} signature checks a CPU second", flush=True)
    results = suite.run(Setting(calibration, options.cache), options)
    report = {
        "suite": options.suite,
        "machine": machine,
        "calibration": calibration.to_json(),
        "calibrationAfter": calibrate().to_json(),
        "results": results,
    }
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{options.json}: written")
    return 0


def leave(number: int, _frame: object) -> None:
    """End as suites end that fail, so that they stop their nodes; whoever asks twice gets no more than that."""
    for asked in _ENDINGS:
        signal.signal(asked, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for ending in _ENDINGS:
        signal.signal(ending, leave)
    sys.exit(main(sys.argv[1:]))
