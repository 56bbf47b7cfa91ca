"""Nodes and commands as processes of their own, on free ports; whatever happens, none is left behind."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson
from typer.testing import CliRunner, Result

from rpc.cli import app
from rpc.client import RpcClient

PATIENCE: Final = 60.0
STARTS_WITHIN: Final = 120.0
"""Several processes of a test start at once, each with seconds of imports."""
STOPS_WITHIN: Final = 5.0

_SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
_ADDRESS: Final = re.compile(r"JSON-RPC at ws://127\.0\.0\.1:(\d+) ")
_QUIET_LINE: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (INFO |DEBUG) [a-z0-9_.]+: .+", re.ASCII | re.DOTALL
)
_TICK: Final = 0.05


def loud_lines(lines: Iterable[str]) -> list[str]:
    """What in a log is a warning, an error, part of a traceback, or of anybody else's making."""
    return [line for line in lines if _QUIET_LINE.fullmatch(line) is None]


class Lines:
    """The lines that a process writes, taken by a thread as they come."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """All that has come so far."""
        with self._changed:
            return "\n".join(self._lines)

    def first(self, count: int, patience: float = PATIENCE) -> list[str]:
        """Wait for so many lines."""
        with self._changed:
            enough = self._changed.wait_for(lambda: self._ended or len(self._lines) >= count, patience)
            lines = self._lines[:count]
        assert enough, f"{len(lines)} of {count} lines came:\n" + "\n".join(lines)
        assert len(lines) == count, f"only {len(lines)} of {count} lines came:\n" + "\n".join(lines)
        return lines

    def match(self, pattern: re.Pattern[str], patience: float = PATIENCE) -> re.Match[str] | None:
        """Wait for a line with a pattern in it; None if the process has ended without."""
        seen = 0
        match: re.Match[str] | None = None

        def found() -> bool:
            nonlocal seen, match
            while match is None and seen < len(self._lines):
                match = pattern.search(self._lines[seen])
                seen += 1
            return match is not None or self._ended

        with self._changed:
            in_time = self._changed.wait_for(found, patience)
        assert in_time, f"no line with {pattern.pattern} came:\n{self.text}"
        return match

    def tick(self) -> None:
        """Let a moment pass, or less if a line comes."""
        with self._changed:
            self._changed.wait(_TICK)

    def rest(self) -> list[str]:
        """All lines, once the process has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the process has left its output to another one"
        self._stream.close()
        return self._lines


@dataclass(slots=True)
class Command:
    """A command on its way, and what it writes."""

    process: subprocess.Popen[str]
    out: Lines
    err: Lines

    @classmethod
    def start(cls, *words: object, environment: Mapping[str, str] | None = None) -> Self:
        name, *arguments = map(str, words)
        process = subprocess.Popen(
            [_SCRIPTS / name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, **(environment or {})},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        return cls(process, Lines(process.stdout), Lines(process.stderr))

    def wait(self, patience: float = PATIENCE) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {patience:g} s:\n{self.out.text}\n{self.err.text}") from None
        return code, "\n".join(self.out.rest()), "\n".join(self.err.rest())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.out.rest()
        self.err.rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def run(*words: object, patience: float = PATIENCE) -> tuple[int, str, str]:
    """Run a command of ours to its end: exit code, standard output, standard error."""
    with Command.start(*words) as command:
        return command.wait(patience)


@dataclass(frozen=True, slots=True)
class User:
    """The commands of a user, run in this process against a node on a real socket."""

    url: str

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(app, ["--url", self.url, *map(str, words)])

    def text(self, *words: object) -> str:
        result = self.run(*words)
        assert (result.stderr, result.exit_code) == ("", 0), result.stderr
        return result.stdout

    def json(self, *words: object) -> Any:
        result = self.run(*words, "--json")
        assert (result.stderr, result.exit_code) == ("", 0), result.stdout
        assert result.stdout.count("\n") == 1
        return json.loads(result.stdout)

    def failure(self, *words: object) -> dict[str, Any]:
        """A failure as a program gets it."""
        result = self.run(*words, "--json")
        assert (result.stderr, result.exit_code) == ("", 1), result.stdout
        told = json.loads(result.stdout)
        assert list(told) == ["error"]
        error: dict[str, Any] = told["error"]
        assert list(error) == ["reason", "message", "data"]
        return error

    def complaint(self, *words: object) -> str:
        """A failure as a person gets it: one line."""
        result = self.run(*words)
        assert (result.stdout, result.exit_code) == ("", 1)
        assert result.stderr.count("\n") == 1
        return result.stderr.rstrip("\n")


@dataclass(slots=True)
class NodeProcess:
    """A node that runs; `port` is the one of its RPC server."""

    arguments: tuple[str, ...]
    command: Command
    port: int = 0
    is_killed: bool = False
    expected: re.Pattern[str] | None = None
    """Lines of its log that would be a fault anywhere else."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def user(self) -> User:
        return User(self.url)

    @property
    def log(self) -> str:
        return self.command.err.text

    @property
    def is_running(self) -> bool:
        return self.command.process.poll() is None

    def client(self) -> RpcClient:
        return RpcClient(self.url, timeout=PATIENCE)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON of an answer over HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, orjson.loads(response.read())
        finally:
            connection.close()

    def wait_until_it_serves(self) -> None:
        """Wait until the node says where it serves."""
        found = self.command.err.match(_ADDRESS, STARTS_WITHIN)
        assert found is not None, f"the node ended with {self.command.process.wait()}:\n{self.log}"
        self.port = int(found[1])

    def wait_until_it_is_not_ready(self) -> str:
        """Wait until the node says that it cannot serve, and return why."""
        self.wait_until_it_serves()
        deadline = time.monotonic() + PATIENCE
        while (answer := self.request("GET", "/ready"))[0] == 200:
            assert time.monotonic() < deadline, f"the node is ready all the time:\n{self.log}"
        status, told = answer
        assert status == 503
        assert told == {"ready": False, "reason": told["reason"]}
        return str(told["reason"])

    def wait_until_ready(self) -> None:
        """Wait until the node says where it serves, and then that it can."""
        self.wait_until_it_serves()
        deadline = time.monotonic() + PATIENCE
        while self.request("GET", "/ready") != (200, {"ready": True}):
            assert time.monotonic() < deadline, f"the node does not become ready:\n{self.log}"
            self.command.err.tick()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it as its operator would: it must obey at once, and have nothing to complain of."""
        self.command.signal(number)
        code, out, _ = self.command.wait(STOPS_WITHIN)
        assert (code, out) == (0, ""), self.log
        self.check_log()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.is_killed = True
        self.command.kill()

    def check_log(self) -> None:
        """See that there are no warnings, errors or tracebacks, nor lines of anybody else's."""
        lines = self.log.splitlines()
        if self.is_killed and lines:
            del lines[-1]  # may be cut
        loud = [line for line in loud_lines(lines) if self.expected is None or self.expected.search(line) is None]
        assert not loud, self.first_of_all(loud)

    def first_of_all(self, lines: Sequence[str]) -> str:
        """Say which lines are at fault, then give the whole log, of which a long report may leave out the middle."""
        return "\n".join([*lines, "", f"The log of {' '.join(self.arguments)}:", self.log])


# All warnings are shown, and fail the test; libp2p imports what is deprecated.
_WARNINGS = ",".join(
    [
        "default",
        "ignore:websockets.legacy is deprecated:DeprecationWarning",
        "ignore:websockets.server.WebSocketServerProtocol is deprecated:DeprecationWarning",
    ]
)


@dataclass(slots=True)
class Nodes:
    """All nodes of a test. On leaving they are stopped, and what they have logged is looked at."""

    directory: Path
    started: list[NodeProcess] = field(default_factory=list)

    def start(self, *arguments: object, port: int = 0) -> NodeProcess:
        """Start a node and wait until it is ready."""
        node = self.launch(*arguments, port=port)
        node.wait_until_ready()
        return node

    def launch(self, *arguments: object, port: int = 0, program: Sequence[object] = ("mfchain-node",)) -> NodeProcess:
        """Start a node, or a program that takes a node's arguments."""
        self.directory.mkdir(parents=True, exist_ok=True)
        words = tuple(map(str, arguments))
        environment = {"TMPDIR": str(self.directory), "PYTHONWARNINGS": _WARNINGS}
        # Nodes of different tests must not meet, and each needs a port of its own.
        apart = () if "--dev" in words or "--port" in words else ("--port", 0, "--no-mdns")
        quiet = () if "--prometheus-port" in words else ("--no-prometheus",)
        command = Command.start(*program, *words, *apart, *quiet, "--rpc-port", port, environment=environment)
        node = NodeProcess(words, command)
        self.started.append(node)
        return node

    def restart(self, node: NodeProcess) -> NodeProcess:
        """Start a node again that has ended, where it was."""
        return self.start(*node.arguments, port=node.port)

    def temporary(self) -> list[str]:
        """The names of temporary directories that there are."""
        return sorted(path.name for path in self.directory.iterdir())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        faults: list[AssertionError] = []
        for node in self.started:
            try:
                if node.is_running:
                    node.stop()
                else:
                    node.command.wait()
                    node.check_log()
            except AssertionError as error:
                faults.append(error)
            finally:
                if node.is_running:
                    with contextlib.suppress(AssertionError):
                        node.kill()
        if kind is not None:
            for node in self.started:
                print(" ".join(node.arguments), node.log, sep="\n")
        elif faults:
            raise faults[0]
