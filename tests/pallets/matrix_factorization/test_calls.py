"""Every call, through the real runtime: what it does and is charged, and each way in which it fails."""

from dataclasses import replace

import pytest

from pallets.matrix_factorization import errors
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import ITEMS, MODEL, RATINGS
from runtime.executive import BASE_EXTRINSIC_WEIGHT
from runtime.interface.errors import DispatchError, InvalidTransaction
from runtime.primitives import AccountId
from tests.support.events import events_of
from tests.support.small_chain import (
    LIKES,
    PAIRS,
    SmallChain,
    get_prediction,
    register_item,
    retract_rating,
    submit_rating,
    submit_ratings,
)

ALICE = PAIRS["Alice"].public


def ratings_of(chain: SmallChain, account: AccountId = ALICE) -> dict[int, int]:
    return dict(RATINGS.get(chain.state, account).entries.tolist())


def test_a_rating_is_stored_counted_and_told() -> None:
    chain = SmallChain()
    assert chain.block(("Alice", submit_rating(3, 1))) == (None,)
    assert ratings_of(chain) == {3: 1}
    model = MODEL.get(chain.state)
    assert (model.ratings, model.users, model.last_change) == (1, 1, 1)
    assert events_of(chain)[1] == [
        ("MatrixFactorization", "RatingSubmitted", {"account": ALICE, "item": 3, "rating": 1}),
        ("System", "NewAccount", {"account": ALICE}),
    ]


def test_rating_again_replaces() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(3, 1)))
    chain.block(("Alice", submit_rating(3, -1)))
    assert ratings_of(chain) == {3: -1}
    assert MODEL.get(chain.state).ratings == 1


def test_the_same_rating_again_changes_nothing_but_is_told() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(3, 1)))
    before = MODEL.get(chain.state)
    chain.block(("Alice", submit_rating(3, 1)))
    assert MODEL.get(chain.state) == before
    assert events_of(chain)[1][0][1] == "RatingSubmitted"


def test_a_batch_is_stored_whole() -> None:
    chain = SmallChain()
    assert chain.block(("Alice", submit_ratings([(0, 1), (1, -1), (2, 1)]))) == (None,)
    assert ratings_of(chain) == {0: 1, 1: -1, 2: 1}
    assert MODEL.get(chain.state).ratings == 3


def test_one_bad_rating_fails_its_whole_batch() -> None:
    chain = SmallChain()
    assert chain.block(("Alice", submit_ratings([(0, 1), (99, 1)]))) == (errors.ITEM_DOES_NOT_EXIST,)
    assert ratings_of(chain) == {}
    assert MODEL.get(chain.state).ratings == 0


def test_a_retraction_removes_the_rating_and_an_account_without_ratings_leaves_no_entry() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(3, 1)))
    assert chain.block(("Alice", retract_rating(3))) == (None,)
    assert ratings_of(chain) == {}
    model = MODEL.get(chain.state)
    assert (model.ratings, model.users) == (0, 0)
    assert events_of(chain)[1] == [("MatrixFactorization", "RatingRetracted", {"account": ALICE, "item": 3})]
    assert chain.view.read().users.get(ALICE) is None


def test_what_was_retracted_is_unlearned_bit_for_bit() -> None:
    chain, twin = SmallChain(), SmallChain()
    for each in (chain, twin):
        each.block(("Alice", submit_rating(0, 1)), ("Bob", submit_ratings([(0, 1), (1, 1)])))
    chain.block(("Charlie", submit_ratings([(0, -1), (1, -1), (2, 1)])))
    chain.block(*(("Charlie", retract_rating(item)) for item in (0, 1, 2)))
    assert chain.view.read().digest() == twin.view.read().digest()


def test_a_registered_item_gets_the_next_id() -> None:
    chain = SmallChain(items=("first",))
    assert chain.block(("Alice", register_item("Zweiter Titel ✓"))) == (None,)
    entry = ITEMS.find(chain.state, 1)
    assert entry is not None
    assert (entry.title, entry.registrar) == ("Zweiter Titel ✓", ALICE)
    assert chain.block(("Bob", submit_rating(1, 1))) == (None,)
    assert chain.view.read().items.raters.tolist() == [0, 1]


def test_a_prediction_is_told_on_the_scale_of_the_seed() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(0, 1)), ("Bob", submit_ratings([(0, 1), (1, 1)])))
    assert chain.block(("Alice", get_prediction(1))) == (None,)
    ((pallet, event, fields),) = events_of(chain)[1]
    assert (pallet, event, fields["item"]) == ("MatrixFactorization", "PredictionObtained", 1)
    assert fields["prediction"] / 2**24 == pytest.approx(0.3025, abs=5e-5)


def test_a_prediction_knows_of_ratings_earlier_in_its_block() -> None:
    apart, together = SmallChain(), SmallChain()
    ratings = (("Bob", submit_ratings([(0, 1), (1, 1)])), ("Alice", submit_rating(0, 1)))
    together.block(*ratings, ("Alice", get_prediction(1)))
    before = SmallChain()
    before.block(("Alice", get_prediction(1)))
    apart.block(*ratings)
    predictions = [event[2]["prediction"] for event in events_of(together)[3] if event[1] == "PredictionObtained"]
    alone = [event[2]["prediction"] for event in events_of(before)[1] if event[1] == "PredictionObtained"]
    assert predictions[0] > alone[0] + 1000
    assert together.view.read().digest() == apart.view.read().digest()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (submit_rating(16, 1), errors.ITEM_DOES_NOT_EXIST),
        (submit_rating(2**64 - 1, 1), errors.ITEM_DOES_NOT_EXIST),
        (submit_rating(0, 0), errors.RATING_OUT_OF_RANGE),
        (submit_rating(0, 2), errors.RATING_OUT_OF_RANGE),
        (submit_rating(0, -(2**63)), errors.RATING_OUT_OF_RANGE),
        (submit_ratings([]), errors.EMPTY_BATCH),
        (retract_rating(0), errors.NOT_RATED),
        (retract_rating(16), errors.ITEM_DOES_NOT_EXIST),
        (get_prediction(16), errors.ITEM_DOES_NOT_EXIST),
        (register_item("x" * 129), errors.TITLE_TOO_LONG),
    ],
)
def test_a_call_that_fails_says_why_and_costs_its_sender_the_nonce_only(call: bytes, error: DispatchError) -> None:
    chain = SmallChain()
    before = MODEL.get(chain.state)
    assert chain.block(("Alice", call)) == (error,)
    assert MODEL.get(chain.state) == before
    assert chain.runtime.system.nonce(chain.state, ALICE) == 1
    assert events_of(chain)[1][-1][1] == "NewAccount"


def test_an_account_has_a_bounded_number_of_ratings() -> None:
    chain = SmallChain(config=Config(LIKES, max_ratings_per_user=2))
    assert chain.block(("Alice", submit_ratings([(0, 1), (1, 1), (2, 1)]))) == (errors.TOO_MANY_RATINGS,)
    assert chain.block(("Alice", submit_ratings([(0, 1), (1, 1)])), ("Alice", submit_rating(0, -1))) == (
        None,
        None,
    )
    assert ratings_of(chain) == {0: -1, 1: 1}


def test_a_chain_has_a_bounded_number_of_items() -> None:
    chain = SmallChain(items=("only",), config=Config(LIKES, max_items=1))
    assert chain.block(("Alice", register_item("another"))) == (errors.TOO_MANY_ITEMS,)


def test_a_registration_beyond_the_bound_of_a_block_waits_for_the_next() -> None:
    chain = SmallChain(items=(), config=Config(LIKES, max_items_per_block=2))
    calls = [chain.sign("Alice", register_item(str(item)), item) for item in range(3)]
    with pytest.raises(InvalidTransaction, match=r"^Transaction would exhaust the block limits$"):
        chain.build(*calls)
    chain.adopt(chain.build(*calls[:2]))
    chain.adopt(chain.build(calls[2]))
    assert chain.view.read().items.size == 3


# What calls are charged for beside the base of an extrinsic, in picoseconds.

US = 1_000_000
# Learned in the block after a freeze; which comes when a quarter has changed.
EPOCHS = Config(
    LIKES,
    model=ModelParameters(dimension=1, sweeps=1),
    inline_rebuild_limit=0,
    quiet_blocks=1_000,
    ratings_per_delay_block=1_000_000,
)


def charged(chain: SmallChain, *calls: tuple[str, bytes]) -> list[int]:
    """Make calls the next block; return what each weighs."""
    execution = chain.runtime.open_block(chain.state, chain.head, chain.view)
    chain.time += 1
    execution.apply_inherents({"milliseconds": chain.time})
    weights, ahead = [], dict.fromkeys(PAIRS, 0)
    for name, call in calls:
        before = execution.weight
        assert execution.apply(chain.runtime.prepare(chain.sign(name, call, ahead[name]))) is None
        weights.append(execution.weight - before - BASE_EXTRINSIC_WEIGHT)
        ahead[name] += 1
    chain.adopt(execution.finalize(chain.trie))
    return weights


@pytest.fixture
def ten() -> SmallChain:
    """Return a chain whose epoch in force has learned from ten ratings of Alice's."""
    chain = SmallChain(config=EPOCHS)
    chain.block(("Alice", submit_ratings([(item, 1) for item in range(10)])))
    chain.block()
    assert MODEL.get(chain.state).active == 1
    return chain


def test_ratings_are_charged_for_the_list_that_they_touch_once_a_block() -> None:
    assert charged(
        SmallChain(config=EPOCHS),
        ("Alice", submit_rating(0, 1)),
        ("Alice", submit_rating(1, 1)),
        ("Bob", submit_ratings([(0, 1), (1, 1), (2, 1)])),
        ("Alice", retract_rating(0)),
    ) == [
        90 * US + 100 * US + 1 * (5_000 + 2_000) + 2 * 2_500_000,
        90 * US + 2 * (5_000 + 2_000),
        170 * US + 100 * US + 3 * (5_000 + 3 * 2_000) + 2 * 3 * 2_500_000,
        90 * US + 2 * (5_000 + 2_000),
    ]


def test_a_list_that_the_epoch_in_force_knows_is_charged_once_and_another_twice(ten: SmallChain) -> None:
    assert charged(
        ten, ("Alice", submit_rating(10, 1)), ("Bob", submit_rating(3, 1)), ("Bob", submit_rating(4, 1))
    ) == [
        90 * US + 11 * (5_000 + 2_000) + 11 * 2_500_000,
        90 * US + 100 * US + (5_000 + 2_000) + 2 * 2_500_000,
        90 * US + 2 * (5_000 + 2_000),
    ]


def test_changes_of_half_a_list_are_charged_as_those_of_an_unknown_one(ten: SmallChain) -> None:
    # As many as there are changes may be new, before they have been looked for.
    weight = 250 * US + 15 * (5_000 + 5 * 2_000) + 2 * 15 * 2_500_000
    assert charged(ten, ("Alice", submit_ratings([(item, -1) for item in range(5)]))) == [weight]


def test_remembered_values_are_charged_too(ten: SmallChain) -> None:
    changes = submit_ratings([(0, -1), (1, -1)])
    first = 130 * US + 12 * (5_000 + 2 * 2_000) + 12 * 2_500_000
    second = 90 * US + 12 * (5_000 + 2_000) + 10 * 2_500_000 + 2 * 500_000
    assert charged(ten, ("Alice", changes)) == [first]
    assert charged(ten, ("Alice", retract_rating(2))) == [second]


def test_a_block_that_puts_an_epoch_in_force_is_charged_for_following_both(ten: SmallChain) -> None:
    ten.block(("Bob", submit_ratings([(0, 1), (1, 1), (2, 1)])))
    record = MODEL.get(ten.state)
    assert (record.is_pending, record.due) == (True, ten.head.number + 1)
    assert charged(ten, ("Bob", retract_rating(0)), ("Alice", retract_rating(0))) == [
        # The epoch about to come knows Bob's three ratings.
        90 * US + 3 * (5_000 + 2_000) + (2 + 1) * 3 * 2_500_000,
        90 * US + 10 * (5_000 + 2_000) + (1 + 1) * 10 * 2_500_000,
    ]


def test_a_block_before_that_is_charged_for_the_epoch_in_force() -> None:
    slow = SmallChain(config=replace(EPOCHS, ratings_per_delay_block=1))
    slow.block(("Alice", submit_ratings([(item, 1) for item in range(10)])))
    record = MODEL.get(slow.state)
    assert record.is_pending
    assert record.due > slow.head.number + 1
    # No epoch in force knows it; the one that is pending does.
    assert charged(slow, ("Alice", retract_rating(0))) == [90 * US + 10 * (5_000 + 2_000) + 2 * 10 * 2_500_000]


def test_predictions_are_charged_for_their_own_list_and_for_what_they_make_the_block_follow(ten: SmallChain) -> None:
    following = 1_000 * US + 16 * 2_000
    assert charged(
        ten,
        ("Alice", get_prediction(12)),
        ("Alice", submit_rating(10, 1)),
        ("Bob", submit_rating(0, 1)),
        ("Charlie", get_prediction(12)),
        ("Charlie", get_prediction(13)),
        ("Alice", get_prediction(12)),
    )[0::3] + charged(ten, ("Charlie", get_prediction(13))) == [
        400 * US + 10 * 2_500_000,
        400 * US + (11 + 2 * 1) * 2_500_000 + following,
        400 * US,
    ]
    assert charged(ten, ("Bob", submit_rating(1, 1)), ("Alice", get_prediction(12)), ("Alice", get_prediction(13)))[
        1:
    ] == [400 * US + (2 * 2 + 11) * 2_500_000 + following, 400 * US + 11 * 2_500_000]


def test_a_model_of_more_features_is_charged_for_solving_larger_systems() -> None:
    config = replace(EPOCHS, model=ModelParameters(dimension=16, sweeps=1))
    # 17 pivots over 153 entries instead of 9 over 45.
    assert charged(SmallChain(config=config), ("Alice", submit_rating(0, 1)), ("Alice", get_prediction(1))) == [
        sum(part * US * 2_601 // 405 for part in (90, 100)) + 2 * (2_500_000 * 2_601 // 405) + 5_000 + 2_000,
        sum(part * US * 2_601 // 405 for part in (400, 1_000)) + 3 * 2_500_000 * 2_601 // 405 + 16 * 2_000,
    ]
