"""transaction_v1_*, transactionWatch_v1_*: transactions on their way, in the newer form of the interface."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from rpc.dispatch import Call, Method
from rpc.encoding import encode
from rpc.errors import Reason, RpcError, invalid_params
from rpc.parameters import BYTES, SUBSCRIPTION, Param
from rpc.service import FINAL_STATES, BlockImported, NodeEvent, NodeService, TransactionState, TransactionStatus
from rpc.subscriptions import Subscription, Topic
from runtime.extrinsic import extrinsic_hash
from runtime.header import Block
from runtime.primitives import Hash

log = logging.getLogger(__name__)

MOST_BROADCASTS: Final = 16

# What may be otherwise at the next block.
_TRY_AGAIN: Final = (str(Reason.POOL_FULL), str(Reason.TEMPORARILY_BANNED), str(Reason.NOT_READY))

_FAILURES: Final[Mapping[TransactionState, tuple[str, str]]] = {
    TransactionState.INVALID: ("invalid", "Transaction is not valid any more"),
    TransactionState.USURPED: ("invalid", "Transaction was replaced by another one of the same nonce"),
    TransactionState.DROPPED: ("dropped", "Transaction was dropped from the pool"),
    TransactionState.FINALITY_TIMEOUT: ("dropped", "Transaction was in a block that did not become final in time"),
}


class Broadcast:
    """A transaction that a client wants to have in the pool for as long as it does not say otherwise."""

    def __init__(self, service: NodeService, transaction: bytes) -> None:
        self._service = service
        self._transaction = transaction
        self._attempt: asyncio.Task[bool] | None = None

    def release(self) -> None:
        """Hand the transaction in for the first time."""
        self._attempt = asyncio.create_task(self._submit())

    def end(self) -> None:
        """Try no more. What the pool has, it keeps."""
        if self._attempt is not None:
            self._attempt.cancel()

    def notice(self, event: NodeEvent) -> None:
        """Try again at a new block, if there is reason to."""
        attempt = self._attempt
        if isinstance(event, BlockImported) and attempt is not None and attempt.done() and not attempt.result():
            self.release()

    async def _submit(self) -> bool:
        """Whether that settles it: the pool has it, or will never take it."""
        try:
            await self._service.submit(self._transaction)
        except RpcError as fault:
            return fault.reason not in _TRY_AGAIN
        except Exception:
            log.exception("a transaction could not be handed in")
        return True


def broadcast(call: Call, transaction: bytes) -> str | None:
    """Put a transaction into the pool, and try again while it has no room; null if the client has too many of these."""
    if call.need_socket().count(Topic.BROADCAST) >= MOST_BROADCASTS:
        return None
    subscription = call.start(Topic.BROADCAST)
    task = Broadcast(call.service, transaction)
    subscription.follower = task
    subscription.owner.attach(subscription, task.end)
    call.server.hub.add(subscription)
    call.started.append(task)
    return subscription.identifier


def stop(call: Call, operation: str) -> None:
    """Stop trying to put a transaction into the pool."""
    if not call.unsubscribe(operation, Topic.BROADCAST):
        raise invalid_params("there is no broadcast of this id")


async def submit_and_watch(call: Call, transaction: bytes) -> str:
    """Put a transaction into the pool and tell what becomes of it."""
    subscription = call.start(Topic.TRANSACTION_WATCH)
    watch = _Watch(call.service, subscription, extrinsic_hash(transaction))
    hub = call.server.hub
    try:
        cancel = await call.service.submit_and_watch(transaction, lambda status: hub.hop(watch.tell, status))
    except RpcError as fault:
        # Refusals are events here.
        subscription.push(encode({"event": "invalid", "error": _described(fault)}))
        call.started.append(_Ending(subscription))
    except BaseException:
        subscription.end()
        raise
    else:
        subscription.owner.attach(subscription, cancel)
    return subscription.identifier


class _Ending:
    """Ends a subscription behind its answer."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    def release(self) -> None:
        self._subscription.end()

    end = release


class _Watch:
    """Tells a client what becomes of a transaction."""

    def __init__(self, service: NodeService, subscription: Subscription, extrinsic: Hash) -> None:
        self._service = service
        self._subscription = subscription
        self._extrinsic = extrinsic
        self._is_validated = False

    def tell(self, status: TransactionStatus) -> None:
        """Send the event that a status is here, if it is one."""
        event = self._event(status)
        if event is not None:
            self._subscription.push(encode(event))
        if status.state in FINAL_STATES:
            self._subscription.end()

    def _event(self, status: TransactionStatus) -> Mapping[str, object] | None:
        match status.state:
            case TransactionState.READY | TransactionState.FUTURE:
                told, self._is_validated = self._is_validated, True
                return None if told else {"event": "validated"}
            case TransactionState.IN_BLOCK:
                return {"event": "bestChainBlockIncluded", "block": self._place(status.hash)}
            case TransactionState.RETRACTED:
                return {"event": "bestChainBlockIncluded", "block": None}
            case TransactionState.FINALIZED:
                return {"event": "finalized", "block": self._place(status.hash)}
            case TransactionState.BROADCAST:
                return None
        event, why = _FAILURES[status.state]
        return {"event": event, "error": why}

    def _place(self, block: Hash | None) -> Mapping[str, object]:
        assert block is not None, "these statuses name a block"
        return {"hash": block, "index": _positions(self._service.block, block).get(self._extrinsic, 0)}


@lru_cache(maxsize=8)
def _positions(find: Callable[[Hash], Block | None], block: Hash) -> Mapping[Hash, int]:
    """Where each extrinsic of a block stands; many watch transactions of the same few blocks."""
    found = find(block)
    extrinsics = () if found is None else found.extrinsics
    return {extrinsic_hash(raw): index for index, raw in enumerate(extrinsics)}


def _described(fault: RpcError) -> str:
    return f"{fault.message}: {fault.data}" if isinstance(fault.data, str) else fault.message


def unwatch(call: Call, subscription: str) -> bool:
    """Tell no more of a transaction."""
    return call.unsubscribe(subscription, Topic.TRANSACTION_WATCH)


_TRANSACTION: Final = (Param("transaction", BYTES),)

METHODS: Final = (
    Method("transaction_v1_broadcast", broadcast, _TRANSACTION),
    Method("transaction_v1_stop", stop, (Param("operationId", SUBSCRIPTION),)),
    Method("transactionWatch_v1_submitAndWatch", submit_and_watch, _TRANSACTION, overlaps=True),
    Method("transactionWatch_v1_unwatch", unwatch, (Param("subscription", SUBSCRIPTION),)),
)
