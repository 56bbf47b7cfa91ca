"""How long a node has heard others without a break, which is how sure it is that its key is not in use elsewhere."""

from collections.abc import Callable

from runtime.primitives import Slot


class Listening:
    """Counts from when the node is level with another one, and as long as it is in touch with any.

    A break begins the count anew, until it was long enough: from then on there is no later vote or block of our own
    that we could have missed, as the record on disk has them all.
    """

    def __init__(
        self, enough: Callable[[], int], is_level: Callable[[], bool], is_in_touch: Callable[[], bool]
    ) -> None:
        """`enough`: the slots after which breaks are of no matter any more."""
        self._enough = enough
        self._is_level = is_level
        self._is_in_touch = is_in_touch
        self._since: Slot | None = None
        self._is_done = False

    def skip(self, now: Slot) -> None:
        """Begin now, and take it that there is nothing to hear."""
        self._since, self._is_done = now, True

    def since(self, now: Slot) -> Slot | None:
        """Return the slot since which others have been heard, None if they are not; to be asked in each slot."""
        if self._is_done:
            return self._since
        if not self._is_in_touch():
            self._since = None
        elif self._since is None:
            self._since = now if self._is_level() else None
        else:
            self._is_done = now > self._since + self._enough()
        return self._since
