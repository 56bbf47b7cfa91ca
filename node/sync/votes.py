"""Votes among peers: told by gossip, each checked before it is passed on.

How can it be attacked? With votes of strangers: a message has the votes of one voter, so a look at its first bytes is
enough. With one vote in many messages: votes ascend, and one that is known is passed on again after some slots only,
which those who have missed it can wait for. With many known votes, one by one: so many messages without news a second
are passed on, so that honest peers stay far from what counts as a flood.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import trio

from node.chain import Chain, Snapshot
from node.vote_pool import Added, Wanted
from node.voting import is_counted
from node.witness import Witness
from p2p.budget import Budget, Budgets
from p2p.config import Rate
from p2p.network import Misbehaviour, Network, PeerId, Topic, Verdict
from pallets.finality.config import MAX_VOTES
from pallets.finality.votes import VOTE, Vote, is_signed
from pallets.producers.turns import epoch_of
from runtime.primitives import AccountId, Hash, Slot
from runtime.scale import H256, U8, U64, FixedBytes, ScaleError, Vec

_VOTES: Final = Vec(VOTE, MAX_VOTES)
_RAW_VOTES: Final = Vec(FixedBytes(VOTE.min_size), MAX_VOTES)
_LONGEST: Final = U8.min_size + 2 + MAX_VOTES * VOTE.min_size
_VOTER_LENGTH: Final = 32
_TARGET_AT: Final = _VOTER_LENGTH + U64.min_size + H256.min_size
"""Where a vote has the epoch of its target: behind the voter and the source."""
_SAID_FOR: Final = 4
"""Slots in which a vote is passed on once; its voter says it again after five."""
_MOST_SAID: Final = 1 << 15
_REPEATS: Final = Rate(messages=100, size=1 << 30)
"""Messages a second that are passed on without news."""
_STRANGERS: Final = Rate(messages=20, size=1 << 30)
"""Messages of one peer a second with votes of strangers; a node that is behind may not know all voters yet."""


@dataclass(frozen=True, slots=True)
class RawVote:
    """A vote as it came, and what can be told of it without decoding."""

    target: int
    raw: bytes


def encode_votes(votes: tuple[Vote, ...], attempt: int) -> bytes:
    """Return a message; gossip hands one on once, so whatever is said again needs another number."""
    return U8.encode(attempt % 256) + _VOTES.encode(votes)


def split_votes(payload: bytes) -> tuple[AccountId, tuple[RawVote, ...]]:
    """Read a message as far as votes are not looked at yet: whose they are, and the votes; raises ScaleError."""
    if len(payload) > _LONGEST:
        raise ScaleError(f"a message with votes has {_LONGEST} bytes at most, this one has {len(payload)}")
    if not payload:
        raise ScaleError("the message is empty")
    raws = _RAW_VOTES.decode(payload[U8.min_size :])
    if not raws:
        raise ScaleError("there is not a single vote")
    voter = raws[0][:_VOTER_LENGTH]
    if any(raw[:_VOTER_LENGTH] != voter for raw in raws):
        raise ScaleError("votes of two voters are in one message")
    votes = tuple(RawVote(int.from_bytes(raw[_TARGET_AT : _TARGET_AT + U64.min_size], "little"), raw) for raw in raws)
    if any(later.target <= earlier.target for earlier, later in pairwise(votes)):
        raise ScaleError("the votes do not ascend")
    return AccountId(voter), votes


def decode_votes(payload: bytes) -> tuple[Vote, ...]:
    """Read a message; raises ScaleError."""
    _, votes = split_votes(payload)
    return tuple(VOTE.decode(vote.raw) for vote in votes)


class VoteExchange:
    """Takes votes from gossip."""

    def __init__(
        self,
        chain: Chain,
        witness: Witness,
        network: Network,
        slot: Callable[[], Slot],
        on_vote: Callable[[Vote], None],
    ) -> None:
        """Take the parts; `slot` is that of the clock, `on_vote` is told of each vote that is signed and of use."""
        self._chain = chain
        self._witness = witness
        self._network = network
        self._slot = slot
        self._on_vote = on_vote
        self._wanted: tuple[Snapshot, Wanted] | None = None
        self._said: OrderedDict[bytes, Slot] = OrderedDict()
        self._repeats: Budget | None = None
        self._strangers = Budgets(_STRANGERS, trio.current_time)

    def publish(self, votes: tuple[Vote, ...], attempt: int) -> None:
        """Tell everybody of votes of ours."""
        self._network.publish(Topic.VOTES, encode_votes(votes, attempt))

    async def on_gossip(self, payload: bytes, peer: PeerId) -> Verdict:
        """Take what is of use, and pass the message on if something in it is."""
        try:
            voter, votes = split_votes(payload)
        except ScaleError:
            return Verdict.REJECT
        wanted, slot = self._wanted_now(), self._slot()
        if voter not in wanted.voters:
            self._note_stranger(peer)
            return Verdict.IGNORE
        # A clock may be ahead of ours by a bit.
        latest = epoch_of(slot, self._chain.spec.rules.epoch_slots) + 1
        is_news = is_wanted_again = False
        for one in votes:
            if not wanted.is_of_use(voter, one.target, latest) or self._was_said(one.raw, slot):
                continue
            vote = VOTE.decode(one.raw)
            if self._witness.knows(vote):
                # Said again, for those who have missed it.
                is_wanted_again |= not is_counted(self._chain.snapshot.state, vote, self._chain.spec.rules)
            elif not is_signed(vote, self._genesis):
                return Verdict.REJECT
            else:
                is_news |= self._witness.hear_vote(vote) is not Added.KNOWN
                self._on_vote(vote)
            self._note_said(one.raw, slot)
        if is_news or (is_wanted_again and self._may_repeat()):
            return Verdict.ACCEPT
        return Verdict.IGNORE

    def _wanted_now(self) -> Wanted:
        """Return whose votes are of use, read once for each head."""
        snapshot = self._chain.snapshot
        if self._wanted is None or self._wanted[0] is not snapshot:
            self._wanted = snapshot, Wanted.by(snapshot.state)
        return self._wanted[1]

    def _was_said(self, raw: bytes, slot: Slot) -> bool:
        """Tell whether this very vote was looked at a few slots ago."""
        said = self._said.get(raw)
        return said is not None and 0 <= slot - said < _SAID_FOR

    def _note_said(self, raw: bytes, slot: Slot) -> None:
        """Remember a vote whose signature is good."""
        self._said[raw] = slot
        self._said.move_to_end(raw)
        if len(self._said) > _MOST_SAID:
            self._said.popitem(last=False)

    def _may_repeat(self) -> bool:
        """Count a message to pass on without news; tell whether that is within the budget."""
        if self._repeats is None:
            self._repeats = Budget(_REPEATS, trio.current_time)
        if self._repeats.charge(0) <= 0:
            return True
        # What is not passed on does not put off what comes later.
        self._repeats.charge(0, messages=-1)
        return False

    def _note_stranger(self, peer: PeerId) -> None:
        """Blame a peer a bit that goes on passing on what is of no use."""
        budget = self._strangers.of(peer)
        if budget.charge(0) > 0 and budget.is_flood():
            self._network.report(peer, Misbehaviour.USELESS, "votes of strangers, again and again")

    @property
    def _genesis(self) -> Hash:
        return self._chain.genesis
