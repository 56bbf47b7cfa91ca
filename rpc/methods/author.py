"""author_*: transactions on their way into a block."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final

from rpc.dispatch import Call, Method
from rpc.encoding import encode
from rpc.parameters import BYTES, SUBSCRIPTION, Param
from rpc.service import FINAL_STATES, TransactionState, TransactionStatus
from rpc.subscriptions import Subscription, Topic, status_json
from runtime.primitives import Hash

# Seconds. polkadot.js fetches a block's events when it hears that a transaction is in it, and forgets about them when
# the next status comes meanwhile. Where blocks are final at once, who waits for inclusion would never hear of it.
_SETTLING: Final = 0.25


def submit_extrinsic(call: Call, extrinsic: bytes) -> Awaitable[Hash]:
    """Check a transaction and put it into the pool; its hash."""
    return call.service.submit(extrinsic)


async def submit_and_watch(call: Call, extrinsic: bytes) -> str:
    """Like author_submitExtrinsic, and tell each status of the transaction until its last."""
    subscription = call.start(Topic.TRANSACTION)
    hub, watch = call.server.hub, _Watch(subscription)
    try:
        cancel = await call.service.submit_and_watch(extrinsic, lambda status: hub.hop(watch.take, status))
    except BaseException:
        subscription.end()
        raise
    subscription.owner.attach(subscription, cancel)
    return subscription.identifier


class _Watch:
    """Tells a client what becomes of a transaction; on the server's loop."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._settled = 0.0

    def take(self, status: TransactionStatus) -> None:
        """Tell a status, that of finality no sooner than _SETTLING after that of inclusion."""
        loop = asyncio.get_running_loop()
        if status.state is TransactionState.FINALIZED and loop.time() < self._settled:
            loop.call_at(self._settled, self._tell, status)
            return
        if status.state is TransactionState.IN_BLOCK:
            self._settled = loop.time() + _SETTLING
        self._tell(status)

    def _tell(self, status: TransactionStatus) -> None:
        self._subscription.push(encode(status_json(status)))
        if status.state in FINAL_STATES:
            self._subscription.end()


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
