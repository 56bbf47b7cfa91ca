"""One voter: gives its votes when they are due, and hears of what others do with its key."""

import logging
from dataclasses import replace
from typing import Final

from node.chain import Chain
from node.consensus import Template
from node.protection import Protection, Refused, Situation
from node.ring import slot_at
from node.signing_records import DatabaseRecords
from node.voting import next_step, sign_vote
from pallets.finality.storage import JUSTIFIED
from pallets.finality.voters import current_voters
from pallets.finality.votes import Vote
from pallets.producers.claim import read_claim_digest
from pallets.producers.turns import epoch_of
from runtime.crypto import KeyPair
from runtime.header import Header
from runtime.primitives import AccountId, Slot, to_hex

log = logging.getLogger(__name__)

_REPEAT_SLOTS: Final = 5


class Voter:
    """Signs blocks and votes with one key, as its protection allows."""

    def __init__(self, chain: Chain, key_pair: KeyPair, milliseconds: int) -> None:
        """Load the record of what the key has signed; the time is that of the clock."""
        self._chain = chain
        self._key_pair = key_pair
        self._rules = chain.spec.rules
        slot = self._slot(milliseconds)
        records = DatabaseRecords(chain.database, key_pair.public)
        self._protection = Protection(records, slot, self._epoch(slot))
        self._said_in = slot
        self._why = ""

    @property
    def account(self) -> AccountId:
        """Return whose votes these are."""
        return self._key_pair.public

    def _slot(self, milliseconds: int) -> Slot:
        return slot_at(milliseconds, self._chain.spec.slot_duration)

    def _epoch(self, slot: Slot) -> int:
        return epoch_of(slot, self._rules.epoch_slots)

    def _situation(self, slot: Slot) -> Situation:
        state = self._chain.snapshot.state
        justified = JUSTIFIED.find(state)
        return Situation(
            epoch=self._epoch(slot),
            justified=0 if justified is None else justified.epoch,
            is_beginning=justified is None or justified.number == 0,
            is_alone=current_voters(state).voters == (self.account,),
        )

    # Blocks.

    def protect(self, template: Template, milliseconds: int) -> Template:
        """Return a template whose seal is noted on disk first.

        Sealing raises Refused if the key may not seal a block of this slot.
        """
        slot = self._slot(milliseconds)

        def seal(header: Header) -> Header:
            self._protection.seal(slot, self._situation(slot))
            return template.seal(header)

        return replace(template, seal=seal)

    def hear_header(self, header: Header, milliseconds: int) -> None:
        """Look at a sealed header: is it ours, and do we know of it?"""
        claim = read_claim_digest(header.digest)
        if claim.author == self.account and self._protection.hear_block(
            claim.slot, self._situation(self._slot(milliseconds))
        ):
            log.error(
                "somebody else makes blocks with this node's key, such as %s; it is silent", to_hex(header.hash())
            )

    # Votes.

    def listen_since(self, slot: Slot | None) -> None:
        """Note since which slot others have been heard without a break; None if they are not."""
        self._protection.listen_since(None if slot is None else self._epoch(slot))

    def hear_vote(self, vote: Vote, milliseconds: int) -> None:
        """Look at a signed vote: is it ours, and do we know of it?"""
        if vote.voter == self.account and self._protection.hear_vote(vote, self._situation(self._slot(milliseconds))):
            log.error(
                "a vote of this node's key for epoch %d is not from here, or forgotten; it is silent for now",
                vote.target.epoch,
            )

    def due(self, milliseconds: int) -> Vote | None:
        """Return a new vote, which is on disk by now; None if there is none to give."""
        slot = self._slot(milliseconds)
        snapshot = self._chain.snapshot
        step = next_step(snapshot.state, snapshot.best, self.account, slot, self._rules)
        if step is None or step.target.epoch <= self._protection.record.target:
            return None
        try:
            self._protection.vote(step.source.epoch, step.target.epoch, self._situation(slot))
        except Refused as error:
            self._tell(str(error))
            return None
        self._tell("")
        vote = sign_vote(step, self._key_pair, self._chain.genesis)
        self._protection.note_given(vote)
        self._said_in = slot
        return vote

    def may_repeat(self, milliseconds: int) -> bool:
        """Tell whether it is time to say again what the chain has not heard; then it is not for a while."""
        slot = self._slot(milliseconds)
        if slot < self._said_in + _REPEAT_SLOTS or self._protection.is_waiting(self._situation(slot)):
            return False
        self._said_in = slot
        return True

    def _tell(self, why: str) -> None:
        """Say once why there is no vote."""
        if why and why != self._why:
            log.info("no vote: %s", why)
        self._why = why
