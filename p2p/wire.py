"""Frames of the request stream: a length of four bytes, then msgpack, both bounded before anything is allocated.

A frame is an array whose first element says what it is. `id` numbers the requests of one side.

    HELLO    [0, version, listen port, payload]    first, from both sides
    REQUEST  [1, id, kind, payload]
    ANSWER   [2, id, payload]
    REFUSAL  [3, id, reason]
    PING     [4, number]
    PONG     [5, number]
    PEERS    [6, [[peer id, address], ...]]
    BYE      [7, reason]                           the last frame, if time allows
"""

from dataclasses import dataclass
from typing import Final

import msgpack

LENGTH_BYTES: Final = 4
OVERHEAD: Final = 64
"""What a frame may have beside its payload."""
MAX_REASON: Final = 200
MAX_CONTROL: Final = 4096
"""Bytes of a frame without a payload."""
MAX_PEERS: Final = 16
_MAX_ADDRESS: Final = 128
_MAX_NUMBER: Final = 2**63


class FrameError(ValueError):
    """A frame that no honest peer sends."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens the stream in both directions."""

    version: int
    listen_port: int
    """Where the sender can be dialled at the address it came from; 0: nowhere."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A question; `kind` is one of the node's."""

    id: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request is not answered, and why."""

    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks whether the other side is alive."""

    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    """It is."""

    number: int


@dataclass(frozen=True, slots=True)
class Peers:
    """Other peers that may be worth a dial: (peer id, address)."""

    known: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """Why the sender closes the connection."""

    reason: str


Frame = Hello | Request | Answer | Refusal | Ping | Pong | Peers | Bye


def encode(frame: Frame) -> bytes:
    """The frame with its length in front."""
    match frame:
        case Hello(version, port, payload):
            fields: list[object] = [0, version, port, payload]
        case Request(number, kind, payload):
            fields = [1, number, kind, payload]
        case Answer(number, payload):
            fields = [2, number, payload]
        case Refusal(number, reason):
            fields = [3, number, reason[:MAX_REASON]]
        case Ping(number):
            fields = [4, number]
        case Pong(number):
            fields = [5, number]
        case Peers(known):
            fields = [6, [list(pair) for pair in known]]
        case Bye(reason):
            fields = [7, reason[:MAX_REASON]]
    body = msgpack.packb(fields)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode(body: bytes) -> Frame:
    """The frame in these bytes.

    Raises: FrameError, whatever the bytes are.
    """
    try:
        fields = msgpack.unpackb(
            body,
            max_bin_len=len(body),
            max_str_len=4 * MAX_REASON,
            max_array_len=MAX_PEERS,
            max_map_len=0,
            max_ext_len=0,
        )
    except Exception as error:  # whatever msgpack raises, the bytes came from outside
        raise FrameError(f"no msgpack: {type(error).__name__}") from error
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise FrameError("not an array that starts with a number")
    match fields:
        case [0, int(version), int(port), bytes(payload)] if _small(version) and 0 <= port < 65536:
            return Hello(version, port, payload)
        case [1, int(number), int(kind), bytes(payload)] if _small(number) and 0 <= kind <= 255:
            return Request(number, kind, payload)
        case [2, int(number), bytes(payload)] if _small(number):
            return Answer(number, payload)
        case [3, int(number), str(reason)] if _small(number):
            return Refusal(number, reason[:MAX_REASON])
        case [4, int(number)] if _small(number):
            return Ping(number)
        case [5, int(number)] if _small(number):
            return Pong(number)
        case [6, list(known)]:
            return Peers(tuple(_pair(item) for item in known))
        case [7, str(reason)]:
            return Bye(reason[:MAX_REASON])
    raise FrameError(f"no frame of type {fields[0]} has such fields")


def _small(number: int) -> bool:
    return 0 <= number < _MAX_NUMBER


def _pair(item: object) -> tuple[str, str]:
    match item:
        case [str(peer), str(address)] if len(peer) <= _MAX_ADDRESS and len(address) <= _MAX_ADDRESS:
            return (peer, address)
    raise FrameError("not a pair of a peer and its address")
