"""Breaks each rule of zones, epochs and Phi once, and sees that a test fails: `.venv/bin/python scripts/mutations.py`.

Every change is made in a copy of the tree, one at a time, and the tests of its part are run there until one fails. What
survives is printed, and the exit code is 1. `--only WORD` chooses the changes whose description holds a word.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_PALLET: Final = "pallets/matrix_factorization/"
_TESTS: Final = "tests/pallets/matrix_factorization/"
_SECONDS: Final = 900
_COPIED: Final = (
    "node",
    "p2p",
    "pallets",
    "rpc",
    "runtime",
    "scripts",
    "storage",
    "tests",
    "typings",
    "pyproject.toml",
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A rule broken: `old` stands once in the file and becomes `new`; `tests` are to notice."""

    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _of(part: str, file: str, tests: str, rules: Sequence[tuple[str, str, str]]) -> list[Mutation]:
    names = tuple(_TESTS + name for name in tests.split())
    return [Mutation(f"{part}: {rule}", _PALLET + file, old, new, names) for rule, old, new in rules]


ZONES: Final = _of(
    "zones",
    "ratings.py",
    "test_ratings.py test_histories.py",
    [
        (
            "the first zone of at least the generation tells",
            "zone.generation >= generation:",
            "zone.generation > generation:",
        ),
        (
            "a list without a later zone is as it was",
            "return self.entries\n        kept",
            "return self.entries[:0]\n        kept",
        ),
        ("entries behind the mark are new", "kept = self.entries[: zone.mark]", "kept = self.entries"),
        (
            "old values stand for the present ones",
            'kept[~np.isin(kept["item"], zone.old["item"])], zone.old',
            "kept, zone.old",
        ),
        ("nothing has changed without a zone", "return 0, self.entries.size", "return 1, self.entries.size"),
        ("what was appended has changed", "return self.entries.size - zone.mark, zone.mark", "return 0, zone.mark"),
        (
            "before the change the list had as many as the mark",
            "- zone.mark, zone.mark",
            "- zone.mark, self.entries.size",
        ),
        (
            "a value that is back is no change",
            "return appended + old.size - restored, frozen",
            "return appended + old.size, frozen",
        ),
        ("an item with an old value is not appended", "- int(np.count_nonzero(touched[zone.mark :]))", "- 0"),
        ("the freeze had the old values too", "(touched[: zone.mark])) + old.size", "(touched[: zone.mark]))"),
        ("a change opens the zone of the latest freeze", "self._zones[-1].generation != self._latest", "False"),
        ("zones that nothing asks for are dropped", "if zone.generation >= self._active]", "if True]"),
        (
            "zones of the active freeze are kept",
            "if zone.generation >= self._active]",
            "if zone.generation > self._active]",
        ),
        (
            "a new zone begins at the end of the list",
            "Zone(self._latest, self._length, _NO_ENTRIES)",
            "Zone(self._latest, 0, _NO_ENTRIES)",
        ),
        (
            "a re-rating records the old value",
            "            self._remember(position)\n            self._ratings[position]",
            "            self._ratings[position]",
        ),
        (
            "a retraction records the old value",
            "        self._remember(position)\n        self._found",
            "        self._found",
        ),
        ("only zones that hold the entry record it", "if position < zone.mark and item", "if item"),
        ("the first old value stays", 'and not np.any(zone.old["item"] == item)', "and True"),
        ("the first old value stays within one call too", "and item not in fresh", "and True"),
        (
            "new old values stand behind those there were",
            "np.concatenate((zone.old, np.array",
            "np.concatenate((zone.old[:0], np.array",
        ),
        ("the frozen value may be a new old one", "        if fresh is not None:\n", "        if False:\n"),
        ("a hole is filled from the end of its zone", "self._entries[hole] = self._entries[zone.mark - 1]", "pass"),
        ("the hole moves outward", "                hole = zone.mark - 1\n", "                pass\n"),
        (
            "a zone with a hole is shorter",
            "Zone(zone.generation, hole, zone.old)",
            "Zone(zone.generation, zone.mark, zone.old)",
        ),
        ("the last hole is filled from the end", "self._entries[hole] = self._entries[self._length]", "pass"),
        (
            "drift counts what differs from the freeze",
            "self.drift += (rating != frozen) - (before != frozen)",
            "self.drift += 1",
        ),
        (
            "a retraction of what was frozen is drift",
            "(frozen is not None) - (before != frozen)",
            "1 - (before != frozen)",
        ),
        ("the frozen value is the recorded one", "            return int(old[0])", "            return before"),
    ],
)
EPOCHS: Final = _of(
    "epochs",
    "epochs.py",
    "test_epochs.py",
    [
        ("few ratings are learned at once", "if work <= config.inline_rebuild_limit:", "if False:"),
        ("the limit itself counts as few", "work <= config.inline", "work < config.inline"),
        (
            "without a change nothing is learned",
            "if model.last_change != context.number and not model.is_pending:",
            "if False:",
        ),
        ("a pending freeze gives way under the limit", " and not model.is_pending:", ":"),
        ("a pending model waits until it is due", "if context.number >= model.due else model", "if True else model"),
        ("a model comes into force in the due block", "context.number >= model.due", "context.number > model.due"),
        (
            "a quarter of the frozen ratings",
            "4 * model.drift >= model.frozen_ratings",
            "5 * model.drift >= model.frozen_ratings",
        ),
        ("a quarter is enough", "4 * model.drift >= model.frozen_ratings", "4 * model.drift > model.frozen_ratings"),
        ("quiet brings an epoch", " or quiet)", ")"),
        ("quiet lasts its whole time", ">= config.quiet_period", "> config.quiet_period"),
        ("no drift, no epoch", "model.drift > 0 and", "model.drift >= 0 and"),
        ("the delay grows with the work", "config.activation_delay(work)", "config.activation_delay(0)"),
        ("items that are rated are work", "branch.items.rated_count)", "0)"),
        ("accounts are work", "model.users, branch", "0, branch"),
        ("a freeze notes its block", "frozen_at=context.number,", "frozen_at=model.frozen_at,"),
        ("a freeze is the next generation", "generation = model.generation + 1", "generation = model.generation + 2"),
        ("a freeze begins without drift", ", drift=0\n", ", drift=model.drift\n"),
        ("a freeze notes its ratings", "frozen_ratings=model.ratings", "frozen_ratings=model.frozen_ratings"),
        ("the activated generation is the latest", "active=model.generation,", "active=model.active,"),
        ("an activation clears the due block", "due=BlockNumber(0))\n    digest", "due=model.due)\n    digest"),
        ("the state has the digest", "return replace(model, digest=digest)", "return model"),
        ("a freeze is told", "context.deposit(EPOCH_STARTED, model.generation, due)", "pass"),
        ("an activation is told", "context.deposit(EPOCH_COMPLETED, digest)", "pass"),
    ],
)
PHI: Final = _of(
    "Phi",
    "phi.py",
    "test_view.py test_pending.py test_histories.py",
    [
        ("half changed means a solve", "2 * changed >= before:", "changed >= before:"),
        ("less than half means the canonical posterior", "if row is None or 2 * changed >= before:", "if True:"),
        ("nobody without ratings", "        if ratings.entries.size == 0:\n", "        if False:\n"),
        (
            "a solve starts from the account's own precision",
            "starts = [frozen.starting_precision(records[index][0])",
            "starts = [4 << 20",
        ),
        (
            "solves go against the canonical rows",
            "frozen.item_rows.holding(ratings_of_all.items)",
            "0 * frozen.item_rows.holding(ratings_of_all.items)",
        ),
        (
            "what was contributed is taken back",
            "before = [self.users.get(account) for account, _ in records]",
            "before = [None for account, _ in records]",
        ),
        ("raters are counted", "ids, sums, raters)", "ids, sums, 0 * raters)"),
        (
            "at a freeze the posteriors are canonical",
            "UserEntry(entry.ratings, row) for (_, entry)",
            "UserEntry(entry.ratings, 0 * row) for (_, entry)",
        ),
        (
            "readers solve against the rows of now",
            "self.items.rows_of(ids))",
            "self.frozen.item_rows.holding(ids)[ids])",
        ),
        ("moving follows what differs", "source.differing(target)", "source.differing(target)[1:]"),
        (
            "who has left is followed too",
            "NO_RATINGS if entry is None else entry.ratings) for",
            "NO_RATINGS if entry is None else entry.ratings) if entry is not None"
            " else (account, RatingList(source.get(account).ratings.entries, ())) for",
        ),
    ],
)
VIEWS: Final = [
    *_of(
        "views",
        "view.py",
        "test_view.py test_pending.py test_histories.py",
        [
            ("a derived model is compared with the digest", "if frozen.digest != record.digest:", "if False:"),
            (
                "the active set is recovered from the zones",
                "lists_at_freeze(records, record.active)",
                "lists_at_freeze(records, record.generation)",
            ),
            (
                "the pending set is recovered from the zones",
                "records, record.generation), config)",
                "records, record.active), config)",
            ),
            ("an epoch of another freeze is not used", " or pending.generation != record.generation:", ":"),
            (
                "a freeze keeps the ratings of now",
                "PendingEpoch(generation, self._phi.users, self.config)",
                "PendingEpoch(generation, self._parent.users, self.config)",
            ),
            (
                "an activation follows the block's own changes",
                "self._phi = self.pending.follow(self._phi.users,",
                "self._phi = self.pending.follow(self._parent.users,",
            ),
            (
                "an activation ends the pending epoch",
                "        self.pending = None\n        return self._phi",
                "        return self._phi",
            ),
        ],
    ),
    *_of(
        "views",
        "pending.py",
        "test_pending.py test_histories.py",
        [
            ("what was followed is where the next step starts", "self._followed = users, phi", "pass"),
            ("the table has as many items as the block", ".sized(item_count)\n", "\n"),
            ("what was learned is kept", "frozen = self._frozen = learn_frozen", "frozen = learn_frozen"),
        ],
    ),
    *_of(
        "views",
        "items.py",
        "test_items.py test_view.py",
        [
            ("a page that changes is copied", "else page.copy()", "else page"),
            ("statistics add up", 'lines["totals"] += sums', 'lines["totals"] = sums'),
            (
                "a changed item is solved anew",
                'lines["mean"], lines["covariance"], lines["rows"] = solved.mean, solved.covariance, item_rows(solved)',
                "pass",
            ),
        ],
    ),
    *_of(
        "views",
        "hooks.py",
        "test_histories.py test_epochs.py test_commitments.py",
        [
            (
                "the block's ratings are followed",
                "        branch.sync(context.state)\n        before",
                "        before",
            ),
            ("the state of learning is written", "            MODEL.put(context.state, model)\n", "            pass\n"),
            (
                "an account without ratings leaves no posterior",
                "USER_POSTERIORS.remove(state, account)",
                "pass",
            ),
            (
                "a record that some zone still needs is kept",
                "if all(zone.generation < model.active for zone in zones):",
                "if True:",
            ),
        ],
    ),
]
CHARGES: Final = _of(
    "charges",
    "calls.py",
    "test_calls.py",
    [
        (
            "a list that was touched in the block is not learned from again",
            "    if context.state.is_touched(RATINGS.key(account)):\n        return\n",
            "",
        ),
        ("a prediction pays for following", " + (following if unsynced else 0)", ""),
        ("a prediction pays for what it makes the block learn", "(unsynced + own) *", "own *"),
        ("a prediction pays for its own list", "(unsynced + own) *", "unsynced *"),
        ("a prediction pays for all pages", " + branch.items.size * _PAGING_WEIGHT", ""),
        ("old values are searched", "(length + old) * (_COPYING", "length * (_COPYING"),
        ("old values are compared", " + old * _COMPARING_WEIGHT)", ")"),
        ("both epochs are followed where one comes in force", "followed.append(model.generation)", "pass"),
        (
            "only in the block that is due",
            "if model.is_pending and context.number >= model.due:",
            "if model.is_pending:",
        ),
        ("what is solved anew counts twice", "1 + ratings.may_differ_in_half(generation, items)", "1"),
        (
            "the changes of the call count for that",
            "may_differ_in_half(generation, items)",
            "may_differ_in_half(generation)",
        ),
        ("a first rating costs more", "    if before.entries.size == 0:\n", "    if False:\n"),
        (
            "each item is looked for",
            "_COPYING_WEIGHT + items * _SEARCHING_WEIGHT))\n    if",
            "_COPYING_WEIGHT))\n    if",
        ),
        ("more features cost more", "config.scaled(length * _LEARNING_WEIGHT)", "(length * _LEARNING_WEIGHT)"),
    ],
)
MUTATIONS: Final = (*ZONES, *CHARGES, *EPOCHS, *PHI, *VIEWS)


def apply(mutation: Mutation, tree: Path) -> str:
    """Break a rule in a tree; return the file as it was."""
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(
            f"{mutation.rule}: {mutation.old!r} stands {text.count(mutation.old)} times in {mutation.file}"
        )
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    return text


def is_noticed(mutation: Mutation, tree: Path) -> bool:
    """Run the tests of a broken rule in its tree; tell whether one failed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["--hypothesis-profile", "mfchain-mutations", *mutation.tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode not in (0, 1):
        # A broken rule may also keep a module from being imported, but then it shows nothing about tests.
        raise SystemExit(f"{mutation.rule}: the tests did not run\n{done.stdout[-2_000:]}")
    return done.returncode == 1


def main(arguments: Sequence[str]) -> int:
    """Break the rules one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="rules whose description holds it")
    parser.add_argument("--list", action="store_true", help="print the rules and end")
    options = parser.parse_args(arguments)
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.rule]
    if options.list:
        print(*(mutation.rule for mutation in chosen), sep="\n")
        return 0
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in _COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        for number, mutation in enumerate(chosen, 1):
            before = apply(mutation, tree)
            noticed = is_noticed(mutation, tree)
            (tree / mutation.file).write_text(before, encoding="utf-8")
            print(f"{number}/{len(chosen)} {'noticed ' if noticed else 'SURVIVED'} {mutation.rule}", flush=True)
            if not noticed:
                survived.append(mutation.rule)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} broken rules were noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
