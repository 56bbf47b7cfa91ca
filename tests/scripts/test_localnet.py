"""scripts/localnet: a network with one command, gone with Ctrl-C."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpc.client import RpcClient
from scripts import localnet
from scripts.ports import free_port
from tests.support.processes import PATIENCE, STARTS_WITHIN, Lines, User

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ports() -> tuple[int, int, int]:
    """Two in a row each, for JSON-RPC, for peers and for metrics."""
    first = free_port()
    return first, first + 10, first + 20


@pytest.fixture
def running(tmp_path: Path, ports: tuple[int, int, int]) -> Iterator[subprocess.Popen[str]]:
    rpc, peers, metrics = ports
    words = [sys.executable, ROOT / "scripts" / "localnet.py", "2", "--rpc-port", rpc, "--port", peers]
    words += ["--prometheus-port", metrics]
    with subprocess.Popen(
        [*map(str, words), "--block-time", "500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                # It stops its nodes, which a kill would leave behind.
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)


@pytest.mark.full
@pytest.mark.timeout(240)
def test_two_producers_until_ctrl_c(
    running: subprocess.Popen[str], tmp_path: Path, ports: tuple[int, int, int]
) -> None:
    assert running.stdout is not None
    assert running.stderr is not None
    out, err = Lines(running.stdout), Lines(running.stderr)
    urls = [f"ws://127.0.0.1:{ports[0] + index}" for index in range(2)]
    assert out.first(2) == [
        f"{name}: {url.replace('ws', 'http')}" for name, url in zip(("alice", "bob"), urls, strict=True)
    ]
    for index, name in enumerate(("alice", "bob")):
        assert err.match(re.compile(rf"{name} +\| .* JSON-RPC at "), STARTS_WITHIN) is not None
        assert err.match(re.compile(rf"{name} +\| .* metrics at http://127.0.0.1:{ports[2] + index}/")) is not None
        assert err.match(re.compile(rf"{name} +\| .*; 1 peer$")) is not None
    User(urls[0]).json("rate", 1, "like", "--suri", "//Alice")
    with RpcClient(urls[1], timeout=PATIENCE) as client, client.subscribe("mf_subscribeModel") as models:
        model = client.call("mf_model")
        while model["ratings"] < 1:
            model = models.next()
        assert client.call("mf_item", 1)["ratings"] == 1
        assert client.call("system_chain") == "mfchain Local Testnet of 2"
    (directory,) = tmp_path.iterdir()
    assert directory.name.startswith("mfchain-localnet-")
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 0
    lines = list(err.rest())
    assert [line for line in lines if " WARN " in line or "Traceback" in line] == [], "\n".join(lines[-60:])
    assert list(tmp_path.iterdir()) == []
    for url in urls:
        with pytest.raises(ConnectionError), RpcClient(url):
            pass


def answers(port: int) -> bool:
    """Tell whether a node takes connections."""
    try:
        with RpcClient(f"ws://127.0.0.1:{port}"):
            return True
    except ConnectionError:
        return False


@pytest.mark.full
def test_nodes_do_not_outlive_it_when_it_is_killed(tmp_path: Path, ports: tuple[int, int, int]) -> None:
    rpc, peers, _ = ports
    words = [sys.executable, ROOT / "scripts" / "localnet.py", "1", "--rpc-port", rpc, "--port", peers]
    words += ["--base-path", tmp_path]
    with subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = Lines(process.stdout), Lines(process.stderr)
        assert err.match(re.compile(" JSON-RPC at "), STARTS_WITHIN) is not None
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE
        while answers(rpc):
            assert time.monotonic() < deadline, "the node lives on"
            err.tick()
        out.rest()
        err.rest()


@pytest.mark.parametrize("count", [0, 7])
def test_there_are_keys_for_six(
    count: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["localnet", str(count)])
    with pytest.raises(SystemExit, match="2"):
        localnet.main()
    assert capsys.readouterr().err.endswith("scripts/localnet: error: N is 1 to 6\n")


def test_three_are_the_ring_of_the_shipped_chain(tmp_path: Path) -> None:
    assert localnet.write_spec(3, tmp_path).read_bytes() == localnet.render(localnet.load_spec("local"))
    two = localnet.load_spec(str(localnet.write_spec(2, tmp_path)))
    assert (len(two.ring), two.id, two.name) == (2, "local-2", "mfchain Local Testnet of 2")
