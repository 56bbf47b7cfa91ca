"""A chain followed by headers: what the state says of ring and voters, headers say as well; lies are found out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import pytest

from node.chain_spec import ChainSpec, load_spec
from node.followed import BadVotes, Ballots, FollowedChain, Handover, LeakUnseen
from node.ring import claim_digest, turn_of
from pallets.finality.calls import CAST_VOTES
from pallets.finality.digest import CHANGES, Changes, sets_digest
from pallets.finality.storage import FINALIZED, VoterSet
from pallets.finality.voters import current_voters
from pallets.finality.votes import Vote
from pallets.producers.claim import RING_ENGINE
from pallets.producers.config import MAX_RING
from pallets.producers.storage import RING, Applicant
from runtime.extrinsic import Extrinsic
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.interface.errors import InvalidBlock, InvalidTransaction
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, BlockRef, Hash, Slot
from runtime.work import RANK_LENGTH
from tests.support.ring_chain import BY_ACCOUNT, DURATION
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import QUICK, VotingChain, accounts


def spec_of(chain: VotingChain) -> ChainSpec:
    return replace(
        load_spec("local"),
        genesis_time=0,
        slot_duration=DURATION,
        ring=accounts(*chain.members),
        rules=chain.rules,
    )


def genesis_of(chain: VotingChain) -> Header:
    """A header that is only asked for its hash and number."""
    header = Header(ZERO_HASH, chain.blocks[0].header.number, ZERO_HASH, ZERO_HASH)
    object.__setattr__(header, "_hash", chain.genesis)
    object.__setattr__(header, "number", 0)
    return header


def followed(chain: VotingChain, trusted: BlockRef | None = None) -> FollowedChain:
    """A follower that trusts a block, or block 0."""
    return FollowedChain(spec_of(chain), genesis_of(chain), trusted or BlockRef(BlockNumber(0), chain.genesis))


def votes_in(chain: VotingChain, blocks: Iterable[Block]) -> list[Vote]:
    found: list[Vote] = []
    for block in blocks:
        for raw in block.extrinsics:
            extrinsic = Extrinsic.decode(raw)
            if extrinsic.signature is None and extrinsic.call[:2] == bytes((6, CAST_VOTES)):
                (votes,) = chain.runtime.prepare(raw).call.arguments
                assert isinstance(votes, tuple)
                found += votes
    return found


def follow_all(chain: VotingChain, follower: FollowedChain) -> list[Handover]:
    """Follow a chain as a node would that sees its votes, and knows who has leaked; what had to be shown."""
    shown = []
    for at, block in enumerate(chain.blocks):
        try:
            follower.follow(block.header)
        except LeakUnseen:
            follower.follow(block.header, is_checked=True)
        if follower.handover is not None:
            shown.append(follower.handover)
            follower.show(votes_in(chain, chain.blocks[: at + 1]))
    return shown


def same(chain: VotingChain, follower: FollowedChain) -> None:
    assert follower.ring == RING.get(chain.state)
    assert follower.voters == current_voters(chain.state)
    assert follower.head == chain.head
    assert follower.slot == chain.slot


def refusal(follower: FollowedChain, header: Header) -> str:
    with pytest.raises(InvalidBlock) as caught:
        follower.follow(header)
    return str(caught.value)


@pytest.mark.full
def test_headers_say_what_the_state_says() -> None:
    chain = VotingChain()
    chain.run_epochs(3)
    chain.step(chain.next_slot(chain.ring), chain.join("Dave"), voters=chain.ring)
    chain.run_epochs(8)
    assert chain.voters[0] == ["Alice", "Bob", "Charlie", "Dave"]
    chain.step(chain.next_slot(chain.ring), chain.leave("Bob"), voters=chain.ring)
    chain.run_epochs(8, voters=["Alice", "Bob", "Charlie", "Dave"])
    assert "Bob" not in chain.voters[0]
    follower = followed(chain)
    shown = follow_all(chain, follower)
    assert len(shown) == 2
    same(chain, follower)
    final = follower.final_by(votes_in(chain, chain.blocks))
    assert final == FINALIZED.find(chain.state)
    # Shown only once: what was checked is followed without.
    again = followed(chain)
    for block in chain.blocks:
        again.follow(block.header, is_checked=True)
    same(chain, again)


@pytest.mark.full
def test_voters_who_are_gone_leak() -> None:
    chain = VotingChain(members=("Alice", "Bob", "Charlie", "Dave"))
    chain.run_epochs(2)
    chain.run_epochs(14, names=["Alice", "Bob"])
    assert chain.voters[0] == ["Alice", "Bob"]
    follower = followed(chain)
    follow_all(chain, follower)
    same(chain, follower)


def test_headers_do_not_show_who_has_leaked_behind_the_trusted_block() -> None:
    """Dave votes and makes no blocks: by the headers alone he is as good as gone."""
    members = ("Alice", "Bob", "Charlie", "Dave")
    chain = VotingChain(members=members)
    chain.run_epochs(QUICK.leak_checkpoints + 1, names=members[:3], voters=members)
    assert chain.voters[0] == list(members)
    follower = followed(chain, chain.head)
    follow_all(chain, follower)
    slot = (follower.epoch + 1) * chain.rules.epoch_slots
    before = follower.head, follower.slot, follower.voters
    with pytest.raises(LeakUnseen) as caught:
        follower.follow(with_voters(chain, VoterSet(tuple(sorted(accounts(*members[:3])))), slot))
    number = chain.head.number + 1
    assert str(caught.value) == f"block {number} lets go of voters who seem to have been away for long enough"
    assert (follower.head, follower.slot, follower.voters) == before
    # Of one who makes blocks they do not even say so.
    fewer = with_voters(chain, VoterSet(tuple(sorted(accounts(*members[:2])))), slot)
    assert refusal(follower, fewer).startswith("BadDigest: the voters have not handed over")
    # Up to the trusted block they need not show anything.
    chain.run_epochs(QUICK.leak_checkpoints + 1, names=members[:3])
    assert chain.voters[0] == list(members[:3])
    follow_all(chain, later := followed(chain, chain.head))
    same(chain, later)


def test_open_slots() -> None:
    chain = VotingChain()
    chain.run_epochs(2)
    slot = chain.slot + 3 * 3 + 11
    chain.step(slot, author="Eve", nonce=chain.open_nonce("Eve", slot))
    chain.run_epochs(3, names=["Eve", "Alice"])
    follower = followed(chain)
    follow_all(chain, follower)
    same(chain, follower)
    header = chain.blocks[-1].header
    early = chain.slot + 2
    item = replace(header.digest[0], payload=early.to_bytes(8, "little"))
    work = DigestItem(DigestKind.PRE_RUNTIME, b"work", bytes(8))
    claim = replace(header, parent_hash=header.hash(), number=header.number + 1, digest=(item, header.digest[1], work))
    sealed = chain.sealed(Block(claim, ()), BY_ACCOUNT[header.digest[1].payload]).header
    assert refusal(follower, sealed).startswith(f"WrongSlot: slot {early} is not open, slot ")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(4))
def test_any_history(seed: int) -> None:
    chain, rng = VotingChain(members=("Alice", "Bob", "Charlie")), Random(seed)  # noqa: S311 - the same each time
    chain.run_epochs(1)
    for _ in range(6):
        present = [name for name in chain.ring if rng.random() < 0.8] or chain.ring[:1]
        calls = []
        if rng.random() < 0.4:
            name = rng.choice(["Dave", "Eve", "Bob"])
            if name not in chain.ring:
                calls.append(chain.join(name))
        elif len(chain.ring) > 2 and rng.random() < 0.3:
            calls.append(chain.leave(rng.choice(chain.ring)))
        try:
            chain.step(chain.next_slot(present), *calls, voters=present)
        except InvalidTransaction:  # a join that comes too early, or twice
            chain.step(chain.next_slot(present), voters=present)
        chain.run_epochs(rng.randrange(1, 3), names=present, voters=[*PAIRS] if rng.random() < 0.5 else present)
    follower = followed(chain)
    follow_all(chain, follower)
    same(chain, follower)


def with_voters(chain: VotingChain, voters: VoterSet, slot: int = 0) -> Header:
    """A header on the head, by whoever has the turn, that names these voters."""
    header = chain.blocks[-1].header
    ring = RING.get(chain.state)
    before = current_voters(chain.state)
    changes = Changes(
        ring_left=(),
        ring_came=(),
        voters_left=tuple(sorted(set(before.voters) - set(voters.voters))),
        voters_came=tuple(sorted(set(voters.voters) - set(before.voters))),
        following_left=tuple(sorted(set(before.following) - set(voters.following))),
        following_came=tuple(sorted(set(voters.following) - set(before.following))),
        since=voters.since,
        sets=sets_digest(ring, voters),
    )
    slot = Slot(slot or chain.slot + 1)
    author = BY_ACCOUNT[turn_of(ring, slot)]
    item = DigestItem(DigestKind.CONSENSUS, RING_ENGINE, CHANGES.encode(changes))
    made = Header(
        header.hash(),
        BlockNumber(header.number + 1),
        ZERO_HASH,
        ZERO_HASH,
        (*claim_digest(slot, author.public), item),
    )
    return chain.sealed(Block(made, ()), author).header


def test_an_author_cannot_name_voters_of_its_own() -> None:
    chain = VotingChain()
    chain.run_epochs(4)
    follower = followed(chain)
    follow_all(chain, follower)
    own = with_voters(chain, VoterSet(accounts("Eve")))
    said = "BadDigest: the voters have not handed over to those whom the header names"
    assert refusal(follower, own) == said
    fewer = with_voters(chain, VoterSet(tuple(sorted(accounts("Alice")))))
    assert refusal(follower, fewer) == said


def handing_over() -> tuple[VotingChain, FollowedChain]:
    """Return a chain on which Dave is to be a voter, but the others do not vote for that; and its follower."""
    chain = VotingChain()
    chain.run_epochs(3)
    chain.step(chain.next_slot(chain.ring), chain.join("Dave"), voters=chain.ring)
    while not chain.voters[1]:
        chain.run_epochs(1, voters=[])
    follower = followed(chain)
    follow_all(chain, follower)
    return chain, follower


def test_a_handover_has_to_be_shown() -> None:
    chain, follower = handing_over()
    sets = current_voters(chain.state)
    follower.follow(with_voters(chain, VoterSet(sets.following)))
    handover = follower.handover
    assert handover is not None
    assert handover.since == sets.since
    by = handover.by.number
    said = f"the votes do not show that the voters of block {by} were handed over to"
    with pytest.raises(BadVotes, match=said):
        follower.show([])
    with pytest.raises(BadVotes, match=said):
        follower.show(votes_in(chain, chain.blocks))
    assert follower.handover is not None


def test_nobody_names_the_next_voters_out_of_turn() -> None:
    """Votes of the past say nothing of a handover that begins later, whatever its header says."""
    chain = VotingChain()
    chain.run_epochs(5)
    follower = followed(chain)
    follow_all(chain, follower)
    final = follower.final_by(votes_in(chain, chain.blocks))
    assert final is not None
    said = "BadDigest: the voters have not handed over to those whom the header names"
    before = current_voters(chain.state)
    for since in (0, final.epoch, follower.epoch):
        assert refusal(follower.copy(), with_voters(chain, VoterSet(before.voters, accounts("Eve"), since))) == said
    assert refusal(follower.copy(), with_voters(chain, replace(before, since=1))) == said
    slot = (follower.epoch + 1) * chain.rules.epoch_slots
    for since in (0, final.epoch, follower.epoch, follower.epoch + 2):
        named = VoterSet(before.voters, accounts("Eve"), since)
        assert refusal(follower.copy(), with_voters(chain, named, slot)) == said
    # It may begin at a checkpoint; then the votes of the past do not show it.
    follower.follow(with_voters(chain, VoterSet(before.voters, accounts("Eve"), follower.epoch + 1), slot))
    assert follower.voters.following == accounts("Eve")


def test_a_handover_that_is_under_way_does_not_change() -> None:
    chain, follower = handing_over()
    sets = current_voters(chain.state)
    said = "BadDigest: the voters have not handed over to those whom the header names"
    slot = (follower.epoch + 1) * chain.rules.epoch_slots
    for other in (
        replace(sets, since=0),
        replace(sets, following=accounts("Eve")),
        replace(sets, following=accounts("Dave")),
        replace(sets, following=accounts("Eve"), since=follower.epoch + 1),
        VoterSet(sets.voters),
        VoterSet(sets.following, accounts("Eve"), follower.epoch + 1),
    ):
        assert refusal(follower.copy(), with_voters(chain, other)) == said
        assert refusal(follower.copy(), with_voters(chain, other, slot)) == said


def changed(chain: VotingChain, follower: FollowedChain, **fields: object) -> Header:
    """An unsealed header of a checkpoint, for below a trusted block, with these changes."""
    nothing = Changes((), (), (), (), (), (), 0, Hash(ZERO_HASH))
    changes = replace(nothing, **fields)  # type: ignore[arg-type]
    slot = Slot((follower.epoch + 1) * chain.rules.epoch_slots)
    items = (
        *claim_digest(slot, accounts("Eve")[0]),
        DigestItem(DigestKind.CONSENSUS, RING_ENGINE, CHANGES.encode(changes)),
        DigestItem(DigestKind.SEAL, RING_ENGINE, bytes(64)),
    )
    return Header(follower.head.hash, BlockNumber(follower.head.number + 1), ZERO_HASH, ZERO_HASH, items)


def test_who_votes_no_more_is_forgotten() -> None:
    """Below the trusted block anybody may be named, and be the author."""
    chain = VotingChain()
    chain.run_epochs(1)
    follower = followed(chain, BlockRef(BlockNumber(1_000), ZERO_HASH))
    for account in many(200):
        named, left = VoterSet(follower.voters.voters, (account,), 1), follower.voters.following
        header = changed(
            chain,
            follower,
            following_came=(account,),
            following_left=left,
            since=1,
            sets=sets_digest(follower.ring, named),
        )
        author = replace(header.digest[1], payload=AccountId(bytes(reversed(account))))
        follower.follow(replace(header, digest=(header.digest[0], author, *header.digest[2:])))
    assert len(follower._seen) < 100
    assert {*follower.voters.members} <= follower._seen.keys()


@pytest.mark.full
def test_nobody_leaks_for_what_it_missed_before_it_was_to_vote() -> None:
    chain = VotingChain(rules=replace(QUICK, missed_turns=99))
    three = ("Alice", "Bob", "Charlie")
    chain.run_epochs(1)
    chain.step(chain.next_slot(chain.ring), chain.join("Eve"), voters=three)
    chain.run_epochs(QUICK.leak_checkpoints + 1, names=three)
    while "Eve" not in chain.voters[0]:
        chain.run_epochs(1)
    follower = followed(chain)
    follow_all(chain, follower)
    same(chain, follower)
    slot = (follower.epoch + 1) * chain.rules.epoch_slots
    said = "BadDigest: the voters have not handed over to those whom the header names"
    assert refusal(follower.copy(), with_voters(chain, VoterSet(tuple(sorted(accounts(*three)))), slot)) == said
    chain.run_epochs(QUICK.leak_checkpoints + 1, names=("Alice", "Bob"))
    assert chain.voters[0] == ["Alice", "Bob"]
    again = followed(chain)
    follow_all(chain, again)
    same(chain, again)


def many(count: int) -> tuple[AccountId, ...]:
    return tuple(AccountId(number.to_bytes(32, "big")) for number in range(count))


def test_sets_that_are_too_large_break_a_rule() -> None:
    chain = VotingChain()
    chain.run_epochs(1)
    follower = followed(chain, BlockRef(BlockNumber(1_000), ZERO_HASH))
    follower.voters = replace(follower.voters, following=many(2 * MAX_RING))
    header = changed(chain, follower, following_came=accounts("Eve"))
    assert refusal(follower, header).startswith("BadDigest: ring and voters: ")


def test_a_ring_grows_no_faster_than_members_join() -> None:
    chain = VotingChain()
    chain.run_epochs(1)
    follower = followed(chain, BlockRef(BlockNumber(1_000), ZERO_HASH))
    came = tuple(Applicant(account, bytes(RANK_LENGTH)) for account in many(2))
    header = changed(chain, follower, ring_came=came)
    assert refusal(follower, header) == "BadDigest: 2 new members are more than may join at once"


def test_headers_carry_nothing_but_what_they_need() -> None:
    chain = VotingChain()
    chain.run_epochs(1)
    follower = followed(chain, BlockRef(BlockNumber(1_000), ZERO_HASH))
    header = changed(chain, follower)
    fat = replace(header, digest=(DigestItem(DigestKind.OTHER, b"", bytes(65_536)), *header.digest))
    assert refusal(follower, fat) == "BadDigest: no block but the first has an item of the kind Other"


def test_a_header_without_changes_does_not_look_at_the_ring() -> None:
    """Else each of many headers would cost as much as there are members, or their square."""

    class Unseen(tuple[AccountId, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[AccountId]:
            raise AssertionError("the ring was gone through")

        def __contains__(self, _account: object) -> bool:
            raise AssertionError("the ring was searched")

    chain = VotingChain()
    chain.run_epochs(1)
    follower = followed(chain)
    follower.follow(chain.blocks[0].header)
    follower.ring = Unseen(follower.ring)
    follower.follow(chain.blocks[1].header)


def test_ballots_keep_only_votes_that_are_of_use() -> None:
    chain = VotingChain()
    chain.run_epochs(5)
    follower = followed(chain)
    follow_all(chain, follower)
    votes = votes_in(chain, chain.blocks)
    ballots = Ballots(follower)
    ballots.add(votes)
    assert sorted(ballots.votes(), key=lambda vote: vote.order) == sorted(set(votes), key=lambda vote: vote.order)
    kept = len(ballots.votes())
    ballots.add(votes)
    ballots.add([replace(votes[0], voter=accounts("Eve")[0])])
    ballots.add([replace(votes[0], target=replace(votes[0].target, hash=Hash(ZERO_HASH)))])
    ballots.add([replace(votes[0], target=replace(votes[0].target, epoch=99))])
    assert len(ballots.votes()) == kept
    others = [replace(votes[0], source=replace(votes[0].source, epoch=1_000 + number)) for number in range(6)]
    with pytest.raises(BadVotes, match=r"^the checkpoint of epoch \d+ has more votes than voters$"):
        ballots.add(others)


def test_votes_are_signed_and_enough() -> None:
    chain = VotingChain(members=("Alice", "Bob", "Charlie", "Dave"))
    chain.run_epochs(5)
    follower = followed(chain)
    follow_all(chain, follower)
    votes = votes_in(chain, chain.blocks)
    final = follower.final_by(votes)
    assert final is not None
    without = [vote for vote in votes if vote.voter in accounts("Alice", "Bob", "Charlie")]
    assert follower.final_by(without) == final
    assert follower.final_by([vote for vote in votes if vote.voter in accounts("Alice", "Bob")]) is None
    assert follower.final_by([]) is None
    forged = [replace(vote, signature=bytes(64)) for vote in votes]
    with pytest.raises(BadVotes, match=r"^a vote for the checkpoint of epoch \d+ is not signed by its voter$"):
        follower.final_by(forged)


def test_what_breaks_a_rule() -> None:
    chain = VotingChain()
    chain.run_epochs(2)
    first, second = chain.blocks[0].header, chain.blocks[1].header
    follower = followed(chain)
    assert refusal(follower, second) == "WrongParent: the header names another parent"
    odd = replace(first, number=7)
    assert refusal(follower, odd) == "WrongNumber: block 7 follows block 0"
    assert refusal(follower, replace(first, state_root=ZERO_HASH)) == "BadSeal: the seal is not the author's signature"
    other = replace(first, digest=first.digest[:-1])
    stranger = chain.sealed(
        Block(replace(other, digest=(other.digest[0], replace(other.digest[1], payload=PAIRS["Eve"].public))), ()),
        PAIRS["Eve"],
    )
    assert refusal(follower, stranger.header).startswith("WrongAuthor: slot ")
    checkpoint = next(
        block for block in chain.blocks if any(i.kind is DigestKind.CONSENSUS for i in block.header.digest)
    )
    for block in chain.blocks[: checkpoint.header.number - 1]:
        follower.follow(block.header)
    header = checkpoint.header
    bare = replace(header, digest=tuple(i for i in header.digest if i.kind is DigestKind.PRE_RUNTIME))
    pair = BY_ACCOUNT[header.digest[1].payload]
    silent = chain.sealed(Block(bare, ()), pair).header
    assert refusal(follower, silent) == "BadDigest: a checkpoint says what its ring and voters are"
    for payload, said in (
        (b"", "BadDigest: the changes of ring and voters: "),
        (
            CHANGES.encode(Changes((), (), (), (), (), (), 0, Hash(ZERO_HASH))),
            "BadDigest: ring and voters are not what",
        ),
    ):
        item = DigestItem(DigestKind.CONSENSUS, RING_ENGINE, payload)
        made = chain.sealed(Block(replace(bare, digest=(*bare.digest, item)), ()), pair).header
        assert refusal(follower, made).startswith(said)
    follower.follow(header)


def test_the_trusted_block_vouches_for_those_before() -> None:
    chain = VotingChain()
    chain.run_epochs(3)
    head = chain.head
    follower = followed(chain, head)
    assert not follower.is_trusted
    # Nobody looks at the seals of what the trusted block commits to.
    for block in chain.blocks:
        follower.follow(block.header)
    assert follower.is_trusted
    same(chain, follower)
    wrong = followed(chain, BlockRef(head.number, ZERO_HASH))
    for block in chain.blocks[:-1]:
        wrong.follow(block.header)
    assert refusal(wrong, chain.blocks[-1].header) == f"NotTrusted: block {head.number} is not the trusted one"


def test_a_copy_goes_its_own_way() -> None:
    chain = VotingChain()
    chain.run_epochs(3)
    follower = followed(chain)
    for block in chain.blocks[:10]:
        follower.follow(block.header)
    copy, before = follower.copy(), follower.head
    for block in chain.blocks[10:]:
        copy.follow(block.header)
    assert follower.head == before
    for block in chain.blocks[10:]:
        follower.follow(block.header)
    same(chain, follower)
