"""The answers of the mf_* calls, member by member, now and at earlier blocks."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from node.model_queries import ModelQueries
from pallets.matrix_factorization.fixed_point import square_index
from pallets.matrix_factorization.posterior import ItemPosteriors, UserPosteriors
from pallets.matrix_factorization.predict import INTERVAL_90, predict
from rpc.errors import RpcError
from rpc.service import RecommendOptions, RecommendOrder
from runtime.keys import ss58_encode
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, BlockRef, Hash, to_hex
from storage.columns import FINALIZED
from storage.records import encode_finalized
from tests.support.node_chain import SMALL, NodeChain, small_spec
from tests.support.small_chain import LIKES, PAIRS, register_item, retract_rating, submit_rating, submit_ratings

ALICE, BOB, DAVE = (PAIRS[name].public for name in ("Alice", "Bob", "Dave"))
Q20 = 2.0**20


@pytest.fixture
def node() -> NodeChain:
    """Ratings of three accounts, learned in epochs of which none is pending; the last rating came after it."""
    node = NodeChain()
    node.block(("Alice", submit_ratings([(0, 5), (1, 1), (2, 4)])), ("Bob", submit_ratings([(0, 5), (3, 5)])))
    while node.chain.is_learning:
        node.block()
    node.block(("Charlie", submit_rating(0, 2)), ("Bob", register_item("ninth")))
    return node


@pytest.fixture
def queries(node: NodeChain) -> ModelQueries:
    return ModelQueries(node.chain)


def head_json(node: NodeChain) -> dict[str, object]:
    best = node.chain.snapshot.best
    return {"hash": to_hex(best.hash), "number": best.number}


def user_of(node: NodeChain, account: AccountId) -> UserPosteriors:
    return node.chain.snapshot.model.posteriors([account])


def item_of(node: NodeChain, item: int) -> ItemPosteriors:
    return node.chain.snapshot.model.items.posteriors(np.array([item]))


def plain(answer: object) -> Any:
    """The answer as JSON carries it; refuses what JSON has no form for."""
    return json.loads(json.dumps(answer, allow_nan=False))


def test_a_prediction_has_every_member(node: NodeChain, queries: ModelQueries) -> None:
    found = predict(user_of(node, ALICE), item_of(node, 3))
    mean, variance = int(found.mean[0]), int(found.variance[0])
    middle, deviation = 3 + 2 * mean / Q20, 2 * np.sqrt(variance / Q20)
    answer = plain(queries.predict(ALICE, 3, None))
    assert answer == {
        "item": 3,
        "title": "d",
        "mean": pytest.approx(middle, rel=1e-12),
        "std": pytest.approx(deviation, rel=1e-12),
        "interval90": [
            pytest.approx(max(middle - INTERVAL_90 * deviation, 1.0), rel=1e-12),
            pytest.approx(min(middle + INTERVAL_90 * deviation, 5.0), rel=1e-12),
        ],
        "rated": None,
        "userRatings": 3,
        "itemRatings": 1,
        "canonical": False,
        "block": head_json(node),
        "raw": {"mean": str(mean), "variance": str(variance), "fractionalBits": 20},
    }
    assert list(answer) == [
        "item",
        "title",
        "mean",
        "std",
        "interval90",
        "rated",
        "userRatings",
        "itemRatings",
        "canonical",
        "block",
        "raw",
    ]
    assert 1.0 <= answer["interval90"][0] < answer["mean"] < answer["interval90"][1] <= 5.0


def test_a_prediction_of_a_rated_item_says_the_rating(queries: ModelQueries) -> None:
    answers = [plain(queries.predict(account, 0, None)) for account in (ALICE, BOB, DAVE)]
    assert [answer["rated"] for answer in answers] == [5, 5, None]
    assert [answer["userRatings"] for answer in answers] == [3, 2, 0]
    assert [answer["itemRatings"] for answer in answers] == [3, 3, 3]


def test_means_and_intervals_stay_on_the_scale() -> None:
    config = replace(SMALL, scale=LIKES, inline_rebuild_limit=1_000)
    node = NodeChain(small_spec(config))
    for name in ("Bob", "Charlie", "Dave", "Eve"):
        node.block((name, submit_ratings([(item, 1 if item == 0 else -1) for item in range(8)])))
    node.block(("Alice", submit_ratings([(item, 1) for item in range(1, 8)])))
    answer = plain(ModelQueries(node.chain).predict(ALICE, 0, None))
    assert int(answer["raw"]["mean"]) > 2**20
    assert (answer["mean"], answer["interval90"][1]) == (1.0, 1.0)
    assert answer["canonical"] is True


def test_a_batch_answers_every_pair_in_its_order(node: NodeChain, queries: ModelQueries) -> None:
    accounts, items = [BOB, ALICE, BOB, DAVE], [1, 3, 0, 8]
    answer = plain(queries.predict_batch(accounts, items, None))
    single = [plain(queries.predict(account, item, None)) for account, item in zip(accounts, items, strict=True)]
    assert answer == {
        "mean": [each["mean"] for each in single],
        "std": [each["std"] for each in single],
        "block": head_json(node),
    }
    assert plain(queries.predict_batch([], [], None)) == {"mean": [], "std": [], "block": head_json(node)}


def test_recommendations_leave_out_what_was_rated_and_are_sorted(queries: ModelQueries) -> None:
    answer = plain(queries.recommend(ALICE, 100, RecommendOptions(), None))
    assert sorted(each["item"] for each in answer) == [3, 4, 5, 6, 7, 8]
    raw = [int(each["raw"]["mean"]) for each in answer]
    assert raw == sorted(raw, reverse=True)
    assert answer[0] == plain(queries.predict(ALICE, answer[0]["item"], None))
    assert plain(queries.recommend(ALICE, 2, RecommendOptions(), None)) == answer[:2]
    assert plain(queries.recommend(ALICE, 0, RecommendOptions(), None)) == []


def test_recommendations_can_include_what_was_rated(queries: ModelQueries) -> None:
    answer = plain(queries.recommend(ALICE, 100, RecommendOptions(include_rated=True), None))
    assert sorted(each["item"] for each in answer) == list(range(9))
    assert {each["item"]: each["rated"] for each in answer if each["rated"]} == {0: 5, 1: 1, 2: 4}


@pytest.mark.parametrize(("least", "items"), [(0, [0, 1, 2, 3, 4, 5, 6, 7, 8]), (1, [0, 1, 2, 3]), (3, [0]), (4, [])])
def test_recommendations_can_ask_for_ratings(queries: ModelQueries, least: int, items: list[int]) -> None:
    answer = plain(queries.recommend(DAVE, 100, RecommendOptions(min_ratings=least), None))
    assert sorted(each["item"] for each in answer) == items


@pytest.mark.parametrize(("order", "sign"), [(RecommendOrder.OPTIMISTIC, 1), (RecommendOrder.PESSIMISTIC, -1)])
def test_recommendations_weigh_the_spread(queries: ModelQueries, order: RecommendOrder, sign: int) -> None:
    answer = plain(queries.recommend(BOB, 100, RecommendOptions(order=order), None))
    raw = [(int(each["raw"]["mean"]), int(each["raw"]["variance"]), each["item"]) for each in answer]
    score = [(-(mean / Q20 + sign * (variance / Q20) ** 0.5), item) for mean, variance, item in raw]
    assert score == sorted(score)
    by_mean = plain(queries.recommend(BOB, 100, RecommendOptions(), None))
    assert {each["item"] for each in by_mean} == {each["item"] for each in answer}


def test_equal_predictions_come_by_ascending_item() -> None:
    config = replace(SMALL, model=replace(SMALL.model, amplitude_ppm=0))
    queries = ModelQueries(NodeChain(small_spec(config)).chain)
    for order in RecommendOrder:
        answer = plain(queries.recommend(ALICE, 5, RecommendOptions(order=order), None))
        assert len({each["raw"]["mean"] for each in answer}) == 1
        assert [each["item"] for each in answer] == [0, 1, 2, 3, 4]


def test_similar_items_are_those_of_the_nearest_direction(node: NodeChain, queries: ModelQueries) -> None:
    features = node.chain.snapshot.model.items.mean[:, 1:].astype(float)
    answer = plain(queries.similar_items(0, 100, None))
    assert sorted(each["item"] for each in answer) == [1, 2, 3], "nobody has rated the others"
    for each in answer:
        other = features[each["item"]]
        cosine = features[0] @ other / np.linalg.norm(features[0]) / np.linalg.norm(other)
        assert each == {
            "item": each["item"],
            "title": "abcd"[each["item"]],
            "similarity": pytest.approx(cosine, abs=1e-12),
        }
    similarity = [each["similarity"] for each in answer]
    assert similarity == sorted(similarity, reverse=True)
    assert plain(queries.similar_items(0, 2, None)) == answer[:2]


def test_nothing_is_similar_to_an_item_that_nobody_has_rated(node: NodeChain, queries: ModelQueries) -> None:
    assert plain(queries.similar_items(4, 100, None)) == []
    node.block(("Bob", retract_rating(3)))
    assert plain(queries.similar_items(3, 100, None)) == []
    assert sorted(each["item"] for each in plain(queries.similar_items(0, 100, None))) == [1, 2]


def spread(covariance: np.ndarray) -> list[float]:
    return [float(np.sqrt(covariance[index] / Q20)) for index in square_index(3).diagonal()]


def test_an_item_says_what_is_known_of_it(node: NodeChain, queries: ModelQueries) -> None:
    posterior = item_of(node, 8)
    centre, deviation = (posterior.mean[0] / Q20).tolist(), spread(posterior.covariance[0])
    assert plain(queries.item(8, None)) == {
        "item": 8,
        "title": "ninth",
        "registrar": ss58_encode(BOB),
        "ratings": 0,
        "bias": {"mean": centre[0], "std": deviation[0]},
        "features": {"mean": centre[1:], "std": deviation[1:]},
        "raw": {
            "mean": posterior.mean[0].tolist(),
            "covariance": posterior.covariance[0].tolist(),
            "fractionalBits": 20,
        },
        "block": head_json(node),
    }
    first = plain(queries.item(0, None))
    assert (first["title"], first["registrar"], first["ratings"]) == ("a", None, 3)


def test_items_come_in_pages(queries: ModelQueries) -> None:
    whole = plain(queries.items(0, 100, None))
    assert whole["total"] == 9
    assert [each["item"] for each in whole["items"]] == list(range(9))
    for each in whole["items"]:
        known = plain(queries.item(each["item"], None))
        assert each == {name: known[name] for name in ("item", "title", "ratings", "bias")}
    assert plain(queries.items(2, 3, None)) == {"total": 9, "items": whole["items"][2:5]}
    assert plain(queries.items(8, 5, None))["items"] == whole["items"][8:]
    for start in (9, 10**12, 2**63, 2**64 - 1):
        assert plain(queries.items(start, 5, None)) == {"total": 9, "items": []}


def test_a_user_says_what_is_known_of_it(node: NodeChain, queries: ModelQueries) -> None:
    posterior = user_of(node, ALICE)
    centre, deviation = (posterior.mean[0] / Q20).tolist(), spread(posterior.covariance[0])
    assert plain(queries.user(ALICE, None)) == {
        "account": ss58_encode(ALICE),
        "ratings": [
            {"item": 0, "title": "a", "rating": 5},
            {"item": 1, "title": "b", "rating": 1},
            {"item": 2, "title": "c", "rating": 4},
        ],
        "bias": {"mean": centre[0], "std": deviation[0]},
        "features": {"mean": centre[1:], "std": deviation[1:]},
        "noise": pytest.approx((posterior.precision[0] / Q20) ** -0.5, rel=1e-12),
        "block": head_json(node),
    }


def test_who_never_rated_has_the_prior(node: NodeChain, queries: ModelQueries) -> None:
    learned = node.chain.snapshot.model.frozen.prior.hyperparameters
    answer = plain(queries.user(DAVE, None))
    assert answer["ratings"] == []
    assert [answer["bias"]["mean"], *answer["features"]["mean"]] == pytest.approx(
        (learned.user_mean / Q20).tolist(), abs=2**-19
    )


def test_ratings_of_a_user_come_by_item_whatever_the_order_of_the_list(node: NodeChain, queries: ModelQueries) -> None:
    node.block(("Alice", retract_rating(0)), ("Alice", submit_rating(7, 2)), ("Alice", submit_rating(0, 3)))
    assert [each["item"] for each in plain(queries.user(ALICE, None))["ratings"]] == [0, 1, 2, 7]


def test_the_model_as_a_whole(node: NodeChain, queries: ModelQueries) -> None:
    model = node.chain.snapshot.model
    learned = model.frozen.prior.hyperparameters
    squares = square_index(3)
    answer = plain(queries.model(None))
    assert answer == {
        "ratings": 6,
        "users": 3,
        "items": 9,
        "dimension": 2,
        "scale": {"min": 1, "max": 5, "step": 1, "labels": {}},
        "canonical": False,
        "epoch": 1,
        "ratingsSinceEpoch": 1,
        "pendingEpoch": None,
        "digest": to_hex(model.digest()),
        "hyperparameters": {
            "userMean": (learned.user_mean / Q20).tolist(),
            "userCovariance": (learned.user_covariance / Q20)[squares].tolist(),
            "itemBias": learned.item_bias / Q20,
            "itemCovariance": (learned.item_covariance / Q20)[squares].tolist(),
            "precisionRate": learned.precision_rate / Q20,
        },
        "block": head_json(node),
    }
    assert answer["hyperparameters"]["userCovariance"][0][1] == answer["hyperparameters"]["userCovariance"][1][0]


def test_a_pending_epoch_is_told_and_what_changed_since_its_freeze() -> None:
    node = NodeChain()
    queries = ModelQueries(node.chain)
    node.block(("Alice", submit_ratings([(item, 5) for item in range(6)])))
    node.block(("Bob", submit_ratings([(0, 1), (1, 1)])))
    answer = plain(queries.model(None))
    assert answer["pendingEpoch"] == {"epoch": 1, "due": 3}
    assert (answer["epoch"], answer["ratingsSinceEpoch"], answer["canonical"]) == (0, 2, False)
    node.block()
    answer = plain(queries.model(None))
    assert (answer["epoch"], answer["ratingsSinceEpoch"], answer["pendingEpoch"]) == (1, 2, None)


def test_labels_of_ratings_are_told() -> None:
    labels = (("1", "bad"), ("5", "good"))
    node = NodeChain(replace(small_spec(), rating_labels=labels))
    assert plain(ModelQueries(node.chain).model(None))["scale"]["labels"] == {"1": "bad", "5": "good"}


def test_at_rest_the_digest_is_that_of_the_chain(node: NodeChain, queries: ModelQueries) -> None:
    while node.chain.is_learning:
        node.block()
    answer = plain(queries.model(None))
    assert (answer["canonical"], answer["ratingsSinceEpoch"]) == (True, 0)
    model = node.chain.snapshot.model
    assert answer["digest"] == to_hex(model.record.digest) == to_hex(model.digest())


def test_a_digest_off_rest_is_computed_once_a_block(
    node: NodeChain, queries: ModelQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plain(queries.model(None))["digest"]
    calls = []
    monkeypatch.setattr("pallets.matrix_factorization.phi.model_digest", lambda *_: calls.append(1) or ZERO_HASH)
    assert plain(queries.model(None))["digest"] == first
    assert calls == []
    node.block(("Alice", submit_rating(4, 1)))
    for _ in range(2):
        assert plain(queries.model(None))["digest"] == to_hex(ZERO_HASH)
    assert calls == [1]


# Earlier blocks.


def everything(queries: ModelQueries, at: bytes | None) -> list[Any]:
    block = None if at is None else Hash(at)
    options = RecommendOptions(include_rated=True)
    return [
        plain(answer)
        for answer in (
            queries.predict(ALICE, 0, block),
            queries.predict_batch([ALICE, BOB], [1, 0], block),
            queries.recommend(BOB, 5, options, block),
            queries.similar_items(0, 3, block),
            queries.item(0, block),
            queries.items(0, 10, block),
            queries.user(ALICE, block),
            queries.model(block),
        )
    ]


def test_an_earlier_block_answers_what_it_answered_then() -> None:
    node = NodeChain()
    queries = ModelQueries(node.chain)
    answers = [everything(queries, None)]
    for calls in (
        [("Alice", submit_ratings([(item, 1 + item % 5) for item in range(5)]))],
        [("Bob", submit_rating(0, 1)), ("Bob", register_item("ninth"))],
        [("Alice", retract_rating(0)), ("Bob", submit_ratings([(2, 2), (8, 4)]))],
        [],
        [("Alice", submit_rating(0, 2))],
        [],
        [],
        [],
    ):
        node.block(*calls)
        answers.append(everything(queries, None))
    assert len({answer[-1]["epoch"] for answer in answers}) > 2
    fresh = ModelQueries(node.chain)
    for number in (3, 0, 8, 5, 1, 2, 7, 4, 6):
        assert everything(fresh, node.hash_at(number)) == answers[number], number


def refused(queries: ModelQueries, at: bytes) -> list[dict[str, object]]:
    """The error of every method at a block."""
    block = Hash(at)
    errors = []
    for ask in (
        lambda: queries.predict(ALICE, 0, block),
        lambda: queries.predict_batch([ALICE], [0], block),
        lambda: queries.recommend(ALICE, 1, RecommendOptions(), block),
        lambda: queries.similar_items(0, 1, block),
        lambda: queries.item(0, block),
        lambda: queries.items(0, 1, block),
        lambda: queries.user(ALICE, block),
        lambda: queries.model(block),
    ):
        with pytest.raises(RpcError) as caught:
            ask()
        errors.append(caught.value.to_json())
    return errors


def test_a_block_that_nobody_knows_is_named(queries: ModelQueries) -> None:
    block = to_hex(ZERO_HASH)
    data = {"reason": "UnknownBlock", "block": block}
    expected = {"code": 8002, "message": f"block {block} is unknown", "data": data}
    assert refused(queries, ZERO_HASH) == [expected] * 8


@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_block_whose_state_is_gone_is_named_even_if_its_model_is_remembered(number: int) -> None:
    node = NodeChain(pruning=1)
    for _ in range(6):
        node.block()
    queries = ModelQueries(node.chain)
    block = to_hex(node.hash_at(number))
    data = {"reason": "StatePruned", "block": block}
    message = f"the state of block {block} is not kept any more"
    assert refused(queries, node.hash_at(number)) == [{"code": 8003, "message": message, "data": data}] * 8
    assert plain(queries.model(node.hash_at(5)))["block"]["number"] == 5


def test_a_block_that_was_taken_back_is_not_answered_for() -> None:
    node = NodeChain()
    first, second = node.block(("Alice", submit_rating(0, 5))), node.block(("Alice", submit_rating(1, 5)))
    node.store.write([(FINALIZED, encode_finalized(BlockRef(BlockNumber(0), node.hash_at(0))))], sync=True)
    node.open()
    queries = ModelQueries(node.chain)
    node.chain.revert()
    assert [error["code"] for error in refused(queries, second)] == [8003] * 8
    assert plain(queries.model(None))["block"] == {"hash": to_hex(first), "number": 1}


def test_items_that_do_not_exist_are_named(node: NodeChain, queries: ModelQueries) -> None:
    for ask, details in (
        (lambda: queries.predict(ALICE, 9, None), {"item": 9}),
        (lambda: queries.predict_batch([ALICE, ALICE, BOB], [0, 9, 10], None), {"item": 9, "index": 1}),
        (lambda: queries.similar_items(9, 1, None), {"item": 9}),
        (lambda: queries.item(9, None), {"item": 9}),
        (lambda: queries.item(2**64 - 1, None), {"item": str(2**64 - 1)}),
        (lambda: queries.predict(ALICE, 8, node.hash_at(1)), {"item": 8}),
    ):
        with pytest.raises(RpcError) as caught:
            ask()
        assert caught.value.to_json() == {
            "code": 8001,
            "message": f"item {details['item']} does not exist",
            "data": {"reason": "UnknownItem", **details},
        }


def test_a_chain_without_items_answers_too() -> None:
    queries = ModelQueries(NodeChain(small_spec(items=())).chain)
    assert plain(queries.items(0, 10, None)) == {"total": 0, "items": []}
    assert plain(queries.recommend(ALICE, 10, RecommendOptions(), None)) == []
    assert plain(queries.model(None))["items"] == 0
