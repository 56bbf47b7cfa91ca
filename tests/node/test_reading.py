"""Prepared rows answer as the model itself does, however many users and items there are, from any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from node.model_queries import ModelQueries
from node.reading import PreparedModel
from pallets.matrix_factorization.posterior import UserPosteriors
from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.view import ReadModel
from runtime.primitives import AccountId, Hash
from tests.support.node_chain import NodeChain, small_spec
from tests.support.small_chain import PAIRS, register_item, submit_rating, submit_ratings

NAMES = tuple(PAIRS)
ACCOUNTS = [pair.public for pair in PAIRS.values()]


@pytest.fixture(scope="module")
def node() -> NodeChain:
    """Ratings of four accounts of eleven items."""
    node = NodeChain(small_spec(items=tuple("abcdefghijk")))
    for index, name in enumerate(NAMES[:4]):
        node.block((name, submit_ratings([(item, 1 + (item * index) % 5) for item in range(index, 11, 1 + index)])))
    return node


@pytest.fixture(autouse=True)
def _small_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.reading.CHUNK", 4)
    monkeypatch.setattr("node.reading.MOST_USERS", 3)


def plain(model: ReadModel, accounts: list[AccountId], items: list[int]) -> tuple[list[int], list[int]]:
    """Return what the formula itself says."""
    unique = sorted(set(accounts))
    users = model.posteriors(unique)
    lines = [unique.index(account) for account in accounts]
    paired = UserPosteriors(users.mean[lines], users.covariance[lines], users.precision[lines])
    found = predict(paired, model.items.posteriors(np.array(items, np.int64)))
    return found.mean.tolist(), found.variance.tolist()


def draw_pairs(seed: int, count: int) -> tuple[list[AccountId], list[int]]:
    draw = np.random.default_rng(seed)
    accounts = [ACCOUNTS[index] for index in draw.integers(0, len(ACCOUNTS), count)]
    return accounts, draw.integers(0, 11, count).tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9, 40])
def test_pairs_of_more_users_and_items_than_there_is_room_for(node: NodeChain, count: int) -> None:
    model = node.chain.snapshot.model
    prepared = PreparedModel(model)
    for seed in range(5):
        accounts, items = draw_pairs(seed, count)
        found = prepared.predict_pairs(accounts, np.array(items, np.int64))
        assert (found.mean.tolist(), found.variance.tolist()) == plain(model, accounts, items)


def test_single_ones_and_all_items_of_one_account(node: NodeChain) -> None:
    model = node.chain.snapshot.model
    prepared = PreparedModel(model)
    for account in [*ACCOUNTS, *ACCOUNTS]:
        means, variances = plain(model, [account] * 11, list(range(11)))
        found = prepared.predict_all(account)
        assert (found.mean.tolist(), found.variance.tolist()) == (means, variances)
        assert [prepared.predict_one(account, item) for item in range(11)] == list(zip(means, variances, strict=True))


def test_what_is_prepared_is_known(node: NodeChain) -> None:
    prepared = PreparedModel(node.chain.snapshot.model)
    assert prepared.has_users([])
    assert not prepared.has_users(ACCOUNTS[:1])
    prepared.predict_one(ACCOUNTS[0], 0)
    assert prepared.has_users(ACCOUNTS[:1] * 5)
    assert not prepared.has_users(ACCOUNTS[:2])


def test_threads_that_ask_for_more_users_than_there_is_room_for(node: NodeChain) -> None:
    model = node.chain.snapshot.model
    prepared = PreparedModel(model)
    pairs = [draw_pairs(seed, 7) for seed in range(200)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: prepared.predict_pairs(pair[0], np.array(pair[1])), pairs))
    assert [(each.mean.tolist(), each.variance.tolist()) for each in found] == [plain(model, *pair) for pair in pairs]


def test_a_block_without_ratings_shares_what_is_prepared_and_any_other_does_not() -> None:
    node = NodeChain(small_spec(items=tuple("abcdefghijk")))
    node.block(("Alice", submit_rating(0, 5)), ("Bob", submit_rating(1, 5)))
    queries = ModelQueries(node.chain)
    account = PAIRS["Alice"].public

    def is_shared(*calls: tuple[str, bytes]) -> bool:
        queries.predict(account, 0, None)
        node.block(*calls)
        queries.let_go()
        known = queries.is_prepared([account])
        model = node.chain.snapshot.model
        answer = queries.predict(account, 0, None)
        assert answer == ModelQueries(node.chain).predict(account, 0, None)
        assert plain(model, [account], [0])[0] == [int(answer["raw"]["mean"])]
        return known

    assert is_shared()
    assert not is_shared(("Bob", submit_rating(0, 1)))
    assert not is_shared(("Bob", register_item("twelfth")))
    assert is_shared()


def test_who_was_asked_about_at_the_last_head_is_expected_at_the_next() -> None:
    node = NodeChain()
    queries = ModelQueries(node.chain)
    alice, bob, charlie = ACCOUNTS[:3]

    def next_block(rating: int) -> None:
        node.block(("Alice", submit_rating(0, rating)), ("Bob", submit_rating(1, rating)))
        assert not queries.is_prepared([alice])
        queries.predict(alice, 0, None)

    next_block(1)
    assert not queries.is_prepared([bob])
    queries.predict_batch([bob], [0], None)
    next_block(2)
    assert queries.is_prepared([bob])
    assert not queries.is_prepared([charlie])
    next_block(3)
    assert not queries.is_prepared([bob]), "nobody has asked about him again"
    queries.predict(bob, 1, None)
    next_block(4)
    assert queries.predict(bob, 1, None) == ModelQueries(node.chain).predict(bob, 1, None)


def test_a_head_that_has_moved_is_followed_though_nobody_told() -> None:
    node = NodeChain()
    queries = ModelQueries(node.chain)
    before = queries.predict(ACCOUNTS[0], 0, None)["block"]
    head = node.block(("Alice", submit_rating(0, 5)))
    answer = queries.predict(ACCOUNTS[0], 0, None)
    assert before != answer["block"] == {"hash": "0x" + head.hex(), "number": 1}
    assert answer["rated"] == 5
    assert queries.predict(ACCOUNTS[0], 0, Hash(node.hash_at(0)))["block"] == before
