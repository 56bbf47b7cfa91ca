"""What peers send: read back as it was written, and refused with a reason whatever else it is."""

from collections.abc import Callable
from contextlib import suppress

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.sync.messages import (
    HEADERS,
    INLINE_BODY,
    MAX_ANNOUNCED,
    MAX_ANSWERED_VOTES,
    MAX_BLOCKS,
    MAX_HEADERS,
    MAX_LOCATOR,
    MAX_PAIRS,
    MAX_VOTE_BLOCKS,
    STATE,
    VOTES,
    Announcement,
    BlocksRequest,
    BodyRequest,
    Handshake,
    HeadersRequest,
    MessageError,
    StateAnswer,
    StateRequest,
    VotesAnswer,
    VotesRequest,
    decode_blocks,
    decode_extrinsics,
    decode_headers,
    encode_blocks,
    encode_extrinsics,
    encode_hashes,
    encode_headers,
    split_hashes,
)
from p2p.config import NetworkConfig
from pallets.finality.votes import CheckpointId, Vote
from runtime.extrinsic import extrinsic_hash
from runtime.header import Block, DigestItem, DigestKind, Header, encode_body
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, blake2b_256
from runtime.scale import encode_compact
from runtime.trie import ordered_root


def name(number: int) -> Hash:
    return blake2b_256(b"%d" % number)


def extrinsic(number: int, length: int = 40) -> bytes:
    body = number.to_bytes(4, "little") + bytes(length)
    return encode_compact(len(body)) + body


def block(count: int, length: int = 40) -> Block:
    extrinsics = tuple(extrinsic(number, length) for number in range(count))
    digest = (DigestItem(DigestKind.PRE_RUNTIME, b"test", b"x"),)
    return Block(Header(name(1), BlockNumber(2), name(2), ordered_root(extrinsics), digest), extrinsics)


def test_handshake() -> None:
    handshake = Handshake(BlockRef(BlockNumber(7), name(7)), BlockRef(BlockNumber(3), name(3)))
    assert Handshake.decode(handshake.encode()) == handshake


def test_a_small_block_is_announced_whole() -> None:
    small = block(3)
    announcement = Announcement.of(small, 1)
    assert announcement == Announcement(small.header, small.extrinsics, ())
    assert Announcement.decode(announcement.encode()) == announcement


def test_a_larger_block_is_announced_by_hashes() -> None:
    larger = block(1 + INLINE_BODY // 40)
    announcement = Announcement.of(larger, 1)
    rest = tuple(extrinsic_hash(raw) for raw in larger.extrinsics[1:])
    assert announcement == Announcement(larger.header, larger.extrinsics[:1], rest)
    assert Announcement.decode(announcement.encode()) == announcement


def test_the_largest_blocks_are_announced_by_their_headers_and_every_announcement_fits() -> None:
    most = block(1 + MAX_ANNOUNCED)
    assert len(Announcement.of(most, 1).hashes) == MAX_ANNOUNCED
    largest = block(2 + MAX_ANNOUNCED)
    assert Announcement.of(largest, 1) == Announcement(largest.header, (), ())
    for one in (most, largest):
        assert len(Announcement.of(one, 1).encode()) <= NetworkConfig(bytes(32), bytes(32)).max_gossip


def test_requests() -> None:
    request = BlocksRequest((name(1), name(2)), MAX_BLOCKS)
    assert BlocksRequest.decode(request.encode()) == request
    for extrinsics in ((), (name(2), name(3))):
        body = BodyRequest(name(1), extrinsics)
        assert BodyRequest.decode(body.encode()) == body


def test_answers() -> None:
    blocks = [block(1), block(4)]
    pairs = [(one.header.encode(), encode_body(one.extrinsics)) for one in blocks]
    assert decode_blocks(encode_blocks(pairs)) == blocks
    assert decode_blocks(encode_blocks([])) == []
    assert decode_extrinsics(encode_extrinsics(blocks[1].extrinsics)) == blocks[1].extrinsics
    assert split_hashes(encode_hashes([name(1), name(2)])) == (name(1), name(2))


def vote(number: int) -> Vote:
    target = CheckpointId(number + 1, name(number + 1))
    return Vote(AccountId(name(number)), CheckpointId(number, name(number)), target, bytes(64))


def test_what_a_fast_sync_asks_and_is_told() -> None:
    headers = HeadersRequest((name(1), name(2)), MAX_HEADERS)
    assert HeadersRequest.decode(headers.encode()) == headers
    votes = VotesRequest(BlockNumber(5), BlockNumber(4 + MAX_VOTE_BLOCKS))
    assert VotesRequest.decode(votes.encode()) == votes
    for after in (None, b"", b"key"):
        state = StateRequest(name(1), after)
        assert StateRequest.decode(state.encode()) == state
    given = [block(1).header, block(2).header]
    assert decode_headers(encode_headers(header.encode() for header in given)) == given
    answer = VotesAnswer(BlockNumber(9), (vote(1), vote(2)))
    assert VotesAnswer.decode(answer.encode()) == answer
    part = StateAnswer(((b"a", b"1"), (b"b", b"")), (b"node", b"other"), False)
    assert StateAnswer.decode(part.encode()) == part
    assert StateAnswer.decode(StateAnswer((), (), True).encode()) == StateAnswer((), (), True)


def test_the_largest_of_them_fit() -> None:
    assert len(HeadersRequest((name(1),) * MAX_LOCATOR, MAX_HEADERS).encode()) <= HEADERS.max_request
    top = BlockNumber(2**32 - 1)
    assert len(VotesRequest(top, top).encode()) <= VOTES.max_request
    assert len(VotesAnswer(top, (vote(1),) * MAX_ANSWERED_VOTES).encode()) <= VOTES.max_response
    assert len(StateRequest(name(1), bytes(128)).encode()) <= STATE.max_request
    most = StateAnswer(((bytes(128), bytes(100)),) * MAX_PAIRS, (bytes(600),) * 128, False)
    assert len(most.encode()) <= STATE.max_response
    assert StateAnswer.decode(most.encode()) == most


HEADER = block(1).header.encode()


@pytest.mark.parametrize(
    ("decode", "data", "message"),
    [
        (Handshake.decode, bytes(257), "a handshake of 257 bytes"),
        (Handshake.decode, b"\xc1", "a handshake that is no msgpack: FormatError"),
        (Handshake.decode, msgpack.packb([1]), "a handshake has 5 fields"),
        (
            Handshake.decode,
            msgpack.packb([2, 0, name(0), 0, name(0)]),
            "version 2 of the node's messages, 1 is spoken here",
        ),
        (Handshake.decode, msgpack.packb([1, -1, name(0), 0, name(0)]), "the handshake has no block number"),
        (Handshake.decode, msgpack.packb([1, True, name(0), 0, name(0)]), "the handshake has no block number"),
        (Handshake.decode, msgpack.packb([1, 0, b"", 0, name(0)]), "the handshake has no block hash"),
        (Announcement.decode, msgpack.packb([1, b"\0", b""]), "a field of the announcement is no byte string"),
        (Announcement.decode, msgpack.packb([HEADER, b"\0", b"x"]), "1 bytes of hashes, which have 32 each"),
        (
            Announcement.decode,
            msgpack.packb([HEADER + b"x", b"\0", b""]),
            f"a header in the announcement: header ends at offset {len(HEADER)}, 1 bytes are left over",
        ),
        (
            Announcement.decode,
            msgpack.packb([HEADER, b"\0x", b""]),
            "a body in the announcement: body ends at offset 1, 1 bytes are left over",
        ),
        (BlocksRequest.decode, msgpack.packb([name(1), 0]), "a request for blocks for 0 of them"),
        (BlocksRequest.decode, msgpack.packb([name(1), MAX_BLOCKS + 1]), "a request for blocks for 129 of them"),
        (BlocksRequest.decode, msgpack.packb([b"", 1]), "a request for blocks with 0 places to go on from"),
        (
            BlocksRequest.decode,
            msgpack.packb([bytes(32 * (MAX_LOCATOR + 1)), 1]),
            "a request for blocks with 65 places to go on from",
        ),
        (HeadersRequest.decode, msgpack.packb([name(1), MAX_HEADERS + 1]), "a request for headers for 513 of them"),
        (VotesRequest.decode, msgpack.packb([5, 4]), "a request for votes of blocks 5 to 4"),
        (VotesRequest.decode, msgpack.packb([5, 517]), "a request for votes of blocks 5 to 517"),
        (VotesRequest.decode, msgpack.packb([5, 2**32]), "the request for votes has no block number"),
        (VotesAnswer.decode, msgpack.packb([1, bytes(175)]), "175 bytes of votes, which have 176 each"),
        (
            VotesAnswer.decode,
            msgpack.packb([1, bytes(176 * (MAX_ANSWERED_VOTES + 1))]),
            "2883760 bytes of votes, which have 176 each",
        ),
        (StateRequest.decode, msgpack.packb([b"x", None]), "the request for a state has no block hash"),
        (StateRequest.decode, msgpack.packb([name(1), bytes(129)]), "the request for a state has a key of 129 bytes"),
        (StateAnswer.decode, msgpack.packb([[b"k"], [], True]), "the answer with a state has a key without a value"),
        (
            StateAnswer.decode,
            msgpack.packb([[b"k", 1], [], True]),
            "a field of the answer with a state is no byte string",
        ),
        (StateAnswer.decode, msgpack.packb([[], [], 1]), "a field of the answer with a state is of a wrong type"),
        (
            StateAnswer.decode,
            msgpack.packb([[b""] * (2 * MAX_PAIRS + 2), [], True]),
            "a answer with a state that is no msgpack: ValueError",
        ),
        (decode_headers, msgpack.packb(1), "the answer with headers is no list"),
        (decode_headers, msgpack.packb([b""] * 513), "a answer with headers that is no msgpack: ValueError"),
        (decode_headers, msgpack.packb([1]), "a field of the answer with headers is no byte string"),
        (BodyRequest.decode, b"", "a request for extrinsics of no block"),
        (BodyRequest.decode, b"x", "1 bytes of hashes, which have 32 each"),
        (decode_blocks, msgpack.packb(1), "the answer with blocks is no list"),
        (decode_blocks, msgpack.packb([[1]]), "an entry of the answer with blocks is no pair"),
        (decode_blocks, msgpack.packb([[0] * 2] * 129), "a answer with blocks that is no msgpack: ValueError"),
        (decode_extrinsics, b"", "a body in the answer with extrinsics: "),
    ],
)
def test_what_no_honest_peer_sends(decode: Callable[[bytes], object], data: bytes, message: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode(data)
    if message.endswith(": "):
        assert str(caught.value).startswith(message)
    else:
        assert str(caught.value) == message


DECODERS = (
    HeadersRequest.decode,
    VotesRequest.decode,
    VotesAnswer.decode,
    StateRequest.decode,
    StateAnswer.decode,
    decode_headers,
    Handshake.decode,
    Announcement.decode,
    BlocksRequest.decode,
    BodyRequest.decode,
    decode_blocks,
    decode_extrinsics,
    split_hashes,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=80) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(0, 9), inner, max_size=2),
    max_leaves=8,
)


@given(data=st.binary(max_size=300) | VALUES.map(msgpack.packb))
@settings(max_examples=300)
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    for decode in DECODERS:
        with suppress(MessageError):
            decode(data)
