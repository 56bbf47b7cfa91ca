"""The one way in which the chain of a node grows: block after block, each followed by what has to know of it."""

from collections.abc import Callable, Iterable, Sequence

import trio

from node.authoring import Bell
from node.chain import BuiltBlock, Chain, Imported
from node.consensus import Template
from node.executor import Executor
from node.head_follower import HeadFollower, HeadNews
from node.signatures import VerifiedSignatures, verify_block_signatures
from runtime.executive import ValidTransaction
from runtime.header import Block, Header
from runtime.primitives import BlockNumber, Hash


class ChainWriter:
    """Builds and imports blocks away from the main loop, one at a time, and tells of them in their order."""

    def __init__(
        self,
        chain: Chain,
        executor: Executor,
        signatures: VerifiedSignatures,
        follower: HeadFollower,
        on_block: Callable[[Block], None] = lambda _block: None,
    ) -> None:
        """Take the parts; `on_block` is told of each new block, on whichever branch, once it is stored."""
        self._chain = chain
        self._executor = executor
        self._signatures = signatures
        self._follower = follower
        self._on_block = on_block
        self._turn = trio.Lock()
        self._epoch_pending = Bell()

    async def build(self, transactions: Iterable[ValidTransaction], make: Callable[[], Template]) -> BuiltBlock:
        """Build a block and make it the head; the template is made when the block's turn has come.

        Raises:
            InvalidBlock: the template does not fit the head.
            Refused: the author's key must not seal this block.
        """
        async with self._turn:
            built, news = await self._executor.on_chain(self._build, transactions, make())
            self._follower.head(news)
            self._on_block(built.head.block)
        self._look_for_epoch()
        return built

    async def import_block(self, block: Block, *, is_whole: bool = False) -> Imported:
        """Execute a block, and switch to its branch if that is better; see `Chain.import_block`.

        Raises:
            UnknownParent, TooOld, InvalidBlock: see `Chain.import_block`.
        """
        async with self._turn:
            imported, news = await self._executor.on_chain(self._import, block, is_whole)
            if news is not None:
                self._follower.head(news)
            elif imported.is_new:
                self._follower.side_block(block)
            if imported.is_new:
                self._on_block(block)
        self._look_for_epoch()
        return imported

    def _build(self, transactions: Iterable[ValidTransaction], template: Template) -> tuple[BuiltBlock, HeadNews]:
        built = self._chain.build(transactions, template, self._signatures, self._executor.clock)
        return built, self._follower.prepare(built.head)

    def _import(self, block: Block, is_whole: bool) -> tuple[Imported, HeadNews | None]:
        imported = self._chain.import_block(block, self._signatures, is_whole=is_whole)
        return imported, None if imported.head is None else self._follower.prepare(imported.head)

    async def verify(self, header: Header, extrinsics: Sequence[bytes]) -> None:
        """Check signatures of a block ahead of its execution, which finds them remembered and judges the rest."""
        chain = self._chain

        def hash_at(number: BlockNumber) -> Hash | None:
            return chain.database.hash_at(number)

        await verify_block_signatures(
            self._executor,
            extrinsics,
            header.number,
            chain.runtime.version,
            hash_at,
            self._signatures,
        )

    async def learn_ahead(self) -> None:
        """Compute the model of each frozen set before the block that puts it in force; runs until cancelled."""
        self._look_for_epoch()
        while True:
            await self._epoch_pending.wait()
            compute = self._chain.pending_epoch
            if compute is not None:
                await self._executor.aside(compute)

    def _look_for_epoch(self) -> None:
        if self._chain.pending_epoch is not None:
            self._epoch_pending.ring()
