"""Benchmarks of networks: how nodes are started, what a trend is, and a small run of the whole."""

import socket
import struct
import threading
from argparse import ArgumentParser
from pathlib import Path

import orjson
import pytest

from benchmarks import network
from benchmarks.churn import _Sample, _trend
from benchmarks.common.calibration import Calibration
from benchmarks.common.suite import Setting
from benchmarks.serving.pipe import Pipe
from benchmarks.serving.ring import Follower, ring_of
from node.chain_spec import load_spec, render
from node.config import DEV_KEYS
from rpc.transactions import Signing
from runtime.extrinsic import IMMORTAL, Extrinsic
from runtime.primitives import ZERO_HASH
from scripts.localnet import Producer
from tests.support.small_chain import PAIRS


def test_a_ring_has_the_first_development_accounts(tmp_path: Path) -> None:
    spec = ring_of(5, 1_000, 3)
    path = tmp_path / "chain.json"
    path.write_bytes(render(spec))
    assert load_spec(str(path)) == spec
    assert (len(spec.ring), spec.slot_duration, spec.items) == (5, 1_000, ("Item 0", "Item 1", "Item 2"))
    assert spec.ring[: len(load_spec("local").ring)] == load_spec("local").ring
    assert len(DEV_KEYS) >= 5


def test_a_follower_is_a_producer_without_a_key(tmp_path: Path) -> None:
    place = ("guest", tmp_path / "guest", 30_333, 9_944)
    producer = Producer(*place).command(tmp_path / "chain.json", ["/there"], ["--more"])
    follower = Follower(*place).command(tmp_path / "chain.json", ["/there"], ["--more"])
    assert [word for word in producer if word not in follower] == ["--guest", "--producer"]
    assert [word for word in producer if word not in ("--guest", "--producer")] == follower


def test_a_trend_leaves_out_the_beginning() -> None:
    # An hour, a look a minute: 10 MB in the first sixth, then 1 MB in each that follows.
    samples = [_Sample(100.0 + (0 if minute < 10 else 10 + minute // 10), 20, 5) for minute in range(60)]
    trend = _trend(samples, every=60.0)
    assert trend["megabytes"] == {"early": 111.0, "late": 115.0}
    assert trend["megabytesAnHour"] == pytest.approx(4.0 / (40 / 60))
    assert trend["files"] == {"early": 20, "late": 20}
    assert trend["mostFiles"] == 20


def serve_one(listener: socket.socket, pongs: list[bytes]) -> None:
    """Shake hands, ping, and answer after the pong."""
    client, _ = listener.accept()
    with client:
        client.recv(4_096)
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        client.recv(4_096)
        client.sendall(b"\x89\x02hi")
        pongs.append(client.recv(4_096))
        client.sendall(b"\x81\x06answer")


def test_a_pipe_answers_pings_and_takes_them_for_no_answer() -> None:
    pongs: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=(listener, pongs))
        thread.start()
        with Pipe(listener.getsockname()[1]) as pipe:
            assert pipe.ask([b"{}"]) == [b"answer"]
        thread.join(10)
    assert pongs == [struct.pack("BB", 0x8A, 0x82) + bytes(4) + b"hi"]


def serve_many(listener: socket.socket, count: int) -> None:
    """Shake hands, wait for so many calls of two bytes, and answer them all."""
    client, _ = listener.accept()
    with client:
        client.recv(4_096)
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        received = 0
        while received < 8 * count:
            received += len(client.recv(4_096))
        client.sendall(b"".join(b"\x81\x01" + bytes((number,)) for number in range(count)))


def test_calls_are_sent_without_waiting_for_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_many, args=(listener, 5))
        thread.start()
        with Pipe(listener.getsockname()[1]) as pipe:
            for _ in range(5):
                pipe.send([b"{}"])
            assert list(pipe.answers(5)) == [bytes((number,)) for number in range(5)]
        thread.join(10)


def test_an_account_rates_no_item_twice_however_it_signs() -> None:
    bench = network._Bench(Setting(Calibration(1e-4, 1e-4), Path()), [], [PAIRS["Alice"], PAIRS["Bob"]])
    bench.nodes = [None] * 2  # type: ignore[list-item]
    signing = Signing(ZERO_HASH, 1, 1, IMMORTAL, ZERO_HASH, 0)
    alone = bench._calls(signing, 2)
    together = bench._calls(signing, 4, batch=3)
    assert [node for node, _ in (*alone, *together)] == [0, 1, 0, 1, 0, 1]
    assert (bench.ratings, bench.nonces[0], bench.given[0]) == (14, 3, 7)
    extrinsics = [Extrinsic.decode(bytes.fromhex(orjson.loads(call)["params"][0][2:])) for _, call in together]
    rated = [item for extrinsic in extrinsics[::2] for item, _ in struct.iter_unpack("<Qq", extrinsic.call[-48:])]
    assert rated == [1, 2, 3, 4, 5, 6]


@pytest.mark.full
@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_ring_is_measured(tmp_path: Path) -> None:
    parser = ArgumentParser()
    network.add_arguments(parser)
    words = ["--nodes", "2", "--slot", "500", "--singles", "3", "--users", "10", "--rates", "10", "--seconds", "2"]
    words += ["--batch", "2"]
    setting = Setting(Calibration(1e-4, 1e-4), tmp_path)
    results = network.run(setting, parser.parse_args(words))
    singles, (load,) = results["singles"], results["loads"]
    assert isinstance(singles, dict)
    assert 0 < singles["inBlockEverywhere"]["median"] < singles["finalEverywhere"]["median"]
    assert (load["refused"], load["rate"], load["ratingsASignature"]) == (0, 10, 2)
    assert str(load["digest"]).startswith("0x")
