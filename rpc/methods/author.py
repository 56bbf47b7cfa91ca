"""author_*: transactions on their way into a block."""

from collections.abc import Awaitable, Sequence
from typing import Final

from rpc.dispatch import Call, Method
from rpc.encoding import encode
from rpc.parameters import BYTES, SUBSCRIPTION, Param
from rpc.service import FINAL_STATES, TransactionStatus
from rpc.subscriptions import Subscription, Topic, status_json
from runtime.primitives import Hash


def submit_extrinsic(call: Call, extrinsic: bytes) -> Awaitable[Hash]:
    """Check a transaction and put it into the pool; its hash."""
    return call.service.submit(extrinsic)


async def submit_and_watch(call: Call, extrinsic: bytes) -> str:
    """Like author_submitExtrinsic, and tell each status of the transaction until its last."""
    subscription = call.start(Topic.TRANSACTION)
    hub = call.server.hub
    try:
        cancel = await call.service.submit_and_watch(
            extrinsic, lambda status: hub.hop(_tell_status, subscription, status)
        )
    except BaseException:
        subscription.end()
        raise
    subscription.owner.attach(subscription, cancel)
    return subscription.identifier


def _tell_status(subscription: Subscription, status: TransactionStatus) -> None:
    subscription.push(encode(status_json(status)))
    if status.state in FINAL_STATES:
        subscription.end()


def unwatch_extrinsic(call: Call, subscription: str) -> bool:
    """Stop watching a transaction, which goes its way all the same."""
    return call.unsubscribe(subscription, Topic.TRANSACTION)


def pending_extrinsics(call: Call) -> Awaitable[Sequence[bytes]]:
    """The transactions that wait in the pool for a block."""
    return call.service.pending()


_EXTRINSIC: Final = (Param("extrinsic", BYTES),)

METHODS: Final = (
    Method("author_submitExtrinsic", submit_extrinsic, _EXTRINSIC, overlaps=True),
    Method("author_submitAndWatchExtrinsic", submit_and_watch, _EXTRINSIC, overlaps=True),
    Method("author_unwatchExtrinsic", unwatch_extrinsic, (Param("subscription", SUBSCRIPTION),)),
    Method("author_pendingExtrinsics", pending_extrinsics),
)
