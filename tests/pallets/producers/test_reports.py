"""Reports: two sealed headers of one slot, two votes that contradict each other, and everything that is no offence."""

from dataclasses import replace

import pytest

from node.ring import seal
from pallets.finality.calls import contradiction_call
from pallets.finality.votes import CheckpointId, Vote
from pallets.producers.calls import MAX_EVIDENCE
from pallets.producers.claim import claim_digest
from pallets.producers.membership import is_barred
from pallets.producers.storage import BARRED, QUEUE
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import BlockNumber, Hash, Slot
from runtime.scale import Bytes
from tests.support.events import all_events
from tests.support.ring_chain import BY_ACCOUNT
from tests.support.small_chain import PAIRS, remark
from tests.support.voting_chain import QUICK, VotingChain, bare, signed_vote

THREE = ("Alice", "Bob", "Charlie")
EVE = PAIRS["Eve"].public
CHARLIE = PAIRS["Charlie"].public


@pytest.fixture
def chain() -> VotingChain:
    chain = VotingChain()
    chain.run(12)
    return chain


def report(first: Header | bytes, second: Header | bytes) -> bytes:
    encoded = [header if isinstance(header, bytes) else header.encode() for header in (first, second)]
    return bare(bytes((5, 2)) + b"".join(Bytes(MAX_EVIDENCE).encode(part) for part in encoded))


def twins(chain: VotingChain, slot: int) -> tuple[Header, Header]:
    """Make two sealed blocks of one slot."""
    one = chain.sealed(chain.build_in(slot).block)
    other = chain.sealed(chain.build_in(slot, chain.sign("Dave", remark(b"other"))).block)
    return one.header, other.header


def refusal(chain: VotingChain, raw: bytes) -> str:
    slot = chain.next_slot(chain.ring)
    with pytest.raises(InvalidTransaction) as caught:
        chain.begin_and_end(slot, raw)
    assert caught.value.reason is InvalidReason.BAD_CALL
    return caught.value.text


def test_who_seals_two_blocks_of_a_slot_is_barred(chain: VotingChain) -> None:
    first, second = twins(chain, 14)
    chain.step(13, report(first, second), voters=THREE)
    assert BARRED.get(chain.state, CHARLIE) == 1 + QUICK.bar_epochs
    told = [fields for _, _, name, fields in all_events(chain) if name == "AccountBarred"]
    assert told == [{"account": CHARLIE, "until": 9}]
    chain.run_epochs(1, names=("Alice", "Bob"), voters=THREE)
    assert chain.ring == ["Alice", "Bob"]
    assert chain.voters == (list(THREE), ["Alice", "Bob"]), "it is not wanted any more"
    assert chain.refusal(chain.join("Charlie")).reason is InvalidReason.BARRED
    assert chain.refusal(chain.join("Charlie")).text == "The account has contradicted itself and is barred"


def test_the_bar_ends(chain: VotingChain) -> None:
    chain.step(13, report(*twins(chain, 14)), voters=THREE)
    chain.run_epochs(QUICK.bar_epochs - 1, names=("Alice", "Bob"))
    assert chain.refusal(chain.join("Charlie")).reason is InvalidReason.BARRED
    chain.run_epochs(1)
    assert not BARRED.contains(chain.state, CHARLIE)
    chain.step(chain.next_slot(chain.ring), chain.join("Charlie"))
    chain.run_epochs(1, names=("Alice", "Bob"))
    assert "Charlie" in chain.ring


def test_who_waits_is_barred_too(chain: VotingChain) -> None:
    chain.step(13, chain.join("Eve"))
    pair = BY_ACCOUNT[EVE]
    slot = 99
    blocks = [
        chain.sealed(chain.begin_and_end(slot, *more, author="Eve", nonce=chain.open_nonce("Eve", slot)).block, pair)
        for more in ((), (chain.sign("Dave", remark(b"")),))
    ]
    chain.step(14, report(*(block.header for block in blocks)))
    assert is_barred(chain.state, EVE, 1)
    assert QUEUE.get(chain.state) == ()


NO_OFFENCE = "Producers.report_equivocation failed: NoOffence"


def test_two_headers_that_show_no_offence(chain: VotingChain) -> None:
    first, second = twins(chain, 14)
    later = chain.sealed(chain.build_in(17).block).header
    other_author = chain.sealed(chain.build_in(13).block).header
    broken = replace(second, state_root=Hash(bytes(32)))
    bare_header = replace(second, digest=second.digest[:-1])
    for others in (
        (first, first),
        (first, later),
        (first, other_author),
        (first, broken),
        (first, bare_header),
        (first, b""),
        (first.encode() + b"\0", second),
        (b"\xff" * 200, second),
    ):
        assert refusal(chain, report(*others)) == NO_OFFENCE


def test_a_header_of_another_chain_is_no_offence(chain: VotingChain) -> None:
    other = VotingChain(items=("x",))
    other.run(12)
    assert other.genesis != chain.genesis
    assert refusal(chain, report(*twins(other, 14))) == NO_OFFENCE


def test_evidence_is_bounded(chain: VotingChain) -> None:
    first, second = twins(chain, 14)
    item = DigestItem(DigestKind.OTHER, payload=bytes(MAX_EVIDENCE))
    with pytest.raises(ValueError, match=r"^Bytes has length \d+, at most 16384 is allowed$"):
        report(first, replace(second, digest=(item, *second.digest)))


UNKNOWN = "Producers.report_equivocation failed: UnknownOffender"


def test_nobody_is_barred_twice_nor_who_takes_no_part(chain: VotingChain) -> None:
    chain.step(13, report(*twins(chain, 14)))
    assert refusal(chain, report(*twins(chain, 14))) == UNKNOWN
    headers = [
        seal(Header(parent, BlockNumber(1), parent, parent, claim_digest(Slot(15), EVE)), chain.genesis, PAIRS["Eve"])
        for parent in (chain.genesis, chain.head.hash)
    ]
    assert refusal(chain, report(*headers)) == UNKNOWN


def test_nobody_is_barred_again_for_the_same(chain: VotingChain) -> None:
    evidence = report(*twins(chain, 14))
    chain.step(13, evidence, voters=THREE)
    chain.run_epochs(QUICK.bar_epochs, names=("Alice", "Bob"))
    chain.step(chain.next_slot(chain.ring), chain.join("Charlie"))
    chain.run_epochs(1, names=("Alice", "Bob"))
    assert "Charlie" in chain.ring
    assert refusal(chain, evidence) == "Producers.report_equivocation failed: StaleEvidence"
    chain.step(chain.next_slot(("Alice",)), report(*twins(chain, chain.next_slot(("Charlie",)))))
    assert is_barred(chain.state, CHARLIE, chain.slot // 10), "but for something new"


# Votes


def at(epoch: int, variant: int = 0) -> CheckpointId:
    return CheckpointId(epoch, Hash(bytes([epoch, variant]) * 16))


def two_votes(chain: VotingChain, name: str, first: tuple[int, int], second: tuple[int, int]) -> tuple[Vote, Vote]:
    return (
        signed_vote(name, at(first[0]), at(first[1]), chain.genesis),
        signed_vote(name, at(second[0]), at(second[1], 1), chain.genesis),
    )


@pytest.mark.parametrize(("first", "second"), [((0, 1), (0, 1)), ((0, 3), (1, 2)), ((1, 2), (0, 3))])
def test_a_voter_who_contradicts_itself_is_barred(
    chain: VotingChain, first: tuple[int, int], second: tuple[int, int]
) -> None:
    chain.step(13, bare(contradiction_call(*two_votes(chain, "Charlie", first, second))), voters=THREE)
    assert is_barred(chain.state, CHARLIE, 1)
    chain.run_epochs(1, names=("Alice", "Bob"), voters=THREE)
    assert chain.ring == ["Alice", "Bob"]
    assert chain.voters == (list(THREE), ["Alice", "Bob"])


def test_votes_that_show_no_offence(chain: VotingChain) -> None:
    first, second = two_votes(chain, "Charlie", (0, 1), (0, 1))
    fine = signed_vote("Charlie", at(1), at(2), chain.genesis)
    unsigned = replace(second, signature=bytes(64))
    elsewhere = signed_vote("Charlie", second.source, second.target, Hash(bytes(32)))
    by_others = signed_vote("Alice", second.source, second.target, chain.genesis)
    for others in (
        (first, first),
        (first, fine),
        (first, unsigned),
        (unsigned, first),
        (first, elsewhere),
        (first, by_others),
    ):
        call = bare(contradiction_call(*others))
        assert refusal(chain, call) == "Finality.report_contradiction failed: NoOffence"


def test_contradictions_of_those_who_take_no_part_or_long_ago(chain: VotingChain) -> None:
    call = bare(contradiction_call(*two_votes(chain, "Eve", (0, 1), (0, 1))))
    assert refusal(chain, call) == "Finality.report_contradiction failed: UnknownOffender"
    chain.run_epochs(QUICK.bar_epochs)
    call = bare(contradiction_call(*two_votes(chain, "Charlie", (0, 1), (0, 1))))
    assert refusal(chain, call) == "Finality.report_contradiction failed: StaleEvidence"


def test_votes_of_the_barred_count_until_others_have_taken_over(chain: VotingChain) -> None:
    chain.step(13, report(*twins(chain, 14)), voters=THREE)
    chain.run_epochs(2, names=("Alice", "Bob"), voters=THREE)
    assert chain.voters == (["Alice", "Bob"], [])
