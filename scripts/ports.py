"""Ports for nodes on this machine that others must know before they start, and find again after a restart."""

import secrets
import socket
from typing import Final

_PORTS: Final = range(20_000, 32_000)
"""Below those that the system gives to whoever asks for any."""


def free_port() -> int:
    """Return a port on which nobody listens."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
