"""Try a transaction on a state that is thrown away (`system_dryRun`)."""

from node.chain import Chain
from pallets.system.events import DISPATCH_ERROR, record_error
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash

_APPLIED = b"\x00\x00"
_FAILED = b"\x00\x01"
_INVALID = b"\x01\x00"

# Indices of sp_runtime's InvalidTransaction; 7 is Custom, with a number that says more.
_CUSTOM = 7
_INVALID_INDICES = {
    InvalidReason.UNDECODABLE: bytes((0,)),
    InvalidReason.BAD_CALL: bytes((0,)),
    InvalidReason.FUTURE: bytes((2,)),
    InvalidReason.STALE: bytes((3,)),
    InvalidReason.BAD_PROOF: bytes((4,)),
    InvalidReason.ANCIENT_BIRTH_BLOCK: bytes((5,)),
    InvalidReason.EXHAUSTS_RESOURCES: bytes((6,)),
    InvalidReason.TOO_LONG: bytes((6,)),
    InvalidReason.UNSIGNED: bytes((0,)),
    InvalidReason.BAD_SIGNER: bytes((10,)),
    InvalidReason.ALREADY_JOINED: bytes((_CUSTOM, 0)),
    InvalidReason.BAD_WORK: bytes((_CUSTOM, 1)),
    InvalidReason.STALE_WORK: bytes((_CUSTOM, 2)),
    InvalidReason.QUEUE_FULL: bytes((_CUSTOM, 3)),
    InvalidReason.BARRED: bytes((_CUSTOM, 4)),
}


def dry_run(chain: Chain, extrinsic: bytes, block: Hash) -> bytes:
    """Apply an extrinsic on top of a block; return Result<Result<(), DispatchError>, TransactionValidityError>."""
    try:
        error = chain.try_extrinsic(extrinsic, block)
    except InvalidTransaction as invalid:
        return _INVALID + _INVALID_INDICES[invalid.reason]
    return _APPLIED if error is None else _FAILED + DISPATCH_ERROR.encode(record_error(error))
