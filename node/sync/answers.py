"""What a node answers its peers: blocks and parts of them, states in ranges, and what is in its pool."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio

from node.chain import Chain
from node.executor import Executor
from node.pool import TransactionPool
from node.sync.messages import (
    ANSWER_SIZE,
    BLOCKS,
    BODY,
    HEADERS,
    MAX_ANSWERED_VOTES,
    MAX_PAIRS,
    POOL,
    STATE,
    STATE_SIZE,
    TRANSACTIONS,
    UNKNOWN_PLACE,
    VOTES,
    BlocksRequest,
    BodyRequest,
    HeadersRequest,
    MessageError,
    StateAnswer,
    StateRequest,
    VotesAnswer,
    VotesRequest,
    encode_blocks,
    encode_extrinsics,
    encode_hashes,
    encode_headers,
    split_hashes,
)
from node.witness import votes_of
from p2p.network import Refuse
from pallets.finality.votes import Vote
from runtime.extrinsic import extrinsic_hash
from runtime.header import Block, Header, encode_body
from runtime.interface.state import StateReader
from runtime.primitives import BlockNumber, Hash, to_hex
from runtime.trie import Trie
from storage.errors import StatePruned, UnknownBlock

FindBlock = Callable[[Hash], Block | None]

_POOL_HASHES: Final = POOL.max_response // 32
_SERVED_FOR: Final = 30.0
"""Seconds without a question for which the state is kept that was asked for last."""
_PAUSE_FACTOR: Final = 4.0
"""Another state is made ready only after so many times the time that the last one took."""


@dataclass(frozen=True, slots=True)
class Served:
    """The state that a peer fetches; it stays as it is while the head moves on."""

    block: Hash
    state: StateReader
    trie: Trie


class Answers:
    """Answers by request kind. Reads of the database go to the executor."""

    def __init__(self, chain: Chain, pool: TransactionPool, executor: Executor, assembled: FindBlock) -> None:
        """`assembled` finds a block that has come in but is not stored yet."""
        self._chain = chain
        self._pool = pool
        self._executor = executor
        self._assembled = assembled
        self._reads: Mapping[int, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
            BLOCKS.code: (BlocksRequest.decode, self._blocks),
            BODY.code: (BodyRequest.decode, self._body),
            HEADERS.code: (HeadersRequest.decode, self._headers),
            VOTES.code: (VotesRequest.decode, self._votes),
        }
        """What is read from the database alone: how a question is read, and what answers it."""
        self._served: Served | None = None
        self._served_at = 0.0
        self._busy_until = float("-inf")

    async def to(self, kind: int, payload: bytes, spent: list[float] | None = None) -> bytes:
        """Answer a request.

        Args:
            kind: its code.
            payload: what is asked.
            spent: takes the processor time in seconds, also of an answer that there is not.

        Raises:
            MessageError: no honest peer asks like that.
            Refuse: what is asked for is not here.
        """
        spent = [] if spent is None else spent
        now = trio.current_time()
        if kind == STATE.code:
            self._served_at = now
        elif now - self._served_at > _SERVED_FOR:
            # A state that is read keeps the database from giving space back.
            self._served = None
        if kind in self._reads:
            decode, answer = self._reads[kind]
            return await self._executor.for_peers(self._timed, spent, answer, decode(payload))
        if kind == STATE.code:
            return await self._part_of_state(StateRequest.decode(payload), spent)
        if kind == POOL.code:
            return self._timed(spent, self._pool_hashes)
        if kind == TRANSACTIONS.code:
            return self._timed(spent, self._transactions, split_hashes(payload))
        raise Refuse(f"there is no request of kind {kind}")

    def _timed(self, spent: list[float], function: Callable[..., bytes], *arguments: Any) -> bytes:
        """Call a function, and note how much of this thread's time that has taken."""
        began = self._executor.cpu_time()
        try:
            return function(*arguments)
        finally:
            spent.append(self._executor.cpu_time() - began)

    def _pool_hashes(self) -> bytes:
        return encode_hashes(self._pool.hashes()[:_POOL_HASHES])

    def _blocks(self, request: BlocksRequest) -> bytes:
        """Blocks of the best chain behind the first known place of the locator."""
        database, found, size = self._chain.database, list[tuple[bytes, bytes]](), 0
        for name, header in self._behind(request.locator, request.most):
            extrinsics = database.body(name)
            if extrinsics is None:
                if not found:
                    raise Refuse(f"the body of block {header.number} is not kept here")
                break
            pair = (header.encode(), encode_body(extrinsics))
            size += len(pair[0]) + len(pair[1])
            if found and size > ANSWER_SIZE:
                break
            found.append(pair)
        return encode_blocks(found)

    def _headers(self, request: HeadersRequest) -> bytes:
        found: list[bytes] = []
        size = 0
        for _, header in self._behind(request.locator, request.most):
            encoded = header.encode()
            size += len(encoded)
            if found and size > ANSWER_SIZE:
                break
            found.append(encoded)
        return encode_headers(found)

    def _behind(self, locator: tuple[Hash, ...], most: int) -> Iterator[tuple[Hash, Header]]:
        """Walk the best chain behind the first place of a locator that is on it."""
        database = self._chain.database
        for place in locator:
            header = database.header(place)
            if header is not None and database.hash_at(header.number) == place:
                break
        else:
            raise Refuse(UNKNOWN_PLACE)
        for number in range(header.number + 1, header.number + 1 + most):
            name = database.hash_at(BlockNumber(number))
            header = None if name is None else database.header(name)
            # The best chain may change meanwhile: an answer is one chain, however short.
            if name is None or header is None or header.parent_hash != place:
                return
            yield name, header
            place = name

    def _votes(self, request: VotesRequest) -> bytes:
        """Votes that blocks of the best chain include."""
        database, found = self._chain.database, list[Vote]()
        last, size = None, 0
        for number in range(request.first, request.last + 1):
            name = database.hash_at(BlockNumber(number))
            extrinsics = None if name is None else database.body(name)
            if extrinsics is None:
                break
            size += sum(map(len, extrinsics))
            if last is not None and size > ANSWER_SIZE:
                break
            votes = votes_of(self._chain.runtime, extrinsics)
            if len(found) + len(votes) > MAX_ANSWERED_VOTES:
                break
            found += votes
            last = BlockNumber(number)
        if last is None:
            raise Refuse(f"the body of block {request.first} is not here")
        return VotesAnswer(last, tuple(found)).encode()

    async def _part_of_state(self, request: StateRequest, spent: list[float]) -> bytes:
        """Give a part of a state; making another one ready takes no more than a fifth of the time."""
        before, served = trio.current_time(), self._served
        if (served is None or served.block != request.block) and before < self._busy_until:
            raise Refuse("the state of another block is being given here")
        answer = await self._executor.for_peers(self._timed, spent, self._state, request)
        if self._served is not served:
            now = trio.current_time()
            self._busy_until = now + _PAUSE_FACTOR * (now - before)
        return answer

    def _state(self, request: StateRequest) -> bytes:
        """A part of a state, with its proof."""
        served = self._served
        if served is None or served.block != request.block:
            try:
                state = self._chain.database.state_at(request.block)
                served = Served(request.block, state, self._chain.database.trie_at(request.block))
            except (UnknownBlock, StatePruned) as error:
                raise Refuse(str(error)) from None
            self._served = served
        pairs: list[tuple[bytes, bytes]] = []
        size, is_last = 0, True
        for pair in served.state.items(b"", request.after):
            size += len(pair[0]) + len(pair[1])
            if pairs and (size > STATE_SIZE or len(pairs) == MAX_PAIRS):
                is_last = False
                break
            pairs.append(pair)
        proof = served.trie.prove_range(request.after, None if is_last else pairs[-1][0])
        return StateAnswer(tuple(pairs), tuple(proof), is_last).encode()

    def _body(self, request: BodyRequest) -> bytes:
        block = self._assembled(request.block)
        extrinsics = self._chain.database.body(request.block) if block is None else block.extrinsics
        if extrinsics is None:
            raise Refuse(f"block {to_hex(request.block)} is not here")
        if not request.extrinsics:
            return encode_extrinsics(extrinsics)
        if len(set(request.extrinsics)) != len(request.extrinsics):
            raise MessageError("a request that names an extrinsic twice")
        by_hash: Mapping[Hash, bytes] = {extrinsic_hash(raw): raw for raw in extrinsics}
        if any(name not in by_hash for name in request.extrinsics):
            raise Refuse(f"block {to_hex(request.block)} has no such extrinsic")
        return encode_extrinsics([by_hash[name] for name in request.extrinsics])

    def _transactions(self, hashes: tuple[Hash, ...]) -> bytes:
        found: list[bytes] = []
        size = 0
        for name in dict.fromkeys(hashes):
            transaction = self._pool.get(name)
            if transaction is None:
                continue
            raw = transaction.prepared.raw
            size += len(raw)
            if found and size > ANSWER_SIZE:
                break
            found.append(raw)
        return encode_extrinsics(found)
