"""The pallet as the executive and the runtime see it."""

from pallets.system.calls import CALLS
from pallets.system.events import (
    EVENTS,
    EXTRINSIC_FAILED,
    NEW_ACCOUNT,
    encode_success,
)
from pallets.system.storage import (
    ACCOUNT,
    BLOCK_HASH,
    CODE_KEY,
    DIGEST,
    EVENT_COUNT,
    EVENTS_KEY,
    INDEX,
    NUMBER,
    PALLET,
    PARENT_HASH,
    STORAGE,
    AccountInfo,
    Digest,
)
from runtime.header import DigestItem, DigestKind
from runtime.interface.context import Context
from runtime.interface.dispatch import record_error, record_info
from runtime.interface.errors import DispatchError
from runtime.interface.pallet import Constant, Hooks, Pallet
from runtime.interface.state import StateReader
from runtime.interface.storage import StateWriter
from runtime.interface.system import DispatchInfo
from runtime.primitives import AccountId, BlockNumber, Hash, Nonce
from runtime.scale import U16, U32, encode_compact
from runtime.version import VERSION_RECORD, RuntimeVersion

BLOCK_HASH_COUNT = 4096
SS58_PREFIX = 42


class System:
    """What the executive asks of this pallet."""

    def initialize(self, context: Context) -> None:
        """Write number, parent hash and the list of recent block hashes, one in, one out; block 0 stays."""
        state, number = context.state, context.number
        NUMBER.put(state, number)
        PARENT_HASH.put(state, context.parent_hash)
        BLOCK_HASH.put(state, BlockNumber(number - 1), context.parent_hash)
        expired = number - 1 - BLOCK_HASH_COUNT
        if expired > 0:
            BLOCK_HASH.remove(state, BlockNumber(expired))

    def finalize(self, context: Context, digest: tuple[DigestItem, ...]) -> None:
        """Write the events and the digest of the block."""
        records = context.event_records
        context.state.put(EVENTS_KEY, encode_compact(len(records)) + b"".join(records))
        EVENT_COUNT.put(context.state, len(records))
        DIGEST.put(context.state, Digest(digest))

    def nonce(self, state: StateReader, account: AccountId) -> Nonce:
        """Return how many transactions of `account` are in the chain."""
        return ACCOUNT.get(state, account).nonce

    def increment_nonce(self, context: Context, account: AccountId) -> None:
        """Count a transaction of `account`; its first one makes the account known."""
        nonce = self.nonce(context.state, account)
        if nonce == 0:
            context.deposit(NEW_ACCOUNT, account)
        ACCOUNT.put(context.state, account, AccountInfo(Nonce(nonce + 1)))

    def block_hash(self, state: StateReader, number: BlockNumber) -> Hash | None:
        """Return the hash of block 0 or of one of the last BLOCK_HASH_COUNT blocks."""
        return BLOCK_HASH.find(state, number)

    def number(self, state: StateReader) -> BlockNumber:
        """Return the number of the block whose state this is."""
        return NUMBER.get(state)

    def note_applied(self, context: Context, info: DispatchInfo, error: DispatchError | None) -> None:
        """Deposit the event that ends an extrinsic."""
        if error is None:
            context.deposit_encoded(encode_success(info))
        else:
            context.deposit(EXTRINSIC_FAILED, record_error(error), record_info(info))


class SystemHooks(Hooks):
    """Keeps in the state by which runtime it was made: its version, as the code itself is not on the chain."""

    def __init__(self, version: RuntimeVersion) -> None:
        """Take the version of the runtime that runs."""
        self._code = VERSION_RECORD.encode(version.record())

    def genesis(self, state: StateWriter) -> None:
        """Write the first version."""
        state.put(CODE_KEY, self._code)

    def on_initialize(self, context: Context) -> None:
        """Note an upgrade in the state and in the header, where clients look for it."""
        if context.state.get(CODE_KEY) != self._code:
            context.state.put(CODE_KEY, self._code)
            context.digest.append(DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED))


def system_pallet(version: RuntimeVersion) -> Pallet:
    """Build the pallet of a runtime of this version."""
    return Pallet(
        PALLET,
        INDEX,
        "Accounts, block numbers and hashes, events.",
        storage=STORAGE,
        calls=CALLS,
        events=EVENTS,
        constants=(
            Constant("BlockHashCount", U32, BLOCK_HASH_COUNT, "How many recent block hashes the state keeps."),
            Constant("Version", VERSION_RECORD, version.record(), "The version of the runtime and of its APIs."),
            Constant("SS58Prefix", U16, SS58_PREFIX, "The network prefix of addresses."),
        ),
        hooks=SystemHooks(version),
    )
