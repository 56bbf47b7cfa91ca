"""What keeps a key from contradicting itself: a record of what it has signed, on disk before anything is sent.

Two blocks of one slot, two votes of one epoch, or a vote around another one can be shown to everybody, and cost the
place in the ring and the vote. An honest node could come to that by losing its memory: after a crash, from a backup, or
if the same key runs twice. Therefore

- the slot is on disk before a block is sealed, source and target are before a vote is sent; none goes back (D1, D2);
- a node listens for messages of its own key for two epochs before it votes, counted from when it is level with others
  and in touch with them: time in which nobody could be heard is no listening (D3);
- if its record is missing, or others know of votes that it does not, then its memory cannot be trusted. It makes no
  blocks and gives no votes until a checkpoint of a later epoch is justified: then votes that it may have forgotten lie
  behind that. As long as the same key goes on voting elsewhere, that time never comes.

No blocks either, because who makes blocks counts as present: voters who are waited for could not be left behind.
One process has the record, since it is in the database, which one process opens.
"""

from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, Protocol

from pallets.finality.votes import Vote
from runtime.primitives import Slot

LISTENING_EPOCHS: Final = 2


@dataclass(frozen=True, slots=True)
class SigningRecord:
    """The greatest slot sealed, and the epochs of the last vote.

    `wait_beyond`: nothing is signed before a checkpoint of a later epoch than this is justified; None: no need to wait.
    `is_new`: there was no record before this one, and nothing contradicts that the key had signed nothing.
    """

    slot: Slot
    source: int
    target: int
    wait_beyond: int | None = None
    is_new: bool = False


class RecordStore(Protocol):
    """Where the record of one key on one chain is."""

    def load(self) -> SigningRecord | None:
        """Return what was saved last."""
        ...

    def save(self, record: SigningRecord) -> None:
        """Save a record; it outlives a loss of power once this returns, and no block written before it is lost then."""
        ...


@dataclass(frozen=True, slots=True)
class Situation:
    """What a signer sees: the epoch of the clock, and of the highest justified checkpoint in the best block's state.

    `is_beginning`: nothing has been justified yet on the chain. `is_alone`: there is no other voter.
    """

    epoch: int
    justified: int
    is_beginning: bool
    is_alone: bool


class Refused(Exception):
    """Signing this would contradict what was signed, or might; the message says why."""


class Protection:
    """Decides what one key may sign, in any thread."""

    def __init__(self, store: RecordStore, slot: Slot, epoch: int) -> None:
        """Load the record; slot and epoch are those of the clock."""
        self._store = store
        self._lock = Lock()
        self._began = epoch
        self._began_slot = slot
        self._listens_since: int | None = None
        self._last_vote: Vote | None = None
        found = store.load()
        if found is None:
            # Whatever was signed before, its slot and its target were not ahead of the clock.
            found = SigningRecord(slot, source=0, target=epoch, wait_beyond=epoch, is_new=True)
            store.save(found)
        self._record = found

    @property
    def record(self) -> SigningRecord:
        """Return what is on disk."""
        return self._record

    def _save(self, record: SigningRecord) -> None:
        self._store.save(record)
        self._record = record

    # Blocks.

    def seal(self, slot: Slot, now: Situation) -> None:
        """Note that a block of a slot is about to be sealed.

        Raises:
            Refused: it may not be.
        """
        with self._lock:
            self._check_wait(now)
            if slot <= self._record.slot:
                raise Refused(f"slot {slot} does not come after slot {self._record.slot}, for which a block was sealed")
            self._save(replace(self._record, slot=slot))

    def hear_block(self, slot: Slot, now: Situation) -> bool:
        """Note a block sealed by this key; tell whether somebody else has sealed it since this process began."""
        with self._lock:
            is_strange = slot > self._record.slot and slot > self._began_slot
            if is_strange:
                beyond = max(self._record.wait_beyond or 0, now.epoch)
                self._save(replace(self._record, slot=slot, wait_beyond=beyond, is_new=False))
            return is_strange

    # Votes.

    def listen_since(self, epoch: int | None) -> None:
        """Note since which epoch others have been heard without a break; None if they are not."""
        self._listens_since = epoch

    def _check_listening(self, now: Situation) -> None:
        """Raise Refused while messages of this key by somebody else may not have come yet."""
        # Who is the only voter has nobody to hear of its votes from.
        since = self._began if now.is_alone else self._listens_since
        if since is None:
            raise Refused("waiting until this node is level with its peers, to listen for votes of this key")
        if now.epoch < since + LISTENING_EPOCHS:
            raise Refused(f"listening for votes of this key until epoch {since + LISTENING_EPOCHS}")

    def vote(self, source: int, target: int, now: Situation) -> None:
        """Note that a vote from one epoch to another is about to be given.

        Raises:
            Refused: it may not be.
        """
        self._check_listening(now)
        with self._lock:
            self._check_wait(now)
            record = self._record
            if target <= record.target:
                raise Refused(f"epoch {target} is not later than epoch {record.target}, for which a vote was given")
            if source < record.source:
                raise Refused(f"the source, epoch {source}, is earlier than that of the last vote, {record.source}")
            self._save(replace(record, source=source, target=target))

    def note_given(self, vote: Vote) -> None:
        """Remember the last vote, to tell it from others of this key."""
        self._last_vote = vote

    def hear_vote(self, vote: Vote, now: Situation) -> bool:
        """Note a vote signed by this key; tell whether it is one that this node has not given, or has forgotten."""
        with self._lock:
            record, ours, epoch = self._record, self._last_vote, vote.target.epoch
            is_other = ours is not None and ours != vote and ours.target.epoch == epoch
            is_strange = epoch > record.target or is_other
            if is_strange:
                beyond = max(record.wait_beyond or 0, epoch, now.epoch)
                source, target = max(record.source, vote.source.epoch), max(record.target, epoch)
                self._save(SigningRecord(record.slot, source, target, beyond))
            return is_strange

    # Waiting.

    def is_waiting(self, now: Situation) -> bool:
        """Tell whether nothing is signed at all."""
        with self._lock:
            try:
                self._check_wait(now)
            except Refused:
                return True
            return False

    def _check_wait(self, now: Situation) -> None:
        """Raise Refused while votes that this key may have given could lie ahead."""
        beyond = self._record.wait_beyond
        if beyond is None:
            return
        if now.justified > beyond:
            self._save(replace(self._record, wait_beyond=None, is_new=False))
            return
        has_nothing_to_forget = now.is_beginning and self._record.is_new
        is_needed_by_itself = now.is_alone and now.epoch > beyond + LISTENING_EPOCHS
        if not has_nothing_to_forget and not is_needed_by_itself:
            raise Refused(f"waiting until a checkpoint later than epoch {beyond} is justified without this key")
