"""What a node tells Prometheus: the figures of a chain in memory."""

import time
from typing import Final

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from node.chain_spec import load_spec
from node.inbox import Inbox
from node.metrics import NodeCollector
from node.pool import PoolRefused, TransactionPool
from node.ring import turn_of
from node.ring_queries import ring_status
from node.rpc_service import RpcService
from pallets.producers.storage import RING
from rpc.service import NodeInfo
from runtime.primitives import Slot
from tests.support.node_chain import NodeChain
from tests.support.small_chain import PAIRS, submit_rating

Figures = dict[str, float]

INFO: Final = NodeInfo("Ann", "1.0", "Dev", "Development", {}, ("Authority",), "", ())
POOL_EVENTS: Final = {
    "added",
    "promoted",
    "demoted",
    "returned",
    "refusedAlreadyImported",
    "refusedTemporarilyBanned",
    "refusedPriorityTooLow",
    "refusedPoolFull",
    "inBlock",
    "usurped",
    "dropped",
    "invalid",
}


async def figures(node: NodeChain, pool: TransactionPool, info: NodeInfo = INFO) -> Figures:
    """Read the page as Prometheus does: figures by name and label; `chain`, which all have, is checked and left out."""
    registry = CollectorRegistry()
    service = RpcService(info, node.chain, pool, Inbox(trio.lowlevel.current_trio_token()))
    registry.register(NodeCollector(service, node.chain, pool))
    read: Figures = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("chain") == node.spec.id
            read["/".join([sample.name, *labels.values()])] = sample.value
    return read


def test_a_chain_that_begins() -> None:
    before = time.time()
    read = trio.run(figures, NodeChain(), TransactionPool())
    assert before <= read.pop("substrate_process_start_time_seconds") <= time.time()
    events = {f"mfchain_pool_events_total/{event}": 0 for event in POOL_EVENTS}
    assert read == events | {
        "substrate_build_info/Ann/1.0": 1,
        "substrate_node_roles": 4,
        "substrate_sub_libp2p_peers_count": 0,
        "substrate_sub_libp2p_is_major_syncing": 0,
        "substrate_block_height/best": 0,
        "substrate_block_height/finalized": 0,
        "substrate_block_height/sync_target": 0,
        "substrate_ready_transactions_number": 0,
        "mfchain_future_transactions_number": 0,
        "mfchain_pool_bytes": 0,
        "mfchain_pool_accounts": 0,
        "mfchain_pool_banned_transactions": 0,
        "mfchain_pool_watched_transactions": 0,
        "mfchain_model_ratings": 0,
        "mfchain_model_users": 0,
        "mfchain_model_items": 8,
        "mfchain_model_epoch": 0,
        "mfchain_model_epoch_pending": 0,
        "mfchain_model_ratings_since_epoch": 0,
    }


def test_a_node_that_follows() -> None:
    info = NodeInfo("Ann", "1.0", "Dev", "Development", {}, ("Full",), "", ())
    assert trio.run(figures, NodeChain(), TransactionPool(), info)["substrate_node_roles"] == 1


def test_blocks_transactions_and_the_model() -> None:
    node, pool = NodeChain(), TransactionPool()
    ratings = [(name, submit_rating(item, 5)) for name in ("Alice", "Bob") for item in range(3)]
    node.block(*ratings[:2])
    node.block(*ratings[2:])
    ready, _, future = node.transactions(*[("Alice", submit_rating(item, 1)) for item in range(3)])
    pool.add(ready, ready.expected)
    pool.add(future, future.expected)
    with pytest.raises(PoolRefused):
        pool.check_new(ready.prepared.hash)
    read = trio.run(figures, node, pool)
    assert {name: read[name] for name in read if read[name] and "seconds" not in name and "build" not in name} == {
        "substrate_node_roles": 4,
        "substrate_block_height/best": 2,
        "substrate_block_height/finalized": 2,
        "substrate_block_height/sync_target": 2,
        "substrate_ready_transactions_number": 1,
        "mfchain_future_transactions_number": 1,
        "mfchain_pool_bytes": len(ready.prepared.raw) + len(future.prepared.raw),
        "mfchain_pool_accounts": 1,
        "mfchain_pool_events_total/added": 2,
        "mfchain_pool_events_total/refusedAlreadyImported": 1,
        "mfchain_model_ratings": 6,
        "mfchain_model_users": 2,
        "mfchain_model_items": 8,
        "mfchain_model_epoch": 1,
        "mfchain_model_epoch_pending": 1,
    }
    while node.chain.is_learning:
        node.build()
    read = trio.run(figures, node, pool)
    assert (read["mfchain_model_epoch"], read["mfchain_model_epoch_pending"]) == (2, 0)
    node.block(("Bob", submit_rating(4, 1)))
    read = trio.run(figures, node, pool)
    assert (read["mfchain_model_ratings"], read["mfchain_model_ratings_since_epoch"]) == (7, 1)


def test_a_ring() -> None:
    node = NodeChain(load_spec("local"))
    chain, duration = node.chain, node.spec.slot_duration
    begin = node.spec.genesis_time // duration + 1
    for slot in (Slot(begin + 3), Slot(begin + 8)):
        author = turn_of(RING.get(chain.snapshot.state), slot)
        pair = next(pair for pair in PAIRS.values() if pair.public == author)
        chain.build((), chain.consensus.template(pair, slot * duration))
    missed = ring_status(chain)["missed"]
    assert isinstance(missed, dict)
    assert sum(missed.values()) > 0
    read = trio.run(figures, node, TransactionPool())
    assert {name: read[name] for name in read if name.startswith(("mfchain_ring", "mfchain_slot", "mfchain_just"))} == {
        "mfchain_slot": begin + 8,
        "mfchain_ring_producers": 3,
        "mfchain_ring_voters": 3,
        "mfchain_ring_missed_turns": sum(missed.values()),
        "mfchain_justified_height": 0,
    }
    assert (read["substrate_block_height/best"], read["substrate_block_height/finalized"]) == (2, 0)
