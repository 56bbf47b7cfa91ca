"""system_*: the node and its place in the network; rpc_methods."""

from collections.abc import Sequence
from typing import Final

from rpc.dispatch import Call, Method
from rpc.parameters import ACCOUNT, BYTES, HASH, Param, optional
from rpc.service import JsonObject
from runtime.primitives import AccountId, Hash, Nonce


def chain(call: Call) -> str:
    """The chain's name."""
    return call.service.node_info().chain


def name(call: Call) -> str:
    """The node's implementation."""
    return call.service.node_info().name


def version(call: Call) -> str:
    """The node's version."""
    return call.service.node_info().version


def chain_type(call: Call) -> str:
    """Development, Local, Live, or a name of the chain's own."""
    return call.service.node_info().chain_type


def properties(call: Call) -> JsonObject:
    """The address prefix and what else the chain spec tells wallets."""
    return call.service.node_info().properties


def node_roles(call: Call) -> Sequence[str]:
    """What the node does: Authority for one that makes blocks, Full otherwise."""
    return call.service.node_info().roles


def local_peer_id(call: Call) -> str:
    """The node's identity in the network."""
    return call.service.node_info().peer_id


def local_listen_addresses(call: Call) -> Sequence[str]:
    """The multiaddresses at which other nodes reach this one."""
    return call.service.node_info().listen_addresses


def health(call: Call) -> JsonObject:
    """Number of peers, whether the node is catching up, and whether it should have peers."""
    state = call.service.health()
    return {
        "peers": state.peers,
        "isSyncing": state.is_syncing,
        "shouldHavePeers": state.should_have_peers,
    }


def peers(call: Call) -> list[JsonObject]:
    """The connected peers."""
    return [
        {
            "peerId": peer.peer_id,
            "roles": peer.roles,
            "bestHash": peer.best.hash,
            "bestNumber": peer.best.number,
        }
        for peer in call.service.peers()
    ]


def sync_state(call: Call) -> JsonObject:
    """Heights: when the node started, now, and the highest known."""
    state = call.service.sync_state()
    return {
        "startingBlock": state.starting,
        "currentBlock": state.current,
        "highestBlock": state.highest,
    }


def account_next_index(call: Call, account: AccountId) -> Nonce:
    """The nonce for the account's next transaction, those waiting in the pool counted."""
    return call.service.next_nonce(account)


def dry_run(call: Call, extrinsic: bytes, at: Hash | None) -> bytes:
    """What applying an extrinsic would give, SCALE-encoded; nothing is kept."""
    return call.service.dry_run(extrinsic, at)


def methods(call: Call) -> JsonObject:
    """The names of the methods that this caller may use."""
    return {"methods": call.server.names}


METHODS: Final = (
    Method("system_chain", chain),
    Method("system_name", name),
    Method("system_version", version),
    Method("system_chainType", chain_type),
    Method("system_properties", properties),
    Method("system_nodeRoles", node_roles),
    Method("system_localPeerId", local_peer_id),
    Method("system_localListenAddresses", local_listen_addresses),
    Method("system_health", health),
    Method("system_peers", peers, unsafe=True),
    Method("system_syncState", sync_state),
    Method(
        "system_accountNextIndex",
        account_next_index,
        (Param("accountId", ACCOUNT),),
        aliases=("account_nextIndex",),
    ),
    Method(
        "system_dryRun",
        dry_run,
        (Param("extrinsic", BYTES), optional("at", HASH)),
        aliases=("system_dryRunAt",),
        unsafe=True,
        slow=True,
    ),
    Method("rpc_methods", methods),
)
