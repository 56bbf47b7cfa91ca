"""The one place where exceptions of handlers and of libp2p end: logged once a kind, counted, and survived."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

import trio
from libp2p.io.exceptions import ConnectionClosedError, IncompleteReadError
from libp2p.network.stream.exceptions import StreamError
from libp2p.stream_muxer.exceptions import MuxedConnError, MuxedStreamError

logger = logging.getLogger(__name__)

_LOSSES: Final = (
    ConnectionClosedError,
    IncompleteReadError,
    MuxedConnError,
    MuxedStreamError,
    StreamError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


def is_loss(error: BaseException) -> bool:
    """Whether an exception says only that a connection or stream has ended: nobody's fault, and all in a day's work."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _LOSSES):
            return True
        cause = cause.__cause__
    return False


class Faults:
    """Counts of what went wrong, by kind; the first defect of each kind is logged with its traceback."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each kind happened; for metrics."""
        return self._counts

    def caught(self, kind: str, error: BaseException, peer: object = None) -> None:
        """Records an exception that was caught; the end of a connection in the middle of something is worth no line."""
        if is_loss(error):
            self.noted(f"{kind}: connection lost")
            logger.debug("%s was cut off (peer %s): %s: %s", kind, peer, type(error).__name__, error)
            return
        self._counts[kind] += 1
        first = self._counts[kind] == 1
        logger.log(
            logging.WARNING if first else logging.DEBUG,
            "%s failed (peer %s): %s: %s%s",
            kind,
            peer,
            type(error).__name__,
            error,
            "; further ones of this kind are only counted" if first else "",
            exc_info=error if first else None,
        )

    def noted(self, kind: str) -> None:
        """Counts an event that is no exception."""
        self._counts[kind] += 1
