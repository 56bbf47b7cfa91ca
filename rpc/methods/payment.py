"""payment_*: what a transaction costs. Nothing, here; but wallets ask."""

from typing import Final

from rpc.dispatch import Call, Method
from rpc.errors import Reason, RpcError
from rpc.parameters import BYTES, HASH, Param, optional
from rpc.service import JsonObject
from runtime.apis import FEE_INFO
from runtime.primitives import Hash
from runtime.scale import U32

_NOTHING: Final = {"ref_time": 0, "proof_size": 0}


def query_info(call: Call, extrinsic: bytes, at: Hash | None) -> JsonObject:
    """The weight and the fee of a transaction; the fee is zero, and so is the weight of what is no transaction."""
    weight, dispatch_class = _NOTHING, "normal"
    try:
        result = call.service.runtime_call(_QUERY_INFO, extrinsic + U32.encode(len(extrinsic)), at)
    except RpcError as fault:
        if fault.reason != Reason.INVALID_PARAMS:
            raise
    else:
        info = FEE_INFO.decode(result)
        weight = {"ref_time": info.weight.ref_time, "proof_size": info.weight.proof_size}
        dispatch_class = info.class_.name.lower()
    return {"weight": weight, "class": dispatch_class, "partialFee": "0"}


_QUERY_INFO: Final = "TransactionPaymentApi_query_info"

METHODS: Final = (
    Method("payment_queryInfo", query_info, (Param("extrinsic", BYTES), optional("at", HASH)), slow=True),
)
