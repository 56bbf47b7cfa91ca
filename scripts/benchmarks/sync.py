"""A node that catches up with another one, beside the import of the same blocks from a file, in the same run.

The blocks are those of the suite import_blocks, 1,000 ratings each with a signature of its own. Both nodes are
processes on this machine and talk over TCP, so the one that gives the blocks takes processor time from the one that
executes them. `share` is catching up by local import, both in blocks a second of wall; by processor time it is
`cpuShare`.
"""

import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import import_blocks
from benchmarks.common.calibration import calibrate
from benchmarks.common.suite import Results, Setting
from benchmarks.common.timing import Stopwatch, Taken
from benchmarks.import_blocks import ORDERS, make_blocks, spec
from benchmarks.serving.node import NodeProcess
from node.ahead import checked_ahead
from node.chain import Chain
from node.chain_spec import render
from node.commands.block_stream import read_blocks
from node.config import database_path
from node.memory import without_collections
from node.signatures import VerifiedSignatures
from p2p.addresses import peer_id_from_seed
from ports import free_port
from storage.leveldb import LevelDbStore

_SEED: Final = bytes(31) + b"\1"
_STARTED: Final = re.compile(r"JSON-RPC at ws://127\.0\.0\.1:(\d+) ")
_CAUGHT_UP: Final = re.compile(r"caught up to block (\d+) \S+: (\d+) blocks in ([0-9.]+) s")
_PATIENCE: Final = 60.0


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--ratings", type=int, default=60_000, help="how many of MovieLens's ratings (60000)")
    parser.add_argument("--order", default="time", choices=list(ORDERS), help="the order of ratings (time)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    ratings = import_blocks.movielens(setting.cache)[: arguments.ratings]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        file, chain = directory / "blocks", directory / "chain.json"
        blocks = make_blocks(ORDERS[arguments.order](ratings), directory / "made", file)
        chain.write_bytes(render(spec()))
        imported = _import(file, database_path(directory / "giver", spec()))
        catching, taken = _catch_up(directory, chain, blocks)
    local, synced = blocks / imported.wall, blocks / catching.wall
    checks = calibrate().checks_per_cpu_second
    setting.say(
        f"{blocks} blocks of {len(ratings) // blocks} ratings: {synced:.1f} a second from one peer, "
        f"{local:.1f} imported from a file: {synced / local:.0%}, by processor time {imported.cpu / catching.cpu:.0%}"
    )
    return {
        "ratings": len(ratings),
        "blocks": blocks,
        "blocksPerSecond": synced,
        "blocksPerSecondOfImport": local,
        "share": synced / local,
        "cpuShare": imported.cpu / catching.cpu,
        "import": {"cpuSeconds": imported.cpu, "wallSeconds": imported.wall},
        "catchUp": {"cpuSeconds": catching.cpu, "wallSeconds": catching.wall, "giverCpuSeconds": taken},
        "checksPerCpuSecondAfter": checks,
    }


def _import(file: Path, directory: Path) -> Taken:
    """Import all blocks of a file as the command does, into the database of the node that gives them then."""
    directory.parent.mkdir(parents=True)
    store = LevelDbStore(directory)
    try:
        chain, signatures = Chain.open(spec(), store, state_pruning=256), VerifiedSignatures()
        with file.open("rb") as stream, without_collections(), Stopwatch() as watch:
            for block in checked_ahead(read_blocks(stream), chain.runtime.version, chain.database.hash_at, signatures):
                chain.import_block(block, signatures)
    finally:
        store.close()
    return watch.taken


def _catch_up(directory: Path, chain: Path, blocks: int) -> tuple[Taken, float]:
    """Let a new node catch up; what that took of it, and the processor time of the node that gave the blocks."""
    address = f"/ip4/127.0.0.1/tcp/{free_port()}"
    with _node(chain, directory / "giver", "--listen-addr", address, "--node-key", _SEED.hex()) as (giver, _):
        before = giver.cpu()
        boot = f"{address}/p2p/{peer_id_from_seed(_SEED)}"
        with _node(chain, directory / "taker", "--port", "0", "--bootnodes", boot) as (taker, log):
            start = taker.cpu()
            for line in log:
                found = _CAUGHT_UP.search(line)
                if found is not None and int(found[1]) == blocks:
                    # The log has tenths of a second.
                    return Taken(taker.cpu() - start, max(float(found[3]), 0.05)), giver.cpu() - before
    raise RuntimeError("the node has not caught up")


@contextmanager
def _node(chain: Path, directory: Path, *options: str) -> Iterator[tuple[NodeProcess, Iterator[str]]]:
    """Run a node that follows; its log from where it has started."""
    words = ["-m", "node", "--chain", chain, "--base-path", directory, "--no-mdns", "--no-prometheus"]
    words += ["--rpc-port", 0, *options]
    process = subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        started = next((found for line in process.stderr if (found := _STARTED.search(line)) is not None), None)
        if started is None:
            raise RuntimeError("the node did not start")
        yield NodeProcess(process, int(started[1])), iter(process.stderr)
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)
