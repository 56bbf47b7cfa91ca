"""Whatever the history: a node that ran straight, one that restarted and one that synced hold the same model."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.posterior import UserPosteriors, contributions
from pallets.matrix_factorization.storage import MODEL, RATINGS
from pallets.matrix_factorization.view import ModelView, derive_view
from tests.support.small_chain import PAIRS, STARS, SmallChain, retract_rating, submit_rating

# Few sweeps and features, and epochs from the fifth rating on: what is tested here is the bookkeeping around them.
SMALL = Config(
    STARS,
    model=ModelParameters(dimension=2, sweeps=3),
    inline_rebuild_limit=4,
    quiet_blocks=3,
    ratings_per_delay_block=6,
    entity_work=0,
    item_commits_per_block=2,
)
FIVE = replace(SMALL, inline_rebuild_limit=5)
NAMES = tuple(PAIRS)
ITEMS = tuple("abcdefgh")

ACTION = st.tuples(st.sampled_from(NAMES), st.integers(0, len(ITEMS) - 1), st.none() | st.integers(1, 5))
HISTORY = st.lists(st.lists(ACTION, max_size=5), min_size=4, max_size=16)


def calls_of(chain: SmallChain, block: list[tuple[str, int, int | None]]) -> list[tuple[str, bytes]]:
    return [
        (name, retract_rating(item) if rating is None else submit_rating(item, rating)) for name, item, rating in block
    ]


def assert_same_model(ours: ModelView, theirs: ModelView) -> None:
    assert ours.record == theirs.record
    assert ours.frozen.digest == theirs.frozen.digest
    assert ours.read().digest() == theirs.read().digest()
    for table in ("totals", "raters", "mean", "covariance", "rows"):
        assert np.array_equal(getattr(ours.items, table), getattr(theirs.items, table)), table
    accounts = [pair.public for pair in PAIRS.values()]
    assert np.array_equal(ours.read().posteriors(accounts).mean, theirs.read().posteriors(accounts).mean)
    assert (ours.pending is None) == (theirs.pending is None)
    if ours.pending is not None and theirs.pending is not None:
        assert ours.pending.compute().digest == theirs.pending.compute().digest


def fresh_digest(chain: SmallChain) -> bytes:
    """The digest of the model learned from nothing but the ratings of now."""
    lists = sorted((account, ratings.entries) for account, ratings in RATINGS.items(chain.state))
    return learn_frozen([(account, entries) for account, entries in lists if entries.size], chain.config).digest


def recomputed_totals(view: ModelView) -> dict[int, list[int]]:
    """T of every item, summed one rating after the other in Python's integers."""
    width, packed = view.config.model.width, view.config.model.packed
    totals = {item: [0] * (packed + width) for item in range(view.items.size)}
    for _, entry in view.users.items():
        row = entry.row[None, :]
        user = UserPosteriors(row[:, :width], row[:, width:-1], row[:, -1])
        share = contributions(user, np.array([entry.ratings.entries.size]), view.config.model)[0].tolist()
        for item, rating in entry.ratings.entries.tolist():
            units = view.config.scale.to_units(rating)
            for column in range(packed):
                totals[item][column] += share[column]
            for column in range(width):
                totals[item][packed + column] += units * share[column] - 128 * share[packed + column]
    return totals


@given(HISTORY)
@settings(max_examples=25)
def test_straight_restarted_and_recomputed_are_one_at_every_block(
    history: list[list[tuple[str, int, int | None]]],
) -> None:
    chain = SmallChain(config=SMALL, items=ITEMS)
    for block in history:
        chain.block(*calls_of(chain, block))
        assert_same_model(chain.view, derive_view(chain.state, SMALL))
        assert recomputed_totals(chain.view) == dict(enumerate(chain.view.items.totals.tolist()))
        if chain.view.record.is_canonical:
            assert chain.view.read().digest() == chain.view.record.digest == fresh_digest(chain)
    for _ in range(12):
        chain.block()
    assert chain.view.record.is_canonical
    assert chain.view.read().digest() == fresh_digest(chain)


@pytest.mark.full
@given(HISTORY, st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_at_rest_the_order_of_the_ratings_is_forgotten(
    history: list[list[tuple[str, int, int | None]]], random: Random
) -> None:
    chain = SmallChain(config=SMALL, items=ITEMS)
    for block in history:
        chain.block(*calls_of(chain, block))
    final = [
        (name, submit_rating(item, rating))
        for name, pair in PAIRS.items()
        for item, rating in RATINGS.get(chain.state, pair.public).entries.tolist()
    ]
    random.shuffle(final)
    other = SmallChain(config=SMALL, items=ITEMS)
    for start in range(0, len(final), 4):
        other.block(*final[start : start + 4])
    for _ in range(12):
        chain.block()
        other.block()
    assert chain.view.record.is_canonical
    assert other.view.record.is_canonical
    assert chain.view.read().digest() == other.view.read().digest()
    assert np.array_equal(chain.view.items.rows, other.view.items.rows)


def test_an_epoch_begins_when_a_quarter_has_changed_and_is_in_force_when_due() -> None:
    chain = SmallChain(config=FIVE, items=ITEMS)
    for item in range(5):
        chain.block(("Alice", submit_rating(item, 1 + item % 5)))
    assert (chain.view.record.generation, chain.view.record.active) == (5, 5)
    chain.block(("Bob", submit_rating(0, 5)))
    record = chain.view.record
    assert (record.generation, record.active, record.frozen_ratings, record.drift) == (5, 5, 5, 1)
    chain.block(("Bob", submit_rating(1, 5)))
    record = chain.view.record
    assert (record.generation, record.active, record.frozen_ratings, record.drift) == (6, 5, 7, 0)
    assert record.due == chain.head.number + SMALL.activation_delay(7)
    while chain.head.number < record.due:
        assert not chain.view.record.is_canonical
        chain.block()
    assert chain.view.record == replace(record, active=6, due=0, digest=fresh_digest(chain))


def test_ratings_that_come_while_an_epoch_is_pending_are_not_part_of_it() -> None:
    chain = SmallChain(config=FIVE, items=ITEMS)
    for item in range(5):
        chain.block(("Alice", submit_rating(item, 3)))
    chain.block(("Bob", submit_rating(0, 5)))
    chain.block(("Bob", submit_rating(1, 5)))
    frozen = fresh_digest(chain)
    chain.block(("Bob", submit_rating(0, 1)), ("Charlie", submit_rating(1, 1)), ("Alice", retract_rating(2)))
    assert MODEL.get(chain.state).drift == 3
    while chain.view.record.is_pending:
        chain.block()
    assert chain.view.record.digest == frozen
    assert not chain.view.record.is_canonical


def test_the_three_ratings_of_the_seed_give_one_model_in_every_order() -> None:
    ratings = [("Alice", 0), ("Bob", 0), ("Bob", 1)]
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    digests, means = set(), set()
    for order in orders:
        chain = SmallChain()
        for index in order:
            name, item = ratings[index]
            chain.block((name, submit_rating(item, 1)))
        digests.add(chain.view.read().digest())
        model = chain.view.read()
        means.add(chain.view.branch().predict(PAIRS["Alice"].public, 1))
        assert model.record.is_canonical
    assert len(digests) == 1
    (mean,) = means
    assert mean / 2**20 > 0.25


def test_all_ratings_retracted_is_the_model_of_no_ratings() -> None:
    chain = SmallChain()
    genesis = chain.view.read().digest()
    chain.block(("Alice", submit_rating(0, 1)), ("Bob", submit_rating(1, -1)))
    assert chain.view.read().digest() != genesis
    chain.block(("Alice", retract_rating(0)), ("Bob", retract_rating(1)))
    assert chain.view.read().digest() == genesis


def test_a_trust_constant_above_zero_keeps_all_promises() -> None:
    config = replace(SMALL, model=replace(SMALL.model, trust_kappa_ppm=10_000_000))
    chain = SmallChain(config=config, items=ITEMS)
    for index in range(12):
        chain.block((NAMES[index % 3], submit_rating(index % 8, 1 + index % 5)))
        assert_same_model(chain.view, derive_view(chain.state, config))
