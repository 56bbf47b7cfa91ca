"""A whole node under floods of transactions that lead nowhere, by RPC and from peers: its memory stays what it was."""

import itertools
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from node.sync.messages import BLOCKS, POOL, Handshake, encode_blocks
from p2p.addresses import peer_id_from_seed
from p2p.gossip import join
from rpc.client import RpcClient
from rpc.errors import RpcError
from rpc.transactions import Signing, signing_now, submit_rating
from runtime.crypto import SIGNATURE_LENGTH, KeyPair, Scheme
from runtime.extrinsic import IMMORTAL, Extrinsic, Signature
from runtime.primitives import ACCOUNT_LENGTH, AccountId, BlockNumber, BlockRef, Hash, Nonce, from_hex, to_hex
from tests.p2p.children import Child
from tests.support.networks import LocalNetwork, ring_spec
from tests.support.processes import PATIENCE, NodeProcess, Nodes

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

SLOT: Final = 1_000
PUPPETS: Final = Path(__file__).parent / "programs" / "puppets.py"
FALSE: Final = re.compile(r" WARN  p2p\.host: \w+ is banned: ")

WARMING: Final = 2
WAVES: Final = 5
INVALID: Final = 2_000
FUTURE: Final = 200
"""Of each wave by RPC, and as many by gossip; the pool has places for those of two waves and a half."""
SLACK: Final = 34_000_000
"""Bytes that the waves after the warm-up may add: as much garbage as the node waits for before it looks for any, and
LevelDB's write buffer.

A wave is of 8,600 transactions; a kilobyte kept of each would be 44 million bytes after five.
"""


def rss(node: NodeProcess) -> int:
    """Return the bytes of memory that a node holds."""
    listed = subprocess.run(
        ["/bin/ps", "-o", "rss=", "-p", str(node.command.process.pid)], capture_output=True, text=True, check=True
    )
    return int(listed.stdout) * 1_024


@dataclass(slots=True)
class Flood:
    """Made-up accounts without end, and what they send."""

    signing: Signing
    draw: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - the same flood each time
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def forged(self, count: int) -> list[bytes]:
        """Transactions that are well formed and wrongly signed."""
        call = submit_rating(0, 1)
        signatures = (
            Signature(
                AccountId(self.draw.randbytes(ACCOUNT_LENGTH)),
                Scheme.ED25519,
                self.draw.randbytes(SIGNATURE_LENGTH),
                IMMORTAL,
                Nonce(0),
            )
            for _ in range(count)
        )
        return [Extrinsic(signature, call).encode() for signature in signatures]

    def future(self, count: int) -> list[bytes]:
        """Transactions that wait for others, which never come."""
        return [self.signing.sign(self.pair(), submit_rating(0, 1), 1) for _ in range(count)]

    def pair(self) -> KeyPair:
        return KeyPair.from_seed(Scheme.ED25519, next(self._numbers).to_bytes(32, "little"))


@dataclass(slots=True)
class Stage:
    """One node that makes blocks by itself, and peers that do as they are told."""

    node: NodeProcess
    client: RpcClient
    address: str
    puppets: Child
    flood: Flood
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def submit(self, transactions: Sequence[bytes]) -> set[str]:
        """Hand transactions in by RPC; return why they were refused."""
        reasons: set[str] = set()
        for start in range(0, len(transactions), 1_000):
            calls = [("author_submitExtrinsic", [to_hex(raw)]) for raw in transactions[start : start + 1_000]]
            for result in self.client.batch(calls):
                reasons.add(str(result.code) if isinstance(result, RpcError) else "taken")
        return reasons

    def join(self) -> str:
        """Let a new peer come; return which."""
        seed = f"{next(self._seeds):064x}"
        genesis = BlockRef(BlockNumber(0), Hash(from_hex(self.client.call("chain_getBlockHash", 0))))
        self.puppets.do(
            "join",
            seed=seed,
            genesis=genesis.hash.hex(),
            address=self.address,
            handshake=Handshake(genesis, genesis).encode().hex(),
            after="",
            answers={str(POOL.code): "", str(BLOCKS.code): encode_blocks([]).hex()},
        )
        self.puppets.wait("peer", seed=seed)
        return seed

    def publish(self, seed: str, transactions: Sequence[bytes]) -> None:
        self.puppets.do("publish", seed=seed, topic="transactions", payload=join(transactions).hex())
        self.puppets.wait("published", seed=seed)

    def gossip(self, seed: str, transactions: Sequence[bytes]) -> None:
        """Let a peer pass on transactions, and wait until the node has taken the good one that comes last."""
        pair = self.flood.pair()
        self.publish(seed, [*transactions, self.flood.signing.sign(pair, submit_rating(0, 1), 0)])
        with self.client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
            while not self.client.call("system_accountNextIndex", to_hex(pair.public)):
                heads.next()

    def wave(self, neighbour: str) -> None:
        """Send all that leads nowhere."""
        flood = self.flood
        assert self.submit(flood.forged(INVALID)) == {"1010"}
        assert self.submit([flood.draw.randbytes(flood.draw.randrange(1, 400)) for _ in range(INVALID)]) == {"1001"}
        futures = flood.future(FUTURE)
        assert self.submit(futures) <= {"taken", "1016"}
        for _ in range(5):
            assert self.submit(futures) <= {"1013", "1016"}
        others = flood.future(FUTURE)
        self.gossip(neighbour, others)
        self.gossip(neighbour, others[::-1])
        self.gossip(neighbour, [*futures, *others])
        forger = self.join()
        self.publish(forger, flood.forged(INVALID))
        peer = peer_id_from_seed(bytes.fromhex(forger))
        blamed = re.compile(rf"{peer}: bad message \(a false message on /mfchain/\w+/transactions/1\)")
        assert self.node.command.err.match(blamed) is not None
        self.puppets.do("leave", seed=forger)


@pytest.fixture
def stage(nodes: Nodes, tmp_path: Path) -> Iterator[Stage]:
    network = LocalNetwork(nodes, ring_spec(tmp_path, SLOT, members=("alice",)), tmp_path)
    node = network.launch("alice", "--log", "p2p.host=debug")
    node.expected = FALSE
    node.wait_until_ready()
    puppets = Child(PUPPETS)
    try:
        puppets.wait("ready")
        with node.client() as client:
            flood = Flood(signing_now(client, period=1 << 12))
            yield Stage(node, client, network.place("alice").address(), puppets, flood)
    finally:
        puppets.end()


def test_memory_stays_flat_under_transactions_that_lead_nowhere(stage: Stage) -> None:
    neighbour = stage.join()
    for _ in range(WARMING):
        stage.wave(neighbour)
    before = rss(stage.node)
    sizes = []
    for _ in range(WAVES):
        stage.wave(neighbour)
        sizes.append(rss(stage.node) - before)
    assert max(sizes) < SLACK, sizes
