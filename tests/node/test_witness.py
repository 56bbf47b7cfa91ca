"""What a node puts into its blocks of what it has heard: votes of every branch, and reports."""

from dataclasses import replace

from node.ring import seal, unsealed
from node.vote_pool import Added
from node.witness import Witness
from pallets.finality.votes import CheckpointId
from pallets.producers.storage import BARRED, RING
from runtime.extrinsic import leading_unsigned
from runtime.header import DigestItem, DigestKind, Header
from runtime.primitives import Hash
from tests.support.ring_nodes import BY_ACCOUNT, RingNode
from tests.support.small_chain import PAIRS
from tests.support.voting_chain import signed_vote


def witness_of(node: RingNode) -> Witness:
    return Witness(node.chain.runtime, node.spec.rules)


def twin(header: Header, node: RingNode, variant: int = 0) -> Header:
    """Another header of the same author and slot."""
    other = replace(unsealed(header), state_root=Hash(bytes([variant]) * 32))
    return seal(other, node.chain.genesis, BY_ACCOUNT[header.digest[1].payload])


def calls(node: RingNode, witness: Witness) -> list[bytes]:
    """Which calls the next block would have."""
    return [call[:2] for call in witness.calls(node.chain.snapshot.state)]


def test_votes_in_blocks_are_heard_on_every_branch() -> None:
    node = RingNode(voters=("Alice", "Bob"))
    blocks = [node.block(slot) for slot in range(1, 13)]
    witness = witness_of(node)
    found = [vote for block in blocks for vote in witness.votes_in(block)]
    assert sorted(vote.voter for vote in found) == sorted(PAIRS[name].public for name in ("Alice", "Bob"))
    assert leading_unsigned(blocks[10].extrinsics) == 2, "the time, and the votes"
    assert [witness.hear_vote(vote) for vote in found] == [Added.NEW, Added.NEW]
    assert calls(node, witness) == [], "the chain has them"
    other = RingNode()
    other.take(*blocks[:10])
    other.block(13)
    assert calls(other, witness) == [b"\x06\x00"], "another branch has not"


def test_two_headers_of_a_slot_are_evidence_and_are_reported_until_that_has_worked() -> None:
    node = RingNode()
    header = node.block(1).header
    witness = witness_of(node)
    assert not witness.hear_header(header)
    assert not witness.hear_header(header)
    assert witness.hear_header(twin(header, node))
    assert calls(node, witness) == [b"\x05\x02"]
    node.votes = witness.calls  # type: ignore[method-assign]
    node.block(2)
    assert [account for account, _ in BARRED.items(node.chain.snapshot.state)] == [header.digest[1].payload]
    assert calls(node, witness) == []
    witness.forget(node.chain.snapshot.state)
    assert calls(RingNode(), witness) == [], "it is forgotten"


def test_contradicting_votes_are_reported() -> None:
    node = RingNode()
    node.block(1)
    witness = witness_of(node)
    source = CheckpointId(100, node.chain.genesis)
    for variant in (1, 2):
        target = CheckpointId(101, Hash(bytes([variant]) * 32))
        witness.hear_vote(signed_vote("Bob", source, target, node.chain.genesis))
    assert calls(node, witness) == [b"\x06\x01"]
    node.votes = witness.calls  # type: ignore[method-assign]
    for slot in range(2, 14):
        node.block(slot)
    assert PAIRS["Bob"].public not in RING.get(node.chain.snapshot.state)
    assert calls(node, witness) == []


def test_strangers_are_not_reported() -> None:
    node = RingNode()
    node.block(1)
    witness = witness_of(node)
    source = CheckpointId(100, node.chain.genesis)
    for variant in (1, 2):
        target = CheckpointId(101, Hash(bytes([variant]) * 32))
        witness.hear_vote(signed_vote("Eve", source, target, node.chain.genesis))
    assert calls(node, witness) == []


def test_evidence_that_no_block_could_take_is_dropped() -> None:
    node = RingNode()
    header = node.block(1).header
    witness = witness_of(node)
    witness.hear_header(header)
    long = DigestItem(DigestKind.CONSENSUS, b"rrbn", bytes(20_000))
    other = replace(unsealed(header), digest=(*unsealed(header).digest, long))
    assert witness.hear_header(seal(other, node.chain.genesis, BY_ACCOUNT[header.digest[1].payload]))
    assert calls(node, witness) == []


def test_a_header_that_no_block_could_take_hides_no_others() -> None:
    node = RingNode()
    block = node.block(1)
    witness = witness_of(node)
    header = unsealed(block.header)
    padding = DigestItem(DigestKind.CONSENSUS, b"rrbn", bytes(20_000))
    author = BY_ACCOUNT[header.digest[1].payload]
    long = seal(replace(header, digest=(*header.digest, padding)), node.chain.genesis, author)
    assert not witness.hear_header(long)
    assert not witness.hear_header(block.header)
    assert witness.hear_header(twin(block.header, node))
    assert len(calls(node, witness)) == 1
    assert witness.hear_header(long), "it is seen all the same"
