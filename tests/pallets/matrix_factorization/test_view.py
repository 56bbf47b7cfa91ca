"""Phi, written out by hand, and the views that follow it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import ONE
from pallets.matrix_factorization.frozen import Frozen, as_rows, learn_frozen, rating_set
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.pending import PendingEpoch
from pallets.matrix_factorization.phi import solve_set
from pallets.matrix_factorization.posterior import (
    item_prior_means,
    item_rows,
    solve_items,
    solve_users,
)
from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.ratings import ENTRY, RatingList
from pallets.matrix_factorization.storage import MODEL, RATINGS, USER_POSTERIORS
from pallets.matrix_factorization.view import DigestMismatch, derive_view
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, AccountId, blake2b_256
from tests.support.events import events_of
from tests.support.memory_state import MemoryState
from tests.support.small_chain import (
    PAIRS,
    STARS,
    SmallChain,
    get_prediction,
    retract_rating,
    submit_rating,
    submit_ratings,
)

ITEMS = tuple("abcdefghij")
# The first four ratings are learned in their block; then come epochs that take longer than any test here.
CONFIG = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=3),
    inline_rebuild_limit=4,
    quiet_blocks=1_000,
    ratings_per_delay_block=1,
    entity_work=0,
    item_commits_per_block=0,
)
MODEL_CONSTANTS = CONFIG.model
ALICE, BOB = PAIRS["Alice"].public, PAIRS["Bob"].public


def learn(sets: dict[AccountId, dict[int, int]]) -> Frozen:
    lists = [(account, np.array(list(ratings.items()), ENTRY)) for account, ratings in sorted(sets.items())]
    return learn_frozen([(account, entries) for account, entries in lists if entries.size], CONFIG)


def solved_by_hand(frozen: Frozen, ratings: dict[int, int], tau: int) -> list[int]:
    """One solve of a list against the canonical rows, its sums taken one rating after the other."""
    width, packed = MODEL_CONSTANTS.width, MODEL_CONSTANTS.packed
    known = dict(zip(frozen.canonical.item_ids.tolist(), frozen.canonical.rows.tolist(), strict=True))
    sums = [0] * (packed + width + 1)
    for item, rating in ratings.items():
        nothing = np.zeros((1, packed + width), np.int64)
        prior = solve_items(nothing, item_prior_means(np.array([item]), MODEL_CONSTANTS), frozen.prior)
        row = known[item] if item in known else item_rows(prior)[0].tolist()
        units = {1: -128, 2: -64, 3: 0, 4: 64, 5: 128}[rating]
        moments, bias, products, square = row[1 : packed + 1], row[0], row[packed + 1 : -1], row[-1]
        for column in range(packed):
            sums[column] += moments[column]
        for column in range(width):
            seen = bias if column == 0 else products[column - 1]
            sums[packed + column] += units * moments[column] - 128 * seen
        sums[-1] += units * units * 2**13 - 2 * units * bias + 128 * square
    users = solve_users(np.array([sums], np.int64), np.array([len(ratings)]), np.array([tau], np.int32), frozen.prior)
    return as_rows(users)[0].tolist()


def phi(frozen: Frozen, account: AccountId, then: dict[int, int], now: dict[int, int]) -> list[int] | None:
    """The posterior by which an account contributes."""
    if not now:
        return None
    row = frozen.user_row(account)
    changed = len([item for item in then.keys() | now.keys() if then.get(item) != now.get(item)])
    if row is not None and len(then) > 0 and 2 * changed < len(then):
        return row.tolist()
    tau = 4 * ONE if row is None else int(row[-1])
    return solved_by_hand(frozen, now, tau)


def row_of(chain: SmallChain, account: AccountId) -> list[int] | None:
    entry = chain.view.users.get(account)
    return None if entry is None else entry.row.tolist()


THEN = {0: 5, 1: 1, 2: 4, 3: 2}


def chain_of_four() -> tuple[SmallChain, Frozen]:
    """Alice has four ratings in the active freeze, and nobody else has any."""
    chain = SmallChain(config=CONFIG, items=ITEMS)
    chain.block(("Alice", submit_ratings(list(THEN.items()))))
    frozen = learn({ALICE: THEN})
    assert chain.view.record.digest == frozen.digest
    return chain, frozen


def test_an_account_that_has_changed_less_than_half_keeps_its_canonical_posterior() -> None:
    chain, frozen = chain_of_four()
    canonical = frozen.user_rows[0].tolist()
    assert row_of(chain, ALICE) == canonical
    chain.block(("Alice", submit_rating(4, 1)))
    assert chain.view.record.active == 1, "the active freeze is still that of the four"
    assert row_of(chain, ALICE) == canonical == phi(frozen, ALICE, THEN, {**THEN, 4: 1})
    assert USER_POSTERIORS.get(chain.state, ALICE).mean.tolist() == canonical[:3]
    chain.block(("Alice", submit_rating(5, 1)))
    now = {**THEN, 4: 1, 5: 1}
    assert row_of(chain, ALICE) == solved_by_hand(frozen, now, canonical[-1]) == phi(frozen, ALICE, THEN, now)
    assert row_of(chain, ALICE) != canonical
    chain.block(("Alice", retract_rating(4)))
    assert row_of(chain, ALICE) == canonical, "back to one difference"


@pytest.mark.parametrize(
    "calls",
    [
        [submit_rating(0, 1), submit_rating(1, 5)],
        [submit_rating(0, 1), submit_rating(7, 1)],
        [submit_rating(6, 1), submit_rating(7, 1)],
        [submit_rating(6, 1), retract_rating(0)],
    ],
)
def test_replacing_adding_and_retracting_count_alike(calls: list[bytes]) -> None:
    chain, frozen = chain_of_four()
    chain.block(("Bob", submit_rating(9, 3)))
    canonical = frozen.user_rows[0].tolist()
    chain.block(("Alice", calls[0]))
    assert row_of(chain, ALICE) == canonical
    chain.block(("Alice", calls[1]))
    now = dict(RATINGS.get(chain.state, ALICE).entries.tolist())
    assert row_of(chain, ALICE) == solved_by_hand(frozen, now, canonical[-1]) != canonical


def test_an_account_of_which_nothing_was_learned_is_solved_from_the_initial_precision() -> None:
    chain, frozen = chain_of_four()
    chain.block(("Bob", submit_rating(0, 5)))
    assert row_of(chain, BOB) == solved_by_hand(frozen, {0: 5}, 4 * ONE)
    chain.block(("Bob", retract_rating(0)))
    assert row_of(chain, BOB) is None


EDIT = st.tuples(st.sampled_from(("Alice", "Bob")), st.integers(0, 9), st.none() | st.integers(1, 5))


@given(st.lists(EDIT, max_size=6), st.integers(0, 4))
@settings(max_examples=40)
def test_phi_holds_after_any_changes_wherever_blocks_end(edits: list[tuple[str, int, int | None]], cut: int) -> None:
    chain, frozen = chain_of_four()
    # Two more ratings keep the chain above the limit whatever Alice retracts.
    chain.block(("Charlie", submit_ratings([(0, 3), (1, 3), (2, 3), (3, 3), (4, 3)])))
    now: dict[str, dict[int, int]] = {"Alice": dict(THEN), "Bob": {}}
    calls = []
    for name, item, rating in edits:
        if rating is not None:
            now[name][item] = rating
        elif item in now[name]:
            del now[name][item]
        calls.append((name, retract_rating(item) if rating is None else submit_rating(item, rating)))
    chain.block(*calls[:cut])
    chain.block(*calls[cut:])
    assert chain.view.record.active == 1
    for name, then in (("Alice", THEN), ("Bob", {})):
        account = PAIRS[name].public
        assert row_of(chain, account) == phi(frozen, account, then, now[name])


# What a view is rebuilt from.


def tampered(chain: SmallChain, account: AccountId, ratings: RatingList) -> MemoryState:
    overlay = Overlay(chain.state)
    RATINGS.put(overlay, account, ratings)
    return chain.state.changed(overlay.changes())


def test_a_list_that_was_tampered_with_is_found_out() -> None:
    chain, _ = chain_of_four()
    ratings = RATINGS.get(chain.state, ALICE)
    derive_view(chain.state, CONFIG)
    entries = ratings.entries.copy()
    entries["rating"][0] = 4
    state = tampered(chain, ALICE, RatingList(entries, ratings.zones))
    learned = learn({ALICE: {**THEN, 0: 4}}).digest.hex()
    digest = chain.view.record.digest.hex()
    with pytest.raises(DigestMismatch, match=rf"^learned {learned}, the chain has {digest}$"):
        derive_view(state, CONFIG)


def test_a_missing_list_a_made_up_one_and_a_wrong_digest_are_found_out() -> None:
    chain, _ = chain_of_four()
    states = [MemoryState({key: value for key, value in chain.state.entries.items() if key != RATINGS.key(ALICE)})]
    states.append(tampered(chain, BOB, RATINGS.get(chain.state, ALICE)))
    overlay = Overlay(chain.state)
    MODEL.put(overlay, replace(MODEL.get(chain.state), digest=ZERO_HASH))
    states.append(chain.state.changed(overlay.changes()))
    for state in states:
        with pytest.raises(DigestMismatch):
            derive_view(state, CONFIG)


def test_a_zone_that_was_tampered_with_is_found_out() -> None:
    chain, _ = chain_of_four()
    chain.block(("Alice", submit_rating(0, 1)), ("Bob", submit_rating(0, 1)))
    ratings = RATINGS.get(chain.state, ALICE)
    (zone,) = (zone for zone in ratings.zones if zone.generation == 1)
    assert zone.old.tolist() == [(0, 5)]
    old = zone.old.copy()
    old["rating"][0] = 2
    for bad in (replace(zone, old=old), replace(zone, mark=3), replace(zone, old=zone.old[:0])):
        with pytest.raises(DigestMismatch):
            derive_view(tampered(chain, ALICE, RatingList(ratings.entries, (bad,))), CONFIG)


def test_what_is_known_by_its_digest_is_not_learned_again() -> None:
    chain, frozen = chain_of_four()
    view = derive_view(chain.state, CONFIG, {frozen.digest: frozen})
    assert view.frozen is frozen
    assert view.read().digest() == chain.view.read().digest()
    assert derive_view(chain.state, CONFIG, {blake2b_256(b"other"): frozen}).frozen is not frozen


def test_an_epoch_is_only_gone_on_with_after_the_freeze_that_it_is_of() -> None:
    chain, _ = chain_of_four()
    chain.block(("Bob", submit_ratings([(item, 5) for item in range(5)])))
    pending = chain.view.pending
    assert pending is not None
    assert derive_view(chain.state, CONFIG, pending=pending).pending is pending
    other = PendingEpoch(pending.generation - 1, pending.lists, CONFIG)
    again = derive_view(chain.state, CONFIG, pending=other).pending
    assert again is not None
    assert (again.generation, again.compute().digest) == (pending.generation, pending.compute().digest)


# What a block sees, and what readers keep.


@pytest.mark.parametrize("item", [0, 4, 9])
def test_the_call_and_the_readers_predict_the_same(item: int) -> None:
    chain, _ = chain_of_four()
    chain.block(("Bob", submit_ratings([(0, 5), (4, 1)])))
    model = chain.view.read()
    for name in ("Alice", "Bob", "Dave"):
        predictions = predict(model.posteriors([PAIRS[name].public]), model.items.posteriors(np.array([item])))
        raw = int(predictions.mean[0])
        assert chain.view.branch().predict(PAIRS[name].public, item) == raw
        twin = SmallChain(config=CONFIG, items=ITEMS)
        twin.block(("Alice", submit_ratings(list(THEN.items()))))
        twin.block(("Bob", submit_ratings([(0, 5), (4, 1)])))
        twin.block((name, get_prediction(item)))
        told = [event for event in events_of(twin)[1] if event[1] == "PredictionObtained"]
        assert told[0][2]["prediction"] == min(max(raw, -ONE), ONE) * 16


def test_a_prediction_beyond_the_scale_is_clipped_in_its_event() -> None:
    chain = SmallChain(config=replace(CONFIG, inline_rebuild_limit=99), items=ITEMS)
    # Everybody likes item 0 far better than all others, and Alice likes whatever she has seen.
    for name in ("Bob", "Charlie", "Dave", "Eve"):
        chain.block((name, submit_ratings([(item, 5 if item == 0 else 1) for item in range(10)])))
    chain.block(("Alice", submit_ratings([(item, 5) for item in range(1, 10)])))
    raw = chain.view.branch().predict(ALICE, 0)
    assert raw > ONE
    chain.block(("Alice", get_prediction(0)))
    assert events_of(chain)[1][0][2]["prediction"] == 1 << 24


def test_a_branch_follows_its_block_and_leaves_the_view_alone() -> None:
    chain, _ = chain_of_four()
    before, digest = chain.view.read(), chain.view.read().digest()
    branch = chain.view.branch()
    assert (branch.touched(), branch.changed_items()) == ([], [])
    outcome = chain.build(
        chain.sign("Alice", submit_rating(0, 1)),
        chain.sign("Bob", submit_rating(9, 1)),
        chain.sign("Alice", submit_rating(1, 1), 1),
    )
    assert chain.view.read().digest() == digest == before.digest()
    chain.adopt(outcome)
    assert before.digest() == digest != chain.view.read().digest()
    assert before.users.get(BOB) is None
    with pytest.raises(AssertionError, match=r"^a branch becomes a view before it is branched again$"):
        branch.branch()


def test_an_item_counts_as_changed_if_a_rating_of_it_differs_from_the_parent_block() -> None:
    chain, _ = chain_of_four()
    overlay = Overlay(chain.state)
    branch = chain.view.branch()
    old = RATINGS.get(chain.state, ALICE)
    entries = np.array([(0, 5), (1, 2), (2, 4), (6, 1)], ENTRY)
    RATINGS.put(overlay, ALICE, RatingList(entries, old.zones))
    branch.sync(overlay)
    assert branch.touched() == [ALICE]
    assert branch.changed_items() == [1, 3, 6]
    assert branch.previous(ALICE).tolist() == old.entries.tolist()
    assert branch.previous(BOB).size == 0
    RATINGS.put(overlay, ALICE, old)
    branch.sync(overlay)
    assert (branch.touched(), branch.changed_items()) == ([ALICE], [])
    assert np.array_equal(branch.items.totals, chain.view.items.totals)
    assert np.array_equal(branch.items.raters, chain.view.items.raters)


def test_touched_accounts_ascend_whenever_they_were_followed() -> None:
    chain, _ = chain_of_four()
    overlay, branch = Overlay(chain.state), chain.view.branch()
    accounts = sorted(pair.public for pair in PAIRS.values())
    for account in reversed(accounts):
        RATINGS.put(overlay, account, RatingList(np.array([(0, 2)], ENTRY), ()))
        branch.sync(overlay)
    assert branch.touched() == accounts


def test_readers_get_the_prior_for_who_has_no_ratings() -> None:
    chain, frozen = chain_of_four()
    model = chain.view.read()
    nobody = model.posteriors([BOB])
    assert nobody.mean[0].tolist() == frozen.prior.hyperparameters.user_mean.tolist()
    assert model.posteriors([]).mean.shape == (0, 3)
    both = model.posteriors([ALICE, BOB])
    assert np.array_equal(both.mean[1], nobody.mean[0])
    assert np.array_equal(both.mean[0], model.posteriors([ALICE]).mean[0])


def test_readers_solve_an_account_from_the_precision_by_which_it_contributes() -> None:
    chain, frozen = chain_of_four()
    chain.block(("Bob", submit_ratings([(0, 5), (1, 1), (2, 4), (5, 1)])))
    entry, rows = chain.view.users.get(BOB), chain.view.items.rows
    assert entry is not None
    found = chain.view.read().posteriors([BOB])
    lists = rating_set([entry.ratings.entries], CONFIG.scale)
    expected = solve_set(lists, [int(entry.row[-1])], frozen, rows)
    assert as_rows(found).tolist() == as_rows(expected).tolist()
    for start, table in (
        (frozen.starting_precision(BOB), rows),
        (int(entry.row[-1]), frozen.item_rows.holding(np.arange(10))),
    ):
        other = solve_set(lists, [start], frozen, table)
        assert as_rows(found).tolist() != as_rows(other).tolist()


def test_a_trust_constant_weighs_every_account_by_its_own_ratings() -> None:
    trusting = replace(CONFIG, model=replace(MODEL_CONSTANTS, trust_kappa_ppm=10_000_000), inline_rebuild_limit=99)
    chain = SmallChain(config=trusting, items=ITEMS)
    chain.block(("Alice", submit_ratings(list(THEN.items()))), ("Bob", submit_rating(0, 5)))
    assert chain.view.read().digest() == chain.view.record.digest, "as the canonical model weighs them"
    branch = chain.view.branch()
    overlay = Overlay(chain.state)
    RATINGS.put(overlay, BOB, RatingList(np.array([(0, 5), (1, 1)], ENTRY), ()))
    branch.sync(overlay)
    user = branch.user(BOB)
    assert user is not None
    # The first entry of T is the sum of the raters' weights: for item 1 Alice's with four ratings, Bob's with two.
    alice = chain.view.users.get(ALICE)
    assert alice is not None
    weights = [int(np.rint(row[-1] * n / (n + 10))) for row, n in ((alice.row, 4), (user.row, 2))]
    assert branch.items.totals[1, 0] == pytest.approx(sum(weights), abs=2)


def test_what_is_not_followed_yet_is_counted_once_for_each_write(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = SmallChain(config=CONFIG, items=ITEMS)
    chain.block(("Alice", submit_ratings([(0, 1), (1, 2)])))
    branch, state, looked_at = chain.view.branch(), Overlay(chain.state), 0
    written_since = Overlay.written_since

    def counted(*arguments: Any) -> Any:
        nonlocal looked_at
        written, position = written_since(*arguments)
        looked_at += len(written)
        return written, position

    def write(account: AccountId, *items: int) -> None:
        RATINGS.put(state, account, RatingList(np.array([(item, 1) for item in items], ENTRY), ()))

    monkeypatch.setattr(Overlay, "written_since", counted)
    assert branch.unsynced(state) == 0
    write(ALICE, 0, 1, 2)
    write(BOB, 0, 1)
    assert [branch.unsynced(state) for _ in range(100)] == [5] * 100
    write(ALICE, 0)
    assert [branch.unsynced(state) for _ in range(100)] == [3] * 100
    assert looked_at == 3
    RATINGS.remove(state, BOB)
    assert branch.unsynced(state) == 1
    branch.sync(state)
    assert branch.unsynced(state) == 0
    write(BOB, 4, 5, 6, 7)
    assert branch.unsynced(state) == 4
    state.begin()
    write(ALICE, 0, 1)
    assert branch.unsynced(state) == 4, "the call under way is not followed before it has ended"
    state.commit()
    assert branch.unsynced(state) == 6
