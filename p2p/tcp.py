"""TCP sockets: bound before anything starts, admitted one by one, never read from without a bound.

libp2p's own listener shares a port that is taken (SO_REUSEPORT), lives in a system task, and hands out connections
before anybody has counted them; this one does not.
"""

import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import ifaddr
import trio
from libp2p.io.trio import TrioTCPStream

from p2p.addresses import Address, is_loopback, tcp_address
from p2p.admission import Admission
from p2p.network import AddressInUse

READ_SIZE: Final = 64 * 1024
_BACKLOG: Final = 128


class TcpStream(TrioTCPStream):
    """A connection's bytes, with its remote address, and an event for its end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        host, port = stream.socket.getpeername()[:2]
        self.remote: Final = tcp_address(host, port)
        self.ended: Final = trio.Event()
        self._received = b""
        self._taken = 0

    async def read(self, n: int | None = None) -> bytes:
        """At most 64 KiB: a length that a stranger announced must not become an allocation.

        A frame is read in small pieces, each of which would cost a call to the system and a turn of the scheduler: what
        has come is received at once and handed out from here.
        """
        if self._taken == len(self._received):
            self._received, self._taken = await super().read(READ_SIZE), 0
        start = self._taken
        self._taken = len(self._received) if n is None else min(start + n, len(self._received))
        return self._received[start : self._taken]

    async def close(self) -> None:
        """Closes at once; whoever reads or writes is woken."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Closes without a checkpoint; what has come and was not read is gone."""
        self.stream.socket.close()
        self._received, self._taken = b"", 0
        self.ended.set()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Remote host and port, of IPv6 connections too, and after the end."""
        return (self.remote.host, self.remote.port)


def bind(addresses: Sequence[Address]) -> list[socket.socket]:
    """Binds and listens, on all addresses or on none.

    Raises: AddressInUse.
    """
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            sockets.append(_bind_one(address))
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _bind_one(address: Address) -> socket.socket:
    family = socket.AF_INET6 if address.kind == "ip6" else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address.host, address.port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(error.errno, f"{address} is in use") from error
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error
    return bound


def has_ipv6() -> bool:
    """Whether this machine can listen on IPv6."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def expand(address: Address) -> list[Address]:
    """The addresses that others can dial: a wildcard becomes those of the interfaces, this machine's own last."""
    if not address.is_wildcard:
        return [address]
    version = int(address.kind[2])
    hosts = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    known = {
        host
        for host in hosts
        if ipaddress.ip_address(host).version == version and not ipaddress.ip_address(host).is_link_local
    }
    ordered = sorted(known, key=lambda host: (is_loopback(host), host))
    return [Address(address.kind, host, address.port) for host in ordered]


async def accept_forever(
    bound: socket.socket, admission: Admission, serve: Callable[[TcpStream], Awaitable[None]]
) -> None:
    """Accepts connections; `serve` gets each one admitted and returns when it has ended."""

    async def serve_one(raw: trio.SocketStream) -> None:
        try:
            stream = connected(raw)
        except OSError:
            return
        if not admission.enter(stream):
            stream.abort()
            return
        try:
            await serve(stream)
        finally:
            admission.leave(stream)
            stream.abort()

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
    try:
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    raw = await listener.accept()
                except OSError:  # out of file descriptors, or a client that hung up: go on
                    await trio.sleep(0.1)
                    continue
                nursery.start_soon(serve_one, raw)
    finally:
        listener.socket.close()


async def dial(address: Address) -> TcpStream:
    """A new connection.

    Raises: OSError.
    """
    return connected(await trio.open_tcp_stream(address.host, address.port))


def connected(raw: trio.SocketStream) -> TcpStream:
    """A connection of ours; the socket is closed if the other side has gone before we looked.

    Raises: OSError.
    """
    try:
        return TcpStream(raw)
    except OSError:
        raw.socket.close()
        raise
