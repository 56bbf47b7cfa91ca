"""A node that answers and takes ratings by JSON-RPC: predictions, submissions, and how long answers take meanwhile.

The node is a process of its own and makes its blocks; the client is on the same machine and costs as little as it can.
Rates are by the node's processor time, all its threads together, unless they say wall.
"""

import multiprocessing
import random
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import orjson

from benchmarks.common.calibration import Calibration
from benchmarks.common.suite import Results, Setting
from benchmarks.common.timing import Taken, summary
from benchmarks.serving.node import NodeProcess, running
from benchmarks.serving.pipe import Pipe, check_accepted
from rpc.transactions import Signing, signing_now, submit_rating, submit_ratings
from runtime.crypto import KeyPair, Scheme
from runtime.keys import ss58_encode
from runtime.primitives import to_hex

ITEMS: Final = 1_682
LISTS: Final = 100
SEGMENTS: Final = 9
PATIENCE: Final = 120.0


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--users", type=int, default=943, help="accounts with 100 ratings each (943)")
    parser.add_argument("--block-time", type=int, default=1_000, metavar="MS", help="between blocks (1000)")
    parser.add_argument("--submissions", type=int, default=10_000, help="single ratings to submit (10000)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    pairs = [KeyPair.from_seed(Scheme.ED25519, number.to_bytes(32)) for number in range(1, arguments.users + 1)]
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory), ITEMS, arguments.block_time) as node,
        node.client() as client,
    ):
        signing = signing_now(client, period=1 << 12)
        bench = _Bench(setting, node, pairs, signing, random.Random(7))  # noqa: S311 - the same draw each time
        bench.fill()
        reads = bench.reads()
        submissions = bench.submissions(arguments.submissions)
        latencies = bench.latencies(arguments.submissions)
        model = client.call("mf_model")
        return {
            "ratings": model["ratings"],
            "users": model["users"],
            "items": model["items"],
            "blockMilliseconds": arguments.block_time,
            **reads,
            "submissions": submissions,
            "latencies": latencies,
            "nodeMegabytes": node.memory() / 1e6,
        }


@dataclass(slots=True)
class _Bench:
    """One node with its users, and what is measured of it."""

    setting: Setting
    node: NodeProcess
    pairs: Sequence[KeyPair]
    signing: Signing
    draw: random.Random
    nonces: Counter[int] = field(default_factory=Counter)

    def fill(self) -> None:
        """Give every user ratings, and wait until the model is at rest."""
        calls = []
        for user in range(len(self.pairs)):
            items = sorted(self.draw.sample(range(ITEMS), LISTS))
            packed = b"".join(
                item.to_bytes(8, "little") + self.draw.randint(1, 5).to_bytes(8, "little") for item in items
            )
            calls.append(self._submission(user, submit_ratings(packed)))
        with Pipe(self.node.port) as pipe:
            check_accepted(pipe.ask(calls))
        self._wait(len(self.pairs) * LISTS)
        self.setting.say(f"{len(self.pairs) * LISTS:,} ratings by {len(self.pairs):,} users are in blocks")

    def reads(self) -> Mapping[str, object]:
        """Predictions in three forms, of any user and any item."""
        accounts = [ss58_encode(pair.public) for pair in self.pairs]

        def pair() -> list[object]:
            return [self.draw.choice(accounts), self.draw.randrange(ITEMS)]

        kinds: tuple[tuple[str, int, int, Callable[[], bytes]], ...] = (
            ("single", 2_000, 1, lambda: _call("mf_predict", *pair())),
            ("batchesOf100", 200, 100, lambda: _call("mf_predictBatch", [pair() for _ in range(100)])),
            ("recommendTen", 200, 1, lambda: _call("mf_recommend", self.draw.choice(accounts), 10)),
        )
        found: dict[str, object] = {}
        with Pipe(self.node.port) as pipe:
            # Once around, so that every user is prepared as on a node that has been asked before.
            check_accepted(pipe.ask([_call("mf_predict", account, 0) for account in accounts]))
            for name, calls, each, make in kinds:
                taken = []
                for _ in range(SEGMENTS):
                    segment = [make() for _ in range(calls)]
                    answers: list[bytes] = []
                    taken.append(self.node.taking(lambda: answers.extend(pipe.ask(segment))))  # noqa: B023 - at once
                    check_accepted(answers)
                found[name] = self._rate(name, taken, calls * each)
        return found

    def submissions(self, number: int) -> Mapping[str, object]:
        """Submit single ratings as fast as the node takes them, until all are in blocks."""
        calls = self._signed(number)
        with Pipe(self.node.port, window=512) as pipe:
            accepted = self.node.taking(lambda: check_accepted(pipe.ask(calls)))
            settled = self.node.taking(lambda: self._wait())
        whole = Taken(accepted.cpu + settled.cpu, accepted.wall + settled.wall)
        self.setting.say(
            f"submissions: {number / accepted.wall:,.0f}/s of wall accepted, {number / whole.wall:,.0f}/s in blocks"
        )
        return {
            "number": number,
            "acceptedPerWallSecond": number / accepted.wall,
            "inBlocksPerWallSecond": number / whole.wall,
            "acceptedPerCpuSecond": number / accepted.cpu,
            "inBlocksPerCpuSecond": number / whole.cpu,
            "share": self.setting.calibration.share(number / whole.cpu),
        }

    def latencies(self, number: int) -> Mapping[str, object]:
        """Ask for predictions one by one, while another process submits ratings as fast as they are taken."""
        calls = self._signed(number)
        accounts = [ss58_encode(pair.public) for pair in self.pairs]
        found = {"idle": self._waits(accounts, 2_000)}
        context = multiprocessing.get_context("spawn")
        submitter = context.Process(target=_submit_all, args=(self.node.port, calls), daemon=True)
        submitter.start()
        while not self.node.client().call("author_pendingExtrinsics"):
            time.sleep(0.05)
        waits = []
        while submitter.is_alive():
            waits += self._waits(accounts, 50)
        submitter.join()
        if submitter.exitcode:
            sys.exit("the submitting process failed")
        found["duringImport"] = waits
        percentiles = {name: _percentiles(milliseconds) for name, milliseconds in found.items()}
        for name, values in percentiles.items():
            self.setting.say(f"latency {name}: " + ", ".join(f"{key} {value:.1f} ms" for key, value in values.items()))
        return percentiles

    def _waits(self, accounts: Sequence[str], number: int) -> list[float]:
        """How long single predictions take, in milliseconds."""
        waits = []
        with Pipe(self.node.port) as pipe:
            for _ in range(number):
                call = _call("mf_predict", self.draw.choice(accounts), self.draw.randrange(ITEMS))
                began = time.perf_counter()
                check_accepted(pipe.ask([call]))
                waits.append((time.perf_counter() - began) * 1e3)
        return waits

    def _signed(self, number: int) -> list[bytes]:
        """Sign single ratings, users in turn."""
        users = islice(cycle(range(len(self.pairs))), number)
        return [
            self._submission(user, submit_rating(self.draw.randrange(ITEMS), self.draw.randint(1, 5))) for user in users
        ]

    def _submission(self, user: int, call: bytes) -> bytes:
        """Sign a user's next transaction and return the call that submits it."""
        signed = self.signing.sign(self.pairs[user], call, self.nonces[user])
        self.nonces[user] += 1
        return _call("author_submitExtrinsic", to_hex(signed))

    def _wait(self, ratings: int | None = None) -> None:
        """Wait until nothing is in the pool and, if that is given, the model rests on so many ratings."""
        deadline = time.monotonic() + PATIENCE
        with self.node.client() as client:
            while time.monotonic() < deadline:
                model = client.call("mf_model")
                at_rest = ratings is None or (model["canonical"] and model["ratings"] == ratings)
                if at_rest and not client.call("author_pendingExtrinsics"):
                    return
                time.sleep(0.1)
        raise TimeoutError(f"the ratings are not in blocks within {PATIENCE:g} seconds")

    def _rate(self, name: str, taken: Sequence[Taken], operations: int) -> Mapping[str, object]:
        """Say and return how many operations a processor second does."""
        one = summary(taken, operations)
        rate = 1 / float(one["cpuSeconds"])
        calibration: Calibration = self.setting.calibration
        self.setting.say(f"{name}: {rate:,.0f} predictions or lists a CPU second")
        return {**one, "perCpuSecond": rate, "share": calibration.share(rate)}


_IDENTIFIERS: Final = count()


def _call(method: str, *parameters: object) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": next(_IDENTIFIERS), "method": method, "params": parameters})


def _submit_all(port: int, calls: Sequence[bytes]) -> None:
    with Pipe(port, window=512) as pipe:
        check_accepted(pipe.ask(calls))


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(milliseconds, n=100)
    return {"median": median(milliseconds), "p90": cuts[89], "p99": cuts[98], "most": max(milliseconds)}
