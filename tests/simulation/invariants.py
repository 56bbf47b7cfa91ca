"""What must hold among simulated nodes at every moment, and what must hold again once nothing befalls them any more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from node.sync.messages import Announcement
from node.sync.votes import decode_votes
from p2p.network import Network, Topic
from pallets.finality.votes import Vote, contradict
from pallets.producers.claim import read_claim_digest
from pallets.producers.storage import BARRED
from runtime.primitives import AccountId, BlockNumber, Hash
from tests.simulation.nodes import honest, short
from tests.simulation.world import World


@dataclass
class History:
    """What anybody has ever held for final."""

    final: dict[int, Hash] = field(default_factory=dict)
    reached: dict[tuple[int, int], int] = field(default_factory=dict)
    """How far each node is, for each disk that it has had."""

    def check(self, world: World) -> None:
        """No two nodes hold different blocks for final, ever; and nobody goes back."""
        for node in honest(world):
            finalized = node.chain.snapshot.finalized
            key = node.index, world.disk(node.index).setbacks
            before = self.reached.get(key, 0)
            if finalized.number == before:
                continue
            assert finalized.number > before, f"node {node.index} went back from {before} to {finalized.number}"
            for number in range(before + 1, finalized.number + 1):
                name = node.chain.database.hash_at(BlockNumber(number))
                assert name is not None
                assert self.final.setdefault(number, name) == name, f"two blocks {number} are final"
            self.reached[key] = finalized.number

    def is_kept(self, world: World) -> None:
        """Whatever has ever been final for anybody is in the chain of everybody."""
        for node in honest(world):
            for number, name in self.final.items():
                assert node.chain.database.hash_at(BlockNumber(number)) == name, f"block {number} was final"

    @property
    def height(self) -> int:
        """How far anybody has come."""
        return max(self.final, default=0)


@dataclass
class Signatures:
    """What honest keys have signed and sent: no two things that contradict each other, whatever befalls their nodes."""

    blocks: dict[tuple[AccountId, int], Hash] = field(default_factory=dict)
    votes: dict[AccountId, set[Vote]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def watch(self, network: Network) -> None:
        """Look at all that a node publishes from now on."""
        publish = network.publish

        def watched(topic: Topic, payload: bytes) -> None:
            if topic is Topic.BLOCKS:
                self._block(payload)
            elif topic is Topic.VOTES:
                for vote in decode_votes(payload):
                    self._vote(vote)
            publish(topic, payload)

        network.publish = watched  # type: ignore[method-assign]

    def _block(self, payload: bytes) -> None:
        header = Announcement.decode(payload).header
        claim = read_claim_digest(header.digest)
        if self.blocks.setdefault((claim.author, claim.slot), header.hash()) != header.hash():
            self.contradictions.append(f"two blocks of slot {claim.slot} by {short(Hash(claim.author))}")

    def _vote(self, vote: Vote) -> None:
        given = self.votes.setdefault(vote.voter, set())
        for other in given:
            if contradict(other, vote):
                epochs = f"{other.source.epoch}-{other.target.epoch} and {vote.source.epoch}-{vote.target.epoch}"
                self.contradictions.append(f"votes {epochs} by {short(Hash(vote.voter))}")
        given.add(vote)

    def check(self, _world: World) -> None:
        """No honest key has contradicted itself."""
        assert not self.contradictions, f"an honest key contradicts itself: {self.contradictions[0]}"


@dataclass
class States:
    """The state after each block that has been somebody's head."""

    roots: dict[Hash, Hash] = field(default_factory=dict)
    heads: dict[int, Hash] = field(default_factory=dict)

    def check(self, world: World) -> None:
        """Equal heads mean equal states."""
        for node in honest(world):
            head = node.chain.database.head().hash
            if self.heads.get(node.index) != head:
                self.heads[node.index] = head
                assert self.roots.setdefault(head, node.root()) == node.root(), f"two states of block {short(head)}"


def heads_agree(world: World) -> None:
    """All have the same chain, but for a block that is under way."""
    nodes = honest(world)
    lowest, highest = min(node.best.number for node in nodes), max(node.best.number for node in nodes)
    assert highest - lowest <= _UNDER_WAY, [(node.index, node.best.number) for node in nodes]
    number = BlockNumber(max(0, lowest - _UNDER_WAY))
    hashes = {node.chain.database.hash_at(number) for node in nodes}
    assert len(hashes) == 1, f"heads differ: block {number} is {[short(one) for one in hashes if one is not None]}"


_UNDER_WAY: Final = 1


def lag(world: World) -> list[int]:
    """Return how many blocks behind its best one each node holds for final."""
    return [node.best.number - node.chain.snapshot.finalized.number for node in honest(world)]


def finality_goes_on(most: int) -> Callable[[World], None]:
    """Nobody's last final block is further behind the head."""

    def check(world: World) -> None:
        assert all(behind <= most for behind in lag(world)), f"blocks that are not final: {lag(world)}"

    return check


def nobody_is_barred(world: World) -> None:
    """Nobody was shown to have contradicted itself."""
    for node in honest(world):
        assert list(BARRED.items(node.chain.snapshot.state)) == []
