"""A transaction that the node does not take, in the words of JSON-RPC."""

from node.pool import PoolRefused, RefusalReason
from rpc.errors import (
    RpcError,
    TransactionFault,
    already_imported,
    bad_format,
    invalid_transaction,
    pool_full,
    priority_too_low,
    temporarily_banned,
)
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash

_FAULTS = {
    InvalidReason.BAD_PROOF: TransactionFault.BAD_PROOF,
    InvalidReason.BAD_SIGNER: TransactionFault.BAD_SIGNER,
    InvalidReason.STALE: TransactionFault.STALE,
    InvalidReason.FUTURE: TransactionFault.FUTURE,
    InvalidReason.ANCIENT_BIRTH_BLOCK: TransactionFault.ANCIENT_BIRTH_BLOCK,
    InvalidReason.EXHAUSTS_RESOURCES: TransactionFault.EXHAUSTS_RESOURCES,
    InvalidReason.TOO_LONG: TransactionFault.EXHAUSTS_RESOURCES,
    InvalidReason.UNSIGNED: TransactionFault.CALL,
    InvalidReason.BAD_CALL: TransactionFault.CALL,
}


def as_rpc_error(error: InvalidTransaction | PoolRefused, extrinsic: Hash) -> RpcError:
    """Return the error that a client gets for a refused transaction."""
    if isinstance(error, InvalidTransaction):
        if error.reason is InvalidReason.UNDECODABLE:
            return bad_format(error.text)
        return invalid_transaction(_FAULTS[error.reason])
    if error.reason is RefusalReason.ALREADY_IMPORTED:
        return already_imported(extrinsic)
    if error.reason is RefusalReason.TEMPORARILY_BANNED:
        return temporarily_banned()
    if error.reason is RefusalReason.PRIORITY_TOO_LOW:
        return priority_too_low(0, 0)
    return pool_full()
