"""What is learned for one block is not learned again for another."""

from node.models import Models
from runtime.primitives import BlockNumber, Hash
from tests.support.node_chain import SMALL, NodeChain, small_spec
from tests.support.small_chain import submit_rating, submit_ratings


def pending_at(models: Models, node: NodeChain, block: Hash) -> object:
    return models.at(block, node.chain.database.state_at(block)).pending


def test_a_pending_epoch_is_found_by_the_block_that_froze_its_ratings() -> None:
    node = NodeChain(small_spec())
    node.block(("Alice", submit_ratings([(item, 1 + item % 5) for item in range(4)])))
    first = node.block(("Bob", submit_ratings([(item, 5) for item in range(8)])))
    frozen = node.chain.snapshot
    second = node.block(("Alice", submit_rating(4, 1)))
    record = node.chain.snapshot.view.record
    assert record.frozen_at == 2
    assert record.due == 2 + SMALL.activation_delay(12) == BlockNumber(5)
    executed = node.chain.snapshot.view.pending

    for order in ((first, second), (second, first)):
        models = Models(SMALL)
        found = [pending_at(models, node, block) for block in order]
        assert found[0] is not None
        assert found[0] is found[1]

    models = Models(SMALL)
    models.keep(frozen.best, frozen.view)
    assert pending_at(models, node, second) is executed
    models = Models(SMALL)
    models.keep(node.chain.snapshot.best, node.chain.snapshot.view)
    assert pending_at(models, node, first) is not executed, "what is known of block 3 does not say who froze"


def test_where_nothing_is_pending_nothing_is_looked_for() -> None:
    node = NodeChain(small_spec())
    block = node.block(("Alice", submit_rating(0, 5)))
    models = Models(SMALL)
    assert pending_at(models, node, block) is None
    assert models.at(block, node.chain.database.state_at(block)).record.is_canonical
