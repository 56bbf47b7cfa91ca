"""What calls cost on this machine, beside what the runtime charges for them.

Each case is a block of transactions of one kind, from as many accounts, with signatures; measured is everything that
importing it takes, from decoding to the synced write. The CPU time of an empty block is taken off, as its weight is
charged to nobody.
"""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from node.chain_spec import ChainSpec, genesis, load_spec
from node.consensus import Template, consensus_of
from node.spec_types import Sealing
from pallets.matrix_factorization.config import MAX_BATCH
from pallets.matrix_factorization.view import ModelView, derive_view
from pallets.timestamp.pallet import NOW, TIME_KEY
from runtime.crypto import KeyPair, Scheme, verify
from runtime.executive import Runtime, SignatureCheck, check_signature
from runtime.extrinsic import IMMORTAL, sign_extrinsic
from runtime.primitives import Hash, Nonce
from runtime.scale import encode_compact
from storage.chain_db import ChainDatabase
from storage.kv import KeyValueStore

ROUNDS: Final = 5

# Weights are CPU time of a machine that checks a signature in this time; what is measured here is put in proportion.
REFERENCE_CHECK: Final = 44e-6
_CHECKS: Final = 200
_ITEMS: Final = 2_000
PICOSECONDS: Final = 1e12
_PAIR: Final = struct.Struct("<Qq")


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of call, in seconds of CPU: what it is charged and takes, and a signature check meanwhile.

    What hooks do is charged to nobody.
    """

    name: str
    charged: float | None
    measured: float
    check: float

    @property
    def on_reference(self) -> float:
        """Return what it would take on the reference machine."""
        return self.measured * REFERENCE_CHECK / self.check

    @property
    def ratio(self) -> float | None:
        """Return how much of the charge is used."""
        return None if self.charged is None else self.on_reference / self.charged


@dataclass(frozen=True, slots=True)
class Case:
    """Transactions of one kind by `accounts` accounts that have `ratings` ratings each.

    `call(account, turn)` makes the call of an account in a round.
    """

    name: str
    accounts: int
    ratings: int
    call: Callable[[int, int], bytes]


def _rate(item: int, rating: int) -> bytes:
    return b"\x08\x00" + _PAIR.pack(item, rating)


def _rate_many(first: int, count: int, rating: int) -> bytes:
    pairs = b"".join(_PAIR.pack(item % _ITEMS, rating) for item in range(first, first + count))
    return b"\x08\x04" + encode_compact(count) + pairs


def _remark(length: int) -> bytes:
    return b"\x00\x00" + encode_compact(length) + bytes(length)


def _register(account: int, turn: int) -> bytes:
    title = f"item {account} of round {turn}".ljust(64).encode()
    return b"\x08\x03" + encode_compact(len(title)) + title


def cases(scale: float = 1.0) -> Sequence[Case]:
    """Return the cases; a smaller `scale` takes less time and says less."""

    def some(count: int) -> int:
        return max(2, round(count * scale))

    found = [
        Case("remark, nothing", some(400), 0, lambda _account, _turn: _remark(0)),
        Case("remark, 16,384 bytes", some(100), 0, lambda _account, _turn: _remark(1 << 14)),
        Case("register_item, 64 bytes", some(200), 0, _register),
        Case("submit_ratings, 256 at once", some(40), 0, lambda _account, turn: _rate_many(turn * 256, 256, 4)),
        # Every item is another one, and its posterior is computed and written for one rating only.
        Case(
            "submit_ratings, 256 items apart", 7, 0, lambda account, turn: _rate_many(account * 256, 256, 1 + turn % 2)
        ),
    ]
    for length in (0, 100, 1_000):
        found += _cases_of_lists(length, some(400 if length < 1_000 else 100))
    return found


def _cases_of_lists(length: int, count: int) -> list[Case]:
    """The calls whose cost depends on how many ratings an account has."""

    def new(_account: int, turn: int) -> bytes:
        return _rate(length + turn, 2)

    def again(_account: int, turn: int) -> bytes:
        return _rate(turn, 1 + turn % 2)

    def again_many(_account: int, turn: int) -> bytes:
        return _rate_many(0, min(length, 256), 1 + turn % 2)

    def retract(_account: int, turn: int) -> bytes:
        return b"\x08\x02" + turn.to_bytes(8, "little")

    def predict(_account: int, _turn: int) -> bytes:
        return b"\x08\x01" + bytes(8)

    of = f"a list of {length:,}"
    found = [Case(f"submit_rating, new in {of}", count, length, new)]
    if length:
        found += [
            Case(f"submit_rating, again in {of}", count, length, again),
            Case(f"retract_rating in {of}", count, length, retract),
            Case(f"submit_ratings, {min(length, 256)} again in {of}", max(2, count // 10), length, again_many),
            Case(f"get_prediction with {of}", max(2, count // 4), length, predict),
        ]
    return found


def key_pairs(count: int) -> tuple[KeyPair, ...]:
    """Return the keys of so many accounts."""
    return tuple(KeyPair.from_seed(Scheme.ED25519, number.to_bytes(32, "little")) for number in range(count))


def sign_call(runtime: Runtime, chain: Hash, pair: KeyPair, nonce: Nonce, call: bytes) -> bytes:
    """Return a transaction of an account; `chain`: the hash of block 0."""
    version = runtime.version
    return sign_extrinsic(pair, call, IMMORTAL, nonce, version.spec_version, version.transaction_version, chain, chain)


@dataclass(slots=True)
class _Bench:
    """A chain of its own, and who signs for it."""

    store: KeyValueStore
    spec: ChainSpec
    accounts: int
    runtime: Runtime = field(init=False)
    genesis: Hash = field(init=False)
    database: ChainDatabase = field(init=False)
    view: ModelView = field(init=False)
    nonces: list[int] = field(init=False)
    pairs: tuple[KeyPair, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Make block 0."""
        header, state, self.runtime = genesis(self.spec)
        self.database = ChainDatabase.open(self.store, header, state, state_pruning=256)
        self.genesis = self.database.head().hash
        self.view = derive_view(self.database.state_at(self.genesis), self.spec.matrix_factorization)
        self.nonces = [0] * self.accounts
        self.pairs = key_pairs(self.accounts)

    def sign(self, account: int, call: bytes) -> bytes:
        """Sign an account's next transaction."""
        nonce = Nonce(self.nonces[account])
        self.nonces[account] += 1
        return sign_call(self.runtime, self.genesis, self.pairs[account], nonce, call)

    def _template(self) -> Template:
        state = self.database.state_at(self.database.head().hash)
        milliseconds = max(NOW.get(state), self.spec.genesis_time) + self.spec.slot_duration
        return consensus_of(self.spec, self.genesis).template(self.pairs[0], milliseconds)

    def block(self, raws: Sequence[bytes], check: SignatureCheck) -> tuple[float, int]:
        """Make a block; return the CPU seconds that it took, and the weight that it was charged."""
        template, head = self._template(), self.database.head()
        # What a node learns in the background is not the block's.
        self.view.prepare()
        began = time.process_time()
        state = self.database.state_at(head.hash)
        execution = self.runtime.open_block(state, head, self.view, template.digest, check)
        execution.apply_inherents({TIME_KEY: template.milliseconds})
        for raw in raws:
            error = execution.apply(self.runtime.prepare(raw))
            assert error is None, f"a call that is measured has to succeed: {error}"
        outcome = execution.finalize(self.database.head_trie())
        self.database.commit(outcome.block, outcome.changes, outcome.trie, final=True)
        assert isinstance(outcome.view, ModelView)
        self.view = outcome.view
        return time.process_time() - began, execution.weight

    def fill(self, ratings: int) -> None:
        """Give every account so many ratings."""
        for first in range(0, ratings, MAX_BATCH):
            count = min(MAX_BATCH, ratings - first)
            raws = [self.sign(account, _rate_many(first, count, 3)) for account in range(self.accounts)]
            for start in range(0, len(raws), 50):
                self.block(raws[start : start + 50], lambda *_: True)


def measuring_spec() -> ChainSpec:
    """The chain on which calls are measured: MovieLens' rules with room for anything, and learning held back.

    Epochs are computed in the background and charged to nobody; here they would only blur the figures.
    """
    spec = load_spec("movielens")
    config = spec.matrix_factorization
    limits = replace(spec.limits, weight=spec.limits.weight * 1_000, new_accounts=1 << 16)
    return replace(
        spec,
        sealing=Sealing.INSTANT,
        items=tuple(f"item {number}" for number in range(_ITEMS)),
        limits=limits,
        matrix_factorization=replace(config, inline_rebuild_limit=0, quiet_blocks=1 << 20),
    )


def measure(make_store: Callable[[], KeyValueStore], which: Sequence[Case]) -> Iterator[Cost]:
    """Measure one case after the other, each on a chain of its own in a store that `make_store` gives.

    Nothing else in the process may be at work.
    """
    for case in which:
        store = make_store()
        try:
            bench = _Bench(store, measuring_spec(), case.accounts)
            bench.fill(case.ratings)
            yield _measured(bench, case)
        finally:
            store.close()


def _measured(bench: _Bench, case: Case) -> Cost:
    """Take the median of some rounds."""
    taken, checks, charged = [], [], 0.0
    for turn in range(ROUNDS):
        empty, _ = bench.block((), check_signature)
        raws = [bench.sign(account, case.call(account, turn)) for account in range(case.accounts)]
        seconds, weight = bench.block(raws, check_signature)
        taken.append((seconds - empty) / case.accounts)
        checks.append(check_seconds(bench.pairs[0]))
        charged = weight / case.accounts / PICOSECONDS
    return Cost(case.name, charged, median(taken), median(checks))


def check_seconds(pair: KeyPair) -> float:
    """Measure one signature check."""
    message = bytes(100)
    signature = pair.sign(message)
    began = time.process_time()
    for _ in range(_CHECKS):
        verify(pair.scheme, pair.public, message, signature)
    return (time.process_time() - began) / _CHECKS
