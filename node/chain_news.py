"""What the chain of a node tells of itself: what it is, how it has changed, and why it has not."""

from dataclasses import dataclass
from typing import TypeAlias

from pallets.matrix_factorization.view import ModelView, ReadModel
from runtime.executive import ValidTransaction
from runtime.header import Block, Header
from runtime.interface.errors import InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import BlockNumber, BlockRef, to_hex


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What readers in any thread look at: the best block, the state after it, and the model at it."""

    best: BlockRef
    state: StateReader
    finalized: BlockRef
    view: ModelView
    model: ReadModel


@dataclass(frozen=True, slots=True)
class EnteredBlock:
    """A block that has become part of the best chain; `failed` counts its transactions whose calls failed."""

    block: Block
    ref: BlockRef
    failed: int


@dataclass(frozen=True, slots=True)
class NewHead:
    """The best chain has changed: blocks left it, newest first, and others entered it, oldest first.

    `changed_keys` are the ascending storage keys whose values may differ from before; `finalized` the last block that
    is final since now, if there is one.
    """

    retracted: tuple[Block, ...]
    entered: tuple[EnteredBlock, ...]
    changed_keys: tuple[bytes, ...]
    model_changed: bool
    finalized: BlockRef | None = None

    @property
    def block(self) -> Block:
        """The head."""
        return self.entered[-1].block

    @property
    def ref(self) -> BlockRef:
        """The head's number and hash."""
        return self.entered[-1].ref


Refusal: TypeAlias = tuple[ValidTransaction, InvalidTransaction]
"""A transaction that is unfit for a block, and why."""


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block that was built and became the head, and the transactions that turned out unfit for it."""

    head: NewHead
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A block was executed and stored, or was known; `head` says what came of the best chain, if that changed."""

    ref: BlockRef
    is_new: bool
    head: NewHead | None = None


class UnknownParent(LookupError):
    """The block before this one is not here."""

    def __init__(self, header: Header) -> None:
        """Name the parent."""
        super().__init__(f"the parent {to_hex(header.parent_hash)} of block {header.number} is not known")


class TooOld(Exception):
    """The block would replace what is final, or what cannot be undone."""

    def __init__(self, header: Header, limit: BlockNumber) -> None:
        """Name the block and the height."""
        super().__init__(f"block {header.number} ({to_hex(header.hash())}) leaves the best chain below block {limit}")
