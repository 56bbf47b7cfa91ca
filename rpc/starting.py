"""What a node answers while it fetches what it will serve: that it is alive, and why it is not ready."""

import orjson
from fastapi.responses import Response

from rpc.errors import not_ready
from rpc.pages import PagesApplication, add_readiness


class StartingApplication(PagesApplication):
    """`/health`, `/ready`, and a refusal for every call."""

    def __init__(self, reason: str, *, only_loopback: bool) -> None:
        """Take why the node is not ready."""
        super().__init__(only_loopback=only_loopback)
        add_readiness(self.pages, lambda: reason)
        refusal = orjson.dumps({"jsonrpc": "2.0", "error": not_ready(reason).to_json(), "id": None})

        @self.pages.post("/")
        async def call() -> Response:
            return Response(refusal, media_type="application/json", status_code=503)
