"""Those who take part in a simulation: newcomers, twins, and whoever does not keep to the rules."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from node.inbox import Submission
from node.node import Node
from node.protection import Protection, SigningRecord, Situation
from node.ring import seal, unsealed
from node.sync.messages import Announcement
from node.sync.votes import decode_votes, encode_votes
from node.voting import Step, sign_vote
from p2p.network import Network, Topic
from pallets.finality.votes import CheckpointId, Vote
from pallets.producers.calls import LEAVE, join_call
from pallets.producers.config import INDEX
from pallets.producers.storage import RING
from runtime.crypto import KeyPair
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.primitives import BlockNumber, Hash, Slot
from runtime.work import find_nonce, join_prefix
from tests.simulation.invariants import Signatures
from tests.simulation.nodes import MEMBERS, SimulatedNode

_WORK: Final = 100_000


@dataclass
class Member(SimulatedNode):
    """Has a key of its own, in the ring or not; what it signs is looked at, if it is to be honest."""

    signatures: Signatures | None = None
    number: int | None = None
    """Whose key it has, if not that of its place."""

    def key(self) -> KeyPair:
        return MEMBERS[self.index if self.number is None else self.number]

    async def run(self, network: Network) -> None:
        if self.signatures is not None:
            self.signatures.watch(network)
        await super().run(network)

    @property
    def is_in_ring(self) -> bool:
        return self.key().public in RING.get(self.chain.snapshot.state)

    def send(self, call: bytes) -> None:
        """Sign and hand in a call with this node's key."""
        pair, version, genesis = self.key(), self.chain.runtime.version, self.chain.genesis
        nonce = self.chain.runtime.system.nonce(self.chain.snapshot.state, pair.public)
        versions = version.spec_version, version.transaction_version
        raw = sign_extrinsic(pair, call, IMMORTAL, nonce, *versions, genesis, genesis)
        self.inbox.put(Submission(raw, lambda outcome: None))

    def join(self) -> None:
        """Find the work and send it."""
        recent = BlockNumber(max(0, self.best.number - 2))
        name = self.chain.database.hash_at(recent)
        assert name is not None
        prefix = join_prefix(self.chain.genesis, name, self.key().public)
        nonce = find_nonce(prefix, self.spec.rules.join_work, 0, _WORK)
        assert nonce is not None
        self.send(join_call(recent, nonce))

    def leave_ring(self) -> None:
        """Say that it goes."""
        self.send(bytes((INDEX, LEAVE)))


# Those who break the rules. Their nodes are real ones too, but for what is said here.


class DoubleAuthor(Member):
    """Announces two blocks in each of its slots, and votes twice."""

    is_honest = False

    async def run(self, network: Network) -> None:
        publish = network.publish

        def twice(topic: Topic, payload: bytes) -> None:
            publish(topic, payload)
            pair = self.key()
            if topic is Topic.BLOCKS:
                announced = Announcement.decode(payload)
                other = replace(unsealed(announced.header), state_root=Hash(bytes(32)))
                publish(topic, Announcement(seal(other, self.chain.genesis, pair), announced.extrinsics, ()).encode())
            elif topic is Topic.VOTES:
                vote, *_ = decode_votes(payload)
                step = Step(vote.source, CheckpointId(vote.target.epoch, Hash(bytes(32))))
                publish(topic, encode_votes((sign_vote(step, pair, self.chain.genesis),), 0))

        network.publish = twice  # type: ignore[method-assign]
        await super().run(network)


class Mute(Member):
    """Makes blocks, and gives no votes; nor does it pass on those of others."""

    is_honest = False

    async def run(self, network: Network) -> None:
        publish = network.publish

        def mute(topic: Topic, payload: bytes) -> None:
            if topic is not Topic.VOTES:
                publish(topic, payload)

        network.publish = mute  # type: ignore[method-assign]
        await super().run(network)


class Withholder(Member):
    """Sends everything up to some slots late, or never."""

    is_honest = False

    async def run(self, network: Network) -> None:
        publish, rng, clock = network.publish, self.world.rng(f"withheld by {self.index}"), self.world.medium.clock

        def late(topic: Topic, payload: bytes) -> None:
            seconds = rng.choice((0.0, 2.0, 7.0, 20.0, None))
            if seconds is not None:
                clock.at(clock.current_time() + seconds, publish, topic, payload)

        network.publish = late  # type: ignore[method-assign]
        await super().run(network)


class Reckless(Protection):
    """Signs whatever comes up."""

    def seal(self, slot: Slot, now: Situation) -> None:
        return

    def vote(self, source: int, target: int, now: Situation) -> None:
        self._record = SigningRecord(Slot(0), source, target)

    def hear_block(self, slot: Slot, now: Situation) -> bool:
        return False

    def hear_vote(self, vote: Vote, now: Situation) -> bool:
        return False


class EvilTwin(Member):
    """One of two nodes with one key and without protection: makes blocks and gives votes on either side of a fork."""

    is_honest = False

    def begin(self) -> Node:
        node = super().begin()
        voting = node._voting
        assert voting is not None
        assert voting._voter is not None
        old = voting._voter._protection
        voting._voter._protection = Reckless(old._store, Slot(0), 0)
        return node


class Silent(Member):
    """Makes blocks, and gives no votes, not even in its own blocks."""

    is_honest = False

    def begin(self) -> Node:
        node = super().begin()
        assert node._voting is not None
        assert node._voting._voter is not None
        node._voting._voter.due = lambda _milliseconds: None  # type: ignore[method-assign]
        return node


MakeMember = Callable[..., Member]
LIARS: Final[dict[str, MakeMember]] = {
    "double author": DoubleAuthor,
    "mute": Mute,
    "silent": Silent,
    "withholder": Withholder,
    "evil twins": EvilTwin,
}
