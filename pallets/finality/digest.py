"""What a header says of the ring and the voters, so that headers suffice to follow who they are.

A checkpoint, and every other block that changes a set, has a Consensus item of the engine rrbn: `Changes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pallets.finality.storage import VOTER_SET, VOTER_SET_ID, VOTER_SETS, VoterSet
from pallets.finality.voters import current_voters
from pallets.producers.claim import RING_ENGINE
from pallets.producers.config import MAX_RING
from pallets.producers.storage import APPLICANT, MEMBERS, RING, Applicant
from runtime.header import DigestItem, DigestKind
from runtime.interface.context import Context
from runtime.interface.state import StateReader
from runtime.overlay import Overlay
from runtime.primitives import AccountId, Hash, blake2b_256
from runtime.scale import ACCOUNT_ID, H256, U64, Codec, Field, Struct, Vec

_ACCOUNTS = Vec(ACCOUNT_ID, 2 * MAX_RING)


@dataclass(frozen=True, slots=True)
class Changes:
    """How ring, voters and next voters differ from those of the parent, and the digest of what they are now.

    Who comes into the ring brings the rank by which it is sorted; all others ascend.
    """

    ring_left: tuple[AccountId, ...]
    ring_came: tuple[Applicant, ...]
    voters_left: tuple[AccountId, ...]
    voters_came: tuple[AccountId, ...]
    following_left: tuple[AccountId, ...]
    following_came: tuple[AccountId, ...]
    since: int
    sets: Hash


CHANGES: Codec[Changes] = Struct(
    Changes,
    (
        Field("ring_left", _ACCOUNTS, "Vec<AccountId>"),
        Field("ring_came", Vec(APPLICANT, MAX_RING), "Vec<Applicant>"),
        Field("voters_left", _ACCOUNTS, "Vec<AccountId>"),
        Field("voters_came", _ACCOUNTS, "Vec<AccountId>"),
        Field("following_left", _ACCOUNTS, "Vec<AccountId>"),
        Field("following_came", _ACCOUNTS, "Vec<AccountId>"),
        Field("since", U64, "u64"),
        Field("sets", H256, "Hash"),
    ),
    path=("mfchain_finality", "Changes"),
)


class _Before:
    """The state before a block, in which the block is being executed."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay

    def get(self, key: bytes) -> bytes | None:
        return self._overlay.base_value(key)


def sets_digest(ring: Sequence[AccountId], voters: VoterSet) -> Hash:
    """Return the digest of a ring and a voter set."""
    return blake2b_256(RING.codec.encode(tuple(ring)) + VOTER_SET.encode(voters))


def changes_item(context: Context, *, is_checkpoint: bool) -> DigestItem | None:
    """Return the digest item of a block that has come to its end; None if it needs none."""
    state = context.state
    ring_before, voters_before = _sets(_Before(state))
    ring, voters = RING.get(state), current_voters(state)
    if not is_checkpoint and (ring, voters) == (ring_before, voters_before):
        return None
    came = []
    for account in _new(ring, ring_before):
        member = MEMBERS.find(state, account)
        assert member is not None, "who is in the ring is a member"
        came.append(Applicant(account, member.rank))
    changes = Changes(
        ring_left=_new(ring_before, ring),
        ring_came=tuple(came),
        voters_left=_new(voters_before.voters, voters.voters),
        voters_came=_new(voters.voters, voters_before.voters),
        following_left=_new(voters_before.following, voters.following),
        following_came=_new(voters.following, voters_before.following),
        since=voters.since,
        sets=sets_digest(ring, voters),
    )
    return DigestItem(DigestKind.CONSENSUS, RING_ENGINE, CHANGES.encode(changes))


def _sets(state: "_Before | StateReader") -> tuple[tuple[AccountId, ...], VoterSet]:
    def value(key: bytes) -> bytes:
        data = state.get(key)
        assert data is not None, "a chain with a ring has these from its first block on"
        return data

    current = VOTER_SET_ID.codec.decode(value(VOTER_SET_ID.key))
    return RING.codec.decode(value(RING.key)), VOTER_SET.decode(value(VOTER_SETS.key(current)))


def _new(accounts: Sequence[AccountId], others: Sequence[AccountId]) -> tuple[AccountId, ...]:
    known = set(others)
    return tuple(sorted(account for account in accounts if account not in known))
