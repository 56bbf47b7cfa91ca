"""The whole runtime: what it consists of, and that who executes a block gets what its builder got."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pallets.construct import SPEC_VERSION, TRANSACTION_VERSION, VERSION, ChainConstants, construct_runtime
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import MODEL
from pallets.matrix_factorization.view import ModelView, derive_view
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.weights import MICROSECOND
from runtime.trie import StateVersion, Trie
from tests.support.events import all_events
from tests.support.ring_chain import RingChain
from tests.support.small_chain import (
    LIKES,
    PAIRS,
    SmallChain,
    get_prediction,
    register_item,
    remark,
    retract_rating,
    submit_rating,
    submit_ratings,
)

QUICK = Config(
    LIKES,
    model=ModelParameters(dimension=1, sweeps=2),
    max_ratings_per_user=3,
    max_items=6,
    inline_rebuild_limit=2,
    quiet_blocks=2,
    ratings_per_delay_block=3,
    entity_work=0,
    item_commits_per_block=2,
)

ITEM = st.integers(0, 7)
RATING = st.sampled_from((-1, 1, 0))
CALL = st.one_of(
    st.builds(submit_rating, ITEM, RATING),
    st.builds(submit_ratings, st.lists(st.tuples(ITEM, RATING), max_size=4)),
    st.builds(retract_rating, ITEM),
    st.builds(get_prediction, ITEM),
    st.builds(register_item, st.sampled_from(("a", "b" * 129))),
    st.builds(remark, st.binary(max_size=3)),
)
BLOCKS = st.lists(st.lists(st.tuples(st.sampled_from(tuple(PAIRS)), CALL), max_size=6), min_size=1, max_size=6)


@given(BLOCKS)
@settings(max_examples=40)
def test_a_block_that_was_built_executes_to_the_same(blocks: list[list[tuple[str, bytes]]]) -> None:
    chain = SmallChain(config=QUICK, items=("x", "y", "z"))
    for calls in blocks:
        ahead: dict[str, int] = {}
        extrinsics = []
        for name, call in calls:
            extrinsics.append(chain.sign(name, call, ahead.get(name, 0)))
            ahead[name] = ahead.get(name, 0) + 1
        nonces = {name: chain.runtime.system.nonce(chain.state, pair.public) for name, pair in PAIRS.items()}
        built = chain.build(*extrinsics)
        executed = chain.execute(built.block)
        assert executed.block == built.block
        assert executed.changes == built.changes
        assert executed.errors == built.errors
        assert isinstance(built.view, ModelView)
        assert isinstance(executed.view, ModelView)
        assert executed.view.read().digest() == built.view.read().digest()
        chain.adopt(executed)
        keys = [key for key, _ in executed.changes]
        assert keys == sorted(set(keys))
        assert (
            chain.trie.root()
            == Trie.from_items(sorted(chain.state.entries.items()), StateVersion.V1).root()
            == executed.block.header.state_root
        )
        assert derive_view(chain.state, QUICK).read().digest() == chain.view.read().digest()
        outcomes = [name for _, _, name, _ in all_events(chain) if name in ("ExtrinsicSuccess", "ExtrinsicFailed")]
        assert outcomes == ["ExtrinsicSuccess" if error is None else "ExtrinsicFailed" for error in executed.errors]
        for name, pair in PAIRS.items():
            nonce = chain.runtime.system.nonce(chain.state, pair.public)
            assert nonce == nonces[name] + ahead.get(name, 0), "a failed call counts as well"


NAMES = tuple(PAIRS)
LIST = st.lists(st.tuples(st.integers(0, 9), RATING), min_size=1, max_size=6).map(submit_ratings)
WORK = st.lists(
    st.tuples(st.sampled_from(NAMES), LIST | st.builds(get_prediction, ITEM) | st.builds(retract_rating, ITEM)),
    max_size=12,
)


@given(WORK, st.integers(600, 1_500))
@settings(max_examples=40)
def test_what_an_author_builds_who_leaves_out_the_unfit_is_valid(calls: list[tuple[str, bytes]], room: int) -> None:
    chain = SmallChain(config=replace(QUICK, max_ratings_per_user=9, max_items=99), items=tuple("abcdefghij"))
    chain.block(*((name, submit_ratings([(item, 1) for item in range(9)])) for name in NAMES))
    chain.limits = replace(chain.limits, weight=room * MICROSECOND)
    chain.runtime = construct_runtime(ChainConstants(0, 1, chain.items, chain.limits, chain.config))
    execution = chain.runtime.open_block(chain.state, chain.head, chain.view)
    execution.apply_inherents({"milliseconds": 2})
    taken = dict.fromkeys(NAMES, 0)
    for name, call in calls:
        try:
            execution.apply(chain.runtime.prepare(chain.sign(name, call, taken[name])))
        except InvalidTransaction as error:
            event(error.reason)
        else:
            taken[name] += 1
    built = execution.finalize(chain.trie)
    assert chain.execute(built.block).changes == built.changes


def test_a_prediction_for_which_there_is_no_room_leaves_the_block_as_if_it_had_not_been_tried() -> None:
    """Who tries it must not learn from the ratings so far at nobody's cost."""
    outcomes = []
    for is_tried in (False, True):
        chain = SmallChain(config=replace(QUICK, max_ratings_per_user=9, max_items=99), items=tuple("abcdefghij"))
        chain.block(*((name, remark(b"")) for name in NAMES))
        # Alice's batch of nine, and a prediction without what it costs to learn from these.
        batch_of_nine = (70 + 90 + 8 * 40 + 100) * MICROSECOND + 9 * (2_500_000 + 9 * 2_000)
        room = batch_of_nine + (70 + 400) * MICROSECOND + 2_500_000
        chain.limits = replace(chain.limits, weight=room)
        chain.runtime = construct_runtime(ChainConstants(0, 1, chain.items, chain.limits, chain.config))
        execution = chain.runtime.open_block(chain.state, chain.head, chain.view)
        execution.apply_inherents({"milliseconds": 2})
        batch = submit_ratings([(item, 1) for item in range(9)])
        execution.apply(chain.runtime.prepare(chain.sign("Alice", batch)))
        for name in ("Bob", "Charlie") if is_tried else ("Charlie",):
            with pytest.raises(InvalidTransaction) as caught:
                execution.apply(chain.runtime.prepare(chain.sign(name, get_prediction(0))))
            assert caught.value.reason is InvalidReason.EXHAUSTS_RESOURCES
        outcomes.append(execution.finalize(chain.trie).block)
    assert outcomes[0] == outcomes[1]


def test_the_pallets_have_their_places() -> None:
    runtime = SmallChain().runtime
    assert [(pallet.index, pallet.name) for pallet in runtime.pallets] == [
        (0, "System"),
        (3, "Timestamp"),
        (5, "Producers"),
        (6, "Finality"),
        (8, "MatrixFactorization"),
    ]
    assert runtime.inherents == {b"\x03\x00"}
    assert runtime.optional_inherents == set(), "there are no votes where there is no ring"
    assert RingChain().runtime.optional_inherents == {b"\x05\x02", b"\x06\x00", b"\x06\x01"}
    calls = {key: f"{pallet.name}.{call.name}" for key, (pallet, call) in sorted(runtime.calls.items())}
    assert calls == {
        (0, 0): "System.remark",
        (3, 0): "Timestamp.set",
        (5, 0): "Producers.join",
        (5, 1): "Producers.leave",
        (5, 2): "Producers.report_equivocation",
        (6, 0): "Finality.cast_votes",
        (6, 1): "Finality.report_contradiction",
        (8, 0): "MatrixFactorization.submit_rating",
        (8, 1): "MatrixFactorization.get_prediction",
        (8, 2): "MatrixFactorization.retract_rating",
        (8, 3): "MatrixFactorization.register_item",
        (8, 4): "MatrixFactorization.submit_ratings",
    }
    assert [error.name for (pallet, _), error in sorted(runtime.errors.items()) if pallet == 8] == [
        "ItemDoesNotExist",
        "RatingOutOfRange",
        "NotRated",
        "TooManyRatings",
        "TitleTooLong",
        "TooManyItems",
        "EmptyBatch",
    ]
    assert [(index, event.name) for (pallet, index), event in sorted(runtime.events.items()) if pallet == 8] == [
        (0, "RatingSubmitted"),
        (1, "PredictionObtained"),
        (2, "RatingRetracted"),
        (3, "ItemRegistered"),
        (4, "EpochStarted"),
        (5, "EpochCompleted"),
    ]


def test_indices_are_given_once() -> None:
    runtime = SmallChain().runtime
    for pallet in runtime.pallets:
        for declared in (pallet.calls, pallet.events, pallet.errors):
            assert len({entry.index for entry in declared}) == len(declared)


def test_the_version_is_what_signatures_commit_to() -> None:
    assert (VERSION.spec_version, VERSION.transaction_version) == (SPEC_VERSION, TRANSACTION_VERSION) == (100, 1)
    assert VERSION.spec_name == "mfchain"


def test_the_empty_view_is_that_of_a_chain_without_items_and_ratings() -> None:
    chain = SmallChain(items=())
    empty = chain.runtime.empty_view
    assert isinstance(empty, ModelView)
    assert empty.record == MODEL.get(chain.state)
    assert empty.read().digest() == chain.view.read().digest() == empty.record.digest
    assert empty.items.size == 0
