"""The page of figures that Prometheus reads, on a port of its own so that who reaches one need not reach the other."""

from collections.abc import Callable
from typing import Final

from fastapi import FastAPI
from fastapi.responses import Response

from rpc.endpoint import Receive, Scope, Send, refuse_foreign_name
from rpc.limits import Origins, RpcLimits

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

_LIMITS: Final = RpcLimits(max_connections=32)
_ORIGINS: Final = Origins(())


class MetricsApplication:
    """The ASGI application: `/metrics` and nothing else."""

    def __init__(self, read: Callable[[], bytes], *, only_loopback: bool) -> None:
        """Take what gives the page, called in the server's thread."""
        self.limits = _LIMITS
        self.only_loopback = only_loopback
        self._pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @self._pages.get("/metrics")
        async def metrics() -> Response:
            return Response(read(), media_type=MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or lifespan."""
        if scope["type"] == "http" and self.only_loopback and await refuse_foreign_name(_ORIGINS, scope, send):
            return
        await self._pages(scope, receive, send)
