"""Where work runs that would hold up the node's main loop: threads in a node, at once and in place in a simulation."""

from collections.abc import Callable
from time import monotonic, thread_time
from typing import Any, Protocol, TypeVar

import trio

T = TypeVar("T")


class Executor(Protocol):
    """Runs functions away from the main loop."""

    async def on_chain(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what builds or imports blocks: one function at a time, in the order of the calls."""
        ...

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what may run beside everything else."""
        ...

    async def for_peers(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what a peer has asked for: whatever peers ask, it takes no thread from our own work."""
        ...

    def cpu_time(self) -> float:
        """Return the seconds of processor that the current thread has had; always the same where time is virtual."""
        ...

    def clock(self) -> float:
        """Return seconds by which work sees how long it takes; always the same where time is virtual."""
        ...


class ThreadExecutor:
    """Real threads: one for the chain, a few for the rest."""

    def __init__(self, aside: int = 2) -> None:
        """Allow so many functions beside the chain's."""
        self._chain = trio.CapacityLimiter(1)
        self._aside = trio.CapacityLimiter(aside)
        self._for_peers = trio.CapacityLimiter(1)

    async def on_chain(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run in the chain's thread."""
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._chain)

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run in a free thread."""
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._aside)

    async def for_peers(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run in the one thread for peers."""
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._for_peers)

    def cpu_time(self) -> float:
        """Ask the system."""
        return thread_time()

    def clock(self) -> float:
        """Ask the system."""
        return monotonic()


class InlineExecutor:
    """No threads: every function runs where it is called, which keeps virtual time still."""

    def __init__(self) -> None:
        """Start idle."""
        self._chain = trio.Lock()

    async def on_chain(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run after what was called before; a checkpoint alone would let later calls overtake."""
        async with self._chain:
            return function(*arguments)

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run at once."""
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    async def for_peers(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run at once."""
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    def cpu_time(self) -> float:
        """Nothing takes any time."""
        return 0.0

    def clock(self) -> float:
        """Nothing takes any time."""
        return 0.0
