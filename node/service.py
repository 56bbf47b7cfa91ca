"""The process of a node: its sockets, its database, its signals, and what it says of itself."""

import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from node.age import is_stale
from node.chain import Chain
from node.chain_spec import genesis
from node.config import VERSION, NodeConfig, SyncMode
from node.errors import ExitCode, NodeError, first_error
from node.executor import ThreadExecutor
from node.inbox import Inbox
from node.listeners import Listeners, bound_listeners, other_addresses, port_of
from node.memory import collect_on_growth, settle
from node.metrics import NodeCollector, metrics_served
from node.node import Node
from node.node_key import load_node_key
from node.pool import TransactionPool
from node.rpc_service import RpcService
from node.signals import stopping_signals
from node.sync.fast import FastSync
from node.sync.messages import KINDS
from node.sync.switchboard import Switchboard
from p2p.config import NetworkConfig
from p2p.network import AddressInUse, Network
from p2p.peers import JsonRecords
from rpc.app import create_app, only_loopback, serve
from rpc.service import AUTHORITY, FULL, NodeInfo
from rpc.starting import StartingApplication
from runtime.header import Header
from runtime.keys import ss58_encode
from runtime.primitives import Hash, to_hex
from storage.errors import StorageError
from storage.leveldb import LevelDbStore
from storage.snapshot import Snapshot, discard_snapshot, is_empty, is_snapshot

if TYPE_CHECKING:
    from p2p.host import Libp2pNetwork

log = logging.getLogger(__name__)

_SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread that waits gets its turn: Python's own five are felt by whoever asks during a block."""


def milliseconds() -> int:
    """Return the time of the clock, since the Unix epoch."""
    return time.time_ns() // 1_000_000


def run_node(config: NodeConfig) -> int:
    """Run a node until it is told to stop; return the exit code.

    Raises:
        NodeError: a port is in use.
        StorageError: the database is refused.
    """
    with bound_listeners(config) as listeners:
        store = LevelDbStore(config.database_path)
        try:
            first = genesis(config.spec)
            snapshot = _snapshot(config, store, first.header)
            chain = None if snapshot is not None else _open_chain(config, store)
            network = _network(config, first.header.hash())
            settle()
            sys.setswitchinterval(_SWITCH_INTERVAL)
            if chain is not None:
                return trio.run(_run, config, chain, network, listeners)
            assert snapshot is not None, "there is a chain, or the beginning of one"
            assert network is not None, "a state is fetched from peers"
            return trio.run(_run_fast, config, store, first.header, snapshot, network, listeners)
        finally:
            store.close()


def _snapshot(config: NodeConfig, store: LevelDbStore, first: Header) -> Snapshot | None:
    """Begin a fast sync, or go on with one; None if that is not asked for, or there is a chain already."""
    if config.sync is SyncMode.FAST and (is_snapshot(store) or is_empty(store)):
        return Snapshot.open(store, first)
    if is_snapshot(store):
        log.info("the fast sync that was begun here is given up")
        discard_snapshot(store)
    return None


def _open_chain(config: NodeConfig, store: LevelDbStore) -> Chain:
    """Open the database, and see that it can be trusted as far as anybody has said."""
    chain = Chain.open(
        config.spec,
        store,
        state_pruning=config.state_pruning,
        blocks_pruning=config.blocks_pruning,
        trusted=config.trusted,
    )
    trusted = config.trusted
    if trusted is not None:
        found = chain.database.hash_at(trusted.number)
        if found is not None and found != trusted.hash:
            message = (
                f"block {trusted.number} of the database is {to_hex(found)}, not the trusted {to_hex(trusted.hash)}"
            )
            raise NodeError(ExitCode.DATABASE_REFUSED, message)
    elif is_stale(chain, milliseconds()):
        log.warning(
            "the last final block is older than half the leak: whoever has left since could show another history. "
            "Ask somebody you trust for a recent final block, and name it with --trusted"
        )
    return chain


def _network(config: NodeConfig, genesis_hash: Hash) -> "Libp2pNetwork | None":
    """Make the node's network, and listen; None for a chain of one's own.

    Raises:
        NodeError: a port is in use.
    """
    options = config.network
    if options is None:
        return None
    # A chain of one's own need not wait for libp2p.
    from p2p.host import Libp2pNetwork

    network = Libp2pNetwork(
        NetworkConfig(
            genesis=genesis_hash,
            node_key=load_node_key(options.node_key, config.network_path),
            port=options.port,
            listen_addresses=options.listen_addresses,
            bootnodes=(*config.spec.boot_nodes, *options.bootnodes),
            mdns=options.mdns,
            in_peers=options.in_peers,
            out_peers=options.out_peers,
            kinds=KINDS,
        ),
        records=JsonRecords(config.network_path / "peers.json"),
    )
    try:
        network.bind()
    except AddressInUse as error:
        message = f"{error.strerror}; choose another with --port or --listen-addr"
        raise NodeError(ExitCode.PORT_IN_USE, message) from None
    except OSError as error:
        raise NodeError(ExitCode.FAILED, f"the network cannot listen: {error.strerror}") from None
    return network


async def _run(config: NodeConfig, chain: Chain, network: Network | None, listeners: Listeners) -> int:
    """Be the node of a chain until the end."""
    stopped = trio.Event()
    # From before anybody can see the node until its server is down, so that no signal cuts that short.
    with stopping_signals(stopped):
        return await _serve(config, chain, network, listeners, stopped)


async def _run_fast(
    config: NodeConfig,
    store: LevelDbStore,
    first: Header,
    snapshot: Snapshot,
    network: Network,
    listeners: Listeners,
) -> int:
    """Fetch a state, then be the node of the chain that goes on from it."""
    stopped = trio.Event()
    code: int = ExitCode.STOPPED
    failure: BaseException | None = None
    assert config.trusted is not None, "a fast sync has a block to trust"
    sync = FastSync(config.spec, first, snapshot, ThreadExecutor(), milliseconds, config.trusted)
    log.info("mfchain %s, chain %s, genesis %s", VERSION, config.spec.name, to_hex(first.hash())[:10])
    with stopping_signals(stopped):
        try:
            async with trio.open_nursery() as nursery:
                board = Switchboard(network)
                await nursery.start(board.run, sync)
                with _starting(listeners):
                    is_here = await _until_stopped(stopped, sync.run, board.line(), config.state_pruning)
                if is_here:
                    chain = await trio.to_thread.run_sync(_open_chain, config, store)
                    settle()
                    code = await _serve(config, chain, board.line(), listeners, stopped)
                nursery.cancel_scope.cancel()
        except* (NodeError, StorageError) as group:
            failure = first_error(group)
    if failure is not None:
        raise failure
    return code


@contextmanager
def _starting(listeners: Listeners) -> Iterator[None]:
    """Answer on the port for calls that there is nothing to serve yet."""
    # A socket of its own, since a server closes its socket at the end.
    sockets = [listeners.rpc.dup()]
    app = StartingApplication("a state is being fetched", only_loopback=only_loopback(sockets))
    server = serve(app, sockets, name="starting")
    try:
        yield
    finally:
        server.stop()


async def _until_stopped(stopped: trio.Event, work: Callable[..., Awaitable[object]], *arguments: object) -> bool:
    """Do some work unless the node is to stop before; tell whether it is done."""
    is_done = False
    async with trio.open_nursery() as nursery:

        async def end() -> None:
            await stopped.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(end)
        await work(*arguments)
        is_done = True
        nursery.cancel_scope.cancel()
    return is_done


async def _serve(
    config: NodeConfig, chain: Chain, network: Network | None, listeners: Listeners, stopped: trio.Event
) -> int:
    """Start the parts, say where they are, and wait for the end."""
    token = trio.lowlevel.current_trio_token()
    pool, inbox = TransactionPool(), Inbox(token)
    service = RpcService(_describe(config, network), chain, pool, inbox)
    node = Node(
        chain=chain,
        pool=pool,
        inbox=inbox,
        executor=ThreadExecutor(),
        notify=service.notify,
        producer=config.producer,
        block_time=config.block_time,
        clock=milliseconds,
        network=network,
    )
    if node.peers is not None:
        service.follow_peers(node.peers)
    failure: list[str] = []

    def died(why: str) -> None:
        failure.append(why)
        token.run_sync_soon(stopped.set)

    calls = [listeners.rpc]
    app = create_app(service, config.rpc_limits, only_loopback=only_loopback(calls))
    server = serve(app, calls, on_death=lambda why: died(f"the RPC server failed: {why}"))
    try:
        _greet(config, chain, network, listeners.rpc)
        with metrics_served(listeners.metrics, NodeCollector(service, chain, pool), died):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                nursery.start_soon(collect_on_growth)
                await stopped.wait()
                nursery.cancel_scope.cancel()
    except* StorageError as group:
        # What was reported is on disk; the rest is not, and nothing can be added to it.
        failure.append(f"the database failed: {first_error(group)}")
    finally:
        server.stop()
    if failure:
        raise NodeError(ExitCode.FAILED, failure[0])
    return ExitCode.STOPPED


def _describe(config: NodeConfig, network: Network | None) -> NodeInfo:
    """Say what does not change while the node runs. Without a network there is no peer id."""
    return NodeInfo(
        name=config.name,
        version=VERSION,
        chain=config.spec.name,
        chain_type=config.spec.chain_type.value,
        properties=config.spec.properties.to_json(),
        roles=(FULL,) if config.producer is None else (AUTHORITY,),
        peer_id="" if network is None else str(network.local_peer_id),
        listen_addresses=() if network is None else tuple(network.listen_addresses()),
    )


def _greet(config: NodeConfig, chain: Chain, network: Network | None, listener: socket.socket) -> None:
    """Tell a person what runs and where."""
    best = chain.snapshot.best
    log.info("mfchain %s, chain %s, genesis %s", VERSION, config.spec.name, to_hex(chain.genesis)[:10])
    log.info("database %s, best block %d %s", config.database_path, best.number, to_hex(best.hash)[:10])
    record = chain.snapshot.model.record
    log.info("%d ratings by %d users of %d items", record.ratings, record.users, chain.snapshot.model.items.size)
    if config.producer is not None:
        log.info("making blocks as %s (%s sealing)", ss58_encode(config.producer.public), config.spec.sealing.value)
    if network is not None:
        log.info("peers reach this node at %s", " or ".join(_shortlist(network.listen_addresses())))
    port, others = port_of(listener), other_addresses(listener)
    page = "where a browser finds the page"
    log.info("JSON-RPC at ws://127.0.0.1:%d and http://127.0.0.1:%d, %s%s", port, port, page, others)


def _shortlist(addresses: Sequence[str]) -> list[str]:
    """Of many addresses of one machine, the one for others and the one for itself."""
    local = [address for address in addresses if address.startswith("/ip4/127.")]
    return [*[address for address in addresses if address not in local][:1], *local[:1]]
