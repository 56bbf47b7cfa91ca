"""A connection that comes back: an import outlives its node's restarts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rpc.client import RpcClient
from rpc.failure import CommandError, Failing

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 4.0


@dataclass(slots=True)
class Link:
    """The node at `url`. `check` is called on each new connection and refuses a node of another chain.

    A lost connection is given up after `patience` seconds without an answer.
    """

    url: str
    patience: float = 120.0
    check: Callable[[RpcClient], None] = field(default=lambda _: None)
    reconnections: int = 0
    _node: RpcClient | None = None

    @property
    def node(self) -> RpcClient:
        """The connection; it is made when there is none."""
        if self._node is None:
            try:
                node = RpcClient(self.url)
            except ValueError as error:
                raise CommandError(Failing.INVALID_ARGUMENT, str(error)) from error
            try:
                self.check(node)
            except BaseException:
                node.close()
                raise
            self._node = node
        return self._node

    def reconnect(self) -> None:
        """Connect anew, trying again with growing pauses.

        Raises:
            ConnectionError: no node has answered for `patience` seconds.
            CommandError: the node that answers has another chain.
        """
        self.close()
        deadline = time.monotonic() + self.patience
        pause = FIRST_PAUSE
        while True:
            try:
                _ = self.node
            except (ConnectionError, TimeoutError):
                if time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self.reconnections += 1
                return

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._node is not None:
            self._node.close()
            self._node = None
