"""Subscriptions: who wants to hear of what, and how the node's events reach their sockets.

The node calls `Hub.notice` from its own thread; everything else here runs on the server's loop. What a
subscription would say before the answer that names it is out waits for `release`.
"""

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Protocol

from rpc.encoding import encode
from rpc.errors import RpcError, not_ready, too_many
from rpc.limits import RpcLimits
from rpc.service import (
    BlockFinalized,
    BlockImported,
    Cancel,
    ModelChanged,
    NodeEvent,
    NodeService,
    TransactionState,
    TransactionStatus,
)
from runtime.primitives import BlockRef, Hash

log = logging.getLogger(__name__)

# Events that the loop may be behind; a loop that is further behind cannot keep its subscribers' order.
MOST_WAITING_EVENTS: Final = 4_096
TRY_AGAIN_LATER: Final = 1013


class Topic(Enum):
    """What can be subscribed to; the value names its notifications."""

    NEW_HEADS = "chain_newHead"
    ALL_HEADS = "chain_allHead"
    FINALIZED_HEADS = "chain_finalizedHead"
    STORAGE = "state_storage"
    RUNTIME_VERSION = "state_runtimeVersion"
    TRANSACTION = "author_extrinsicUpdate"
    MODEL = "mf_model"
    CHAIN_HEAD = "chainHead_v1_followEvent"
    TRANSACTION_WATCH = "transactionWatch_v1_watchEvent"
    BROADCAST = "transaction_v1_broadcast"


# Their subscribers make of the node's events what they need themselves.
_FOLLOWED: Final = (Topic.CHAIN_HEAD, Topic.BROADCAST)


class EventFollower(Protocol):
    """Hears of all that happens in the node."""

    def notice(self, event: NodeEvent) -> None:
        """Take an event; on the server's loop."""


class Outbox(Protocol):
    """A socket, seen from its subscriptions."""

    def push(self, message: bytes) -> None:
        """Queue a notification; a socket whose queue is full is dropped."""

    def drop(self, code: int, why: str) -> None:
        """Close the socket, whose client cannot keep up."""


class Subscription:
    """One subscription of one socket."""

    __slots__ = ("_ended", "_head", "_held", "cancel", "follower", "identifier", "keys", "owner", "topic")

    def __init__(self, topic: Topic, owner: "SubscriptionSet") -> None:
        self.topic = topic
        self.owner = owner
        self.identifier = secrets.token_hex(8)
        self.keys: frozenset[bytes] = frozenset()
        self.cancel: Cancel | None = None
        self.follower: EventFollower | None = None
        self._held: list[bytes] | None = []
        self._ended = False
        self._head = (
            f'{{"jsonrpc":"2.0","method":"{topic.value}","params":{{"subscription":"{self.identifier}","result":'
        ).encode()

    def push(self, result: bytes) -> None:
        """Send a notification with this result, which is JSON already; nothing once it has ended."""
        if self._ended:
            return
        if self._held is None:
            self.owner.outbox.push(self._message(result))
        elif self.owner.hold(self._size(result)):
            self._held.append(result)

    def release(self) -> None:
        """Let notifications flow, those first that have waited."""
        for result in self._take_held():
            self.owner.outbox.push(self._message(result))

    def discard(self) -> None:
        """Say nothing of what has waited: no answer names it."""
        self._take_held()

    def _take_held(self) -> list[bytes]:
        """What has waited, which is not held any more."""
        held, self._held = self._held or [], None
        self.owner.let_go(sum(map(self._size, held)))
        return held

    def _message(self, result: bytes) -> bytes:
        return self._head + result + b"}}"

    def _size(self, result: bytes) -> int:
        return len(self._head) + len(result) + 2

    def end(self) -> None:
        """End it from the server's side."""
        self.owner.close(self.identifier, self.topic)

    def ended(self) -> None:
        """It is over, whoever ended it: see to what feeds it."""
        self._ended = True
        if self.cancel is not None:
            self.cancel()


class SubscriptionSet:
    """The subscriptions of one socket."""

    def __init__(self, hub: "Hub", outbox: Outbox, limits: RpcLimits) -> None:
        self.outbox = outbox
        self._hub = hub
        self._limits = limits
        self._open: dict[str, Subscription] = {}
        self._watched_keys = 0
        self._held_bytes = 0
        self._closed = False

    def open(self, topic: Topic) -> Subscription:
        """A new subscription. Raises: too_many."""
        if self._closed:
            raise not_ready("the connection is closed")
        if len(self._open) >= self._limits.max_subscriptions:
            raise too_many("subscriptions on the connection", self._limits.max_subscriptions)
        subscription = Subscription(topic, self)
        self._open[subscription.identifier] = subscription
        return subscription

    def watch_keys(self, subscription: Subscription, keys: Iterable[bytes]) -> None:
        """Give a storage subscription its keys. Raises: too_many."""
        wanted = frozenset(keys)
        if self._watched_keys + len(wanted) > self._limits.max_watched_keys:
            raise too_many("storage keys watched on the connection", self._limits.max_watched_keys)
        subscription.keys = wanted
        self._watched_keys += len(wanted)

    def hold(self, size: int) -> bool:
        """Whether so many bytes more may wait for an answer to be out; a client of too many is dropped."""
        if self._held_bytes and self._held_bytes + size > self._limits.max_queued_bytes:
            self.outbox.drop(TRY_AGAIN_LATER, "too many notifications before the answer that names them")
            return False
        self._held_bytes += size
        return True

    def let_go(self, size: int) -> None:
        """So many bytes wait no longer."""
        self._held_bytes -= size

    def find(self, identifier: str, topic: Topic) -> Subscription | None:
        """The subscription of this id and topic."""
        found = self._open.get(identifier)
        return found if found is not None and found.topic is topic else None

    def count(self, topic: Topic) -> int:
        """How many subscriptions there are to a topic."""
        return sum(subscription.topic is topic for subscription in self._open.values())

    def attach(self, subscription: Subscription, cancel: Cancel) -> None:
        """Say how to stop what feeds a subscription; at once if it ended meanwhile."""
        if subscription.identifier in self._open:
            subscription.cancel = cancel
        else:
            cancel()

    def close(self, identifier: str, topic: Topic) -> bool:
        """End the subscription of this id and topic; whether there was one."""
        subscription = self.find(identifier, topic)
        if subscription is None:
            return False
        del self._open[identifier]
        self._watched_keys -= len(subscription.keys)
        self._hub.remove(subscription)
        subscription.ended()
        return True

    def close_all(self) -> None:
        """End them all for good: the socket is gone."""
        self._closed = True
        for subscription in tuple(self._open.values()):
            subscription.end()


class Hub:
    """Takes the node's events and tells them to the subscriptions they concern."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._topics: dict[Topic, dict[str, Subscription]] = {topic: {} for topic in Topic}
        self._by_key: dict[bytes, dict[str, Subscription]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancel: Cancel | None = None
        self._lock = threading.Lock()
        self._waiting: deque[NodeEvent] = deque()
        self._overflown = False
        self._best: BlockRef | None = None
        self._finalized: BlockRef | None = None
        self._version: bytes = b""

    def start(self) -> None:
        """Listen to the node; from the loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._cancel = self._service.subscribe(self.notice)

    def stop(self) -> None:
        """Listen no more."""
        if self._cancel is not None:
            self._cancel()
        with self._lock:
            self._loop = None

    def notice(self, event: NodeEvent) -> None:
        """Take an event, from any thread."""
        with self._lock:
            if self._loop is None:
                return
            if len(self._waiting) >= MOST_WAITING_EVENTS:
                self._waiting.clear()
                self._overflown = True
            self._waiting.append(event)
            if len(self._waiting) == 1:
                self._loop.call_soon_threadsafe(self._deliver)

    def hop(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function on the loop, from any thread; nothing happens once the server has stopped."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def add(self, subscription: Subscription) -> None:
        """Tell a subscription of events from now on, after the current value where its topic has one."""
        current = self._current(subscription)
        self._topics[subscription.topic][subscription.identifier] = subscription
        for key in subscription.keys:
            self._by_key.setdefault(key, {})[subscription.identifier] = subscription
        if current is not None:
            subscription.push(current)

    def heads(self) -> tuple[BlockRef, BlockRef]:
        """The best and the finalized block that the loop has heard of last."""
        return self._best or self._service.best(), self._finalized or self._service.finalized()

    def remove(self, subscription: Subscription) -> None:
        """Tell it of nothing any more."""
        self._topics[subscription.topic].pop(subscription.identifier, None)
        for key in subscription.keys:
            watchers = self._by_key.get(key, {})
            watchers.pop(subscription.identifier, None)
            if not watchers:
                self._by_key.pop(key, None)

    def _current(self, subscription: Subscription) -> bytes | None:
        """The value that a new subscription begins with.

        It is that of the newest block the loop has heard of. The node may be further already, but then the
        blocks since follow, in order.
        """
        match subscription.topic:
            case Topic.NEW_HEADS | Topic.ALL_HEADS:
                return self._header(self._best or self._service.best())
            case Topic.FINALIZED_HEADS:
                return self._header(self._finalized or self._service.finalized())
            case Topic.STORAGE:
                return self._changes(self._best or self._service.best(), subscription.keys)
            case Topic.RUNTIME_VERSION:
                self._version = encode(self._service.runtime_version((self._best or self._service.best()).hash))
                return self._version
            case _:
                return None

    def _header(self, block: BlockRef) -> bytes | None:
        header = self._service.header(block.hash)
        return None if header is None else encode(header.to_json())

    def _changes(self, block: BlockRef, keys: Iterable[bytes]) -> bytes:
        state = self._service.state_at(block.hash)
        return encode(storage_changes(block.hash, {key: state.get(key) for key in sorted(keys)}))

    def _deliver(self) -> None:
        """Tell all events that wait."""
        with self._lock:
            events, self._waiting = self._waiting, deque()
            overflown, self._overflown = self._overflown, False
        if overflown:
            log.error("more than %d events waited: all subscribers are dropped", MOST_WAITING_EVENTS)
            for outbox in {s.owner.outbox for watchers in self._topics.values() for s in watchers.values()}:
                outbox.drop(TRY_AGAIN_LATER, "the node is overloaded")
        for event in events:
            try:
                self._tell(event)
            except RpcError as fault:
                # The node went on and dropped that block's state before the loop came to it.
                log.warning("an event could not be told to subscribers: %s", fault)
            except Exception:
                log.exception("an event could not be told to subscribers")

    def _tell(self, event: NodeEvent) -> None:
        for topic in _FOLLOWED:
            for subscription in tuple(self._topics[topic].values()):
                _notify(subscription, event)
        match event:
            case BlockImported():
                self._tell_imported(event)
            case BlockFinalized():
                self._finalized = event.block
                self._push(Topic.FINALIZED_HEADS, event.header.to_json)
            case ModelChanged():
                self._push(Topic.MODEL, lambda: event.model)

    def _tell_imported(self, event: BlockImported) -> None:
        if event.is_best:
            self._best = event.block
            self._push(Topic.NEW_HEADS, event.header.to_json)
        self._push(Topic.ALL_HEADS, event.header.to_json)
        if not event.is_best:
            return
        if self._by_key:
            self._tell_storage(event)
        if self._topics[Topic.RUNTIME_VERSION]:
            version = encode(self._service.runtime_version(event.block.hash))
            if version != self._version:
                self._version = version
                for subscription in tuple(self._topics[Topic.RUNTIME_VERSION].values()):
                    subscription.push(version)

    def _tell_storage(self, event: BlockImported) -> None:
        touched: dict[str, tuple[Subscription, list[bytes]]] = {}
        for key in event.changed_keys:
            for identifier, subscription in self._by_key.get(key, {}).items():
                touched.setdefault(identifier, (subscription, []))[1].append(key)
        texts: dict[tuple[bytes, ...], bytes] = {}
        for subscription, keys in touched.values():
            wanted = tuple(keys)
            text = texts.get(wanted)
            if text is None:
                text = texts[wanted] = self._changes(event.block, keys)
            subscription.push(text)

    def _push(self, topic: Topic, result: Callable[[], object]) -> None:
        """Push the same result to all of a topic, written as JSON once."""
        watchers = self._topics[topic]
        if watchers:
            text = encode(result())
            for subscription in tuple(watchers.values()):
                subscription.push(text)


def _notify(subscription: Subscription, event: NodeEvent) -> None:
    """Let a follower take an event; one that cannot follow any more harms no other."""
    try:
        if subscription.follower is not None:
            subscription.follower.notice(event)
    except Exception:
        log.exception("a follower lost the chain")
        subscription.end()


def storage_changes(block: Hash, values: Mapping[bytes, bytes | None]) -> dict[str, object]:
    """Values of some keys at a block, in the form of storage notifications and state_queryStorage."""
    return {"block": block, "changes": list(values.items())}


def status_json(status: TransactionStatus) -> object:
    """A transaction's status as clients read it: a word, or an object with a block's hash or the peers."""
    if status.state is TransactionState.BROADCAST:
        return {str(status.state): list(status.peers)}
    if status.hash is not None:
        return {str(status.state): status.hash}
    return str(status.state)
