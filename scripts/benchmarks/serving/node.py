"""A node in a process of its own, and the processor time that it takes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import IO, Final

from benchmarks.common.timing import Taken
from node.chain_spec import load_spec, render
from node.spec_types import Sealing
from rpc.client import RpcClient

_ADDRESS: Final = re.compile(r"JSON-RPC at ws://127\.0\.0\.1:(\d+) ")
_PATIENCE: Final = 60.0
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A running node."""

    process: subprocess.Popen[str]
    port: int

    def client(self) -> RpcClient:
        """Connect as the commands do."""
        return RpcClient(f"ws://127.0.0.1:{self.port}", timeout=_PATIENCE)

    def cpu(self) -> float:
        """Return the seconds of processor time that the node has taken so far, of all its threads."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        listed = subprocess.run(
            ["/bin/ps", "-o", "time=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        seconds = 0.0
        for part in listed.stdout.strip().split(":"):
            seconds = 60 * seconds + float(part)
        return seconds

    def memory(self) -> int:
        """Return the bytes of memory that the node holds."""
        listed = subprocess.run(
            ["/bin/ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(listed.stdout) * 1024

    def open_files(self) -> int:
        """Return how many files and sockets the node has open, where the system tells it; else 0."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        return sum(1 for _ in folder.iterdir()) if folder.exists() else 0

    def wait_for_peers(self, count: int) -> None:
        """Wait until the node has so many peers."""
        deadline = time.monotonic() + _PATIENCE
        with self.client() as client:
            while client.call("system_health")["peers"] < count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no {count} peers within {_PATIENCE:g} seconds")
                time.sleep(0.1)

    def taking(self, work: Callable[[], object]) -> Taken:
        """Do something with the node, and return what that took: the node's processor time, not this process's."""
        cpu, wall = self.cpu(), time.perf_counter()
        work()
        return Taken(self.cpu() - cpu, time.perf_counter() - wall)


@contextmanager
def running(directory: Path, items: int, block_time: int) -> Iterator[NodeProcess]:
    """Run a node with a chain of its own: so many items, stars from 1 to 5, a block each `block_time` milliseconds."""
    titles = tuple(f"Item {item}" for item in range(items))
    spec = replace(load_spec("movielens"), id="bench", items=titles, sealing=Sealing.INTERVAL)
    path = directory / "chain.json"
    path.write_bytes(render(spec))
    words = ["-m", "node", "--chain", path, "--base-path", directory / "node", "--alice", "--producer", "--no-mdns"]
    options = ["--block-time", block_time, "--rpc-port", 0, "--no-prometheus", "--port", 0]
    process = subprocess.Popen(
        [sys.executable, *map(str, words), *map(str, options)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield NodeProcess(process, wait_for_port(process))
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def wait_for_port(process: subprocess.Popen[str]) -> int:
    """Read a node's log up to the line that tells where it serves; go on reading, so that it can go on writing."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if (found := _ADDRESS.search(line)) is not None:
            Thread(target=_read_on, args=(process.stderr,), daemon=True).start()
            return int(found[1])
    raise RuntimeError("the node did not start:\n" + "".join(lines))


def _read_on(log: IO[str]) -> None:
    """Read a log to its end, and close it."""
    with log:
        while log.read(_PIECE):
            pass
