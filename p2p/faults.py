"""The one place where exceptions of handlers and of libp2p end: logged once a kind, counted, and survived."""

import logging
from collections import Counter
from collections.abc import Mapping

logger = logging.getLogger(__name__)


class Faults:
    """Counts of what went wrong, by kind; the first of each kind is logged with its traceback."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each kind happened; for metrics."""
        return self._counts

    def caught(self, kind: str, error: BaseException, peer: object = None) -> None:
        """Records an exception that was caught."""
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
