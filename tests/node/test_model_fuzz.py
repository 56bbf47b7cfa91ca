"""Any history on real databases: forks, reorganisations, restarts, churn. One model, whoever computes it and when."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from node.chain import Chain
from node.chain_spec import ChainSpec
from node.spec_types import Sealing
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import UserPosteriors, contributions
from pallets.matrix_factorization.storage import RATINGS
from pallets.matrix_factorization.view import ModelView, derive_view
from pallets.producers.config import Rules
from pallets.producers.storage import RING
from pallets.producers.turns import turn_of
from runtime.header import Block
from runtime.interface.errors import InvalidTransaction
from runtime.primitives import Hash, Slot
from storage.leveldb import LevelDbStore
from tests.support.node_chain import NodeChain, small_spec
from tests.support.small_chain import (
    PAIRS,
    STARS,
    register_item,
    retract_rating,
    submit_rating,
    submit_ratings,
)

NAMES = tuple(PAIRS)
RING_NAMES = ("Alice", "Bob", "Charlie")
BY_ACCOUNT = {pair.public: pair for pair in PAIRS.values()}
ACCOUNTS = [pair.public for pair in PAIRS.values()]
SLOT = 1_000
CONFIG = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=3),
    inline_rebuild_limit=4,
    quiet_blocks=3,
    ratings_per_delay_block=5,
    entity_work=0,
    item_commits_per_block=2,
)


def ring_spec() -> ChainSpec:
    ring = tuple(PAIRS[name].public for name in RING_NAMES)
    # All keep their turns, so that the longer of two branches is the heavier.
    rules = Rules(missed_turns=1_000)
    return replace(small_spec(CONFIG), sealing=Sealing.RING, slot_duration=SLOT, ring=ring, rules=rules)


@dataclass
class DiskNode(NodeChain):
    """A chain in a directory of its own, whose blocks are made in turn by the members of the ring."""

    path: Path = field(default_factory=Path)
    spec: ChainSpec = field(default_factory=ring_spec)

    def open(self) -> None:
        self.disk = LevelDbStore(self.path)
        self.chain = Chain.open(self.spec, self.disk, state_pruning=self.pruning)

    def restart(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.chain.database.close()

    def extend(self, slot: int, *calls: tuple[str, bytes]) -> Block:
        """Make the block of a slot; calls that are not valid here are left out."""
        state = self.chain.database.state_at(self.chain.snapshot.best.hash)
        author = BY_ACCOUNT[turn_of(RING.get(state), Slot(slot))]
        template = self.chain.consensus.template(author, slot * SLOT)
        transactions = []
        for call in calls:
            try:
                transactions += self.transactions(call)
            except InvalidTransaction:
                continue
        return self.chain.build(transactions, template).head.block

    def blocks(self) -> list[Block]:
        """The best chain behind block 0."""
        best = self.chain.snapshot.best.number
        found = [self.chain.database.block(self.hash_at(number)) for number in range(1, best + 1)]
        return [block for block in found if block is not None]


def some_calls(random: Random) -> list[tuple[str, bytes]]:
    """What a few accounts do in a block: rate, change, take back, all of it too; now and then a new item."""
    calls: list[tuple[str, bytes]] = []
    for name in random.sample(NAMES, random.choice((0, 1, 1, 2, 3))):
        kind = random.random()
        item = random.randrange(9)
        if kind < 0.5:
            calls.append((name, submit_rating(item, random.randint(1, 5))))
        elif kind < 0.65:
            chosen = random.sample(range(8), random.randint(1, 6))
            calls.append((name, submit_ratings([(one, random.randint(1, 5)) for one in chosen])))
        elif kind < 0.95:
            calls.append((name, retract_rating(item)))
        else:
            calls.append((name, register_item(f"item of {name}")))
    return calls


def assert_same(ours: ModelView, theirs: ModelView) -> None:
    assert ours.record == theirs.record
    assert ours.frozen.digest == theirs.frozen.digest
    assert ours.read().digest() == theirs.read().digest()
    assert ours.items.size == theirs.items.size
    for table in ("totals", "raters", "mean", "covariance", "rows"):
        assert np.array_equal(getattr(ours.items, table), getattr(theirs.items, table)), table
    mine, others = ours.read().posteriors(ACCOUNTS), theirs.read().posteriors(ACCOUNTS)
    assert np.array_equal(mine.mean, others.mean)
    assert np.array_equal(mine.precision, others.precision)
    assert (ours.pending is None) == (theirs.pending is None)
    if ours.pending is not None and theirs.pending is not None:
        assert ours.pending.compute().digest == theirs.pending.compute().digest


def assert_sums(view: ModelView) -> None:
    """T of every item is the sum, one rating after the other, of what its raters contribute."""
    width, packed = CONFIG.model.width, CONFIG.model.packed
    totals = np.zeros((view.items.size, packed + width), np.int64)
    for _, entry in view.users.items():
        row = entry.row[None, :]
        user = UserPosteriors(row[:, :width], row[:, width:-1], row[:, -1])
        share = contributions(user, np.array([entry.ratings.entries.size]), CONFIG.model)[0]
        for item, rating in entry.ratings.entries.tolist():
            units = STARS.to_units(rating)
            totals[item, :packed] += share[:packed]
            totals[item, packed:] += units * share[:width] - 128 * share[packed:]
    assert np.array_equal(totals, view.items.totals)


def check(node: DiskNode) -> tuple[Hash, bytes]:
    """Compare the head's model with what follows from its state alone; return its block and digest."""
    best = node.chain.snapshot.best
    view, state = node.chain.snapshot.view, node.chain.database.state_at(best.hash)
    assert_same(view, derive_view(state, CONFIG))
    assert_sums(view)
    if view.record.is_canonical:
        lists = sorted((account, ratings.entries) for account, ratings in RATINGS.items(state))
        fresh = learn_frozen([(account, entries) for account, entries in lists if entries.size], CONFIG)
        assert view.read().digest() == view.record.digest == fresh.digest
    return best.hash, view.read().digest()


@dataclass
class History:
    """One history: a node that lives through it, and others that make blocks it does not like or hears of late."""

    folder: Path
    seed: int
    others: int = 0
    slot: int = 1
    reorganised: int = 0
    swaps_undone: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 # repeatable, not secret
        self.node = DiskNode(path=self.folder / "node")
        self.digests: dict[Hash, bytes] = {}

    def other(self, blocks: list[Block]) -> DiskNode:
        """A node that knows these blocks only."""
        self.others += 1
        node = DiskNode(path=self.folder / f"other-{self.others}")
        for block in blocks:
            node.chain.import_block(block)
        return node

    def note(self) -> None:
        """Check the head and remember its digest."""
        block, digest = check(self.node)
        assert self.digests.setdefault(block, digest) == digest

    def step(self) -> None:
        """Go on by a block; sometimes compute ahead, start again, or meet a longer branch."""
        random, node = self.random, self.node
        self.slot += 1
        node.extend(self.slot, *some_calls(random))
        self.note()
        if random.random() < 0.4 and (compute := node.chain.pending_epoch) is not None:
            compute()
        if random.random() < 0.1:
            node.restart()
            self.note()
        if random.random() < 0.12:
            self.fork()

    def fork(self) -> None:
        """Let somebody else make a longer branch from a few blocks back; the node switches to it."""
        random, node = self.random, self.node
        blocks = node.blocks()
        back = min(random.randint(1, 5), len(blocks))
        if node.chain.snapshot.best.number - back < node.chain.database.finalized().number:
            return
        before = node.chain.snapshot.view.record
        other = self.other(blocks[: len(blocks) - back])
        for _ in range(back + 1):
            self.slot += 1
            block = other.extend(self.slot, *some_calls(random))
            head = node.chain.import_block(block).head
            if random.random() < 0.2:
                node.restart()
        assert head is not None
        assert len(head.retracted) == back
        assert node.chain.snapshot.best == other.chain.snapshot.best
        assert_same(node.chain.snapshot.view, other.chain.snapshot.view)
        self.reorganised += 1
        self.swaps_undone += node.chain.snapshot.view.record.active < before.active
        other.close()
        self.note()

    def rest(self) -> None:
        """Make empty blocks until the model is that of the ratings of now."""
        while not self.node.chain.snapshot.view.record.is_canonical:
            self.slot += 1
            self.node.extend(self.slot)
            self.note()

    def late(self) -> None:
        """A node that hears of the best chain only now has the same model at each of its blocks."""
        late = self.other([])
        for block in self.node.blocks():
            late.chain.import_block(block)
            best = late.chain.snapshot
            digest = best.model.digest()
            assert self.digests.get(best.best.hash, digest) == digest
        assert late.chain.snapshot.best == self.node.chain.snapshot.best
        assert_same(late.chain.snapshot.view, self.node.chain.snapshot.view)
        late.close()

    def run(self, steps: int) -> None:
        """Live through it."""
        for _ in range(steps):
            self.step()
        self.rest()
        self.late()
        self.node.close()


@pytest.fixture
def history(tmp_path: Path, request: pytest.FixtureRequest) -> History:
    return History(tmp_path, request.param)


@pytest.mark.full
@pytest.mark.parametrize("history", range(2), indirect=True)
def test_straight_restarted_reorganised_and_late_nodes_hold_one_model(history: History) -> None:
    history.run(28)
    assert history.reorganised > 0
    assert history.node.chain.snapshot.view.record.generation > 3


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("history", range(100, 140), indirect=True)
def test_many_histories(history: History) -> None:
    history.run(60)
