"""Starts the programs of these tests and talks with them in JSON lines."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
DEADLINE = 60.0


class Child:
    """One program: its events in order, with a deadline for each wait."""

    def __init__(self, program: str | Path, options: dict[str, Any] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / program), json.dumps(options or {})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._seen: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._read_events), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()
        self.peer = ""
        self.addresses: list[str] = []

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first event of that name and with those fields; it is used up, earlier others stay."""
        return self.wait_any((event, fields))

    def wait_any(self, *wanted: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """The first event that any of these describes."""
        found = self.find(*wanted, within=DEADLINE)
        if found is None:
            raise AssertionError(f"no {wanted} within {DEADLINE} s; {self._seen}\n{''.join(self.errors)}")
        return found

    def find(self, *wanted: tuple[str, dict[str, Any]], within: float) -> dict[str, Any] | None:
        """The first event that any of these describes, or None after so many seconds."""
        for index, seen in enumerate(self._seen):
            if any(_fits(seen, *one) for one in wanted):
                return self._seen.pop(index)
        until = time.monotonic() + within
        while True:
            try:
                found = self._events.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return None
            if found is None:
                raise AssertionError(f"the program ended before {wanted}: {''.join(self.errors)}")
            if any(_fits(found, *one) for one in wanted):
                return found
            self._seen.append(found)

    def drain(self) -> list[dict[str, Any]]:
        """All events so far that nobody waited for."""
        while True:
            try:
                found = self._events.get_nowait()
            except queue.Empty:
                return self._seen
            if found is not None:
                self._seen.append(found)

    def do(self, command: str, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self.process.stdin.flush()

    def ask(self, command: str, answer: str, **fields: Any) -> dict[str, Any]:
        self.do(command, **fields)
        return self.wait(answer)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ends it in order; answers its exit code."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
        try:
            code = self.process.wait(DEADLINE)
        finally:
            self.end()
        return code

    def end(self) -> None:
        """Ends it in any case."""
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue  # a command that nobody was left to read


def _fits(found: dict[str, Any], event: str, fields: dict[str, Any]) -> bool:
    return found["event"] == event and all(found.get(name) == value for name, value in fields.items())
