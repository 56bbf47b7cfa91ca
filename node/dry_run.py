"""Try a transaction on a state that is thrown away (`system_dryRun`)."""

from node.chain import Chain
from pallets.system.events import DISPATCH_ERROR, record_error
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash

_APPLIED = b"\x00\x00"
_FAILED = b"\x00\x01"
_INVALID = b"\x01\x00"

# Indices of sp_runtime's InvalidTransaction.
_INVALID_INDICES = {
    InvalidReason.UNDECODABLE: 0,
    InvalidReason.BAD_CALL: 0,
    InvalidReason.FUTURE: 2,
    InvalidReason.STALE: 3,
    InvalidReason.BAD_PROOF: 4,
    InvalidReason.ANCIENT_BIRTH_BLOCK: 5,
    InvalidReason.EXHAUSTS_RESOURCES: 6,
    InvalidReason.TOO_LONG: 6,
    InvalidReason.UNSIGNED: 0,
    InvalidReason.BAD_SIGNER: 10,
}


def dry_run(chain: Chain, extrinsic: bytes, block: Hash) -> bytes:
    """Apply an extrinsic on top of a block; return Result<Result<(), DispatchError>, TransactionValidityError>."""
    try:
        error = chain.try_extrinsic(extrinsic, block)
    except InvalidTransaction as invalid:
        return _INVALID + bytes((_INVALID_INDICES[invalid.reason],))
    return _APPLIED if error is None else _FAILED + DISPATCH_ERROR.encode(record_error(error))
