"""Real nodes among which others come and go: whether memory and open files of those that stay are flat.

One of those that stay makes the blocks, so that history becomes final whatever else the machine does: a node keeps what
is not final. The guests are whole nodes: each starts, catches up, stays for some seconds, and goes, by turns in order
and as by a power cut; it comes back with what it had. Visitors have no chain: they say hello and go, half of them under
a name that nobody has heard before. Meanwhile a few accounts rate. Figures are those of the nodes that stay: medians of
the second and of the last sixth of the time, and what the difference would come to in an hour.
"""

import multiprocessing
import random
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.common.suite import Results, Setting
from benchmarks.serving.node import NodeProcess, wait_for_port
from benchmarks.serving.ring import Follower, launch, ring_of, running_ring, write_spec
from benchmarks.serving.visitors import visit_again_and_again
from ports import free_port
from rpc.transactions import signing_now, submit_rating
from runtime.crypto import KeyPair, Scheme
from runtime.primitives import from_hex, to_hex

ITEMS: Final = 16
USERS: Final = 20
PATIENCE: Final = 120.0


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--nodes", type=int, default=3, help="that stay (3)")
    parser.add_argument("--slot", type=int, default=2_000, metavar="MS", help="slot duration (2000)")
    parser.add_argument("--guests", type=int, default=2, help="that come and go (2)")
    parser.add_argument("--stay", type=float, default=4.0, metavar="S", help="seconds that a guest stays, about (4)")
    parser.add_argument("--pause", type=float, default=1.0, metavar="S", help="seconds between two visitors (1)")
    parser.add_argument("--every", type=float, default=10.0, metavar="S", help="seconds between two looks (10)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    spec = ring_of(1, arguments.slot, ITEMS, "local")
    # Few states, so that what is kept on purpose is soon all there.
    more = ("--state-pruning", "16")
    with (
        tempfile.TemporaryDirectory() as directory,
        running_ring(spec, Path(directory), more, followers=arguments.nodes - 1) as nodes,
    ):
        file = write_spec(spec, Path(directory))
        guests = [
            _Guest(Follower(name, Path(directory) / name, free_port(), 0), file, [address(node) for node in nodes])
            for name in [f"guest-{number}" for number in range(arguments.guests)]
        ]
        ended = threading.Event()
        visitors = _Visitors(nodes, arguments.pause)
        threads = [threading.Thread(target=guest.come_and_go, args=(arguments.stay, ended)) for guest in guests]
        threads.append(threading.Thread(target=_rate, args=(nodes[0], ended)))
        for thread in threads:
            thread.start()
        try:
            samples = _watch(setting, nodes, guests, visitors, 60 * arguments.minutes, arguments.every)
        finally:
            ended.set()
            visitors.end()
            for thread in threads:
                thread.join(PATIENCE)
        heads = _heads(nodes)
    return {
        "minutes": arguments.minutes,
        "nodes": arguments.nodes,
        "guests": arguments.guests,
        "guestVisits": sum(guest.visits for guest in guests),
        "guestFailures": sum(guest.failures for guest in guests),
        "visitors": visitors.counts[0],
        "visitorsNotGreeted": visitors.counts[1],
        "blocks": heads,
        "staying": [_trend([sample[number] for sample in samples], arguments.every) for number in range(len(nodes))],
        "samples": [[(one.megabytes, one.files, one.threads) for one in sample] for sample in samples],
    }


@dataclass(frozen=True, slots=True)
class _Sample:
    """One look at one node."""

    megabytes: float
    files: int
    threads: int


@dataclass(slots=True)
class _Guest:
    """A node that comes and goes; each time in the same place."""

    place: Follower
    chain: Path
    boot: Sequence[str]
    visits: int = 0
    failures: int = 0
    draw: random.Random = field(default_factory=lambda: random.Random(3))  # noqa: S311 - no secret

    def come_and_go(self, stay: float, ended: threading.Event) -> None:
        """Visit until the end."""
        self.place.address()  # makes the key that it is known by
        words = self.place.command(self.chain, self.boot, ())
        while not ended.is_set():
            process = launch(words)
            try:
                NodeProcess(process, wait_for_port(process)).wait_for_peers(1)
                ended.wait(self.draw.uniform(0.5, 1.5) * stay)
            except (RuntimeError, OSError, TimeoutError):
                self.failures += 1
            self.visits += 1
            if self.visits % 2:
                process.kill()
            process.terminate()
            process.wait(PATIENCE)


class _Visitors:
    """A process of visitors."""

    def __init__(self, nodes: Sequence[NodeProcess], pause: float) -> None:
        with nodes[0].client() as client:
            genesis = from_hex(client.call("chain_getBlockHash", 0))
        context = multiprocessing.get_context("spawn")
        self._ended = context.Event()
        self.counts = context.Array("i", 2)
        boot = [address(node) for node in nodes]
        arguments = (genesis, boot, pause, self._ended, self.counts)
        self._process = context.Process(target=visit_again_and_again, args=arguments, daemon=True)
        self._process.start()

    def end(self) -> None:
        """Let the last one go."""
        self._ended.set()
        self._process.join(PATIENCE)


def address(node: NodeProcess) -> str:
    """Return where a node is dialled."""
    with node.client() as client:
        return str(client.call("system_localListenAddresses")[0])


def _rate(node: NodeProcess, ended: threading.Event) -> None:
    """Rate once a second, the same items by the same accounts again and again, so that the state does not grow."""
    pairs = [KeyPair.from_seed(Scheme.ED25519, number.to_bytes(32)) for number in range(1, USERS + 1)]
    with node.client() as client:
        count = 0
        while not ended.wait(1.0):
            pair, turn = pairs[count % USERS], count // USERS
            signed = signing_now(client).sign(pair, submit_rating(turn % ITEMS, 1 - 2 * (turn // ITEMS % 2)), turn)
            client.call("author_submitExtrinsic", to_hex(signed))
            count += 1


def _watch(
    setting: Setting,
    nodes: Sequence[NodeProcess],
    guests: Sequence[_Guest],
    visitors: _Visitors,
    seconds: float,
    every: float,
) -> list[list[_Sample]]:
    """Look at the nodes again and again."""
    began, samples = time.monotonic(), []
    while (passed := time.monotonic() - began) < seconds:
        time.sleep(every)
        samples.append([_look(node) for node in nodes])
        if len(samples) % 6 == 0:
            looks = "; ".join(
                f"{one.megabytes:.1f} MB, {one.files} files, {one.threads} threads" for one in samples[-1]
            )
            setting.say(f"{passed / 60:4.1f} min, {sum(guest.visits for guest in guests)} visits: {looks}")
    return samples


def _look(node: NodeProcess) -> _Sample:
    tasks = Path(f"/proc/{node.process.pid}/task")
    threads = sum(1 for _ in tasks.iterdir()) if tasks.exists() else 0
    return _Sample(node.memory() / 1e6, node.open_files(), threads)


def _trend(samples: Sequence[_Sample], every: float) -> dict[str, object]:
    """Compare the second sixth of the time with the last one."""
    sixth = max(1, len(samples) // 6)
    early, late = samples[sixth : 2 * sixth], samples[-sixth:]
    hours = (len(samples) - 1.5 * sixth - sixth / 2) * every / 3_600
    grown = median(one.megabytes for one in late) - median(one.megabytes for one in early)
    return {
        "megabytes": {"early": median(one.megabytes for one in early), "late": median(one.megabytes for one in late)},
        "megabytesAnHour": grown / hours if hours else 0.0,
        "files": {"early": median(one.files for one in early), "late": median(one.files for one in late)},
        "mostFiles": max(one.files for one in samples),
        "threads": {"early": median(one.threads for one in early), "late": median(one.threads for one in late)},
    }


def _heads(nodes: Sequence[NodeProcess]) -> list[dict[str, int]]:
    """Return how far each node is: its best block and the final one."""
    found = []
    for node in nodes:
        with node.client() as client:
            final = client.call("chain_getHeader", client.call("chain_getFinalizedHead"))
            found.append({"best": int(client.call("chain_getHeader")["number"], 16), "final": int(final["number"], 16)})
    return found
