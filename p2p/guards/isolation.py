"""Tasks of libp2p that may fail, and whom a guard tells what a peer has done."""

from collections.abc import Awaitable, Callable
from typing import Any

from p2p.faults import Faults
from p2p.network import Misbehaviour, PeerId

Report = Callable[[PeerId, Misbehaviour, str], None]


class IsolatedManager:
    """A service's task manager whose tasks may fail without ending the service."""

    def __init__(self, manager: Any, name: str, faults: Faults) -> None:
        self._manager = manager
        self._name = name
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def run_task(self, function: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> None:
        """Run a task whose exceptions are counted and end nothing else."""
        self._manager.run_task(self._isolated(function), *args, **options)

    def run_daemon_task(self, function: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> None:
        """Run a task that is to go on as long as the service."""
        # As an ordinary task: a daemon's end would end the service too.
        self._manager.run_task(self._isolated(function), *args, **options)

    def _isolated(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
        async def run(*args: Any) -> None:
            try:
                await function(*args)
            except Exception as error:
                self._faults.caught(f"{self._name} task {getattr(function, '__name__', 'unnamed')}", error)

        return run
