"""What accounts can do: join, leave; and what everybody can: show that somebody has contradicted itself."""

from dataclasses import replace
from functools import partial
from typing import Final

from pallets.producers import errors, events
from pallets.producers.config import INDEX, Config, Rules
from pallets.producers.membership import bar, current_epoch, is_barred, is_known, is_queued, unqueue
from pallets.producers.seals import check_seal
from pallets.producers.storage import MEMBERS, QUEUE, RING, Applicant
from pallets.producers.turns import epoch_of
from pallets.system.storage import BLOCK_HASH
from runtime.header import Header
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import DispatchFailed, InvalidBlock, InvalidReason, InvalidTransaction
from runtime.interface.origin import Origin, ensure_bare, ensure_signed
from runtime.interface.weights import MICROSECOND, DispatchClass
from runtime.primitives import AccountId, BlockNumber, Hash
from runtime.scale import BLOCK_NUMBER, U64, Bytes, Field, ScaleError
from runtime.work import is_enough, join_prefix, rank, work_digest

JOIN: Final = 0
LEAVE: Final = 1
REPORT_EQUIVOCATION: Final = 2

# Two headers and a block's votes must fit what a body has beside its transactions.
MAX_EVIDENCE: Final = 16 << 10

# For each account that waits: the queue is read, searched and written.
_WAITING_WEIGHT: Final = 400_000
# For each byte of evidence, which is hashed several times.
_EVIDENCE_WEIGHT: Final = 7_000


def admit_join(config: Config, context: Context, account: AccountId, recent_block: BlockNumber, nonce: int) -> None:
    """Check that an account may wait to join.

    Raises:
        InvalidTransaction: BAD_CALL, BARRED, ALREADY_JOINED, STALE_WORK, BAD_WORK or QUEUE_FULL.
    """
    state, rules = context.state, config.rules
    if not config.is_active:
        raise InvalidTransaction(InvalidReason.BAD_CALL, "This chain is not sealed by a ring: there is none to join")
    if is_barred(state, account, current_epoch(state, rules)):
        raise InvalidTransaction(InvalidReason.BARRED)
    if account in RING.get(state) or is_queued(state, account):
        raise InvalidTransaction(InvalidReason.ALREADY_JOINED)
    digest = _join_digest(context, account, recent_block, nonce, rules)
    if not is_enough(digest, rules.join_work):
        raise InvalidTransaction(InvalidReason.BAD_WORK)
    if len(QUEUE.get(state)) >= rules.join_queue:
        raise InvalidTransaction(InvalidReason.QUEUE_FULL)


def _join_digest(context: Context, account: AccountId, recent: BlockNumber, nonce: int, rules: Rules) -> Hash:
    """Return the digest of the work for joining; STALE_WORK if it counts no more, or not yet."""
    state = context.state
    member = MEMBERS.find(state, account)
    since = -1 if member is None else member.changed
    block_hash = BLOCK_HASH.find(state, recent)
    if block_hash is None or not max(since, context.number - rules.join_age - 1) < recent < context.number:
        raise InvalidTransaction(InvalidReason.STALE_WORK)
    genesis = BLOCK_HASH.get(state, BlockNumber(0))
    return work_digest(join_prefix(genesis, block_hash, account), nonce)


def join(rules: Rules, context: Context, origin: Origin, recent_block: BlockNumber, nonce: int) -> None:
    """Wait to join the ring; `admit_join` has checked everything."""
    account = ensure_signed(origin)
    queue = QUEUE.get(context.state)
    context.charge(len(queue) * _WAITING_WEIGHT)
    digest = _join_digest(context, account, recent_block, nonce, rules)
    QUEUE.put(context.state, (*queue, Applicant(account, rank(digest))))
    context.deposit(events.JOIN_QUEUED, account)


def leave(context: Context, origin: Origin) -> None:
    """Leave the queue at once, or the ring with the next epoch; a voter goes on voting until others have taken over."""
    account = ensure_signed(origin)
    state = context.state
    context.charge(len(QUEUE.get(state)) * _WAITING_WEIGHT)
    if is_queued(state, account):
        unqueue(state, account)
        context.deposit(events.LEFT, account)
        return
    member = MEMBERS.find(state, account)
    if member is None:
        raise DispatchFailed(errors.NOT_JOINED)
    if member.is_leaving:
        raise DispatchFailed(errors.ALREADY_LEAVING)
    MEMBERS.put(state, account, replace(member, is_leaving=True, changed=context.number))
    context.deposit(events.LEAVING, account)


def report_equivocation(rules: Rules, context: Context, origin: Origin, first: bytes, second: bytes) -> None:
    """Bar the author of two headers of one slot."""
    ensure_bare(origin)
    offender, epoch = _equivocation(BLOCK_HASH.get(context.state, BlockNumber(0)), first, second, rules)
    bar_offender(context, offender, epoch, rules)


def _equivocation(genesis: Hash, first: bytes, second: bytes, rules: Rules) -> tuple[AccountId, int]:
    """Return who has sealed both headers, and the epoch of their slot."""
    try:
        one, other = Header.decode(first), Header.decode(second)
        claims = check_seal(one, genesis), check_seal(other, genesis)
    except (ScaleError, InvalidBlock):
        raise DispatchFailed(errors.NO_OFFENCE) from None
    is_same_turn = (claims[0].author, claims[0].slot) == (claims[1].author, claims[1].slot)
    if not is_same_turn or one.hash() == other.hash():
        raise DispatchFailed(errors.NO_OFFENCE)
    return claims[0].author, epoch_of(claims[0].slot, rules.epoch_slots)


def bar_offender(context: Context, offender: AccountId, epoch: int, rules: Rules) -> None:
    """Bar who is shown to have contradicted itself in an epoch.

    An offence counts for as long as one is barred for it, so that nobody is barred twice for the same.
    """
    context.charge(len(QUEUE.get(context.state)) * _WAITING_WEIGHT)
    now = current_epoch(context.state, rules)
    if not is_known(context.state, offender) or is_barred(context.state, offender, now):
        raise DispatchFailed(errors.UNKNOWN_OFFENDER)
    if epoch + rules.bar_epochs <= now:
        raise DispatchFailed(errors.STALE_EVIDENCE)
    bar(context, offender, rules)


def equivocation_call(first: Header, second: Header) -> bytes:
    """Return the encoded call that reports two headers."""
    return encoded_equivocation(first.encode(), second.encode())


def encoded_equivocation(first: bytes, second: bytes) -> bytes:
    """Return the encoded call that reports two encoded headers."""
    evidence = Bytes(MAX_EVIDENCE)
    return bytes((INDEX, REPORT_EQUIVOCATION)) + evidence.encode(first) + evidence.encode(second)


def join_call(recent_block: BlockNumber, nonce: int) -> bytes:
    """Return the encoded call by which an account joins."""
    return bytes((INDEX, JOIN)) + BLOCK_NUMBER.encode(recent_block) + U64.encode(nonce)


def build_calls(config: Config) -> tuple[Call, ...]:
    """Declare the calls; their indices never change."""
    header = Bytes(MAX_EVIDENCE)
    return (
        Call(
            JOIN,
            "join",
            (Field("recent_block", BLOCK_NUMBER, "BlockNumber"), Field("nonce", U64, "u64")),
            partial(join, config.rules),
            lambda _recent_block, _nonce: 100 * MICROSECOND,
            "Wait to join the ring of producers, with work over a recent block.",
            admit=partial(admit_join, config),
        ),
        Call(
            LEAVE,
            "leave",
            (),
            leave,
            lambda: 50 * MICROSECOND,
            "Leave the ring with the next epoch. Keep your node running until others have taken over your vote.",
        ),
        Call(
            REPORT_EQUIVOCATION,
            "report_equivocation",
            (Field("first", header, "Vec<u8>"), Field("second", header, "Vec<u8>")),
            partial(report_equivocation, config.rules),
            lambda first, second: 350 * MICROSECOND + (len(first) + len(second)) * _EVIDENCE_WEIGHT,
            "Show two sealed headers of one slot; their author is barred. Unsigned, one a block, put in by authors.",
            DispatchClass.MANDATORY,
        ),
    )
