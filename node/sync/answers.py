"""What a node answers its peers: blocks, bodies, and what is in its pool."""

from collections.abc import Callable, Mapping
from typing import Final

from node.chain import Chain
from node.executor import Executor
from node.pool import TransactionPool
from node.sync.messages import (
    ANSWER_SIZE,
    BLOCKS,
    BODY,
    POOL,
    TRANSACTIONS,
    BlocksRequest,
    BodyRequest,
    MessageError,
    encode_blocks,
    encode_extrinsics,
    encode_hashes,
    split_hashes,
)
from p2p.network import Refuse
from runtime.extrinsic import extrinsic_hash
from runtime.header import Block, encode_body
from runtime.primitives import BlockNumber, Hash, to_hex

FindBlock = Callable[[Hash], Block | None]

_POOL_HASHES: Final = POOL.max_response // 32


class Answers:
    """Answers by request kind. Reads of the database go to the executor."""

    def __init__(self, chain: Chain, pool: TransactionPool, executor: Executor, assembled: FindBlock) -> None:
        """`assembled` finds a block that has come in but is not stored yet."""
        self._chain = chain
        self._pool = pool
        self._executor = executor
        self._assembled = assembled

    async def to(self, kind: int, payload: bytes) -> bytes:
        """Answer a request.

        Raises:
            MessageError: no honest peer asks like that.
            Refuse: what is asked for is not here.
        """
        if kind == BLOCKS.code:
            return await self._executor.for_peers(self._blocks, BlocksRequest.decode(payload))
        if kind == BODY.code:
            return await self._executor.for_peers(self._body, BodyRequest.decode(payload))
        if kind == POOL.code:
            return encode_hashes(self._pool.hashes()[:_POOL_HASHES])
        if kind == TRANSACTIONS.code:
            return self._transactions(split_hashes(payload))
        raise Refuse(f"there is no request of kind {kind}")

    def _blocks(self, request: BlocksRequest) -> bytes:
        """Blocks of the best chain behind the first known place of the locator."""
        database = self._chain.database
        for place in request.locator:
            header = database.header(place)
            if header is not None and database.hash_at(header.number) == place:
                break
        else:
            raise Refuse("no block of the locator is on the best chain")
        found: list[tuple[bytes, bytes]] = []
        size = 0
        for number in range(header.number + 1, header.number + 1 + request.most):
            name = database.hash_at(BlockNumber(number))
            block = None if name is None else database.block(name)
            # The best chain may change meanwhile: an answer is one chain, however short.
            if block is None or block.header.parent_hash != place:
                break
            pair = (block.header.encode(), encode_body(block.extrinsics))
            size += len(pair[0]) + len(pair[1])
            if found and size > ANSWER_SIZE:
                break
            found.append(pair)
            place = block.header.hash()
        return encode_blocks(found)

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
