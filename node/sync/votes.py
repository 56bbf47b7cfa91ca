"""Votes among peers: told by gossip, each checked before it is passed on."""

from collections.abc import Callable
from typing import Final

from node.chain import Chain
from node.vote_pool import Added, is_of_use
from node.voting import is_counted
from node.witness import Witness
from p2p.network import Network, PeerId, Topic, Verdict
from pallets.finality.config import MAX_VOTES
from pallets.finality.votes import VOTE, Vote, is_signed
from runtime.primitives import Hash
from runtime.scale import U8, ScaleError, Vec

_VOTES: Final = Vec(VOTE, MAX_VOTES)
_LONGEST: Final = U8.min_size + 2 + MAX_VOTES * VOTE.min_size


def encode_votes(votes: tuple[Vote, ...], attempt: int) -> bytes:
    """Return a message; gossip hands one on once, so whatever is said again needs another number."""
    return U8.encode(attempt % 256) + _VOTES.encode(votes)


def decode_votes(payload: bytes) -> tuple[Vote, ...]:
    """Read a message; raises ScaleError."""
    if len(payload) > _LONGEST:
        raise ScaleError(f"a message with votes has {_LONGEST} bytes at most, this one has {len(payload)}")
    if not payload:
        raise ScaleError("the message is empty")
    votes = _VOTES.decode(payload[U8.min_size :])
    if not votes:
        raise ScaleError("there is not a single vote")
    return votes


class VoteExchange:
    """Takes votes from gossip."""

    def __init__(
        self,
        chain: Chain,
        witness: Witness,
        network: Network,
        epoch: Callable[[], int],
        on_vote: Callable[[Vote], None],
    ) -> None:
        """Take the parts; `epoch` is that of the clock, `on_vote` is told of each vote that is signed and of use."""
        self._chain = chain
        self._witness = witness
        self._network = network
        self._epoch = epoch
        self._on_vote = on_vote

    def publish(self, votes: tuple[Vote, ...], attempt: int) -> None:
        """Tell everybody of votes of ours."""
        self._network.publish(Topic.VOTES, encode_votes(votes, attempt))

    async def on_gossip(self, payload: bytes, _peer: PeerId) -> Verdict:
        """Take what is of use, and pass the message on if something in it is."""
        try:
            votes = decode_votes(payload)
        except ScaleError:
            return Verdict.REJECT
        state = self._chain.snapshot.state
        is_news = False
        for vote in votes:
            # A clock may be ahead of ours by a bit.
            if not is_of_use(state, vote, self._epoch() + 1):
                continue
            if self._witness.knows(vote):
                # Said again, for those who have missed it.
                is_news |= not is_counted(state, vote, self._chain.spec.rules)
                continue
            if not is_signed(vote, self._genesis):
                return Verdict.REJECT
            is_news |= self._witness.hear_vote(vote) is not Added.KNOWN
            self._on_vote(vote)
        return Verdict.ACCEPT if is_news else Verdict.IGNORE

    @property
    def _genesis(self) -> Hash:
        return self._chain.genesis
