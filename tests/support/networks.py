"""Networks of nodes as processes on this machine: who is in them, what they agree on, and what their logs may say."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from node.chain_spec import load_spec, render
from node.ring import read_claim
from p2p.addresses import peer_id_from_seed
from rpc.client import RpcClient
from runtime.crypto import Scheme
from runtime.header import Header
from runtime.keys import key_pair_from_uri
from runtime.primitives import blake2b_256
from scripts.ports import free_port
from tests.support.processes import PATIENCE, NodeProcess, Nodes

RING: Final = ("alice", "bob", "charlie")

_USUAL: Final = load_spec("local")
RECOVERY: Final = 2 * _USUAL.rules.epoch_slots * _USUAL.slot_duration
"""Milliseconds from the end of a fault until all heads agree, at the most: two epochs of the usual length.

Not two of the short ones that tests have: peers that could not be reached are dialled every 16 s.
"""
_SETTLED: Final = 3
"""Blocks on top of one after which another branch without it is not to be reckoned with."""
_PLAIN_LINES: Final = re.compile(
    r"\S+ \S+ INFO  ("
    r"node\.service: (mfchain .*|database .*|\d+ ratings by .*|making blocks as .*|peers reach .*|JSON-RPC at .*)"
    r"|node\.signals: stopping on SIG.*"
    r"|node\.sync\.handler: peer \w+(, best block \d+| is gone); \d+ peers?"
    r"|node\.sync\.catch_up: (catching up: |caught up to ).*"
    r"|node\.head_follower: (block \d+ 0x\w{8}(: .*| is final)|another branch is better: .*)"
    r"|node\.voter: no vote: .*"
    r"|node\.node: no block in this slot: .*)"
)
_FINAL_LINE: Final = re.compile(r"head_follower: block (\d+) (0x\w{8}) is final$", re.MULTILINE)
_BLOCK_LINE: Final = re.compile(r"head_follower: block (\d+) (0x\w{8}): ")


def ring_spec(
    directory: Path, slot: int, base: str | Path = "local", members: Sequence[str] = RING, **rules_changed: int
) -> Path:
    """Write the specification of a ring of development accounts; slots in milliseconds."""
    ring = tuple(key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519).public for name in members)
    spec = load_spec(str(base))
    # Who is cut off for a moment keeps its turns, so that it can take ratings on its own in the next test too.
    rules = replace(spec.rules, **{"missed_turns": 1_000, **rules_changed})
    spec = replace(spec, name="Network of a test", id="network", ring=ring, slot_duration=slot, rules=rules)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "network.json"
    path.write_bytes(render(spec))
    return path


def ring_status(node: NodeProcess) -> dict[str, Any]:
    """What a node says of its ring."""
    with node.client() as client:
        found: dict[str, Any] = client.call("ring_status")
        return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node of a network is, and who it is to the others."""

    name: str
    directory: Path
    port: int = field(default_factory=free_port)

    @property
    def seed(self) -> bytes:
        """The node key."""
        return blake2b_256(self.name.encode())

    @property
    def peer(self) -> str:
        return peer_id_from_seed(self.seed)

    def address(self, port: int | None = None) -> str:
        """Where others dial it, or reach it through something that listens at another port."""
        return f"/ip4/127.0.0.1/tcp/{port or self.port}/p2p/{self.peer}"

    @property
    def options(self) -> tuple[object, ...]:
        where = ("--base-path", self.directory, "--listen-addr", f"/ip4/127.0.0.1/tcp/{self.port}")
        return (*where, "--node-key", self.seed.hex(), "--name", self.name)


@dataclass(slots=True)
class LocalNetwork:
    """Nodes that know of one another; they are stopped with `nodes`."""

    nodes: Nodes
    spec: Path
    directory: Path
    members: Sequence[str] = RING
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        if name not in self.places:
            self.places[name] = Place(name, self.directory / name)
        return self.places[name]

    def launch(
        self,
        name: str,
        *options: object,
        boot: Sequence[str] = (),
        program: Sequence[object] = ("mfchain-node",),
    ) -> NodeProcess:
        """Start a node, as a producer if it is named like an account of the ring; `boot` are addresses."""
        role = (f"--{name}", "--producer") if name in self.members else ()
        bootnodes = [word for address in boot for word in ("--bootnodes", address)]
        words = ("--chain", self.spec, *role, *self.place(name).options, *bootnodes, *options)
        return self.nodes.launch(*words, program=program)


def wait_for_peers(node: NodeProcess, count: int) -> None:
    """Wait until a node has said that it has so many peers."""
    assert node.command.err.match(re.compile(rf"; {count} peers?$")) is not None, node.log


class Watchers:
    """A client of each of some nodes."""

    def __init__(self, *nodes: NodeProcess) -> None:
        self._stack = ExitStack()
        self.clients = [self._stack.enter_context(node.client()) for node in nodes]

    def __enter__(self) -> "Watchers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, method: str, *parameters: object) -> list[Any]:
        """What each node answers."""
        return [client.call(method, *parameters) for client in self.clients]

    def agree(self, method: str, *parameters: object) -> Any:
        """What all of them answer alike."""
        first, *others = self.ask(method, *parameters)
        for other in others:
            assert other == first
        return first

    def wait_for_block(self, number: int, block: str) -> bool:
        """Wait until a block is on the best chain of all; False if one of them has gone on without it."""
        return all(has_block(client, number, block) for client in self.clients)

    def wait_for_height(self, number: int) -> None:
        """Wait until the best chain of each is so long."""
        for client in self.clients:
            with client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
                while int(heads.next()["number"], 16) < number:
                    pass

    def common_head(self) -> tuple[int, str]:
        """The highest block that is on the best chains of all."""
        number = min(int(header["number"], 16) for header in self.ask("chain_getHeader"))
        while len(set(hashes := self.ask("chain_getBlockHash", number))) > 1:
            number -= 1
        return number, hashes[0]

    def latest_slot(self) -> int:
        """The slot of the latest of all heads."""
        return max(read_claim(Header.from_json(header)).slot for header in self.ask("chain_getHeader"))

    def wait_until_heads_agree(self, since: int, slot: int) -> int:
        """Wait until all have one chain, but for a block that is under way; how many slots that took since one.

        `slot`: milliseconds. They have `RECOVERY`, by the slots of the blocks that are made meanwhile.
        """
        with self.clients[0].subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
            while True:
                heads.next()
                slots = self.latest_slot() - since
                numbers = [int(header["number"], 16) for header in self.ask("chain_getHeader")]
                is_one = len(set(self.ask("chain_getBlockHash", min(numbers)))) == 1
                if is_one and max(numbers) <= min(numbers) + 1:
                    return slots
                assert slots * slot <= RECOVERY, f"heads differ {slots} slots later: {self.ask('chain_getHeader')}"

    def wait_for_ratings(self, count: int) -> None:
        """Wait until the model of each node has so many ratings."""
        for client in self.clients:
            with client.subscribe("mf_subscribeModel", timeout=PATIENCE) as models:
                model = client.call("mf_model")
                while model["ratings"] < count:
                    model = models.next()

    def agree_on_ratings(self, count: int, patience: float = PATIENCE) -> dict[str, Any]:
        """The model at a block that all have, with at least so many ratings: a branch that loses gives them back."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.wait_for_ratings(count)
            model = self.agree_on_model()
            if model["ratings"] >= count:
                return model
        raise AssertionError(f"the nodes do not agree on {count} ratings: {self.ask('chain_getHeader')}")

    def agree_on_model(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The model at a block that all have, which is the head of one of them."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            head = self.clients[0].call("mf_model")["block"]
            if self.wait_for_block(head["number"], head["hash"]):
                model: dict[str, Any] = self.agree("mf_model", head["hash"])
                return model
        raise AssertionError(f"the nodes agree on no block: {self.ask('chain_getHeader')}")


def has_block(client: RpcClient, number: int, block: str, patience: float = PATIENCE) -> bool:
    """Wait until a node's best chain has a block; False if the chain has gone on without it."""
    with client.subscribe("chain_subscribeNewHeads", timeout=patience) as heads:
        head = int(client.call("chain_getHeader")["number"], 16)
        while (found := client.call("chain_getBlockHash", number)) != block and head < number + _SETTLED:
            head = int(heads.next()["number"], 16)
    return bool(found == block)


def slot_of(client: RpcClient, block: str) -> int:
    """The slot in which a block was made."""
    return read_claim(Header.from_json(client.call("chain_getHeader", block))).slot


def check_readable(node: NodeProcess) -> None:
    """See that a log has no more than a line for each block and each thing that happened."""
    lines = node.log.splitlines()
    if node.is_killed:
        del lines[-1:]  # may be cut
    odd = [line for line in lines if _PLAIN_LINES.fullmatch(line) is None]
    assert not odd, node.first_of_all(odd)
    blocks = Counter(match[0] for line in lines if (match := _BLOCK_LINE.search(line)) is not None)
    repeated = [block for block, times in blocks.items() if times > 1]
    assert not repeated, node.first_of_all(repeated)


def check_final_history(nodes: Sequence[NodeProcess]) -> None:
    """See that no two logs hold different blocks of a height for final, and that none goes back, killed or not."""
    final: dict[int, str] = {}
    reached: dict[tuple[str, ...], int] = {}
    for node in nodes:
        for line in _FINAL_LINE.finditer(node.log):
            number, block = int(line[1]), line[2]
            assert final.setdefault(number, block) == block, f"two blocks {number} are final:\n{node.log}"
            assert number > reached.get(node.arguments, 0), f"block {number} is final once more:\n{node.log}"
            reached[node.arguments] = number
    assert final, "nothing was final"
