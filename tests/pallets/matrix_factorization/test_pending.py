"""An epoch that is prepared while blocks go on is the epoch that is computed when it comes into force."""

import numpy as np
import pytest

from pallets.matrix_factorization import pending as module
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import Frozen, Lists, learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.pending import PendingEpoch
from pallets.matrix_factorization.phi import Phi
from pallets.matrix_factorization.storage import RATINGS
from pallets.matrix_factorization.view import ModelView, derive_view
from tests.support.small_chain import STARS, SmallChain, register_item, retract_rating, submit_rating, submit_ratings

CONFIG = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=3),
    inline_rebuild_limit=4,
    quiet_blocks=1_000,
    ratings_per_delay_block=1,
    entity_work=0,
    item_commits_per_block=0,
)
ITEMS = tuple("abcdefghij")


def chain_with_a_pending_epoch() -> SmallChain:
    chain = SmallChain(config=CONFIG, items=ITEMS)
    chain.block(("Alice", submit_ratings([(item, 1 + item % 5) for item in range(4)])))
    chain.block(("Bob", submit_ratings([(0, 5), (1, 1), (4, 2)])), ("Charlie", submit_rating(4, 4)))
    assert chain.view.record.is_pending
    return chain


def assert_same(ours: Phi, theirs: Phi) -> None:
    assert ours.digest() == theirs.digest()
    assert ours.items.size == theirs.items.size
    for name in ("totals", "raters", "mean", "covariance", "rows"):
        assert np.array_equal(getattr(ours.items, name), getattr(theirs.items, name)), name
    mine, others = list(ours.users.items()), list(theirs.users.items())
    assert [account for account, _ in mine] == [account for account, _ in others]
    for (_, one), (_, other) in zip(mine, others, strict=True):
        assert one.ratings.entries.tolist() == other.ratings.entries.tolist()
        assert one.row.tolist() == other.row.tolist()


def derived(chain: SmallChain, frozen: Frozen, generation: int) -> Phi:
    records = sorted(RATINGS.items(chain.state), key=lambda entry: entry[0])
    return Phi.derived(frozen, generation, records, chain.view.items.size)


def test_it_is_learned_once_and_followed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(lists: Lists, config: Config) -> Frozen:
        calls.append(len(lists))
        return learn_frozen(lists, config)

    chain = chain_with_a_pending_epoch()
    monkeypatch.setattr(module, "learn_frozen", counting)
    pending = chain.view.pending
    assert pending is not None
    assert (pending.generation, pending.is_computed, chain.view.is_prepared, calls) == (2, False, False, [])
    steps = [
        [("Alice", submit_rating(0, 5)), ("Dave", submit_rating(9, 3))],
        [("Bob", retract_rating(0)), ("Bob", retract_rating(1)), ("Bob", retract_rating(4))],
        [("Eve", register_item("k")), ("Bob", submit_rating(4, 2)), ("Alice", submit_rating(0, 1))],
        [],
        [("Eve", submit_rating(10, 3)), ("Dave", retract_rating(9))],
    ]
    for step in steps:
        chain.block(*step)
        assert chain.view.pending is pending
        assert not chain.view.is_prepared or step == []
        chain.view.prepare()
        assert chain.view.is_prepared
        prepared = pending.follow(chain.view.users, chain.view.items.size)
        assert_same(prepared, derived(chain, pending.compute(), 2))
    assert calls == [3]
    assert pending.is_computed


def test_a_swap_that_was_prepared_ends_in_the_state_of_one_that_was_not() -> None:
    ahead, late = chain_with_a_pending_epoch(), chain_with_a_pending_epoch()
    for number in range(20):
        for chain in (ahead, late):
            chain.block(("Dave", submit_rating(number % 10, 1 + number % 5)))
        if number % 3 != 2:
            ahead.view.prepare()
        assert ahead.trie.root() == late.trie.root()
        assert_same(ahead.view.phi, late.view.phi)
    assert ahead.view.record.active >= 2


def test_blocks_of_two_forks_share_one_computation_and_do_not_disturb_each_other() -> None:
    chain = chain_with_a_pending_epoch()
    pending = chain.view.pending
    assert pending is not None
    common = (chain.state, chain.trie, chain.view, chain.head)

    def back() -> None:
        chain.state, chain.trie, chain.view, chain.head = common

    def fork(*calls: tuple[str, bytes]) -> tuple[ModelView, Phi]:
        back()
        chain.block(*calls)
        return chain.view, derived(chain, pending.compute(), 2)

    left, expected_left = fork(("Alice", retract_rating(0)), ("Eve", register_item("left")))
    right, expected_right = fork(("Bob", submit_rating(9, 1)))
    assert left.pending is right.pending is pending
    for view, expected in ((left, expected_left), (right, expected_right), (left, expected_left)):
        view.prepare()
        assert view.is_prepared
        assert_same(pending.follow(view.users, view.items.size), expected)
    assert not right.is_prepared


def test_what_was_learned_for_the_freezing_block_can_be_used_after_a_restart() -> None:
    chain = chain_with_a_pending_epoch()
    before = chain.view.pending
    assert before is not None
    before.compute()
    chain.block(("Alice", retract_rating(3)), ("Bob", submit_rating(0, 1)), ("Dave", submit_rating(0, 1)))
    anew, reused = derive_view(chain.state, CONFIG), derive_view(chain.state, CONFIG, pending=before)
    assert anew.pending is not None
    assert not anew.pending.is_computed
    assert reused.pending is before
    for view in (anew, reused, chain.view):
        view.prepare()
        assert isinstance(view.pending, PendingEpoch)
        assert_same(view.pending.follow(view.users, view.items.size), derived(chain, before.compute(), 2))
