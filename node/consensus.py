"""Who may make a block, and how others know: what an author puts into a header, and what is checked before execution.

Chains with sealing `ring` go by slots, turns and seals (`node.ring`). On the others one node makes the blocks, for
itself and for those who follow it; nobody contests them, so they are final at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.ring import (
    check_author,
    check_seal,
    claim_digest,
    following_claim,
    read_claim,
    seal,
    slot_at,
    slot_start,
    wait_for_slot,
)
from node.spec_types import ChainSpec, Sealing
from pallets.producers.claim import AUTHOR_ENGINE
from pallets.timestamp.pallet import NOW
from runtime.crypto import KeyPair
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, Hash, blake2b_256


def _unsealed(header: Header) -> Header:
    return header


def _no_calls(_state: StateReader) -> Sequence[bytes]:
    return ()


@dataclass(frozen=True, slots=True)
class Template:
    """What an author puts into a block beside the transactions: digest items, the time, and the seal at the end.

    `calls` gives unsigned calls that the block may go without, by its state before any transaction.
    """

    digest: tuple[DigestItem, ...]
    milliseconds: int
    seal: Callable[[Header], Header] = _unsealed
    calls: Callable[[StateReader], Sequence[bytes]] = _no_calls


class Consensus(Protocol):
    """The rules of one chain about authors."""

    @property
    def is_final_at_once(self) -> bool:
        """Tell whether no other block can take the place of one that a node has."""
        ...

    def template(self, key_pair: KeyPair, milliseconds: int, nonce: int | None = None) -> Template:
        """Return what the holder of a key puts into a block made now; with work, if the slot is open."""
        ...

    def rehearsal(self, parent: StateReader) -> Template:
        """Return what a block on top of `parent` could begin with that is only tried."""
        ...

    def check_seal(self, header: Header) -> None:
        """Check what needs no state: that whoever a header names has made it.

        Raises:
            InvalidBlock: it breaks a rule.
        """
        ...

    def check(self, header: Header, parent: StateReader) -> None:
        """Check a header, seal included, against the state of its parent.

        Raises:
            InvalidBlock: its author may not have made it.
        """
        ...

    def wait(self, header: Header, milliseconds: int) -> int | None:
        """Return in how many milliseconds a block is due, 0 if it is; None if that is too far off to wait for."""
        ...

    def turn(self, header: Header) -> Hash:
        """Return a name of the turn in which a block was made; a turn makes one block."""
        ...


class SoleAuthor:
    """Sealing `instant` and `interval`: whoever makes the blocks names itself, and that is all."""

    is_final_at_once = True

    def template(self, key_pair: KeyPair, milliseconds: int, nonce: int | None = None) -> Template:
        """Return what the holder of a key puts into a block made now; there are no slots."""
        return _named(key_pair.public, milliseconds)

    def rehearsal(self, parent: StateReader) -> Template:
        """Return what a block on top of `parent` could begin with that is only tried."""
        return _named(AccountId(bytes(32)), NOW.get(parent))

    def check(self, header: Header, parent: StateReader) -> None:
        """Check that nobody claims a turn."""
        self.check_seal(header)

    def wait(self, header: Header, milliseconds: int) -> int | None:
        """Return 0: there are no slots."""
        return 0

    def turn(self, header: Header) -> Hash:
        """Return a name of the place that a block would have in the chain."""
        return blake2b_256(header.parent_hash)

    def check_seal(self, header: Header) -> None:
        """Check that there is none."""
        if any(item.kind is DigestKind.SEAL for item in header.digest):
            raise InvalidBlock(BlockFault.BAD_SEAL, "blocks of this chain have no seal")


def _named(author: AccountId, milliseconds: int) -> Template:
    return Template((DigestItem(DigestKind.PRE_RUNTIME, AUTHOR_ENGINE, author),), milliseconds)


class RoundRobin:
    """Sealing `ring`: each slot is somebody's turn, and voters decide what is final."""

    is_final_at_once = False

    def __init__(self, spec: ChainSpec, genesis: Hash) -> None:
        """Take the slot duration and the ring; seals hold for one chain only."""
        self._slot_duration = spec.slot_duration
        self._rules = spec.rules
        self._genesis = genesis

    def template(self, key_pair: KeyPair, milliseconds: int, nonce: int | None = None) -> Template:
        """Return what the holder of a key puts into a block made now; with work, if the slot is open."""
        claim = claim_digest(slot_at(milliseconds, self._slot_duration), key_pair.public, nonce)
        return Template(claim, milliseconds, lambda header: seal(header, self._genesis, key_pair))

    def rehearsal(self, parent: StateReader) -> Template:
        """Return what a block on top of `parent` could begin with that is only tried."""
        claim = following_claim(parent)
        digest = claim_digest(claim.slot, claim.author)
        return Template(digest, slot_start(claim.slot, self._slot_duration))

    def check_seal(self, header: Header) -> None:
        """Check that the author has sealed the header, on this chain."""
        check_seal(header, self._genesis)

    def check(self, header: Header, parent: StateReader) -> None:
        """Check seal, slot and turn."""
        claim = check_seal(header, self._genesis)
        check_author(claim, parent, header.parent_hash, self._genesis, self._rules)

    def wait(self, header: Header, milliseconds: int) -> int | None:
        """Return in how many milliseconds the slot of a block begins, 0 if it has."""
        return wait_for_slot(read_claim(header).slot, milliseconds, self._slot_duration)

    def turn(self, header: Header) -> Hash:
        """Return a name of the slot and the author that a block claims."""
        claim = read_claim(header)
        return blake2b_256(claim.slot.to_bytes(8, "little") + claim.author)


def consensus_of(spec: ChainSpec, genesis: Hash) -> Consensus:
    """Return the rules of a chain."""
    return RoundRobin(spec, genesis) if spec.sealing is Sealing.RING else SoleAuthor()
