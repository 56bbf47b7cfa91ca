"""chainHead_v1_*: follow the chain block by block, and ask about the blocks one holds; chainSpec_v1_*: its names."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from rpc.chain_head import Follower, Operation, Work
from rpc.dispatch import Call, Method
from rpc.errors import Reason, error
from rpc.parameters import (
    ARGUMENTS,
    BOOLEAN,
    HASH,
    HASHES,
    NOTHING,
    STORAGE_QUERIES,
    SUBSCRIPTION,
    TEXT,
    Param,
    StorageQuery,
    StorageQueryType,
    optional,
)
from rpc.service import JsonObject
from rpc.subscriptions import Topic
from runtime.primitives import BlockNumber, Hash, blake2b_256

# On one connection.
MOST_FOLLOWS: Final = 4

# What one event of a storage operation carries at most, beyond its first item.
_PAGE_ITEMS: Final = 512
_PAGE_BYTES: Final = 1 << 20

_LIMIT_REACHED: Final = {"result": "limitReached"}


def chain_name(call: Call) -> str:
    """The chain's name."""
    return call.service.node_info().chain


def genesis_hash(call: Call) -> Hash | None:
    """The hash of block 0."""
    return call.service.hash_at(BlockNumber(0))


def properties(call: Call) -> JsonObject:
    """What the chain spec tells wallets."""
    return call.service.node_info().properties


def follow(call: Call, with_runtime: bool) -> str:
    """Tell of every block, from the finalized one on, and let the client ask about the blocks it has not unpinned."""
    if call.need_socket().count(Topic.CHAIN_HEAD) >= MOST_FOLLOWS:
        raise error(Reason.TOO_MANY_FOLLOWS, f"Too many chainHead_v1_follow subscriptions: at most {MOST_FOLLOWS}")
    subscription = call.start(Topic.CHAIN_HEAD)
    follower = Follower(call.service, subscription, with_runtime=with_runtime)
    subscription.follower = follower
    subscription.owner.attach(subscription, follower.close)
    hub = call.server.hub
    hub.add(subscription)
    follower.begin(*hub.heads())
    return subscription.identifier


def unfollow(call: Call, subscription: str) -> None:
    """Follow no more; what was pinned is let go."""
    call.unsubscribe(subscription, Topic.CHAIN_HEAD)


def _follower(call: Call, identifier: str) -> Follower | None:
    subscription = call.need_socket().find(identifier, Topic.CHAIN_HEAD)
    follower = None if subscription is None else subscription.follower
    return follower if isinstance(follower, Follower) else None


def _check_pinned(follower: Follower, block: Hash) -> None:
    if not follower.holds(block):
        raise error(Reason.NOT_PINNED, "Block hash is not pinned")


def _start(call: Call, identifier: str, block: Hash, work: Work, **members: object) -> JsonObject:
    """Begin an operation on a pinned block; a subscription that is over counts as one without room."""
    follower = _follower(call, identifier)
    if follower is None:
        return _LIMIT_REACHED
    _check_pinned(follower, block)
    operation = follower.start(work)
    if operation is None:
        return _LIMIT_REACHED
    call.started.append(operation)
    return {"result": "started", "operationId": operation.identifier, **members}


def header(call: Call, subscription: str, block: Hash) -> bytes | None:
    """A pinned block's SCALE-encoded header."""
    follower = _follower(call, subscription)
    if follower is None:
        return None
    _check_pinned(follower, block)
    found = call.service.header(block)
    return None if found is None else found.encode()


def body(call: Call, subscription: str, block: Hash) -> JsonObject:
    """A pinned block's extrinsics, as an event."""

    async def work(operation: Operation) -> None:
        found = await call.slowly(call.service.block, block)
        if found is None:
            operation.tell("operationInaccessible")
        else:
            operation.tell("operationBodyDone", value=found.extrinsics)

    return _start(call, subscription, block, work)


def runtime_call(call: Call, subscription: str, block: Hash, function: str, data: bytes) -> JsonObject:
    """The SCALE-encoded result of a runtime API at a pinned block, as an event."""

    async def work(operation: Operation) -> None:
        output = await call.slowly(call.service.runtime_call, function, data, block)
        operation.tell("operationCallDone", output=output)

    return _start(call, subscription, block, work)


def storage(call: Call, subscription: str, block: Hash, queries: list[StorageQuery], _child_trie: None) -> JsonObject:
    """Values or hashes of storage keys, or of all keys with a prefix, at a pinned block, as events."""

    async def work(operation: Operation) -> None:
        pages = _pages(call, block, queries)
        page = await call.slowly(next, pages, None)
        while page is not None:
            following = await call.slowly(next, pages, None)
            if page:
                operation.tell("operationStorageItems", items=page)
            if following is not None:
                await operation.wait_for_client()
            page = following
        operation.tell("operationStorageDone")

    return _start(call, subscription, block, work, discardedItems=0)


def _pages(call: Call, block: Hash, queries: list[StorageQuery]) -> Iterator[list[JsonObject]]:
    """The results of storage queries in portions for one event each."""
    page: list[JsonObject] = []
    room = _PAGE_BYTES
    for query in queries:
        for item, size in _items(call, block, query):
            if page and (room < size or len(page) >= _PAGE_ITEMS):
                yield page
                page, room = [], _PAGE_BYTES
            page.append(item)
            room -= size
    yield page


def _items(call: Call, block: Hash, query: StorageQuery) -> Iterator[tuple[JsonObject, int]]:
    """The results of one query and how many bytes each has."""
    is_hash = query.type in (StorageQueryType.HASH, StorageQueryType.DESCENDANTS_HASHES)

    def item(key: bytes, value: bytes) -> tuple[JsonObject, int]:
        shown = {"hash": blake2b_256(value)} if is_hash else {"value": value}
        return {"key": key, **shown}, 2 * (len(key) + (32 if is_hash else len(value)))

    if query.type in (StorageQueryType.VALUE, StorageQueryType.HASH):
        value = call.service.state_at(block).get(query.key)
        if value is not None:
            yield item(query.key, value)
        return
    after: bytes | None = None
    while True:
        # The reader is good for a moment, and the client may take its time between two pages.
        entries = list(islice(call.service.state_at(block).items(query.key, after), _PAGE_ITEMS))
        for key, value in entries:
            yield item(key, value)
        if len(entries) < _PAGE_ITEMS:
            return
        after = entries[-1][0]


def proceed(call: Call, subscription: str, operation: str) -> None:
    """Go on with a storage operation that waits for its client."""
    follower = _follower(call, subscription)
    if follower is None:
        return
    found = follower.operations.get(operation)
    if found is None or not found.proceed():
        raise error(Reason.INVALID_CONTINUE, "The operation does not wait for a continuation")


def stop_operation(call: Call, subscription: str, operation: str) -> None:
    """Stop an operation; one that is over already is no mistake."""
    follower = _follower(call, subscription)
    found = None if follower is None else follower.operations.get(operation)
    if found is not None:
        found.end()


def unpin(call: Call, subscription: str, blocks: list[Hash]) -> None:
    """Let go of one or several blocks."""
    follower = _follower(call, subscription)
    if follower is None:
        return
    if len(set(blocks)) != len(blocks):
        raise error(Reason.DUPLICATE_HASHES, "A block is named twice")
    if not follower.unpin(blocks):
        raise error(Reason.NOT_PINNED, "Block hash is not pinned")


_SUBSCRIPTION: Final = Param("followSubscription", SUBSCRIPTION)
_BLOCK: Final = (_SUBSCRIPTION, Param("hash", HASH))
_OPERATION: Final = (_SUBSCRIPTION, Param("operationId", SUBSCRIPTION))

METHODS: Final = (
    Method("chainSpec_v1_chainName", chain_name),
    Method("chainSpec_v1_genesisHash", genesis_hash),
    Method("chainSpec_v1_properties", properties),
    Method("chainHead_v1_follow", follow, (Param("withRuntime", BOOLEAN),)),
    Method("chainHead_v1_unfollow", unfollow, (_SUBSCRIPTION,)),
    Method("chainHead_v1_header", header, _BLOCK),
    Method("chainHead_v1_body", body, _BLOCK),
    Method("chainHead_v1_call", runtime_call, (*_BLOCK, Param("function", TEXT), Param("callParameters", ARGUMENTS))),
    Method(
        "chainHead_v1_storage",
        storage,
        (*_BLOCK, Param("items", STORAGE_QUERIES), optional("childTrie", NOTHING)),
    ),
    Method("chainHead_v1_continue", proceed, _OPERATION),
    Method("chainHead_v1_stopOperation", stop_operation, _OPERATION),
    Method("chainHead_v1_unpin", unpin, (_SUBSCRIPTION, Param("hashOrHashes", HASHES))),
)
