"""Votes that a fast sync asks a peer for: they show handovers, and what is final."""

from collections.abc import Callable
from typing import Final

from node.executor import Executor
from node.followed import Ballots, FollowedChain
from node.sync.asker import Asker
from node.sync.messages import MAX_VOTE_BLOCKS
from p2p.network import Refused
from pallets.finality.votes import Checkpoint
from runtime.primitives import BlockNumber

_STRETCHES: Final = 8
"""Stretches of blocks that are searched for votes, the last one first."""
_FIRST_STRETCH: Final = 32


class VoteSearch:
    """Looks through the blocks of one peer."""

    def __init__(self, ask: Asker, executor: Executor, moved: Callable[[int], None]) -> None:
        """Take the peer to ask; `moved` is told of how many blocks it has given the votes."""
        self._ask = ask
        self._executor = executor
        self._moved = moved

    async def show(self, chain: FollowedChain) -> None:
        """Have the handover of a chain shown.

        Raises:
            BadVotes: votes that nobody can have given.
        """
        handover = chain.handover
        assert handover is not None, "there is one"
        first = chain.checkpoint_since(handover.since)
        ballots = Ballots(chain)
        number = handover.by.number if first is None else BlockNumber(first.number + 1)
        while number <= handover.by.number:
            last = min(handover.by.number, number + MAX_VOTE_BLOCKS - 1)
            number = await self._votes(ballots, number, BlockNumber(last))
        await self._executor.aside(chain.show, ballots.votes())

    async def final(self, chain: FollowedChain) -> Checkpoint | None:
        """Return the latest checkpoint of a chain that the votes in its last blocks show to be final, if there is any.

        Raises:
            BadVotes: votes that nobody can have given.
        """
        ballots = Ballots(chain)
        last = chain.head.number
        for attempt in range(_STRETCHES):
            if last < 1:
                break
            # The first stretches are short, for peers that have few bodies.
            first = BlockNumber(max(1, last - min(MAX_VOTE_BLOCKS, _FIRST_STRETCH << attempt) + 1))
            number = first
            try:
                while number <= last:
                    number = await self._votes(ballots, number, last)
            except Refused:
                # A peer that has begun with a snapshot itself has no bodies from before.
                break
            final = await self._executor.aside(chain.final_by, ballots.votes())
            if final is not None:
                return final
            last = BlockNumber(first - 1)
        return None

    async def _votes(self, ballots: Ballots, first: BlockNumber, last: BlockNumber) -> BlockNumber:
        """Ask for the votes in some blocks; return the first block that is left."""
        answer = await self._ask.votes(first, last)
        ballots.add(answer.votes)
        self._moved(answer.last - first + 1)
        return BlockNumber(answer.last + 1)
