"""chain_*: blocks, and the heads of the chain as they move."""

from typing import Final

from rpc.dispatch import Call, Method
from rpc.parameters import BLOCK_NUMBERS, HASH, MAX_U32, SUBSCRIPTION, Param, optional
from rpc.service import JsonObject
from rpc.subscriptions import Topic
from runtime.header import Header
from runtime.primitives import BlockNumber, Hash


def get_block_hash(call: Call, block: BlockNumber | list[BlockNumber] | None) -> Hash | list[Hash | None] | None:
    """The hash at a height of the best chain, or at each of several; of the best block without a height."""
    if block is None:
        return call.service.best().hash
    if isinstance(block, list):
        return [_hash_at(call, number) for number in block]
    return _hash_at(call, block)


def _hash_at(call: Call, number: BlockNumber) -> Hash | None:
    return call.service.hash_at(number) if number <= MAX_U32 else None


def get_header(call: Call, block: Hash | None) -> JsonObject | None:
    """A block's header; null for a block the node does not have."""
    header = call.service.header(call.service.best().hash if block is None else block)
    return None if header is None else _header_json(header)


def get_block(call: Call, block: Hash | None) -> JsonObject | None:
    """A block's header and extrinsics; null for a block the node does not have."""
    found = call.service.block(call.service.best().hash if block is None else block)
    if found is None:
        return None
    return {
        "block": {"header": _header_json(found.header), "extrinsics": found.extrinsics},
        "justifications": None,
    }


def get_finalized_head(call: Call) -> Hash:
    """The hash of the highest block that cannot be undone."""
    return call.service.finalized().hash


def _header_json(header: Header) -> JsonObject:
    return header.to_json()


def subscribe_new_heads(call: Call) -> str:
    """The header of each new best block."""
    return call.subscribe(Topic.NEW_HEADS)


def subscribe_all_heads(call: Call) -> str:
    """The header of each new block, on whichever branch."""
    return call.subscribe(Topic.ALL_HEADS)


def subscribe_finalized_heads(call: Call) -> str:
    """The header of each new finalized head; blocks between two of them are skipped."""
    return call.subscribe(Topic.FINALIZED_HEADS)


def unsubscribe_new_heads(call: Call, subscription: str) -> bool:
    """End a subscription to new heads."""
    return call.unsubscribe(subscription, Topic.NEW_HEADS)


def unsubscribe_all_heads(call: Call, subscription: str) -> bool:
    """End a subscription to all heads."""
    return call.unsubscribe(subscription, Topic.ALL_HEADS)


def unsubscribe_finalized_heads(call: Call, subscription: str) -> bool:
    """End a subscription to finalized heads."""
    return call.unsubscribe(subscription, Topic.FINALIZED_HEADS)


_HASH: Final = (optional("hash", HASH),)
_ID: Final = (Param("subscription", SUBSCRIPTION),)

METHODS: Final = (
    Method(
        "chain_getBlockHash",
        get_block_hash,
        (optional("blockNumber", BLOCK_NUMBERS),),
        aliases=("chain_getHead",),
    ),
    Method("chain_getHeader", get_header, _HASH),
    Method("chain_getBlock", get_block, _HASH),
    Method("chain_getFinalizedHead", get_finalized_head, aliases=("chain_getFinalisedHead",)),
    Method(
        "chain_subscribeNewHeads",
        subscribe_new_heads,
        aliases=("chain_subscribeNewHead", "subscribe_newHead"),
    ),
    Method(
        "chain_unsubscribeNewHeads",
        unsubscribe_new_heads,
        _ID,
        aliases=("chain_unsubscribeNewHead", "unsubscribe_newHead"),
    ),
    Method("chain_subscribeAllHeads", subscribe_all_heads),
    Method("chain_unsubscribeAllHeads", unsubscribe_all_heads, _ID),
    Method("chain_subscribeFinalizedHeads", subscribe_finalized_heads, aliases=("chain_subscribeFinalisedHeads",)),
    Method(
        "chain_unsubscribeFinalizedHeads",
        unsubscribe_finalized_heads,
        _ID,
        aliases=("chain_unsubscribeFinalisedHeads",),
    ),
)
