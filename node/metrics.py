"""What a node tells Prometheus of itself, by the names of Substrate's node where it has them."""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from node.chain import Chain
from node.listeners import other_addresses, port_of
from node.pool import TransactionPool
from node.rpc_service import RpcService
from node.spec_types import Sealing
from pallets.finality.storage import JUSTIFIED
from pallets.finality.voters import current_voters
from pallets.producers.storage import BLOCK_SLOT, MISSED, RING
from rpc.app import only_loopback, serve
from rpc.metrics import MetricsApplication
from rpc.service import AUTHORITY, FULL

log = logging.getLogger(__name__)

_ROLES: Final = {FULL: 1, AUTHORITY: 4}
"""Substrate's bits."""

# What `TransactionPool.metrics` gives that is there now; the rest counts what has happened since the start.
_POOL_NOW: Final = {
    "future": ("mfchain_future_transactions_number", "Transactions that wait for others of their account"),
    "bytes": ("mfchain_pool_bytes", "Length of all transactions in the pool"),
    "accounts": ("mfchain_pool_accounts", "Accounts with transactions in the pool"),
    "banned": (
        "mfchain_pool_banned_transactions",
        "Transactions that were found invalid and are not taken for a while",
    ),
    "watched": ("mfchain_pool_watched_transactions", "Transactions that clients watch"),
}
_POOL_OTHERS: Final = frozenset({"ready", "futureBytes", "places", "newPlaces", "deadlines"})


class NodeCollector(Collector):
    """Reads a node when it is asked, in whatever thread; everything has the label `chain`."""

    def __init__(self, service: RpcService, chain: Chain, pool: TransactionPool) -> None:
        """Take what is read."""
        self._service = service
        self._chain = chain
        self._pool = pool
        self._started = time.time()

    def collect(self) -> Iterator[Metric]:
        """Give all figures."""
        yield from self._process()
        yield from self._blocks()
        yield from self._transactions()
        yield from self._model()
        if self._chain.spec.sealing is Sealing.RING:
            yield from self._ring()

    def _process(self) -> Iterator[Metric]:
        info, health = self._service.node_info(), self._service.health()
        build = GaugeMetricFamily("substrate_build_info", "Name and version", labels=("chain", "name", "version"))
        build.add_metric((self._chain.spec.id, info.name, info.version), 1)
        yield build
        yield self._gauge("substrate_process_start_time_seconds", "When the node started, by Unix time", self._started)
        yield self._gauge("substrate_node_roles", "1 follows, 4 makes blocks", sum(_ROLES[role] for role in info.roles))
        yield self._gauge("substrate_sub_libp2p_peers_count", "Connected peers", health.peers)
        yield self._gauge("substrate_sub_libp2p_is_major_syncing", "1 while the node catches up", health.is_syncing)

    def _blocks(self) -> Iterator[Metric]:
        snapshot = self._chain.snapshot
        heights = {
            "best": snapshot.best.number,
            "finalized": snapshot.finalized.number,
            "sync_target": self._service.sync_state().highest,
        }
        yield self._labelled(GaugeMetricFamily, "substrate_block_height", "Heights of the chain", "status", heights)

    def _transactions(self) -> Iterator[Metric]:
        figures = self._pool.metrics()
        yield self._gauge("substrate_ready_transactions_number", "Transactions that are ready", figures["ready"])
        for key, (name, text) in _POOL_NOW.items():
            yield self._gauge(name, text, figures[key])
        events = {name: count for name, count in figures.items() if name not in _POOL_NOW.keys() | _POOL_OTHERS}
        text = "What has happened to transactions since the start"
        yield self._labelled(CounterMetricFamily, "mfchain_pool_events", text, "event", events)

    def _model(self) -> Iterator[Metric]:
        model = self._chain.snapshot.model
        record = model.record
        yield self._gauge("mfchain_model_ratings", "Ratings in the model", record.ratings)
        yield self._gauge("mfchain_model_users", "Accounts with ratings", record.users)
        yield self._gauge("mfchain_model_items", "Registered items", model.items.size)
        yield self._gauge("mfchain_model_epoch", "The epoch in force", record.active)
        yield self._gauge("mfchain_model_epoch_pending", "1 while another one is being learned", record.is_pending)
        yield self._gauge("mfchain_model_ratings_since_epoch", "Ratings changed since its freeze", record.drift)

    def _ring(self) -> Iterator[Metric]:
        state = self._chain.snapshot.state
        justified = JUSTIFIED.find(state)
        yield self._gauge("mfchain_slot", "The slot of the best block", BLOCK_SLOT.get(state))
        yield self._gauge("mfchain_ring_producers", "Members of the ring", len(RING.get(state)))
        yield self._gauge("mfchain_ring_voters", "Members that vote", len(current_voters(state).voters))
        missed = sum(count for _, count in MISSED.items(state))
        yield self._gauge("mfchain_ring_missed_turns", "Turns that members of now have missed lately", missed)
        height = 0 if justified is None else justified.number
        yield self._gauge("mfchain_justified_height", "The last justified checkpoint", height)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=("chain",))
        family.add_metric((self._chain.spec.id,), value)
        return family

    def _labelled(
        self,
        kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
        name: str,
        text: str,
        label: str,
        values: Mapping[str, int],
    ) -> Metric:
        family = kind(name, text, labels=("chain", label))
        for key, value in values.items():
            family.add_metric((self._chain.spec.id, key), value)
        return family


@contextmanager
def metrics_served(
    listener: socket.socket | None, collector: Collector, on_failure: Callable[[str], None]
) -> Iterator[None]:
    """Serve what a collector gives, and figures of the process where the system has them, if there is a socket.

    `on_failure(why)` is called in the server's thread if it ends too early.
    """
    if listener is None:
        yield
        return
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    app = MetricsApplication(lambda: generate_latest(registry), only_loopback=only_loopback([listener]))
    server = serve(
        app, [listener], on_death=lambda why: on_failure(f"the metrics server failed: {why}"), name="metrics"
    )
    log.info("metrics at http://127.0.0.1:%d/metrics%s", port_of(listener), other_addresses(listener))
    try:
        yield
    finally:
        server.stop()
