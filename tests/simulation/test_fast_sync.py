"""A latecomer that fetches a state, struck down in the middle of its writes, among peers of whom one lies."""

from dataclasses import dataclass, field, replace

import pytest
import trio

from node.chain import Chain
from node.chain_spec import genesis
from node.executor import InlineExecutor
from node.pool import TransactionPool
from node.sync.answers import Answers
from node.sync.fast import FastSync
from node.sync.messages import KINDS, STATE, VOTES, Handshake, MessageError, StateAnswer, VotesAnswer
from node.sync.switchboard import Switchboard
from p2p.network import Network, NetworkHandler, PeerId, PeerInfo, Refuse, Topic, Verdict
from runtime.primitives import BlockNumber, BlockRef
from storage.kv import KeyValueStore
from storage.snapshot import Snapshot, is_empty, is_snapshot
from tests.simulation.faults import Crash, Fault
from tests.simulation.nodes import SimulatedNode, ratings_now_and_then, spec_of
from tests.simulation.world import World, seeds

pytestmark = pytest.mark.full

HONEST, LIAR, LATE = 3, 3, 4
COMES_AT = 90.0
SECONDS = 130.0


@dataclass
class Latecomer(SimulatedNode):
    """One life of a node that fetches a state if it has nothing yet."""

    store: KeyValueStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.world.disk(self.index).open()
        self.pool = TransactionPool()

    async def run(self, network: Network) -> None:
        await trio.sleep_until(COMES_AT)
        if not (is_empty(self.store) or is_snapshot(self.store)):
            self.chain = Chain.open(self.spec, self.store, state_pruning=256)
            await super().run(network)
            return
        first, board = genesis(self.spec).header, Switchboard(network)
        snapshot = Snapshot.open(self.store, first)
        sync = FastSync(self.spec, first, snapshot, InlineExecutor(), self.world.clock(self.index), trusted(self.world))
        async with trio.open_nursery() as nursery:
            await nursery.start(board.run, sync)
            target = await sync.run(board.line(), 256)
            self.world.note(self.index, "fetched", target.number)
            self.chain = Chain.open(self.spec, self.store, state_pruning=256)
            await super().run(board.line())


@dataclass
class Liar(NetworkHandler):
    """Gives what an honest node would, but states and votes that are not true."""

    world: World

    async def run(self, network: Network) -> None:
        await network.run(self)

    def handshake(self) -> bytes:
        first = BlockRef(BlockNumber(0), honest(self.world).chain.genesis)
        return Handshake(first, first).encode()

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        return

    def on_peer_gone(self, peer: PeerId) -> None:
        return

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        return Verdict.IGNORE

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        node = honest(self.world)
        answers = Answers(node.chain, node.pool, InlineExecutor(), lambda _block: None)
        try:
            answer = await answers.to(kind, payload)
        except MessageError as error:
            raise Refuse(str(error)) from None
        if kind == STATE.code:
            given = StateAnswer.decode(answer)
            return replace(given, pairs=(*given.pairs[:-1], (given.pairs[-1][0], b"false"))).encode()
        if kind == VOTES.code:
            votes = VotesAnswer.decode(answer)
            return replace(votes, votes=tuple(replace(vote, signature=bytes(64)) for vote in votes.votes)).encode()
        return answer


def honest(world: World) -> SimulatedNode:
    node = world.node(0)
    assert isinstance(node, SimulatedNode)
    return node


def trusted(world: World) -> BlockRef:
    """An early block that an operator has been told of."""
    name = honest(world).chain.database.hash_at(BlockNumber(2))
    assert name is not None
    return BlockRef(BlockNumber(2), name)


def make(world: World, index: int) -> SimulatedNode | Liar:
    if index == LIAR:
        return Liar(world)
    return (Latecomer if index == LATE else SimulatedNode)(world, index, spec_of(HONEST))


def the_latecomer_has_fetched(world: World) -> None:
    """It has a state that it has not executed, and is where the others are."""
    late = world.node(LATE)
    assert isinstance(late, Latecomer)
    database = late.chain.database
    assert database.floor() > 0
    first = database.hash_at(BlockNumber(1))
    assert first is not None
    assert database.body(first) is None
    head = late.chain.snapshot.best
    assert abs(head.number - honest(world).best.number) <= 1
    assert late.chain.snapshot.finalized.number >= database.floor()
    assert late.chain.model_at(head.hash).digest() == late.chain.snapshot.model.digest()


@pytest.mark.parametrize("seed", seeds(2))
def test_a_latecomer_that_is_struck_down_while_it_fetches(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.sync.answers.MAX_PAIRS", 16)
    world = World(seed, make, nodes=LATE + 1, kinds=KINDS)
    rng = world.rng("faults")
    faults = [Fault(COMES_AT + 5 * at, Crash(LATE, down=1.0, in_write=rng.randrange(1, 6))) for at in range(3)]

    async def story(world: World) -> None:
        await ratings_now_and_then(world, SECONDS * 0.8, 2.0)

    world.run(SECONDS, faults, story=story, at_end=[the_latecomer_has_fetched])
    events = [event[1:] for event in world.trace]
    assert events.count(("crash", LATE)) == len(faults)
    assert any(event[:3] == ("note", LATE, "fetched") for event in events)
    # Whether it has asked the liar at all is for the seed to say.
    assert {event[2] for event in events if event[0] == "report"} <= {LIAR}
