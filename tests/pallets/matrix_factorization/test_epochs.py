"""When ratings are frozen and models come into force, block by block."""

from dataclasses import replace

import pytest

from pallets.construct import ChainConstants, construct_runtime
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import MODEL, RATINGS
from pallets.matrix_factorization.view import derive_view
from runtime.primitives import ZERO_HASH
from tests.support.events import all_events
from tests.support.small_chain import (
    LIMITS,
    PAIRS,
    STARS,
    SmallChain,
    retract_rating,
    submit_rating,
    submit_ratings,
)

CONFIG = Config(
    STARS,
    model=ModelParameters(dimension=1, sweeps=2),
    inline_rebuild_limit=4,
    quiet_blocks=4,
    ratings_per_delay_block=6,
    entity_work=0,
    item_commits_per_block=0,
)
EIGHT = replace(CONFIG, inline_rebuild_limit=8)
ITEMS = tuple(f"item {number}" for number in range(40))


@pytest.fixture
def chain() -> SmallChain:
    return SmallChain(config=CONFIG, items=ITEMS)


@pytest.fixture
def eight() -> SmallChain:
    """Return a chain at rest with eight ratings; one more is over the limit, and not a quarter of them."""
    chain = SmallChain(config=EIGHT, items=ITEMS)
    chain.block(rate("Alice", *range(8)))
    return chain


def rate(name: str, *items: int, rating: int = 5) -> tuple[str, bytes]:
    return name, submit_ratings([(item, rating) for item in items])


def learned_of_now(chain: SmallChain) -> bytes:
    lists = sorted((account, ratings.entries) for account, ratings in RATINGS.items(chain.state))
    return learn_frozen([entry for entry in lists if entry[1].size], chain.config).digest


def epochs(chain: SmallChain) -> tuple[int, int, int, int, int]:
    """Generation, active generation, due block, frozen ratings, drift."""
    record = MODEL.get(chain.state)
    assert chain.view.record == record
    assert (chain.view.pending is not None) == record.is_pending == (record.generation != record.active)
    return record.generation, record.active, record.due, record.frozen_ratings, record.drift


def told(chain: SmallChain) -> list[tuple[str, dict[str, object]]]:
    """What the head block says of epochs, at its end."""
    return [
        (name, fields)
        for extrinsic, pallet, name, fields in all_events(chain)
        if name.startswith("Epoch") and extrinsic is None and pallet == "MatrixFactorization"
    ]


# Rule 1.


def test_few_ratings_are_learned_in_the_block_that_changes_them(chain: SmallChain) -> None:
    for block, items in enumerate(((0,), (1, 2), (3,)), 1):
        chain.block(rate("Alice", *items))
        assert epochs(chain) == (block, block, 0, (1, 3, 4)[block - 1], 0)
        assert told(chain) == [("EpochCompleted", {"digest": learned_of_now(chain)})]
        assert MODEL.get(chain.state).digest == learned_of_now(chain)
        assert MODEL.get(chain.state).is_canonical


def test_few_ratings_that_do_not_change_begin_nothing(chain: SmallChain) -> None:
    chain.block()
    assert epochs(chain) == (0, 0, 0, 0, 0)
    chain.block(rate("Alice", 0, 1, 2, 3))
    before = MODEL.get(chain.state)
    for _ in range(6):
        chain.block(rate("Alice", 0), ("Bob", submit_rating(99, 1)))
        assert MODEL.get(chain.state) == before
        assert told(chain) == []


def test_a_change_that_is_taken_back_in_its_block_is_a_change(chain: SmallChain) -> None:
    chain.block(rate("Alice", 0))
    digest = MODEL.get(chain.state).digest
    chain.block(rate("Bob", 1), ("Bob", retract_rating(1)))
    assert epochs(chain) == (2, 2, 0, 1, 0)
    assert MODEL.get(chain.state).digest == digest


# Rules 2 and 3.


def test_beyond_the_limit_a_quarter_of_the_frozen_ratings_must_change(eight: SmallChain) -> None:
    eight.block(rate("Bob", 0))
    assert epochs(eight) == (1, 1, 0, 8, 1)
    assert told(eight) == []
    eight.block(rate("Bob", 1))
    assert epochs(eight) == (2, 1, 3 + 1 + 1, 10, 0)
    assert told(eight) == [("EpochStarted", {"generation": 2, "due": 5})]
    frozen = learned_of_now(eight)
    eight.block()
    assert epochs(eight) == (2, 1, 5, 10, 0)
    assert told(eight) == []
    eight.block()
    assert epochs(eight) == (2, 2, 0, 10, 0)
    assert told(eight) == [("EpochCompleted", {"digest": frozen})]
    assert MODEL.get(eight.state).digest == frozen


def test_a_quarter_of_an_odd_number_of_frozen_ratings_is_rounded_up() -> None:
    chain = SmallChain(config=replace(CONFIG, inline_rebuild_limit=9), items=ITEMS)
    chain.block(rate("Alice", *range(9)))
    for item, expected in ((0, (1, 1, 0, 9, 1)), (1, (1, 1, 0, 9, 2)), (2, (2, 1, 4 + 3, 12, 0))):
        chain.block(rate("Bob", item))
        assert epochs(chain) == expected


def test_what_comes_while_a_model_is_pending_counts_towards_the_next_epoch(chain: SmallChain) -> None:
    chain.block(rate("Alice", *range(12)))
    assert epochs(chain) == (1, 0, 1 + 3, 12, 0), "from nothing, any rating is enough"
    chain.block(rate("Bob", *range(5)))
    assert epochs(chain) == (1, 0, 4, 12, 5)
    chain.block(rate("Bob", *range(5, 9)))
    assert epochs(chain) == (1, 0, 4, 12, 9)
    chain.block(rate("Charlie", 0))
    assert epochs(chain) == (1, 1, 0, 12, 10), "one rule a block: the next freeze is in the next block"
    chain.block()
    assert epochs(chain) == (2, 1, 5 + 1 + 22 // 6, 22, 0)
    assert told(chain) == [("EpochStarted", {"generation": 2, "due": 9})]


@pytest.mark.parametrize(("ratings", "delay"), [(5, 1), (6, 2), (11, 2), (12, 3), (24, 5)])
def test_the_delay_grows_with_the_ratings(chain: SmallChain, ratings: int, delay: int) -> None:
    assert CONFIG.activation_delay(ratings) == delay
    chain.block(rate("Alice", *range(ratings)))
    assert epochs(chain) == (1, 0, 1 + delay, ratings, 0)
    for block in range(2, 1 + delay):
        chain.block()
        assert epochs(chain)[:2] == (1, 0), block
    chain.block()
    assert epochs(chain) == (1, 1, 0, ratings, 0)


def test_an_epoch_begins_when_nothing_has_changed_for_a_while(eight: SmallChain) -> None:
    eight.block(rate("Bob", 0))
    for block in (3, 4, 5):
        eight.block(("Charlie", submit_rating(99, 1)), rate("Bob", 0))
        assert epochs(eight) == (1, 1, 0, 8, 1), block
    eight.block()
    assert epochs(eight) == (2, 1, 6 + 2, 9, 0), "block 2 changed something, block 6 is the fourth after it"
    eight.block()
    assert epochs(eight) == (2, 1, 8, 9, 0)
    for _ in range(7):
        eight.block()
        assert epochs(eight) == (2, 2, 0, 9, 0)


def test_a_change_begins_the_quiet_time_anew(chain: SmallChain) -> None:
    chain.block(rate("Alice", *range(12)))
    for _ in range(3):
        chain.block()
    assert epochs(chain) == (1, 1, 0, 12, 0)
    chain.block(rate("Bob", 0))
    for _ in range(3):
        chain.block()
    chain.block(rate("Bob", 1))
    for block in range(10, 13):
        chain.block()
        assert epochs(chain) == (1, 1, 0, 12, 2), block
    chain.block()
    assert epochs(chain) == (2, 1, 13 + 3, 14, 0)


def test_the_quiet_time_is_no_shorter_than_the_delay(chain: SmallChain) -> None:
    assert [CONFIG.quiet_period(ratings) for ratings in (0, 23, 24, 36)] == [4, 4, 5, 7]
    chain.block(rate("Alice", *range(29)))
    for _ in range(5):
        chain.block()
    assert epochs(chain) == (1, 1, 0, 29, 0)
    chain.block(rate("Bob", 0))
    assert (chain.head.number, CONFIG.quiet_period(30)) == (7, 6)
    for block in range(8, 13):
        chain.block()
        assert epochs(chain) == (1, 1, 0, 29, 1), block
    chain.block()
    assert epochs(chain) == (2, 1, 13 + 6, 30, 0)


def test_what_is_as_it_was_frozen_begins_no_epoch(eight: SmallChain) -> None:
    eight.block(rate("Bob", 0))
    eight.block(("Bob", retract_rating(0)), rate("Charlie", 0))
    eight.block(("Charlie", retract_rating(0)), rate("Alice", 8))
    assert epochs(eight) == (1, 1, 0, 8, 1)
    eight.block(rate("Alice", 0, rating=1), ("Alice", submit_rating(0, 5)))
    assert epochs(eight)[-1] == 1


def test_at_rest_with_no_drift_nothing_begins_however_long_it_takes() -> None:
    chain = SmallChain(config=replace(CONFIG, inline_rebuild_limit=0), items=ITEMS)
    chain.block(rate("Alice", *range(5)))
    chain.block()
    assert epochs(chain) == (1, 1, 0, 5, 0)
    chain.block(rate("Bob", 0))
    chain.block(("Bob", retract_rating(0)))
    for _ in range(8):
        chain.block()
    assert epochs(chain) == (1, 1, 0, 5, 0)


# Across the limit.


def test_back_under_the_limit_a_pending_epoch_gives_way_to_the_ratings_of_now(chain: SmallChain) -> None:
    chain.block(rate("Alice", 0, 1, 2, 3))
    chain.block(rate("Bob", 0, 1))
    assert epochs(chain) == (2, 1, 2 + 2, 6, 0)
    chain.block(("Bob", retract_rating(0)))
    assert epochs(chain) == (2, 1, 4, 6, 1), "five are still too many"
    chain.block(("Bob", retract_rating(1)))
    assert epochs(chain) == (3, 3, 0, 4, 0), "the due epoch is not activated either: the set of now is"
    assert told(chain) == [("EpochCompleted", {"digest": learned_of_now(chain)})]
    assert derive_view(chain.state, CONFIG).read().digest() == chain.view.read().digest()
    for _ in range(6):
        chain.block()
        assert epochs(chain) == (3, 3, 0, 4, 0)


def test_back_under_the_limit_before_the_model_is_due() -> None:
    chain = SmallChain(config=EIGHT, items=ITEMS)
    chain.block(rate("Alice", *range(12)))
    assert epochs(chain) == (1, 0, 4, 12, 0)
    chain.block(*(("Alice", retract_rating(item)) for item in range(4)))
    assert epochs(chain) == (2, 2, 0, 8, 0)
    chain.block(rate("Bob", 0))
    assert epochs(chain) == (2, 2, 0, 8, 1), "over it again, the eight are what was learned"
    chain.block(rate("Bob", 1))
    assert epochs(chain) == (3, 2, 4 + 2, 10, 0)


def test_back_under_the_limit_with_nothing_pending(eight: SmallChain) -> None:
    eight.block(rate("Bob", 0))
    eight.block(("Alice", retract_rating(3)))
    assert epochs(eight) == (2, 2, 0, 8, 0)
    assert MODEL.get(eight.state).digest == learned_of_now(eight)


def test_all_ratings_retracted_with_an_epoch_pending_is_the_model_of_none(chain: SmallChain) -> None:
    nothing = MODEL.get(chain.state).digest
    assert nothing != ZERO_HASH
    chain.block(rate("Alice", *range(5)))
    assert epochs(chain) == (1, 0, 2, 5, 0)
    chain.block(*(("Alice", retract_rating(item)) for item in range(5)))
    assert epochs(chain) == (2, 2, 0, 0, 0)
    assert MODEL.get(chain.state).digest == nothing
    assert not RATINGS.contains(chain.state, PAIRS["Alice"].public)


def test_under_a_limit_that_was_raised_a_pending_epoch_does_not_wait_for_a_change(chain: SmallChain) -> None:
    chain.block(rate("Alice", *range(12)))
    assert epochs(chain) == (1, 0, 4, 12, 0)
    raised = replace(CONFIG, inline_rebuild_limit=100)
    chain.runtime = construct_runtime(ChainConstants(0, 1, ITEMS, LIMITS, raised))
    chain.block()
    assert epochs(chain) == (2, 2, 0, 12, 0)
    assert MODEL.get(chain.state).digest == learned_of_now(chain)


# What counts as work.


def test_users_and_items_are_work_as_well_as_ratings() -> None:
    config = Config(STARS)
    assert config.work(0, 0, 0) == 0
    assert config.work(1_000, 10, 20) == 1_000 + 8 * 30
    assert config.work(20_000, 20_000, 20_000) == 17 * 20_000
    assert [config.activation_delay(config.work(100_000, *of)) for of in ((943, 1_682), (100_000, 100_000))] == [8, 104]


@pytest.mark.parametrize(
    ("model", "work"),
    [
        (ModelParameters(dimension=1, sweeps=1), 100),
        (ModelParameters(dimension=4, sweeps=60), 100),
        (ModelParameters(sweeps=25), 104),
        (ModelParameters(sweeps=64), 266),
        (ModelParameters(dimension=16), 642),
        (ModelParameters(dimension=16, sweeps=64), 1_712),
    ],
)
def test_larger_models_are_more_work_and_smaller_ones_no_less(model: ModelParameters, work: int) -> None:
    config = Config(STARS, model=model)
    assert config.work(100, 0, 0) == work
    assert config.scaled(100) == (642 if model.dimension == 16 else 100)


def test_the_delay_grows_with_users_and_rated_items() -> None:
    chain = SmallChain(config=replace(CONFIG, entity_work=2), items=ITEMS)
    chain.block(rate("Alice", 0, 1, 2))
    assert epochs(chain) == (1, 0, 1 + 1 + (3 + 2 * 4) // 6, 3, 0), "3 ratings, an account, 3 items"
    chain.block(rate("Bob", 1, 2), ("Charlie", submit_rating(1, 4)))
    chain.block()
    assert epochs(chain) == (1, 1, 0, 3, 3)
    assert MODEL.get(chain.state).frozen_at == 1
    chain.block(("Bob", retract_rating(1)))
    assert epochs(chain) == (2, 1, 4 + 1 + (5 + 2 * 6) // 6, 5, 0), "5 ratings, 3 accounts, 3 items"
    assert MODEL.get(chain.state).frozen_at == 4


def test_a_quiet_time_is_as_long_as_the_delay_of_the_same_work() -> None:
    chain = SmallChain(config=replace(CONFIG, entity_work=7), items=ITEMS)
    chain.block(rate("Alice", 0, 1, 2, 3, 4))
    for _ in range(9):
        chain.block()
    assert epochs(chain) == (1, 1, 0, 5, 0)
    chain.block(rate("Alice", 5))
    # 6 ratings, an account and 6 items: 55 of work.
    for _ in range(9):
        chain.block()
        assert epochs(chain) == (1, 1, 0, 5, 1)
    chain.block()
    assert epochs(chain) == (2, 1, 21 + 1 + 9, 6, 0)


def test_what_is_learned_at_once_is_bounded_by_its_work() -> None:
    chain = SmallChain(config=replace(CONFIG, inline_rebuild_limit=19, entity_work=3), items=ITEMS)
    chain.block(rate("Alice", 0, 1, 2, 3))
    assert epochs(chain) == (1, 1, 0, 4, 0), "4 ratings, an account and 4 items: 19 of work"
    chain.block(("Bob", submit_rating(3, 1)))
    assert epochs(chain) == (2, 1, 2 + 1 + 23 // 6, 5, 0), "5 ratings, 2 accounts and 4 items: 23"
