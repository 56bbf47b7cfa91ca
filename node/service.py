"""A running node: the chain, the pool, the author and the RPC server, in one nursery."""

import errno
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import trio

from node.authoring import Bell, Sealing, seal_by_interval, seal_instantly
from node.chain import BuiltBlock, Chain, NewHead
from node.config import VERSION, NodeConfig
from node.errors import ExitCode, NodeError, first_error
from node.executor import Executor, ThreadExecutor
from node.inbox import Inbox, Submission
from node.model_queries import model_summary
from node.pool import PoolRefused, TransactionPool
from node.refusals import as_rpc_error
from node.rpc_service import RpcService
from node.signals import STOPPING, restored_signals
from node.signatures import VerifiedSignatures
from rpc.app import bind, create_app, only_loopback, serve
from rpc.service import BlockFinalized, BlockImported, ModelChanged, NodeEvent, NodeInfo
from runtime.executive import TransactionValidator, ValidTransaction
from runtime.extrinsic import extrinsic_hash
from runtime.interface.errors import InvalidTransaction
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, BlockNumber, Hash, to_hex
from storage.errors import StorageError
from storage.leveldb import LevelDbStore

log = logging.getLogger(__name__)

_SUBMISSIONS_AT_ONCE = 256
_BLOCK_CANDIDATES = 16_384

Notify = Callable[[NodeEvent], None]


def milliseconds() -> int:
    """Return the time of the clock, since the Unix epoch."""
    return time.time_ns() // 1_000_000


class Node:
    """The main loop's side of a node. Everything here runs in one thread but what the executor is given."""

    def __init__(
        self,
        chain: Chain,
        pool: TransactionPool,
        inbox: Inbox,
        executor: Executor,
        notify: Notify,
        author: AccountId | None,
        block_time: float,
        clock: Callable[[], int] = milliseconds,
    ) -> None:
        """Take the parts. `author` is None in a node that makes no blocks; `block_time` in seconds."""
        self._chain = chain
        self._pool = pool
        self._inbox = inbox
        self._executor = executor
        self._notify = notify
        self._author = author
        self._block_time = block_time
        self._clock = clock
        self._signatures = VerifiedSignatures()
        self._has_ready = Bell()
        self._epoch_pending = Bell()

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_submissions)
            nursery.start_soon(self._learn_ahead)
            if self._author is not None:
                nursery.start_soon(self._seal, self._author)

    async def _seal(self, author: AccountId) -> None:
        """Make blocks as the chain says."""

        async def produce() -> None:
            await self._produce(author)

        if Sealing(self._chain.spec.sealing) is Sealing.INSTANT:
            await seal_instantly(
                produce, self._has_ready, lambda: self._pool.has_ready, lambda: self._chain.is_learning
            )
        else:
            await seal_by_interval(produce, self._block_time)

    async def _produce(self, author: AccountId) -> None:
        """Make one block of what is ready, and tell everybody."""
        candidates = list(islice(self._pool.ready(), _BLOCK_CANDIDATES))
        built: BuiltBlock = await self._executor.on_chain(
            self._chain.build, candidates, author, self._clock(), self._signatures
        )
        for transaction, error in built.refused:
            self._pool.drop(transaction.prepared.hash, error.reason)
        self._follow(built.head)

    def _follow(self, head: NewHead) -> None:
        """Let pool, subscribers and the log know of a new head."""
        validator = self._chain.validator()
        transactions = head.block.extrinsics[len(self._chain.runtime.inherents) :]
        hashes = [extrinsic_hash(raw) for raw in transactions]
        self._pool.on_block(head.ref, hashes, validator.nonce)
        self._pool.on_finalized(head.ref.hash, hashes)
        for event in self._events(head):
            self._notify(event)
        if self._chain.pending_epoch is not None:
            self._epoch_pending.ring()
        log.info(
            "block %d %s: %d transactions%s, %d ratings in all, %d waiting",
            head.ref.number,
            to_hex(head.ref.hash)[:10],
            len(hashes),
            f" ({head.failed} failed)" if head.failed else "",
            self._chain.snapshot.model.record.ratings,
            len(self._pool),
        )

    def _events(self, head: NewHead) -> Iterator[NodeEvent]:
        """Say what a new head means to subscribers."""
        yield BlockImported(head.ref, head.block.header, True, head.changed_keys)
        yield BlockFinalized(head.ref, head.block.header)
        if head.model_changed:
            model = self._chain.snapshot.model
            yield ModelChanged(head.ref, model_summary(self._chain.spec, head.ref, model))

    async def _learn_ahead(self) -> None:
        """Compute the model of a frozen set before the block that puts it in force."""
        while True:
            await self._epoch_pending.wait()
            compute = self._chain.pending_epoch
            if compute is not None:
                await self._executor.aside(compute)

    async def _serve_submissions(self) -> None:
        """Check transactions in threads, many at a time, and put them into the pool."""
        while True:
            batch = self._unknown(await self._inbox.take(_SUBMISSIONS_AT_ONCE))
            checked = await self._executor.aside(self._check, batch)
            validator = self._chain.validator()
            for submission, outcome in zip(batch, checked, strict=True):
                submission.answer(self._admit(submission, outcome, validator))
            if self._pool.has_ready:
                self._has_ready.ring()

    def _unknown(self, batch: list[Submission]) -> list[Submission]:
        """Answer those that the pool would refuse whatever they say, before their signatures are checked."""
        unknown = []
        for submission in batch:
            identity = extrinsic_hash(submission.raw)
            try:
                self._pool.check_new(identity)
            except PoolRefused as error:
                submission.answer(as_rpc_error(error, identity))
            else:
                unknown.append(submission)
        return unknown

    def _check(self, batch: list[Submission]) -> list[ValidTransaction | Exception]:
        """Decode and validate, in any thread."""
        validator = self._chain.validator(self._signatures)
        return [_checked(self._chain, validator, submission.raw) for submission in batch]

    def _admit(
        self,
        submission: Submission,
        checked: ValidTransaction | Exception,
        validator: TransactionValidator,
    ) -> Hash | Exception:
        """Put a checked transaction into the pool; the head may have moved since the check."""
        try:
            if isinstance(checked, Exception):
                raise checked
            self._pool.add(checked, validator.nonce(checked.account))
        except (InvalidTransaction, PoolRefused) as error:
            return as_rpc_error(error, extrinsic_hash(submission.raw))
        except Exception as error:
            return error
        if submission.listener is not None:
            self._pool.watch(checked.prepared.hash, submission.listener)
        return checked.prepared.hash


def _checked(chain: Chain, validator: TransactionValidator, raw: bytes) -> ValidTransaction | Exception:
    """Return the transaction, or why it cannot be taken; nothing that somebody sends may end the node."""
    try:
        return validator.validate(chain.runtime.prepare(raw))
    except InvalidTransaction as error:
        return error
    except Exception as error:
        log.exception("checking a transaction failed: %s", to_hex(raw[:256]))
        return error


def run_node(config: NodeConfig) -> int:
    """Run a node until it is told to stop; return the exit code.

    Raises:
        NodeError: a port is in use.
        StorageError: the database is refused.
    """
    sockets = [_bind(config)]
    try:
        store = LevelDbStore(config.database_path)
        try:
            chain = Chain.open(config.spec, store, state_pruning=config.state_pruning)
            return trio.run(_run, config, chain, sockets)
        finally:
            store.close()
    finally:
        for listener in sockets:
            listener.close()


def _bind(config: NodeConfig) -> socket.socket:
    """Listen before anything else starts, so that a port in use is told at once."""
    try:
        return bind(config.rpc_host, config.rpc_port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {config.rpc_port} is in use; choose another with --rpc-port"
            raise NodeError(ExitCode.PORT_IN_USE, message) from None
        message = f"cannot listen on {config.rpc_host}:{config.rpc_port}: {error.strerror}"
        raise NodeError(ExitCode.FAILED, message) from None


async def _run(config: NodeConfig, chain: Chain, sockets: list[socket.socket]) -> int:
    """Start the parts, say where they are, and wait for the end."""
    token = trio.lowlevel.current_trio_token()
    pool, inbox = TransactionPool(), Inbox(token)
    service = RpcService(_describe(config), chain, pool, inbox)
    node = Node(
        chain=chain,
        pool=pool,
        inbox=inbox,
        executor=ThreadExecutor(),
        notify=service.notify,
        author=None if config.producer is None else config.producer.public,
        block_time=config.block_time,
    )
    stopped = trio.Event()
    failure: list[str] = []

    def rpc_died(why: str) -> None:
        failure.append(f"the RPC server failed: {why}")
        token.run_sync_soon(stopped.set)

    app = create_app(service, config.rpc_limits, only_loopback=only_loopback(sockets))
    # From before anybody can see the node until its server is down, so that no signal cuts that short.
    with _listening(lambda: token.run_sync_soon(stopped.set)):
        server = serve(app, sockets, on_death=rpc_died)
        try:
            _greet(config, chain, sockets)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.run)
                await stopped.wait()
                nursery.cancel_scope.cancel()
        except* StorageError as group:
            # What was reported is on disk; the rest is not, and nothing can be added to it.
            failure.append(f"the database failed: {first_error(group)}")
        finally:
            server.stop()
    if failure:
        raise NodeError(ExitCode.FAILED, failure[0])
    return ExitCode.STOPPED


@contextmanager
def _listening(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when the process is asked to end, and nothing else however often that is.

    trio's own receiver would raise those signals again that came after the first one.
    """

    def handle(number: int, _frame: object) -> None:
        log.info("stopping on %s", signal.Signals(number).name)
        stop()

    with restored_signals():
        for number in STOPPING:
            signal.signal(number, handle)
        yield


def _describe(config: NodeConfig) -> NodeInfo:
    """Say what does not change while the node runs. Without a network there is no peer id."""
    return NodeInfo(
        name=config.name,
        version=VERSION,
        chain=config.spec.name,
        chain_type=config.spec.chain_type.value,
        properties=config.spec.properties.to_json(),
        roles=("Full",) if config.producer is None else ("Authority",),
        peer_id="",
        listen_addresses=(),
    )


def _greet(config: NodeConfig, chain: Chain, sockets: list[socket.socket]) -> None:
    """Tell a person what runs and where."""
    genesis, best = chain.database.hash_at(BlockNumber(0)), chain.snapshot.best
    assert genesis is not None, "a chain has a first block"
    log.info("mfchain %s, chain %s, genesis %s", VERSION, config.spec.name, to_hex(genesis)[:10])
    log.info("database %s, best block %d %s", config.database_path, best.number, to_hex(best.hash)[:10])
    record = chain.snapshot.model.record
    log.info("%d ratings by %d users of %d items", record.ratings, record.users, chain.snapshot.model.items.size)
    if config.producer is not None:
        log.info("making blocks as %s (%s sealing)", ss58_encode(config.producer.public), config.spec.sealing.value)
    port = sockets[0].getsockname()[1]
    log.info("JSON-RPC at ws://127.0.0.1:%d and http://127.0.0.1:%d", port, port)
