"""What the web server leaves open to a hostile client, closed.

uvicorn waits for ever for a request that does not end and for a client that does not read, takes headers of
any size and bounds connections only once they have sent a request. Tested against the version that is locked.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.server import ServerProtocol

from rpc.endpoint import ABORT, WHEN_LOST
from rpc.joining import joining
from rpc.limits import RpcLimits, client_key

# Connections above the limit that still are told so; beyond them new ones are cut off without a word.
SPARE_CONNECTIONS: Final = 64

# A WebSocket's client sends so many frames without a message (pings, pongs) a second at most, and so many frames of
# one message: without payload they cost it next to nothing.
MOST_CONTROL_FRAMES: Final = 100
MOST_FRAGMENTS: Final = 1_024
POLICY_VIOLATION: Final = 1008

# A connection parses so many bytes at once, and lets others have the loop after so many seconds of it.
_SLICE: Final = 16_384
_TURN: Final = 0.002

# Requests of an HTTP connection that wait for the answers to those before them.
MOST_PIPELINED: Final = 32

# Bytes received for each byte of a body when every chunk holds a single one, with some room.
_FRAMING: Final = 9


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration, with our limits for the protocols to find."""

    def __init__(self, app: Any, limits: RpcLimits, **options: Any) -> None:
        super().__init__(
            app,
            http=GuardedHttp,
            ws=GuardedWebSocket,
            loop="uvloop",
            limit_concurrency=limits.max_connections + 1,
            ws_max_size=limits.max_request_size,
            ws_per_message_deflate=False,
            timeout_keep_alive=int(limits.request_timeout),
            access_log=False,
            # Who wrote a forwarding header is not known, and a limit that believes it is none.
            proxy_headers=False,
            server_header=False,
            log_config=None,
            # A line of warning for each malformed request would be a gift to whoever sends them.
            log_level="error",
            **options,
        )
        self.limits = limits
        self.addresses: Counter[str] = Counter()

    def leave(self, address: str | None) -> None:
        """A connection that was counted has ended."""
        if address is not None:
            self.addresses[address] -= 1
            if self.addresses[address] <= 0:
                del self.addresses[address]


class GuardedHttp(HttpToolsProtocol):
    """HTTP with bounds on the time a request may take to arrive, on its headers and on connections."""

    def __init__(self, config: GuardedConfig, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self.limits = config.limits
        self._guarded = config
        self._counted: str | None = None
        self.waiting_since = self.loop.time()
        self.stalled_since: float | None = None
        self._requests = self._received = self._body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Cut off what is far over the limit, and refuse what is over one address's share."""
        super().connection_made(joining(transport, self.loop))
        if len(self.connections) > self.limits.max_connections + SPARE_CONNECTIONS:
            transport.abort()
            return
        address = _address(self.client)
        share = self.limits.max_connections_each
        if address is not None and self._guarded.addresses[address] >= share:
            self.transport.write(_refusal(f"too many connections of one address: at most {share}\n"))
            self.transport.close()
        elif address is not None:
            self._guarded.addresses[address] += 1
            self._counted = address

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another one."""
        super().connection_lost(exc)
        self._guarded.leave(self._counted)

    def data_received(self, data: bytes) -> None:
        """Refuse a request that goes on and on with what is no body: headers, trailers, framing."""
        request = self._requests
        super().data_received(data)
        if request == self._requests:
            self._received += len(data)
            if self._received > self.limits.max_header_size + _FRAMING * self._body:
                self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """A request begins; the portion of data that brings its beginning is not counted."""
        super().on_message_begin()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            # A connection that was idle owed nothing until now.
            self.waiting_since = self.loop.time()
        self._requests += 1
        self._received = self._body = 0

    def on_headers_complete(self) -> None:
        """Refuse more requests than may wait for others: each takes far more memory than its bytes on the way."""
        if len(self.pipeline) >= MOST_PIPELINED:
            # Ends the parsing of what has been received: uvicorn answers with 400 and closes.
            raise ValueError("too many requests at once")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """From here on, the next request is waited for."""
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read."""
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled_since = None
        super().resume_writing()

    def overdue(self, now: float) -> bool:
        """Whether this connection has taken too long to send a request or to read an answer."""
        if self.stalled_since is not None and now - self.stalled_since > self.limits.stalled_timeout:
            return True
        # uvicorn declares the cycle as if there were always one.
        cycle: RequestResponseCycle | None = self.cycle
        receiving = cycle is None or cycle.response_complete or cycle.more_body
        return receiving and now - self.waiting_since > self.limits.request_timeout


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be cut off, by the application, for not reading, or for frames that say nothing.

    Frames are parsed a little at a time, and none while messages wait for the application.
    """

    def __init__(self, config: GuardedConfig, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self.limits = config.limits
        self._guarded = config
        self.stalled_since: float | None = None
        self._unparsed = bytearray()
        self._is_parsing = False
        self._is_refused = False
        self._when_lost: list[Callable[[], None]] = []
        self._control_frames = 0
        self._control_second = 0
        self._unfinished_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection over from its handshake."""
        super().connection_made(joining(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        """Parse what is little at once, and what is much in slices; nothing more is read until they are all parsed."""
        if not self._unparsed and len(data) <= _SLICE:
            super().data_received(data)
            return
        self._unparsed += data
        self.transport.pause_reading()
        self._parse_soon()

    def _parse_soon(self) -> None:
        if not self._is_parsing:
            self._is_parsing = True
            self.loop.call_soon(self._parse)

    def _parse(self) -> None:
        """Parse for one turn, or until there is a message for the application to take first."""
        self._is_parsing = False
        ends = time.perf_counter() + _TURN
        while self._wants_more():
            data = bytes(self._unparsed[:_SLICE])
            del self._unparsed[:_SLICE]
            super().data_received(data)
            if time.perf_counter() > ends:
                break
        if self._wants_more():
            self._parse_soon()
        self._read_on()

    def _wants_more(self) -> bool:
        """Whether there is something to parse, and nobody has to take what was parsed before."""
        if self.transport.is_closing():
            self._unparsed.clear()
        return bool(self._unparsed) and (self.close_sent or self.queue.empty())

    def _read_on(self) -> None:
        """Read again, unless something of what was read still waits, or the client does not read."""
        waits = self._unparsed or self.read_paused or self.stalled_since is not None
        if not waits and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """The next message for the application: once it has taken all that are known, more is parsed and read."""
        message = await self.queue.get()
        if self.queue.empty():
            was_paused, self.read_paused = self.read_paused, False
            if self._unparsed:
                self._parse_soon()
            elif was_paused:
                self._read_on()
        return message

    def handle_cont(self, event: Any) -> None:
        """Refuse a message of too many frames: those without payload are not bounded by its size."""
        super().handle_cont(event)
        if len(self.frames) > MOST_FRAGMENTS:
            self._refuse("too many fragments")

    def handle_ping(self) -> None:
        """Answer a ping."""
        super().handle_ping()
        self._count_control()

    def handle_pong(self, event: Any) -> None:
        """Take a pong, whether or not one was asked for."""
        super().handle_pong(event)
        self._count_control()

    def send_receive_event_to_app(self) -> None:
        """A message is whole."""
        self._unfinished_since = None
        super().send_receive_event_to_app()

    def _count_control(self) -> None:
        second = int(self.loop.time())
        if second != self._control_second:
            self._control_second, self._control_frames = second, 0
        self._control_frames += 1
        if self._control_frames > MOST_CONTROL_FRAMES:
            self._refuse("too many pings")

    def _refuse(self, why: str) -> None:
        """Close, for frames that only cost time."""
        if self._is_refused:
            return
        self._is_refused = True
        self.frames.clear()
        if self.close_sent:
            self.transport.abort()
            return
        self.conn.fail(POLICY_VIOLATION, why)
        self.handle_parser_exception()

    def handle_connect(self, event: Any) -> None:
        """Give the application the means to cut off a client that does not read."""
        super().handle_connect(event)
        # A refused handshake has no scope. The application's task begins only after this.
        if hasattr(self, "scope"):
            self.scope["state"][ABORT] = self.transport.abort
            self.scope["state"][WHEN_LOST] = self._when_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, which may be waiting for something else than the next message."""
        super().connection_lost(exc)
        # Its handshake's connection was counted, and is this one.
        self._guarded.leave(_address(self.client))
        for tell in self._when_lost:
            tell()
        self._when_lost.clear()

    async def send(self, message: Any) -> None:
        """Count a refused handshake as done with: uvicorn would log an error for each, at anybody's will."""
        await super().send(message)
        if self.close_sent and self._unparsed:
            # The client's own closing frame is somewhere behind.
            self._parse_soon()
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def pause_writing(self) -> None:
        """Take nothing from a client that takes nothing: its pings alone could fill the memory with pongs."""
        self.stalled_since = self.loop.time()
        self.transport.pause_reading()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.stalled_since = None
        self._read_on()
        super().resume_writing()

    def overdue(self, now: float) -> bool:
        """Whether the client has not read, or not finished a message, for too long; called once a second."""
        if self.stalled_since is not None and now - self.stalled_since > self.limits.stalled_timeout:
            return True
        # While we do not read, the rest is not the client's to send.
        if self.read_paused or self._unparsed or not (self.frames or _in_a_frame(self.conn)):
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = now
        since = self._unfinished_since
        return since is not None and now - since > self.limits.request_timeout


def _address(client: tuple[str, int] | None) -> str | None:
    """What connections are counted by; None on this machine, where a proxy may speak for everybody."""
    return None if client is None else client_key(client[0])


def _refusal(text: str) -> bytes:
    head = ("HTTP/1.1 503 Service Unavailable", "content-type: text/plain; charset=utf-8", "connection: close")
    return "\r\n".join((*head, f"content-length: {len(text)}", "", text)).encode()


def _in_a_frame(connection: ServerProtocol) -> bool:
    """Whether a part of a frame has come and the rest has not: the parser then waits for more than a next frame."""
    innermost: Any = connection.parser
    while innermost.gi_yieldfrom is not None:
        innermost = innermost.gi_yieldfrom
    return bool(innermost.__name__ == "read_exact")


class GuardedServer(uvicorn.Server):
    """A server that says when it is up, and once a second cuts off the connections that are overdue."""

    def __init__(self, config: GuardedConfig, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, GuardedHttp | GuardedWebSocket) and connection.overdue(now):
                    connection.transport.abort()
        return await super().on_tick(counter)
