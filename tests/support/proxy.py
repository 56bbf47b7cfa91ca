"""A way to a port that can be cut: a network that fails between two processes of one machine."""

import socket
import threading
from enum import Enum
from typing import Final, Self

from tests.support.processes import PATIENCE

_PIECE: Final = 65_536


class Way(Enum):
    """What becomes of bytes."""

    OPEN = "open"
    SILENT = "silent"
    """They wait on the way: nobody is told, as when packets are lost."""
    REFUSED = "refused"
    """Connections are reset, and new ones too."""


class Proxy:
    """Passes connections on to a port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._way = Way.OPEN
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._ended = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: Final = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._way is Way.REFUSED:
                client.close()
                continue
            self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        with self._changed:
            self._sockets.add(client)
        if not self._wait_until_open():
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), PATIENCE)
            server.settimeout(None)
        except OSError:
            self._cut(client)
            return
        with self._changed:
            self._sockets.add(server)
        self._start(self._pass_on, client, server)
        self._start(self._pass_on, server, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_PIECE):
                if not self._wait_until_open():
                    return
                target.sendall(data)
        except OSError:
            return
        finally:
            self._cut(source, target)

    def _wait_until_open(self) -> bool:
        """Wait while nothing gets through; False if it has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._way is not Way.SILENT or self._ended)
            return not self._ended and self._way is Way.OPEN

    def _cut(self, *sockets: socket.socket) -> None:
        with self._changed:
            for one in sockets:
                self._sockets.discard(one)
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # was cut before
        for one in sockets:
            one.close()

    def set(self, way: Way) -> None:
        with self._changed:
            self._way = way
            self._changed.notify_all()
            sockets = tuple(self._sockets)
        if way is Way.REFUSED:
            self._cut(*sockets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            sockets = tuple(self._sockets)
        # Closing alone would not wake the thread that accepts.
        self._cut(self._listener, *sockets)
        for thread in self._threads:
            thread.join(PATIENCE)
