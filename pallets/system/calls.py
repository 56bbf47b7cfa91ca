"""The one call of System: put any bytes into a block."""

from pallets.system.events import REMARKED
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.origin import Origin, ensure_signed
from runtime.interface.weights import MICROSECOND
from runtime.primitives import blake2b_256
from runtime.scale import Bytes, Field

MAX_REMARK = 1 << 16


def remark(context: Context, origin: Origin, remark: bytes) -> None:
    """Deposit the hash of the remark."""
    account = ensure_signed(origin)
    context.deposit(REMARKED, account, blake2b_256(remark))


CALLS = (
    Call(
        0,
        "remark",
        (Field("remark", Bytes(MAX_REMARK), "Vec<u8>"),),
        remark,
        lambda remark: 5 * MICROSECOND + 8_000 * len(remark),
        "Put any bytes into a block, with no effect on the state but the sender's nonce and an event.",
    ),
)
