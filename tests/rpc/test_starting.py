"""A node that has nothing to serve yet, on a real socket."""

import http.client
from collections.abc import Iterator

import orjson
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rpc.app import bind, serve
from rpc.starting import StartingApplication
from tests.rpc.served import PATIENCE

REASON = "the state is being fetched"


@pytest.fixture
def port() -> Iterator[int]:
    listener = bind("127.0.0.1", 0)
    with listener:
        server = serve(StartingApplication(REASON, only_loopback=True), [listener.dup()], name="starting")
        yield listener.getsockname()[1]
        assert server.stop(PATIENCE)
        # The port is still the node's own, for those who are served later.
        assert listener.getsockname()[1] != 0


@pytest.mark.parametrize(
    ("method", "path", "status", "answer"),
    [
        ("GET", "/health", 200, {"status": "alive"}),
        ("GET", "/ready", 503, {"ready": False, "reason": REASON}),
        (
            "POST",
            "/",
            503,
            {
                "jsonrpc": "2.0",
                "error": {
                    "code": 8005,
                    "message": f"the node is not ready: {REASON}",
                    "data": {"reason": "NotReady", "why": REASON},
                },
                "id": None,
            },
        ),
    ],
)
def test_it_lives_and_is_not_ready(port: int, method: str, path: str, status: int, answer: object) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        assert (response.status, orjson.loads(response.read())) == (status, answer)
    finally:
        connection.close()


def test_no_websocket_is_taken(port: int) -> None:
    with pytest.raises(InvalidStatus, match="HTTP 403"), connect(f"ws://127.0.0.1:{port}/"):
        pass


def test_a_foreign_name_is_refused(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/ready", headers={"Host": "example.com"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (403, b"this node is not called example.com\n")
    finally:
        connection.close()
