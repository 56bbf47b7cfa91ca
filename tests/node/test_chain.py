"""The chain of one node: what it builds, imports, publishes and remembers."""

from dataclasses import replace

import pytest

from node.chain import BuiltBlock, Imported
from pallets.matrix_factorization import errors
from pallets.matrix_factorization.storage import MODEL, RATINGS
from pallets.matrix_factorization.view import derive_view
from pallets.producers.claim import AUTHOR_ENGINE
from pallets.timestamp.pallet import NOW
from runtime.executive import BASE_EXTRINSIC_WEIGHT, check_signature
from runtime.extrinsic import Extrinsic, Signature
from runtime.header import DigestItem, DigestKind
from runtime.interface.errors import InvalidBlock, InvalidReason, InvalidTransaction
from runtime.interface.weights import MICROSECOND
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash
from storage.chain_db import RevertError, StatePruned, UnknownBlock
from storage.columns import FINALIZED
from storage.records import encode_finalized
from tests.support.node_chain import AUTHOR, SMALL, NodeChain, small_spec
from tests.support.small_chain import LIMITS, PAIRS, remark, retract_rating, submit_rating, submit_ratings

ALICE = PAIRS["Alice"].public


@pytest.fixture
def node() -> NodeChain:
    return NodeChain()


def names(node: NodeChain, built: BuiltBlock) -> list[str]:
    """Who signed the transactions of a block."""
    known = {pair.public: name for name, pair in PAIRS.items()}
    signatures = [Extrinsic.decode(raw).signature for raw in built.head.block.extrinsics[1:]]
    return [known[signature.account] for signature in signatures if signature is not None]


# Building.


def test_a_new_chain_is_at_its_genesis(node: NodeChain) -> None:
    snapshot = node.chain.snapshot
    assert snapshot.best == snapshot.finalized == BlockRef(BlockNumber(0), node.hash_at(0))
    assert snapshot.model.record.is_canonical
    assert (node.chain.is_learning, node.chain.pending_epoch) == (False, None)


def test_a_built_block_is_the_head_final_and_on_disk(node: NodeChain) -> None:
    built = node.build(*node.transactions(("Alice", submit_rating(0, 5)), ("Alice", submit_rating(99, 5))))
    head = built.head
    assert head.ref == node.chain.snapshot.best == node.chain.snapshot.finalized == node.chain.database.finalized()
    assert head.ref == BlockRef(BlockNumber(1), head.block.header.hash())
    assert node.chain.database.block(head.ref.hash) == head.block
    assert head.block.header.digest == (DigestItem(DigestKind.PRE_RUNTIME, AUTHOR_ENGINE, AUTHOR),)
    assert (head.entered[0].failed, head.model_changed, built.refused) == (1, True, ())
    assert list(head.changed_keys) == node.chain.database.changed_keys(head.ref.hash)
    assert RATINGS.key(ALICE) in head.changed_keys
    assert NOW.get(node.chain.database.state_at(head.ref.hash)) == 2_000


def test_the_model_changes_with_ratings_and_with_epochs_only(node: NodeChain) -> None:
    changed = [
        node.build(*node.transactions(*calls)).head.model_changed
        for calls in (
            [("Alice", submit_ratings([(item, 5) for item in range(4)]))],
            [("Alice", remark(b"x"))],
            [("Alice", submit_rating(0, 5))],
            [("Bob", submit_ratings([(0, 1), (1, 1)]))],
            [],
            [],
            [],
        )
    ]
    # The epoch that block 4 begins is in force from block 6 on.
    assert changed == [True, False, False, True, False, True, False]
    assert not node.chain.is_learning


def test_time_goes_forward_even_if_the_clock_does_not(node: NodeChain) -> None:
    times = []
    for clock in (5_000, 5_000, 1, 5_001, 9_000):
        node.chain.build([], node.template(clock))
        times.append(NOW.get(node.chain.database.state_at(node.chain.snapshot.best.hash)))
    assert times == [5_000, 5_001, 5_002, 5_003, 9_000]


def test_what_does_not_fit_is_left_for_later_with_all_that_follows_of_its_account() -> None:
    # Room for three transactions with ten ratings, the first ones of their accounts, and for learning from these.
    singles = 2 * (90 * MICROSECOND + 5_007_000)
    batch = (90 + 7 * 40) * MICROSECOND + 8 * (5_005_000 + 8 * 2_000)
    weight = 3 * (BASE_EXTRINSIC_WEIGHT + 100 * MICROSECOND) + singles + batch
    node = NodeChain(small_spec(limits=replace(LIMITS, weight=weight)))
    node.block(*((name, remark(b"")) for name in ("Alice", "Bob", "Charlie")))
    large = submit_ratings([(item, 5) for item in range(8)])
    transactions = node.transactions(
        ("Alice", submit_rating(0, 1)),
        ("Bob", large),
        ("Alice", large),
        ("Alice", submit_rating(1, 1)),
        ("Charlie", submit_rating(0, 1)),
    )
    built = node.build(*transactions)
    assert names(node, built) == ["Alice", "Bob", "Charlie"]
    assert built.refused == ()
    later = node.build(transactions[2], transactions[3])
    assert names(node, later) == ["Alice", "Alice"]


def test_when_a_block_takes_no_more_new_accounts_it_looks_at_none() -> None:
    node = NodeChain(small_spec(limits=replace(LIMITS, new_accounts=2)))
    node.block(("Alice", submit_rating(0, 5)))
    new = node.transactions(*((name, submit_rating(0, 1)) for name in ("Bob", "Charlie", "Dave", "Eve", "Bob")))
    [old] = node.transactions(("Alice", submit_rating(1, 5)))
    looked_at: list[Hash] = []

    def check(extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        looked_at.append(extrinsic)
        return check_signature(extrinsic, signature, payload)

    node.time += 1_000
    built = node.chain.build([*new, old], node.template(node.time), check)
    bob, charlie, _, _, bob_again = new
    assert built.head.block.extrinsics[1:] == tuple(taken.prepared.raw for taken in (bob, charlie, bob_again, old))
    assert looked_at == [taken.prepared.hash for taken in (bob, charlie, bob_again, old)]
    assert built.refused == ()


def test_a_full_block_looks_at_no_more_transactions() -> None:
    # The second rating of a list that the block has touched costs the copying of two entries only.
    weight = 2 * (BASE_EXTRINSIC_WEIGHT + 90 * MICROSECOND) + 100 * MICROSECOND + 5_007_000 + 2 * 7_000
    node = NodeChain(small_spec(limits=replace(LIMITS, weight=weight)))
    node.block(("Alice", remark(b"")))
    (first, second, third) = node.transactions(*(("Alice", submit_rating(item, 1)) for item in range(3)))
    looked_at = []

    def walk() -> object:
        for transaction in (first, second, third, third, third):
            looked_at.append(transaction)
            yield transaction

    node.chain.build(walk(), node.template(9_000))  # type: ignore[arg-type]
    assert looked_at == [first, second, third]
    assert node.chain.snapshot.model.record.ratings == 2


def test_what_is_invalid_is_refused_and_named(node: NodeChain) -> None:
    transactions = node.transactions(("Alice", submit_rating(0, 1)), ("Bob", remark(b"1")))
    future = node.valid(node.sign("Charlie", remark(b""), 1))
    node.build(*transactions)
    fresh = node.valid(node.sign("Dave", remark(b"")))
    built = node.build(transactions[0], future, fresh)
    assert names(node, built) == ["Dave"]
    assert [(transaction, error.reason, error.text) for transaction, error in built.refused] == [
        (transactions[0], InvalidReason.STALE, "Transaction is outdated"),
        (future, InvalidReason.FUTURE, "Transaction will be valid in the future"),
    ]


# Importing.


def test_another_node_imports_what_was_built_and_holds_the_same(node: NodeChain) -> None:
    other = NodeChain()
    for calls in (
        [("Alice", submit_ratings([(item, 1 + item % 5) for item in range(6)]))],
        [("Bob", submit_rating(0, 1)), ("Bob", submit_rating(99, 1))],
        [],
        [("Alice", retract_rating(0))],
        [],
        [],
    ):
        built = node.build(*node.transactions(*calls)).head
        assert other.chain.import_block(built.block) == Imported(built.ref, is_new=True, head=built)
        assert other.chain.snapshot.model.digest() == node.chain.snapshot.model.digest()
    assert other.chain.snapshot.best == node.chain.snapshot.best


def test_an_invalid_block_changes_nothing(node: NodeChain) -> None:
    other = NodeChain()
    block = node.build(*node.transactions(("Alice", submit_rating(0, 5)))).head.block
    snapshot = other.chain.snapshot
    bad = replace(block, header=replace(block.header, state_root=ZERO_HASH))
    with pytest.raises(InvalidBlock, match=r"^StateRootMismatch: execution gives [0-9a-f]{64}, the header says 0{64}$"):
        other.chain.import_block(bad)
    assert other.chain.snapshot is snapshot
    assert other.chain.database.head() == snapshot.best
    assert other.chain.database.header(bad.header.hash()) is None
    other.chain.import_block(block)
    assert other.chain.snapshot.best == node.chain.snapshot.best


# Restarting and reverting.


def history(node: NodeChain) -> list[bytes]:
    """Six blocks with epochs pending and activated; the model's digest after each."""
    digests = [node.chain.snapshot.model.digest()]
    for calls in (
        [("Alice", submit_ratings([(item, 1 + item % 5) for item in range(5)]))],
        [("Bob", submit_rating(0, 1))],
        [("Alice", retract_rating(1)), ("Bob", submit_rating(2, 2)), ("Charlie", submit_rating(3, 3))],
        [],
        [("Charlie", submit_rating(0, 3))],
        [],
    ):
        node.block(*calls)
        digests.append(node.chain.snapshot.model.digest())
    return digests


def test_a_restart_finds_head_and_model(node: NodeChain) -> None:
    history(node)
    before = node.chain.snapshot
    node.open()
    after = node.chain.snapshot
    assert (after.best, after.view.record) == (before.best, before.view.record)
    assert after.model.digest() == before.model.digest()
    assert (after.view.pending is None) == (before.view.pending is None)


def test_a_final_head_is_not_taken_back(node: NodeChain) -> None:
    block = node.block()
    with pytest.raises(RevertError) as caught:
        node.chain.revert()
    name = f"the head, block 1 (0x{block.hex()}),"
    assert str(caught.value) == f"{name} is final and cannot be taken back"
    assert node.chain.snapshot.best.hash == block


def test_taking_the_head_back_restores_state_and_model(node: NodeChain) -> None:
    digests = history(node)
    blocks = [node.hash_at(number) for number in range(7)]
    node.store.write([(FINALIZED, encode_finalized(BlockRef(BlockNumber(0), blocks[0])))], sync=True)
    node.open()
    for number in range(6, 0, -1):
        assert node.chain.revert().header.hash() == blocks[number]
        snapshot = node.chain.snapshot
        assert snapshot.best == BlockRef(BlockNumber(number - 1), blocks[number - 1])
        assert snapshot.model.digest() == digests[number - 1]
        state = node.chain.database.state_at(snapshot.best.hash)
        assert snapshot.view.record == MODEL.get(state)
        assert snapshot.model.digest() == derive_view(state, SMALL).read().digest()
    for block in blocks[1:]:
        stored = node.chain.database.block(block)
        assert stored is not None
        node.chain.import_block(stored)
    assert node.chain.snapshot.model.digest() == digests[-1]


# What readers get.


def test_a_snapshot_stays_as_it_is_while_the_chain_moves_on(node: NodeChain) -> None:
    node.block(("Alice", submit_rating(0, 5)))
    before, digest = node.chain.snapshot, node.chain.snapshot.model.digest()
    node.block(("Bob", submit_ratings([(item, 1) for item in range(8)])))
    assert before.model.digest() == digest
    assert before.best.number == 1
    assert before.model.users.get(PAIRS["Bob"].public) is None


def test_every_block_of_the_window_has_the_model_that_it_had(node: NodeChain) -> None:
    digests = history(node)
    for number in (0, 3, 6, 1, 5, 2, 4, 0):
        model = node.chain.model_at(node.hash_at(number))
        assert model.digest() == digests[number]


def test_the_models_asked_for_last_are_remembered(node: NodeChain, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        node.block()
    derived = []

    def counting(*arguments: object) -> object:
        derived.append(arguments)
        return derive_view(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("node.models.derive_view", counting)

    def was_derived(number: int) -> bool:
        derived.clear()
        node.chain.model_at(node.hash_at(number))
        return bool(derived)

    # Blocks 3 to 10 are remembered, as they were heads. Asking for 3 makes 4 the one to go.
    assert not was_derived(3)
    assert was_derived(2)
    assert not was_derived(3)
    assert not was_derived(5)
    assert was_derived(4)
    assert not was_derived(2)
    assert was_derived(6)


def test_old_models_use_what_has_been_learned_already(node: NodeChain, monkeypatch: pytest.MonkeyPatch) -> None:
    node.block(("Alice", submit_ratings([(item, 1 + item % 5) for item in range(4)])))
    for _ in range(6):
        node.block()

    def refuse(*_arguments: object) -> object:
        raise AssertionError("learned again")

    monkeypatch.setattr("pallets.matrix_factorization.view.learn_frozen", refuse)
    assert node.chain.model_at(node.hash_at(1)).digest() == node.chain.snapshot.model.digest()
    assert node.chain.try_extrinsic(node.sign("Alice", remark(b"")), node.hash_at(1)) is None


def test_unknown_and_pruned_blocks_have_no_model() -> None:
    node = NodeChain(pruning=2)
    for _ in range(8):
        node.block()
    with pytest.raises(UnknownBlock):
        node.chain.model_at(ZERO_HASH)
    with pytest.raises(StatePruned):
        node.chain.model_at(node.hash_at(1))


def test_the_computation_of_a_pending_epoch_is_offered_until_it_is_done(node: NodeChain) -> None:
    node.block(("Alice", submit_ratings([(item, 1 + item % 5) for item in range(8)])))
    assert node.chain.is_learning
    compute = node.chain.pending_epoch
    assert compute is not None
    compute()
    pending = node.chain.snapshot.view.pending
    assert pending is not None
    assert pending.is_computed
    frozen = pending.compute()
    assert node.chain.pending_epoch is None
    while node.chain.is_learning:
        node.block()
    assert node.chain.snapshot.view.frozen is frozen, "what was computed ahead is what comes into force"
    assert node.chain.snapshot.model.record.digest == frozen.digest


# Trying.


def test_a_transaction_is_tried_in_vain(node: NodeChain) -> None:
    node.block(("Alice", submit_rating(0, 5)))
    head = node.chain.database.head()
    good, bad = node.sign("Alice", submit_rating(1, 5)), node.sign("Alice", submit_rating(99, 5))
    assert node.chain.try_extrinsic(good, head.hash) is None
    assert node.chain.try_extrinsic(bad, head.hash) is errors.ITEM_DOES_NOT_EXIST
    with pytest.raises(InvalidTransaction, match=r"^Transaction will be valid in the future$"):
        node.chain.try_extrinsic(good, node.hash_at(0))
    assert node.chain.database.head() == head
    assert node.chain.snapshot.model.record.ratings == 1


def test_an_inherent_is_no_transaction_to_try(node: NodeChain) -> None:
    block = node.chain.database.block(node.block())
    assert block is not None
    with pytest.raises(InvalidTransaction) as caught:
        node.chain.try_extrinsic(block.extrinsics[0], node.hash_at(1))
    assert caught.value.reason is InvalidReason.UNSIGNED


def test_the_validator_is_that_of_the_next_block(node: NodeChain) -> None:
    assert node.chain.validator().number == 1
    node.block(("Alice", remark(b"")))
    validator = node.chain.validator()
    assert (validator.number, validator.nonce(ALICE)) == (2, 1)
