"""The model through the runtime, beside others that learn from the same ratings, and what blocks and epochs cost.

The peers (myfm, Surprise, river, implicit) get an environment each in the cache folder; one that cannot be installed is
named in the report. All of it takes about half an hour on two cores; `--parts` chooses.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from benchmarks.common.suite import Results, Setting
from benchmarks.recommenders import accuracy, attacks, costs, histories, plots
from benchmarks.recommenders.data import SPLITS, movielens
from benchmarks.recommenders.peers import PROGRAMS

PARTS = ("accuracy", "orders", "prequential", "three", "spam", "blocks", "growth", "mixes", "item")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    peers = [name for name in PROGRAMS if name != "river-prequential"]
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="of accuracy")
    parser.add_argument("--peers", nargs="*", choices=peers, default=peers, help="of accuracy")
    parser.add_argument("--no-million", action="store_true", help="leave out the largest of growth")
    parser.add_argument("--plots", metavar="FOLDER", help="also draw what was measured, as SVG")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    ratings = movielens(setting.cache)
    work: dict[str, Callable[[], object]] = {
        "accuracy": lambda: accuracy.measure(setting, ratings, tuple(arguments.splits), tuple(arguments.peers)),
        "orders": lambda: histories.order_sensitivity(setting, ratings),
        "prequential": lambda: histories.prequential(setting, ratings),
        "three": lambda: attacks.three_ratings(setting),
        "spam": lambda: attacks.spam(setting, ratings),
        "blocks": lambda: costs.ordinary_blocks(setting, ratings),
        "growth": lambda: costs.growth(setting, largest=not arguments.no_million),
        "mixes": lambda: costs.mixes(setting),
        "item": lambda: histories.one_item(setting, ratings),
    }
    results: dict[str, object] = {}
    # What is there is kept even if a later part fails: a run takes long.
    partial = arguments.json.with_suffix(".partial.json")
    for part in arguments.parts:
        results[part] = work[part]()
        partial.write_text(json.dumps(results, indent=1), encoding="utf-8")
    partial.unlink()
    if arguments.plots is not None:
        plots.draw(results, arguments.plots)
    return results
