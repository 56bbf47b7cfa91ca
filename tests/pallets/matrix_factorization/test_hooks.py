"""What the end of a block does besides learning and committing."""

from dataclasses import replace

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import MODEL, RATINGS, USER_POSTERIORS
from pallets.matrix_factorization.view import ModelView, derive_view
from tests.support.small_chain import (
    PAIRS,
    STARS,
    SmallChain,
    get_prediction,
    retract_rating,
    submit_rating,
    submit_ratings,
)

EPOCHS = Config(
    STARS,
    model=ModelParameters(dimension=1, sweeps=2),
    inline_rebuild_limit=3,
    quiet_blocks=3,
    ratings_per_delay_block=4,
    entity_work=0,
    item_commits_per_block=2,
)
INLINE = replace(EPOCHS, inline_rebuild_limit=1_000)
ALICE, BOB = PAIRS["Alice"].public, PAIRS["Bob"].public


def test_the_record_is_written_only_if_it_changes() -> None:
    chain = SmallChain(config=INLINE, items=("a", "b"))
    for calls, writes in (
        ([], False),
        ([("Alice", get_prediction(0))], False),
        ([("Alice", submit_rating(0, 5))], True),
        ([("Alice", submit_rating(0, 5))], False),
        ([("Alice", retract_rating(1))], False),
        ([("Alice", retract_rating(0))], True),
    ):
        before = MODEL.get(chain.state)
        chain.block(*calls)
        assert (MODEL.get(chain.state) != before) is writes


def test_a_block_ends_with_the_view_of_the_next_head() -> None:
    chain = SmallChain(config=EPOCHS, items=("a", "b"))
    outcome = chain.build(chain.sign("Alice", submit_rating(0, 5)))
    assert isinstance(outcome.view, ModelView)
    assert outcome.view is not chain.view
    chain.adopt(outcome)
    assert chain.view.record == MODEL.get(chain.state)
    assert chain.view.read().digest() == derive_view(chain.state, EPOCHS).read().digest()


def test_an_account_that_takes_everything_back_leaves_no_trace_once_the_model_is_of_now() -> None:
    chain = SmallChain(config=INLINE, items=tuple("abc"))
    chain.block(("Alice", submit_ratings([(0, 5), (1, 1)])), ("Bob", submit_rating(0, 3)))
    assert USER_POSTERIORS.contains(chain.state, ALICE)
    chain.block(("Alice", retract_rating(0)), ("Alice", retract_rating(1)))
    assert not USER_POSTERIORS.contains(chain.state, ALICE)
    assert not RATINGS.contains(chain.state, ALICE)
    assert RATINGS.contains(chain.state, BOB)
    chain.block(("Alice", submit_rating(2, 4)))
    assert RATINGS.get(chain.state, ALICE).entries.tolist() == [(2, 4)]


def test_an_account_that_takes_everything_back_keeps_what_recovers_the_active_freeze() -> None:
    chain = SmallChain(config=EPOCHS, items=tuple("abcdef"))
    chain.block(("Alice", submit_rating(0, 5)), ("Bob", submit_ratings([(0, 3), (1, 1)])))
    chain.block(("Eve", submit_ratings([(0, 3), (1, 1), (2, 2), (3, 3)])), ("Alice", retract_rating(0)))
    assert MODEL.get(chain.state).active == 1
    assert not USER_POSTERIORS.contains(chain.state, ALICE)
    ratings = RATINGS.get(chain.state, ALICE)
    assert ratings.entries.size == 0
    assert ratings.at_freeze(1).tolist() == [(0, 5)]
