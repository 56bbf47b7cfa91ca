"""A chain in memory whose members vote: blocks with votes, joins, open slots and reports."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pallets.finality.calls import votes_call
from pallets.finality.checkpoints import open_ballot
from pallets.finality.storage import FINALIZED, IS_CHECKPOINT, JUSTIFIED, LATEST, OPEN, VoterSet
from pallets.finality.voters import current_voters
from pallets.finality.votes import CheckpointId, Vote, vote_message
from pallets.producers.claim import claim_digest
from pallets.producers.config import Config as ProducersConfig
from pallets.producers.config import Rules
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.producers.turns import slot_start, turn_of
from runtime.executive import BlockOutcome, TransactionValidator
from runtime.extrinsic import Extrinsic
from runtime.interface.errors import InvalidTransaction
from runtime.interface.state import StateReader
from runtime.primitives import AccountId, Hash, Slot
from runtime.scale import U32, U64
from runtime.work import is_enough, join_prefix, open_prefix, work_digest
from tests.support.ring_chain import BY_ACCOUNT, DURATION, RingChain
from tests.support.small_chain import PAIRS

NAMES = {pair.public: name for name, pair in PAIRS.items()}

QUICK = Rules(
    epoch_slots=10,
    leak_checkpoints=8,
    lapse_checkpoints=5,
    probation_epochs=2,
    bar_epochs=8,
    return_epochs=4,
    join_work=16,
    join_share=16,
)


def named(accounts: Iterable[AccountId]) -> list[str]:
    """Return the names of accounts."""
    return [NAMES[account] for account in accounts]


def accounts(*names: str) -> tuple[AccountId, ...]:
    return tuple(PAIRS[name].public for name in names)


def signed_vote(name: str, source: CheckpointId, target: CheckpointId, genesis: Hash) -> Vote:
    pair = PAIRS[name]
    return Vote(pair.public, source, target, pair.sign(vote_message(genesis, pair.public, source, target)))


def find_work(prefix: bytes, work: int) -> int:
    """Return the least nonce that is enough."""
    nonce = 0
    while not is_enough(work_digest(prefix, nonce), work):
        nonce += 1
    return nonce


def bare(call: bytes) -> bytes:
    return Extrinsic(None, call).encode()


@dataclass
class VotingChain(RingChain):
    """A ring with short rules; `members` by name."""

    rules: Rules = QUICK
    members: tuple[str, ...] = ("Alice", "Bob", "Charlie")
    producers: ProducersConfig = field(init=False)

    def __post_init__(self) -> None:
        self.producers = ProducersConfig(DURATION, accounts(*self.members), self.rules)
        super().__post_init__()

    # What there is.

    @property
    def ring(self) -> list[str]:
        return named(RING.get(self.state))

    @property
    def voters(self) -> tuple[list[str], list[str]]:
        """Return the voters and the next ones."""
        sets: VoterSet = current_voters(self.state)
        return sorted(named(sets.voters)), sorted(named(sets.following))

    @property
    def slot(self) -> int:
        return BLOCK_SLOT.get(self.state)

    @property
    def justified(self) -> int:
        """Return the epoch of the highest justified checkpoint."""
        found = JUSTIFIED.find(self.state)
        return 0 if found is None else found.epoch

    @property
    def finalized(self) -> int:
        """Return the epoch of the highest final checkpoint."""
        found = FINALIZED.find(self.state)
        return 0 if found is None else found.epoch

    # Votes.

    def vote(self, name: str, epoch: int | None = None) -> Vote:
        """Sign what a voter should: for an open checkpoint, by default the latest."""
        epoch = LATEST.get(self.state) if epoch is None else epoch
        checkpoint = OPEN.find(self.state, epoch)
        assert checkpoint is not None, f"there is no open checkpoint of epoch {epoch}"
        return signed_vote(name, checkpoint.source, CheckpointId(epoch, checkpoint.hash), self.genesis)

    def votes_of(self, names: Iterable[str], state: StateReader) -> list[Vote]:
        """Return the votes of voters for all open checkpoints that the block of this state may include."""
        votes = []
        for epoch, checkpoint in OPEN.items(state):
            ballot = open_ballot(state, epoch, self.rules)
            assert ballot is not None
            for name in names:
                target = CheckpointId(epoch, checkpoint.hash)
                vote = signed_vote(name, checkpoint.source, target, self.genesis)
                if ballot.find_fault(vote) is None:
                    votes.append(vote)
        return sorted(votes, key=lambda vote: vote.order)[:128]

    # Blocks.

    def next_slot(self, names: Iterable[str], after: int | None = None) -> int:
        """Return the next slot that belongs to one of some members."""
        wanted, ring = set(accounts(*names)), RING.get(self.state)
        slot = self.slot if after is None else after
        return next(number for number in range(slot + 1, slot + 1 + len(ring)) if turn_of(ring, Slot(number)) in wanted)

    def begin_and_end(
        self, slot: int, *extrinsics: bytes, voters: Iterable[str] = (), author: str = "", nonce: int | None = None
    ) -> BlockOutcome:
        """Build a block with the votes of some voters, then some extrinsics."""
        account = PAIRS[author].public if author else turn_of(RING.get(self.state), Slot(slot))
        digest = claim_digest(Slot(slot), account, nonce)
        execution = self.runtime.open_block(self.state, self.head, self.view, digest)
        execution.apply_inherents({"milliseconds": slot_start(Slot(slot), DURATION)})
        votes = self.votes_of(voters, execution.state)
        if votes:
            execution.apply(self.runtime.prepare(bare(votes_call(votes))))
        for raw in extrinsics:
            execution.apply(self.runtime.prepare(raw))
        return execution.finalize(self.trie)

    def step(
        self, slot: int, *extrinsics: bytes, voters: Iterable[str] = (), author: str = "", nonce: int | None = None
    ) -> BlockOutcome:
        """Build a block, execute it as everybody else does, and make it the head."""
        built = self.begin_and_end(slot, *extrinsics, voters=voters, author=author, nonce=nonce)
        block = self.sealed(built.block, BY_ACCOUNT[AccountId(built.block.header.digest[1].payload)])
        outcome = self.execute(block)
        assert outcome.changes == built.changes
        self.adopt(outcome)
        return outcome

    def run(self, until: int, names: Iterable[str] | None = None, voters: Iterable[str] | None = None) -> None:
        """Let some members (by default all) make their blocks up to a slot, and some (by default these) vote."""
        while True:
            present = tuple(self.ring if names is None else names)
            if not set(present) & set(self.ring):
                return
            slot = self.next_slot(present)
            if slot > until:
                return
            self.step(slot, voters=present if voters is None else voters)

    def run_epochs(self, epochs: int, names: Iterable[str] | None = None, voters: Iterable[str] | None = None) -> None:
        """Go on until so many checkpoints more are on the chain, and one block behind the last."""
        goal = self.slot // self.rules.epoch_slots + epochs
        while self.slot // self.rules.epoch_slots < goal or IS_CHECKPOINT.get(self.state):
            present = tuple(self.ring if names is None else names)
            self.step(self.next_slot(present), voters=present if voters is None else voters)

    # Joining.

    def join_call(self, name: str, recent: int | None = None) -> bytes:
        """Return the call by which an account joins, with work over a recent block."""
        number = self.head.number - 1 if recent is None else recent
        prefix = join_prefix(self.genesis, self.hash_at(number), PAIRS[name].public)
        return bytes((5, 0)) + U32.encode(number) + U64.encode(find_work(prefix, self.rules.join_work))

    def join(self, name: str) -> bytes:
        return self.sign(name, self.join_call(name))

    def leave(self, name: str) -> bytes:
        return self.sign(name, bytes((5, 1)))

    def open_nonce(self, name: str, slot: int) -> int:
        prefix = open_prefix(self.genesis, self.head.hash, Slot(slot), PAIRS[name].public)
        return find_work(prefix, self.rules.join_work)

    def refusal(self, raw: bytes) -> InvalidTransaction:
        """Return why a transaction may neither be in the pool nor in the next block."""
        caught = []
        for attempt in (self._validate, self._apply):
            try:
                attempt(raw)
            except InvalidTransaction as error:
                caught.append(error)
        assert len(caught) == 2, "it is refused in both places"
        assert caught[0].text == caught[1].text
        return caught[0]

    def _validate(self, raw: bytes) -> None:
        TransactionValidator(self.runtime, self.state, self.head).validate(self.runtime.prepare(raw))

    def _apply(self, raw: bytes) -> None:
        self.begin_and_end(self.next_slot(self.ring), raw)
