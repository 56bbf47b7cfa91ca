"""The part of a node that sees to it that history becomes final: it hears votes, gives them, and reports who cheats."""

import logging
from collections.abc import Callable
from dataclasses import replace

import trio

from node.authoring import Bell
from node.chain import Chain
from node.consensus import Template
from node.ring import slot_at, slot_start
from node.sync.votes import VoteExchange
from node.voter import Voter
from node.witness import Witness
from p2p.network import Network
from pallets.finality.votes import Vote
from runtime.crypto import KeyPair
from runtime.header import Block, Header
from runtime.primitives import BlockNumber, Slot, to_hex

log = logging.getLogger(__name__)


class Voting:
    """What a node on a chain with a ring does beside blocks; without a key it only listens."""

    def __init__(self, chain: Chain, producer: KeyPair | None, clock: Callable[[], int]) -> None:
        """Take the key of this node, if it has one, and the clock, in milliseconds since the Unix epoch."""
        self._chain = chain
        self._clock = clock
        self._witness = Witness(chain.runtime, chain.spec.rules)
        self._voter = None if producer is None else Voter(chain, producer, clock())
        self._heard = Bell()
        self._finalized = chain.snapshot.finalized
        # Gossip hands the same message on once, and may remember one of an earlier life.
        self._said: int = slot_at(clock(), chain.spec.slot_duration)
        self._remember()

    def _remember(self) -> None:
        """Take the votes of stored blocks that are not final: those beside the best chain may be nowhere else."""
        database, snapshot = self._chain.database, self._chain.snapshot
        numbers = range(snapshot.finalized.number + 1, snapshot.best.number + 1)
        names = [database.hash_at(BlockNumber(number)) for number in numbers]
        names += [ref.hash for ref in database.side_blocks()]
        for block in (database.block(name) for name in names if name is not None):
            for vote in self._witness.votes_in(block) if block is not None else ():
                self._witness.hear_vote(vote)

    def exchange(self, network: Network) -> VoteExchange:
        """Return what takes votes from a network."""
        return VoteExchange(self._chain, self._witness, network, self._slot, self._hear_vote)

    def _slot(self) -> Slot:
        return slot_at(self._clock(), self._chain.spec.slot_duration)

    def complete(self, template: Template, milliseconds: int) -> Template:
        """Return a template with votes and reports, whose seal is noted on disk before it is made."""
        whole = replace(template, calls=self._witness.calls)
        return whole if self._voter is None else self._voter.protect(whole, milliseconds)

    # Hearing.

    def hear_block(self, block: Block) -> None:
        """A block was executed, on whichever branch."""
        self.hear_header(block.header)
        for vote in self._witness.votes_in(block):
            self._witness.hear_vote(vote)
            self._hear_vote(vote)
        snapshot = self._chain.snapshot
        if snapshot.finalized != self._finalized:
            self._finalized = snapshot.finalized
            self._witness.forget(snapshot.state)
        self._heard.ring()

    def hear_header(self, header: Header) -> None:
        """A header was seen that its author has sealed."""
        if self._witness.hear_header(header):
            log.warning("two blocks of one author and slot: %s is the second", to_hex(header.hash()))
        if self._voter is not None:
            self._voter.hear_header(header, self._clock())

    def _hear_vote(self, vote: Vote) -> None:
        if self._voter is not None:
            self._voter.hear_vote(vote, self._clock())

    # Voting.

    def _due(self, voter: Voter) -> tuple[Vote, ...]:
        """Return the votes to tell of now: a new one, or once more those that the chain does not have."""
        now = self._clock()
        vote = voter.due(now)
        if vote is not None:
            self._witness.hear_vote(vote)
            return (vote,)
        if not voter.may_repeat(now):
            return ()
        return self._witness.missing(self._chain.snapshot.state, voter.account)

    async def run(
        self,
        listens_since: Callable[[], Slot | None],
        may_vote: Callable[[], bool],
        tell: Callable[[tuple[Vote, ...], int], None],
    ) -> None:
        """Vote until cancelled, whenever a block has come and in each slot.

        Args:
            listens_since: tells since which slot others have been heard without a break; None if they are not.
            may_vote: tells whether this is a time to vote.
            tell: takes votes and a number.
        """
        voter, duration = self._voter, self._chain.spec.slot_duration
        while voter is not None:
            voter.listen_since(listens_since())
            if may_vote():
                votes = self._due(voter)
                if votes:
                    self._said += 1
                    tell(votes, self._said)
            now = self._clock()
            rest = slot_start(Slot(slot_at(now, duration) + 1), duration) - now
            with trio.move_on_after(max(rest, 1) / 1_000):
                await self._heard.wait()
