"""The server for Prometheus on a real socket."""

import http.client
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rpc.app import bind, serve
from rpc.metrics import MEDIA_TYPE, MetricsApplication
from tests.rpc.served import PATIENCE

PAGE = b"# TYPE answer gauge\nanswer 42.0\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = bind("127.0.0.1", 0)
    server = serve(MetricsApplication(lambda: PAGE, only_loopback=True), [listener], name="metrics")
    yield listener.getsockname()[1]
    assert server.stop(PATIENCE)


def ask(port: int, method: str, path: str, **headers: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()
    finally:
        connection.close()


def test_the_page(port: int) -> None:
    assert ask(port, "GET", "/metrics") == (200, MEDIA_TYPE, PAGE)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/", 404), ("GET", "/metrics/more", 404), ("POST", "/metrics", 405)],
)
def test_there_is_nothing_else(port: int, method: str, path: str, status: int) -> None:
    assert ask(port, method, path)[0] == status


def test_a_name_that_points_here_is_refused(port: int) -> None:
    text = "text/plain; charset=utf-8"
    assert ask(port, "GET", "/metrics", Host="example.com:9615") == (
        403,
        text,
        b"this node is not called example.com:9615\n",
    )
    assert ask(port, "GET", "/metrics", Host="localhost:9615") == (200, MEDIA_TYPE, PAGE)


def test_no_calls_are_taken(port: int) -> None:
    with pytest.raises(InvalidStatus, match="HTTP 403"), connect(f"ws://127.0.0.1:{port}/"):
        pass


def test_an_external_address_must_be_meant() -> None:
    listener = bind("0.0.0.0", 0)  # noqa: S104 - nobody is answered
    with listener, pytest.raises(ValueError, match="must not be served on an external address"):
        serve(MetricsApplication(lambda: PAGE, only_loopback=True), [listener])
