"""JSON-RPC over HTTP POST and WebSockets, on one URL, as a raw ASGI application.

A framework's routing and validation would cost more than a call itself, so none is in the way here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

from rpc.dispatch import Answer, Call, Dispatcher, Server
from rpc.encoding import encode
from rpc.errors import RpcError, too_many
from rpc.limits import Origins, client_key
from rpc.subscriptions import TRY_AGAIN_LATER, SubscriptionSet

log = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

# The key, in the state of a WebSocket's ASGI scope, of the function that cuts its connection off.
ABORT: Final = "abort"
# And that of a list of functions to call when the connection is lost.
WHEN_LOST: Final = "when lost"

_TURN: Final = 0.005
_CLOSE_PATIENCE: Final = 2.0
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Final = (b"connection", b"close")


class Endpoint:
    """Carries messages between clients and the dispatcher."""

    def __init__(self, server: Server, dispatcher: Dispatcher) -> None:
        self._server = server
        self._dispatcher = dispatcher
        self._origins = Origins(server.limits.allowed_origins)
        self._sockets: set[_Socket] = set()

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST, or a browser's question whether it may send one."""
        origin, host, length = _request_headers(scope["headers"])
        cors: Headers = []
        if origin is not None:
            if not self._origins.allows(origin, host):
                return await _respond(send, 403, f"web pages of {_shown(origin)} may not call this node\n".encode())
            shown = "*" if self._origins.all else origin
            cors = [(b"access-control-allow-origin", shown.encode("latin-1")), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS":
            return await _respond(send, 204, b"", [*cors, *_preflight()])
        limit = self._server.limits.max_request_size
        body = None if length > limit else await _read(receive, limit)
        if body is None:
            fault = _refusal(too_many("bytes in the request", limit))
            # The rest of the body may be on its way: the connection can carry no other request.
            return await _respond(send, 413, fault, [*cors, _JSON, _CLOSE])
        call = Call(self._server, self._server.service, self._client(scope), line=_line(scope))
        outcome = self._dispatcher.dispatch(body, call)
        answer = outcome if isinstance(outcome, bytes | None) else await _while_connected(outcome, receive)
        if answer is None:
            return await _respond(send, 204, b"", cors)
        await _respond(send, 200, answer, [_JSON, *cors])

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket for as long as it is open."""
        await receive()
        origin, host, _ = _request_headers(scope["headers"])
        if origin is not None and not self._origins.allows(origin, host):
            text = f"web pages of {_shown(origin)} may not call this node\n"
            return await _refuse_socket(send, 403, text)
        most = self._server.limits.max_connections
        if len(self._sockets) >= most:
            return await _refuse_socket(send, 503, f"too many connections: at most {most}\n")
        socket = _Socket(self._server, self._dispatcher, self._client(scope), scope, receive, send)
        self._sockets.add(socket)
        try:
            await socket.run()
        finally:
            self._sockets.discard(socket)

    def _client(self, scope: Scope) -> str | None:
        """What a rate limit counts this client by; None if no rate limit holds for it."""
        if self._server.limiter is None or scope["client"] is None:
            return None
        return client_key(scope["client"][0])


class _Socket:
    """One WebSocket: answers go out as the calls finish, notifications by way of a bounded queue.

    Answers need no queue: while the client does not take them, nothing more is read from it.
    """

    def __init__(
        self,
        server: Server,
        dispatcher: Dispatcher,
        client: str | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        limits = server.limits
        self._server = server
        self._dispatcher = dispatcher
        self._client = client
        self._line = _line(scope)
        self._receive = receive
        self._raw_send = send
        state = scope.get("state", {})
        self._abort: Callable[[], None] = state.get(ABORT, lambda: None)
        state.get(WHEN_LOST, []).append(self._lost)
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(limits.max_queued_messages)
        self._queued_bytes = 0
        self._under_way: dict[asyncio.Task[None], int] = {}
        self._bytes_under_way = 0
        self._room = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._gone = False
        self._subscriptions = SubscriptionSet(server.hub, self, limits)

    async def run(self) -> None:
        """Accept, then serve until either side closes."""
        await self._raw_send({"type": "websocket.accept"})
        pump = asyncio.create_task(self._pump())
        try:
            await self._serve()
        finally:
            self._gone = True
            self._subscriptions.close_all()
            pump.cancel()
            await self._let_go()
            with suppress(asyncio.CancelledError):
                await pump

    def push(self, message: bytes) -> None:
        """Queue a notification, or drop a client that has not taken the earlier ones."""
        if self._gone or self._closing is not None:
            return
        limits = self._server.limits
        too_long = self._queued_bytes + len(message) > limits.max_queued_bytes and not self._queue.empty()
        if too_long or self._queue.full():
            self.drop(TRY_AGAIN_LATER, "notifications were not read in time")
            return
        self._queue.put_nowait(message)
        self._queued_bytes += len(message)

    def drop(self, code: int, why: str) -> None:
        """Close the socket, by force if the client does not even take that."""
        if not self._gone and self._closing is None:
            self._closing = asyncio.create_task(self._close(code, why))
            self._room.set()

    async def _serve(self) -> None:
        turn_ends = time.perf_counter() + _TURN
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if self._closing is not None:
                continue
            await self._handle(_taken(message))
            if time.perf_counter() > turn_ends or not self._queue.empty():
                # Neither receiving nor answering gives way to others, or to the pump, while there is work.
                await asyncio.sleep(0)
                turn_ends = time.perf_counter() + _TURN

    async def _handle(self, message: bytes | str) -> None:
        """Answer a message, or begin to: the next one waits while too many calls or bytes are under way."""
        call = Call(self._server, self._server.service, self._client, self._subscriptions, line=self._line)
        size = len(message)
        outcome = self._dispatcher.dispatch(message, call)
        del message
        if isinstance(outcome, bytes | None):
            await self._answer(outcome, call)
            return
        task = asyncio.create_task(self._answer_later(outcome, call))
        self._under_way[task] = size
        self._bytes_under_way += size
        task.add_done_callback(self._finished)
        while not self._has_room():
            self._room.clear()
            await self._room.wait()

    def _has_room(self) -> bool:
        """Whether the next message may come: that of the end must, at the end."""
        limits = self._server.limits
        busy = len(self._under_way) >= limits.max_concurrent_calls or self._bytes_under_way >= limits.max_request_size
        return not busy or self._gone or self._closing is not None

    def _lost(self) -> None:
        """The connection is lost."""
        self._gone = True
        self._room.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._bytes_under_way -= self._under_way.pop(task)
        self._room.set()

    async def _let_go(self) -> None:
        """Give up all calls under way; none that has not begun, as what it awaits would be left behind."""
        await asyncio.sleep(0)
        for task in tuple(self._under_way):
            task.cancel()

    async def _answer_later(self, outcome: Awaitable[Answer], call: Call) -> None:
        await self._answer(await outcome, call)

    async def _answer(self, answer: Answer, call: Call) -> None:
        if answer is not None:
            await self._send(answer)
        call.answered()

    async def _pump(self) -> None:
        """Send notifications as fast as the client takes them."""
        while True:
            message = await self._queue.get()
            self._queued_bytes -= len(message)
            await self._send(message)

    async def _send(self, message: bytes) -> None:
        """Send a text frame; when the client is gone, that shows at the receiving side."""
        if self._gone or self._closing is not None:
            return
        try:
            await self._raw_send({"type": "websocket.send", "text": message.decode()})
        except OSError:
            self._gone = True
        except RuntimeError:
            # The server's complaint about a frame that had to wait until after the closing one.
            if self._closing is None:
                raise

    async def _close(self, code: int, why: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await self._raw_send({"type": "websocket.close", "code": code, "reason": why})
        except TimeoutError:
            self._abort()
            log.info("a client was cut off: %s", why)
        except OSError:
            self._gone = True
        else:
            log.info("a client was dropped: %s", why)


def _line(scope: Scope) -> Hashable:
    """Whose place a caller shares among the slow calls: its address's, on this machine its connection's."""
    client = scope["client"]
    return None if client is None else client_key(client[0]) or client


def _taken(message: Message) -> bytes | str:
    """What a WebSocket's message says; nothing else holds it from here on."""
    data: bytes | str | None = message.pop("bytes", None)
    text: bytes | str = message.pop("text", "")
    return text if data is None else data


async def _read(receive: Receive, limit: int) -> bytes | None:
    """A request's body; None if it is larger than the limit, or the client gave up."""
    parts: list[bytes] = []
    room = limit
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        room -= len(parts[-1])
        if room < 0:
            return None
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _while_connected(outcome: Awaitable[Answer], receive: Receive) -> Answer:
    """Await an answer, or give it up when its client is gone: then there is none, and nobody to send it to."""
    answering = asyncio.ensure_future(outcome)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        leaving.cancel()
        answering.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse_foreign_name(origins: Origins, scope: Scope, send: Send) -> bool:
    """Refuse a request for a name that a page's owner may have pointed at this machine; whether that was done."""
    _, host, _ = _request_headers(scope["headers"])
    if origins.names(host):
        return False
    await _respond(send, 403, f"this node is not called {_shown(host)}\n".encode())
    return True


async def _respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (_TEXT,)) -> None:
    length = [(b"content-length", b"%d" % len(body))] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


async def _refuse_socket(send: Send, status: int, text: str) -> None:
    await send({"type": "websocket.http.response.start", "status": status, "headers": [_TEXT]})
    await send({"type": "websocket.http.response.body", "body": text.encode()})


def _refusal(fault: RpcError) -> bytes:
    return encode({"jsonrpc": "2.0", "error": fault.to_json(), "id": None})


def _request_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, str, int]:
    """Origin, Host and Content-Length of a request."""
    origin, host, length = None, "", 0
    for name, value in headers:
        if name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"host":
            host = value.decode("latin-1").lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value[:20])
    return origin, host, length


def _preflight() -> Headers:
    return [
        (b"access-control-allow-methods", b"POST, OPTIONS"),
        (b"access-control-allow-headers", b"content-type"),
        # A page from the internet that wants to reach this machine is asked for it by some browsers.
        (b"access-control-allow-private-network", b"true"),
        (b"access-control-max-age", b"3600"),
    ]


def _shown(origin: str) -> str:
    return "".join(character for character in origin[:100] if character.isprintable())
