"""Coming and going: who waits, who is in the ring, who may not be.

The ring is sorted by the rank of its members, which comes from the work of joining, so that nobody chooses a place.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from pallets.producers import events
from pallets.producers.config import MAX_RING, Rules
from pallets.producers.storage import BARRED, BLOCK_SLOT, MEMBERS, MISSED, QUEUE, RING, Applicant, Member
from pallets.producers.turns import epoch_of
from runtime.interface.context import Context
from runtime.interface.state import StateReader
from runtime.interface.storage import StateWriter
from runtime.primitives import AccountId, BlockNumber
from runtime.work import RANK_LENGTH


def found_ring(state: StateWriter, ring: tuple[AccountId, ...]) -> None:
    """Write the members of the first ring, in the order in which the chain names them."""
    RING.put(state, ring)
    for place, account in enumerate(ring):
        founder = Member(place.to_bytes(RANK_LENGTH, "big"), BlockNumber(0), has_authored=True)
        MEMBERS.put(state, account, founder)


def current_epoch(state: StateReader, rules: Rules) -> int:
    """Return the epoch of the block whose state this is."""
    return epoch_of(BLOCK_SLOT.get(state), rules.epoch_slots)


def is_barred(state: StateReader, account: AccountId, epoch: int) -> bool:
    """Tell whether an account has contradicted itself not long ago."""
    return BARRED.get(state, account) > epoch


def is_queued(state: StateReader, account: AccountId) -> bool:
    """Tell whether an account waits to join."""
    return any(applicant.account == account for applicant in QUEUE.get(state))


def unqueue(state: StateWriter, account: AccountId) -> bool:
    """Take an account out of the queue; tell whether it was there."""
    queue = QUEUE.get(state)
    left = tuple(applicant for applicant in queue if applicant.account != account)
    if len(left) == len(queue):
        return False
    QUEUE.put(state, left)
    return True


def enter(context: Context, applicant: Applicant, rules: Rules, *, has_authored: bool = False) -> None:
    """Note that an account joins the ring with this block; `put_ring` gives it its place."""
    state, epoch = context.state, current_epoch(context.state, rules)
    known = MEMBERS.find(state, applicant.account)
    member = Member(
        applicant.rank,
        context.number,
        probation_ends=epoch + rules.probation_epochs,
        may_return=0 if known is None else known.may_return,
        has_authored=has_authored,
    )
    MEMBERS.put(state, applicant.account, member)
    context.deposit(events.JOINED, applicant.account)


def put_ring(state: StateWriter, accounts: Iterable[AccountId]) -> None:
    """Write a ring in the order of its members' ranks."""
    ranked = []
    for account in accounts:
        member = MEMBERS.find(state, account)
        assert member is not None, "who is in the ring is a member"
        ranked.append((member.rank, account))
    RING.put(state, tuple(account for _, account in sorted(ranked)))


def bar(context: Context, account: AccountId, rules: Rules) -> None:
    """Keep an account from taking part for a while; the ring is rid of it with the next epoch."""
    until = current_epoch(context.state, rules) + rules.bar_epochs
    BARRED.put(context.state, account, until)
    unqueue(context.state, account)
    context.deposit(events.ACCOUNT_BARRED, account, until)


def is_known(state: StateReader, account: AccountId) -> bool:
    """Tell whether an account takes part, or did not long ago, or wants to."""
    return MEMBERS.contains(state, account) or is_queued(state, account)


def change_ring(context: Context, rules: Rules, leaked: Collection[AccountId], present: Iterable[AccountId]) -> None:
    """Change the ring as a new epoch begins.

    Args:
        context: the block, a checkpoint.
        rules: the constants of the chain.
        leaked: members who are gone without having left.
        present: voters without a place of whom there was a sign since the last checkpoint.
    """
    state, epoch = context.state, current_epoch(context.state, rules)
    ring, queue = RING.get(state), QUEUE.get(state)
    lost = [account for account in ring if account in leaked or _loses_place(state, account, rules, epoch)]
    returned = [account for account in present if account not in ring and _may_return(state, account, epoch)]
    room = max(0, min(rules.max_joins(len(ring)), MAX_RING - len(ring) - len(returned)))
    joins = [applicant for applicant in queue if applicant.account not in returned][:room]
    if len(lost) == len(ring) and not returned and not joins:
        return  # The chain needs somebody, be it one who wants to go.
    for account in lost:
        _lose(context, account)
    for account in returned:
        _return(context, account, epoch + rules.return_epochs)
    for applicant in joins:
        enter(context, applicant, rules)
    gone = {*returned, *(applicant.account for applicant in joins)}
    left = tuple(applicant for applicant in queue if applicant.account not in gone)
    if left != queue:
        QUEUE.put(state, left)
    stay = [account for account in ring if account not in lost]
    put_ring(state, [*stay, *returned, *(applicant.account for applicant in joins)])


def _loses_place(state: StateReader, account: AccountId, rules: Rules, epoch: int) -> bool:
    member = MEMBERS.find(state, account)
    assert member is not None, "who is in the ring is a member"
    is_away = MISSED.get(state, account) >= rules.missed_turns
    return is_away or member.is_leaving or is_barred(state, account, epoch)


def _may_return(state: StateReader, account: AccountId, epoch: int) -> bool:
    member = MEMBERS.find(state, account)
    if member is None or member.is_leaving or is_barred(state, account, epoch):
        return False
    return member.may_return <= epoch


def _lose(context: Context, account: AccountId) -> None:
    member = MEMBERS.find(context.state, account)
    assert member is not None, "who is in the ring is a member"
    MEMBERS.put(context.state, account, replace(member, changed=context.number))
    MISSED.remove(context.state, account)
    context.deposit(events.LEFT if member.is_leaving else events.DROPPED, account)


def _return(context: Context, account: AccountId, may_return: int) -> None:
    member = MEMBERS.find(context.state, account)
    assert member is not None, "who returns was a member"
    MEMBERS.put(context.state, account, replace(member, may_return=may_return))
    context.deposit(events.RETURNED, account)


def forget(context: Context, rules: Rules, keep: Collection[AccountId]) -> None:
    """Forget who takes no part any more, once old work cannot bring it back, and bars that have passed."""
    state, epoch = context.state, current_epoch(context.state, rules)
    ring = RING.get(state)
    stale = [
        account
        for account, member in MEMBERS.items(state)
        if account not in keep and account not in ring and member.changed + rules.join_age < context.number
    ]
    for account in stale:
        MEMBERS.remove(state, account)
    for account in [account for account, until in BARRED.items(state) if until <= epoch]:
        BARRED.remove(state, account)
