"""What authors put into their blocks without a signature of their own: votes, and two that contradict each other."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import Final

from pallets.finality import errors
from pallets.finality.checkpoints import count_votes
from pallets.finality.config import INDEX, MAX_VOTES
from pallets.finality.votes import VOTE, Vote, contradict, is_signed
from pallets.producers.calls import bar_offender
from pallets.producers.config import Config, Rules
from pallets.system.storage import BLOCK_HASH
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import DispatchFailed
from runtime.interface.origin import Origin, ensure_bare
from runtime.interface.weights import MICROSECOND, DispatchClass
from runtime.primitives import BlockNumber
from runtime.scale import Field, Vec

CAST_VOTES: Final = 0
REPORT_CONTRADICTION: Final = 1

_VOTES: Final = Vec(VOTE, MAX_VOTES)


def votes_call(votes: Sequence[Vote]) -> bytes:
    """Return the encoded call that includes votes, which must ascend."""
    return bytes((INDEX, CAST_VOTES)) + _VOTES.encode(tuple(votes))


def contradiction_call(first: Vote, second: Vote) -> bytes:
    """Return the encoded call that reports two votes."""
    return bytes((INDEX, REPORT_CONTRADICTION)) + VOTE.encode(first) + VOTE.encode(second)


def cast_votes(rules: Rules, context: Context, origin: Origin, votes: Sequence[Vote]) -> None:
    """Count votes."""
    ensure_bare(origin)
    if not votes:
        raise DispatchFailed(errors.NO_VOTES)
    if any(after.order <= before.order for before, after in pairwise(votes)):
        raise DispatchFailed(errors.VOTES_OUT_OF_ORDER)
    for epoch, group in groupby(votes, lambda vote: vote.target.epoch):
        count_votes(context, epoch, group, rules)


def report_contradiction(rules: Rules, context: Context, origin: Origin, first: Vote, second: Vote) -> None:
    """Bar a voter who has signed two votes that contradict each other."""
    ensure_bare(origin)
    genesis = BLOCK_HASH.get(context.state, BlockNumber(0))
    if not contradict(first, second) or not (is_signed(first, genesis) and is_signed(second, genesis)):
        raise DispatchFailed(errors.NO_OFFENCE)
    bar_offender(context, first.voter, max(first.target.epoch, second.target.epoch), rules)


def build_calls(config: Config) -> tuple[Call, ...]:
    """Declare the calls; their indices never change."""
    return (
        Call(
            CAST_VOTES,
            "cast_votes",
            (Field("votes", _VOTES, "Vec<Vote>"),),
            partial(cast_votes, config.rules),
            lambda votes: (50 + 90 * len(votes)) * MICROSECOND,
            "Count votes for checkpoints. Unsigned, one a block, put in by authors.",
            DispatchClass.MANDATORY,
        ),
        Call(
            REPORT_CONTRADICTION,
            "report_contradiction",
            (Field("first", VOTE, "Vote"), Field("second", VOTE, "Vote")),
            partial(report_contradiction, config.rules),
            lambda _first, _second: 300 * MICROSECOND,
            "Show two votes that contradict each other; the voter is barred. Unsigned, one a block, put in by authors.",
            DispatchClass.MANDATORY,
        ),
    )
