"""Multiaddrs as far as this network uses them: an IP address or a name, a TCP port, and perhaps a peer id."""

import ipaddress
from dataclasses import dataclass
from typing import Final

import base58
from nacl.signing import SigningKey

from p2p.network import PeerId

_ED25519_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of a protobuf that says: ed25519 key, 32 bytes."""
_HOST_KINDS: Final = ("ip4", "ip6", "dns", "dns4", "dns6")
_MAX_TEXT: Final = 400


class AddressError(ValueError):
    """A text is no address of this network; the message says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node listens."""

    kind: str
    host: str
    port: int
    peer_id: PeerId | None = None

    def __str__(self) -> str:
        peer = "" if self.peer_id is None else f"/p2p/{self.peer_id}"
        return f"/{self.kind}/{self.host}/tcp/{self.port}{peer}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can dial it."""
        return is_loopback(self.host)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for all interfaces."""
        return self.kind in ("ip4", "ip6") and ipaddress.ip_address(self.host).is_unspecified

    def without_peer(self) -> "Address":
        """The transport part alone."""
        return Address(self.kind, self.host, self.port)


def parse_address(text: str) -> Address:
    """Reads /ip4/1.2.3.4/tcp/30333, with or without /p2p/12D3KooW...

    Raises: AddressError.
    """
    parts = text.split("/") if len(text) <= _MAX_TEXT else []
    if len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp" or (len(parts) == 7 and parts[5] != "p2p"):
        raise AddressError(f"{text[:80]!r} is no address such as /ip4/1.2.3.4/tcp/30333 or .../p2p/12D3KooW...")
    _, kind, host, _, port = parts[:5]
    if kind not in _HOST_KINDS:
        raise AddressError(f"{text!r}: {kind!r} is none of {', '.join(_HOST_KINDS)}")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise AddressError(f"{text!r}: {port!r} is no port")
    peer_id = check_peer_id(parts[6]) if len(parts) == 7 else None
    return Address(kind, _host(text, kind, host), int(port), peer_id)


def _host(text: str, kind: str, host: str) -> str:
    if kind.startswith("dns"):
        if not host or len(host) > 253 or not all(char.isalnum() or char in "-._" for char in host):
            raise AddressError(f"{text!r}: {host!r} is no host name")
        return host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise AddressError(f"{text!r}: {host!r} is no IP address") from None
    if address.version != int(kind[2]):
        raise AddressError(f"{text!r}: {host!r} is no {kind} address")
    return str(address)


def tcp_address(host: str, port: int) -> Address:
    """The address of a socket's end; an IPv4 address that came over an IPv6 socket is written as IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return Address(f"ip{address.version}", str(address), port)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def network_of(host: str) -> str:
    """What connections from an IP address are counted by: itself, or the /64 of IPv6 that one subscriber has whole."""
    address = ipaddress.ip_address(host)
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def check_peer_id(text: str) -> PeerId:
    """The text as a peer id, if it is one of an ed25519 key.

    Raises: AddressError.
    """
    try:
        raw = base58.b58decode(text) if len(text) <= 64 else b""
    except ValueError:
        raw = b""
    if len(raw) != len(_ED25519_PREFIX) + 32 or not raw.startswith(_ED25519_PREFIX):
        raise AddressError(f"{text[:80]!r} is no peer id such as 12D3KooW...")
    return PeerId(text)


def peer_id_of(public_key: bytes) -> PeerId:
    """The peer id of an ed25519 public key."""
    return PeerId(base58.b58encode(_ED25519_PREFIX + public_key).decode("ascii"))


def peer_id_from_seed(seed: bytes) -> PeerId:
    """The peer id of a node with that node key."""
    return peer_id_of(bytes(SigningKey(seed).verify_key))
