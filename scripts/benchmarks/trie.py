"""The state trie in memory: what a block's changes, a start and proofs cost, by the size of the state."""

from argparse import ArgumentParser, Namespace
from random import Random
from typing import Final

from benchmarks.common.suite import Results, Setting
from benchmarks.common.timing import Stopwatch, Taken, segments, summary
from runtime.primitives import blake2b_128
from runtime.trie import StateVersion, Trie, ordered_root, verify_proof

CHANGES: Final = 2_000
PROOFS: Final = 100
EXTRINSICS: Final = 1_000
EXTRINSIC_BYTES: Final = 130
# Length of values: a nonce, a list of ratings, a posterior.
LENGTHS: Final = (16, 150, 230)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--keys", type=int, nargs="+", default=[10_000, 100_000], help="sizes (10000 100000)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    draw = Random(3)  # noqa: S311 - the same tries each time
    bodies = [draw.randbytes(EXTRINSIC_BYTES) for _ in range(EXTRINSICS)]
    results: dict[str, object] = {
        "extrinsicsRoot": _told(setting, "an extrinsic in a root", segments(lambda: ordered_root(bodies)), EXTRINSICS)
    }
    for size in arguments.keys:
        results[str(size)] = _of_size(setting, size, draw)
    return results


def _pair(number: int, draw: Random) -> tuple[bytes, bytes]:
    """A key as storage maps have them, one of three prefixes and a hash, and a value."""
    prefix = blake2b_128(bytes((number % 3,))) * 2
    name = number.to_bytes(32, "little")
    return prefix + blake2b_128(name) + name, draw.randbytes(LENGTHS[number % 3])


def _of_size(setting: Setting, size: int, draw: Random) -> Results:
    items = dict(sorted(_pair(number, draw) for number in range(size)))
    with Stopwatch() as watch:
        trie = Trie.from_items(items.items(), StateVersion.V1)
    keys = list(items)
    made = iter(range(size, 2 * size))

    def replace() -> None:
        changed = sorted(draw.sample(keys, min(CHANGES, size)))
        trie.apply([(key, draw.randbytes(230)) for key in changed])

    def insert() -> None:
        trie.apply(sorted(_pair(next(made), draw) for _ in range(min(CHANGES, size // 10))))

    asked = sorted(draw.sample(keys, PROOFS))
    proof = trie.prove(asked, items.get)
    count = min(CHANGES, size)

    def told(what: str, taken: list[Taken], operations: int) -> Results:
        return _told(setting, f"{size:,} keys: {what}", taken, operations)

    return {
        "rebuild": told("a key of a rebuild", [watch.taken], size),
        "replace": told("a changed key", segments(replace), count),
        "insert": told("a new key", segments(insert), min(CHANGES, size // 10)),
        "prove": told("a key in a proof", segments(lambda: trie.prove(asked, items.get)), PROOFS),
        "verify": told("a key in a check", segments(lambda: verify_proof(trie.root(), proof, asked)), PROOFS),
        "proofBytes": sum(map(len, proof)) / PROOFS,
    }


def _told(setting: Setting, what: str, taken: list[Taken], operations: int) -> Results:
    """Sum up, and say it."""
    found = summary(taken, operations)
    cpu = found["cpuSeconds"]
    checks = cpu / setting.calibration.cpu_seconds
    setting.say(f"{what}: {cpu * 1e6:.1f} us of CPU, {checks:.2f} signature checks")
    return {**found, "signatureChecks": checks}
