"""What the calls of a ring and its blocks cost on this machine, beside what the runtime charges for them.

A case is what one block has, on a chain of its own. That block, and an empty one in its place, are made and taken back
by turns; the difference of their CPU times is that of the calls. Hooks are charged to nobody: of them, blocks tell.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from statistics import median
from time import process_time
from typing import Final

from node.chain_spec import ChainSpec, genesis
from node.consensus import consensus_of
from node.ring import seal, slot_start
from node.spec_types import Sealing
from node.voting import Step, sign_vote
from node.weights import PICOSECONDS, Cost, check_seconds, key_pairs, measuring_spec, sign_call
from pallets.finality.calls import CAST_VOTES, REPORT_CONTRADICTION, contradiction_call, votes_call
from pallets.finality.config import INDEX as FINALITY
from pallets.finality.config import MAX_VOTES
from pallets.finality.storage import OPEN
from pallets.finality.votes import CheckpointId, Vote
from pallets.matrix_factorization.view import ModelView, derive_view
from pallets.producers.calls import JOIN, LEAVE, MAX_EVIDENCE, REPORT_EQUIVOCATION, equivocation_call, join_call
from pallets.producers.claim import claim_digest
from pallets.producers.config import INDEX as PRODUCERS
from pallets.producers.config import Rules
from pallets.producers.storage import BLOCK_SLOT, RING
from pallets.producers.turns import turn_of
from pallets.timestamp.pallet import INDEX as TIMESTAMP
from pallets.timestamp.pallet import SET, TIME_KEY
from runtime.crypto import KeyPair
from runtime.executive import Runtime
from runtime.extrinsic import Extrinsic
from runtime.header import DigestItem, DigestKind, Header
from runtime.primitives import BlockNumber, Hash, Slot
from storage.chain_db import ChainDatabase
from storage.kv import KeyValueStore

RING_ROUNDS: Final = 41
_MEMBERS: Final = MAX_VOTES
_LARGE: Final = 1_000
_APPLICANTS: Final = 200
_STALLED: Final = 100
_LEAVE: Final = bytes((PRODUCERS, LEAVE))
# What a header has beside the payload that makes it as long as evidence may be, and a little more.
_HEADER_LENGTH: Final = 300


class Part(Enum):
    """What of a block is measured."""

    CALLS = auto()
    INHERENT = auto()
    WHOLE = auto()


@dataclass(frozen=True, slots=True)
class RingCase:
    """A block of a ring with so many members.

    `make` brings the chain to where the block follows and returns its extrinsics; `index`: the call that they have.
    """

    name: str
    make: "Callable[[RingBench], Sequence[bytes]]"
    index: bytes = b""
    members: int = _MEMBERS
    part: Part = Part.CALLS


@dataclass(frozen=True, slots=True)
class _Taken:
    """CPU seconds of a block and of its inherent, and the weight of all its extrinsics."""

    seconds: float
    inherent: float
    weight: int


def ring_spec(members: Sequence[KeyPair]) -> ChainSpec:
    """The chain on which a ring is measured: joining takes no work, and nobody loses its place."""
    spec = measuring_spec()
    return replace(
        spec,
        sealing=Sealing.RING,
        items=spec.items[:1],
        ring=tuple(pair.public for pair in members),
        rules=Rules(join_work=1, missed_turns=1 << 20),
    )


@dataclass(slots=True)
class RingBench:
    """A chain of its own, its members, and others who might join."""

    store: KeyValueStore
    members: tuple[KeyPair, ...]
    others: tuple[KeyPair, ...]
    spec: ChainSpec = field(init=False)
    runtime: Runtime = field(init=False)
    genesis: Hash = field(init=False)
    database: ChainDatabase = field(init=False)
    view: ModelView = field(init=False)

    def __post_init__(self) -> None:
        """Make block 0, and one more, which has more to do than others."""
        self.spec = ring_spec(self.members)
        header, state, self.runtime = genesis(self.spec)
        self.database = ChainDatabase.open(self.store, header, state, state_pruning=256)
        self.genesis = self.database.head().hash
        self.view = derive_view(self.database.state_at(self.genesis), self.spec.matrix_factorization)
        self.extend()

    @property
    def slot(self) -> Slot:
        """Return the slot of the head."""
        return BLOCK_SLOT.get(self.database.head_state()[1])

    def sign(self, pair: KeyPair, call: bytes) -> bytes:
        """Sign the next transaction of an account."""
        nonce = self.runtime.system.nonce(self.database.head_state()[1], pair.public)
        return sign_call(self.runtime, self.genesis, pair, nonce, call)

    def extend(self, raws: Sequence[bytes] = (), *, slots: int = 1) -> _Taken:
        """Make the block that is so many slots after the head, by the member whose turn that is."""
        head, state = self.database.head_state()
        slot = Slot(BLOCK_SLOT.get(state) + slots)
        author = turn_of(RING.get(state), slot)
        pair = next(pair for pair in (*self.members, *self.others) if pair.public == author)
        milliseconds = slot_start(slot, self.spec.slot_duration)
        template = consensus_of(self.spec, self.genesis).template(pair, milliseconds)
        began = process_time()
        execution = self.runtime.open_block(self.database.state_at(head.hash), head, self.view, template.digest)
        begun = process_time()
        execution.apply_inherents({TIME_KEY: milliseconds})
        inherent = process_time() - begun
        for raw in raws:
            error = execution.apply(self.runtime.prepare(raw))
            assert error is None, f"a call that is measured has to succeed: {error}"
        outcome = execution.finalize(self.database.head_trie())
        self.database.commit(outcome.block, outcome.changes, outcome.trie)
        return _Taken(process_time() - began, inherent, execution.weight + execution.mandatory_weight)

    def attempt(self, raws: Sequence[bytes] = ()) -> _Taken:
        """Make the next block, and take it back."""
        taken = self.extend(raws)
        self.database.revert_head()
        return taken

    def end_epoch(self) -> None:
        """Go on to where the next slot begins an epoch, without a slot that is skipped."""
        length = self.spec.rules.epoch_slots
        while (self.slot + 1) % length:
            self.extend()

    def open_checkpoint(self) -> int:
        """Begin an epoch, and make the block behind its checkpoint, from which on votes for it count."""
        length = self.spec.rules.epoch_slots
        self.extend(slots=length - self.slot % length)
        self.extend()
        return self.slot // length

    def vote(self, pair: KeyPair, epoch: int) -> Vote:
        """Sign a vote for an open checkpoint."""
        checkpoint = OPEN.find(self.database.head_state()[1], epoch)
        assert checkpoint is not None, "it is open"
        return sign_vote(Step(checkpoint.source, CheckpointId(epoch, checkpoint.hash)), pair, self.genesis)

    def votes(self, epoch: int, count: int) -> bytes:
        """Return the extrinsic with the votes of so many members for one checkpoint."""
        votes = sorted((self.vote(pair, epoch) for pair in self.members[:count]), key=lambda vote: vote.order)
        return Extrinsic(None, votes_call(votes)).encode()

    def joins(self, pairs: Sequence[KeyPair]) -> list[bytes]:
        """Return the transactions by which accounts join."""
        return [self.sign(pair, join_call(BlockNumber(0), 0)) for pair in pairs]


def ring_cases(scale: float = 1.0) -> Sequence[RingCase]:
    """Return the cases; a smaller `scale` takes less time and says less."""
    count = max(2, round(40 * scale))

    def join(bench: RingBench) -> list[bytes]:
        bench.extend(bench.joins(bench.others[:_APPLICANTS]))
        return bench.joins(bench.others[_APPLICANTS : _APPLICANTS + count])

    def leave_queue(bench: RingBench) -> list[bytes]:
        bench.extend(bench.joins(bench.others[:_APPLICANTS]))
        return [bench.sign(pair, _LEAVE) for pair in bench.others[10 : 10 + count]]

    def leave_ring(bench: RingBench) -> list[bytes]:
        return [bench.sign(pair, _LEAVE) for pair in bench.members[:count]]

    joins, leave, reports = (bytes((PRODUCERS, call)) for call in (JOIN, LEAVE, REPORT_EQUIVOCATION))
    cast, contradiction = (bytes((FINALITY, call)) for call in (CAST_VOTES, REPORT_CONTRADICTION))
    return [
        RingCase("Timestamp.set", lambda _: (), bytes((TIMESTAMP, SET)), part=Part.INHERENT),
        RingCase("join, none waiting", lambda bench: bench.joins(bench.others[:count]), joins),
        RingCase(f"join, {_APPLICANTS} waiting", join, joins),
        RingCase(f"leave a queue of {_APPLICANTS}", leave_queue, leave),
        RingCase(f"leave a ring of {_MEMBERS}", leave_ring, leave),
        RingCase("report_equivocation", lambda bench: _equivocation(bench, 0), reports),
        RingCase("report_equivocation, 16 KiB each", lambda bench: _equivocation(bench, MAX_EVIDENCE), reports),
        RingCase("report_contradiction", _contradiction, contradiction),
        RingCase("cast_votes, 1", lambda bench: [bench.votes(bench.open_checkpoint(), 1)], cast),
        RingCase(f"cast_votes, {MAX_VOTES}, final by them", _final_votes, cast),
        RingCase(f"cast_votes, final after {_STALLED} checkpoints", _votes_after_a_stall, cast),
        RingCase(f"cast_votes, {MAX_VOTES} checkpoints", _votes_apart, cast),
        RingCase(f"cast_votes, {MAX_VOTES} checkpoints in a handover", _votes_of_a_handover, cast),
        *_whole_blocks(),
    ]


def _whole_blocks() -> list[RingCase]:
    """Blocks without calls: what their hooks and roots cost."""

    def checkpoint(bench: RingBench) -> tuple[()]:
        bench.end_epoch()
        return ()

    def half_leaves(bench: RingBench) -> tuple[()]:
        bench.extend([bench.sign(pair, _LEAVE) for pair in bench.members[: _MEMBERS // 2]])
        bench.end_epoch()
        return ()

    found = []
    for members in (_MEMBERS, _LARGE):
        found += [
            RingCase(f"block, ring of {members:,}", lambda _: (), members=members, part=Part.WHOLE),
            RingCase(f"checkpoint, ring of {members:,}", checkpoint, members=members, part=Part.WHOLE),
        ]
    return [*found, RingCase(f"checkpoint, half of {_MEMBERS} leave", half_leaves, part=Part.WHOLE)]


def _equivocation(bench: RingBench, length: int) -> list[bytes]:
    """Two headers of a slot that an author has sealed, as long as evidence may be or of usual length."""
    bench.extend(bench.joins(bench.others[:_APPLICANTS]))
    pair, head = bench.members[0], bench.database.head()
    padding = DigestItem(DigestKind.OTHER, payload=bytes(max(0, length - _HEADER_LENGTH)))
    digest = (*claim_digest(bench.slot, pair.public), padding)
    first, second = (
        seal(Header(head.hash, head.number, root, root, digest), bench.genesis, pair)
        for root in (head.hash, bench.genesis)
    )
    return [Extrinsic(None, equivocation_call(first, second)).encode()]


def _contradiction(bench: RingBench) -> list[bytes]:
    epoch = bench.open_checkpoint()
    bench.extend(bench.joins(bench.others[:_APPLICANTS]))
    vote = bench.vote(bench.members[0], epoch)
    other = sign_vote(Step(vote.source, replace(vote.target, hash=bench.genesis)), bench.members[0], bench.genesis)
    return [Extrinsic(None, contradiction_call(vote, other)).encode()]


def _final_votes(bench: RingBench) -> list[bytes]:
    """All members vote, the checkpoint is justified, and the one before is final by that."""
    bench.extend([bench.votes(bench.open_checkpoint(), MAX_VOTES)])
    return [bench.votes(bench.open_checkpoint(), MAX_VOTES)]


def _votes_after_a_stall(bench: RingBench) -> list[bytes]:
    """The second that is justified after many that were not makes the first final, with all before it."""
    epochs = [bench.open_checkpoint() for _ in range(_STALLED)]
    bench.extend([bench.votes(epochs[-1], MAX_VOTES)])
    return [bench.votes(bench.open_checkpoint(), MAX_VOTES)]


def _votes_apart(bench: RingBench) -> list[bytes]:
    """Each vote is for another checkpoint, and needs the voters of that."""
    votes = [bench.vote(bench.members[0], epoch) for epoch in [bench.open_checkpoint() for _ in range(MAX_VOTES)]]
    return [Extrinsic(None, votes_call(votes)).encode()]


def _votes_of_a_handover(bench: RingBench) -> list[bytes]:
    """Two sets of voters have to agree on each of the checkpoints."""
    bench.extend([bench.sign(bench.members[-1], _LEAVE)])
    return _votes_apart(bench)


def measure_ring(
    make_store: Callable[[], KeyValueStore], which: Sequence[RingCase], rounds: int = RING_ROUNDS
) -> Iterator[Cost]:
    """Measure one case after the other, each on a chain of its own in a store that `make_store` gives.

    Nothing else in the process may be at work.
    """
    for case in which:
        store = make_store()
        try:
            pairs = key_pairs(case.members + Rules().join_queue)
            yield _measured(RingBench(store, pairs[: case.members], pairs[case.members :]), case, rounds)
        finally:
            store.close()


def _measured(bench: RingBench, case: RingCase, rounds: int) -> Cost:
    """Take the median of some rounds."""
    raws = case.make(bench)
    assert all(bench.runtime.prepare(raw).encoded_call[:2] == case.index for raw in raws), "the case says what it is"
    count = max(1, len(raws))
    taken, checks, weight = [], [], 0
    for _ in range(rounds):
        # Whatever comes first after something else takes longer.
        bench.attempt()
        empty = bench.attempt()
        weight = empty.weight
        if case.part is Part.CALLS:
            full = bench.attempt(raws)
            weight = full.weight - empty.weight
            taken.append((full.seconds - empty.seconds) / count)
        else:
            taken.append(empty.inherent if case.part is Part.INHERENT else empty.seconds)
        checks.append(check_seconds(bench.members[0]))
    charged = None if case.part is Part.WHOLE else weight / count / PICOSECONDS
    return Cost(case.name, charged, median(taken), median(checks))
