"""What a node answers while it fetches what it will serve: that it is alive, and why it is not ready."""

from typing import Final

import orjson
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from rpc.endpoint import Receive, Scope, Send
from rpc.errors import not_ready
from rpc.limits import RpcLimits

_LIMITS: Final = RpcLimits(max_connections=32)


class StartingApplication:
    """The ASGI application: `/health`, `/ready`, and a refusal for every call."""

    def __init__(self, reason: str, *, only_loopback: bool) -> None:
        """Take why the node is not ready."""
        self.limits = _LIMITS
        self.only_loopback = only_loopback
        self._pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        refusal = orjson.dumps({"jsonrpc": "2.0", "error": not_ready(reason).to_json(), "id": None})

        @self._pages.get("/health")
        async def health() -> dict[str, str]:
            return {"status": "alive"}

        @self._pages.get("/ready")
        async def ready() -> JSONResponse:
            return JSONResponse({"ready": False, "reason": reason}, status_code=503)

        @self._pages.post("/")
        async def call() -> Response:
            return Response(refusal, media_type="application/json", status_code=503)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or lifespan; WebSockets are refused."""
        await self._pages(scope, receive, send)
