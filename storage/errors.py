"""Why the storage refuses; every message is whole, fit to be shown to an operator or a client."""

from enum import StrEnum

from runtime.primitives import BlockRef, Hash, to_hex


class Reason(StrEnum):
    """What is wrong with a database."""

    LOCKED = "Locked"
    UNWRITABLE = "Unwritable"
    UNREADABLE = "Unreadable"
    CORRUPT = "Corrupt"
    CLOSED = "Closed"
    WRONG_GENESIS = "WrongGenesis"
    WRONG_VERSION = "WrongVersion"
    WRONG_PRUNING = "WrongPruning"
    UNFINISHED = "Unfinished"


class StorageError(Exception):
    """The database cannot be opened, read or written."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason


class UnknownBlock(LookupError):
    """No block with this hash is stored."""

    def __init__(self, block: Hash) -> None:
        """Name the block."""
        super().__init__(f"no block with hash {to_hex(block)} is stored")
        self.block = block


class StatePruned(LookupError):
    """The block is stored, but the state after it cannot be read."""

    def __init__(self, block: BlockRef, why: str) -> None:
        """Name the block."""
        super().__init__(f"the state of block {block.number} ({to_hex(block.hash)}) is not kept: {why}")
        self.block = block


class RevertError(Exception):
    """The head cannot be taken back."""
