"""What one client may ask for, and which clients and web pages may ask at all."""

import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

MEBIBYTE: Final = 1024 * 1024

# A page on this machine, or polkadot.js apps: what Substrate's node allows by itself.
DEFAULT_ORIGINS: Final = (
    "http://localhost:*",
    "http://127.0.0.1:*",
    "https://localhost:*",
    "https://127.0.0.1:*",
    "https://polkadot.js.org",
)


class UnsafeMethods(StrEnum):
    """Who may call methods that are costly or act for the node's operator."""

    AUTO = "auto"
    SAFE = "safe"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """Bounds on the RPC server's clients. Sizes in bytes, times in seconds, rates in calls a second.

    `rate_limit` is None for none and never holds for loopback clients. `allowed_origins` are those of web
    pages: "all", or a scheme, host and port, where the port may be `*`.
    """

    max_connections: int = 1_000
    max_request_size: int = 15 * MEBIBYTE
    max_batch: int = 1_000
    max_parts: int = 100_000
    max_subscriptions: int = 1_024
    max_concurrent_calls: int = 32
    max_response_size: int = 15 * MEBIBYTE
    max_queued_messages: int = 4_096
    max_queued_bytes: int = 4 * MEBIBYTE
    max_watched_keys: int = 10_000
    max_waiting_slow_calls: int = 256
    max_slow_calls_each: int = 32
    max_header_size: int = 16 * 1024
    request_timeout: float = 30.0
    stalled_timeout: float = 20.0
    rate_limit: float | None = None
    methods: UnsafeMethods = UnsafeMethods.AUTO
    allowed_origins: tuple[str, ...] = DEFAULT_ORIGINS

    def __post_init__(self) -> None:
        """Refuse bounds that would let nothing through."""
        for name in ("max_connections", "max_request_size", "max_batch", "max_subscriptions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.rate_limit is not None and not self.rate_limit > 0:
            raise ValueError("rate_limit must be above 0")

    @property
    def max_connections_each(self) -> int:
        """How many of the connections one address may have: a quarter, so that no three can have them all."""
        return max(self.max_connections // 4, 1)

    def unsafe_allowed(self, *, only_loopback: bool) -> bool:
        """Whether unsafe methods can be called, given whether only this machine reaches the server."""
        return self.methods is UnsafeMethods.UNSAFE or (self.methods is UnsafeMethods.AUTO and only_loopback)


def is_loopback(host: str) -> bool:
    """Whether an IP address, IPv4 in IPv6 included, is this machine's own."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Origins:
    """Decides which web pages may call, by the Origin header, which a page cannot change."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        """Compile the list; "all" or "*" in it allows every page."""
        self.all = any(entry in ("all", "*") for entry in allowed)
        # An origin is followed by nothing, so only a port can stand for the star.
        alternatives = "|".join(re.escape(entry.rstrip("/")).replace(r":\*", r"(:\d{1,5})?") for entry in allowed)
        self._pattern = re.compile(f"(?:{alternatives})", re.IGNORECASE) if alternatives else None

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may call a server that it addressed as `host` (the Host header)."""
        if self.all or (self._pattern is not None and self._pattern.fullmatch(origin) is not None):
            return True
        # The server's own page. Only when addressed by number: a name's owner can make it point here.
        return origin.lower() in (f"http://{host}", f"https://{host}") and _is_address(host)

    def names(self, host: str) -> bool:
        """Whether this may be the name of a server that only this machine reaches: no other page's (DNS rebinding)."""
        bare = host.lower()
        local = not bare or bare.partition(":")[0] == "localhost" or _is_address(bare)
        return local or any(self.allows(f"{scheme}://{bare}", "") for scheme in ("http", "https"))


def _is_address(host: str) -> bool:
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True


class RateLimiter:
    """A token bucket a client: one second's calls may come at once, then `rate` a second.

    At most `capacity` clients are remembered. The one longest silent is forgotten first; it starts with a
    full bucket when it comes again.
    """

    def __init__(self, rate: float, *, capacity: int = 16_384, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate` calls a second for each client."""
        self.rate = rate
        self._burst = max(rate, 1.0)
        self._capacity = capacity
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, calls: float = 1.0) -> bool:
        """Whether `client` may do now what counts as so many calls; it may owe what it does not have at once."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self.rate)
        granted = tokens >= 1.0
        self._buckets[client] = (tokens - calls if granted else tokens, now)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return granted

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._buckets)


@lru_cache(maxsize=1_024)
def client_key(host: str) -> str | None:
    """What a client at this address is counted as; None for one on this machine, which is not limited.

    IPv6 clients count by their /64, which one subscriber has whole.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
