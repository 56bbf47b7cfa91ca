"""The web page: files of `rpc/ui`, served with headers that let it load and call nothing but this node.

Only the files found when the module is asked first are served, by their exact names: a path from a request
never reaches the file system.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Request, Response

INDEX: Final = "index.html"

# WebAssembly compiles the key derivation; there are no inline scripts or styles and no other hosts.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # A browser asks whether its copy is still right, so that page and node never differ.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it is and compressed."""

    media_type: str
    body: bytes
    compressed: bytes
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """The page's files by their path below `rpc/ui`."""
    root = files("rpc") / "ui"
    return MappingProxyType({name: _asset(file, suffix) for name, file, suffix in _servable(root, "")})


def _servable(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable, str]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _servable(entry, f"{prefix}{entry.name}/")
            continue
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _MEDIA_TYPES:
            yield prefix + entry.name, entry, suffix


def _asset(file: Traversable, suffix: str) -> Asset:
    body = file.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Asset(_MEDIA_TYPES[suffix], body, gzip.compress(body, mtime=0), etag)


def add_page(pages: FastAPI) -> None:
    """Serve the page at `/` and its files below `/ui/`."""

    @pages.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return _respond(request, (await _loaded())[INDEX])

    @pages.api_route("/ui/{name:path}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        asset = (await _loaded()).get(name)
        if asset is None:
            return Response("the page has no such file\n", 404, media_type="text/plain")
        return _respond(request, asset)


async def _loaded() -> Mapping[str, Asset]:
    """The files; the first time they are read and compressed, which other calls need not wait for."""
    return await asyncio.to_thread(assets)


def _respond(request: Request, asset: Asset) -> Response:
    headers = {**_HEADERS, "etag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    body = asset.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = asset.compressed
    return Response(body, headers={**headers, "content-type": asset.media_type})
