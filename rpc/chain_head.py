"""What a follower of the chain is told (`chainHead_v1_follow`), and what it may ask about the blocks it holds.

A follower hears of every block exactly once, a parent before its children, and of every block's end: finalized, or
pruned with its branch. A block that it was told of it holds ("pinned") until it lets go, and only of such blocks may
it ask for headers, bodies, storage and calls. Who never lets go is told to stop.

The subscription is handed in and the node is asked through `rpc.service`; everything here runs on the server's loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from rpc.encoding import encode
from rpc.errors import Reason, RpcError
from rpc.service import BlockFinalized, BlockImported, NodeEvent, NodeService
from rpc.subscriptions import Subscription
from runtime.header import Header
from runtime.primitives import BlockRef, Hash, to_hex

log = logging.getLogger(__name__)

MOST_PINNED: Final = 1_024
MOST_UNFINALIZED: Final = 512
MOST_OPERATIONS: Final = 16

# Finalized blocks that a follower is told of at the start, the oldest first.
_HISTORY: Final = 16
_INACCESSIBLE: Final = (str(Reason.STATE_PRUNED), str(Reason.UNKNOWN_BLOCK))


class Operation:
    """A question under way, whose results come as events that name it."""

    __slots__ = ("_follower", "_proceed", "_task", "_work", "identifier")

    def __init__(self, follower: "Follower", identifier: str, work: "Work") -> None:
        self._follower = follower
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._proceed: asyncio.Event | None = None
        self.identifier = identifier

    def release(self) -> None:
        """Begin: the answer that names the operation is out."""
        self._task = asyncio.create_task(self._run())

    def end(self) -> None:
        """Stop; nothing more is told of it."""
        self._follower.operations.pop(self.identifier, None)
        if self._task is not None:
            self._task.cancel()

    def tell(self, event: str, **members: object) -> None:
        """Send an event of this operation."""
        self._follower.tell(event, operationId=self.identifier, **members)

    async def wait_for_client(self) -> None:
        """Ask the client whether to go on, and wait until it says so."""
        self._proceed = asyncio.Event()
        self.tell("operationWaitingForContinue")
        await self._proceed.wait()
        self._proceed = None

    def proceed(self) -> bool:
        """Go on; whether the operation has waited for that."""
        if self._proceed is None:
            return False
        self._proceed.set()
        return True

    async def _run(self) -> None:
        try:
            await self._work(self)
        except RpcError as fault:
            if fault.reason in _INACCESSIBLE:
                self.tell("operationInaccessible")
            else:
                self.tell("operationError", error=fault.message)
        except Exception:
            log.exception("an operation of a follower failed")
            self.tell("operationError", error="Internal error")
        finally:
            self._follower.operations.pop(self.identifier, None)


Work = Callable[[Operation], Awaitable[None]]


class Follower:
    """One follower: the blocks it knows and holds, and its operations."""

    def __init__(self, service: NodeService, subscription: Subscription, *, with_runtime: bool) -> None:
        self._service = service
        self._subscription = subscription
        self._with_runtime = with_runtime
        self._known: dict[Hash, Header] = {}
        self._pinned: set[Hash] = set()
        self._best: Hash | None = None
        self._finalized: BlockRef | None = None
        self._counter = 0
        self.operations: dict[str, Operation] = {}

    def tell(self, event: str, **members: object) -> None:
        """Send an event."""
        self._subscription.push(encode({"event": event, **members}))

    def begin(self, best: BlockRef, finalized: BlockRef) -> None:
        """Tell of the last finalized blocks, and of those from there to the best one.

        Where these are too many, as on a chain whose blocks do not become final, the follower is told to stop.
        """
        if best.number > finalized.number + MOST_UNFINALIZED:
            self._stop()
            return
        history = self._history(finalized)
        self._finalized = finalized
        self._known[finalized.hash] = history[-1]
        hashes = [header.hash() for header in history]
        self._pinned.update(hashes)
        runtime = {"finalizedBlockRuntime": self._runtime(finalized.hash)} if self._with_runtime else {}
        self.tell("initialized", finalizedBlockHashes=hashes, **runtime)
        self._tell_of(best.hash)
        self._tell_best(best.hash if best.hash in self._known else finalized.hash)

    def notice(self, event: NodeEvent) -> None:
        """Tell of what happened in the node."""
        match event:
            case BlockImported():
                if self._tell_of(event.block.hash) and event.is_best:
                    self._tell_best(event.block.hash)
            case BlockFinalized():
                self._tell_finalized(event.block)
            case _:
                return
        if len(self._pinned) > MOST_PINNED:
            self._stop()

    def holds(self, block: Hash) -> bool:
        """Whether the client may ask about a block."""
        return block in self._pinned

    def unpin(self, blocks: Iterable[Hash]) -> bool:
        """Let go of blocks, all or none; whether all of them were held."""
        wanted = set(blocks)
        if not wanted <= self._pinned:
            return False
        self._pinned -= wanted
        return True

    def start(self, work: Work) -> Operation | None:
        """An operation, to be begun by its `release`; None if as many as may be are under way."""
        if len(self.operations) >= MOST_OPERATIONS:
            return None
        self._counter += 1
        operation = Operation(self, str(self._counter), work)
        self.operations[operation.identifier] = operation
        return operation

    def close(self) -> None:
        """It follows no more."""
        for operation in tuple(self.operations.values()):
            operation.end()

    def _stop(self) -> None:
        self.tell("stop")
        self._subscription.end()

    def _history(self, finalized: BlockRef) -> list[Header]:
        """Headers of the last finalized blocks whose states can be read, the oldest first."""
        headers: list[Header] = []
        block = finalized.hash
        while len(headers) < _HISTORY and (header := self._service.header(block)) is not None:
            if headers and not self._has_state(block):
                break
            headers.append(header)
            if header.number == 0:
                break
            block = header.parent_hash
        return headers[::-1]

    def _has_state(self, block: Hash) -> bool:
        with suppress(RpcError):
            self._service.state_at(block)
            return True
        return False

    def _tell_of(self, block: Hash) -> bool:
        """Tell of a block and of its ancestors, if need be; whether the client knows it now."""
        assert self._finalized is not None, "it has begun"
        path: list[Header] = []
        while block not in self._known:
            header = self._service.header(block)
            if header is None or header.number <= self._finalized.number:
                return False
            path.append(header)
            block = header.parent_hash
        for header in reversed(path):
            self._tell_new(header)
        return True

    def _tell_new(self, header: Header) -> None:
        block = header.hash()
        self._known[block] = header
        self._pinned.add(block)
        runtime = None
        if self._with_runtime and self._version(block) != self._version(header.parent_hash):
            runtime = self._runtime(block)
        members = {"newRuntime": runtime} if self._with_runtime else {}
        self.tell("newBlock", blockHash=block, parentBlockHash=header.parent_hash, **members)

    def _tell_best(self, block: Hash) -> None:
        if block != self._best:
            self._best = block
            self.tell("bestBlockChanged", bestBlockHash=block)

    def _tell_finalized(self, block: BlockRef) -> None:
        assert self._finalized is not None, "it has begun"
        if block.number <= self._finalized.number or not self._tell_of(block.hash):
            return
        path = [block.hash]
        while (parent := self._known[path[-1]].parent_hash) != self._finalized.hash:
            path.append(parent)
        kept = {block.hash}
        # Sorted, as children come after their parents.
        for name, header in sorted(self._known.items(), key=lambda entry: entry[1].number):
            if header.parent_hash in kept:
                kept.add(name)
        if self._best not in kept:
            self._tell_best(block.hash)
        gone = {self._finalized.hash, *path}
        pruned = [name for name in self._known if name not in kept and name not in gone]
        self._finalized = block
        self._known = {name: header for name, header in self._known.items() if name in kept}
        self.tell("finalized", finalizedBlockHashes=path[::-1], prunedBlockHashes=pruned)

    def _version(self, block: Hash) -> Mapping[str, object] | None:
        try:
            return self._service.runtime_version(block)
        except RpcError:
            return None

    def _runtime(self, block: Hash) -> Mapping[str, object]:
        """The runtime of a block in the form of this API."""
        version = self._version(block)
        if version is None:
            return {"type": "invalid", "error": f"the runtime of block {to_hex(block)} is not known any more"}
        apis = version["apis"]
        assert isinstance(apis, list)
        names = ("specName", "implName", "specVersion", "implVersion", "transactionVersion")
        return {"type": "valid", "spec": {**{name: version[name] for name in names}, "apis": dict(apis)}}
