"""state_*: keys and values of the state at a block, proofs of them, and the runtime."""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from itertools import islice
from typing import Final, TypeVar

from rpc.dispatch import Call, Method
from rpc.errors import invalid_params, too_many, unknown_block
from rpc.parameters import BYTES, HASH, KEYS, MAX_PAGE, PREFIX, SUBSCRIPTION, TEXT, Param, count, optional
from rpc.service import JsonObject
from rpc.subscriptions import Topic, storage_changes
from runtime.primitives import BlockNumber, Hash, blake2b_256

# Bounds of the unpaged queries, which only the operator may make.
MAX_LISTED: Final = 10_000
MAX_QUERIED_BLOCKS: Final = 1_000


T = TypeVar("T")


def _of_a_state(read: Callable[..., T]) -> Callable[..., T | Awaitable[T]]:
    """Read the head's state at once, and an old one in a worker thread: it takes a look at all that changed since.

    The last argument is the block.
    """

    @wraps(read)
    def ask(call: Call, *arguments: object) -> T | Awaitable[T]:
        if arguments[-1] is None or arguments[-1] == call.service.best().hash:
            return read(call, *arguments)
        return call.slowly(read, call, *arguments)

    return ask


def runtime_version(call: Call, at: Hash | None) -> JsonObject:
    """Name and versions of the runtime, and the APIs it has."""
    return call.service.runtime_version(at)


def get_metadata(call: Call, at: Hash | None) -> bytes:
    """The description of the runtime that clients read and write everything by, version 14."""
    return call.service.metadata(at)


@_of_a_state
def get_storage(call: Call, key: bytes, at: Hash | None) -> bytes | None:
    """The value of a storage key."""
    return call.service.state_at(at).get(key)


@_of_a_state
def get_storage_hash(call: Call, key: bytes, at: Hash | None) -> Hash | None:
    """The blake2b-256 hash of a key's value."""
    value = call.service.state_at(at).get(key)
    return None if value is None else blake2b_256(value)


@_of_a_state
def get_storage_size(call: Call, key: bytes, at: Hash | None) -> int | None:
    """The number of bytes of a key's value."""
    value = call.service.state_at(at).get(key)
    return None if value is None else len(value)


@_of_a_state
def get_keys_paged(call: Call, prefix: bytes, limit: int, after: bytes | None, at: Hash | None) -> list[bytes]:
    """Keys in ascending order that start with a prefix and come after a key."""
    items = call.service.state_at(at).items(prefix, after)
    return [key for key, _ in islice(items, limit)]


def get_keys(call: Call, prefix: bytes, at: Hash | None) -> list[bytes]:
    """All keys that start with a prefix, if they are not too many."""
    return [key for key, _ in get_pairs(call, prefix, at)]


def get_pairs(call: Call, prefix: bytes, at: Hash | None) -> list[tuple[bytes, bytes]]:
    """All keys that start with a prefix and their values, if they are not too many."""
    pairs = list(islice(call.service.state_at(at).items(prefix), MAX_LISTED + 1))
    if len(pairs) > MAX_LISTED:
        raise too_many("keys with this prefix", MAX_LISTED)
    return pairs


@_of_a_state
def query_storage_at(call: Call, keys: list[bytes], at: Hash | None) -> list[JsonObject]:
    """The values of several keys at one block."""
    block = call.service.best().hash if at is None else at
    return [storage_changes(block, _values(call, keys, block))]


def _values(call: Call, keys: Sequence[bytes], block: Hash) -> dict[bytes, bytes | None]:
    state = call.service.state_at(block)
    return {key: state.get(key) for key in keys}


def query_storage(call: Call, keys: list[bytes], first: Hash, last: Hash | None) -> list[JsonObject]:
    """The values of several keys at a block, and then at each later one that changed some of them."""
    path = _path(call, first, call.service.best().hash if last is None else last)
    result: list[JsonObject] = [storage_changes(first, _values(call, keys, first))]
    wanted = frozenset(keys)
    for block in path[1:]:
        touched = [key for key in call.service.changed_keys(block) if key in wanted]
        if touched:
            result.append(storage_changes(block, _values(call, touched, block)))
    return result


def _path(call: Call, first: Hash, last: Hash) -> list[Hash]:
    """The blocks from `first` to its descendant `last`, both included."""
    start = _number(call, first)
    path = [last]
    if _number(call, last) - start >= MAX_QUERIED_BLOCKS:
        raise too_many("blocks to query", MAX_QUERIED_BLOCKS)
    while path[-1] != first:
        header = call.service.header(path[-1])
        if header is None or header.number <= start:
            raise invalid_params("parameter toBlock must be a descendant of fromBlock")
        path.append(header.parent_hash)
    return path[::-1]


def _number(call: Call, block: Hash) -> BlockNumber:
    header = call.service.header(block)
    if header is None:
        raise unknown_block(block)
    return header.number


def get_read_proof(call: Call, keys: list[bytes], at: Hash | None) -> JsonObject:
    """Trie nodes that prove several keys' values against a block's state root."""
    proof = call.service.read_proof(keys, at)
    return {"at": proof.at, "proof": proof.nodes}


def runtime_call(call: Call, name: str, data: bytes, at: Hash | None) -> bytes:
    """The SCALE-encoded result of a runtime API."""
    return call.service.runtime_call(name, data, at)


def subscribe_storage(call: Call, keys: Sequence[bytes]) -> str:
    """The values of several keys, now and whenever a best block changes some of them."""
    return call.subscribe(Topic.STORAGE, keys)


def unsubscribe_storage(call: Call, subscription: str) -> bool:
    """End a subscription to storage."""
    return call.unsubscribe(subscription, Topic.STORAGE)


def subscribe_runtime_version(call: Call) -> str:
    """The runtime's version, now and whenever it changes."""
    return call.subscribe(Topic.RUNTIME_VERSION)


def unsubscribe_runtime_version(call: Call, subscription: str) -> bool:
    """End a subscription to the runtime's version."""
    return call.unsubscribe(subscription, Topic.RUNTIME_VERSION)


_AT: Final = optional("at", HASH)
_KEY: Final = (Param("key", BYTES), _AT)
_KEYS: Final = (Param("keys", KEYS), _AT)
_ID: Final = (Param("subscription", SUBSCRIPTION),)

METHODS: Final = (
    Method("state_getRuntimeVersion", runtime_version, (_AT,), aliases=("chain_getRuntimeVersion",)),
    Method("state_getMetadata", get_metadata, (_AT,)),
    Method("state_getStorage", get_storage, _KEY, aliases=("state_getStorageAt",)),
    Method("state_getStorageHash", get_storage_hash, _KEY, aliases=("state_getStorageHashAt",)),
    Method("state_getStorageSize", get_storage_size, _KEY, aliases=("state_getStorageSizeAt",)),
    Method(
        "state_getKeysPaged",
        get_keys_paged,
        (
            Param("key", PREFIX),
            Param("count", count(MAX_PAGE, "keys")),
            optional("startKey", BYTES),
            _AT,
        ),
        aliases=("state_getKeysPagedAt",),
    ),
    Method("state_getKeys", get_keys, _KEY, unsafe=True, slow=True),
    Method("state_getPairs", get_pairs, _KEY, unsafe=True, slow=True),
    Method("state_queryStorageAt", query_storage_at, _KEYS),
    Method(
        "state_queryStorage",
        query_storage,
        (Param("keys", KEYS), Param("fromBlock", HASH), optional("toBlock", HASH)),
        unsafe=True,
        slow=True,
    ),
    Method("state_getReadProof", get_read_proof, _KEYS, slow=True),
    Method(
        "state_call",
        runtime_call,
        (Param("method", TEXT), Param("data", BYTES), _AT),
        aliases=("state_callAt",),
        slow=True,
    ),
    Method("state_subscribeStorage", subscribe_storage, (Param("keys", KEYS),)),
    Method("state_unsubscribeStorage", unsubscribe_storage, _ID),
    Method("state_subscribeRuntimeVersion", subscribe_runtime_version, aliases=("chain_subscribeRuntimeVersion",)),
    Method(
        "state_unsubscribeRuntimeVersion",
        unsubscribe_runtime_version,
        _ID,
        aliases=("chain_unsubscribeRuntimeVersion",),
    ),
)
