"""The options that bound what RPC clients may do, each tried on a running node."""

import http.client
import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import ifaddr
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.processes import PATIENCE, NodeProcess, Nodes

pytestmark = pytest.mark.full

MEBIBYTE = 1 << 20
OPTIONS = (
    "--rpc-max-connections 3 --rpc-max-request-size 1 --rpc-max-batch 4 --rpc-max-subscriptions 2 "
    "--rpc-external --rpc-methods safe --rpc-cors https://example.org --rpc-rate-limit 1"
)


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with Nodes(tmp_path_factory.mktemp("limits") / "temporary") as running:
        yield running.start("--dev", *OPTIONS.split())


def call(method: str, *parameters: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}


def open_socket(node: NodeProcess) -> ClientConnection:
    return connect(node.url, proxy=None, max_queue=None)


def ask(connection: ClientConnection, request: object) -> Any:
    connection.send(json.dumps(request))
    return json.loads(connection.recv(PATIENCE))


def reason(answer: Any) -> object:
    return answer["error"]["data"]["reason"]


def test_connections(bounded: NodeProcess) -> None:
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(open_socket(bounded))
        with pytest.raises(InvalidStatus) as caught:
            open_socket(bounded)
        assert caught.value.response.status_code == 503
    with open_socket(bounded) as connection:
        assert "result" in ask(connection, call("system_chain"))


def test_request_size(bounded: NodeProcess) -> None:
    fitting = json.dumps(call("system_chain")).encode().ljust(MEBIBYTE)
    assert bounded.request("POST", "/", fitting)[0] == 200
    with socket.create_connection(("127.0.0.1", bounded.port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MEBIBYTE + 1))
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert reason(json.loads(answer.partition(b"\r\n\r\n")[2])) == "TooMany"
    with open_socket(bounded) as connection:
        with suppress(ConnectionClosedError):
            connection.send(fitting + b" ")
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv(PATIENCE)
        # The reason may be lost on its way, when the node hangs up on what is still being sent.
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1009


def test_batch(bounded: NodeProcess) -> None:
    def answers(count: int) -> Any:
        return bounded.request("POST", "/", json.dumps([call("system_chain")] * count).encode())[1]

    assert len(answers(4)) == 4
    assert reason(answers(5)) == "TooMany"


def test_subscriptions(bounded: NodeProcess) -> None:
    with open_socket(bounded) as connection:
        batch = ask(connection, [call("mf_subscribeModel")] * 3)
        assert ["result" in answer for answer in batch] == [True, True, False]
        assert reason(batch[2]) == "TooMany"
    with open_socket(bounded) as connection:
        assert "result" in ask(connection, call("mf_subscribeModel"))


def test_methods(bounded: NodeProcess) -> None:
    answer = bounded.request("POST", "/", json.dumps(call("dev_rate", "//Alice", 0, 1)).encode())[1]
    assert (answer["error"]["code"], reason(answer)) == (-32601, "MethodIsUnsafe")


@pytest.mark.parametrize(("origin", "status"), [("https://example.org", 200), ("http://localhost", 403)])
def test_origins(bounded: NodeProcess, origin: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", bounded.port, timeout=PATIENCE)
    connection.request("POST", "/", json.dumps(call("system_chain")), {"Origin": origin})
    response = connection.getresponse()
    assert response.status == status
    assert response.getheader("access-control-allow-origin") == (origin if status == 200 else None)
    connection.close()


def test_the_rate_bounds_others_and_not_this_machine(bounded: NodeProcess) -> None:
    with open_socket(bounded) as connection:
        assert all("result" in ask(connection, call("system_chain")) for _ in range(20))
    address = other_address()
    connection = http.client.HTTPConnection(address, bounded.port, timeout=PATIENCE)
    connection.request("POST", "/", json.dumps([call("system_chain")] * 4))
    answers = json.loads(connection.getresponse().read())
    connection.close()
    if ipaddress.ip_address(address).is_loopback:
        assert all("result" in answer for answer in answers)
    else:
        assert [reason(answer) for answer in answers if "error" in answer][-1:] == ["RateLimited"]


def other_address() -> str:
    """An address of this machine by which it is reached from outside, or else one that only an external node serves."""
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return next((ip for ip in found if not ipaddress.ip_address(ip).is_loopback), "127.0.0.2")
