"""What a node asks of a network and what a network asks of a node: bytes, peers, and nothing of the chain.

`p2p.host.Libp2pNetwork` is the real network. A simulation implements `Network` too, in virtual time, so everything that
a node may rely on stands here:

- Everything runs in one trio thread. No method may be called from another thread.
- A peer is *connected* from the moment `NetworkHandler.on_peer` has returned until `NetworkHandler.on_peer_gone`, which
  is called once for each `on_peer` that returned. In between, and only then, it is in `Network.peers()`, can be
  asked, and its requests and its gossip reach the node. It may come back later: then the two are called anew.
- Gossip is lossy, unordered, and may reach a node over several peers; it is handed to the node once (within a memory of
  two minutes), never back to the node that published it. Verdicts are awaited side by side, a bounded number a peer
  (then reading that peer's gossip waits, and nothing else does); one that takes too long is cancelled, and `IGNORE`.
  It may still be under way when `on_peer_gone` is called.
- Requests to a peer are answered in any order. An answer that does not come is `TimedOut`, never a hang.
- An exception that a handler raises reaches no other peer and never the network: it is logged, counted, and handled as
  a failure of that one message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NewType, Protocol

import trio

if TYPE_CHECKING:
    # libp2p brings old stubs of trio, which lack the name `trio.TaskStatus`.
    from trio_typing import TaskStatus

PeerId = NewType("PeerId", str)
"""The base58 text of a libp2p peer id, such as 12D3KooW...; proven by the transport, so it cannot be borrowed."""


class Topic(StrEnum):
    """A gossip topic; on the wire `/mfchain/<genesis hex>/<topic>/1`."""

    TRANSACTIONS = "transactions"
    BLOCKS = "blocks"
    VOTES = "votes"


class Verdict(Enum):
    """What the node thinks of a gossip message."""

    ACCEPT = "accept"
    """Good: pass it on to others."""
    IGNORE = "ignore"
    """Of no use (old, a duplicate, the node is busy): drop it, blame nobody."""
    REJECT = "reject"
    """False: drop it and score the peer that sent it to us down."""


class Misbehaviour(StrEnum):
    """Why a peer is scored down; `p2p.peers.PENALTIES` says by how much. Also a metric's label."""

    BAD_MESSAGE = "bad message"
    """Bytes that do not decode, or a gossip message that was rejected."""
    BAD_BLOCK = "bad block"
    """A block or proof that is false, beyond doubt."""
    BAD_RESPONSE = "bad response"
    """An answer that is not what was asked for."""
    PROTOCOL = "protocol violation"
    """A frame or request too large, or out of turn; a broken handshake."""
    FLOOD = "flood"
    """More messages or bytes than the budget allows."""
    SLOW = "slow"
    """No answer in time."""
    USELESS = "useless"
    """Connected, but of no use (it refuses, or lacks what it announced)."""


class NetworkError(Exception):
    """A request failed; the subclass says how."""


class PeerGone(NetworkError):
    """The peer is not connected, or the connection ended before the answer came."""


class TimedOut(NetworkError):
    """The deadline passed before the answer came. The peer has been scored for it."""


class Refused(NetworkError):
    """The peer answered that it will not or cannot answer; the message is its reason, at most 200 characters."""


class TooLarge(NetworkError):
    """The request, or the answer announced by the peer, exceeds the limit of its kind."""


class AddressInUse(OSError):
    """A listening address is taken; the message names it."""


class Refuse(Exception):
    """Raised by a handler to turn a peer or a request away; the peer is told the reason, and not blamed."""


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer."""

    peer_id: PeerId
    address: str
    """Multiaddr of the remote end of its connection, without `/p2p/`."""
    handshake: bytes
    """What it said when it connected."""
    outbound: bool
    """Whether this node dialled."""


@dataclass(frozen=True, slots=True)
class RequestKind:
    """One kind of request, with the limits both sides hold to. Both ends must be given the same table."""

    code: int
    """0 to 255; never reused for something else."""
    name: str
    """For logs and metrics."""
    max_request: int
    """Bytes of the request's payload."""
    max_response: int
    """Bytes of the answer's payload."""


class NetworkHandler(Protocol):
    """The node's side. The network calls; nothing here may block, and only the async methods may wait."""

    def handshake(self) -> bytes:
        """Our side of the handshake, at most `NetworkConfig.max_handshake` bytes; asked anew for each peer."""

    async def on_peer(self, peer: PeerInfo, their_handshake: bytes) -> None:
        """A peer has introduced itself. `Refuse` closes the connection without blame; a second or so to decide."""

    def on_peer_gone(self, peer: PeerId) -> None:
        """A peer that `on_peer` had taken is no longer there; requests under way to it fail with `PeerGone`."""

    async def on_gossip(self, topic: Topic, payload: bytes, from_peer: PeerId) -> Verdict:
        """A gossip message, from the peer that passed it on (not: made it). Others get it after `ACCEPT` only."""

    async def on_request(self, peer: PeerId, kind: int, payload: bytes) -> bytes:
        """The answer to a peer's request; `Refuse` becomes the peer's `Refused`. Cancelled if it takes too long."""


class Network(Protocol):
    """The network's side."""

    @property
    def local_peer_id(self) -> PeerId:
        """Our own id; known before `run`."""

    async def run(self, handler: NetworkHandler, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; calls `task_status.started()` once it listens.

        Raises: AddressInUse, before it has started, if a port is taken.
        """

    def listen_addresses(self) -> Sequence[str]:
        """Multiaddrs that others can dial, each with `/p2p/<our id>`; empty before `run` has started."""

    def peers(self) -> Sequence[PeerInfo]:
        """The connected peers, in order of their connecting."""

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Sends a gossip message to the network; returns at once.

        A full queue drops the message (gossip is lossy); before `run` has started and after it has ended it is dropped
        too. Our own `on_gossip` does not see it. The caller holds to the budget: at most 20 messages a second
        in all (`p2p.gossip.Batcher` helps), each at most `NetworkConfig.max_gossip` bytes.

        Raises: TooLarge.
        """

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        """The peer's answer, within `deadline` seconds from now.

        Raises: PeerGone, TimedOut, Refused, TooLarge (all of them NetworkError).
        """

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        """Scores a peer down. Far enough down it is disconnected, and then banned for a time. Returns at once."""

    def disconnect(self, peer: PeerId) -> None:
        """Ends the connection without blame; known addresses are dialled again later. Returns at once."""
