"""Everything about the network that can be set, with the defaults of a node."""

from dataclasses import dataclass, field
from typing import Final

from p2p.network import RequestKind

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Rate:
    """A budget of messages and bytes that one peer may use; `burst` seconds' worth may come at once."""

    messages: float
    """A second."""
    size: float
    """Bytes a second."""
    burst: float = 5.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines and intervals, in seconds."""

    dial: float = 10.0
    """From the first packet to a connection with its streams multiplexed."""
    upgrade: float = 5.0
    """The same for those who dial us."""
    handshake: float = 10.0
    """From there to the end of the handshake of ours."""
    write: float = 10.0
    """One frame to one peer; a peer that takes longer is cut off."""
    handler: float = 10.0
    """The node's answer to one request."""
    verdict: float = 5.0
    """The node's verdict on one gossip message."""
    keepalive: float = 5.0
    """A ping each so often; a peer not heard of for three of them is gone."""
    dial_backoff: float = 1.0
    """After the first failed dial; doubles from dial to dial."""
    dial_backoff_limit: float = 16.0
    """Not longer, so that halves of a network that could not reach each other are one again soon after they can."""
    exchange: float = 60.0
    """Peers tell one another of others each so often."""
    save: float = 30.0
    """Scores, bans and addresses are saved each so often, and when a peer is banned."""
    ban: float = 3600.0
    """The first ban; each further one is twice as long, up to a day."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """How a node takes part in the network."""

    genesis: bytes
    """The genesis hash; peers of another chain find no protocol in common."""
    node_key: bytes = field(repr=False)
    """Seed of 32 bytes of the ed25519 key that is the node's identity."""
    port: int = 30333
    """0: any free one."""
    listen_addresses: tuple[str, ...] = ()
    """Multiaddrs such as /ip4/10.0.0.1/tcp/30333; none: all interfaces, at `port`."""
    bootnodes: tuple[str, ...] = ()
    """Multiaddrs with /p2p/<peer id>; dialled first, and never forgotten."""
    mdns: bool = True
    """Look for nodes of the same chain in the local network, and be found."""
    in_peers: int = 25
    out_peers: int = 8
    max_connections_per_ip: int = 8
    """Inbound, from one IPv4 address or /64 of IPv6; addresses of this machine are exempt."""
    max_pending: int = 64
    """Inbound connections whose encryption is not set up yet."""
    max_streams: int = 16
    """Inbound streams a peer."""
    kinds: tuple[RequestKind, ...] = ()
    """The requests that peers may make."""
    max_requests: int = 16
    """Requests of one peer being answered at the same time; more are refused."""
    max_verdicts: int = 32
    """Gossip messages of one peer whose verdict is awaited at the same time; with so many its gossip is not read."""
    max_handshake: int = 4 * KIB
    max_gossip: int = 256 * KIB
    gossip_rate: Rate = Rate(500, 10 * MIB)
    request_rate: Rate = Rate(200, 4 * MIB)
    answer_rate: Rate = Rate(200, 8 * MIB)
    """What the node's answers to one peer may come to, and again what is sent it of gossip that it asks for.

    Further answers wait; further gossip is not sent.
    """
    frame_rate: Rate = Rate(10_000, 256 * MIB)
    """Frames of the stream multiplexer, what our own requests are answered with included."""
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        if len(self.node_key) != 32:
            raise ValueError(f"a node key has 32 bytes, not {len(self.node_key)}")
        if len({kind.code for kind in self.kinds}) != len(self.kinds):
            raise ValueError("two request kinds have the same code")
        if not all(0 <= kind.code <= 255 for kind in self.kinds):
            raise ValueError("a request kind's code is 0 to 255")
