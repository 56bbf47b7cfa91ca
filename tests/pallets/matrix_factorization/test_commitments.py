"""Commitments to posteriors: of what a block touches, and of all items in turn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import I32
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import (
    ITEM_POSTERIORS,
    POSTERIOR,
    RATINGS,
    USER_POSTERIORS,
    Model,
    Posterior,
    encode_posteriors,
    without_block,
)
from runtime.primitives import AccountId, BlockNumber, twox_128
from tests.support.small_chain import (
    PAIRS,
    STARS,
    SmallChain,
    get_prediction,
    register_item,
    retract_rating,
    submit_rating,
    submit_ratings,
)

MODEL_CONSTANTS = ModelParameters(dimension=1, sweeps=2)
EPOCHS = Config(
    STARS,
    model=MODEL_CONSTANTS,
    inline_rebuild_limit=3,
    quiet_blocks=3,
    ratings_per_delay_block=4,
    entity_work=0,
    item_commits_per_block=2,
)
INLINE = replace(EPOCHS, inline_rebuild_limit=1_000)
ALICE, BOB = PAIRS["Alice"].public, PAIRS["Bob"].public


def as_tuple(posterior: Posterior | None) -> object:
    if posterior is None:
        return None
    return (*posterior.mean.tolist(), *posterior.covariance.tolist(), posterior.precision)


def user_now(chain: SmallChain, account: AccountId) -> object:
    entry = chain.view.users.get(account)
    return None if entry is None else tuple(entry.row.tolist())


def item_now(chain: SmallChain, item: int) -> object:
    items = chain.view.items
    return (*items.mean[item].tolist(), *items.covariance[item].tolist(), 0)


def ratings_of(chain: SmallChain) -> dict[tuple[AccountId, int], int]:
    return {
        (account, item): rating
        for account, ratings in RATINGS.items(chain.state)
        for item, rating in ratings.entries.tolist()
    }


ACTION = st.tuples(st.sampled_from(("Alice", "Bob", "Eve")), st.integers(0, 5), st.none() | st.integers(1, 5))
HISTORY = st.lists(st.lists(ACTION, max_size=3), min_size=1, max_size=8)


@given(HISTORY, st.sampled_from((EPOCHS, INLINE)))
@settings(max_examples=30)
def test_whom_and_what_a_block_touches_it_commits_to(
    history: list[list[tuple[str, int, int | None]]], config: Config
) -> None:
    chain = SmallChain(config=config, items=tuple("abcdef"))
    for actions in history:
        before = ratings_of(chain)
        users = {pair.public: USER_POSTERIORS.find(chain.state, pair.public) for pair in PAIRS.values()}
        chain.block(
            *(
                (name, retract_rating(item) if rating is None else submit_rating(item, rating))
                for name, item, rating in actions
            )
        )
        after, number, active = ratings_of(chain), chain.head.number, chain.view.record.active
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        for pair in PAIRS.values():
            account = pair.public
            posterior = USER_POSTERIORS.find(chain.state, account)
            if any(who == account for who, _ in changed):
                assert as_tuple(posterior) == user_now(chain, account)
                assert posterior is None or (posterior.generation, posterior.block) == (active, number)
            elif posterior is None or posterior.block != number:
                assert as_tuple(posterior) == as_tuple(users[account])
            assert (posterior is None) == (user_now(chain, account) is None)
        for item in {item for _, item in changed}:
            posterior = ITEM_POSTERIORS.find(chain.state, item)
            assert as_tuple(posterior) == item_now(chain, item)
            assert posterior is not None
            assert (posterior.generation, posterior.block) == (active, number)


def test_of_an_account_that_has_taken_everything_back_no_posterior_is_left() -> None:
    chain = SmallChain(config=EPOCHS, items=tuple("abcdef"))
    chain.block(("Alice", submit_ratings([(0, 1), (1, 5)])), ("Bob", submit_rating(0, 2)))
    assert USER_POSTERIORS.find(chain.state, ALICE) is not None
    chain.block(("Alice", retract_rating(0)), ("Alice", retract_rating(1)))
    assert USER_POSTERIORS.find(chain.state, ALICE) is None
    assert USER_POSTERIORS.find(chain.state, BOB) is not None


@pytest.mark.parametrize(("items", "count", "blocks"), [(7, 2, 4), (6, 2, 3), (130, 64, 3), (5, 64, 1), (1, 1, 1)])
def test_the_cursor_reaches_every_item_in_so_many_empty_blocks(items: int, count: int, blocks: int) -> None:
    config = replace(EPOCHS, item_commits_per_block=count)
    chain = SmallChain(config=config, items=tuple(map(str, range(items))))
    assert blocks == -(-items // count)
    for block in range(1, blocks + 1):
        chain.block()
        committed = sorted(item for item, _ in ITEM_POSTERIORS.items(chain.state))
        assert len(committed) == min(block * count, items)
    assert committed == list(range(items))
    for item in range(items):
        assert as_tuple(ITEM_POSTERIORS.find(chain.state, item)) == item_now(chain, item)


@pytest.mark.parametrize("config", [EPOCHS, INLINE], ids=["epochs", "inline"])
def test_at_rest_a_block_writes_nothing_but_number_and_time(config: Config) -> None:
    chain = SmallChain(config=config, items=tuple("abcdefg"))
    chain.block(("Alice", submit_ratings([(0, 5), (1, 1), (2, 3)])), ("Bob", submit_ratings([(0, 1), (4, 2)])))
    for _ in range(12):
        chain.block()
    assert chain.view.record.is_canonical
    for item in range(7):
        posterior = ITEM_POSTERIORS.find(chain.state, item)
        assert as_tuple(posterior) == item_now(chain, item)
        assert posterior is not None
        assert posterior.generation == chain.view.record.active
    allowed = (twox_128(b"System"), twox_128(b"Timestamp"))
    for _ in range(8):
        outcome = chain.build()
        assert [key for key, _ in outcome.changes if not key.startswith(allowed)] == []
        chain.adopt(outcome)


def test_after_an_epoch_the_cursor_renews_all_items() -> None:
    chain = SmallChain(config=EPOCHS, items=tuple("abcdefg"))
    chain.block(("Alice", submit_ratings([(item, 1 + item % 5) for item in range(4)])))
    while chain.view.record.is_pending:
        chain.block()
    stale = [item for item, posterior in ITEM_POSTERIORS.items(chain.state) if posterior.generation == 0]
    assert stale
    for _ in range(4):
        chain.block()
    assert {posterior.generation for _, posterior in ITEM_POSTERIORS.items(chain.state)} == {1}


def test_a_new_generation_alone_renews_a_commitment() -> None:
    """Taking a change back in its block leaves the model as it is, under the number of another freeze."""
    chain = SmallChain(config=replace(INLINE, item_commits_per_block=64), items=("a", "b"))
    chain.block(("Alice", submit_rating(0, 5)))
    before = {item: as_tuple(posterior) for item, posterior in ITEM_POSTERIORS.items(chain.state)}
    chain.block(("Bob", submit_rating(0, 1)), ("Bob", retract_rating(0)))
    for item, posterior in ITEM_POSTERIORS.items(chain.state):
        assert as_tuple(posterior) == before[item]
        assert (posterior.generation, posterior.block) == (2, 2)


def test_no_commitments_in_turn_if_the_chain_wants_none() -> None:
    chain = SmallChain(config=replace(EPOCHS, item_commits_per_block=0), items=tuple("abc"))
    chain.block(("Alice", submit_rating(1, 5)))
    chain.block()
    assert [item for item, _ in ITEM_POSTERIORS.items(chain.state)] == [1]


def test_a_chain_without_items_and_one_that_gets_its_first_are_fine() -> None:
    chain = SmallChain(config=EPOCHS, items=())
    chain.block(("Alice", get_prediction(0)))
    assert list(ITEM_POSTERIORS.items(chain.state)) == []
    chain.block(("Alice", register_item("first")))
    assert [item for item, _ in ITEM_POSTERIORS.items(chain.state)] == [0]


def test_a_posterior_has_the_layout_of_its_declared_types() -> None:
    posterior = Posterior(np.array([1, -1], "<i4"), np.array([2, 3, 4], "<i4"), 5, 6, BlockNumber(7))
    assert POSTERIOR.encode(posterior).hex() == ("0801000000ffffffff0c020000000300000004000000050000000600000007000000")


@given(st.integers(1, 12), st.integers(0, 4), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_many_posteriors_are_encoded_as_each_of_them(dimension: int, count: int, generation: int, block: int) -> None:
    constants, random = ModelParameters(dimension=dimension), np.random.default_rng(dimension)

    def integers(*shape: int) -> I32:
        return random.integers(-(2**31), 2**31 - 1, shape, endpoint=True).astype(np.int32)

    mean, covariance, precision = integers(count, constants.width), integers(count, constants.packed), integers(count)
    encoded = encode_posteriors(mean, covariance, precision, Model(active=generation), BlockNumber(block))
    plain = [
        Posterior(mean[line], covariance[line], int(precision[line]), generation, BlockNumber(block))
        for line in range(count)
    ]
    assert encoded == [POSTERIOR.encode(posterior) for posterior in plain]
    later = encode_posteriors(mean, covariance, precision, Model(active=generation), BlockNumber(block ^ 1))
    assert [without_block(posterior) for posterior in encoded] == [without_block(posterior) for posterior in later]
