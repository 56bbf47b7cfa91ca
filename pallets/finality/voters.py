"""Voters: how long each has been absent, who goes, and how a new set takes over from an old one.

Absence is counted in checkpoints of the chain, never in time: after an outage of everybody the first author would else
be the only voter left.
"""

from collections.abc import Collection, Iterable

from pallets.finality import events
from pallets.finality.storage import (
    CHECKPOINT_COUNT,
    EPOCH,
    FINALIZED,
    LAST_SEEN,
    SUPPORT,
    VOTER_SET_ID,
    VOTER_SETS,
    VoterSet,
)
from pallets.producers.config import Rules
from pallets.producers.membership import is_barred
from pallets.producers.storage import MEMBERS, RING
from runtime.interface.context import Context
from runtime.interface.state import StateReader
from runtime.interface.storage import StateWriter
from runtime.primitives import AccountId


def current_voters(state: StateReader) -> VoterSet:
    """Return the voter set in a state."""
    voters = VOTER_SETS.find(state, VOTER_SET_ID.get(state))
    assert voters is not None, "a chain with a ring has voters"
    return voters


def put_voters(state: StateWriter, voters: VoterSet) -> None:
    """Write a voter set that is not the current one."""
    following = VOTER_SET_ID.get(state) + 1
    VOTER_SETS.put(state, following, voters)
    VOTER_SET_ID.put(state, following)


def absent(state: StateReader, account: AccountId) -> int:
    """Return for how many checkpoints there has been no sign of a voter; nobody waits for anybody else."""
    count = CHECKPOINT_COUNT.get(state)
    seen = LAST_SEEN.find(state, account)
    return 0 if seen is None else max(0, count - seen)


def note_sign(state: StateWriter, account: AccountId, rules: Rules) -> None:
    """Note that a voter was there since the last checkpoint; for one who has lapsed it is too late."""
    if LAST_SEEN.contains(state, account) and not has_lapsed(state, account, rules):
        LAST_SEEN.put(state, account, CHECKPOINT_COUNT.get(state) + 1)


def has_lapsed(state: StateReader, account: AccountId, rules: Rules) -> bool:
    """Tell whether a voter has been absent for so long that nothing it does helps any more."""
    return absent(state, account) >= rules.lapse_checkpoints


def take_for_present(state: StateWriter, accounts: Iterable[AccountId]) -> None:
    """Begin to count the absence of those who come to vote."""
    count = CHECKPOINT_COUNT.get(state)
    for account in accounts:
        LAST_SEEN.put(state, account, count)


def forget_former(state: StateWriter) -> None:
    """Forget the absence of those who do not vote any more."""
    members = set(current_voters(state).members)
    for account in [account for account, _ in LAST_SEEN.items(state) if account not in members]:
        LAST_SEEN.remove(state, account)


def remove_leaked(context: Context, rules: Rules) -> tuple[AccountId, ...]:
    """Remove voters who have been absent for too long, from both sets; return them.

    Where nobody would be left, the next set takes over, and where there is none, the set stays until `hand_over` finds
    others: a set without members could not agree to anything.
    """
    state, voters = context.state, current_voters(context.state)
    leaked = tuple(account for account in voters.members if absent(state, account) >= rules.leak_checkpoints)
    if not leaked:
        return ()
    stay = _without(voters.voters, leaked)
    following = _without(voters.following, leaked)
    if not stay:
        stay, following = following, ()
    for account in leaked:
        context.deposit(events.VOTER_REMOVED, account)
    put_voters(state, VoterSet(stay, following, voters.since if following else 0))
    return leaked


def _without(accounts: tuple[AccountId, ...], others: Collection[AccountId]) -> tuple[AccountId, ...]:
    return tuple(account for account in accounts if account not in others)


def present_voters(state: StateReader) -> tuple[AccountId, ...]:
    """Return the voters of whom there was a sign since the last checkpoint."""
    return tuple(account for account in current_voters(state).voters if absent(state, account) == 0)


def wanted(state: StateReader, rules: Rules) -> tuple[AccountId, ...]:
    """Return who should vote: the voters and proven members of the ring, but for those who go, or have lapsed.

    Whoever is away and may come back stays: without it, fewer of those who do not vote would be enough to keep the next
    set from ever agreeing.
    """
    epoch, voters = EPOCH.get(state), current_voters(state).voters
    proven = [account for account in RING.get(state) if _is_proven(state, account, epoch)]
    found = sorted(
        account
        for account in {*proven, *voters}
        if not _is_going(state, account, epoch) and not has_lapsed(state, account, rules)
    )
    return tuple(found) or voters


def _is_proven(state: StateReader, account: AccountId, epoch: int) -> bool:
    member = MEMBERS.find(state, account)
    return member is not None and member.has_authored and member.probation_ends <= epoch


def _is_going(state: StateReader, account: AccountId, epoch: int) -> bool:
    member = MEMBERS.find(state, account)
    return is_barred(state, account, epoch) or (member is not None and member.is_leaving)


def start_handover(context: Context, rules: Rules) -> None:
    """Name the next voters, if others are wanted and no handover is under way."""
    state, voters = context.state, current_voters(context.state)
    if voters.following:
        return
    next_voters = wanted(state, rules)
    if not voters.voters:
        # All have leaked. Whoever is left in the ring goes on; there is nobody to hand over.
        next_voters = next_voters or tuple(sorted(RING.get(state)))
        put_voters(state, VoterSet(next_voters))
    elif next_voters != voters.voters:
        epoch = EPOCH.get(state)
        put_voters(state, VoterSet(voters.voters, next_voters, epoch))
        context.deposit(events.HANDOVER_STARTED, len(next_voters), epoch)
    known = set(voters.voters)
    take_for_present(state, [account for account in next_voters if account not in known])


def complete_handover(context: Context) -> None:
    """Let the next voters take over, if a checkpoint is final for which both sets have voted."""
    state, voters = context.state, current_voters(context.state)
    finalized = FINALIZED.find(state)
    if voters.following and finalized is not None and finalized.epoch >= voters.since:
        put_voters(state, VoterSet(voters.following))
        context.deposit(events.HANDOVER_COMPLETED, len(voters.following))


def quorum(voters: int) -> int:
    """Return how many of so many voters have to agree."""
    return 2 * voters // 3 + 1


def agree(voters: VoterSet, votes: bytes) -> bool:
    """Tell whether enough have voted, of the voters and, while there are any, of the next ones."""
    if not voters.following:
        return int.from_bytes(votes).bit_count() >= quorum(len(voters.voters))
    members = voters.members
    voted = {account for place, account in enumerate(members) if votes[place // 8] >> place % 8 & 1}
    sets = (voters.voters, voters.following)
    return all(sum(account in voted for account in accounts) >= quorum(len(accounts)) for accounts in sets)


def count_support(state: StateWriter, rules: Rules) -> None:
    """Write how many voters in the ring have not lapsed."""
    ring = set(RING.get(state))
    voters = current_voters(state).voters
    support = sum(account in ring and not has_lapsed(state, account, rules) for account in voters)
    SUPPORT.put(state, support)
