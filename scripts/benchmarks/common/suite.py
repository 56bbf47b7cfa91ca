"""What a suite is: a module of `benchmarks` with a docstring, `add_arguments` and `run`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from benchmarks.common.calibration import Calibration

Results: TypeAlias = Mapping[str, object]
"""What a suite measured: anything that JSON holds."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What every suite gets: the machine's speed, and a folder whose content may be used again in a later run."""

    calibration: Calibration
    cache: Path

    def say(self, line: str) -> None:
        """Tell whoever watches how far the suite is."""
        print(line, flush=True)


class Suite(Protocol):
    """One module in the folder `scripts/benchmarks`; its name is that of the suite."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare options of this suite alone."""
        ...

    def run(self, setting: Setting, arguments: Namespace) -> Results:
        """Measure; return what was found."""
        ...
