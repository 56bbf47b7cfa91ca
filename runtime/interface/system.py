"""What the executive needs of the pallet that keeps accounts, block numbers and events."""

from typing import Protocol

from runtime.header import DigestItem
from runtime.interface.context import Context
from runtime.interface.errors import DispatchError
from runtime.interface.state import StateReader
from runtime.interface.weights import DispatchClass
from runtime.primitives import AccountId, BlockNumber, Hash, Nonce
from runtime.values import value


@value
class DispatchInfo:
    """What an extrinsic cost: weight in picoseconds, and how it counts."""

    weight: int
    dispatch_class: DispatchClass


class System(Protocol):
    """The pallet `System`, as the executive sees it."""

    def initialize(self, context: Context) -> None:
        """Write number, parent hash and the list of recent block hashes."""
        ...

    def finalize(self, context: Context, digest: tuple[DigestItem, ...]) -> None:
        """Write the events and the digest of the block."""
        ...

    def nonce(self, state: StateReader, account: AccountId) -> Nonce:
        """Return how many transactions of `account` are in the chain."""
        ...

    def increment_nonce(self, context: Context, account: AccountId) -> None:
        """Count a transaction of `account`."""
        ...

    def block_hash(self, state: StateReader, number: BlockNumber) -> Hash | None:
        """Return the hash of a recent block of this chain."""
        ...

    def number(self, state: StateReader) -> BlockNumber:
        """Return the number of the block whose state this is."""
        ...

    def note_applied(self, context: Context, info: DispatchInfo, error: DispatchError | None) -> None:
        """Deposit the event that ends an extrinsic: ExtrinsicSuccess or ExtrinsicFailed."""
        ...
