"""The command mfchain-node as its users see it: arguments in; exit code, output and one-line reasons out."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from typer.main import get_command

import node.service
from node.chain import Chain
from node.chain_spec import SHIPPED, genesis, load_spec, render
from node.cli import app
from node.config import (
    VERSION,
    LogConfig,
    LogFormat,
    MetricsOptions,
    NetworkOptions,
    NodeConfig,
    SyncMode,
    database_path,
)
from node.errors import ExitCode, NodeError
from node.keystore import Keystore
from node.spec_types import Sealing
from rpc.limits import MEBIBYTE, RpcLimits, UnsafeMethods
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri, ss58_encode
from runtime.primitives import BlockNumber, BlockRef, Hash, to_hex
from storage.leveldb import LevelDbStore
from tests.support.node_command import Cli, Ended, command_line, failed

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "node")
RUN_OPTIONS = {
    "--dev",
    "--chain",
    "--base-path",
    "--tmp",
    "--name",
    "--producer",
    "--alice",
    "--bob",
    "--charlie",
    "--dave",
    "--eve",
    "--ferdie",
    "--suri",
    "--port",
    "--listen-addr",
    "--bootnodes",
    "--node-key",
    "--no-mdns",
    "--in-peers",
    "--out-peers",
    "--sync",
    "--trusted",
    "--rpc-port",
    "--rpc-external",
    "--rpc-cors",
    "--rpc-methods",
    "--rpc-max-connections",
    "--rpc-max-request-size",
    "--rpc-max-batch",
    "--rpc-max-subscriptions",
    "--rpc-rate-limit",
    "--prometheus-port",
    "--prometheus-external",
    "--no-prometheus",
    "--state-pruning",
    "--blocks-pruning",
    "--block-time",
    "--log",
    "--log-format",
}
COMMANDS = {
    "run",
    "key",
    "generate-node-key",
    "export-chain-spec",
    "build-spec",
    "benchmark",
    "chain-info",
    "export-blocks",
    "import-blocks",
    "check-block",
    "export-state",
    "revert",
    "compact",
    "purge-chain",
}
PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return command_line(capsys)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[NodeConfig]:
    """The configurations of the nodes that were started; each stops at once."""
    configs: list[NodeConfig] = []

    def run_node(config: NodeConfig) -> int:
        assert config.chain_path.is_dir()
        configs.append(config)
        return 0

    monkeypatch.setattr(node.service, "run_node", run_node)
    monkeypatch.setattr("node.commands.run.start_logging", lambda config: None)
    return configs


def plain(text: str) -> str:
    """Help without the colours that it has where the environment asks for them."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# The commands and their options


def test_the_version(cli: Cli) -> None:
    assert cli("--version") == Ended(0, f"mfchain-node {VERSION}\n", "")


def test_there_are_these_commands_and_options_and_no_others() -> None:
    command = get_command(app)
    assert set(command.commands) == COMMANDS
    options = {option for parameter in command.commands["run"].params for option in parameter.opts}
    assert options - {"-l", "-d"} == RUN_OPTIONS
    assert set(command.commands["key"].commands) == {"generate", "inspect", "insert"}


def test_help_shows_the_options_of_run_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = cli("--help")
    assert shown.code == 0
    assert all(name in plain(shown.out) for name in COMMANDS - {"build-spec"} | RUN_OPTIONS)
    assert "build-spec" not in shown.out


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert (shown.code, shown.err) == (0, "")
    assert f"Usage: mfchain-node {command}" in plain(shown.out)


def test_key_alone_shows_help_as_wrong_usage(cli: Cli) -> None:
    shown = cli("key")
    assert (shown.code, shown.err) == (2, "")
    assert "Usage: mfchain-node key" in plain(shown.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["--zzz"], "No such option: --zzz"),
        (["run", "nonsense"], "Got unexpected extra argument(s) (nonsense)"),
        (["--dev", "purge-chain"], "Got unexpected extra argument(s) (purge-chain)"),
        (["--chain"], "Option '--chain' requires an argument."),
        (["--rpc-port", "65536"], "Invalid value for '--rpc-port': Input should be less than or equal to 65535"),
        (["--block-time", "0"], "Invalid value for '--block-time': Input should be greater than or equal to 1"),
        (["--tmp", "--base-path", "/x"], "--tmp and --base-path exclude each other"),
        (["--tmp", "--alice"], "a key is for a node that makes blocks: add --producer"),
        (
            ["--dev", "--rpc-cors", "x"],
            "--rpc-cors: 'x' is no origin such as https://example.org or http://localhost:*",
        ),
        (
            ["--chain", "none"],
            "there is no chain none: name one of dev, local, movielens, halfstars, or a file",
        ),
        (["export-blocks"], "Missing argument 'FILE'."),
        (["revert", "0"], "Invalid value for 'N': Input should be greater than or equal to 1"),
        (["key", "generate", "--words", "13"], "--words: a secret phrase has 12, 15, 18, 21 or 24 words, not 13"),
        (["key", "inspect", "some words"], "a secret phrase has 12, 15, 18, 21 or 24 words, this one has 2"),
        (
            ["key", "insert", "//A/b", "--base-path", "/dev/null"],
            "the directory /dev/null/chains/local cannot be made: Not a directory",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_a_line(cli: Cli, arguments: list[str], message: str) -> None:
    code = 3 if "directory" in message else 2
    assert cli(*arguments) == failed(code, message)


def test_the_first_failure_of_a_group_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_node(config: NodeConfig) -> int:
        first = NodeError(ExitCode.PORT_IN_USE, "the port went")
        raise ExceptionGroup("nursery", [ExceptionGroup("nursery", [first]), ValueError("later")])

    monkeypatch.setattr(node.service, "run_node", run_node)
    monkeypatch.setattr("node.commands.run.start_logging", lambda config: None)
    assert cli("--dev") == failed(4, "the port went")


def test_a_failure_nobody_thought_of_is_a_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_node(config: NodeConfig) -> int:
        raise ZeroDivisionError("one\nby zero")

    monkeypatch.setattr(node.service, "run_node", run_node)
    monkeypatch.setattr("node.commands.run.start_logging", lambda config: None)
    assert cli("--dev") == failed(1, "unexpected ZeroDivisionError: one by zero")


def test_standard_output_that_takes_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.TextIOWrapper):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full(io.BytesIO()))
        ended = cli("key", "inspect", "//Alice")
    assert ended == failed(1, "No space left on device")


def test_a_user_without_a_home_directory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    assert cli("chain-info") == failed(2, "this user has no home directory: say where files are to be with --base-path")


# run


def test_run_is_what_happens_without_a_command(cli: Cli, started: list[NodeConfig]) -> None:
    assert cli("--dev") == Ended(0, "", "")
    assert cli("run", "--dev") == Ended(0, "", "")
    first, second = started
    assert first.spec == second.spec == load_spec("dev")
    assert first.producer == second.producer == key_pair_from_uri("//Alice", Scheme.ED25519)
    assert first.base_path != second.base_path


def test_temporary_files_are_gone_afterwards(cli: Cli, started: list[NodeConfig]) -> None:
    cli("--chain", "movielens", "--tmp")
    (config,) = started
    assert config.is_temporary
    assert config.base_path.name.startswith("mfchain-")
    assert not config.base_path.exists()


def test_files_are_in_the_home_directory(
    cli: Cli, started: list[NodeConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cli() == Ended(0, "", "")
    (config,) = started
    assert config.chain_path == tmp_path / ".local" / "share" / "mfchain" / "chains" / "local"
    assert config.producer is None


def test_every_option_arrives(cli: Cli, started: list[NodeConfig], tmp_path: Path) -> None:
    boot = "/ip4/127.0.0.1/tcp/30333/p2p/12D3KooWN48oyVhbfEbAeoexSu3D4GpjTgq578EYZeHse32kDu4X"
    options = (
        f"--chain dev --base-path {tmp_path} --name Me --producer --suri //Me --block-time 250 --state-pruning archive "
        "--blocks-pruning 10 "
        f"--port 5 --listen-addr /ip4/10.0.0.1/tcp/6 --bootnodes {boot} --node-key {'1' * 64} --no-mdns --in-peers 7 "
        f"--out-peers 8 --sync full --trusted 9:0x{'12' * 32} "
        "--rpc-port 1234 --rpc-external --rpc-cors https://example.org --rpc-methods safe "
        "--rpc-max-connections 2 --rpc-max-request-size 3 --rpc-max-batch 4 --rpc-max-subscriptions 5 "
        "--rpc-rate-limit 6.5 --prometheus-port 9 --prometheus-external "
        "--log warn --log rpc=debug -l node=error --log-format json"
    )
    assert cli(*options.split()) == Ended(0, "", "")
    (config,) = started
    assert config.spec.id == "dev"
    assert config.spec.sealing is Sealing.INTERVAL
    assert config == NodeConfig(
        spec=config.spec,
        name="Me",
        base_path=tmp_path,
        is_temporary=False,
        producer=key_pair_from_uri("//Me", Scheme.ED25519),
        rpc_host="0.0.0.0",  # noqa: S104 - compared, not bound
        rpc_port=1_234,
        rpc_limits=RpcLimits(
            max_connections=2,
            max_request_size=3 * MEBIBYTE,
            max_batch=4,
            max_subscriptions=5,
            rate_limit=6.5,
            methods=UnsafeMethods.SAFE,
            allowed_origins=("https://example.org",),
        ),
        metrics=MetricsOptions("0.0.0.0", 9, is_chosen=True),  # noqa: S104 - compared, not bound
        network=NetworkOptions("1" * 64, 5, ("/ip4/10.0.0.1/tcp/6",), (boot,), mdns=False, in_peers=7, out_peers=8),
        sync=SyncMode.FULL,
        trusted=BlockRef(BlockNumber(9), Hash(b"\x12" * 32)),
        state_pruning=None,
        blocks_pruning=10,
        block_time=0.25,
        log=LogConfig(30, (("rpc", 10), ("node", 40)), LogFormat.JSON),
    )


@pytest.mark.parametrize("name", ["alice", "bob", "charlie", "dave", "eve", "ferdie"])
def test_development_keys(cli: Cli, started: list[NodeConfig], name: str) -> None:
    assert cli("--dev", f"--{name}").code == 0
    assert started[0].producer == key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519)


def test_a_producer_keeps_its_key(cli: Cli, started: list[NodeConfig], tmp_path: Path) -> None:
    for _ in range(2):
        assert cli("--producer", "--base-path", tmp_path) == Ended(0, "", "")
    first, second = started
    assert first.producer is not None
    assert first.producer == second.producer == Keystore(first.keystore_path).producer()


def test_a_relative_base_path_is_made_absolute(
    cli: Cli, started: list[NodeConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("--base-path", "here").code == 0
    assert started[0].base_path == tmp_path / "here"


def test_a_key_file_that_others_can_read_stops_the_node(cli: Cli, started: list[NodeConfig], tmp_path: Path) -> None:
    path = Keystore(tmp_path / "chains" / "local" / "keystore").producer_path
    cli("--producer", "--base-path", tmp_path)
    path.chmod(0o644)
    assert cli("--producer", "--base-path", tmp_path) == failed(
        1, f"the key file {path} is open to other users: make it yours with chmod 600"
    )


def test_a_directory_that_cannot_be_made(cli: Cli, started: list[NodeConfig], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "chains" / "dev"
    assert cli("--dev", "--base-path", tmp_path / "file") == failed(
        3, f"the directory {path} cannot be made: Not a directory"
    )
    assert started == []


def test_a_directory_of_somebody_else(
    cli: Cli, started: list[NodeConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The superuser, who may run the tests, can write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    path = tmp_path / "chains" / "dev"
    assert cli("--dev", "--base-path", tmp_path) == failed(3, f"the directory {path} cannot be written to")
    assert started == []


async def told_among_tasks() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "told", [lambda: signal.raise_signal(signal.SIGTERM), lambda: trio.run(told_among_tasks)], ids=["alone", "tasks"]
)
def test_sigterm_while_starting_is_a_stop(cli: Cli, monkeypatch: pytest.MonkeyPatch, told: Callable[[], None]) -> None:
    def run_node(config: NodeConfig) -> int:
        told()
        raise AssertionError("the signal was not heard")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(node.service, "run_node", run_node)
    monkeypatch.setattr("node.commands.run.start_logging", lambda config: None)
    assert cli("--dev") == Ended(0, "", "")
    assert signal.getsignal(signal.SIGTERM) == before


# export-chain-spec


@pytest.mark.parametrize("command", ["export-chain-spec", "build-spec"])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_whole_spec_is_printed(cli: Cli, command: str, name: str) -> None:
    assert cli(command, "--chain", name) == Ended(0, render(load_spec(name)).decode(), "")


def test_a_spec_of_a_file_is_completed(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        '{"name": "Äpfel", "id": "mine", "chainType": "Live", "genesis": {"timestamp": 1}, "sealing": "instant", '
        '"rating": {"min": 0, "max": 1, "step": 1}}'
    )
    shown = cli("export-chain-spec", "--chain", path)
    assert (shown.code, shown.err) == (0, "")
    path.write_text(shown.out)
    assert '"name": "Äpfel"' in shown.out
    assert cli("export-chain-spec", "--chain", path) == shown


def test_the_default_chain_and_dev(cli: Cli) -> None:
    assert cli("export-chain-spec").out == render(load_spec("local")).decode()
    assert cli("export-chain-spec", "--dev").out == render(load_spec("dev")).decode()
    assert cli("export-chain-spec", "--dev", "--chain", "local").out == render(load_spec("local")).decode()


def test_a_bad_spec_is_told_in_a_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"genesis": {"items": ["' + "x" * 129 + '"]}, "rating": {"min": 0, "max": 1, "step": 1}}')
    assert cli("export-chain-spec", "--chain", path) == failed(2, f"the chain spec {path}: name: is missing")


# key


def public(uri: str, scheme: Scheme) -> dict[str, str]:
    key = key_pair_from_uri(uri, scheme).public
    return {"publicKey": to_hex(key), "address": ss58_encode(key)}


@pytest.mark.parametrize("words", [12, 15, 18, 21, 24])
def test_generated_phrases_are_good(cli: Cli, words: int) -> None:
    shown = cli("key", "generate", "--words", words, "--output", "json")
    assert (shown.code, shown.err) == (0, "")
    key = json.loads(shown.out)
    phrase, seed = key["secretPhrase"], key["secretSeed"]
    assert len(phrase.split()) == words
    for scheme in Scheme:
        assert key[scheme.name.lower()] == public(phrase, scheme) == public(seed, scheme)
    assert set(key) == {"secretPhrase", "secretSeed", "ed25519", "sr25519"}


def test_generated_phrases_differ(cli: Cli) -> None:
    assert len({json.loads(cli("key", "generate", "--output", "json").out)["secretPhrase"] for _ in range(4)}) == 4


def test_a_generated_key_for_people(cli: Cli) -> None:
    names, values = zip(*(line.split("  ", 1) for line in cli("key", "generate").out.splitlines()), strict=True)
    assert names == (
        "secret phrase",
        "secret seed",
        "ed25519 key",
        "ed25519 address",
        "sr25519 key",
        "sr25519 address",
    )
    phrase, seed, *keys = (value.strip() for value in values)
    expected = [*public(phrase, Scheme.ED25519).values(), *public(phrase, Scheme.SR25519).values()]
    assert keys == expected
    assert [*public(seed, Scheme.ED25519).values(), *public(seed, Scheme.SR25519).values()] == expected


ALICE = """\
ed25519 key      0x88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee
ed25519 address  5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu
sr25519 key      0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d
sr25519 address  5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
"""


@pytest.mark.parametrize("uri", ["//Alice", f"{PHRASE}//Alice"])
def test_inspect(cli: Cli, uri: str) -> None:
    assert cli("key", "inspect", uri) == Ended(0, ALICE, "")


def test_inspect_for_programs(cli: Cli) -> None:
    shown = json.loads(cli("key", "inspect", "//Alice", "--output", "json").out)
    assert shown == {scheme.name.lower(): public("//Alice", scheme) for scheme in Scheme}


def test_inspect_reads_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("//Alice\n"))
    assert cli("key", "inspect", "-") == Ended(0, ALICE, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), "utf-8"))
    assert cli("key", "inspect", "-") == failed(2, "standard input is not text")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli("key", "inspect", "-") == failed(2, "the secret URI is empty")


def test_a_soft_path_has_no_ed25519_key(cli: Cli) -> None:
    key = public("//Alice/soft", Scheme.SR25519)
    assert cli("key", "inspect", "//Alice/soft").out == (
        "ed25519          none: ed25519 has no soft derivation\n"
        f"sr25519 key      {key['publicKey']}\n"
        f"sr25519 address  {key['address']}\n"
    )
    shown = json.loads(cli("key", "inspect", "//Alice/soft", "--output", "json").out)
    assert shown == {"ed25519": None, "sr25519": key}


def test_an_inserted_key_makes_blocks(cli: Cli, started: list[NodeConfig], tmp_path: Path) -> None:
    path = tmp_path / "chains" / "dev" / "keystore" / "producer.json"
    where = ("--chain", "dev", "--base-path", tmp_path)
    alice, bob = (key_pair_from_uri(uri, Scheme.ED25519) for uri in ("//Alice", "//Bob"))
    told = "the producer of the chain dev is {}, in " + f"{path}\n"
    assert cli("key", "insert", "//Alice", *where) == Ended(0, told.format(ss58_encode(alice.public)), "")
    assert cli("key", "insert", "//Bob", *where) == failed(
        1, f"there is a key in {path} already: --replace overwrites it"
    )
    cli("--producer", *where)
    assert cli("key", "insert", "//Bob", "--replace", *where).out == told.format(ss58_encode(bob.public))
    cli("--producer", *where)
    assert [config.producer for config in started] == [alice, bob]


def test_insert_reads_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("//Alice\n"))
    assert cli("key", "insert", "-", "--dev", "--base-path", tmp_path).code == 0
    found = Keystore(tmp_path / "chains" / "dev" / "keystore").producer()
    assert found == key_pair_from_uri("//Alice", Scheme.ED25519)


# The process


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The real command; it is gone at the end whatever happens."""
    with subprocess.Popen(
        [*PROGRAM, *(str(argument) for argument in arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.full
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_node_runs_until_it_is_told_to_stop(end: signal.Signals, tmp_path: Path) -> None:
    with process("--dev", "--rpc-port", 0, "--no-prometheus", "--base-path", tmp_path) as running:
        assert running.stderr is not None
        assert any("JSON-RPC at ws://127.0.0.1:" in line for line in running.stderr)
        running.send_signal(end)
        out, err = running.communicate()
    assert (running.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert (tmp_path / "chains" / "dev" / "db" / "CURRENT").is_file()


@pytest.mark.full
def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option, other in (("--rpc-port", "--prometheus-port"), ("--prometheus-port", "--rpc-port")):
            with process("--dev", option, port, other, 0, "--base-path", tmp_path) as running:
                out, err = running.communicate()
            assert (running.returncode, out) == (4, "")
            assert err == f"mfchain-node: port {port} is in use; choose another with {option}\n"


@pytest.mark.full
def test_a_database_of_another_chain(tmp_path: Path) -> None:
    dev = load_spec("dev")
    store = LevelDbStore(database_path(tmp_path, dev))
    Chain.open(dev, store, state_pruning=256).database.close()
    other = tmp_path / "other.json"
    other.write_bytes(render(dev).replace(b'"Veep"', b'"Veeps"'))
    options = ("--base-path", tmp_path, "--rpc-port", 0, "--no-prometheus", "--log", "error")
    with process("--dev", "--chain", other, *options) as running:
        out, err = running.communicate()
    ours, theirs = (genesis(load_spec(name)).header.hash() for name in ("dev", str(other)))
    message = f"the database is of the chain with genesis block {to_hex(ours)}, not {to_hex(theirs)}"
    assert (running.returncode, out, err) == (3, "", f"mfchain-node: {message}\n")


@pytest.mark.full
def test_told_to_stop_before_the_node_is_there(tmp_path: Path) -> None:
    pipe = tmp_path / "spec"
    os.mkfifo(pipe)
    # Opening the pipe waits until the command reads the specification; the command then waits for the rest of it.
    with process("--tmp", "--chain", pipe) as running, pipe.open("wb"):
        # A signal that comes in the instant before a read begins is noticed when the read ends: hence again and again.
        while True:
            running.terminate()
            with suppress(subprocess.TimeoutExpired):
                out, err = running.communicate(timeout=5)
                break
    assert (running.returncode, out, err) == (0, "", "")


@pytest.mark.full
def test_a_reader_that_leaves_is_no_reason_to_complain() -> None:
    with process("export-chain-spec", "--chain", "dev") as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert running.returncode == 1
