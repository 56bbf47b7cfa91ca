"""Try a transaction on a state that is thrown away (`system_dryRun`)."""

from node.chain import Chain
from runtime.interface.dispatch import DISPATCH_ERROR, record_error
from runtime.interface.errors import InvalidTransaction
from runtime.interface.validity import TRANSACTION_VALIDITY_ERROR, validity_word
from runtime.primitives import Hash
from runtime.scale import UNIT, Err, Result

_APPLIED = Result(UNIT, DISPATCH_ERROR)
_OK, _ERR = b"\x00", b"\x01"


def dry_run(chain: Chain, extrinsic: bytes, block: Hash) -> bytes:
    """Apply an extrinsic on top of a block; return Result<Result<(), DispatchError>, TransactionValidityError>."""
    try:
        error = chain.try_extrinsic(extrinsic, block)
    except InvalidTransaction as invalid:
        return _ERR + TRANSACTION_VALIDITY_ERROR.encode(validity_word(invalid.reason))
    return _OK + _APPLIED.encode(() if error is None else Err(record_error(error)))
