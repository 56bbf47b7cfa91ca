"""The model through the runtime, beside others that learn from the same ratings."""

from argparse import ArgumentParser, Namespace

from benchmarks.common.suite import Results, Setting


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""


def run(_setting: Setting, _arguments: Namespace) -> Results:
    """Measure; return what was found."""
    return {}
