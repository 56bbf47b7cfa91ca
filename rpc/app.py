"""The RPC server: JSON-RPC, the pages beside it, and the thread that serves them.

sockets = [bind("127.0.0.1", 9944)]
app = create_app(service, RpcLimits(), only_loopback=only_loopback(sockets))
server = serve(app, sockets, on_death=...)
...
server.stop()
"""

import ipaddress
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Final

import orjson
from fastapi import FastAPI
from fastapi.responses import Response

from rpc.dispatch import Dispatcher, Method, Server
from rpc.endpoint import Endpoint, Receive, Scope, Send, refuse_foreign_name
from rpc.guards import GuardedConfig, GuardedServer
from rpc.limits import Origins, RateLimiter, RpcLimits, is_loopback
from rpc.methods import all_methods
from rpc.openrpc import document
from rpc.page import add_page
from rpc.pages import PagesApplication, add_readiness
from rpc.service import NodeService
from rpc.slow import SlowCalls
from rpc.subscriptions import Hub

log = logging.getLogger(__name__)

_START_PATIENCE: Final = 10.0
_STOP_PATIENCE: Final = 5.0
_GRACE: Final = 2
_BACKLOG: Final = 1_024


class Application:
    """The ASGI application: JSON-RPC by a route of its own, all else by FastAPI."""

    def __init__(
        self, service: NodeService, limits: RpcLimits, methods: Iterable[Method], *, only_loopback: bool
    ) -> None:
        dispatcher = Dispatcher(methods)
        unsafe_allowed = limits.unsafe_allowed(only_loopback=only_loopback)
        self.limits = limits
        self.only_loopback = only_loopback
        self.server = Server(
            service,
            limits,
            unsafe_allowed,
            dispatcher.names(unsafe=unsafe_allowed),
            Hub(service),
            SlowCalls(limits.max_waiting_slow_calls, limits.max_slow_calls_each),
            SlowCalls(limits.max_waiting_slow_calls, limits.max_slow_calls_each, workers=1),
            None if limits.rate_limit is None else RateLimiter(limits.rate_limit),
        )
        self.pages = _pages(self.server, dispatcher.methods)
        self._endpoint = Endpoint(self.server, dispatcher)
        self._origins = Origins(limits.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        kind = scope["type"]
        if kind == "http" and scope["path"] == "/" and scope["method"] in ("POST", "OPTIONS"):
            await self._endpoint.http(scope, receive, send)
        elif kind == "websocket" and scope["path"] == "/":
            await self._endpoint.websocket(scope, receive, send)
        elif not (kind == "http" and self.only_loopback and await refuse_foreign_name(self._origins, scope, send)):
            await self.pages(scope, receive, send)


def create_app(
    service: NodeService, limits: RpcLimits, *, only_loopback: bool, extra_methods: Sequence[Method] = ()
) -> Application:
    """The application over a node; `only_loopback` says whether only this machine will reach it."""
    return Application(service, limits, (*all_methods(), *extra_methods), only_loopback=only_loopback)


def _pages(server: Server, methods: Iterable[Method]) -> FastAPI:
    """What is not JSON-RPC."""

    @cache
    def description() -> bytes:
        return orjson.dumps(document(methods, server.service.node_info().version))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.hub.start()
        try:
            yield
        finally:
            server.hub.stop()
            server.slow_calls.close()
            server.old_models.close()

    pages = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    add_page(pages)

    add_readiness(pages, server.service.unready_reason)

    @pages.get("/openrpc.json")
    async def openrpc() -> Response:
        return Response(description(), media_type="application/json")

    return pages


def bind(host: str, port: int) -> socket.socket:
    """A listening socket at an IP address.

    Raises: OSError if the port is taken, ValueError if `host` is no IP address.
    """
    version = ipaddress.ip_address(host).version
    listener = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        # At once: a port that is bound but not listened to can be bound a second time.
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def only_loopback(sockets: Iterable[socket.socket]) -> bool:
    """Whether all of these sockets can be reached from this machine only."""
    return all(is_loopback(str(listener.getsockname()[0])) for listener in sockets)


class RpcServer:
    """A thread that serves an application on sockets that are bound already."""

    def __init__(
        self,
        app: Application | PagesApplication,
        sockets: Sequence[socket.socket],
        on_death: Callable[[str], None] | None = None,
        name: str = "RPC",
    ) -> None:
        if app.only_loopback and not only_loopback(sockets):
            raise ValueError("an application for this machine only must not be served on an external address")
        self._sockets = list(sockets)
        self._on_death = on_death
        self._name = name
        self._begun = threading.Event()
        config = GuardedConfig(app, app.limits, lifespan="on", timeout_graceful_shutdown=_GRACE)
        self._server = GuardedServer(config, on_start=self._begun.set)
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name=name.lower(), daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread serves."""
        return self._thread.is_alive()

    def start(self, timeout: float = _START_PATIENCE) -> None:
        """Start the thread and wait until it accepts calls.

        Raises: RuntimeError if it died, TimeoutError if it did not start in time.
        """
        self._thread.start()
        if not self._begun.wait(timeout):
            raise TimeoutError(f"the {self._name} server did not start within {timeout:g} seconds")
        if self._failure is not None:
            raise RuntimeError(f"the {self._name} server did not start: {self._failure}")

    def ask_to_stop(self) -> None:
        """Begin to stop; `stop` waits until that is done."""
        self._stopping = True
        self._server.should_exit = True

    def stop(self, timeout: float = _STOP_PATIENCE) -> bool:
        """Close all connections and end the thread; whether it ended in time."""
        self.ask_to_stop()
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.error("the %s server did not stop within %g seconds", self._name, timeout)
            self._server.force_exit = True
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._server.run(sockets=self._sockets)
            self._failure = "the server ended by itself"
        except BaseException as error:
            # uvicorn leaves by SystemExit when the application does not start.
            log.exception("the %s server failed", self._name)
            self._failure = f"{type(error).__name__}: {error}"
        finally:
            died_early = not self._begun.is_set()
            self._begun.set()
            if not self._stopping and not died_early and self._on_death is not None:
                self._on_death(self._failure or "unknown")


def serve(
    app: Application | PagesApplication,
    sockets: Sequence[socket.socket],
    *,
    on_death: Callable[[str], None] | None = None,
    name: str = "RPC",
) -> RpcServer:
    """Serve in a thread of its own, ready when this returns.

    `on_death(why)` is called in that thread if it ends without `stop`.
    """
    server = RpcServer(app, sockets, on_death, name)
    server.start()
    return server
