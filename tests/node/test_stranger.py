"""Blocks that anybody can seal: whose turn it is, is looked at before anything is made for them."""

import pytest

from node.ring import claim_digest, seal
from runtime.crypto import KeyPair, Scheme
from runtime.header import Block, Header
from runtime.interface.errors import InvalidBlock
from runtime.primitives import ZERO_HASH, BlockNumber, Hash, Slot
from runtime.trie import ordered_root
from tests.support.ring_nodes import GENESIS_SLOT, RingNode
from tests.support.small_chain import submit_rating


def test_nothing_is_learned_for_who_has_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    node = RingNode()
    for slot in range(1, 11):
        node.block(slot, *([("Alice", submit_rating(slot, 4))] if slot < 8 else []))
    node.open()
    parent = node.chain.database.hash_at(BlockNumber(3))
    assert parent is not None
    stranger = KeyPair.from_seed(Scheme.ED25519, bytes(32))
    claim = claim_digest(Slot(GENESIS_SLOT + 11), stranger.public)
    header = Header(parent, BlockNumber(4), Hash(ZERO_HASH), ordered_root(()), claim)

    def made(*_arguments: object) -> None:
        raise AssertionError("a trie or a model is made for a stranger")

    monkeypatch.setattr(node.chain.database, "trie_at", made)
    monkeypatch.setattr(node.chain._models, "at", made)
    for number, said in ((4, "WrongAuthor: slot 1011 is the turn of "), (5, "WrongNumber: block 5 follows block 3")):
        wrong = Header(parent, BlockNumber(number), header.state_root, header.extrinsics_root, claim)
        with pytest.raises(InvalidBlock) as caught:
            node.take(Block(seal(wrong, node.chain.genesis, stranger), ()))
        assert str(caught.value).startswith(said)
