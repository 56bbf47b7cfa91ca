"""How extrinsics end, for everybody to read."""

from pallets.system.storage import INDEX, PALLET
from runtime.interface.dispatch import DISPATCH_ERROR, DISPATCH_INFO, record_info
from runtime.interface.events import Event
from runtime.interface.system import DispatchInfo
from runtime.interface.weights import DispatchClass
from runtime.scale import ACCOUNT_ID, H256, Field, encode_compact

EXTRINSIC_SUCCESS = Event(
    PALLET,
    INDEX,
    0,
    "ExtrinsicSuccess",
    (Field("dispatch_info", DISPATCH_INFO, "DispatchInfo"),),
    "An extrinsic completed.",
)
_SUCCESS_START = EXTRINSIC_SUCCESS.encode(record_info(DispatchInfo(0, DispatchClass.NORMAL)))[:2]
_SUCCESS_ENDS = {kind: DISPATCH_INFO.encode(record_info(DispatchInfo(0, kind)))[1:] for kind in DispatchClass}


def encode_success(info: DispatchInfo) -> bytes:
    """Encode ExtrinsicSuccess: of all its parts only the weight varies, and a block has thousands."""
    return _SUCCESS_START + encode_compact(info.weight) + _SUCCESS_ENDS[info.dispatch_class]


EXTRINSIC_FAILED = Event(
    PALLET,
    INDEX,
    1,
    "ExtrinsicFailed",
    (
        Field("dispatch_error", DISPATCH_ERROR, "DispatchError"),
        Field("dispatch_info", DISPATCH_INFO, "DispatchInfo"),
    ),
    "The call of an extrinsic failed; it changed nothing but the sender's nonce.",
)
NEW_ACCOUNT = Event(
    PALLET,
    INDEX,
    3,
    "NewAccount",
    (Field("account", ACCOUNT_ID, "AccountId"),),
    "An account sent its first transaction.",
)
REMARKED = Event(
    PALLET,
    INDEX,
    5,
    "Remarked",
    (Field("sender", ACCOUNT_ID, "AccountId"), Field("hash", H256, "Hash")),
    "Somebody noted something, by its hash.",
)
EVENTS = (EXTRINSIC_SUCCESS, EXTRINSIC_FAILED, NEW_ACCOUNT, REMARKED)
