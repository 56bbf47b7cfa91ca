"""A running server and the ways to talk to it."""

import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from rpc.app import RpcServer, bind, create_app, serve
from rpc.client import RpcClient
from rpc.limits import RpcLimits
from tests.rpc.fake_node import FakeNode

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Served:
    """A server, the node behind it, and its address."""

    node: FakeNode
    server: RpcServer
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def client(self) -> RpcClient:
        return RpcClient(self.url, timeout=PATIENCE)

    def request(
        self, method: str, path: str = "/", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def post(self, body: bytes | object, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("POST", "/", body if isinstance(body, bytes) else orjson.dumps(body), headers)

    def ask(self, method: str, *params: object) -> Any:
        """The whole answer to one call over HTTP, without its fixed members."""
        reply = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        assert reply.status == 200
        answer = reply.json
        assert answer.pop("jsonrpc") == "2.0"
        assert answer.pop("id") == 1
        return answer

    def result(self, method: str, *params: object) -> Any:
        answer = self.ask(method, *params)
        assert set(answer) == {"result"}, answer
        return answer["result"]

    def wait_until_idle(self) -> None:
        """Wait until the server knows that those have left who did: it has no request or WebSocket under way."""
        deadline = time.monotonic() + PATIENCE
        while self.server._server.server_state.tasks:
            assert time.monotonic() < deadline
            assert self.result("system_chain") == "Test"

    def error(self, method: str, *params: object) -> Any:
        answer = self.ask(method, *params)
        assert set(answer) == {"error"}, answer
        return answer["error"]

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def begin(node: FakeNode | None = None, limits: RpcLimits | None = None) -> Served:
    """Start a server over a node."""
    node = FakeNode() if node is None else node
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = serve(create_app(node, limits or RpcLimits(), only_loopback=True), [listener])
    return Served(node, server, port)


@contextmanager
def serving(node: FakeNode | None = None) -> Iterator[Served]:
    """A server over a node, stopped on leaving."""
    served = begin(node)
    try:
        yield served
    finally:
        assert served.server.stop(PATIENCE)


def messages(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """What one logger has said; servers of earlier tests may still be stopping."""
    return [record.getMessage() for record in caplog.records if record.name == logger]
