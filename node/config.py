"""What a node is told to do: the options of `run`, what they imply, and where its files are."""

import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from node.chain_spec import MAX_SLOT_DURATION, MIN_SLOT_DURATION, ChainSpec
from node.errors import UsageError
from node.spec_types import Sealing, read_block_name
from p2p.addresses import AddressError, parse_address
from rpc.limits import DEFAULT_ORIGINS, MEBIBYTE, RpcLimits, UnsafeMethods
from runtime.crypto import KeyPair, Scheme
from runtime.keys import SecretError, key_pair_from_uri
from runtime.primitives import BlockRef, HexError

VERSION: Final = "0.1.0"
DEFAULT_CHAIN: Final = "local"
DEFAULT_NAME: Final = "mfchain"
DEFAULT_RPC_PORT: Final = 9944
DEFAULT_METRICS_PORT: Final = 9615
DEFAULT_STATE_PRUNING: Final = 256
ARCHIVE: Final = "archive"
DEFAULT_PORT: Final = 30333
DEFAULT_IN_PEERS: Final = 25
DEFAULT_OUT_PEERS: Final = 8
DEV_KEYS: Final = ("alice", "bob", "charlie", "dave", "eve", "ferdie")

_DEV_CHAIN: Final = "dev"
_LOOPBACK: Final = "127.0.0.1"
_ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 - only with --rpc-external or --prometheus-external
_MAX_NAME: Final = 64
_MAX_PRUNING: Final = 2**32 - 1
_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s/:,]+(:(\d{1,5}|\*))?/?", re.IGNORECASE)
_TARGET: Final = re.compile(r"[A-Za-z0-9_.]+")
_LEVELS: Final = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


class SyncMode(StrEnum):
    """How a node with an empty database gets at the chain."""

    FULL = "full"
    """By executing every block."""
    FAST = "fast"
    """By fetching the state of a final block."""


class LogFormat(StrEnum):
    """Lines for people, or an object a line for programs."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged: `targets` are pairs of a module and its level, `level` holds for the rest of ours."""

    level: int = logging.INFO
    targets: tuple[tuple[str, int], ...] = ()
    format: LogFormat = LogFormat.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `run` as they were given; None stands for one that was not."""

    dev: bool = False
    chain: str | None = None
    base_path: Path | None = None
    tmp: bool = False
    name: str | None = None
    producer: bool = False
    dev_keys: tuple[str, ...] = ()
    suri: str | None = None
    rpc_port: int = DEFAULT_RPC_PORT
    rpc_external: bool = False
    rpc_cors: str | None = None
    rpc_methods: UnsafeMethods | None = None
    rpc_max_connections: int = RpcLimits().max_connections
    rpc_max_request_size: int = RpcLimits().max_request_size // MEBIBYTE
    rpc_max_batch: int = RpcLimits().max_batch
    rpc_max_subscriptions: int = RpcLimits().max_subscriptions
    rpc_rate_limit: float | None = None
    prometheus_port: int | None = None
    prometheus_external: bool = False
    no_prometheus: bool = False
    port: int | None = None
    listen_addresses: tuple[str, ...] = ()
    bootnodes: tuple[str, ...] = ()
    node_key: str | None = None
    no_mdns: bool = False
    in_peers: int = DEFAULT_IN_PEERS
    out_peers: int = DEFAULT_OUT_PEERS
    sync: SyncMode = SyncMode.FULL
    trusted: str | None = None
    state_pruning: str = str(DEFAULT_STATE_PRUNING)
    blocks_pruning: str = ARCHIVE
    block_time: int | None = None
    log: tuple[str, ...] = ()
    log_format: LogFormat = LogFormat.TEXT

    @property
    def chain_name(self) -> str:
        """The chain that is meant."""
        if self.chain is not None:
            return self.chain
        return _DEV_CHAIN if self.dev else DEFAULT_CHAIN

    @property
    def is_temporary(self) -> bool:
        """Whether the node's files are to vanish with it."""
        return self.tmp or (self.dev and self.base_path is None)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How a node takes part in its chain's network; `node_key` is a seed in hexadecimal, a file, or None."""

    node_key: str | None
    port: int
    listen_addresses: tuple[str, ...]
    bootnodes: tuple[str, ...]
    mdns: bool
    in_peers: int
    out_peers: int


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Where Prometheus finds a node's figures; `is_chosen` tells whether somebody has asked for this port."""

    host: str
    port: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """All that a node has to know.

    The sealing in `spec` is the one that this node goes by; `block_time`, in seconds, is for `interval`.
    Without a `network` the chain is the node's own.
    A chain without the `trusted` block is not followed.
    Without a `producer` a node makes no blocks. `state_pruning` is how many states behind the head's can be
    read, and `blocks_pruning` how many final blocks keep their bodies; None for all.
    """

    spec: ChainSpec
    name: str
    base_path: Path
    is_temporary: bool
    producer: KeyPair | None
    rpc_host: str
    rpc_port: int
    rpc_limits: RpcLimits
    metrics: MetricsOptions | None
    network: NetworkOptions | None
    sync: SyncMode
    trusted: BlockRef | None
    state_pruning: int | None
    blocks_pruning: int | None
    block_time: float
    log: LogConfig

    @property
    def chain_path(self) -> Path:
        """The directory of everything that belongs to this chain."""
        return chain_path(self.base_path, self.spec)

    @property
    def database_path(self) -> Path:
        """The directory of the database."""
        return database_path(self.base_path, self.spec)

    @property
    def keystore_path(self) -> Path:
        """The directory of the secret keys."""
        return keystore_path(self.base_path, self.spec)

    @property
    def network_path(self) -> Path:
        """The directory of the node's identity and of what it remembers of its peers."""
        return self.chain_path / "network"


def default_base_path(home: Path, platform: str) -> Path:
    """Where nodes keep their files on a system (`platform` as in `sys.platform`)."""
    if platform == "darwin":
        return home / "Library" / "Application Support" / "mfchain"
    return home / ".local" / "share" / "mfchain"


def chain_path(base_path: Path, spec: ChainSpec) -> Path:
    """The directory of a chain; chains do not share any file."""
    return base_path / "chains" / spec.id


def database_path(base_path: Path, spec: ChainSpec) -> Path:
    """The directory of a chain's database."""
    return chain_path(base_path, spec) / "db"


def keystore_path(base_path: Path, spec: ChainSpec) -> Path:
    """The directory of the secret keys that a node uses on a chain."""
    return chain_path(base_path, spec) / "keystore"


def configure(options: Options, spec: ChainSpec, base_path: Path, stored_key: Callable[[Path], KeyPair]) -> NodeConfig:
    """Work out what the options mean; what one implies counts where nothing was said.

    `stored_key` gives the producer's key from a keystore; it is asked only if no option names one.

    Raises:
        UsageError: an option makes no sense, or contradicts another.
    """
    if options.tmp and options.base_path is not None:
        raise UsageError("--tmp and --base-path exclude each other")
    produces = options.producer or options.dev
    if options.block_time is not None:
        if not produces:
            raise UsageError("--block-time is for a node that makes blocks: add --producer")
        spec = _with_block_time(spec, options.block_time)
    key, key_name = _named_key(options)
    if key is not None and not produces:
        raise UsageError("a key is for a node that makes blocks: add --producer")
    if key is None and produces:
        key = stored_key(keystore_path(base_path, spec))
    network = _network_options(options)
    trusted = spec.trusted if options.trusted is None else parse_trusted(options.trusted)
    if options.sync is SyncMode.FAST:
        if network is None:
            raise UsageError("--sync fast needs peers to fetch from: add --bootnodes")
        if spec.sealing is not Sealing.RING:
            raise UsageError("--sync fast is for chains with a ring: on others nobody votes for what is final")
        if trusted is None:
            raise UsageError(
                "--sync fast needs a block to trust: name a recent final one with --trusted NUMBER:HASH, "
                "which somebody you trust has told you of"
            )
    return NodeConfig(
        spec=spec,
        name=_node_name(key_name or DEFAULT_NAME if options.name is None else options.name),
        base_path=base_path,
        is_temporary=options.is_temporary,
        producer=key,
        rpc_host=_ALL_ADDRESSES if options.rpc_external else _LOOPBACK,
        rpc_port=options.rpc_port,
        rpc_limits=_rpc_limits(options),
        metrics=_metrics_options(options),
        network=network,
        sync=options.sync,
        trusted=trusted,
        state_pruning=parse_pruning(options.state_pruning),
        blocks_pruning=parse_blocks_pruning(options.blocks_pruning),
        block_time=(options.block_time or spec.slot_duration) / 1_000,
        log=parse_log(options.log, options.log_format),
    )


def _with_block_time(spec: ChainSpec, milliseconds: int) -> ChainSpec:
    """The chain with another pace. That of a ring is part of its rules, so it becomes another chain."""
    if spec.sealing is not Sealing.RING:
        return replace(spec, sealing=Sealing.INTERVAL)
    if not MIN_SLOT_DURATION <= milliseconds <= MAX_SLOT_DURATION:
        message = (
            f"--block-time: a slot of a ring has {MIN_SLOT_DURATION} to {MAX_SLOT_DURATION} ms, not {milliseconds}"
        )
        raise UsageError(message)
    return replace(spec, slot_duration=milliseconds)


def _network_options(options: Options) -> NetworkOptions | None:
    """How to take part in the network; a development node does so only if asked to."""
    if options.dev and options.port is None and not options.listen_addresses and not options.bootnodes:
        return None
    for name, addresses in (("--listen-addr", options.listen_addresses), ("--bootnodes", options.bootnodes)):
        for address in addresses:
            try:
                has_peer = parse_address(address).peer_id is not None
            except AddressError as error:
                raise UsageError(f"{name}: {error}") from None
            if has_peer is not (name == "--bootnodes"):
                wanted = "has no /p2p/ part" if has_peer else "ends with /p2p/ and the peer's id"
                raise UsageError(f"{name}: {address!r} is not of the right form: such an address {wanted}")
    return NetworkOptions(
        node_key=options.node_key,
        port=DEFAULT_PORT if options.port is None else options.port,
        listen_addresses=options.listen_addresses,
        bootnodes=options.bootnodes,
        mdns=not options.no_mdns,
        in_peers=options.in_peers,
        out_peers=options.out_peers,
    )


def _named_key(options: Options) -> tuple[KeyPair | None, str | None]:
    """The key that the options name, and what a node with that key is called."""
    names = options.dev_keys
    given = [f"--{name}" for name in names] + ["--suri"] * (options.suri is not None)
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other: a node has one key")
    if options.suri is not None:
        try:
            return key_pair_from_uri(options.suri, Scheme.ED25519), None
        except SecretError as error:
            raise UsageError(f"--suri: {error}") from None
    if not names and options.dev:
        names = DEV_KEYS[:1]
    if not names:
        return None, None
    name = names[0].capitalize()
    return key_pair_from_uri(f"//{name}", Scheme.ED25519), name


def _node_name(name: str) -> str:
    if not name.isprintable() or not name.strip() or len(name) > _MAX_NAME:
        raise UsageError(f"--name: a name has 1 to {_MAX_NAME} printable characters")
    return name


def _rpc_limits(options: Options) -> RpcLimits:
    """The bounds on RPC clients. A development node lets every page and every caller in."""
    rate = options.rpc_rate_limit
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise UsageError("--rpc-rate-limit: must be a number above 0")
    origins = DEFAULT_ORIGINS if options.rpc_cors is None else parse_origins(options.rpc_cors)
    methods = options.rpc_methods or UnsafeMethods.AUTO
    if options.dev:
        origins = ("all",) if options.rpc_cors is None else origins
        methods = options.rpc_methods or UnsafeMethods.UNSAFE
    return RpcLimits(
        max_connections=options.rpc_max_connections,
        max_request_size=options.rpc_max_request_size * MEBIBYTE,
        max_batch=options.rpc_max_batch,
        max_subscriptions=options.rpc_max_subscriptions,
        rate_limit=rate,
        methods=methods,
        allowed_origins=origins,
    )


def _metrics_options(options: Options) -> MetricsOptions | None:
    """Where to serve metrics, if at all."""
    port, is_external = options.prometheus_port, options.prometheus_external
    if options.no_prometheus:
        if port is not None or is_external:
            raise UsageError("--no-prometheus and --prometheus-port or --prometheus-external exclude each other")
        return None
    host = _ALL_ADDRESSES if is_external else _LOOPBACK
    return MetricsOptions(host, DEFAULT_METRICS_PORT if port is None else port, is_chosen=port is not None)


def parse_origins(text: str) -> tuple[str, ...]:
    """The web pages that may call: "all", or origins between commas."""
    origins = tuple(origin.strip() for origin in text.split(","))
    if origins == ("all",):
        return origins
    if "all" in origins:
        raise UsageError("--rpc-cors: all stands alone, without any origin beside it")
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise UsageError(f"--rpc-cors: {origin!r} is no origin such as https://example.org or http://localhost:*")
    return origins


def parse_pruning(text: str) -> int | None:
    """How many states to keep behind the head's; None for "archive"."""
    return _pruning("--state-pruning", text, (ARCHIVE,))


def parse_blocks_pruning(text: str) -> int | None:
    """How many of the last final blocks keep their bodies; None for all.

    What never becomes final is forgotten anyway, so that both of Substrate's names for all mean the same here.
    """
    return _pruning("--blocks-pruning", text, (ARCHIVE, "archive-canonical"))


def _pruning(option: str, text: str, names: Sequence[str]) -> int | None:
    if text in names:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= _MAX_PRUNING:
        known = " or ".join([*names, f"a number from 1 to {_MAX_PRUNING}"])
        raise UsageError(f"{option}: must be {known}, not {text!r}")
    return int(text)


def parse_trusted(text: str) -> BlockRef:
    """A block by number and hash, as in 1200:0x..."""
    try:
        return read_block_name(text)
    except HexError:
        raise UsageError(f"--trusted: {text!r} is not of the form NUMBER:0xHASH, of a block above 0") from None


def parse_log(directives: tuple[str, ...], log_format: LogFormat) -> LogConfig:
    """Levels for all of ours (`debug`) or for a module (`rpc.dispatch=debug`), several between commas."""
    level = logging.INFO
    targets: list[tuple[str, int]] = []
    for directive in (part.strip() for text in directives for part in text.split(",")):
        target, given, name = directive.rpartition("=")
        if name not in _LEVELS or (given and _TARGET.fullmatch(target) is None):
            known = ", ".join(_LEVELS)
            raise UsageError(f"--log: {directive!r} is neither a level ({known}) nor target=level")
        if given:
            targets.append((target, _LEVELS[name]))
        else:
            level = _LEVELS[name]
    return LogConfig(level, tuple(targets), log_format)
