"""What a node hears of others that matters beyond a block: their votes, and whoever contradicts itself.

Votes come by gossip and in blocks, those of side blocks too, and wait for a block that may include them. Evidence is
reported in the next block that this node makes, if the offender has a place to lose.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

from node.vote_pool import Added, VotePool
from pallets.finality.calls import CAST_VOTES, contradiction_call, votes_call
from pallets.finality.config import INDEX as FINALITY
from pallets.finality.votes import Vote
from pallets.producers.calls import MAX_EVIDENCE, equivocation_call
from pallets.producers.claim import read_claim_digest
from pallets.producers.config import Rules
from pallets.producers.membership import current_epoch, is_barred, is_known
from pallets.producers.turns import epoch_of
from runtime.executive import Runtime
from runtime.extrinsic import leading_unsigned
from runtime.header import Block, Header
from runtime.interface.errors import InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, Slot

_CAST_VOTES: Final = bytes((FINALITY, CAST_VOTES))
_SLOTS_KEPT: Final = 4_096
_MOST_EVIDENCE: Final = 256


class Witness:
    """Hears in the main loop's thread, and speaks up in the one that builds blocks."""

    def __init__(self, runtime: Runtime, rules: Rules) -> None:
        """Begin without having heard of anything."""
        self._runtime = runtime
        self._rules = rules
        self._lock = Lock()
        self._votes = VotePool()
        self._headers: OrderedDict[tuple[AccountId, Slot], Header] = OrderedDict()
        self._evidence: OrderedDict[AccountId, tuple[Header, Header]] = OrderedDict()

    # Hearing. Whatever comes here is sealed or signed by whom it names.

    def hear_vote(self, vote: Vote) -> Added:
        """Keep a vote."""
        with self._lock:
            return self._votes.add(vote)

    def knows(self, vote: Vote) -> bool:
        """Tell whether a vote would be no news."""
        with self._lock:
            return self._votes.find(vote.target.epoch, vote.voter) == vote

    def hear_header(self, header: Header) -> bool:
        """Look at a sealed header; tell whether its author has sealed another one of the same slot."""
        claim = read_claim_digest(header.digest)
        key = claim.author, claim.slot
        with self._lock:
            if len(header.encode()) > MAX_EVIDENCE:
                # It could not be reported, so it takes no place of one that could.
                return key in self._headers
            other = self._headers.setdefault(key, header)
            if len(self._headers) > _SLOTS_KEPT:
                self._headers.popitem(last=False)
            if other == header:
                return False
            self._evidence.setdefault(claim.author, (other, header))
            if len(self._evidence) > _MOST_EVIDENCE:
                self._evidence.popitem(last=False)
            return True

    def votes_in(self, block: Block) -> tuple[Vote, ...]:
        """Return the votes that a block includes, which has been executed: on whatever chain it is, they are signed."""
        return votes_of(self._runtime, block.extrinsics)

    # Speaking.

    def calls(self, state: StateReader) -> list[bytes]:
        """Return what to put into a block whose state so far this is: votes, and a report of each kind."""
        with self._lock:
            votes = self._votes.includable(state, self._rules)
            calls = [votes_call(votes)] if votes else []
            blocks = next(((one, other) for account, one, other in self._twins() if self._counts(state, account)), None)
            if blocks is not None:
                calls.append(equivocation_call(*blocks))
            pair = next((pair for pair in self._votes.evidence() if self._counts(state, pair[0].voter)), None)
            if pair is not None:
                calls.append(contradiction_call(*pair))
            return calls

    def missing(self, state: StateReader, voter: AccountId) -> tuple[Vote, ...]:
        """Return the votes of a voter that a chain has a use for, whose head's state this is, and does not have."""
        with self._lock:
            return self._votes.missing(state, voter, self._rules)

    def _twins(self) -> Iterator[tuple[AccountId, Header, Header]]:
        for account, (one, other) in self._evidence.items():
            yield account, one, other

    def _counts(self, state: StateReader, offender: AccountId) -> bool:
        """Tell whether there is a point in reporting somebody."""
        return is_known(state, offender) and not is_barred(state, offender, current_epoch(state, self._rules))

    def forget(self, state: StateReader) -> None:
        """Forget votes that are counted for good, and evidence that has served or is too old; the head's state."""
        epoch = current_epoch(state, self._rules)
        with self._lock:
            self._votes.prune(state)
            for pair in self._votes.evidence():
                latest = max(vote.target.epoch for vote in pair)
                if is_barred(state, pair[0].voter, epoch) or latest + self._rules.bar_epochs <= epoch:
                    self._votes.drop_evidence(pair[0].voter)
            for account, one, _ in list(self._twins()):
                when = epoch_of(read_claim_digest(one.digest).slot, self._rules.epoch_slots)
                if is_barred(state, account, epoch) or when + self._rules.bar_epochs <= epoch:
                    del self._evidence[account]


def half_of(runtime: Runtime, call: bytes) -> bytes | None:
    """Return the call with the first half of its votes; None if it has not two."""
    if call[:2] != _CAST_VOTES:
        return None
    (votes,) = runtime.decode_call(call).arguments
    assert isinstance(votes, tuple)
    return votes_call(votes[: len(votes) // 2]) if len(votes) > 1 else None


def votes_of(runtime: Runtime, extrinsics: Sequence[bytes]) -> tuple[Vote, ...]:
    """Return the votes in a body."""
    for raw in extrinsics[: leading_unsigned(extrinsics)]:
        try:
            prepared = runtime.prepare(raw)
        except InvalidTransaction:
            continue
        if prepared.encoded_call[:2] == _CAST_VOTES:
            (votes,) = prepared.call.arguments
            assert isinstance(votes, tuple)
            return votes
    return ()
