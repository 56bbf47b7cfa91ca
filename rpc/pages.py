"""What servers without JSON-RPC have in common, and the pages by which others see whether a node can be used."""

from collections.abc import Callable
from typing import Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from rpc.endpoint import Receive, Scope, Send, refuse_foreign_name
from rpc.limits import Origins, RpcLimits

_LIMITS: Final = RpcLimits(max_connections=32)
_ORIGINS: Final = Origins(())


class PagesApplication:
    """An ASGI application of a few pages."""

    def __init__(self, *, only_loopback: bool) -> None:
        """Begin without a page; `only_loopback` says whether only this machine will reach it."""
        self.limits = _LIMITS
        self.only_loopback = only_loopback
        self.pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or lifespan; WebSockets are refused."""
        if scope["type"] == "http" and self.only_loopback and await refuse_foreign_name(_ORIGINS, scope, send):
            return
        await self.pages(scope, receive, send)


def add_readiness(pages: FastAPI, unready_reason: Callable[[], str | None]) -> None:
    """Add `/health`, which answers as long as the process lives, and `/ready`, which may say why it is not."""

    @pages.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @pages.get("/ready")
    async def ready() -> JSONResponse:
        reason = unready_reason()
        if reason is None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": False, "reason": reason}, status_code=503)
