"""Transactions on their way into the pool, from RPC clients and from peers: checked in threads, many at a time."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import trio

from node.authoring import Bell
from node.chain import Chain
from node.executor import Executor
from node.inbox import Inbox, Submission
from node.pool import PoolRefused, TransactionPool
from node.refusals import as_rpc_error
from node.signatures import CHUNK, VerifiedSignatures
from runtime.executive import TransactionValidator, ValidTransaction
from runtime.extrinsic import extrinsic_hash
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import Hash, to_hex

log = logging.getLogger(__name__)

_SUBMISSIONS_AT_ONCE: Final = 256

T = TypeVar("T")

_Checked: TypeAlias = ValidTransaction | Exception

Outcome: TypeAlias = Hash | Exception
"""What came of a transaction: its hash if the pool has taken it, else why not."""


class Intake:
    """The one way into the pool. Everything but the checks runs in the main loop's thread."""

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        executor: Executor,
        signatures: VerifiedSignatures,
        has_ready: Bell,
    ) -> None:
        """Ring `has_ready` whenever the pool has something for a block."""
        self._chain = chain
        self._pool = pool
        self._executor = executor
        self._signatures = signatures
        self._has_ready = has_ready

    async def serve(self, inbox: Inbox, relay: Callable[[bytes], None]) -> None:
        """Take what RPC clients hand in, and pass on what the pool has taken; runs until cancelled."""
        while True:
            batch = await inbox.take(_SUBMISSIONS_AT_ONCE)
            outcomes = await self.take([submission.raw for submission in batch])
            for submission, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    submission.answer(_as_answer(submission, outcome))
                    continue
                submission.answer(self._watched(submission, Hash(outcome)))
                relay(submission.raw)

    async def take(self, transactions: Sequence[bytes]) -> list[Outcome]:
        """Check transactions and put the good ones into the pool.

        What costs little to find out comes first: a signature is checked only if all else is right and there is room.
        """
        refusals = [self._known(raw) for raw in transactions]
        validator = self._chain.validator(self._signatures)
        unknown = [raw for raw, refusal in zip(transactions, refusals, strict=True) if refusal is None]
        checked = iter(await self._check(validator, unknown))
        # The head may have moved since the check.
        now = None if validator.parent == self._chain.snapshot.best else self._chain.validator()
        outcomes = [self._admit(next(checked), now) if refusal is None else refusal for refusal in refusals]
        if self._pool.has_ready:
            self._has_ready.ring()
        return outcomes

    def _known(self, raw: bytes) -> PoolRefused | None:
        """Say why the pool would refuse a transaction whatever it says."""
        try:
            self._pool.check_new(extrinsic_hash(raw))
        except PoolRefused as error:
            return error
        return None

    async def _check(self, validator: TransactionValidator, transactions: Sequence[bytes]) -> list[_Checked]:
        """Decode and validate in threads; whether there is room is found out here."""
        if not transactions:
            return []
        examined = await self._executor.aside(self._examine, validator, transactions)
        checked = [self._placed(transaction) for transaction in examined]
        good = [(place, found) for place, found in enumerate(checked) if isinstance(found, ValidTransaction)]

        async def prove(some: Sequence[tuple[int, ValidTransaction]]) -> None:
            proven = await self._executor.aside(_prove, validator, [transaction for _, transaction in some])
            for (place, _), outcome in zip(some, proven, strict=True):
                checked[place] = outcome

        async with trio.open_nursery() as nursery:
            for first in range(0, len(good), CHUNK):
                nursery.start_soon(prove, good[first : first + CHUNK])
        return checked

    def _examine(self, validator: TransactionValidator, transactions: Sequence[bytes]) -> list[_Checked]:
        """Decode and check all but the signatures, in any thread."""

        def examined(raw: bytes) -> ValidTransaction:
            return validator.examine(self._chain.runtime.prepare(raw))

        return [_attempt(examined, raw, raw) for raw in transactions]

    def _placed(self, transaction: _Checked) -> _Checked:
        """Say if the pool would refuse a transaction that is well signed."""
        if isinstance(transaction, ValidTransaction):
            try:
                self._pool.check_place(transaction, transaction.expected)
            except (InvalidTransaction, PoolRefused) as error:
                return error
        return transaction

    def _admit(self, transaction: _Checked, now: TransactionValidator | None) -> Outcome:
        """Put a checked transaction into the pool; `now` knows the nonces, if they are others than at the check."""
        if isinstance(transaction, Exception):
            return transaction
        try:
            self._pool.add(transaction, transaction.expected if now is None else now.nonce(transaction.account))
        except (InvalidTransaction, PoolRefused) as error:
            return error
        return transaction.prepared.hash

    def _watched(self, submission: Submission, extrinsic: Hash) -> Outcome:
        """Let who submitted a transaction hear of it, if it wants to."""
        if submission.listener is not None:
            try:
                self._pool.watch(extrinsic, submission.listener)
            except PoolRefused as error:
                return _as_answer(submission, error)
        return extrinsic


def _as_answer(submission: Submission, error: Exception) -> Exception:
    """Say it in the words of JSON-RPC, where it is the transaction's fault."""
    if isinstance(error, InvalidTransaction | PoolRefused):
        return as_rpc_error(error, extrinsic_hash(submission.raw))
    return error


def _prove(validator: TransactionValidator, transactions: Sequence[ValidTransaction]) -> list[_Checked]:
    """Check signatures, in any thread."""

    def proven(transaction: ValidTransaction) -> ValidTransaction:
        validator.prove(transaction)
        return transaction

    return [_attempt(proven, transaction, transaction.prepared.raw) for transaction in transactions]


def _attempt(check: Callable[[T], ValidTransaction], of: T, raw: bytes) -> _Checked:
    """Return the transaction, or why it cannot be taken; nothing that somebody sends may end the node."""
    try:
        return check(of)
    except InvalidTransaction as error:
        return error
    except Exception as error:
        log.exception("checking a transaction failed: %s", to_hex(raw[:256]))
        return error
