"""What hostile peers try on a whole node, and that it lives, serves an honest peer, and goes on making blocks.

Two of a ring of three run, the one that is attacked and an honest one. The attackers have the key of the third.
"""

import itertools
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from node.chain_spec import load_spec
from node.ring import claim_digest, read_claim, seal, unsealed
from node.sync.messages import BLOCKS, BODY, POOL, TRANSACTIONS, Announcement, Handshake, encode_blocks
from p2p.addresses import peer_id_from_seed
from p2p.gossip import join
from rpc.client import RpcClient
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.header import Block, Header, encode_body
from runtime.primitives import BlockNumber, BlockRef, Hash, Nonce, Slot, from_hex
from tests.p2p.children import Child
from tests.support.networks import LocalNetwork, Place, ring_spec, wait_for_peers
from tests.support.processes import PATIENCE, NodeProcess, Nodes
from tests.support.ring_nodes import GENESIS_SLOT, RingNode
from tests.support.small_chain import PAIRS, submit_rating

pytestmark = [pytest.mark.full, pytest.mark.timeout(240)]

SLOT: Final = 500
PUPPETS: Final = Path(__file__).parent / "programs" / "puppets.py"
NOWHERE: Final = BlockRef(BlockNumber(1_000_000), Hash(b"\x77" * 32))
NO_BLOCKS: Final = encode_blocks([])
UNDER_ATTACK: Final = re.compile(
    r" WARN  (p2p\.host: \w+ is banned: |node\.sync\.catch_up: block \d+ 0x\w+ is invalid: "
    r"|node\.sync\.handler: a peer's chain goes on for longer than half the leak "
    r"|node\.sync\.blocks: block \d+ is far ahead of this machine's clock: is the clock right\?$)"
)


@dataclass(slots=True)
class Forger:
    """A copy of the chain, on which the third member of the ring makes blocks as it likes."""

    copy: RingNode

    def follow(self, client: RpcClient) -> None:
        """Take what the node has."""
        head = int(client.call("chain_getHeader")["number"], 16)
        for number in range(self.copy.chain.snapshot.best.number + 1, head + 1):
            told = client.call("chain_getBlock", client.call("chain_getBlockHash", number))["block"]
            self.copy.take(Block(Header.from_json(told["header"]), tuple(map(from_hex, told["extrinsics"]))))

    def block(self, client: RpcClient) -> Block:
        """A good block in a turn of the third, on top of what was the node's head before that; the turn is over."""
        self.follow(client)
        made = self.next_block()
        with client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
            while read_claim(Header.from_json(heads.next())).slot <= read_claim(made.header).slot:
                pass
        return made

    def next_block(self) -> Block:
        """The same on top of the copy's head, which stays where it is."""
        slot = self.copy.slot + 1
        while (GENESIS_SLOT + slot) % 3 != 2:
            slot += 1
        made = self.copy.block(slot)
        self.copy.chain.revert()
        return made

    def sealed(self, block: Block, **changes: Any) -> Block:
        """The same with other header fields, sealed again."""
        header = replace(unsealed(block.header), **changes)
        return Block(seal(header, self.copy.chain.genesis, PAIRS["Charlie"]), block.extrinsics)


@dataclass(slots=True)
class Stage:
    """The nodes, and the programs that attack."""

    victim: NodeProcess
    honest: NodeProcess
    place: Place
    client: RpcClient
    genesis: Hash
    forger: Forger
    puppets: Child
    attacker: Child
    joined: list["Puppet"] = field(default_factory=list)
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def attack(self, name: str) -> object:
        seed = f"{next(self._seeds):064x}"
        self.attacker.do("attack", name=name, seed=seed, address=self.place.address())
        return self.attacker.wait("done", name=name)["result"]

    def puppet(self, best: BlockRef | None = None, blocks: bytes | None = NO_BLOCKS, after: bytes = b"") -> "Puppet":
        """A peer that says this is its best block, and what it answers when it is asked for blocks after another one.

        None: it does not answer.
        """
        seed = f"{next(self._seeds):064x}"
        genesis = BlockRef(BlockNumber(0), self.genesis)
        puppet = Puppet(self, seed, peer_id_from_seed(bytes.fromhex(seed)))
        answers = {POOL.code: b"", BLOCKS.code: blocks}
        self.puppets.do(
            "join",
            seed=seed,
            genesis=self.genesis.hex(),
            address=self.place.address(),
            handshake=Handshake(best or genesis, genesis).encode().hex(),
            after=after.hex(),
            answers={str(kind): answer.hex() for kind, answer in answers.items() if answer is not None},
        )
        self.puppets.wait("peer", seed=seed)
        self.joined.append(puppet)
        return puppet

    def check_honest(self) -> None:
        """The honest peer is connected, and both have the next blocks of each other."""
        peers = [peer["peerId"] for peer in self.client.call("system_peers")]
        assert self.honest_id in peers
        with self.client.subscribe("chain_subscribeNewHeads", timeout=PATIENCE) as heads:
            authors: set[bytes] = set()
            while len(authors) < 2:
                authors.add(read_claim(Header.from_json(heads.next())).author)
        assert authors == {PAIRS["Alice"].public, PAIRS["Bob"].public}

    @property
    def honest_id(self) -> str:
        told = self.honest.request("POST", "/", b'{"jsonrpc":"2.0","id":1,"method":"system_localPeerId"}')
        return str(told[1]["result"])


@dataclass(slots=True)
class Puppet:
    """One peer, and what the attacked node thinks of it."""

    stage: Stage
    seed: str
    peer: str

    def publish(self, topic: str, payload: bytes) -> None:
        self.stage.puppets.do("publish", seed=self.seed, topic=topic, payload=payload.hex())
        self.stage.puppets.wait("published", seed=self.seed)

    def ask(self, kind: int, payload: bytes) -> dict[str, Any]:
        self.stage.puppets.do("ask", seed=self.seed, kind=kind, payload=payload.hex())
        return self.stage.puppets.wait("answer", seed=self.seed)

    def scores(self) -> list[str]:
        """What it was blamed for so far, with the score after that."""
        return re.findall(rf"p2p\.host: {self.peer}: (.*), score -?\d+$", self.stage.victim.log, re.MULTILINE)

    def wait_for_score(self, blame: str, score: int) -> None:
        """Wait until it is blamed, for just this."""
        pattern = re.compile(rf"p2p\.host: {self.peer}: (.*), score (-?\d+)$")
        found = self.stage.victim.command.err.match(pattern)
        assert found is not None
        assert found.groups() == (blame, str(score))
        assert set(self.scores()) == {blame}

    def leave(self) -> None:
        """Go, and wait until the attacked node has noticed, if it had not turned it out."""
        self.stage.puppets.do("leave", seed=self.seed)
        assert self.stage.victim.command.err.match(re.compile(f"peer {self.peer} is gone")) is not None


@pytest.fixture
def stage(nodes_and_attackers: Stage) -> Iterator[Stage]:
    yield nodes_and_attackers
    for puppet in nodes_and_attackers.joined:
        puppet.leave()
    nodes_and_attackers.joined.clear()


@pytest.fixture(scope="module")
def nodes_and_attackers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("attacks")
    children: list[Child] = []
    with Nodes(directory / "temporary") as nodes:
        network = LocalNetwork(nodes, ring_spec(directory, SLOT), directory)
        place = network.place("alice")
        victim = network.launch("alice", "--log", "p2p.host=debug", "--rpc-methods", "unsafe")
        victim.expected = UNDER_ATTACK
        honest = network.launch("bob", boot=[place.address()])
        for node in (victim, honest):
            node.wait_until_ready()
            wait_for_peers(node, 1)
        honest.expected = UNDER_ATTACK
        forger = Forger(RingNode(load_spec(str(network.spec))))
        genesis = forger.copy.chain.genesis
        greeting = Handshake(BlockRef(BlockNumber(0), genesis), BlockRef(BlockNumber(0), genesis)).encode()
        largest = max(kind.max_request for kind in (BLOCKS, BODY, POOL, TRANSACTIONS))
        options = {"genesis": genesis.hex(), "handshake": greeting.hex(), "probe": POOL.code, "largest": largest}
        try:
            children += [Child(PUPPETS), Child("attacker.py", options)]
            for child in children:
                child.wait("ready")
            with victim.client() as client:
                yield Stage(victim, honest, place, client, genesis, forger, *children)
        finally:
            for child in children:
                child.end()


# Attacks on the transport


@pytest.mark.parametrize(
    "attack",
    [
        "garbage_on_tcp",
        "huge_length_on_tcp",
        "garbage_for_noise",
        "many_streams",
        "garbage_handshake",
        "huge_length_in_session",
        "frame_over_the_limit",
        "garbage_in_session",
        "second_hello",
        "undecodable_rpc",
        "huge_length_in_gossip",
    ],
)
def test_what_breaks_the_rules_is_cut_off(stage: Stage, attack: str) -> None:
    assert stage.attack(attack) is True
    stage.check_honest()


@pytest.mark.parametrize("attack", ["undecodable_key", "false_gossip", "flood_of_topics"])
def test_a_bad_message_costs_nobody_else_anything(stage: Stage, attack: str) -> None:
    assert stage.attack(attack) is False
    stage.check_honest()


def test_three_hundred_connections_one_after_another(stage: Stage) -> None:
    assert stage.attack("many_connections") == 300
    assert stage.attack("connect") is True
    stage.check_honest()


def test_silent_connections_keep_nobody_out(stage: Stage) -> None:
    stage.attacker.do("hold", what="idle", seed="ee" * 32, address=stage.place.address())
    stage.attacker.wait("holding")
    # While they are being accepted, a connection may take longer than it waits.
    assert any(stage.attack("connect") is True for _ in range(3))
    stage.check_honest()
    stage.attacker.do("let go")


# Attacks with our own messages


def test_garbage_is_no_announcement(stage: Stage) -> None:
    puppet = stage.puppet()
    topic = f"/mfchain/{stage.genesis.hex()}/blocks/1"
    puppet.publish("blocks", b"\xc1" * 50)
    puppet.wait_for_score(f"bad message (a false message on {topic})", -20)
    stage.check_honest()


def wrong_seal(forger: Forger, block: Block) -> Block:
    *claim, sealed = block.header.digest
    false = replace(sealed, payload=bytes(64))
    return Block(replace(block.header, digest=(*claim, false)), block.extrinsics)


def somebody_elses_turn(forger: Forger, block: Block) -> Block:
    claim = read_claim(block.header)
    return forger.sealed(block, digest=claim_digest(Slot(claim.slot + 1), claim.author))


def nobodys_key(forger: Forger, block: Block) -> Block:
    """An author who is not in the ring seals in the turn of one who is."""
    slot = read_claim(block.header).slot
    header = replace(unsealed(block.header), digest=claim_digest(slot, PAIRS["Eve"].public))
    return Block(seal(header, forger.copy.chain.genesis, PAIRS["Eve"]), block.extrinsics)


def another_body(forger: Forger, block: Block) -> Block:
    return Block(block.header, (*block.extrinsics, b"\x04\x00"))


@pytest.mark.parametrize("forge", [wrong_seal, somebody_elses_turn, nobodys_key, another_body])
def test_a_false_announcement_goes_no_further(stage: Stage, forge: Any) -> None:
    puppet = stage.puppet()
    block = forge(stage.forger, stage.forger.block(stage.client))
    puppet.publish("blocks", Announcement(block.header, block.extrinsics, ()).encode())
    puppet.wait_for_score(f"bad message (a false message on /mfchain/{stage.genesis.hex()}/blocks/1)", -20)
    assert stage.client.call("chain_getHeader", "0x" + block.header.hash().hex()) is None
    stage.check_honest()


def test_the_author_of_an_invalid_block_is_to_blame_for_it(stage: Stage) -> None:
    """Those who pass it on have not executed it: they are not blamed, and the block is nobody's."""
    puppet = stage.puppet()
    block = stage.forger.sealed(stage.forger.block(stage.client), state_root=Hash(bytes(32)))
    name = "0x" + block.header.hash().hex()
    puppet.publish("blocks", Announcement(block.header, block.extrinsics, ()).encode())
    for node in (stage.victim, stage.honest):
        told = node.command.err.match(re.compile(f"block {block.header.number} {name[:10]} is invalid: (.*)"))
        assert told is not None
        assert told[1].startswith("StateRootMismatch: ")
    assert stage.client.call("chain_getHeader", name) is None
    stage.check_honest()
    assert puppet.scores() == []
    # Who brings it again knows better.
    puppet.publish("blocks", Announcement(block.header, block.extrinsics, ()).encode())
    puppet.wait_for_score(f"bad message (a false message on /mfchain/{stage.genesis.hex()}/blocks/1)", -20)


def test_a_block_of_times_to_come_is_forgotten(stage: Stage) -> None:
    puppet = stage.puppet()
    block = stage.forger.block(stage.client)
    claim = read_claim(block.header)
    far = stage.forger.sealed(block, digest=claim_digest(Slot(claim.slot + 3_000), claim.author))
    puppet.publish("blocks", Announcement(far.header, far.extrinsics, ()).encode())
    # The next message of the peer is judged after it.
    puppet.publish("blocks", b"\xc1")
    puppet.wait_for_score(f"bad message (a false message on /mfchain/{stage.genesis.hex()}/blocks/1)", -20)
    assert stage.client.call("chain_getHeader", "0x" + far.header.hash().hex()) is None
    stage.check_honest()


def transaction(stage: Stage, nonce: int, item: int = 0, *, forged: bool = False) -> bytes:
    version = stage.forger.copy.chain.runtime.version
    raw = sign_extrinsic(
        PAIRS["Dave"],
        submit_rating(item, 1),
        IMMORTAL,
        Nonce(nonce),
        version.spec_version,
        version.transaction_version,
        stage.genesis,
        stage.genesis,
    )
    # The call stands last, so another last byte is another call under the same signature.
    return raw[:-1] + bytes((raw[-1] ^ 1,)) if forged else raw


@pytest.mark.parametrize("false", ["no batch", "no transaction", "a forged one"])
def test_false_transactions_are_refused(stage: Stage, false: str) -> None:
    puppet = stage.puppet()
    good = transaction(stage, 0)
    batch = {
        "no batch": b"\xff" * 20,
        "no transaction": join([good, b"\x04\x00"]),
        "a forged one": join([good, transaction(stage, 9, forged=True)]),
    }[false]
    puppet.publish("transactions", batch)
    puppet.wait_for_score(f"bad message (a false message on /mfchain/{stage.genesis.hex()}/transactions/1)", -20)
    stage.check_honest()


def test_a_transaction_that_is_merely_late_is_nobodys_fault(stage: Stage) -> None:
    stage.victim.user.json("rate", 1, "like", "--suri", "//Dave")
    puppet = stage.puppet()
    nonce = stage.client.call("system_accountNextIndex", "0x" + PAIRS["Dave"].public.hex()) - 1
    puppet.publish("transactions", join([transaction(stage, nonce)]))
    puppet.publish("transactions", b"\xff")
    puppet.wait_for_score(f"bad message (a false message on /mfchain/{stage.genesis.hex()}/transactions/1)", -20)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        (BLOCKS, b"\xc1" * 20, "a request for blocks that is no msgpack: FormatError"),
        (BODY, b"\x00" * 33, "33 bytes of hashes, which have 32 each"),
        (TRANSACTIONS, b"\x00" * 31, "31 bytes of hashes, which have 32 each"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_garbage_requests_are_refused(stage: Stage, kind: Any, payload: bytes, why: str) -> None:
    puppet = stage.puppet()
    answer = puppet.ask(kind.code, payload)
    assert (answer["error"], answer["message"]) == ("Refused", why)
    puppet.wait_for_score(f"bad message ({why})", -20)
    stage.check_honest()


def test_peers_that_never_deliver_hold_up_nobody(stage: Stage) -> None:
    """Three claim to be far ahead, and answer no question: blocks are made meanwhile, and each is slow."""
    liars = [stage.puppet(best=NOWHERE, blocks=None) for _ in range(3)]
    stage.puppets.wait("request", seed=liars[0].seed, kind=BLOCKS.code)
    stage.check_honest()
    assert stage.victim.request("GET", "/ready") == (200, {"ready": True})
    names = "|".join(liar.peer for liar in liars)
    slow = re.compile(rf"p2p\.host: ({names}): slow \(no answer to blocks\), score -\d+$")
    assert stage.victim.command.err.match(slow) is not None
    stage.check_honest()


def test_a_peer_that_has_nothing_of_what_it_claims_is_asked_in_vain(stage: Stage) -> None:
    puppet = stage.puppet(best=NOWHERE, blocks=NO_BLOCKS)
    stage.puppets.wait("request", seed=puppet.seed, kind=BLOCKS.code)
    stage.check_honest()
    assert puppet.scores() == []


def as_answer(*blocks: Block) -> bytes:
    return encode_blocks((block.header.encode(), encode_body(block.extrinsics)) for block in blocks)


def test_blocks_that_follow_nothing_are_a_bad_answer(stage: Stage) -> None:
    block = stage.forger.block(stage.client)
    loose = stage.forger.sealed(block, parent_hash=Hash(b"\x55" * 32))
    puppet = stage.puppet(best=NOWHERE, blocks=as_answer(loose))
    why = f"block {loose.header.number} of an answer does not follow what it should"
    puppet.wait_for_score(f"bad response ({why})", -25)
    stage.check_honest()


def test_who_brings_invalid_blocks_is_turned_out(stage: Stage) -> None:
    # It follows block 0, which is in every question.
    fresh = Forger(RingNode(stage.forger.copy.spec))
    block = fresh.sealed(fresh.next_block(), state_root=Hash(bytes(32)))
    puppet = stage.puppet(best=NOWHERE, blocks=as_answer(block), after=stage.genesis)
    blame = re.compile(rf"p2p\.host: {puppet.peer}: bad block \(StateRootMismatch: .*\), score -50$")
    assert stage.victim.command.err.match(blame) is not None
    stage.puppets.wait("gone", seed=puppet.seed)
    assert len(puppet.scores()) == 1
    stage.check_honest()


def test_a_stalled_peer_is_noticed(stage: Stage) -> None:
    puppet = stage.puppet()
    stage.puppets.signal(signal.SIGSTOP)
    stage.check_honest()
    began = time.monotonic()
    assert stage.victim.command.err.match(re.compile(f"peer {puppet.peer} is gone")) is not None
    assert time.monotonic() - began < PATIENCE
    stage.puppets.signal(signal.SIGCONT)
    stage.check_honest()
