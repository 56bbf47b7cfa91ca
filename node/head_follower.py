"""What follows from a new head: the pool lets go of what is in blocks, subscribers are told, the log has a line."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from node.chain import Chain, EnteredBlock, NewHead
from node.model_queries import model_summary
from node.pool import TransactionPool
from node.signatures import VerifiedSignatures
from rpc.service import BlockFinalized, BlockImported, ModelChanged, NodeEvent
from runtime.executive import ValidTransaction
from runtime.extrinsic import Extrinsic, extrinsic_hash, leading_unsigned
from runtime.header import Block
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import AccountId, BlockNumber, BlockRef, Hash, Nonce, to_hex

log = logging.getLogger(__name__)

Notify = Callable[[NodeEvent], None]

_MOST_RELAYED: Final = 1_024
"""Transactions of one retracted block that are passed on."""


@dataclass(frozen=True, slots=True)
class _News:
    """A block of the best chain, with its transactions, their hashes, and the nonces after it."""

    block: EnteredBlock
    transactions: Sequence[bytes]
    hashes: tuple[Hash, ...]
    nonce: Callable[[AccountId], Nonce]


@dataclass(frozen=True, slots=True)
class HeadNews:
    """A new head, and what takes time to find out of it."""

    head: NewHead
    returning: tuple[tuple[Hash, tuple[ValidTransaction, ...]], ...]
    """The blocks that have left, newest first, each with those of its transactions that could go into another."""
    entered: tuple[_News, ...]
    final: tuple[tuple[Hash, tuple[Hash, ...]], ...]
    """Blocks that are final since now, with the hashes of their transactions."""


class HeadFollower:
    """Tells everybody of what the chain has become, block after block.

    `prepare` is for the thread of the chain, right after the change; all else is for the main loop's.
    """

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        signatures: VerifiedSignatures,
        notify: Notify,
        relay: Callable[[bytes], None] = lambda _raw: None,
    ) -> None:
        """Take who is to be told; `relay` passes transactions on that have come back to the pool."""
        self._chain = chain
        self._pool = pool
        self._signatures = signatures
        self._notify = notify
        self._relay = relay
        self._final = chain.snapshot.finalized.number
        self.is_quiet = False
        """Whether blocks are old news, of which the log needs no line each."""

    def prepare(self, head: NewHead) -> HeadNews:
        """Find out what there is to tell of a new head."""
        returning = tuple((block.header.hash(), self._still_valid(block)) for block in head.retracted)
        entered = tuple(self._news(block) for block in head.entered)
        return HeadNews(head, returning, entered, tuple(self._final_since(head, entered)))

    def head(self, news: HeadNews) -> None:
        """The best chain has changed."""
        for block, transactions in news.returning:
            self._pool.on_retracted(block, transactions)
            # Those who have never seen the block do not have them, and this node may have no turn any more.
            for transaction in transactions[:_MOST_RELAYED]:
                self._relay(transaction.prepared.raw)
        for entered in news.entered:
            # Who signed is looked at only if the pool did not have all of them.
            self._pool.on_block(entered.block.ref, entered.hashes, entered.nonce, _signers(entered.transactions))
        for block, hashes in news.final:
            self._pool.on_finalized(block, hashes)
        for event in self._events(news.head):
            self._notify(event)
        self._write_log(news.head)

    def side_block(self, block: Block) -> None:
        """A block was executed that did not make the best chain better."""
        header = block.header
        ref = BlockRef(header.number, header.hash())
        self._notify(BlockImported(ref, header, is_best=False, changed_keys=()))
        log.debug("side block %d %s", ref.number, to_hex(ref.hash)[:10])

    def _final_since(self, head: NewHead, entered: Sequence[_News]) -> Iterator[tuple[Hash, tuple[Hash, ...]]]:
        """Return the blocks that have become final, with the hashes of their transactions."""
        if head.finalized is None:
            return
        database, known = self._chain.database, {news.block.ref.hash: news.hashes for news in entered}
        for number in range(self._final + 1, head.finalized.number + 1):
            name = database.hash_at(BlockNumber(number))
            if name is None:
                continue
            if name in known:
                yield name, known[name]
            elif (body := database.body(name)) is not None:
                yield name, tuple(extrinsic_hash(raw) for raw in body[leading_unsigned(body) :])
        self._final = head.finalized.number

    def _news(self, entered: EnteredBlock) -> _News:
        transactions = self._transactions(entered.block)
        hashes = tuple(extrinsic_hash(raw) for raw in transactions)
        state = self._chain.state_at(entered.ref.hash)
        return _News(entered, transactions, hashes, partial(self._chain.runtime.system.nonce, state))

    def _transactions(self, block: Block) -> Sequence[bytes]:
        """The extrinsics of a block that came from a pool."""
        return block.extrinsics[leading_unsigned(block.extrinsics) :]

    def _still_valid(self, block: Block) -> tuple[ValidTransaction, ...]:
        """The transactions of a retracted block that could go into another one."""
        validator = self._chain.validator(self._signatures)
        valid = []
        for raw in self._transactions(block):
            try:
                valid.append(validator.validate(self._chain.runtime.prepare(raw)))
            except InvalidTransaction:
                continue  # in the new branch already, or too old by now
        return tuple(valid)

    def _events(self, head: NewHead) -> Iterator[NodeEvent]:
        """Say what a new head means to subscribers."""
        yield BlockImported(head.ref, head.block.header, is_best=True, changed_keys=head.changed_keys)
        if head.finalized is not None and (header := self._chain.database.header(head.finalized.hash)) is not None:
            yield BlockFinalized(head.finalized, header)
        if head.model_changed:
            model = self._chain.snapshot.model
            yield ModelChanged(head.ref, model_summary(self._chain.spec, head.ref, model))

    def _write_log(self, head: NewHead) -> None:
        if head.retracted:
            first = head.entered[0].ref
            log.info(
                "another branch is better: %d blocks left the chain, %d entered it, from block %d %s on",
                len(head.retracted),
                len(head.entered),
                first.number,
                _short(first.hash),
            )
        if head.finalized not in (None, head.ref) and not self.is_quiet:
            log.info("block %d %s is final", head.finalized.number, _short(head.finalized.hash))
        if self.is_quiet:
            return
        failed = head.entered[-1].failed
        log.info(
            "block %d %s: %d transactions%s, %d ratings in all, %d waiting",
            head.ref.number,
            _short(head.ref.hash),
            len(self._transactions(head.block)),
            f" ({failed} failed)" if failed else "",
            self._chain.snapshot.model.record.ratings,
            len(self._pool),
        )


def _signers(transactions: Sequence[bytes]) -> Iterator[AccountId]:
    """The accounts whose transactions these are."""
    for raw in transactions:
        signature = Extrinsic.decode(raw).signature
        if signature is not None:
            yield signature.account


def _short(block: Hash) -> str:
    return to_hex(block)[:10]
