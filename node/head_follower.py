"""What follows from a new head: the pool lets go of what is in blocks, subscribers are told, the log has a line."""

import logging
from collections.abc import Callable, Iterator, Sequence

from node.chain import Chain, EnteredBlock, NewHead
from node.model_queries import model_summary
from node.pool import TransactionPool
from node.signatures import VerifiedSignatures
from rpc.service import BlockFinalized, BlockImported, ModelChanged, NodeEvent
from runtime.executive import ValidTransaction
from runtime.extrinsic import Extrinsic, extrinsic_hash
from runtime.header import Block
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import AccountId, BlockRef, Hash, Nonce, to_hex

log = logging.getLogger(__name__)

Notify = Callable[[NodeEvent], None]


class HeadFollower:
    """Tells everybody of what the chain has become; called in the main loop's thread, block after block."""

    def __init__(self, chain: Chain, pool: TransactionPool, signatures: VerifiedSignatures, notify: Notify) -> None:
        """Take who is to be told."""
        self._chain = chain
        self._pool = pool
        self._signatures = signatures
        self._notify = notify
        self.is_quiet = False
        """Whether blocks are old news, of which the log needs no line each."""

    def head(self, head: NewHead) -> None:
        """The best chain has changed."""
        for block in head.retracted:
            self._pool.on_retracted(block.header.hash(), self._still_valid(block))
        for entered in head.entered:
            self._entered(entered)
        for event in self._events(head):
            self._notify(event)
        self._write_log(head)

    def side_block(self, block: Block) -> None:
        """A block was executed that did not make the best chain better."""
        header = block.header
        ref = BlockRef(header.number, header.hash())
        self._notify(BlockImported(ref, header, is_best=False, changed_keys=()))
        log.debug("side block %d %s", ref.number, to_hex(ref.hash)[:10])

    def _entered(self, entered: EnteredBlock) -> None:
        """Let the pool know of a block of the best chain."""
        transactions = self._transactions(entered.block)
        hashes = [extrinsic_hash(raw) for raw in transactions]
        state = self._chain.database.state_at(entered.ref.hash)
        system = self._chain.runtime.system

        def nonce(account: AccountId) -> Nonce:
            return system.nonce(state, account)

        # Who signed is looked at only if the pool did not have all of them.
        self._pool.on_block(entered.ref, hashes, nonce, _signers(transactions))
        if self._chain.consensus.is_final_at_once:
            self._pool.on_finalized(entered.ref.hash, hashes)

    def _transactions(self, block: Block) -> Sequence[bytes]:
        """The extrinsics of a block that came from a pool."""
        return block.extrinsics[len(self._chain.runtime.inherents) :]

    def _still_valid(self, block: Block) -> list[ValidTransaction]:
        """The transactions of a retracted block that could go into another one."""
        validator = self._chain.validator(self._signatures)
        valid = []
        for raw in self._transactions(block):
            try:
                valid.append(validator.validate(self._chain.runtime.prepare(raw)))
            except InvalidTransaction:
                continue  # in the new branch already, or too old by now
        return valid

    def _events(self, head: NewHead) -> Iterator[NodeEvent]:
        """Say what a new head means to subscribers."""
        yield BlockImported(head.ref, head.block.header, is_best=True, changed_keys=head.changed_keys)
        if self._chain.consensus.is_final_at_once:
            yield BlockFinalized(head.ref, head.block.header)
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
