"""The sockets of a node's servers, bound before anything else starts, so that a port in use is told at once."""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from node.config import MetricsOptions, NodeConfig
from node.errors import ExitCode, NodeError
from rpc.app import bind, only_loopback

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where a node listens for calls and, unless nobody wants them, for Prometheus."""

    rpc: socket.socket
    metrics: socket.socket | None


@contextmanager
def bound_listeners(config: NodeConfig) -> Iterator[Listeners]:
    """Bind what the node has been told to, and close it in the end.

    Raises:
        NodeError: a port is in use.
    """
    with _bind(config.rpc_host, config.rpc_port, "--rpc-port") as rpc:
        if config.metrics is None:
            yield Listeners(rpc, None)
            return
        with _bind_metrics(config.metrics) as metrics:
            yield Listeners(rpc, metrics)


def _bind(host: str, port: int, option: str) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NodeError(ExitCode.PORT_IN_USE, f"port {port} is in use; choose another with {option}") from None
        raise NodeError(ExitCode.FAILED, f"cannot listen on {host}:{port}: {error.strerror}") from None


def _bind_metrics(options: MetricsOptions) -> socket.socket:
    """Listen for Prometheus; a port that nobody has asked for gives way to any free one."""
    try:
        return _bind(options.host, options.port, "--prometheus-port")
    except NodeError as error:
        if options.is_chosen or error.exit_code is not ExitCode.PORT_IN_USE:
            raise
    log.warning("port %d is in use: metrics are served at another, see --prometheus-port", options.port)
    return _bind(options.host, 0, "--prometheus-port")


def port_of(listener: socket.socket) -> int:
    """Return the port on which a socket listens."""
    port: int = listener.getsockname()[1]
    return port


def other_addresses(listener: socket.socket) -> str:
    """Return what to add for a person who is told of the loopback address, if others reach the socket too."""
    return "" if only_loopback([listener]) else ", and at the other addresses of this machine"
