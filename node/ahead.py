"""Blocks that come one after the other, the signatures of the next one checked while this one is executed."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeAlias

from node.signatures import signature_checks
from runtime.executive import BlockHashes, SignatureCheck
from runtime.header import Block
from runtime.primitives import BlockNumber, Hash
from runtime.version import RuntimeVersion

THREADS: Final = 2

_Waiting: TypeAlias = tuple[Block, list[Future[int | None]]]


def checked_ahead(
    blocks: Iterable[Block], version: RuntimeVersion, block_hash: BlockHashes, check: SignatureCheck
) -> Generator[Block, None, None]:
    """Hand out blocks as they come, each when its signatures have been asked for in `check`.

    Whoever executes a block uses the same `check`, normally a `VerifiedSignatures`, and so decides by itself: what is
    found bad here, or could not be judged before the block's ancestors were known, is looked at again there.

    Args:
        blocks: by ascending number; the next one is read before this one is handed out.
        version: that of the runtime that executes them.
        block_hash: hashes of blocks that the chain has already; called in the threads.
        check: who decides about signatures.
    """
    announced: dict[BlockNumber, Hash] = {}

    def hash_of(number: BlockNumber) -> Hash | None:
        return announced.get(number) or block_hash(number)

    def ready(waiting: _Waiting) -> Block:
        block, checks = waiting
        wait(checks)
        return block

    with ThreadPoolExecutor(THREADS, thread_name_prefix="signatures") as threads:
        source = iter(blocks)
        waiting: _Waiting | None = None
        failure: BaseException | None = None
        try:
            while True:
                try:
                    block = next(source, None)
                except BaseException as error:
                    # The next block cannot be had; the one in hand is good nevertheless.
                    block, failure = None, error
                if block is None:
                    break
                number = block.header.number
                announced[BlockNumber(number - 1)] = block.header.parent_hash
                announced.pop(BlockNumber(number - 3), None)
                checks = signature_checks(block.extrinsics, number, version, hash_of, check)
                pending = [threads.submit(chunk) for chunk in checks]
                if waiting is not None:
                    yield ready(waiting)
                waiting = block, pending
            if waiting is not None:
                yield ready(waiting)
            if failure is not None:
                raise failure
        finally:
            threads.shutdown(cancel_futures=True)
