"""Every call, through the real runtime: what it does, and each way in which it fails."""

import pytest

from pallets.matrix_factorization import errors
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.storage import ITEMS, MODEL, RATINGS
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
