"""Blocks of signed ratings imported by one node: MovieLens-100K in the order of time, shuffled, and in batches.

What is measured is what `mfchain-node import-blocks` does, from the bytes of a block to the synced write: signatures
checked in two threads, execution, learning (epochs included), state root, LevelDB. The blocks are made and signed
first. Rates are ratings a second; those by CPU count all threads of the process.
"""

import csv
import os
import resource
import struct
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.common.calibration import calibrate
from benchmarks.common.suite import Results, Setting
from benchmarks.common.timing import Stopwatch, Taken, summary
from node.ahead import checked_ahead
from node.chain import Chain
from node.chain_spec import load_spec
from node.commands.block_stream import read_blocks, write_block
from node.memory import without_collections
from node.signatures import VerifiedSignatures
from node.spec_types import ChainSpec, Sealing
from runtime.crypto import KeyPair, Scheme
from runtime.executive import ValidTransaction
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.header import Block
from runtime.primitives import BlockNumber, Nonce
from runtime.scale import encode_compact
from storage.leveldb import LevelDbStore

BLOCK: Final = 1_000
BATCH: Final = 256
SEGMENTS: Final = 10
FOREVER: Final = BlockNumber(1 << 40)
SCRIPTS: Final = Path(__file__).parents[1]
_PAIR: Final = struct.Struct("<Qq")

Rating = tuple[int, int, int]
"""User, item and stars, as in the file."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--ratings", type=int, default=100_000, help="how many of the ratings (100000)")
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=list(ORDERS), help="which (all)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    ratings = movielens(setting.cache)[: arguments.ratings]
    results = {}
    for name in arguments.orders:
        with tempfile.TemporaryDirectory() as directory:
            results[name] = _measure(setting, name, ratings, Path(directory))
    return results


def movielens(cache: Path) -> list[Rating]:
    """Return MovieLens-100K in the order of time; fetched once."""
    folder = cache / "movielens-100k"
    if not (folder / "ratings.csv").exists():
        subprocess.run([sys.executable, SCRIPTS / "fetch_movielens.py", "--out", folder], check=True)
    with (folder / "ratings.csv").open(encoding="utf-8", newline="") as file:
        return [(int(row["user"]), int(row["item"]), int(row["rating"])) for row in csv.DictReader(file)]


def _singles(ratings: Sequence[Rating]) -> Iterator[list[tuple[int, bytes]]]:
    """Cut into blocks of `BLOCK` ratings with a signature each: signers and calls."""
    for start in range(0, len(ratings), BLOCK):
        part = ratings[start : start + BLOCK]
        yield [(user, b"\x08\x00" + _PAIR.pack(item - 1, stars)) for user, item, stars in part]


def _shuffled(ratings: Sequence[Rating]) -> Iterator[list[tuple[int, bytes]]]:
    """The same in random order: almost every rating of a block is another user's."""
    order = list(ratings)
    Random(1).shuffle(order)  # noqa: S311 - the same order each time
    return _singles(order)


def _batches(ratings: Sequence[Rating]) -> Iterator[list[tuple[int, bytes]]]:
    """User by user, up to `BATCH` ratings a signature and `BLOCK` or a few more a block."""
    lists: dict[int, list[bytes]] = {}
    for user, item, stars in ratings:
        lists.setdefault(user, []).append(_PAIR.pack(item - 1, stars))
    block: list[tuple[int, bytes]] = []
    count = 0
    for user, pairs in lists.items():
        for start in range(0, len(pairs), BATCH):
            part = pairs[start : start + BATCH]
            block.append((user, b"\x08\x04" + encode_compact(len(part)) + b"".join(part)))
            count += len(part)
            if count >= BLOCK:
                yield block
                block, count = [], 0
    if block:
        yield block


ORDERS: Final[dict[str, Callable[[Sequence[Rating]], Iterator[list[tuple[int, bytes]]]]]] = {
    "time": _singles,
    "random": _shuffled,
    "batches": _batches,
}


def spec() -> ChainSpec:
    """The chain `movielens` with its items from the start, blocks made by one node."""
    return replace(load_spec("movielens"), sealing=Sealing.INSTANT, items=tuple(f"film {n}" for n in range(1, 1_683)))


@dataclass(slots=True)
class _Maker:
    """Makes signed blocks on a chain of its own."""

    chain: Chain
    milliseconds: int
    pairs: dict[int, KeyPair]
    nonces: dict[int, int]

    def block(self, calls: Sequence[tuple[int, bytes]]) -> Block:
        """Make a block of these calls."""
        valid = [self._transaction(user, call) for user, call in calls]
        self.milliseconds += self.chain.spec.slot_duration
        template = self.chain.consensus.template(self._pair(0), self.milliseconds)
        built = self.chain.build(valid, template, lambda *_: True)
        assert len(built.head.block.extrinsics) == 1 + len(calls), "the block has no room for all"
        return built.head.block

    def _pair(self, user: int) -> KeyPair:
        if user not in self.pairs:
            self.pairs[user] = KeyPair.from_seed(Scheme.ED25519, user.to_bytes(32, "little"))
        return self.pairs[user]

    def _transaction(self, user: int, call: bytes) -> ValidTransaction:
        nonce, pair = self.nonces.get(user, 0), self._pair(user)
        self.nonces[user] = nonce + 1
        version, genesis = self.chain.runtime.version, self.chain.genesis
        raw = sign_extrinsic(
            pair, call, IMMORTAL, Nonce(nonce), version.spec_version, version.transaction_version, genesis, genesis
        )
        prepared = self.chain.runtime.prepare(raw)
        return ValidTransaction(prepared, pair.public, Nonce(nonce), Nonce(nonce), FOREVER)


def make_blocks(blocks: Iterator[list[tuple[int, bytes]]], directory: Path, file: Path) -> int:
    """Write signed blocks to a file; return how many."""
    store = LevelDbStore(directory)
    try:
        chain = Chain.open(spec(), store, state_pruning=256)
        maker, count = _Maker(chain, chain.spec.genesis_time, {}, {}), 0
        with file.open("wb") as stream:
            for calls in blocks:
                write_block(stream, maker.block(calls))
                count += 1
    finally:
        store.close()
    return count


def _measure(setting: Setting, name: str, ratings: Sequence[Rating], directory: Path) -> Results:
    file = directory / "blocks"
    blocks = make_blocks(ORDERS[name](ratings), directory / "made", file)
    store = LevelDbStore(directory / "imported")
    try:
        chain = Chain.open(spec(), store, state_pruning=256)
        segments = _import(chain, file, blocks)
        digest = chain.snapshot.model.digest().hex()
        assert chain.snapshot.model.record.ratings == len(ratings), "all ratings are new"
    finally:
        store.close()
    start = _start(directory / "imported", digest)
    taken = [segment.taken for segment in segments]
    cpu, wall = sum(one.cpu for one in taken), sum(one.wall for one in taken)
    rate = len(ratings) / cpu
    # In signature checks, each segment by those around it: what else the machine does meanwhile changes both.
    share = len(ratings) / sum(segment.checks for segment in segments)
    setting.say(
        f"{name}: {len(ratings):,} ratings in {blocks} blocks, {rate:,.0f} a CPU second "
        f"({share:.0%} of the bare signature rate), {len(ratings) / wall:,.0f} a second of wall"
    )
    return {
        "ratings": len(ratings),
        "blocks": blocks,
        "ratingsPerCpuSecond": rate,
        "shareOfSignatureRate": share,
        "ratingsPerWallSecond": len(ratings) / wall,
        "segment": summary(taken, len(ratings) // len(taken)),
        "segments": [{"cpuSeconds": s.taken.cpu, "wallSeconds": s.taken.wall, "checks": s.checks} for s in segments],
        "bytesOnDisk": sum(path.stat().st_size for path in (directory / "imported").iterdir()),
        "mostMemoryBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "startSeconds": {"cpu": start.cpu, "wall": start.wall},
        "digest": digest,
        "otherLoad": os.getloadavg()[0],
    }


@dataclass(frozen=True, slots=True)
class _Segment:
    """What some blocks took, and as how many signature checks that counts."""

    taken: Taken
    checks: float


def _import(chain: Chain, file: Path, blocks: int) -> list[_Segment]:
    """Import all blocks of a file as the command does, in segments of about the same number of blocks."""
    signatures, segments = VerifiedSignatures(), []
    with file.open("rb") as stream, without_collections():
        walk = checked_ahead(read_blocks(stream), chain.runtime.version, chain.database.hash_at, signatures)
        before = calibrate()
        for segment in range(SEGMENTS):
            with Stopwatch() as watch:
                for block in islice(walk, blocks * (segment + 1) // SEGMENTS - blocks * segment // SEGMENTS):
                    chain.import_block(block, signatures)
            after = calibrate()
            check = (before.cpu_seconds + after.cpu_seconds) / 2
            segments.append(_Segment(watch.taken, watch.taken.cpu / check))
            before = after
        assert next(walk, None) is None, "all blocks are imported"
    return segments


def _start(directory: Path, digest: str) -> Taken:
    """Open the chain again, as a node that starts: trie and model are derived from the state."""
    store = LevelDbStore(directory)
    try:
        with Stopwatch() as watch:
            chain = Chain.open(spec(), store, state_pruning=256)
        assert chain.snapshot.model.digest().hex() == digest, "a start leaves the model as it was"
    finally:
        store.close()
    return watch.taken
