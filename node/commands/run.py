"""mfchain-node run: the node itself."""

import logging
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from node.chain_spec import load_spec
from node.commands.common import BasePath, ChainOption, chosen_base_path, make_directory
from node.commands.logs import start_logging
from node.config import (
    ARCHIVE,
    DEFAULT_IN_PEERS,
    DEFAULT_METRICS_PORT,
    DEFAULT_NAME,
    DEFAULT_OUT_PEERS,
    DEFAULT_PORT,
    DEFAULT_RPC_PORT,
    DEFAULT_STATE_PRUNING,
    DEV_KEYS,
    LogFormat,
    NodeConfig,
    Options,
    SyncMode,
    configure,
)
from node.errors import ExitCode
from node.keystore import Keystore
from node.signals import ignore_signals, restored_signals
from rpc.limits import MEBIBYTE, RpcLimits, UnsafeMethods
from runtime.crypto import KeyPair

_LIMITS = RpcLimits()
_MAX_U32 = 2**32 - 1
_PRODUCING = "Making blocks"
_NETWORK = "Network"
_RPC = "JSON-RPC"
_METRICS = "Metrics"
_LOG = "Log"

log = logging.getLogger(__name__)


def run(
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            help="A chain of one's own to try things on: --chain dev --tmp --alice --producer --rpc-cors all "
            "--rpc-methods unsafe, each unless said otherwise.",
        ),
    ] = False,
    chain: ChainOption = None,
    base_path: BasePath = None,
    tmp: Annotated[
        bool, typer.Option("--tmp", help="Keep files in a new directory that goes when the node stops.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What the node calls itself.", show_default=DEFAULT_NAME),
    ] = None,
    state_pruning: Annotated[
        str,
        typer.Option("--state-pruning", metavar="N|archive", help="How many states behind the newest can be read."),
    ] = str(DEFAULT_STATE_PRUNING),
    blocks_pruning: Annotated[
        str,
        typer.Option("--blocks-pruning", metavar="N|archive", help="How many of the last final blocks to keep whole."),
    ] = ARCHIVE,
    producer: Annotated[
        bool,
        typer.Option(
            "--producer",
            help="Make blocks, with the key in the keystore if no option names one; it is made on first use.",
            rich_help_panel=_PRODUCING,
        ),
    ] = False,
    alice: Annotated[bool, typer.Option("--alice", help="Use the key //Alice.", rich_help_panel=_PRODUCING)] = False,
    bob: Annotated[bool, typer.Option("--bob", help="Use the key //Bob.", rich_help_panel=_PRODUCING)] = False,
    charlie: Annotated[
        bool, typer.Option("--charlie", help="Use the key //Charlie.", rich_help_panel=_PRODUCING)
    ] = False,
    dave: Annotated[bool, typer.Option("--dave", help="Use the key //Dave.", rich_help_panel=_PRODUCING)] = False,
    eve: Annotated[bool, typer.Option("--eve", help="Use the key //Eve.", rich_help_panel=_PRODUCING)] = False,
    ferdie: Annotated[bool, typer.Option("--ferdie", help="Use the key //Ferdie.", rich_help_panel=_PRODUCING)] = False,
    suri: Annotated[
        str | None,
        typer.Option(
            "--suri",
            metavar="URI",
            help="Use the key of a secret URI. Other users of the machine can see it: prefer `key insert`.",
            rich_help_panel=_PRODUCING,
        ),
    ] = None,
    block_time: Annotated[
        int | None,
        typer.Option(
            "--block-time",
            metavar="MS",
            min=1,
            max=3_600_000,
            help="Make a block every so many milliseconds, whatever the chain specification says. A ring with other "
            "slots is another chain: give all its nodes the same; other commands need a specification with that "
            "slotDurationMs.",
            rich_help_panel=_PRODUCING,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Where peers reach this node, on all interfaces; 0 is any free port. A node with --dev has a chain of "
            "its own and no network, unless this or an address is given.",
            show_default=str(DEFAULT_PORT),
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    listen_addr: Annotated[
        list[str] | None,
        typer.Option(
            "--listen-addr",
            metavar="ADDRESS",
            help="Listen here instead, such as /ip4/10.0.0.1/tcp/30333; may be repeated.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    bootnodes: Annotated[
        list[str] | None,
        typer.Option(
            "--bootnodes",
            metavar="ADDRESS",
            help="A peer to begin with, such as /ip4/10.0.0.1/tcp/30333/p2p/12D3...; may be repeated.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    node_key: Annotated[
        str | None,
        typer.Option(
            "--node-key",
            metavar="HEX|FILE",
            help="The secret key that is this node's identity: 64 hexadecimal digits, or a file with them.",
            show_default="kept in the base path, made on first use",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    no_mdns: Annotated[
        bool,
        typer.Option("--no-mdns", help="Do not look for peers in the local network.", rich_help_panel=_NETWORK),
    ] = False,
    in_peers: Annotated[
        int,
        typer.Option(
            "--in-peers", metavar="N", min=0, max=1_000, help="Peers that may dial us.", rich_help_panel=_NETWORK
        ),
    ] = DEFAULT_IN_PEERS,
    out_peers: Annotated[
        int,
        typer.Option("--out-peers", metavar="N", min=0, max=1_000, help="Peers to dial.", rich_help_panel=_NETWORK),
    ] = DEFAULT_OUT_PEERS,
    sync: Annotated[
        SyncMode,
        typer.Option(
            "--sync",
            help="How a new node gets at the chain: by executing every block, or by fetching the state of a final one, "
            "which needs --trusted.",
            rich_help_panel=_NETWORK,
        ),
    ] = SyncMode.FULL,
    trusted: Annotated[
        str | None,
        typer.Option(
            "--trusted",
            metavar="NUMBER:HASH",
            help="A block that is known to be final, from somebody you trust; no chain without it is followed.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    rpc_port: Annotated[
        int,
        typer.Option("--rpc-port", metavar="PORT", min=0, max=65_535, help="0 is any free port.", rich_help_panel=_RPC),
    ] = DEFAULT_RPC_PORT,
    rpc_external: Annotated[
        bool, typer.Option("--rpc-external", help="Serve other machines too.", rich_help_panel=_RPC)
    ] = False,
    rpc_cors: Annotated[
        str | None,
        typer.Option(
            "--rpc-cors",
            metavar="ORIGINS",
            help="Web pages that may call: all, or origins between commas; a port may be *.",
            show_default="this machine's and https://polkadot.js.org",
            rich_help_panel=_RPC,
        ),
    ] = None,
    rpc_methods: Annotated[
        UnsafeMethods | None,
        typer.Option(
            "--rpc-methods",
            help="Whether unsafe methods can be called; auto: only while other machines cannot call.",
            show_default=UnsafeMethods.AUTO.value,
            rich_help_panel=_RPC,
        ),
    ] = None,
    rpc_max_connections: Annotated[
        int,
        typer.Option(
            "--rpc-max-connections", metavar="N", min=1, max=_MAX_U32, help="At a time.", rich_help_panel=_RPC
        ),
    ] = _LIMITS.max_connections,
    rpc_max_request_size: Annotated[
        int,
        typer.Option("--rpc-max-request-size", metavar="MB", min=1, max=1_024, help="In MiB.", rich_help_panel=_RPC),
    ] = _LIMITS.max_request_size // MEBIBYTE,
    rpc_max_batch: Annotated[
        int,
        typer.Option(
            "--rpc-max-batch",
            metavar="N",
            min=1,
            max=_MAX_U32,
            help="Calls in a request.",
            rich_help_panel=_RPC,
        ),
    ] = _LIMITS.max_batch,
    rpc_max_subscriptions: Annotated[
        int,
        typer.Option(
            "--rpc-max-subscriptions",
            metavar="N",
            min=1,
            max=_MAX_U32,
            help="Of a connection.",
            rich_help_panel=_RPC,
        ),
    ] = _LIMITS.max_subscriptions,
    rpc_rate_limit: Annotated[
        float | None,
        typer.Option(
            "--rpc-rate-limit",
            metavar="N",
            help="Calls a second that one client may make; clients on this machine are free of it.",
            show_default="no limit",
            rich_help_panel=_RPC,
        ),
    ] = None,
    prometheus_port: Annotated[
        int | None,
        typer.Option(
            "--prometheus-port",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Where Prometheus reads /metrics; 0 is any free port.",
            show_default=f"{DEFAULT_METRICS_PORT}, or any free port if that is taken",
            rich_help_panel=_METRICS,
        ),
    ] = None,
    prometheus_external: Annotated[
        bool,
        typer.Option("--prometheus-external", help="Serve them to other machines too.", rich_help_panel=_METRICS),
    ] = False,
    no_prometheus: Annotated[
        bool, typer.Option("--no-prometheus", help="Serve no metrics.", rich_help_panel=_METRICS)
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            "-l",
            metavar="[TARGET=]LEVEL",
            help="error, warn, info or debug, for everything or for a module; several between commas.",
            show_default="info",
            rich_help_panel=_LOG,
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Lines, or an object a line.", rich_help_panel=_LOG)
    ] = LogFormat.TEXT,
) -> int:
    """Run a node. This is what happens when no command is named."""
    chosen = zip(DEV_KEYS, (alice, bob, charlie, dave, eve, ferdie), strict=True)
    options = Options(
        dev=dev,
        chain=chain,
        base_path=base_path,
        tmp=tmp,
        name=name,
        producer=producer,
        dev_keys=tuple(key for key, is_chosen in chosen if is_chosen),
        suri=suri,
        port=port,
        listen_addresses=tuple(listen_addr or ()),
        bootnodes=tuple(bootnodes or ()),
        node_key=node_key,
        no_mdns=no_mdns,
        in_peers=in_peers,
        out_peers=out_peers,
        rpc_port=rpc_port,
        rpc_external=rpc_external,
        rpc_cors=rpc_cors,
        rpc_methods=rpc_methods,
        rpc_max_connections=rpc_max_connections,
        rpc_max_request_size=rpc_max_request_size,
        rpc_max_batch=rpc_max_batch,
        rpc_max_subscriptions=rpc_max_subscriptions,
        rpc_rate_limit=rpc_rate_limit,
        sync=sync,
        trusted=trusted,
        prometheus_port=prometheus_port,
        prometheus_external=prometheus_external,
        no_prometheus=no_prometheus,
        state_pruning=state_pruning,
        blocks_pruning=blocks_pruning,
        block_time=block_time,
        log=tuple(log or ()),
        log_format=log_format,
    )
    return start(options)


def start(options: Options) -> int:
    """Run the node that the options describe; return its exit code."""
    code: int = ExitCode.STOPPED
    try:
        with _interruptible():
            spec = load_spec(options.chain_name)
            with _base_directory(options) as base_path:
                code = _run(configure(options, spec, base_path, _stored_key))
                ignore_signals()
    except* KeyboardInterrupt:
        # Told to stop before the node listens for that itself; tasks may have been running already.
        log.info("stopping")
    return code


def _run(config: NodeConfig) -> int:
    start_logging(config.log)
    make_directory(config.chain_path)
    # The RPC server's packages take half a second to load, which the other commands need not wait for.
    from node.service import run_node

    return run_node(config)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does until the node itself listens to both: leave no directory behind."""
    with restored_signals():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield


@contextmanager
def _base_directory(options: Options) -> Iterator[Path]:
    """The directory of the node's files, for as long as the node runs."""
    if not options.is_temporary:
        yield chosen_base_path(options.base_path)
        return
    with tempfile.TemporaryDirectory(prefix="mfchain-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _stored_key(path: Path) -> KeyPair:
    """The producer's key from a keystore, made there if need be."""
    make_directory(path.parent)
    return Keystore(path).producer_or_new()
