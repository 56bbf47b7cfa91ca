"""Everything in this project that makes sense of bytes which somebody else has written, and what it may say of them.

Decoders of messages between nodes, of blocks and of stored records are found by their names (`_found`), so that a new
one is fuzzed from the day it is written; the rest is listed.

    python -m tests.fuzz.decoders 100000            throws so many inputs at each decoder, and prints a table
    python -m tests.fuzz.decoders 100000 state p2p  at those whose names begin like that
"""

import importlib
import inspect
import io
import json
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson

from node import keystore, node_key, signing_records
from node.chain_spec import SpecError, genesis, load_spec, parse_spec, render
from node.commands.block_stream import StreamError, read_blocks, write_block
from node.errors import NodeError
from node.json_reader import DocumentError
from node.protection import SigningRecord
from node.sync.messages import (
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
    encode_blocks,
    encode_headers,
)
from node.sync.votes import encode_votes
from p2p import wire
from p2p.addresses import AddressError as PeerAddressError
from p2p.addresses import check_peer_id, parse_address, peer_id_from_seed
from p2p.config import Timing
from p2p.gossip import join, split
from p2p.peers import JsonRecords, PeerBook
from p2p.wire import FrameError
from pallets.finality.digest import CHANGES, Changes
from pallets.finality.votes import CheckpointId, Vote
from pallets.producers.claim import claim_digest, read_claim_digest
from rpc import parameters
from rpc.client import _decode as read_answer
from rpc.dispatch import Call, Dispatcher, Method
from rpc.errors import RpcError
from rpc.failure import CommandError
from rpc.importing.ratings_file import Scale, read_ratings, read_titles
from rpc.importing.record import progress_path, read_record
from rpc.limits import RpcLimits
from runtime.crypto import Scheme
from runtime.executive import Runtime
from runtime.extrinsic import IMMORTAL, Era, Extrinsic, sign_extrinsic
from runtime.header import Block, DigestItem, DigestKind, Header, encode_body
from runtime.interface.errors import InvalidBlock, InvalidTransaction
from runtime.interface.events import EVENT_RECORDS
from runtime.interface.storage import StorageValue
from runtime.keys import AddressError, SecretError, key_pair_from_uri, parse_account, ss58_encode
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, HexError, Slot, blake2b_256, from_hex, to_hex
from runtime.scale import ScaleError
from runtime.trie import StateVersion, Trie
from runtime.trie.proof import ProofError, verify_proof
from storage import records
from storage.errors import StorageError
from tests.support.small_chain import register_item, submit_rating, submit_ratings
from tests.support.voting_chain import QUICK, VotingChain

Decode = Callable[[bytes], object]

MODULES: Final = (
    "p2p.wire", "p2p.gossip", "node.sync.messages", "node.sync.votes", "runtime.header", "runtime.extrinsic",
    "storage.records",
)  # fmt: skip
"""Where whatever takes bytes and is called like a decoder is one."""
_NAMES: Final = ("decode", "split")
_VALUES: Final = 4
"""Samples of each kind of value in the state."""
_REFUSALS: Final = (FrameError, MessageError, ScaleError, StorageError)


@dataclass(frozen=True, slots=True)
class Decoder:
    """One of them: the errors that it may raise, and what it should take, to be cut and changed.

    `encode` is given where every value has one form: then whatever is taken encodes to the same bytes.
    """

    name: str
    decode: Decode
    errors: tuple[type[Exception], ...]
    samples: Sequence[bytes]
    encode: Callable[[Any], bytes] | None = None


# What honest nodes would have written.

ALICE: Final = key_pair_from_uri("//Alice", Scheme.ED25519)
NAME: Final = Hash(bytes(range(32)))
REF: Final = BlockRef(BlockNumber(7), NAME)
ITEMS: Final = (
    *claim_digest(Slot(300), ALICE.public, 77),
    DigestItem(DigestKind.CONSENSUS, b"rrbn", bytes(40)),
    DigestItem(DigestKind.SEAL, b"rrbn", bytes(64)),
)
HEADER: Final = Header(NAME, BlockNumber(300), ZERO_HASH, NAME, ITEMS)
CALLS: Final = (submit_rating(3, 1), submit_ratings([(1, 1), (2, -1)]), register_item("Dark"))
SIGNED: Final = tuple(
    sign_extrinsic(key_pair_from_uri("//Alice", scheme), call, IMMORTAL, 5, 1, 1, NAME, NAME)
    for call in CALLS
    for scheme in Scheme
)
BLOCK: Final = Block(HEADER, SIGNED)
VOTES: Final = tuple(
    Vote(ALICE.public, CheckpointId(epoch, NAME), CheckpointId(epoch + 1, NAME), bytes(64)) for epoch in (3, 4)
)
PEER: Final = str(peer_id_from_seed(bytes(32)))
FRAMES: Final = tuple(
    wire.encode(frame)[wire.LENGTH_BYTES :]
    for frame in (
        wire.Hello(1, 30333, b"hello"),
        wire.Request(7, 1, b"payload"),
        wire.Answer(7, b"payload"),
        wire.Refusal(7, "no"),
        wire.Ping(3),
        wire.Pong(3),
        wire.Peers(((PEER, "/ip4/10.0.0.1/tcp/30333"),)),
        wire.Bye("done"),
    )
)

# Samples by the module and the name of a decoder that is found by itself.
_SAMPLES: Final[dict[str, Sequence[bytes]]] = {
    "p2p.wire.decode": FRAMES,
    "p2p.gossip.split": (b"", b"\0\0\0\3abc\0\0\0\0", b"\0\0\1\0" + bytes(256)),
    "node.sync.messages.Handshake.decode": (Handshake(REF, REF).encode(),),
    "node.sync.messages.Announcement.decode": (
        Announcement(HEADER, SIGNED, ()).encode(),
        Announcement(HEADER, SIGNED[:1], (NAME, ZERO_HASH)).encode(),
    ),
    "node.sync.messages.BlocksRequest.decode": (BlocksRequest((NAME, ZERO_HASH), 128).encode(),),
    "node.sync.messages.HeadersRequest.decode": (HeadersRequest((NAME, ZERO_HASH), 512).encode(),),
    "node.sync.messages.VotesRequest.decode": (VotesRequest(BlockNumber(5), BlockNumber(9)).encode(),),
    "node.sync.messages.VotesAnswer.decode": (VotesAnswer(BlockNumber(9), tuple(VOTES)).encode(),),
    "node.sync.messages.StateRequest.decode": (StateRequest(NAME, None).encode(), StateRequest(NAME, b"key").encode()),
    "node.sync.messages.StateAnswer.decode": (StateAnswer(((b"key", b"value"),), (b"node",), False).encode(),),
    "node.sync.messages.decode_headers": (encode_headers([HEADER.encode()] * 2),),
    "node.sync.messages.BodyRequest.decode": (BodyRequest(NAME, (ZERO_HASH,)).encode(),),
    "node.sync.messages.decode_blocks": (encode_blocks([(HEADER.encode(), encode_body(SIGNED))] * 2),),
    "node.sync.messages.split_hashes": (NAME + ZERO_HASH,),
    "node.sync.messages.decode_extrinsics": (encode_body(SIGNED),),
    "node.sync.votes.decode_votes": (encode_votes(VOTES, 3),),
    "node.sync.votes.split_votes": (encode_votes(VOTES, 3),),
    "runtime.header.DigestItem.decode": tuple(item.encode() for item in ITEMS),
    "runtime.header.Header.decode": (HEADER.encode(),),
    "runtime.header.Block.decode": (BLOCK.encode(),),
    "runtime.header.decode_body": (encode_body(SIGNED),),
    "runtime.extrinsic.Era.decode": (b"\0", b"\x05\x01"),
    "runtime.extrinsic.Extrinsic.decode": SIGNED,
    "storage.records.Identity.decode": (records.Identity(NAME, 256).encode(), records.Identity(NAME, None).encode()),
    "storage.records.Head.decode": (records.Head(REF, BlockNumber(3)).encode(),),
    "storage.records.Progress.decode": (records.Progress(NAME, BlockNumber(9), REF, b"key", has_state=True).encode(),),
    "storage.records.decode_finalized": (records.encode_finalized(REF),),
    "storage.records.decode_undo": (records.encode_undo(NAME, {b"a": None, b"b": b"value"}),),
    "storage.records.decode_replaced": (b"\0", b"\1value"),
}
_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "runtime.header.DigestItem.decode": DigestItem.encode,
    "runtime.header.Header.decode": Header.encode,
    "runtime.header.Block.decode": Block.encode,
    "runtime.header.decode_body": encode_body,
    "runtime.extrinsic.Era.decode": Era.encode,
    "runtime.extrinsic.Extrinsic.decode": Extrinsic.encode,
}


def _found() -> Iterator[Decoder]:
    """Walk the decoders of `MODULES`."""
    for module in map(importlib.import_module, MODULES):
        places: list[tuple[str, object]] = [(module.__name__, module)]
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__:
                places.append((f"{module.__name__}.{name}", kind))
        for path, place in places:
            for name, function in vars(place).items():
                decode = function.__func__ if isinstance(function, staticmethod) else function
                if not inspect.isfunction(decode) or decode.__module__ != module.__name__:
                    continue
                if name.startswith(_NAMES):
                    whole = f"{path}.{name}"
                    errors = (*_REFUSALS, ValueError) if whole == "p2p.gossip.split" else _REFUSALS
                    yield Decoder(
                        whole, _of_bytes(decode), errors, _SAMPLES.get(whole, (bytes(64),)), _ENCODERS.get(whole)
                    )


def _of_bytes(decode: Callable[..., object]) -> Decode:
    """A record that belongs to a block takes that too."""
    count = len(inspect.signature(decode).parameters)
    return decode if count == 1 else lambda data: decode(data, REF)


# Those that are not called like one, or need something else.


@cache
def _runtime() -> Runtime:
    return genesis(load_spec("local")).runtime


def _prepared(data: bytes) -> object:
    return _runtime().prepare(data)


def _call(data: bytes) -> object:
    return _runtime().decode_call(data)


def _claim(data: bytes) -> object:
    return read_claim_digest(Header.decode(data).digest)


_TRIE: Final = Trie.from_items([(bytes((number, number)), bytes(40)) for number in range(30)], StateVersion.V1)
_PROOF: Final = _TRIE.prove([b"\1\1"], lambda _key: bytes(40))


def _proof(data: bytes) -> object:
    """A list of nodes as a proof."""
    try:
        nodes = split(data)
    except ValueError:
        return None
    return verify_proof(_TRIE.root(), nodes, [b"\1\1"])


def _node(data: bytes) -> object:
    """The first node of a proof that somebody has made up, root and all."""
    rest = [node for node in _PROOF if node != data]
    return verify_proof(blake2b_256(data), [data, *rest], [b"\1\1"])


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


@lru_cache(maxsize=1)
def _directory() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - where there is one, it is quicker
    keeper = tempfile.TemporaryDirectory(prefix="mfchain-decoders-", dir=memory if memory.is_dir() else None)
    _keepers.append(keeper)
    return Path(keeper.name)


_keepers: Final[list[tempfile.TemporaryDirectory[str]]] = []


def _file(data: bytes, name: str, read: Callable[[Path], object]) -> object:
    """Bytes in a file."""
    path = _directory() / name
    path.write_bytes(data)
    return read(path)


def _peer_records(path: Path) -> object:
    book = PeerBook(Timing(), lambda: 1_000.0, random.Random(1))  # noqa: S311
    book.restore(JsonRecords(path).load())
    json.dumps(book.dump(), allow_nan=False)
    return book.candidates()


def _progress(path: Path) -> object:
    return read_record(path.with_name(path.name.removesuffix(".progress.json")))


def _blocks_of_file(data: bytes) -> list[Block]:
    return list(read_blocks(io.BytesIO(data)))


def _block_file() -> bytes:
    stream = io.BytesIO()
    for _ in range(2):
        write_block(stream, BLOCK)
    return stream.getvalue()


_KINDS: Final = [value for value in vars(parameters).values() if isinstance(value, parameters.Kind)]


def _parameters(data: bytes) -> object:
    """A JSON value as every kind of parameter there is; one that is no JSON never gets there."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    taken = []
    for kind in _KINDS:
        try:
            taken.append(kind.parse(value))
        except (ValueError, RpcError) as error:
            taken.append(str(error))
    return taken


_DISPATCHER: Final = Dispatcher(
    [Method("echo", lambda _call, value: value, (parameters.Param("value", parameters.TEXT),))]
)
_SERVER: Final = SimpleNamespace(limits=RpcLimits(), unsafe_allowed=False, limiter=None)


def _dispatched(data: bytes) -> object:
    """A body as JSON-RPC: there is an answer to everything, and it is JSON-RPC."""
    answer = _DISPATCHER.dispatch(data, Call(cast(Any, _SERVER), cast(Any, None)))
    if isinstance(answer, bytes):
        whole = orjson.loads(answer)
        assert all("result" in one or "error" in one for one in (whole if isinstance(whole, list) else [whole]))
    elif inspect.iscoroutine(answer):
        answer.close()
    return answer


_ADDRESSES: Final = (f"/ip4/1.2.3.4/tcp/30333/p2p/{PEER}".encode(), b"/ip6/::1/tcp/1", b"/dns4/a.example/tcp/443")
_KEY_FILE: Final = json.dumps(
    {"scheme": "ed25519", "account": ss58_encode(ALICE.public), "secretUri": "//Alice"}
).encode()
_PEERS_FILE: Final = json.dumps(
    {"version": 1, "peers": {PEER: {"score": -3.5, "bans": 1, "addresses": ["/ip4/1.2.3.4/tcp/1"], "seenAt": 7}}}
).encode()
_PROGRESS_FILE: Final = json.dumps(
    {"version": 1, "genesis": to_hex(NAME), "file_digest": "ab", "prefix": "//user", "batch": 9, "window": 9}
    | {"first_nonces": {"1": 2}}
).encode()
_REQUEST: Final = b'{"jsonrpc":"2.0","id":1,"method":"echo","params":["x"]}'


def _listed() -> Iterator[Decoder]:
    """Walk all others."""
    yield Decoder("an extrinsic for the pool", _prepared, (InvalidTransaction,), SIGNED)
    yield Decoder("a call", _call, (ScaleError,), [*CALLS, bytes((5, 0)) + bytes(12)])
    yield Decoder("a block's claim", _claim, (ScaleError, InvalidBlock), [HEADER.encode()])
    yield Decoder("a proof", _proof, (ProofError,), [join(_PROOF)])
    yield Decoder(
        "a node of a proof", _node, (ProofError,), [node for node in _PROOF if blake2b_256(node) == _TRIE.root()]
    )
    changes = Changes((ALICE.public,), (), (), (ALICE.public,), (), (), 3, NAME)
    yield Decoder("changes of the ring", CHANGES.decode, (ScaleError,), [CHANGES.encode(changes)], CHANGES.encode)
    record = signing_records._RECORD
    samples = [record.encode(SigningRecord(Slot(7), 3, 4)), record.encode(SigningRecord(Slot(7), 3, 4, 5, True))]
    yield Decoder("the signing record", record.decode, (ScaleError,), samples, record.encode)
    yield from _of_state()
    yield from _of_text()
    yield from _of_files()
    yield Decoder("a JSON-RPC body", _dispatched, (), [_REQUEST, b"[" + _REQUEST + b"," + _REQUEST + b"]"])
    yield Decoder("a JSON-RPC answer", read_answer, (), [b'{"jsonrpc":"2.0","id":1,"result":[1,2.5,null]}'])
    values = [b'"0x00"', b"[1,2,3]", b'{"order":"mean"}', b'[["0x00",1]]', b"18446744073709551616", b'"//Alice"']
    yield Decoder("JSON-RPC parameters", _parameters, (), values)


def _chain() -> VotingChain:
    """A short chain with something of each kind in its state."""
    chain = VotingChain(rules=replace(QUICK, epoch_slots=2))
    chain.step(3, *(chain.sign(name, submit_rating(0, 1)) for name in ("Alice", "Bob")))
    chain.step(4, chain.join("Dave"))
    chain.step(7, chain.sign("Alice", submit_rating(1, 1)))
    chain.step(8, chain.join("Eve"))
    return chain


def _of_state() -> Iterator[Decoder]:
    """Walk the codecs of the state, which fast sync takes from others; one form each."""
    chain = _chain()
    entries = [(pallet.name, entry) for pallet in chain.runtime.pallets for entry in pallet.storage]
    seen = {id(EVENT_RECORDS)}  # events are written only
    for pallet, entry in entries:
        codec = entry.codec
        if id(codec) in seen:
            continue
        seen.add(id(codec))
        prefix = entry.key if isinstance(entry, StorageValue) else entry.prefix
        values = [value for _, value in chain.state.items(prefix)][:_VALUES]
        yield Decoder(f"state {pallet}.{entry.name}", codec.decode, (ScaleError,), values, codec.encode)


def _of_text() -> Iterator[Decoder]:
    peer = lambda data: check_peer_id(_text(data))  # noqa: E731
    yield Decoder("an address", lambda data: parse_address(_text(data)), (PeerAddressError,), _ADDRESSES)
    yield Decoder("a peer id", peer, (PeerAddressError,), [PEER.encode()])
    yield Decoder("hexadecimal digits", lambda data: from_hex(_text(data)), (HexError,), [b"0x00ff", b"0xABCD"])
    accounts = [ss58_encode(ALICE.public).encode(), to_hex(ALICE.public).encode()]
    yield Decoder("an account", lambda data: parse_account(_text(data)), (AddressError,), accounts)
    uris = [b"//Alice", b"0x" + b"11" * 32 + b"//a//1", b"//Bob//stash"]
    for scheme in Scheme:
        read = partial(_uri, scheme=scheme)
        yield Decoder(f"a secret URI, {scheme.name.lower()}", read, (SecretError,), uris)


def _uri(data: bytes, scheme: Scheme) -> object:
    return key_pair_from_uri(_text(data), scheme)


def _of_files() -> Iterator[Decoder]:
    small = render(load_spec("dev"))
    key_errors = (DocumentError, SecretError, AddressError)
    yield Decoder("a chain specification", parse_spec, (SpecError,), [small])
    yield Decoder("a key file", keystore._parse, key_errors, [_KEY_FILE])
    read_key = partial(_file, name="node_key", read=node_key._read)
    yield Decoder("a node key file", read_key, (NodeError,), [b"11" * 32 + b"\n"])
    yield Decoder("a file of blocks", _blocks_of_file, (StreamError,), [_block_file()])
    read_peers = partial(_file, name="peers.json", read=_peer_records)
    yield Decoder("the peers' file", read_peers, (), [_PEERS_FILE])
    stars = Scale(1, 5, 1)
    read_csv = partial(_file, name="ratings.csv", read=lambda path: read_ratings(path, stars))
    yield Decoder("a file of ratings", read_csv, (CommandError,), [b"user,item,rating\n1,2,3\n4,5,5,99\n"])
    read_names = partial(_file, name="titles.csv", read=read_titles)
    yield Decoder("a file of titles", read_names, (CommandError,), [b'1,Dark\n2,"Veep, again"\n'])
    progress = progress_path(Path("import.csv")).name
    read_progress = partial(_file, name=progress, read=_progress)
    yield Decoder("the record of an import", read_progress, (CommandError,), [_PROGRESS_FILE])


DECODERS: Final = (*_found(), *_listed())


# Throwing something at them.

_TOKENS: Final = (
    b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\x03\xff\xff\xff\xff", b"\x00", b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91" * 600, b"[" * 600, b'{"a":' * 300, b"1e999", b"9" * 5_000,
    b"\xed\xa0\x80", b'"\\ud800"', b"NaN", b"-0", b"//", b"/p2p/",
)  # fmt: skip
"""Lengths that claim much, nesting, and texts that have been somebody's undoing."""


def mutated(sample: bytes, seed: int) -> bytes:
    """Return a sample with one to four things wrong with it."""
    rng = random.Random(seed)  # noqa: S311 - it must come back the same
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.randrange(256)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + rng.choice((1, 4, 32))]
            case 4:
                data[at:at] = rng.randbytes(rng.choice((1, 4, 32)))
            case 5:
                data[at:at] = data[at : at + 64]
            case _:
                token = rng.choice(_TOKENS)
                data[at : at + rng.choice((0, len(token)))] = token
    return bytes(data)


def throw(decoder: Decoder, data: bytes) -> bool:
    """Give a decoder something to decode; tell whether it took it. Whatever it may not raise comes out of here."""
    try:
        value = decoder.decode(data)
    except decoder.errors:
        return False
    if decoder.encode is not None:
        assert decoder.encode(value) == data, f"{decoder.name}: {data.hex()} is another form of the same"
    return True


def allocated_by(decoder: Decoder, inputs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Throw inputs, and tell of each how many bytes were allocated at the most."""
    tracemalloc.start(1)
    try:
        for data in inputs:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            throw(decoder, data)
            yield tracemalloc.get_traced_memory()[1] - before, data
    finally:
        tracemalloc.stop()


def main(count: int, *beginnings: str) -> None:
    """Throw so many random inputs at each decoder, or those whose names begin like that; print what came of it."""
    for decoder in DECODERS:
        if not decoder.name.startswith(beginnings or ("",)):
            continue
        rng, slowest, taken = random.Random(decoder.name), 0.0, 0  # noqa: S311
        began = time.process_time()
        for number in range(count):
            sample = rng.choice(decoder.samples) if number % 8 else b""
            data = mutated(sample, rng.getrandbits(64)) if sample else rng.randbytes(rng.randrange(200))
            start = time.process_time()
            taken += throw(decoder, data)
            slowest = max(slowest, time.process_time() - start)
        spent = (time.process_time() - began) / count
        sys.stdout.write(
            f"{decoder.name}: {count} inputs, {taken / count:.1%} taken, {spent * 1e6:.0f} us each, "
            f"{slowest * 1e3:.1f} ms the slowest\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
