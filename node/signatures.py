"""Signatures that need not be checked again, and a block's signatures checked ahead of its execution.

A check costs more than all the rest of an ordinary transaction, and most of it runs outside the interpreter's
lock, so it goes to threads. What was found good is remembered: a transaction is checked when it comes in, and
not again, whoever builds the block it gets into.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from node.executor import Executor
from runtime.executive import BlockHashes, SignatureCheck, SignedPayloads, check_signature
from runtime.extrinsic import Extrinsic, Signature, extrinsic_hash
from runtime.header import MAX_EXTRINSICS
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import BlockNumber, Hash, blake2b_256
from runtime.scale import ScaleError
from runtime.version import RuntimeVersion

CHUNK: Final = 125
"""Extrinsics that one thread checks at a stretch: five milliseconds."""


class VerifiedSignatures:
    """A `SignatureCheck` that remembers the good ones, those used last, as many as the largest block has."""

    def __init__(self, capacity: int = MAX_EXTRINSICS, check: SignatureCheck = check_signature) -> None:
        """Remember nothing yet; `check` decides about what is not remembered."""
        self._capacity = capacity
        self._check = check
        # The extrinsic settles account, scheme and signature; the payload, what of the chain they cover.
        self._good: OrderedDict[Hash, None] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = 0
        self._misses = 0

    def __len__(self) -> int:
        """Count the signatures that are remembered."""
        return len(self._good)

    def __call__(self, extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        """Tell whether a signature is good, from memory if possible; in any thread."""
        known = blake2b_256(extrinsic + payload)
        with self._lock:
            if known in self._good:
                self._good.move_to_end(known)
                self._hits += 1
                return True
            self._misses += 1
        if not self._check(extrinsic, signature, payload):
            return False
        with self._lock:
            self._good[known] = None
            if len(self._good) > self._capacity:
                self._good.popitem(last=False)
        return True

    def metrics(self) -> dict[str, int]:
        """Return how many are remembered, how often that helped, and how often it did not."""
        with self._lock:
            return {"remembered": len(self._good), "hits": self._hits, "misses": self._misses}


def signature_checks(
    extrinsics: Sequence[bytes],
    number: BlockNumber,
    version: RuntimeVersion,
    block_hash: BlockHashes,
    check: SignatureCheck,
) -> list[Callable[[], int | None]]:
    """Cut the check of a block's signatures into functions of `CHUNK` extrinsics each, for any threads.

    Each returns the index in the block of its first extrinsic that is malformed or wrongly signed, or None.
    That is as true as what `block_hash` says; execution looks again at what it does not find in `check`.

    Args:
        extrinsics: the body of the block.
        number: the height of the block.
        version: that of the runtime that executes it.
        block_hash: hashes of block 0 and of those before this one; called in the threads.
        check: normally a `VerifiedSignatures`, which execution then asks.
    """
    payloads = SignedPayloads(version, number, block_hash)

    def check_chunk(first: int) -> int | None:
        for index in range(first, min(first + CHUNK, len(extrinsics))):
            raw = extrinsics[index]
            try:
                extrinsic = Extrinsic.decode(raw)
                signature = extrinsic.signature
                if signature is None:
                    continue
                payload = payloads.of(extrinsic.call, signature)
            except (ScaleError, InvalidTransaction):
                return index
            if not check(extrinsic_hash(raw), signature, payload):
                return index
        return None

    return [partial(check_chunk, first) for first in range(0, len(extrinsics), CHUNK)]


async def verify_block_signatures(
    executor: Executor,
    extrinsics: Sequence[bytes],
    number: BlockNumber,
    version: RuntimeVersion,
    block_hash: BlockHashes,
    check: SignatureCheck,
) -> int | None:
    """Run `signature_checks` while the block before is executed; return the first bad index, if any."""
    checks = signature_checks(extrinsics, number, version, block_hash, check)
    found: list[int] = []

    async def run(chunk: Callable[[], int | None]) -> None:
        bad = await executor.aside(chunk)
        if bad is not None:
            found.append(bad)

    async with trio.open_nursery() as nursery:
        for chunk in checks:
            nursery.start_soon(run, chunk)
    return min(found, default=None)
