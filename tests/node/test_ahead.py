"""Signatures of the next block are checked beside the execution of this one, and asked for once."""

import gc
import threading
from collections.abc import Iterator

import pytest

from node.ahead import checked_ahead
from node.memory import without_collections
from node.signatures import CHUNK, VerifiedSignatures
from runtime.executive import check_signature
from runtime.extrinsic import Era, Signature, sign_extrinsic
from runtime.header import Block
from runtime.primitives import BlockNumber, Hash, Nonce
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, remark


def chain_of_blocks(count: int) -> tuple[NodeChain, list[Block]]:
    """Blocks of a few transactions each, signed over the block before."""
    made = NodeChain()
    version, blocks = made.chain.runtime.version, []
    for number in range(1, count + 1):
        head = made.chain.database.head()
        transactions = []
        for name in ("Alice", "Bob"):
            pair = PAIRS[name]
            raw = sign_extrinsic(
                pair,
                remark(bytes(number)),
                Era.mortal(4, head.number),
                Nonce(made.chain.validator().nonce(pair.public)),
                version.spec_version,
                version.transaction_version,
                made.hash_at(0),
                made.hash_at(Era.mortal(4, head.number).birth(BlockNumber(number))),
            )
            transactions.append(made.valid(raw))
        blocks.append(made.build(*transactions).head.block)
    return made, blocks


class Recording:
    """Counts what it is asked; says what is true."""

    def __init__(self) -> None:
        self.asked: list[tuple[Hash, str]] = []

    def __call__(self, extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        self.asked.append((extrinsic, threading.current_thread().name))
        return check_signature(extrinsic, signature, payload)


def test_no_signature_is_checked_twice_nor_by_the_thread_that_executes() -> None:
    _, blocks = chain_of_blocks(6)
    other, recording = NodeChain(), Recording()
    signatures = VerifiedSignatures(check=recording)
    chain = other.chain
    handed = []
    for block in checked_ahead(blocks, chain.runtime.version, chain.database.hash_at, signatures):
        chain.import_block(block, signatures)
        handed.append(block)
    assert handed == blocks
    assert len(recording.asked) == len({extrinsic for extrinsic, _ in recording.asked}) == 12
    assert all(name.startswith("signatures") for _, name in recording.asked)
    assert chain.database.head().number == 6


def test_the_next_block_is_under_way_while_this_one_is_in_hand() -> None:
    _, blocks = chain_of_blocks(3)
    chain = NodeChain().chain
    asked = threading.Event()

    def check(extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        if signature.nonce == 1:
            asked.set()
        return check_signature(extrinsic, signature, payload)

    walk = checked_ahead(blocks, chain.runtime.version, chain.database.hash_at, check)
    assert next(walk) == blocks[0]
    assert asked.wait(30)
    assert list(walk) == blocks[1:]


def test_a_bad_signature_is_left_to_the_execution() -> None:
    made, blocks = chain_of_blocks(2)
    raw = bytearray(blocks[1].extrinsics[1])
    raw[80] ^= 1
    bad = Block(blocks[1].header, (blocks[1].extrinsics[0], bytes(raw), blocks[1].extrinsics[2]))
    signatures = VerifiedSignatures()
    walk = checked_ahead([blocks[0], bad], made.chain.runtime.version, made.chain.database.hash_at, signatures)
    assert list(walk) == [blocks[0], bad]
    # A chunk ends at its first bad one.
    assert len(bad.extrinsics) < CHUNK
    assert len(signatures) == 2


def test_what_the_source_raises_arrives_and_no_thread_is_left() -> None:
    made, blocks = chain_of_blocks(1)

    def source() -> Iterator[Block]:
        yield from blocks
        raise ValueError("the file is cut")

    before = threading.active_count()
    walk = checked_ahead(source(), made.chain.runtime.version, made.chain.database.hash_at, VerifiedSignatures())
    assert next(walk) == blocks[0]
    with pytest.raises(ValueError, match=r"^the file is cut$"):
        next(walk)
    walk = checked_ahead(blocks * 3, made.chain.runtime.version, made.chain.database.hash_at, VerifiedSignatures())
    next(walk)
    walk.close()
    assert threading.active_count() == before


def test_collections_come_back_after_an_import() -> None:
    assert gc.isenabled()
    with without_collections():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
