"""The page of figures that Prometheus reads, on a port of its own so that who reaches one need not reach the other."""

from collections.abc import Callable
from typing import Final

from fastapi.responses import Response

from rpc.pages import PagesApplication

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""


class MetricsApplication(PagesApplication):
    """`/metrics` and nothing else."""

    def __init__(self, read: Callable[[], bytes], *, only_loopback: bool) -> None:
        """Take what gives the page, called in the server's thread."""
        super().__init__(only_loopback=only_loopback)

        @self.pages.get("/metrics")
        async def metrics() -> Response:
            return Response(read(), media_type=MEDIA_TYPE)
