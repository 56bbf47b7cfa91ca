"""A small synchronous JSON-RPC client, over a WebSocket (ws://, wss://) or HTTP (http://, https://).

    with RpcClient("ws://127.0.0.1:9944") as node:
        head = node.call("chain_getHeader")
        with node.subscribe("chain_subscribeNewHeads") as heads:
            for header in heads: ...

A refusal by the node is an `RpcError`, a node that cannot be reached or breaks off a `ConnectionError`, one
that takes too long a `TimeoutError`. A client belongs to one thread at a time.
"""

import http.client
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self
from urllib.parse import SplitResult, urlsplit

import orjson
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from rpc.errors import RpcError

DEFAULT_URL: Final = "ws://127.0.0.1:9944"
LARGEST_ANSWER: Final = 64 * 1024 * 1024
MOST_UNREAD: Final = 65_536
_CONNECT_TIMEOUT: Final = 10.0
_CLOSE_TIMEOUT: Final = 1.0
# Frames that are taken off the network before somebody asks for them.
_MOST_QUEUED: Final = 1_024

# Where the name of the opposite call does not follow from the name of the call.
_UNSUBSCRIBE: Final = {"author_submitAndWatchExtrinsic": "author_unwatchExtrinsic"}


class _Transport(Protocol):
    def send(self, message: bytes, timeout: float) -> None: ...

    def receive(self, timeout: float) -> bytes: ...

    def close(self) -> None: ...


class RpcClient:
    """A connection to one node; connects when it is made."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 30.0) -> None:
        """Connect to `url`; each call waits at most `timeout` seconds unless it says otherwise.

        Raises:
            ValueError: the URL is not one of a node.
            ConnectionError: no node answers there.
        """
        self.url = url
        self.timeout = timeout
        self._next_id = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._transport = _open(url)

    def call(self, method: str, *params: object, timeout: float | None = None) -> Any:
        """The result of one call."""
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        answer = self._exchange(request, timeout)
        if not isinstance(answer, Mapping):
            raise self._nonsense()
        return _result(answer)

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]], *, timeout: float | None = None) -> list[Any]:
        """The results of many calls sent as one, in their order; for a failed call its `RpcError`."""
        if not calls:
            return []
        first = self._next_id + 1
        self._next_id += len(calls)
        request = [
            {"jsonrpc": "2.0", "id": first + index, "method": method, "params": params}
            for index, (method, params) in enumerate(calls)
        ]
        answer = self._exchange(request, timeout)
        if isinstance(answer, Mapping):
            raise _failure(answer) or self._nonsense()
        by_id = {entry.get("id"): entry for entry in answer if isinstance(entry, Mapping)}
        if any(first + index not in by_id for index in range(len(calls))):
            raise self._nonsense()
        entries = [by_id[first + index] for index in range(len(calls))]
        return [_failure(entry) or entry.get("result") for entry in entries]

    def subscribe(self, method: str, *params: object, timeout: float | None = None) -> "Subscription":
        """Start a subscription; `timeout` is how long iterating over it waits for the next notification."""
        identifier = self.call(method, *params)
        if not isinstance(identifier, str):
            raise self._nonsense()
        opposite = _UNSUBSCRIBE.get(method, method.replace("_subscribe", "_unsubscribe"))
        subscription = Subscription(self, identifier, opposite, self.timeout if timeout is None else timeout)
        self._subscriptions[identifier] = subscription
        return subscription

    def close(self) -> None:
        """End the connection and with it all subscriptions."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Nothing: the client is connected already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def _exchange(self, request: object, timeout: float | None) -> Any:
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        expected = {entry["id"] for entry in request} if isinstance(request, list) else {request["id"]}  # type: ignore[index]
        self._transport.send(orjson.dumps(request), deadline - time.monotonic())
        while True:
            message = self._receive(deadline)
            if message is not None and _answers(message, expected):
                return message

    def _receive(self, deadline: float) -> Any:
        """The next message; None for a notification, which is put where it belongs."""
        message = _decode(self._transport.receive(deadline - time.monotonic()))
        if isinstance(message, Mapping) and "method" in message:
            params = message.get("params")
            if isinstance(params, Mapping) and (target := self._subscriptions.get(str(params.get("subscription")))):
                target.push(params.get("result"))
            return None
        if not isinstance(message, Mapping | list):
            raise self._nonsense()
        return message

    def _forget(self, identifier: str) -> None:
        self._subscriptions.pop(identifier, None)

    def _nonsense(self) -> ConnectionError:
        return ConnectionError(f"what answers at {self.url} does not speak JSON-RPC")


class Subscription:
    """An iterator over the results of one subscription's notifications; leaving its context unsubscribes."""

    def __init__(self, client: RpcClient, identifier: str, opposite: str, timeout: float) -> None:
        """Made by `RpcClient.subscribe`."""
        self.identifier = identifier
        self._client = client
        self._opposite = opposite
        self._timeout = timeout
        self._unread: deque[Any] = deque()

    def next(self, timeout: float | None = None) -> Any:
        """The next notification's result.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            ConnectionError: the node is gone.
        """
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        while not self._unread:
            self._client._receive(deadline)
        return self._unread.popleft()

    def unsubscribe(self) -> bool:
        """Stop; whether the node still knew the subscription."""
        self._client._forget(self.identifier)
        return bool(self._client.call(self._opposite, self.identifier))

    def push(self, result: object) -> None:
        """Keep a notification until it is read."""
        if len(self._unread) >= MOST_UNREAD:
            raise ConnectionError(f"{MOST_UNREAD} notifications of one subscription were left unread")
        self._unread.append(result)

    def __iter__(self) -> Iterator[Any]:
        """The subscription is its own iterator."""
        return self

    def __next__(self) -> Any:
        """The next notification's result; see `next`."""
        return self.next()

    def __enter__(self) -> Self:
        """Nothing: the subscription runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unsubscribe; on the way out of an error, failing to is no second error."""
        if error is None:
            self.unsubscribe()
            return
        with suppress(ConnectionError, TimeoutError, RpcError):
            self.unsubscribe()


class _WebSocket:
    """One message a frame."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = ExitStack()
        try:
            self._socket: ClientConnection = self._stack.enter_context(
                connect(
                    url,
                    open_timeout=_CONNECT_TIMEOUT,
                    close_timeout=_CLOSE_TIMEOUT,
                    compression=None,
                    max_size=LARGEST_ANSWER,
                    max_queue=_MOST_QUEUED,
                    proxy=None,
                )
            )
        except (OSError, EOFError, WebSocketException) as error:
            raise _unreachable(url) from error

    def send(self, message: bytes, timeout: float) -> None:
        try:
            self._socket.send(message, text=True)
        except ConnectionClosed as error:
            raise self._closed(error) from error

    def receive(self, timeout: float) -> bytes:
        try:
            return self._socket.recv(timeout=max(timeout, 0.0), decode=False)
        except ConnectionClosed as error:
            raise self._closed(error) from error
        except TimeoutError:
            raise TimeoutError(f"the node at {self._url} did not answer in time") from None

    def close(self) -> None:
        self._stack.close()

    def _closed(self, error: ConnectionClosed) -> ConnectionError:
        close = error.rcvd
        why = f": {close.code} {close.reason}".rstrip() if close is not None else ""
        return ConnectionError(f"the node at {self._url} closed the connection{why}")


class _Http:
    """One POST a message, each on a connection of its own."""

    def __init__(self, url: str, parts: SplitResult) -> None:
        self._url = url
        self._parts = parts
        self._answer = b""

    def send(self, message: bytes, timeout: float) -> None:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=max(timeout, 0.001))
        try:
            connection.request("POST", self._parts.path or "/", message, {"Content-Type": "application/json"})
            response = connection.getresponse()
            self._answer = response.read(LARGEST_ANSWER + 1)
        except TimeoutError:
            raise TimeoutError(f"the node at {self._url} did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self._url) from error
        finally:
            connection.close()
        if len(self._answer) > LARGEST_ANSWER:
            raise ConnectionError(f"the answer of {self._url} is larger than {LARGEST_ANSWER} bytes")
        if response.getheader("Content-Type", "").partition(";")[0] != "application/json":
            raise ConnectionError(f"{self._url} answered {response.status} {response.reason}")

    def receive(self, timeout: float) -> bytes:
        answer, self._answer = self._answer, b""
        if not answer:
            raise ConnectionError(f"notifications need a WebSocket: {self._url} is for calls only")
        return answer

    def close(self) -> None:
        self._answer = b""


def _open(url: str) -> _Transport:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{url} is not the URL of a node, which is like {DEFAULT_URL}")
    if parts.scheme in ("ws", "wss"):
        return _WebSocket(url)
    return _Http(url, parts)


def _unreachable(url: str) -> ConnectionError:
    return ConnectionError(f"no node answers at {url}: start one with scripts/run")


def _decode(message: bytes) -> Any:
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None


def _answers(message: Any, expected: set[int]) -> bool:
    """Whether this answers the request under way, not an older one that was given up."""
    if isinstance(message, list):
        return any(isinstance(entry, Mapping) and entry.get("id") in expected for entry in message)
    # A request that the node could not read as such is refused without an id.
    return message.get("id") in expected or (message.get("id") is None and "error" in message)


def _failure(answer: Mapping[str, Any]) -> RpcError | None:
    fault = answer.get("error")
    if not isinstance(fault, Mapping):
        return None
    code, text = fault.get("code"), fault.get("message")
    return RpcError(code if isinstance(code, int) else 0, str(text), fault.get("data"))


def _result(answer: Mapping[str, Any]) -> Any:
    if failed := _failure(answer):
        raise failed
    return answer.get("result")
