"""Producers that are processes of their own, each of which knows of all the others."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.serving.node import NodeProcess, wait_for_port
from localnet import Producer
from node.chain_spec import load_spec, render
from node.config import DEV_KEYS
from node.spec_types import ChainSpec
from ports import free_port
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri

_PATIENCE: Final = 60.0


def ring_of(count: int, slot: int, items: int, base: str = "movielens") -> ChainSpec:
    """Return a chain whose ring is the first `count` development accounts; slots in milliseconds."""
    members = tuple(key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519).public for name in DEV_KEYS[:count])
    titles = tuple(f"Item {item}" for item in range(items))
    return replace(load_spec(base), id="bench-ring", ring=members, slot_duration=slot, items=titles)


@dataclass(frozen=True, slots=True)
class Follower(Producer):
    """A node that makes no blocks."""

    def command(self, spec: Path, boot: Sequence[str], more: Sequence[str]) -> list[str]:
        """How it is started."""
        role = (f"--{self.name}", "--producer")
        return [word for word in Producer.command(self, spec, boot, more) if word not in role]


def write_spec(spec: ChainSpec, directory: Path) -> Path:
    """Write a chain's specification."""
    file = directory / "chain.json"
    file.write_bytes(render(spec))
    return file


def launch(words: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a node with the command of a `Producer`."""
    return subprocess.Popen([sys.executable, "-m", "node", *words[1:]], stderr=subprocess.PIPE, text=True)


@contextmanager
def running_ring(
    spec: ChainSpec, directory: Path, more: Sequence[str] = (), followers: int = 0
) -> Iterator[list[NodeProcess]]:
    """Run all members of a ring, and some who follow; give them when each is connected to all others."""
    file = write_spec(spec, directory)
    producers = [Producer(name, directory / name, free_port(), 0) for name in DEV_KEYS[: len(spec.ring)]]
    for name in [f"follower-{number}" for number in range(followers)]:
        producers.append(Follower(name, directory / name, free_port(), 0))
    addresses = [producer.address() for producer in producers]
    with ExitStack() as stack:
        processes = []
        for producer in producers:
            others = [address for other, address in zip(producers, addresses, strict=True) if other is not producer]
            processes.append(launch(producer.command(file, others, more)))
            stack.callback(_stop, processes[-1])
        nodes = [NodeProcess(process, wait_for_port(process)) for process in processes]
        for node in nodes:
            node.wait_for_peers(len(nodes) - 1)
        yield nodes
        for process in processes:
            process.terminate()


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
