"""A transaction that the node does not take, in the words of JSON-RPC."""

from node.pool import PoolRefused, RefusalReason
from rpc.errors import (
    RpcError,
    already_imported,
    bad_format,
    invalid_transaction,
    pool_full,
    priority_too_low,
    temporarily_banned,
)
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash


def as_rpc_error(error: InvalidTransaction | PoolRefused, extrinsic: Hash) -> RpcError:
    """Return the error that a client gets for a refused transaction."""
    if isinstance(error, InvalidTransaction):
        if error.reason is InvalidReason.UNDECODABLE:
            return bad_format(error.text)
        return invalid_transaction(error.reason)
    if error.reason is RefusalReason.ALREADY_IMPORTED:
        return already_imported(extrinsic)
    if error.reason is RefusalReason.TEMPORARILY_BANNED:
        return temporarily_banned()
    if error.reason is RefusalReason.PRIORITY_TOO_LOW:
        return priority_too_low(error.detail)
    return pool_full(error.detail)
