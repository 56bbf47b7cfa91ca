"""What this node remembers of peers: scores, bans and addresses; kept over restarts.

libp2p's own scores do not remove a bad peer, and forget it when it reconnects, so these are ours. A score starts at 0,
falls with each misbehaviour, and halves its distance to 0 each ten minutes.
"""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from p2p.config import Timing
from p2p.network import Misbehaviour, PeerId

PENALTIES: Final[Mapping[Misbehaviour, float]] = {
    Misbehaviour.BAD_MESSAGE: 20,
    Misbehaviour.BAD_BLOCK: 50,
    Misbehaviour.BAD_RESPONSE: 25,
    Misbehaviour.PROTOCOL: 34,
    Misbehaviour.FLOOD: 25,
    Misbehaviour.SLOW: 5,
    Misbehaviour.USELESS: 2,
}
_NO_BAN: Final = (Misbehaviour.SLOW, Misbehaviour.USELESS)
"""An overloaded peer is no enemy: this alone leads to a disconnect, never to a ban."""
DISCONNECT_BELOW: Final = -50.0
BAN_BELOW: Final = -90.0
_HALF_LIFE: Final = 600.0
_LONGEST_BAN: Final = 86_400.0
MAX_PEERS: Final = 1_000
MAX_ADDRESSES: Final = 4
_LASTING: Final = 30.0
"""Seconds after which a connection counts as a good one."""
_FORGOTTEN_AFTER: Final = 8
"""Failed dials of an address that never worked."""


class Consequence(Enum):
    """What a penalty leads to."""

    NONE = "none"
    DISCONNECT = "disconnect"
    BAN = "ban"


class RecordStore(Protocol):
    """Where the records of peers are kept: one plain dict of JSON values."""

    def load(self) -> dict[str, object]:
        """The last stored dict; empty if there is none."""

    def store(self, records: dict[str, object]) -> None:
        """Replaces it."""


class JsonRecords:
    """The records in a JSON file, replaced as a whole. A file that is damaged counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, object]:
        """Reads the file."""
        try:
            records = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return records if isinstance(records, dict) else {}

    def store(self, records: dict[str, object]) -> None:
        """Writes a new file, then puts it in the old one's place."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(records, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


@dataclass(slots=True)
class _Record:
    score: float = 0.0
    scored_at: float = 0.0
    banned_until: float = 0.0
    bans: int = 0
    addresses: list[str] = field(default_factory=list)
    seen_at: float = 0.0
    """When a handshake with it last succeeded at an address that was dialled."""
    failures: int = 0
    """Failed dials in a row."""
    dial_at: float = 0.0
    permanent: bool = False
    """A bootnode."""


class PeerBook:
    """Scores, bans and addresses, by peer id; at most `MAX_PEERS` of them."""

    def __init__(self, timing: Timing, clock: Callable[[], float], rng: random.Random | None = None) -> None:
        """`clock` is the time of day, since bans outlast a run."""
        self._timing = timing
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads dials in time, keeps no secret
        self._records: dict[PeerId, _Record] = {}
        self.dirty = False
        """Whether there is something to save."""

    # Scores and bans

    def score(self, peer: PeerId) -> float:
        """The score now, at most 0."""
        record = self._records.get(peer)
        return 0.0 if record is None else self._decayed(record)

    def is_banned(self, peer: PeerId) -> bool:
        """Whether the peer is to be turned away."""
        record = self._records.get(peer)
        return record is not None and record.banned_until > self._clock()

    def penalize(self, peer: PeerId, misbehaviour: Misbehaviour) -> Consequence:
        """Scores a peer down."""
        record = self._record(peer)
        before = self._decayed(record)
        after = before - PENALTIES[misbehaviour]
        if misbehaviour in _NO_BAN:
            after = max(after, min(before, DISCONNECT_BELOW))
        record.score, record.scored_at = after, self._clock()
        self.dirty = True
        if after <= BAN_BELOW:
            length = min(_LONGEST_BAN, self._timing.ban * 2.0**record.bans)
            record.bans += 1
            record.banned_until = self._clock() + length
            record.score = 0.0
            return Consequence.BAN
        return Consequence.DISCONNECT if after <= DISCONNECT_BELOW < before else Consequence.NONE

    def _decayed(self, record: _Record) -> float:
        passed = max(0.0, self._clock() - record.scored_at)
        return float(record.score * 0.5 ** (passed / _HALF_LIFE))

    # Addresses

    def learn(self, peer: PeerId, address: str, *, permanent: bool = False) -> None:
        """Remembers where a peer may be dialled."""
        if peer not in self._records and len(self._records) >= MAX_PEERS and not self._forget_one():
            return
        record = self._record(peer)
        record.permanent = record.permanent or permanent
        if address not in record.addresses:
            # What worked stays in front; of the rest the newest stay.
            keep = record.addresses[:1] if record.seen_at else []
            rest = [known for known in record.addresses if known not in keep]
            record.addresses = [*keep, address, *rest][:MAX_ADDRESSES]
            self.dirty = True

    def addresses(self, peer: PeerId) -> Sequence[str]:
        """Where the peer may be dialled, best first."""
        record = self._records.get(peer)
        return () if record is None else tuple(record.addresses)

    def candidates(self) -> list[PeerId]:
        """Peers whose time to be dialled has come: bootnodes, then those with the fewest failures, then by chance."""
        now = self._clock()
        # No dial is put off for longer than this, except by a clock that was set back.
        horizon = now + 2 * self._timing.dial_backoff_limit
        due = [
            (not record.permanent, record.failures, self._rng.random(), peer)
            for peer, record in self._records.items()
            if record.addresses and not now < record.dial_at < horizon and record.banned_until <= now
        ]
        return [peer for *_, peer in sorted(due)]

    def met(self, peer: PeerId, address: str) -> None:
        """Notes that a dial of this address led to a handshake."""
        record = self._record(peer)
        record.seen_at = self._clock()
        record.addresses = [address, *(known for known in record.addresses if known != address)][:MAX_ADDRESSES]
        self.dirty = True

    def parted(self, peer: PeerId, lasted: float) -> None:
        """Notes that a connection that was dialled has ended; one that lasted makes up for the failures before."""
        if lasted >= _LASTING:
            self._record(peer).failures = 0
        self.postpone(peer)

    def failed(self, peer: PeerId) -> None:
        """Notes a dial that led nowhere; an address that never worked is forgotten in the end."""
        self.postpone(peer)
        record = self._record(peer)
        if record.failures >= _FORGOTTEN_AFTER and not record.permanent and not record.seen_at:
            record.addresses = []
            self.dirty = True
            if not record.score and not record.bans:
                del self._records[peer]

    def postpone(self, peer: PeerId) -> None:
        """Puts the next dial off, twice as long each time."""
        record = self._record(peer)
        wait = min(self._timing.dial_backoff_limit, self._timing.dial_backoff * 2.0 ** min(record.failures, 16))
        record.failures += 1
        # Spread out, so that nodes that lost one another do not meet in step.
        record.dial_at = self._clock() + wait * self._rng.uniform(0.75, 1.25)

    def _record(self, peer: PeerId) -> _Record:
        record = self._records.get(peer)
        if record is None:
            if len(self._records) >= MAX_PEERS:
                self._forget_one()
            record = self._records[peer] = _Record()
        return record

    def _forget_one(self) -> bool:
        """Makes room: whoever was never met and has failed most goes first, the banned later, bootnodes never."""

        def worth(item: tuple[PeerId, _Record]) -> tuple[bool, bool, bool, float, float]:
            _, record = item
            banned = record.banned_until > self._clock()
            return (record.permanent, banned, record.seen_at > 0, -record.failures, -abs(record.score))

        peer, record = min(self._records.items(), key=worth)
        if record.permanent:
            return False
        del self._records[peer]
        return True

    # Persistence

    def dump(self) -> dict[str, object]:
        """All that is worth keeping, as JSON values."""
        peers = {
            str(peer): {
                "score": round(self._decayed(record), 3),
                "scoredAt": self._clock(),
                "bannedUntil": record.banned_until,
                "bans": record.bans,
                "addresses": list(record.addresses),
                "seenAt": record.seen_at,
            }
            for peer, record in self._records.items()
            if record.addresses or record.score or record.bans
        }
        return {"version": 1, "peers": peers}

    def restore(self, records: Mapping[str, object]) -> None:
        """Takes over what `dump` made; entries that make no sense are left out."""
        peers = records.get("peers")
        if records.get("version") != 1 or not isinstance(peers, dict):
            return
        for peer, stored in list(peers.items())[:MAX_PEERS]:
            if isinstance(peer, str) and isinstance(stored, dict):
                self._restore_one(PeerId(peer), stored)

    def _restore_one(self, peer: PeerId, stored: Mapping[str, object]) -> None:
        def number(name: str) -> float:
            value = stored.get(name)
            return float(value) if isinstance(value, int | float) and abs(value) < 1e12 else 0.0

        addresses = stored.get("addresses")
        record = self._record(peer)
        record.score = min(0.0, number("score"))
        record.scored_at = number("scoredAt")
        record.banned_until = number("bannedUntil")
        record.bans = max(0, min(32, int(number("bans"))))
        record.seen_at = number("seenAt")
        if isinstance(addresses, list):
            record.addresses = [address for address in addresses if isinstance(address, str)][:MAX_ADDRESSES]
