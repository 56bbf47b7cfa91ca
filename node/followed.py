"""A chain of a ring followed by its headers alone: who may make blocks, who votes, and what votes have made final.

Up to a block that is trusted, its hash commits to everything. Behind it each header must be sealed by whoever had the
turn, and say itself how ring and voters change. That alone would let one author name voters of its own, so a set of
voters behind it is believed for one of two reasons only:

- the voters before have handed over to it: then a checkpoint since the beginning of the handover is final, for which
  both sets have voted, and the votes can be shown (`FollowedChain.handover`);
- it is the same set: who leaks behind the trusted block is not let go of by headers. They do not show who has voted
  without making blocks, and whoever makes a chain of its own seems to be the only one present on it. What goes on from
  there has to be executed (`LeakUnseen`).

How can it be attacked? By who had two thirds of the votes at the trusted block: therefore that must not be older than
half the leak, before whose end nobody ceases to be a voter who was present then.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from node.ring import check_seal, check_turn, read_claim, slot_at
from node.spec_types import ChainSpec
from pallets.finality.digest import CHANGES, Changes, sets_digest
from pallets.finality.storage import VoterSet
from pallets.finality.voters import agree
from pallets.finality.votes import Checkpoint, CheckpointId, Vote, is_signed
from pallets.producers.authors import check_open, check_work
from pallets.producers.claim import RING_ENGINE, Claim
from pallets.producers.turns import check_later, epoch_of
from runtime.header import DigestKind, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.primitives import AccountId, BlockRef, Hash, Slot
from runtime.scale import ScaleError
from runtime.work import RANK_LENGTH

_CHECKPOINTS_KEPT: Final = 4_096
_SEEN_MORE: Final = 64
"""Accounts that vote no more, beyond as many as do, of whom it is still known when they were seen."""


class LeakUnseen(Exception):
    """A header lets go of voters who seem to have been away for long enough; headers cannot show that they were."""


class BadVotes(ValueError):
    """Votes that nobody has given, or that do not show what they should."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Block `by` has new voters: a checkpoint of epoch `since` or later was final by then."""

    since: int
    by: BlockRef


@dataclass(frozen=True, slots=True)
class _Voted:
    """A checkpoint, and who may vote for it."""

    checkpoint: Checkpoint
    voters: VoterSet


class FollowedChain:
    """The end of a chain of headers, and what has to be known of the headers before."""

    def __init__(self, spec: ChainSpec, genesis: Header, trusted: BlockRef) -> None:
        """Begin with block 0, whose ring and voters the specification names, and which can be the trusted one."""
        self._rules = spec.rules
        self._trusted = trusted
        self.genesis = genesis.hash()
        self.head = BlockRef(genesis.number, self.genesis)
        self.slot = slot_at(spec.genesis_time, spec.slot_duration)
        self.ring = spec.ring
        self.voters = VoterSet(tuple(sorted(spec.ring)))
        self.trusted_slot: Slot | None = None if trusted.number else self.slot
        """That of the trusted block, once it is among the headers."""
        self.handover: Handover | None = None
        """What has yet to be shown of the last header; no other is taken before."""
        self._ranks = {account: place.to_bytes(RANK_LENGTH, "big") for place, account in enumerate(spec.ring)}
        self._count = 0
        self._seen = dict.fromkeys(spec.ring, 0)
        self._checkpoints: OrderedDict[Hash, _Voted] = OrderedDict()

    def copy(self) -> "FollowedChain":
        """Return another one that goes its own way from here."""
        other = FollowedChain.__new__(FollowedChain)
        other.__dict__.update(self.__dict__)
        other._ranks, other._seen = dict(self._ranks), dict(self._seen)
        other._checkpoints = self._checkpoints.copy()
        return other

    @property
    def epoch(self) -> int:
        """Return the epoch of the last header."""
        return epoch_of(self.slot, self._rules.epoch_slots)

    @property
    def is_trusted(self) -> bool:
        """Tell whether the trusted block is among the headers."""
        return self.head.number >= self._trusted.number

    def voters_of(self, target: CheckpointId) -> VoterSet | None:
        """Return who may vote for a checkpoint, None if it is not one of the last ones here."""
        found = self._checkpoints.get(target.hash)
        return found.voters if found is not None and found.checkpoint.epoch == target.epoch else None

    def checkpoint_since(self, epoch: int) -> Checkpoint | None:
        """Return the first checkpoint of an epoch or a later one."""
        return next((one.checkpoint for one in self._checkpoints.values() if one.checkpoint.epoch >= epoch), None)

    def follow(self, header: Header, *, is_checked: bool = False) -> None:
        """Go on with the next header; `is_checked`: its seal, and why its voters are believed, was looked at before.

        Raises:
            InvalidBlock: it breaks a rule, or is not the trusted block.
            LeakUnseen: it cannot be told by headers whether it does; nothing has changed.
        """
        assert self.handover is None, "a handover has to be shown first"
        ref = self._check_place(header)
        trusted = self._trusted
        is_proven = header.number <= trusted.number
        claim = read_claim(header) if is_checked or is_proven else self._check_author(header)
        check_later(claim.slot, Slot(self.slot))
        epoch = epoch_of(claim.slot, self._rules.epoch_slots)
        is_checkpoint = epoch > self.epoch
        changes = _changes(header)
        if changes is None and is_checkpoint:
            raise InvalidBlock(BlockFault.BAD_DIGEST, "a checkpoint says what its ring and voters are")
        ring, voters, ranks = self.ring, self.voters, self._ranks
        if changes is not None:
            self._check_coming(changes, is_checkpoint=is_checkpoint)
            ring, voters, ranks = self._changed(changes)
            if not ring or _digest(ring, voters) != changes.sets:
                raise InvalidBlock(BlockFault.BAD_DIGEST, "ring and voters are not what the header says")
        since = None
        if not is_proven and voters != self.voters:
            since = self._judge(voters, epoch, is_checkpoint=is_checkpoint, is_checked=is_checked)
        self._count += is_checkpoint
        if changes is not None:
            self._begin_to_count(changes)
        self._note_presence(claim.author)
        self.ring, self.voters, self._ranks = ring, voters, ranks
        self.head, self.slot = ref, claim.slot
        if ref == trusted:
            self.trusted_slot = claim.slot
        if since is not None and not is_checked:
            self.handover = Handover(since, ref)
        if is_checkpoint:
            self._note_checkpoint(ref)

    def _check_place(self, header: Header) -> BlockRef:
        """Check that a header follows the last one, and is not in the place of the trusted block; return its name."""
        ref, trusted = BlockRef(header.number, header.hash()), self._trusted
        if header.parent_hash != self.head.hash:
            raise InvalidBlock(BlockFault.WRONG_PARENT, "the header names another parent")
        if ref.number != self.head.number + 1:
            raise InvalidBlock(BlockFault.WRONG_NUMBER, f"block {ref.number} follows block {self.head.number}")
        if ref.number == trusted.number and ref != trusted:
            raise InvalidBlock(BlockFault.NOT_TRUSTED, f"block {ref.number} is not the trusted one")
        if any(item.kind is DigestKind.OTHER for item in header.digest):
            raise InvalidBlock(BlockFault.BAD_DIGEST, "no block but the first has an item of the kind Other")
        return ref

    def _begin_to_count(self, changes: Changes) -> None:
        """Begin to count the absence of those who come to vote."""
        came = (*changes.voters_came, *changes.following_came)
        known = {*self.voters.members} if came else set()
        self._seen.update((account, self._count) for account in came if account not in known)

    def _note_presence(self, author: AccountId) -> None:
        """Note that a voter has made a block; for one who has lapsed it is too late."""
        seen = self._seen.get(author)
        if seen is not None and self._count - seen < self._rules.lapse_checkpoints:
            self._seen[author] = self._count + 1

    def _note_checkpoint(self, ref: BlockRef) -> None:
        """Keep the last header as a checkpoint, and forget what is of no use any more."""
        voters = self.voters
        if len(self._seen) > 2 * (len(voters.voters) + len(voters.following)) + _SEEN_MORE:
            members = {*voters.members}
            self._seen = {account: count for account, count in self._seen.items() if account in members}
        self._checkpoints[ref.hash] = _Voted(Checkpoint(self.epoch, ref.number, ref.hash), voters)
        if len(self._checkpoints) > _CHECKPOINTS_KEPT:
            self._checkpoints.popitem(last=False)

    def _check_author(self, header: Header) -> Claim:
        """Check seal, slot and turn, as far as headers tell: not, whether who works for an open slot is barred."""
        claim = check_seal(header, self.genesis)
        if claim.nonce is None:
            check_turn(claim, self.ring, Slot(self.slot))
            return claim
        check_open(claim, len(self.ring), Slot(self.slot))
        check_work(claim, header.parent_hash, self.genesis, self._rules)
        return claim

    def _check_coming(self, changes: Changes, *, is_checkpoint: bool) -> None:
        """Refuse more new members than may join at once: below the trusted block it is all that bounds a ring."""
        known = {*self.voters.members} if changes.ring_came else set()
        count = sum(applicant.account not in known for applicant in changes.ring_came)
        if count > (self._rules.max_joins(len(self.ring)) if is_checkpoint else 0):
            raise InvalidBlock(BlockFault.BAD_DIGEST, f"{count} new members are more than may join at once")

    def _changed(self, changes: Changes) -> tuple[tuple[AccountId, ...], VoterSet, dict[AccountId, bytes]]:
        """Return ring, voters and ranks after the changes that a header names."""
        ranks = self._ranks | {applicant.account: applicant.rank for applicant in changes.ring_came}
        members = {*self.ring, *(applicant.account for applicant in changes.ring_came)} - {*changes.ring_left}
        ring = tuple(account for _, account in sorted((ranks[account], account) for account in members))
        voters = VoterSet(
            _updated(self.voters.voters, changes.voters_left, changes.voters_came),
            _updated(self.voters.following, changes.following_left, changes.following_came),
            changes.since,
        )
        return ring, voters, {account: ranks[account] for account in ring}

    def _judge(self, after: VoterSet, epoch: int, *, is_checkpoint: bool, is_checked: bool) -> int | None:
        """Tell whether another set of voters may follow; the epoch since which it was handed over, if it was.

        Raises:
            InvalidBlock: it may not.
            LeakUnseen: it may, if those have leaked who seem to.
        """
        leaked: set[AccountId] = set()
        if is_checkpoint:
            limit = self._count + 1 - self._rules.leak_checkpoints
            leaked = {account for account in self.voters.members if self._seen.get(account, 0) <= limit}
        try:
            return _handed_over(self.voters, after, epoch, set(), is_checkpoint=is_checkpoint)
        except InvalidBlock:
            since = _handed_over(self.voters, after, epoch, leaked, is_checkpoint=is_checkpoint)
            if is_checked:
                return since
        raise LeakUnseen(f"block {self.head.number + 1} lets go of voters who seem to have been away for long enough")

    # Votes.

    def show(self, votes: Iterable[Vote]) -> None:
        """Show that the handover that is waited for has taken place; raises BadVotes."""
        handover = self.handover
        assert handover is not None, "a handover is waited for"
        final = self.final_by(votes)
        if final is None or not (
            final.epoch >= handover.since
            and final.number < handover.by.number
            and {*self.voters.voters} <= {*self._checkpoints[final.hash].voters.following}
        ):
            raise BadVotes(f"the votes do not show that the voters of block {handover.by.number} were handed over to")
        self.handover = None

    def final_by(self, votes: Iterable[Vote]) -> Checkpoint | None:
        """Return the latest checkpoint that votes make final; None if they do not.

        Raises:
            BadVotes: a signature is wrong.
        """
        ballots: dict[CheckpointId, dict[CheckpointId, dict[AccountId, Vote]]] = {}
        for vote in votes:
            ballots.setdefault(vote.target, {}).setdefault(vote.source, {})[vote.voter] = vote
        for target in sorted(ballots, key=lambda one: one.epoch, reverse=True):
            for source in ballots[target]:
                final = self._checkpoints.get(source.hash)
                if final is None or final.checkpoint.epoch != source.epoch or source.epoch != target.epoch - 1:
                    continue
                link = ballots[target][source]
                is_final = self._is_justified(target, link) and any(
                    self._is_justified(source, ballot) for ballot in ballots.get(source, {}).values()
                )
                if is_final:
                    return final.checkpoint
        return None

    def _is_justified(self, target: CheckpointId, ballot: dict[AccountId, Vote]) -> bool:
        """Tell whether votes with one source are enough for a checkpoint; signatures are looked at only then."""
        found = self._checkpoints.get(target.hash)
        if found is None or found.checkpoint.epoch != target.epoch:
            return False
        bits = bytearray((len(found.voters.members) + 7) // 8)
        given = []
        for place, account in enumerate(found.voters.members):
            vote = ballot.get(account)
            if vote is not None:
                bits[place // 8] |= 1 << place % 8
                given.append(vote)
        if not agree(found.voters, bytes(bits)):
            return False
        if not all(is_signed(vote, self.genesis) for vote in given):
            raise BadVotes(f"a vote for the checkpoint of epoch {target.epoch} is not signed by its voter")
        return True


class Ballots:
    """Of the votes that a peer gives, those that may show something about a chain: each once, the rest is dropped."""

    def __init__(self, chain: FollowedChain) -> None:
        """Take the chain; it stays as it is meanwhile."""
        self._chain = chain
        self._members: dict[CheckpointId, frozenset[AccountId]] = {}
        self._kept: dict[CheckpointId, dict[tuple[CheckpointId, AccountId], Vote]] = {}

    def add(self, votes: Iterable[Vote]) -> None:
        """Keep what is of use.

        Raises:
            BadVotes: a checkpoint has more votes than any honest chain holds, which is one of each voter.
        """
        for vote in votes:
            target = vote.target
            members = self._members.get(target)
            if members is None:
                voters = self._chain.voters_of(target)
                if voters is None:
                    continue
                members = self._members[target] = frozenset(voters.members)
            if vote.voter not in members:
                continue
            kept = self._kept.setdefault(target, {})
            kept[vote.source, vote.voter] = vote
            if len(kept) > 2 * len(members):
                raise BadVotes(f"the checkpoint of epoch {target.epoch} has more votes than voters")

    def votes(self) -> list[Vote]:
        """Return the votes that are kept."""
        return [vote for kept in self._kept.values() for vote in kept.values()]


def _changes(header: Header) -> Changes | None:
    """Read how a header says that ring and voters change; raises InvalidBlock."""
    items = [item for item in header.digest if item.kind is DigestKind.CONSENSUS]
    if not items:
        return None
    if len(items) > 1 or items[0].engine != RING_ENGINE:
        raise InvalidBlock(BlockFault.BAD_DIGEST, "there is one consensus item, of the engine rrbn")
    try:
        return CHANGES.decode(items[0].payload)
    except ScaleError as error:
        raise InvalidBlock(BlockFault.BAD_DIGEST, f"the changes of ring and voters: {error}") from None


def _handed_over(
    before: VoterSet, after: VoterSet, epoch: int, leaked: set[AccountId], *, is_checkpoint: bool
) -> int | None:
    """Tell whether a set of voters may follow another one; the epoch since which it was handed over, if it was.

    A checkpoint lets go of those who have leaked, then may begin a handover. Where no voter stays, the next set
    takes over without votes.

    Raises:
        InvalidBlock: it may not.
    """
    voters, following, now = set(before.voters), set(before.following), set(after.voters)
    is_idle = not after.following and not after.since
    begins = is_checkpoint and bool(after.following) and after.since == epoch
    if _stays(voters, now, leaked):
        if after.since == before.since and _stays(following, set(after.following), leaked):
            return None
        if following <= leaked and (is_idle or begins):
            return None
    if _stays(following, now, leaked):
        if voters <= leaked and (is_idle or begins):
            return None
        if is_idle:
            return before.since
    if voters <= leaked and following <= leaked and now and is_idle:
        return None
    raise InvalidBlock(BlockFault.BAD_DIGEST, "the voters have not handed over to those whom the header names")


def _stays(before: set[AccountId], after: set[AccountId], leaked: set[AccountId]) -> bool:
    """Tell whether a set is what it was, but for some who have leaked; it must not be empty."""
    return bool(after) and after <= before and before - after <= leaked


def _digest(ring: tuple[AccountId, ...], voters: VoterSet) -> Hash:
    """Return the digest of ring and voters; raises InvalidBlock if they are more than there may be."""
    try:
        return sets_digest(ring, voters)
    except ScaleError as error:
        raise InvalidBlock(BlockFault.BAD_DIGEST, f"ring and voters: {error}") from None


def _updated(
    accounts: tuple[AccountId, ...], left: tuple[AccountId, ...], came: tuple[AccountId, ...]
) -> tuple[AccountId, ...]:
    return tuple(sorted({*accounts, *came} - {*left}))
