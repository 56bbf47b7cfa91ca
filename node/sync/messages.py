"""What nodes tell and ask one another, in msgpack; the network has bounded every message before it is decoded here.

    handshake        [version, best number, best hash, finalized number, finalized hash]
    announcement     [header, first extrinsics, hashes of the rest]        gossip, topic `blocks`
    BLOCKS           [hashes of a locator, most]           -> [[header, body], ...]
    BODY             block, hashes of extrinsics           -> body of those, in this order; of all if none is named
    POOL             nothing                               -> hashes
    TRANSACTIONS     hashes                                -> body of those that are there
    HEADERS          [hashes of a locator, most]           -> [header, ...]
    VOTES            [first number, last number]           -> [last number that was looked at, votes]
    STATE            [block, key or nil]                   -> [[key, value, key, value, ...], [trie node, ...], is last]

Hashes stand one after the other, 32 bytes each; headers and bodies are in SCALE. A locator names blocks of the asker's
best chain, newest first, with growing gaps down to block 0; the answer goes on from the first that the other has on its
own best chain. VOTES are those that blocks of the best chain include; STATE is what a state has behind a key, with the
nodes that `runtime.trie.verify_range` wants.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from p2p.network import RequestKind
from pallets.finality.votes import VOTE, Vote
from runtime.extrinsic import extrinsic_hash
from runtime.header import MAX_BODY_BYTES, MAX_EXTRINSICS, Block, Header, decode_body, encode_body
from runtime.primitives import HASH_LENGTH, BlockNumber, BlockRef, Hash
from runtime.scale import Reader, ScaleError
from runtime.trie import MAX_KEY_LENGTH
from runtime.trie.ranges import MAX_NODES

VERSION: Final = 1
MAX_BLOCKS: Final = 128
"""Blocks of one answer."""
MAX_LOCATOR: Final = 64
MAX_ASKED: Final = 2_048
"""Transactions asked for at once."""
INLINE_BODY: Final = 64 << 10
"""A body up to this size is announced with its block."""
MAX_ANNOUNCED: Final = 6_000
"""Hashes in one announcement."""
ANSWER_SIZE: Final = 2 << 20
"""An answer of several parts stops growing here."""
MAX_HANDSHAKE: Final = 256
MAX_HEADERS: Final = 512
"""Headers of one answer."""
UNKNOWN_PLACE: Final = "no block of the locator is on the best chain"
"""How a peer refuses blocks or headers that are to follow what it has not got."""
MAX_VOTE_BLOCKS: Final = 512
"""Blocks whose votes are asked for at once."""
MAX_ANSWERED_VOTES: Final = 1 << 14
MAX_PAIRS: Final = 4_096
"""Keys of one answer with a part of a state."""
STATE_SIZE: Final = 1 << 20
"""Such an answer stops growing here."""

_MAX_HEADER: Final = (2 << 20) + 4_096
_MAX_NUMBER: Final = 2**32 - 1
_MAX_POOL_HASHES: Final = 65_536
_MAX_VALUE: Final = 8 << 20
"""The events of a full block are the largest value of a state."""
_MAX_NODE: Final = 1_024

BLOCKS: Final = RequestKind(1, "blocks", MAX_LOCATOR * HASH_LENGTH + 64, MAX_BODY_BYTES + _MAX_HEADER + ANSWER_SIZE)
BODY: Final = RequestKind(2, "body", (MAX_EXTRINSICS + 1) * HASH_LENGTH + 64, MAX_BODY_BYTES + 64)
POOL: Final = RequestKind(3, "pool", 8, _MAX_POOL_HASHES * HASH_LENGTH)
TRANSACTIONS: Final = RequestKind(4, "transactions", MAX_ASKED * HASH_LENGTH, MAX_BODY_BYTES)
HEADERS: Final = RequestKind(5, "headers", MAX_LOCATOR * HASH_LENGTH + 64, _MAX_HEADER + ANSWER_SIZE)
VOTES: Final = RequestKind(6, "votes", 16, MAX_ANSWERED_VOTES * VOTE.min_size + 64)
STATE: Final = RequestKind(
    7, "state", HASH_LENGTH + MAX_KEY_LENGTH + 16, STATE_SIZE + _MAX_VALUE + MAX_NODES * _MAX_NODE
)

KINDS: Final = (BLOCKS, BODY, POOL, TRANSACTIONS, HEADERS, VOTES, STATE)


class MessageError(ValueError):
    """A message that no honest peer sends; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a node says of itself when it meets another: its best block, and its last final one."""

    best: BlockRef
    finalized: BlockRef

    def encode(self) -> bytes:
        """The bytes on the wire."""
        best, final = self.best, self.finalized
        return _pack([VERSION, best.number, best.hash, final.number, final.hash])

    @staticmethod
    def decode(data: bytes) -> "Handshake":
        """Raises MessageError."""
        what = "handshake"
        if len(data) > MAX_HANDSHAKE:
            raise MessageError(f"a {what} of {len(data)} bytes")
        version, best, best_hash, final, final_hash = _fields(data, 5, what)
        if version != VERSION:
            raise MessageError(f"version {version!r} of the node's messages, {VERSION} is spoken here")
        return Handshake(_ref(best, best_hash, what), _ref(final, final_hash, what))


@dataclass(frozen=True, slots=True)
class Announcement:
    """A new block: its sealed header, its first extrinsics, and the hashes of the others.

    A small block is announced whole, a larger one with the inherents and hashes, and one whose hashes alone would be
    too much with neither: its body has to be asked for.
    """

    header: Header
    extrinsics: tuple[bytes, ...]
    hashes: tuple[Hash, ...]

    @staticmethod
    def of(block: Block, inherents: int) -> "Announcement":
        """Announce a block, of whose extrinsics the first so many are in no pool."""
        if sum(map(len, block.extrinsics)) <= INLINE_BODY:
            return Announcement(block.header, block.extrinsics, ())
        rest = block.extrinsics[inherents:]
        if len(rest) > MAX_ANNOUNCED:
            return Announcement(block.header, (), ())
        return Announcement(block.header, block.extrinsics[:inherents], tuple(map(extrinsic_hash, rest)))

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([self.header.encode(), encode_body(self.extrinsics), b"".join(self.hashes)])

    @staticmethod
    def decode(data: bytes) -> "Announcement":
        """Raises MessageError."""
        what = "announcement"
        header, extrinsics, hashes = _fields(data, 3, what)
        return Announcement(_header(header, what), _body(extrinsics, what), split_hashes(_bytes(hashes, what)))


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Asks for the blocks that follow the first block of the locator which the other has on its best chain."""

    locator: tuple[Hash, ...]
    most: int

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([b"".join(self.locator), self.most])

    @staticmethod
    def decode(data: bytes) -> "BlocksRequest":
        """Raises MessageError."""
        return BlocksRequest(*_locator(data, "request for blocks", MAX_BLOCKS))


@dataclass(frozen=True, slots=True)
class HeadersRequest:
    """The same for headers alone."""

    locator: tuple[Hash, ...]
    most: int

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([b"".join(self.locator), self.most])

    @staticmethod
    def decode(data: bytes) -> "HeadersRequest":
        """Raises MessageError."""
        return HeadersRequest(*_locator(data, "request for headers", MAX_HEADERS))


@dataclass(frozen=True, slots=True)
class VotesRequest:
    """Asks for the votes in blocks `first` to `last` of the best chain."""

    first: BlockNumber
    last: BlockNumber

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([self.first, self.last])

    @staticmethod
    def decode(data: bytes) -> "VotesRequest":
        """Raises MessageError."""
        what = "request for votes"
        first, last = (_number(value, what) for value in _fields(data, 2, what))
        if not 0 <= last - first < MAX_VOTE_BLOCKS:
            raise MessageError(f"a {what} of blocks {first} to {last}")
        return VotesRequest(first, last)


@dataclass(frozen=True, slots=True)
class VotesAnswer:
    """The votes in the blocks up to `last`, which may be fewer than were asked about."""

    last: BlockNumber
    votes: tuple[Vote, ...]

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([self.last, b"".join(map(VOTE.encode, self.votes))])

    @staticmethod
    def decode(data: bytes) -> "VotesAnswer":
        """Raises MessageError."""
        what = "answer with votes"
        last, votes = _fields(data, 2, what)
        reader = Reader(_bytes(votes, what))
        if reader.remaining > MAX_ANSWERED_VOTES * VOTE.min_size or reader.remaining % VOTE.min_size:
            raise MessageError(f"{reader.remaining} bytes of votes, which have {VOTE.min_size} each")
        return VotesAnswer(
            _number(last, what), tuple(VOTE.read(reader) for _ in range(reader.remaining // VOTE.min_size))
        )


@dataclass(frozen=True, slots=True)
class StateRequest:
    """Asks for what the state after a block has behind a key; None: from the first key on."""

    block: Hash
    after: bytes | None

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([self.block, self.after])

    @staticmethod
    def decode(data: bytes) -> "StateRequest":
        """Raises MessageError."""
        what = "request for a state"
        block, after = _fields(data, 2, what)
        if not isinstance(block, bytes) or len(block) != HASH_LENGTH:
            raise MessageError(f"the {what} has no block hash")
        if after is not None and len(_bytes(after, what)) > MAX_KEY_LENGTH:
            raise MessageError(f"the {what} has a key of {len(after)} bytes")
        return StateRequest(Hash(block), after)


@dataclass(frozen=True, slots=True)
class StateAnswer:
    """A part of a state, and the trie nodes on the way to its ends; `is_last`: nothing comes behind it."""

    pairs: tuple[tuple[bytes, bytes], ...]
    proof: tuple[bytes, ...]
    is_last: bool

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return _pack([[part for pair in self.pairs for part in pair], list(self.proof), self.is_last])

    @staticmethod
    def decode(data: bytes) -> "StateAnswer":
        """Raises MessageError."""
        what = "answer with a state"
        flat, proof, is_last = _fields(data, 3, what, 2 * MAX_PAIRS)
        if not isinstance(flat, list) or not isinstance(proof, list) or not isinstance(is_last, bool):
            raise MessageError(f"a field of the {what} is of a wrong type")
        if len(flat) % 2:
            raise MessageError(f"the {what} has a key without a value")
        parts = [_bytes(part, what) for part in flat]
        pairs = tuple(zip(parts[::2], parts[1::2], strict=True))
        return StateAnswer(pairs, tuple(_bytes(node, what) for node in proof), is_last)


@dataclass(frozen=True, slots=True)
class BodyRequest:
    """Asks for some extrinsics of a block, or for all of them."""

    block: Hash
    extrinsics: tuple[Hash, ...]

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return self.block + b"".join(self.extrinsics)

    @staticmethod
    def decode(data: bytes) -> "BodyRequest":
        """Raises MessageError."""
        hashes = split_hashes(data)
        if not hashes:
            raise MessageError("a request for extrinsics of no block")
        return BodyRequest(hashes[0], hashes[1:])


def encode_blocks(blocks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Blocks as an answer: pairs of an encoded header and an encoded body."""
    return _pack([list(pair) for pair in blocks])


def decode_blocks(data: bytes) -> list[Block]:
    """Raises MessageError."""
    what = "answer with blocks"
    pairs = _unpack(data, what)
    if not isinstance(pairs, list):
        raise MessageError(f"the {what} is no list")
    blocks = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise MessageError(f"an entry of the {what} is no pair")
        blocks.append(Block(_header(pair[0], what), _body(pair[1], what)))
    return blocks


def encode_headers(headers: Iterable[bytes]) -> bytes:
    """Encoded headers as an answer."""
    return _pack(list(headers))


def decode_headers(data: bytes) -> list[Header]:
    """Raises MessageError."""
    what = "answer with headers"
    headers = _unpack(data, what, MAX_HEADERS)
    if not isinstance(headers, list):
        raise MessageError(f"the {what} is no list")
    return [_header(header, what) for header in headers]


def encode_hashes(hashes: Iterable[Hash]) -> bytes:
    """Hashes one after the other."""
    return b"".join(hashes)


def split_hashes(data: bytes) -> tuple[Hash, ...]:
    """Raises MessageError."""
    if len(data) % HASH_LENGTH:
        raise MessageError(f"{len(data)} bytes of hashes, which have {HASH_LENGTH} each")
    return tuple(Hash(data[at : at + HASH_LENGTH]) for at in range(0, len(data), HASH_LENGTH))


def encode_extrinsics(extrinsics: Sequence[bytes]) -> bytes:
    """Extrinsics as a body."""
    return encode_body(tuple(extrinsics))


def decode_extrinsics(data: bytes) -> tuple[bytes, ...]:
    """Raises MessageError."""
    return _body(data, "answer with extrinsics")


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _unpack(data: bytes, what: str, longest: int = MAX_BLOCKS) -> Any:
    try:
        return msgpack.unpackb(
            data, max_array_len=longest, max_bin_len=len(data), max_str_len=0, max_map_len=0, max_ext_len=0
        )
    except Exception as error:  # whatever msgpack raises, the bytes came from outside
        raise MessageError(f"a {what} that is no msgpack: {type(error).__name__}") from error


def _fields(data: bytes, count: int, what: str, longest: int = MAX_BLOCKS) -> list[Any]:
    value = _unpack(data, what, longest)
    if not isinstance(value, list) or len(value) != count:
        raise MessageError(f"a {what} has {count} fields")
    return value


def _bytes(value: Any, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise MessageError(f"a field of the {what} is no byte string")
    return value


def _locator(data: bytes, what: str, limit: int) -> tuple[tuple[Hash, ...], int]:
    locator, most = _fields(data, 2, what)
    if not isinstance(most, int) or not 1 <= most <= limit:
        raise MessageError(f"a {what} for {most!r} of them")
    hashes = split_hashes(_bytes(locator, what))
    if not 1 <= len(hashes) <= MAX_LOCATOR:
        raise MessageError(f"a {what} with {len(hashes)} places to go on from")
    return hashes, most


def _number(value: Any, what: str) -> BlockNumber:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_NUMBER:
        raise MessageError(f"the {what} has no block number")
    return BlockNumber(value)


def _ref(number: Any, block: Any, what: str) -> BlockRef:
    _number(number, what)
    if not isinstance(block, bytes) or len(block) != HASH_LENGTH:
        raise MessageError(f"the {what} has no block hash")
    return BlockRef(BlockNumber(number), Hash(block))


def _header(value: Any, what: str) -> Header:
    try:
        return Header.decode(_bytes(value, what))
    except ScaleError as error:
        raise MessageError(f"a header in the {what}: {error}") from None


def _body(value: Any, what: str) -> tuple[bytes, ...]:
    try:
        return decode_body(_bytes(value, what))
    except ScaleError as error:
        raise MessageError(f"a body in the {what}: {error}") from None
