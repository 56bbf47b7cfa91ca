"""Transactions on their way into the pool, from RPC clients and from peers: checked in threads, many at a time."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from node.authoring import Bell
from node.chain import Chain
from node.executor import Executor
from node.inbox import Inbox, Submission
from node.pool import PoolRefused, TransactionPool
from node.refusals import as_rpc_error
from node.signatures import VerifiedSignatures
from runtime.executive import TransactionValidator, ValidTransaction
from runtime.extrinsic import extrinsic_hash
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import Hash, to_hex

log = logging.getLogger(__name__)

_SUBMISSIONS_AT_ONCE: Final = 256

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
        """Check transactions and put the good ones into the pool."""
        outcomes: list[Outcome | None] = [self._known(raw) for raw in transactions]
        unknown = [raw for raw, outcome in zip(transactions, outcomes, strict=True) if outcome is None]
        if unknown:
            checked = iter(await self._executor.aside(self._check, unknown))
            validator = self._chain.validator()
            outcomes = [self._admit(next(checked), validator) if outcome is None else outcome for outcome in outcomes]
        if self._pool.has_ready:
            self._has_ready.ring()
        return [outcome for outcome in outcomes if outcome is not None]

    def _known(self, raw: bytes) -> PoolRefused | None:
        """Say why the pool would refuse a transaction whatever it says, before its signature is checked."""
        try:
            self._pool.check_new(extrinsic_hash(raw))
        except PoolRefused as error:
            return error
        return None

    def _check(self, transactions: Sequence[bytes]) -> list[ValidTransaction | Exception]:
        """Decode and validate, in any thread."""
        validator = self._chain.validator(self._signatures)
        return [_checked(self._chain, validator, raw) for raw in transactions]

    def _admit(self, checked: ValidTransaction | Exception, validator: TransactionValidator) -> Outcome:
        """Put a checked transaction into the pool; the head may have moved since the check."""
        try:
            if isinstance(checked, Exception):
                return checked
            self._pool.add(checked, validator.nonce(checked.account))
        except (InvalidTransaction, PoolRefused) as error:
            return error
        return checked.prepared.hash

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


def _checked(chain: Chain, validator: TransactionValidator, raw: bytes) -> ValidTransaction | Exception:
    """Return the transaction, or why it cannot be taken; nothing that somebody sends may end the node."""
    try:
        return validator.validate(chain.runtime.prepare(raw))
    except InvalidTransaction as error:
        return error
    except Exception as error:
        log.exception("checking a transaction failed: %s", to_hex(raw[:256]))
        return error
