"""What the options of `run` mean together, and log lines as configured."""

import json
import logging
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain_spec import genesis, load_spec
from node.commands.logs import start_logging
from node.config import (
    DEV_KEYS,
    VERSION,
    LogConfig,
    LogFormat,
    MetricsOptions,
    NetworkOptions,
    NodeConfig,
    Options,
    SyncMode,
    configure,
    default_base_path,
)
from node.errors import ExitCode, UsageError
from node.spec_types import Sealing
from rpc.limits import DEFAULT_ORIGINS, MEBIBYTE, RpcLimits, UnsafeMethods
from runtime.crypto import KeyPair, Scheme
from runtime.keys import key_pair_from_uri
from runtime.primitives import BlockNumber, BlockRef, Hash

BASE = Path("/base")
STORED = key_pair_from_uri("//stored", Scheme.ED25519)
LOGGED = ("node.config_test", "node", "p2p", "rpc", "storage", "uvicorn", "rpc.dispatch")


def no_key(path: Path) -> KeyPair:
    raise AssertionError(f"nobody needs a key of {path}")


def configured(options: Options) -> NodeConfig:
    """With a keystore that must not be asked."""
    return configure(options, load_spec(options.chain_name), BASE, no_key)


def refused(options: Options) -> str:
    with pytest.raises(UsageError) as caught:
        configured(options)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_without_options_a_node_follows_the_local_chain() -> None:
    config = configured(Options())
    assert config == NodeConfig(
        spec=load_spec("local"),
        name="mfchain",
        base_path=BASE,
        is_temporary=False,
        producer=None,
        rpc_host="127.0.0.1",
        rpc_port=9944,
        rpc_limits=RpcLimits(),
        metrics=MetricsOptions("127.0.0.1", 9615, is_chosen=False),
        network=NetworkOptions(None, 30_333, (), (), mdns=True, in_peers=25, out_peers=8),
        sync=SyncMode.FULL,
        trusted=None,
        state_pruning=256,
        blocks_pruning=None,
        block_time=2.0,
        log=LogConfig(),
    )
    assert config.rpc_limits.allowed_origins == DEFAULT_ORIGINS
    assert config.rpc_limits.methods is UnsafeMethods.AUTO


def test_a_trusted_block() -> None:
    config = configured(Options(sync=SyncMode.FAST, trusted="1200:0x" + "ab" * 32))
    assert config.sync is SyncMode.FAST
    assert config.trusted == BlockRef(BlockNumber(1200), Hash(b"\xab" * 32))


@pytest.mark.parametrize(
    "text", ["", "5", "0:0x" + "ab" * 32, "5:" + "ab" * 32, "5:0xab", "x:0x" + "ab" * 32, "5:0x" + "zz" * 32]
)
def test_what_is_no_trusted_block(text: str) -> None:
    said = f"--trusted: {text!r} is not of the form NUMBER:0xHASH, of a block above 0"
    assert refused(Options(trusted=text)) == said


def test_a_fast_sync_wants_peers_and_votes() -> None:
    alone = Options(dev=True, sync=SyncMode.FAST)
    assert refused(alone) == "--sync fast needs peers to fetch from: add --bootnodes"
    said = "--sync fast is for chains with a ring: on others nobody votes for what is final"
    assert refused(Options(chain="dev", sync=SyncMode.FAST)) == said
    said = (
        "--sync fast needs a block to trust: name a recent final one with --trusted NUMBER:HASH, "
        "which somebody you trust has told you of"
    )
    assert refused(Options(sync=SyncMode.FAST)) == said


def test_files_are_apart_by_chain() -> None:
    config = configured(Options(chain="movielens"))
    assert config.chain_path == Path("/base/chains/movielens")
    assert config.database_path == Path("/base/chains/movielens/db")
    assert config.keystore_path == Path("/base/chains/movielens/keystore")


def test_where_files_are_by_default() -> None:
    home = Path("/home/ann")
    assert default_base_path(home, "linux") == Path("/home/ann/.local/share/mfchain")
    assert default_base_path(home, "darwin") == Path("/home/ann/Library/Application Support/mfchain")


def test_dev_implies_a_chain_a_key_and_open_doors() -> None:
    options = Options(dev=True)
    assert options.chain_name == "dev"
    assert options.is_temporary
    config = configured(options)
    assert config.is_temporary
    assert config.spec.sealing is Sealing.INSTANT
    assert config.producer == key_pair_from_uri("//Alice", Scheme.ED25519)
    assert config.name == "Alice"
    assert config.rpc_host == "127.0.0.1"
    assert config.rpc_limits.methods is UnsafeMethods.UNSAFE
    assert config.rpc_limits.allowed_origins == ("all",)


def test_what_is_said_wins_over_what_dev_implies() -> None:
    options = Options(
        dev=True,
        chain="movielens",
        base_path=BASE,
        name="Me",
        dev_keys=("bob",),
        rpc_cors="https://example.org",
        rpc_methods=UnsafeMethods.SAFE,
    )
    assert options.chain_name == "movielens"
    config = configured(options)
    assert not config.is_temporary
    assert config.spec == load_spec("movielens")
    assert config.name == "Me"
    assert config.producer == key_pair_from_uri("//Bob", Scheme.ED25519)
    assert config.rpc_limits.methods is UnsafeMethods.SAFE
    assert config.rpc_limits.allowed_origins == ("https://example.org",)


def test_a_secret_uri_wins_over_the_key_that_dev_implies() -> None:
    config = configured(Options(dev=True, suri="//Me"))
    assert config.producer == key_pair_from_uri("//Me", Scheme.ED25519)
    assert config.name == "mfchain"


@pytest.mark.parametrize("name", DEV_KEYS)
def test_development_keys(name: str) -> None:
    config = configured(Options(producer=True, dev_keys=(name,)))
    assert config.producer == key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519)
    assert config.name == name.capitalize()


def test_a_producer_without_a_named_key_takes_the_one_of_its_chain() -> None:
    asked: list[Path] = []

    def stored(path: Path) -> KeyPair:
        asked.append(path)
        return STORED

    config = configure(Options(producer=True), load_spec("local"), BASE, stored)
    assert config.producer == STORED
    assert asked == [config.keystore_path]


def test_contradictions_are_refused() -> None:
    assert refused(Options(tmp=True, base_path=BASE)) == "--tmp and --base-path exclude each other"
    assert refused(Options(producer=True, dev_keys=("alice", "bob"))) == (
        "--alice and --bob exclude each other: a node has one key"
    )
    assert refused(Options(producer=True, dev_keys=("eve",), suri="//Me")) == (
        "--eve and --suri exclude each other: a node has one key"
    )
    assert refused(Options(dev_keys=("alice",))) == "a key is for a node that makes blocks: add --producer"
    assert refused(Options(suri="//Me")) == "a key is for a node that makes blocks: add --producer"
    assert refused(Options(block_time=500)) == "--block-time is for a node that makes blocks: add --producer"


def test_a_secret_uri_that_names_no_key() -> None:
    assert refused(Options(producer=True, suri="")) == "--suri: the secret URI is empty"
    assert refused(Options(producer=True, suri="//Me/soft")) == (
        "--suri: ed25519 keys have no soft derivation: use // in the secret URI, or the scheme sr25519"
    )


def test_block_time_makes_any_chain_one_of_intervals_and_no_other_chain() -> None:
    config = configured(Options(dev=True, block_time=250))
    assert config.spec.sealing is Sealing.INTERVAL
    assert config.block_time == 0.25
    assert genesis(config.spec).header == genesis(load_spec("dev")).header


def test_block_time_is_the_slot_of_a_ring_which_is_another_chain_then() -> None:
    local = load_spec("local")
    config = configure(Options(producer=True, dev_keys=("alice",), block_time=500), local, BASE, no_key)
    assert config.spec == replace(local, slot_duration=500)
    assert genesis(config.spec).header != genesis(local).header
    with pytest.raises(UsageError) as caught:
        configure(Options(producer=True, dev_keys=("alice",), block_time=50), local, BASE, no_key)
    assert str(caught.value) == "--block-time: a slot of a ring has 100 to 60000 ms, not 50"


PEER = "12D3KooWN48oyVhbfEbAeoexSu3D4GpjTgq578EYZeHse32kDu4X"


def test_a_development_node_has_no_network_unless_it_is_asked_for() -> None:
    assert configured(Options(dev=True)).network is None
    asked = configured(Options(dev=True, port=0, no_mdns=True)).network
    assert asked == NetworkOptions(None, 0, (), (), mdns=False, in_peers=25, out_peers=8)
    boot = f"/ip4/127.0.0.1/tcp/30333/p2p/{PEER}"
    followed = configured(Options(dev=True, bootnodes=(boot,))).network
    assert followed is not None
    assert followed.bootnodes == (boot,)


def test_addresses_that_make_no_sense() -> None:
    assert refused(Options(listen_addresses=(f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}",))) == (
        f"--listen-addr: '/ip4/127.0.0.1/tcp/1/p2p/{PEER}' is not of the right form: such an address has no /p2p/ part"
    )
    assert refused(Options(bootnodes=("/ip4/127.0.0.1/tcp/1",))) == (
        "--bootnodes: '/ip4/127.0.0.1/tcp/1' is not of the right form: "
        "such an address ends with /p2p/ and the peer's id"
    )
    assert refused(Options(bootnodes=("somewhere",))).startswith("--bootnodes: ")


def test_rpc_options_become_limits() -> None:
    config = configured(
        Options(
            rpc_port=1_234,
            rpc_external=True,
            rpc_max_connections=2,
            rpc_max_request_size=3,
            rpc_max_batch=4,
            rpc_max_subscriptions=5,
            rpc_rate_limit=6.5,
            rpc_methods=UnsafeMethods.SAFE,
            rpc_cors="http://localhost:*, https://example.org:8443,null",
        )
    )
    assert (config.rpc_host, config.rpc_port) == ("0.0.0.0", 1_234)  # noqa: S104 - compared, not bound
    assert config.rpc_limits == RpcLimits(
        max_connections=2,
        max_request_size=3 * MEBIBYTE,
        max_batch=4,
        max_subscriptions=5,
        rate_limit=6.5,
        methods=UnsafeMethods.SAFE,
        allowed_origins=("http://localhost:*", "https://example.org:8443", "null"),
    )


def test_where_metrics_are() -> None:
    assert configured(Options(prometheus_port=9615)).metrics == MetricsOptions("127.0.0.1", 9615, is_chosen=True)
    assert configured(Options(prometheus_external=True)).metrics == MetricsOptions(
        "0.0.0.0",  # noqa: S104 - compared, not bound
        9615,
        is_chosen=False,
    )
    assert configured(Options(no_prometheus=True)).metrics is None
    message = "--no-prometheus and --prometheus-port or --prometheus-external exclude each other"
    assert refused(Options(no_prometheus=True, prometheus_port=0)) == message
    assert refused(Options(no_prometheus=True, prometheus_external=True)) == message


def test_the_defaults_are_those_of_the_server() -> None:
    assert configured(Options()).rpc_limits == RpcLimits()
    assert configured(Options(rpc_cors="all")).rpc_limits.allowed_origins == ("all",)


@pytest.mark.parametrize("text", ["", "example.org", "https://a b", "https://example.org/page", "nul,https://a.b"])
def test_what_is_no_origin(text: str) -> None:
    first = text.split(",", maxsplit=1)[0]
    assert refused(Options(rpc_cors=text)) == (
        f"--rpc-cors: {first!r} is no origin such as https://example.org or http://localhost:*"
    )


@pytest.mark.parametrize("text", ["all,null", "https://example.org, all"])
def test_all_pages_and_one_more(text: str) -> None:
    assert refused(Options(rpc_cors=text)) == "--rpc-cors: all stands alone, without any origin beside it"


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate(rate: float) -> None:
    assert refused(Options(rpc_rate_limit=rate)) == "--rpc-rate-limit: must be a number above 0"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 65])
def test_what_is_no_name(name: str) -> None:
    assert refused(Options(name=name)) == "--name: a name has 1 to 64 printable characters"


@pytest.mark.parametrize(
    ("text", "kept"), [("256", 256), ("1", 1), ("archive", None), ("4294967295", 2**32 - 1), ("007", 7)]
)
def test_state_pruning(text: str, kept: int | None) -> None:
    assert configured(Options(state_pruning=text)).state_pruning == kept


@pytest.mark.parametrize(
    ("text", "kept"), [("archive", None), ("archive-canonical", None), ("1", 1), ("4294967295", 2**32 - 1)]
)
def test_blocks_pruning(text: str, kept: int | None) -> None:
    assert configured(Options(blocks_pruning=text)).blocks_pruning == kept


@pytest.mark.parametrize("text", ["", "0", "canonical", "4294967296"])
def test_what_is_no_blocks_pruning(text: str) -> None:
    assert refused(Options(blocks_pruning=text)) == (
        f"--blocks-pruning: must be archive or archive-canonical or a number from 1 to 4294967295, not {text!r}"
    )


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "all", "4294967296", "9" * 5_000, "٣"])
def test_what_is_no_pruning_mode(text: str) -> None:
    assert refused(Options(state_pruning=text)) == (
        f"--state-pruning: must be archive or a number from 1 to 4294967295, not {text!r}"
    )


def test_log_directives() -> None:
    config = configured(Options(log=("warn,rpc.dispatch=debug", "storage=error"), log_format=LogFormat.JSON))
    targets = (("rpc.dispatch", logging.DEBUG), ("storage", logging.ERROR))
    assert config.log == LogConfig(logging.WARNING, targets, LogFormat.JSON)


@pytest.mark.parametrize("text", ["", "loud", "rpc=loud", "=debug", "rpc debug", "a b=debug", "rpc=", "x=y=info"])
def test_what_is_no_log_directive(text: str) -> None:
    assert refused(Options(log=(text,))) == (
        f"--log: {text!r} is neither a level (error, warn, info, debug) nor target=level"
    )


@pytest.fixture
def _loggers_restored() -> Iterator[None]:
    """Whatever a test does to the loggers is undone."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *LOGGED)}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


@pytest.mark.usefixtures("_loggers_restored")
def test_text_lines(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(LogConfig())
    log = logging.getLogger("node.config_test")
    log.warning("block %d\x1b[2J", 7)
    log.debug("not asked for")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    first, second, *traceback = capsys.readouterr().err.splitlines()
    assert first[23:] == " WARN  node.config_test: block 7\ufffd[2J"
    assert second[23:] == " ERROR node.config_test: failed"
    assert traceback[-1] == "ValueError: why"


@pytest.mark.usefixtures("_loggers_restored")
def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(LogConfig(format=LogFormat.JSON))
    log = logging.getLogger("node.config_test")
    log.info("two\nlines %s", "é")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time")[-1] == "Z"
    assert first == {"level": "info", "target": "node.config_test", "message": "two\nlines é"}
    assert second["level"] == "error"
    assert second["exception"].splitlines()[-1] == "ValueError: why"


@pytest.mark.usefixtures("_loggers_restored")
def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(LogConfig(logging.DEBUG, (("rpc.dispatch", logging.ERROR), ("uvicorn", logging.INFO))))
    for name in ("node", "rpc", "rpc.dispatch", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")
    lines = [line[24:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "DEBUG node: debug",
        "INFO  node: info",
        "WARN  node: warning",
        "DEBUG rpc: debug",
        "INFO  rpc: info",
        "WARN  rpc: warning",
        "INFO  uvicorn: info",
        "WARN  uvicorn: warning",
        "WARN  asyncio: warning",
    ]


@pytest.mark.usefixtures("_loggers_restored")
def test_logging_can_be_started_anew(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(LogConfig(logging.DEBUG))
    start_logging(LogConfig(logging.ERROR))
    logging.getLogger("node").warning("too low")
    logging.getLogger("asyncio").warning("too low")
    logging.getLogger("node").error("once")
    assert [line[24:] for line in capsys.readouterr().err.splitlines()] == ["ERROR node: once"]
