"""A ring of real nodes on one machine: how soon a rating is in a block everywhere and final, and what load it carries.

Each node is a process of its own; they talk over loopback, and the client, which signs beforehand, is on the same
machine too. The ratings of a load come to all nodes alike, each account's to one of them, when their time has come,
whether or not those before are answered. A rate holds if no rating is refused or lost, all are in blocks at all nodes
within 10 s after the last was handed in, and all models are the same. What an account signs after a refused rating
waits for that one, so the first rate with a refusal is the last that is tried.
"""

import random
import struct
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import orjson

from benchmarks.common.suite import Results, Setting
from benchmarks.serving.node import NodeProcess
from benchmarks.serving.pipe import Pipe, check_accepted
from benchmarks.serving.ring import ring_of, running_ring
from rpc.transactions import Signing, signing_now, submit_rating, submit_ratings
from runtime.crypto import KeyPair, Scheme
from runtime.primitives import to_hex

ITEMS: Final = 1_682
PATIENCE: Final = 120.0
SETTLES_WITHIN: Final = 10.0
TICKS: Final = 20
"""Parts of a second in which a load is handed in."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare options of this suite alone."""
    parser.add_argument("--nodes", type=int, default=5, help="members of the ring (5)")
    parser.add_argument("--slot", type=int, default=1_000, metavar="MS", help="slot duration (1000)")
    parser.add_argument("--singles", type=int, default=50, help="ratings one by one, to see how soon (50)")
    parser.add_argument("--users", type=int, default=1_000, help="accounts that rate (1000)")
    parser.add_argument("--rates", type=int, nargs="*", default=[1_000], help="ratings a second, one load each (1000)")
    parser.add_argument("--seconds", type=int, default=60, help="how long each load lasts (60)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="ratings a signature in the loads (1)")


def run(setting: Setting, arguments: Namespace) -> Results:
    """Measure; return what was found."""
    spec = ring_of(arguments.nodes, arguments.slot, ITEMS)
    pairs = [KeyPair.from_seed(Scheme.ED25519, number.to_bytes(32)) for number in range(1, arguments.users + 1)]
    found: dict[str, object] = {"nodes": arguments.nodes, "slotMilliseconds": arguments.slot}
    with tempfile.TemporaryDirectory() as directory, running_ring(spec, Path(directory)) as nodes:
        bench = _Bench(setting, nodes, pairs)
        bench.fill()
        if arguments.singles:
            found["singles"] = bench.singles(arguments.singles, arguments.slot / 1_000)
        found["loads"] = loads = []
        for rate in arguments.rates:
            loads.append(bench.load(rate, arguments.seconds, arguments.batch))
            if loads[-1]["refused"]:
                break
        found["nodeMegabytes"] = [node.memory() / 1e6 for node in nodes]
    return found


@dataclass(slots=True)
class _Watch:
    """What one node tells of its model: when its best chain, and when its final one, had how many ratings."""

    node: NodeProcess
    best: list[tuple[float, int]] = field(default_factory=list)
    final: list[tuple[float, int]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def follow_best(self) -> None:
        """Note what each new head brings, until the watch has ended."""
        self._follow("mf_subscribeModel", self.best, lambda _client, model: int(model["ratings"]))

    def follow_final(self) -> None:
        """Note what each block brings that becomes final, until the watch has ended."""

        def ratings(client: Any, header: Any) -> int:
            block = client.call("chain_getBlockHash", int(header["number"], 16))
            return int(client.call("mf_model", block)["ratings"])

        self._follow("chain_subscribeFinalizedHeads", self.final, ratings)

    def _follow(self, method: str, notes: list[tuple[float, int]], ratings: Callable[[Any, Any], int]) -> None:
        with self.node.client() as client, client.subscribe(method) as told:
            while not self.ended:
                try:
                    news = told.next(1.0)
                except TimeoutError:
                    continue
                at = time.monotonic()
                count = ratings(client, news)
                with self.changed:
                    notes.append((at, count))
                    self.changed.notify_all()

    def wait(self, notes: list[tuple[float, int]], count: int, patience: float = PATIENCE) -> float:
        """Return when there were so many ratings; wait for it if need be."""
        with self.changed:
            seen = self.changed.wait_for(lambda: any(number >= count for _, number in notes), patience)
        if not seen:
            raise TimeoutError(f"{notes[-1][1] if notes else 'no'} of {count} ratings within {patience:g} seconds")
        return next(at for at, number in notes if number >= count)


class _Watching:
    """Watches all nodes inside its `with` block."""

    def __init__(self, nodes: Sequence[NodeProcess]) -> None:
        self.watches = [_Watch(node) for node in nodes]

    def __enter__(self) -> Sequence[_Watch]:
        self._threads = [
            threading.Thread(target=follow, daemon=True)
            for watch in self.watches
            for follow in (watch.follow_best, watch.follow_final)
        ]
        for thread in self._threads:
            thread.start()
        return self.watches

    def __exit__(self, *_: object) -> None:
        for watch in self.watches:
            watch.ended = True
        for thread in self._threads:
            thread.join(PATIENCE)


@dataclass(slots=True)
class _Bench:
    """A ring with its users; each user talks to one node."""

    setting: Setting
    nodes: Sequence[NodeProcess]
    pairs: Sequence[KeyPair]
    nonces: Counter[int] = field(default_factory=Counter)
    given: Counter[int] = field(default_factory=Counter)
    ratings: int = 0

    def fill(self) -> None:
        """Let every account rate once, so that none is new."""
        signing = self._signing()
        calls = self._calls(signing, len(self.pairs))
        self._hand_in(calls, rate=500)
        self._settle()
        self.setting.say(f"{len(self.nodes)} nodes, {len(self.pairs):,} accounts known")

    def singles(self, number: int, slot: float) -> Mapping[str, object]:
        """Hand in ratings one by one at any time of a slot; tell how soon all nodes have them in blocks, and final."""
        calls = self._calls(self._signing(), number)
        draw = random.Random(7)  # noqa: S311 - the same draw each time
        before, handed_in, in_blocks = self.ratings - number, [], []
        with _Watching(self.nodes) as watches:
            for count, (node, call) in enumerate(calls, 1):
                time.sleep(draw.uniform(0, slot))
                handed_in.append(time.monotonic())
                with Pipe(self.nodes[node].port) as pipe:
                    check_accepted(pipe.ask([call]))
                in_blocks.append(max(watch.wait(watch.best, before + count) for watch in watches))
            final = [
                max(watch.wait(watch.final, before + count) for watch in watches) for count in range(1, number + 1)
            ]
        self._settle()
        found = {
            "inBlockEverywhere": _summary([at - began for at, began in zip(in_blocks, handed_in, strict=True)]),
            "finalEverywhere": _summary([at - began for at, began in zip(final, handed_in, strict=True)]),
        }
        for name, seconds in found.items():
            self.setting.say(f"{name}: " + ", ".join(f"{key} {value:.2f} s" for key, value in seconds.items()))
        return {"ratings": number, **found}

    def load(self, rate: int, seconds: int, batch: int = 1) -> Mapping[str, object]:
        """Hand in so many ratings a second, `batch` a signature, spread over all nodes; tell what became of them."""
        number = rate * seconds // batch * batch
        calls = self._calls(self._signing(), number // batch, batch)
        cpu = [node.cpu() for node in self.nodes]
        began = time.monotonic()
        refusals = self._hand_in(calls, rate / batch)
        refused = refusals.total()
        handed_in = time.monotonic() - began
        # What waits for a refused transaction is in no block, and nobody knows how much that is.
        settled, digest = (0.0, "") if refused else self._settle()
        spent = [node.cpu() - before for node, before in zip(self.nodes, cpu, strict=True)]
        a_rating = sum(spent) / len(spent) / number
        holds = refused == 0 and settled <= SETTLES_WITHIN and handed_in <= seconds + SETTLES_WITHIN
        signed = "" if batch == 1 else f", {batch} a signature,"
        told = f"{rate:,} ratings a second{signed} for {seconds} s: handed in after {handed_in:.1f} s, "
        if refused:
            self.setting.say(f"{told}{refused} refused, does not hold: " + "; ".join(refusals))
        else:
            self.setting.say(
                f"{told}in blocks at all nodes {settled:.1f} s later, none refused, "
                f"{a_rating * 1e6:.0f} us of processor a rating and node: " + ("holds" if holds else "does not hold")
            )
        return {
            "rate": rate,
            "ratingsASignature": batch,
            "seconds": seconds,
            "holds": holds,
            "refused": refused,
            "refusals": dict(refusals),
            "handedInSeconds": handed_in,
            "settledSeconds": settled,
            "perWallSecond": number / (handed_in + settled),
            "nodeCpuSeconds": spent,
            "cpuMicrosecondsARatingAndNode": a_rating * 1e6,
            "signatureChecksARatingAndNode": a_rating / self.setting.calibration.cpu_seconds,
            "digest": digest,
        }

    def _signing(self) -> Signing:
        with self.nodes[0].client() as client:
            return signing_now(client, period=1 << 12)

    def _calls(self, signing: Signing, number: int, batch: int = 1) -> list[tuple[int, bytes]]:
        """Sign so many times for accounts in turn, no item twice: to which node, and the call that hands it in."""
        calls = []
        for count in range(number):
            user = count % len(self.pairs)
            first = self.given[user]
            if first + batch > ITEMS:
                raise ValueError("every account has rated every item: more accounts are needed")
            ratings = [((user * 7 + given) % ITEMS, 1 + (user + given) % 5) for given in range(first, first + batch)]
            packed = b"".join(struct.pack("<Qq", *rating) for rating in ratings)
            call = submit_rating(*ratings[0]) if batch == 1 else submit_ratings(packed)
            signed = signing.sign(self.pairs[user], call, self.nonces[user])
            self.nonces[user] += 1
            self.given[user] += batch
            calls.append((user % len(self.nodes), _call("author_submitExtrinsic", to_hex(signed))))
        self.ratings += number * batch
        return calls

    def _hand_in(self, calls: Sequence[tuple[int, bytes]], rate: float) -> Counter[str]:
        """Hand calls in at a rate, to all nodes at once; return the reasons of refusals, each with how often."""
        shares = [[call for node, call in calls if node == number] for number in range(len(self.nodes))]
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            found = threads.map(self._hand_in_one, self.nodes, shares, [rate / len(self.nodes)] * len(shares))
            return sum(found, Counter())

    def _hand_in_one(self, node: NodeProcess, calls: Sequence[bytes], rate: float) -> Counter[str]:
        """Hand calls in when their time has come, whether or not those before are answered."""
        began = time.monotonic()
        with Pipe(node.port) as pipe, ThreadPoolExecutor(1) as thread:
            refusals = thread.submit(lambda: Counter(filter(None, map(_refusal, pipe.answers(len(calls))))))
            for start in range(0, len(calls), size := max(1, round(rate / TICKS))):
                time.sleep(max(0.0, began + start / rate - time.monotonic()))
                pipe.send(calls[start : start + size])
            return refusals.result()

    def _settle(self) -> tuple[float, str]:
        """Wait until all nodes have all ratings; return how long that took and the digest of all their models."""
        began = time.monotonic()
        clients = [node.client() for node in self.nodes]
        try:
            while any(client.call("mf_model")["ratings"] < self.ratings for client in clients):
                if time.monotonic() > began + PATIENCE:
                    counts = [client.call("mf_model")["ratings"] for client in clients]
                    raise TimeoutError(f"{counts} of {self.ratings} ratings within {PATIENCE:g} seconds")
                time.sleep(0.05)
            settled = time.monotonic() - began
            digests: set[str] = set()
            while len(digests) != 1 and time.monotonic() < began + PATIENCE:
                models = [client.call("mf_model") for client in clients]
                digests = {model["digest"] for model in models if model["ratings"] == self.ratings}
                time.sleep(0.05)
            (digest,) = digests
            return settled, digest
        finally:
            for client in clients:
                client.close()


def _call(method: str, *parameters: object) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})


def _refusal(answer: bytes) -> str | None:
    """Why a transaction was refused, if it was."""
    error = orjson.loads(answer).get("error")
    return None if error is None else str(error["message"])


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": median(seconds), "p90": quantiles(seconds, n=10)[8], "most": max(seconds)}
