"""Runs a network of producers on one machine, with the keys of the development accounts.

Each node has a port for its peers, one for JSON-RPC, and a directory; what they log comes out with their names in
front. Three are the ring of the chain `local`; for more or fewer a chain with a ring of that size is made. Their files
vanish with them, unless they are told where to keep them.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from node.chain_spec import load_spec, render
from node.config import DEFAULT_PORT, DEFAULT_RPC_PORT, DEV_KEYS
from node.node_key import FILE_NAME, load_node_key
from p2p.addresses import peer_id_from_seed
from runtime.crypto import Scheme
from runtime.keys import key_pair_from_uri

NODE: Final = Path(sys.executable).with_name("mfchain-node")
PATIENCE: Final = 30.0
_GUARD: Final = 'read -r word || kill "$@"'
"""Reads a line that says that all is well; without one, whoever was to write it is gone, and so the nodes go."""


@dataclass(frozen=True, slots=True)
class Producer:
    """One node: the name of its key, its directory and its ports."""

    name: str
    directory: Path
    port: int
    rpc_port: int
    prometheus_port: int | None = None

    @property
    def identity(self) -> Path:
        """The directory of the key that the others know it by."""
        return self.directory / "identity"

    def address(self) -> str:
        """Where the others dial it."""
        seed = load_node_key(None, self.identity)
        return f"/ip4/127.0.0.1/tcp/{self.port}/p2p/{peer_id_from_seed(seed)}"

    def command(self, spec: Path, boot: Sequence[str], more: Sequence[str]) -> list[str]:
        """How it is started."""
        words = [str(NODE), "--chain", str(spec), f"--{self.name}", "--producer", "--base-path", str(self.directory)]
        words += ["--node-key", str(self.identity / FILE_NAME), "--no-mdns"]
        words += ["--listen-addr", f"/ip4/127.0.0.1/tcp/{self.port}", "--rpc-port", str(self.rpc_port)]
        words += (
            ["--no-prometheus"] if self.prometheus_port is None else ["--prometheus-port", str(self.prometheus_port)]
        )
        for address in boot:
            words += ["--bootnodes", address]
        return [*words, *more]


def main() -> int:
    """Run the network until Ctrl-C, or until a node ends."""
    parser = argparse.ArgumentParser(prog="scripts/localnet", description="N producers on this machine.")
    parser.add_argument("count", metavar="N", nargs="?", type=int, default=3, help="1 to 6; 3 if left out")
    parser.add_argument("--base-path", type=Path, help="keep the nodes' files here")
    parser.add_argument("--rpc-port", type=int, default=DEFAULT_RPC_PORT, help="of the first node; the others follow")
    parser.add_argument("--prometheus-port", type=int, help="for metrics, of the first node; none if left out")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="for peers, of the first node")
    options, more = parser.parse_known_args()
    if not 1 <= options.count <= len(DEV_KEYS):
        parser.error(f"N is 1 to {len(DEV_KEYS)}")
    with _directory(options.base_path) as directory:
        spec = write_spec(options.count, directory)
        producers = [
            Producer(
                name,
                directory / name,
                options.port + index,
                options.rpc_port + index,
                None if options.prometheus_port is None else options.prometheus_port + index,
            )
            for index, name in enumerate(DEV_KEYS[: options.count])
        ]
        return run(producers, spec, more)


@contextmanager
def _directory(chosen: Path | None) -> Iterator[Path]:
    """Where the nodes keep their files."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="mfchain-localnet-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def write_spec(count: int, directory: Path) -> Path:
    """Write the specification of a chain whose ring is the first `count` development accounts."""
    local = load_spec("local")
    ring = tuple(key_pair_from_uri(f"//{name.capitalize()}", Scheme.ED25519).public for name in DEV_KEYS[:count])
    if ring != local.ring:
        local = replace(local, name=f"{local.name} of {count}", id=f"{local.id}-{count}", ring=ring)
    path = directory / "chain.json"
    path.write_bytes(render(local))
    return path


def run(producers: Sequence[Producer], spec: Path, more: Sequence[str]) -> int:
    """Start the nodes, pass on what they log, and stop them together."""
    addresses = [producer.address() for producer in producers]
    processes = []
    readers = []
    guard: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for producer in producers:
            boot = [address for other, address in zip(producers, addresses, strict=True) if other is not producer]
            # A session of its own: Ctrl-C reaches this program alone, which then stops the nodes in order.
            process = subprocess.Popen(
                producer.command(spec, boot, more), stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            processes.append(process)
            assert process.stderr is not None
            reader = threading.Thread(target=_pass_on, args=(producer.name, process.stderr), daemon=True)
            reader.start()
            readers.append(reader)
        guard = _guard([process.pid for process in processes])
        for producer in producers:
            print(f"{producer.name}: http://127.0.0.1:{producer.rpc_port}", flush=True)
        pid, status = os.wait()
        ended = next((name for name, process in zip(producers, processes, strict=True) if process.pid == pid), None)
        name = "the guard" if ended is None else ended.name
        print(f"{name} has ended with {os.waitstatus_to_exitcode(status)}; stopping the others", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        for reader in readers:
            reader.join(PATIENCE)
        if guard is not None:
            guard.communicate(b"well\n")


def _guard(processes: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start what ends the nodes if this program is killed, and cannot do it itself."""
    words = ["/bin/sh", "-c", _GUARD, "guard", *map(str, processes)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)


def _pass_on(name: str, lines: IO[str]) -> None:
    for line in lines:
        sys.stderr.write(f"{name:<8}| {line}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
